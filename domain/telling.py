"""What a side that keeps people can be told, and its answer: one `Told` for each record, whatever became of it.

A `Change` names the fields it is about and how they looked when it was decided, so that whoever writes looks first:
a record that says something else by now is handed back as it is, never overwritten. Done already counts as done, so
telling twice does no harm; only a creation that nobody answered has to be looked for, with `find`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from domain.contact import Line, Person, Record, fold_email

Field = Literal["name", "company", "title", "lines", "emails"]
Outcome = Literal["written", "joined", "changed", "gone", "refused"]
ONE: tuple[Field, ...] = ("name", "company", "title")  # both halves of a name go together
MANY: tuple[Field, ...] = ("lines", "emails")  # fields of which a person has several
FIELDS = ONE + MANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may hold, and which fields each module takes. Numbers are records a request."""

    create: int
    update: int
    delete: int
    page: int
    sequential: bool  # two writes of one user must not run at once
    takes: Mapping[str, frozenset[Field]]  # by module
    newcomers: str  # the module where new people go


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A record that shall say `wanted` in these fields, decided when it said `was`."""

    module: str
    remote_id: str
    was: Person
    wanted: Person = field(default_factory=Person)
    fields: frozenset[Field] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of one record. written: it stands there as `record` says; joined: the side had this person already;
    changed: somebody was faster, `record` is what they wrote and nothing was done; gone: it is not there (any more)."""

    do: Outcome
    remote_id: str = ""  # its name there now, which may be another than it was asked by
    record: Record | None = None
    refused: str = ""  # the other side's reason
    short: tuple[Field, ...] = ()  # fields of which not everything found room there
    left_out: tuple[tuple[str, str], ...] = ()  # fields of the tenant's mapping it refused: (name, error code)


class PeopleWriter(Protocol):
    """A side's people, to be written. Answers come in the order of the question, at most `limits` of them at once; only
    `find` takes any number.

    Every method may raise what `domain.errors` names under Upstream; then nobody knows which of them were done.
    """

    limits: Limits

    def create(self, people: Sequence[Person], more: Sequence[Mapping[str, Any]] = ()) -> list[Told]:
        """Add new people. After Unanswered ask `find` before asking again.

        `more`: for each the fields a tenant maps, by their names there; a side that has none takes no notice.
        """

    def find(self, people: Sequence[Person], since: datetime) -> list[Told | None]:
        """Look for people whose creation nobody answered; None for one who is not there."""

    def update(self, changes: Sequence[Change]) -> list[Told]:
        """Write the named fields and no others."""

    def delete(self, changes: Sequence[Change]) -> list[Told]:
        """Delete records that still look as they did."""


def number_key(line: Line) -> str:
    """The one way we compare a number: as meant with its extension, else as written without its spaces."""
    return f"{line.e164};{line.extension}" if line.e164 else "".join(line.raw.split()).casefold()


def said(person: Person, name: Field) -> str | frozenset[str]:
    """What a person says in a field, in the one spelling we compare: labels and the places of spaces do not count."""
    return _many(person, name) if name in MANY else _one(person, name)


def _one(person: Person, name: Field) -> str:
    text = f"{person.given} {person.family}" if name == "name" else getattr(person, name)
    return " ".join(text.split())


def _many(person: Person, name: Field) -> frozenset[str]:
    spelt = map(number_key, person.lines) if name == "lines" else map(fold_email, person.emails)
    return frozenset(filter(None, spelt))


def agree(one: Person, other: Person, fields: Sequence[Field] | frozenset[Field] = FIELDS) -> bool:
    """Say whether two people say the same in these fields."""
    return all(said(one, name) == said(other, name) for name in fields)


def utterance(person: Person) -> list[str | list[str]]:
    """All a person says: equal exactly for people who agree."""
    one: list[str | list[str]] = [_one(person, name) for name in ONE]
    return one + [sorted(_many(person, name)) for name in MANY]


def look(change: Change, record: Record | None) -> Told | None:
    """Settle a change by what stands there: gone, done already, or somebody was faster; None when it can be written."""
    if record is None:
        return Told(do="gone", remote_id=change.remote_id)
    if change.fields and agree(record.person, change.wanted, change.fields):
        return Told(do="written", remote_id=record.remote_id, record=record)
    if not agree(record.person, change.was, change.fields or FIELDS):
        return Told(do="changed", remote_id=record.remote_id, record=record)
    return None


class Awaited:
    """People whose creation nobody answered, to be told from whoever else a side names: by their name and by every
    number and address that was asked for."""

    def __init__(self, people: Iterable[Person]) -> None:
        self._places: dict[object, deque[int]] = {}
        for place, person in enumerate(people):
            if person.lines or person.emails:
                self._places.setdefault(_known_by(person), deque()).append(place)

    def __bool__(self) -> bool:
        return bool(self._places)

    def place_of(self, record: Record) -> int | None:
        """The place of the first who may be this record and has not been found yet."""
        known_by = _known_by(record.person)
        if (places := self._places.get(known_by)) is None:
            return None
        place = places.popleft()
        if not places:
            del self._places[known_by]
        return place


def _known_by(person: Person) -> object:
    return said(person, "name"), *(said(person, name) for name in MANY)
