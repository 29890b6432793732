"""The golden files of Google's cards: a whole answer for each host and event, and every page in every language.

`python -m tests.card_views` writes them anew; look at what changed before you keep it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from integrations.google.cards import answers
from integrations.google.cards.answers import Envelope
from integrations.google.cards.pages import calls, forms
from integrations.google.cards.pieces import Json
from integrations.google.cards.words import LANGUAGES
from sandbox.cards import DOOR, HOME, SPOKEN, pages, words

GOLDEN = Path(__file__).parent / "golden" / "cards"


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
        "gmail-press-text": lambda: pressed.show(page["text"]),
        "gmail-press-text-send": lambda: pressed.home(say("text.sent")),
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
        "chat-news": lambda: alone.message(card=page["news"]),
        "chat-news-voicemail": lambda: alone.message(card=page["news-voicemail"]),
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
