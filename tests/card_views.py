"""What the cards are drawn of in tests, on the stage's page and for the golden files: one example of each page.

`python -m tests.card_views` writes the golden files anew; look at what changed before you keep it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from integrations.google.cards import answers
from integrations.google.cards.answers import Envelope
from integrations.google.cards.pages import asides, calls, forms, who
from integrations.google.cards.pieces import Card, Json
from integrations.google.cards.views import Called, Home, Number, Past, Person, Record
from integrations.google.cards.words import LANGUAGES, Words

DOOR = "https://linekeeper.alice.example/addon/google"
ZONE = ZoneInfo("Europe/Madrid")
NOW = datetime(2026, 3, 30, 12, 0, tzinfo=ZONE)
GOLDEN = Path(__file__).parent / "golden" / "cards"


def words(language: str = "en") -> Words:
    return Words.of(language, ZONE, NOW)


def number(
    e164: str = "+34600111222", shown: str = "+34 600 11 12 22", label: str = "Mobile", key: str = "k1"
) -> Number:
    return Number(number=e164, shown=shown, key=key, label=label)


MISSED = Past(
    id="c1",
    who="Dana Quince",
    direction="inbound",
    outcome="missed",
    at=NOW - timedelta(minutes=50),
    number=number(key="k2"),
    contact="p1",
)
SPOKEN = Past(
    id="c2",
    who="Dana Quince",
    direction="outbound",
    outcome="answered",
    at=NOW - timedelta(days=1),
    seconds=215,
    number=number(key="k3"),
    note="Wants the offer by Friday <& soon>",
    contact="p1",
)
TAPED = Past(
    id="c3",
    who="",
    direction="inbound",
    outcome="voicemail",
    at=NOW - timedelta(days=3),
    number=number("+442079460001", "+44 20 7946 0001", "", "k4"),
)
HIDDEN = Past(id="c4", who="", direction="inbound", outcome="missed", at=NOW - timedelta(days=4))
DANA = Person(
    id="p1",
    name="Dana Quince",
    role="Buyer, Quince & Sons <Ltd>",
    email="dana@quince.example",
    numbers=(number(), number("+34911222333", "+34 911 22 23 33", "Work", "k5")),
    records=(Record(text="Zoho (Contact)", url="https://crm.zoho.eu/crm/org20001/tab/Contacts/90000"),),
    calls=(MISSED, SPOKEN),
    noted=SPOKEN.id,
    tasks=(MISSED.at,),
    writes=True,
)
STRANGER = Person(email="eve@elsewhere.example", name="Eve <b>Elsewhere</b>", lead=True, numbers=(TAPED.number,))  # type: ignore[arg-type]  # it has one
HOME = Home(recent=(MISSED, SPOKEN, TAPED), missed=(MISSED, TAPED, HIDDEN), line="201", key="k6")


def pages(say: Words) -> dict[str, Card]:
    """Every page there is, in the reader's words."""
    title = say("people.here")
    none = say("people.none")
    return {
        "home": calls.home(HOME, say),
        "home-empty": calls.home(Home(dials=False, key="k7"), say),
        "home-file": calls.home(Home(recent=(SPOKEN,), line="201", key="k7", file=True), say),
        "calling": calls.called(Called(number=number(key="k8"), line="201", then="7", who="Dana Quince"), say),
        "called-before": calls.called(Called(number=number(key="k8"), line="201", new=False, who="Dana Quince"), say),
        "person": who.person(DANA, say),
        "stranger": who.person(STRANGER, say),
        "people": who.people([DANA, STRANGER], say, title, none=none),
        "people-none": who.people([], say, title, none=none),
        "numbers": who.numbers(
            [(number(), "Dana Quince"), (number("+442079460001", "+44 20 7946 0001", "", "k9"), "")],
            say,
            say("file"),
            none=say("file.none"),
            name="numbers",
        ),
        "note": forms.note(SPOKEN, say, ("Won", "Lost"), "Won"),
        "lead": forms.lead(say, number="+44 20 7946 0001", family="Elsewhere", given="Eve", company=""),
        "lead-wrong": forms.lead(say, number="12", family="", given="", company="", trouble=say("field.bad")),
        "later": forms.later(say, who="Dana Quince", number="+34600111222", at=NOW + timedelta(hours=2), key="k10"),
        "summary": forms.summary([SPOKEN, MISSED], say),
        "sign-in": asides.sign_in(say, "https://linekeeper.alice.example/console/workspace"),
        "late": asides.late(say, {"do": "person", "contact": "p1"}),
        "wrong": asides.wrong(say, say("number.bad")),
        "help": asides.help_(say),
    }


