"""One card of every kind, put on show at the hosts' understudy: `GET /_stage/addon/cards` draws them.

Made-up people, a made-up Monday; the tests hold the same cards against their golden files, letter by letter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from integrations.google.cards.pages import asides, calls, forms, who
from integrations.google.cards.pieces import Card
from integrations.google.cards.views import Called, Home, Number, Past, Person, Record
from integrations.google.cards.words import Words

DOOR = "https://linekeeper.alice.example/addon/google"
PLACE = "https://linekeeper.alice.example/console/calls"
ZONE = ZoneInfo("Europe/Madrid")
NOW = datetime(2026, 3, 30, 12, 0, tzinfo=ZONE)


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
ANSWERED = Past(
    id="c5",
    who="Quince & Sons",
    direction="inbound",
    outcome="answered",
    at=NOW - timedelta(days=2),
    seconds=61,
    number=number("+34911222333", "+34 911 22 23 33", "Work", "k11"),
)
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
    texts=True,
    writes=True,
)
STRANGER = Person(email="eve@elsewhere.example", name="Eve <b>Elsewhere</b>", lead=True, numbers=(TAPED.number,))  # type: ignore[arg-type]  # it has one
HOME = Home(recent=(SPOKEN, ANSWERED), missed=(MISSED, TAPED, HIDDEN), line="201", key="k6")


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
        "news": calls.news(MISSED, say, f"{PLACE}/c1"),
        "news-voicemail": calls.news(replace(TAPED, note="It is Eve. Please call me back."), say, f"{PLACE}/c3"),
        "news-hidden": calls.news(HIDDEN, say, f"{PLACE}/c4"),
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
        "text": forms.text(say, who="Dana Quince", number="+34600111222", key="k12"),
        "lead": forms.lead(say, number="+44 20 7946 0001", family="Elsewhere", given="Eve", company=""),
        "lead-wrong": forms.lead(say, number="12", family="", given="", company="", trouble=say("field.bad")),
        "later": forms.later(say, who="Dana Quince", number="+34600111222", at=NOW + timedelta(hours=2), key="k10"),
        "summary": forms.summary([SPOKEN, MISSED], say),
        "sign-in": asides.sign_in(say, "https://linekeeper.alice.example/console/workspace"),
        "late": asides.late(say, {"do": "person", "contact": "p1"}),
        "wrong": asides.wrong(say, say("number.bad")),
        "help": asides.help_(say),
    }


def show(post: Callable[..., Any], language: str = "en") -> None:
    """Put them on show; `post` speaks to the understudy's control plane."""
    for name, card in pages(words(language)).items():
        post("addon/answers", name=name, answer={"action": {"navigations": [{"pushCard": card.json(DOOR)}]}})
