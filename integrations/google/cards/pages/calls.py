"""Calls: the dialler one finds at home, lists of what was, and what becomes of a press on a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from integrations.google.cards.pages.search import field
from integrations.google.cards.pieces import Button, Buttons, Card, Field, Open, Piece, Press, Row, Section, Text
from integrations.google.cards.views import Called, Home, Number, Past
from integrations.google.cards.words import Words

SHOWN = 5
MOST = 15
MOST_SAID = 1_000  # characters of a voicemail's words
ICONS = {"missed": "phone_missed", "voicemail": "voicemail"}
PLAIN = frozenset({"answered", "missed", "voicemail"})


def home(of: Home, words: Words) -> Card:
    """The dialler, calls nobody took, recent calls, and somebody to look for."""
    return Card(
        name="home",
        title=words("home"),
        sections=[
            Section(_dialler(of, words)),
            Section(_file(words) if of.file else [], words("file")),
            Section(_list(of.missed, words, words("missed.none")), words("missed"), SHOWN),
            Section(_list(of.recent, words, words("recent.none")), words("recent"), SHOWN),
            Section(field(words)),
        ],
    )


def chat(of: Home, words: Words) -> Card:
    """The same for Chat, which has room for one list after the other and needs no dialler: /call dials."""
    return Card(
        name="calls",
        title=words("home"),
        sections=[
            Section(_list(of.missed, words, words("missed.none")), words("missed"), SHOWN),
            Section(_list(of.recent, words, words("recent.none")), words("recent"), SHOWN),
        ],
    )


def called(of: Called, words: Words) -> Card:
    """Their own telephone rings first; once more is another press."""
    rings = words("calling.line", line=words.number(of.line)) if of.line else words("calling.first")
    told: list[Piece] = [Row(rings, icon="ring_volume")] if of.new else [Text(words("called"))]
    if of.new and of.then:
        told.append(Text(words("calling.then", then=words.number(of.then))))
    if not of.new:
        told.append(Text(words("called.again"), soft=True))
    again = Button(words("call.again"), dial(of.number, of.who), icon="call")
    return Card(
        name="called",
        title=words("calling", number=words.number(of.number.shown)),
        subtitle=of.who,
        sections=[Section([*told, Buttons([again])])],
    )


def news(call: Past, words: Words, url: str) -> Card:
    """A call nobody took, told as soon as it is over; `url`: its page here, where a voicemail is heard."""
    said: list[Piece] = [replace(past(call, words), above="", button=None)]  # both stand on the card already
    if call.note:
        said.append(Text(call.note[:MOST_SAID]))
    buttons = [Button(words("open.here"), Open(url), icon="open_in_new", look="BORDERLESS")]
    if call.number is not None:
        back = Button(words("call.back"), dial(call.number, named_as(call, words)), icon="call", look="FILLED")
        buttons.insert(0, back)
    outcome = call.outcome if call.outcome == "voicemail" else "missed"
    return Card(name="news", title=words(f"inbound.{outcome}"), sections=[Section([*said, Buttons(buttons)])])


def past(call: Past, words: Words, *, named: bool = True) -> Row:
    """A call that was; who it was with stands on it where that is not plain from the card."""
    outcome = call.outcome if call.outcome in PLAIN else "missed"
    direction = "inbound" if call.direction == "inbound" else "outbound"
    if direction == "outbound" and outcome == "voicemail":
        outcome = "missed"
    what = words(f"{direction}.{outcome}") if call.outcome else words("live")
    when = words.when(call.at)
    lasted = f" · {words.lasted(call.seconds)}" if call.seconds else ""
    icon = ICONS.get(outcome, "call_received") if direction == "inbound" else "call_made"
    who = named_as(call, words)
    told = {"contact": call.contact, "number": call.number.number if call.number is not None else ""}
    return Row(
        who if named else f"{when}{lasted}",
        above=what,
        below=f"{when}{lasted}" if named else call.note[:120],
        icon=icon,
        button=dial_button(call.number, words, who) if call.number is not None and named else None,
        click=Press("person", told) if named and any(told.values()) else None,
    )


def named_as(call: Past, words: Words) -> str:
    """Whom a call was with: a name, else a number, else that there is neither."""
    return call.who or (words.number(call.number.shown) if call.number is not None else words("withheld"))


def dial(number: Number, who: str = "") -> Press:
    return Press("dial", {"number": number.number, "key": number.key, "who": who})


def dial_button(number: Number, words: Words, who: str) -> Button:
    """The picture of a telephone; said aloud it names whom it rings."""
    return Button(words("call.whom", whom=who), dial(number, who), icon="call", bare=True)


def _dialler(of: Home, words: Words) -> list[Piece]:
    if not of.dials:
        return [Text(words("dial.none"), soft=True)]
    rings = [Text(words("calling.line", line=words.number(of.line)), soft=True)] if of.line else []
    return [
        Field("number", words("dial"), hint=words("dial.hint"), most=200),
        Buttons([Button(words("call"), Press("dial", {"key": of.key}, ["number"]), icon="call", look="FILLED")]),
        *rings,
    ]


def _file(words: Words) -> list[Piece]:
    """A file is seen only after somebody said so."""
    allow = Button(words("file.allow"), Press("file.ask"), icon="find_in_page", look="OUTLINED")
    return [Text(words("file.ask"), soft=True), Buttons([allow])]


def _list(calls: Sequence[Past], words: Words, none: str) -> list[Piece]:
    return [past(call, words) for call in calls[:MOST]] or [Text(none, soft=True)]
