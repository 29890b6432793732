"""Things to fill in: a note on a call, a lead, a call-back, which call to tell of in a message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from integrations.google.cards.pages.calls import named_as
from integrations.google.cards.pieces import Button, Card, Choice, Field, Moment, Piece, Press, Row, Section, Text
from integrations.google.cards.views import Past
from integrations.google.cards.words import Words

MOST_NOTE = 4_000
MOST_TEXT = 1_000
MOST_NAME = 100
MOST_CALLS = 10


def note(of: Past, words: Words, dispositions: Sequence[str], chosen: str, trouble: str = "") -> Card:
    """What is to be remembered of a call, and how it went in the tenant's own words."""
    fields: list[Piece] = [Field("note", words("note.what"), value=of.note, long=True, most=MOST_NOTE)]
    if dispositions:
        items = [("", words("note.not")), *((word, word) for word in dispositions)]
        fields.append(Choice("how", words("note.how"), items, chosen))
    keep = Button(words("note.keep"), Press("note.keep", {"call": of.id}), look="FILLED")
    return _form("note", words("note"), f"{named_as(of, words)} · {words.when(of.at)}", fields, keep, trouble)


def lead(words: Words, *, number: str, family: str, given: str, company: str, trouble: str = "") -> Card:
    """Somebody nobody knows, to be written down in the CRM."""
    fields = [
        Field("family", words("lead.family"), value=family, most=MOST_NAME),
        Field("given", words("lead.given"), value=given, most=MOST_NAME),
        Field("company", words("lead.company"), value=company, most=MOST_NAME),
        Field("number", words("lead.number"), value=number, hint=words("dial.hint"), most=200),
    ]
    make = Button(words("lead.make"), Press("lead.make", needs=["family", "number"]), look="FILLED")
    return _form("lead", words("lead"), "", fields, make, trouble)


def text(words: Words, *, who: str, number: str, key: str, said: str = "", trouble: str = "") -> Card:
    """What to write to somebody's telephone."""
    fields: list[Piece] = [Field("text", words("text.what"), value=said, long=True, most=MOST_TEXT)]
    told = {"key": key, "number": number, "who": who}
    send = Button(words("text.send"), Press("text.send", told, ["text"]), icon="send", look="FILLED")
    return _form("text", words("text"), who, fields, send, trouble)


def later(words: Words, *, who: str, number: str, at: datetime, key: str, title: str = "", trouble: str = "") -> Card:
    """When to call somebody back."""
    fields: list[Piece] = [
        Moment("at", words("later.when"), at),
        Field("title", words("later.what"), value=title or words("later.title", who=who), most=MOST_NAME * 2),
    ]
    told = {"key": key, "number": number, "who": who}
    keep = Button(words("later.keep"), Press("later.keep", told, ["at"]), look="FILLED")
    return _form("later", words("later"), who, fields, keep, trouble)


def summary(calls: Sequence[Past], words: Words) -> Card:
    """Which call to tell of in the message somebody writes."""
    rows: list[Piece] = [
        Row(
            named_as(call, words),
            below=words.when(call.at),
            icon="call",
            button=Button(words("summary.insert"), Press("insert", {"call": call.id}), look="OUTLINED"),
        )
        for call in calls[:MOST_CALLS]
    ]
    rows = rows or [Text(words("recent.none"), soft=True)]
    return Card(name="summary", title=words("summary"), subtitle=words("summary.which"), sections=[Section(rows)])


def summary_text(of: Past, words: Words) -> str:
    """What is written into the message."""
    said = words("summary.text", who=named_as(of, words), when=words.when(of.at), lasted=words.lasted(of.seconds))
    noted = words("summary.note", note=of.note) + "\n" if of.note else ""
    return f"{said}\n{noted}"


def _form(name: str, title: str, subtitle: str, fields: Sequence[Piece], button: Button, trouble: str) -> Card:
    wrong: list[Piece] = [Row(trouble, icon="error")] if trouble else []
    return Card(name=name, title=title, subtitle=subtitle, sections=[Section([*wrong, *fields])], foot=[button])
