"""Who is it? One person with everything one can do, or several to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from integrations.google.cards.pages.calls import dial_button, past
from integrations.google.cards.pages.search import field
from integrations.google.cards.pieces import Button, Buttons, Card, Open, Piece, Press, Row, Section, Text
from integrations.google.cards.views import Number, Person
from integrations.google.cards.words import Words

MOST_NUMBERS = 10
MOST_RECORDS = 3
MOST_CALLS = 5
CALLS_SHOWN = 3
MOST_PEOPLE = 20


def person(of: Person, words: Words, *, name: str = "person") -> Card:
    """Everything of one person."""
    calls: list[Piece] = [past(call, words, named=False) for call in of.calls[:MOST_CALLS]]
    return Card(
        name=name,
        title=_name(of, words),
        subtitle=_below(of, words),
        sections=[
            Section([*_numbers(of, words), *_do(of, words)]),
            Section(_todo(of, words), words("tasks")),
            Section(calls or [Text(words("calls.none"), soft=True)] if of.id else [], words("calls.last"), CALLS_SHOWN),
        ],
    )


def people(
    some: Sequence[Person], words: Words, title: str, *, none: str, name: str = "people", header: str = ""
) -> Card:
    """Several people, each a step away."""
    rows: list[Piece] = [_short(one, words) for one in some[:MOST_PEOPLE]]
    return Card(
        name=name, title=title, sections=[Section(rows or [Text(none, soft=True)], header), Section(field(words))]
    )


def numbers(found: Sequence[tuple[Number, str]], words: Words, title: str, *, none: str, name: str) -> Card:
    """Numbers that stand in a text, each with whose it is."""
    rows: list[Piece] = [
        Row(
            words.number(number.shown),
            above=whose,
            button=dial_button(number, words, whose),
            icon="call",
        )
        for number, whose in found[:MOST_PEOPLE]
    ]
    return Card(name=name, title=title, sections=[Section(rows or [Text(none, soft=True)])])


# ---- one person -----------------------------------------------------------------------------------------------------


def _name(of: Person, words: Words) -> str:
    number = words.number(of.numbers[0].shown) if of.numbers else ""
    return of.name or of.email or number or words("withheld")


def _below(of: Person, words: Words) -> str:
    if of.id or of.role:
        return of.role or (of.email if of.email != of.name else "")
    return words("unknown") if of.email or not of.numbers else words("unknown.number")


def _numbers(of: Person, words: Words) -> list[Piece]:
    rows: list[Piece] = [
        Row(
            words.number(number.shown),
            above=number.label,
            icon="call",
            button=dial_button(number, words, _name(of, words)),
        )
        for number in of.numbers[:MOST_NUMBERS]
    ]
    return rows or [Text(words("number.none"), soft=True)]


def _do(of: Person, words: Words) -> list[Piece]:
    """What one can do besides calling."""
    number = of.numbers[0].number if of.numbers else ""
    buttons = []
    if of.noted:
        buttons.append(Button(words("note"), Press("note", {"call": of.noted}), icon="edit_note"))
    if number:
        told = {"contact": of.id, "number": number, "who": _name(of, words)}
        buttons.append(Button(words("later"), Press("later", told), icon="schedule"))
    if number and of.texts:
        told = {"number": number, "who": _name(of, words)}
        buttons.append(Button(words("text"), Press("text", told), icon="sms"))
    if of.lead and not of.id:
        told = {"number": number, "name": of.name, "email": of.email}
        buttons.append(Button(words("lead"), Press("lead", told), icon="person_add"))
    links = [
        Button(record.text, Open(record.url), icon="open_in_new", look="BORDERLESS")
        for record in of.records[:MOST_RECORDS]
    ]
    return [Buttons(row) for row in (buttons, links) if row]


def _todo(of: Person, words: Words) -> list[Piece]:
    return [Row(words("task", when=words.when(at)), icon="task_alt") for at in of.tasks]


def _short(of: Person, words: Words) -> Row:
    """One of several: a step leads to them, a press rings their first number."""
    told = {"contact": of.id} if of.id else {"email": of.email, "name": of.name}
    number = of.numbers[0] if of.numbers else None
    return Row(
        _name(of, words),
        above=words("from") if of.writes else "",
        below=_below(of, words),
        icon="person" if of.id else "person_outline",
        click=Press("person", told),
        button=dial_button(number, words, _name(of, words)) if number is not None else None,
        strong=of.writes,
    )