def spoken() -> dict[str, Json]:
    """A whole answer for each host and event, as it leaves our door."""
    say, page = words(), pages(words())
    opened, pressed = Envelope(door=DOOR), Envelope(door=DOOR, pressed=True)
    alone, in_space = Envelope(door=DOOR, chat=True), Envelope(door=DOOR, chat=True, viewer="users/123")
    found: dict[str, Callable[[], Json]] = {
        "gmail-homepage": lambda: opened.show(page["home"]),
        "gmail-message": lambda: opened.show(page["person"]),
        "gmail-message-several": lambda: opened.show(page["people"]),
        "gmail-message-late": lambda: opened.show(page["late"]),
        "gmail-compose": lambda: opened.show(page["summary"]),
        "gmail-compose-insert": lambda: answers.insert(forms.summary_text(SPOKEN, say)),
        "gmail-press-dial": lambda: pressed.show(page["calling"]),
        "gmail-press-note": lambda: pressed.show(page["note"]),
        "gmail-press-note-keep": lambda: pressed.home(say("note.kept")),
        "gmail-press-lead": lambda: pressed.show(page["lead"]),
        "gmail-press-lead-wrong": lambda: pressed.show(page["lead-wrong"], place="updateCard"),
        "gmail-permission": lambda: answers.permission(["https://www.googleapis.com/auth/userinfo.email"]),
        "gmail-stranger": lambda: answers.sign_in(page["sign-in"], DOOR),
        "calendar-homepage": lambda: opened.show(page["home"]),
        "calendar-meeting": lambda: opened.show(page["people"]),
        "calendar-press-later": lambda: pressed.show(page["later"]),
        "drive-homepage": lambda: opened.show(page["home"]),
        "drive-file": lambda: opened.show(page["home-file"]),
        "drive-press-file": lambda: answers.ask_for_file("DRIVE", "f1"),
        **{
            f"{editor}-{event}": answer
            for editor in ("docs", "sheets", "slides")
            for event, answer in {
                "homepage": lambda: opened.show(page["home-file"]),
                "press-file": partial(answers.ask_for_file, editor.upper(), ""),
                "file-granted": lambda: opened.show(page["numbers"]),
            }.items()
        },
        "chat-added": lambda: alone.say(say("hello")),
        "chat-call": lambda: alone.show(page["calling"]),
        "chat-calls": lambda: alone.show(calls.chat(HOME, say)),
        "chat-calls-in-space": lambda: in_space.show(calls.chat(HOME, say)),
        "chat-help": lambda: alone.show(page["help"]),
        "chat-stranger": lambda: answers.sign_in_chat("https://linekeeper.alice.example/console/workspace"),
    }
    return {name: make() for name, make in found.items()}


def golden() -> dict[str, str]:
    """Every golden file and what stands in it: an answer a file, or a language's pages, a line each."""
    made = {f"{name}.json": _written(told, indent=1) for name, told in spoken().items()}
    for language in LANGUAGES:
        lines = [f"{name} {_written(card.json(DOOR))}" for name, card in pages(words(language)).items()]
        made[f"language-{language}.txt"] = "".join(lines)
    return made


def _written(told: Json, indent: int | None = None) -> str:
    return json.dumps(told, ensure_ascii=False, indent=indent, sort_keys=True) + "\n"


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for file in {*GOLDEN.iterdir()} - {GOLDEN / name for name in golden()}:
        file.unlink()
    for name, text in golden().items():
        (GOLDEN / name).write_text(text, encoding="utf-8")
