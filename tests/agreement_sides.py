"""Two sides in memory that misbehave, and the plainest driver of an agreement between them.

A side loses pages, tells records twice, gives etags that change by themselves or none, renames records, and fails
before or after having done what it was told. It keeps what it can: so many numbers, and not every field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any

from domain.agreement import Agreement, Step, plan, settle
from domain.contact import Person, Record
from domain.errors import TryLater, Unanswered
from domain.pairs import Pair, View
from domain.telling import FIELDS, MANY, Awaited, Change, Field, Limits, Told, look, said
from domain.threeway import Conflict, Side, Terms

MODULE = "people"
NOW = datetime(2026, 3, 29, tzinfo=UTC)


class MemorySide:
    """A `PeopleWriter` that keeps people in a dictionary. `luck`: fails by chance; None: a quiet day."""

    def __init__(self, name: str, takes: Sequence[Field] = FIELDS, most_numbers: int = 100) -> None:
        self.people: dict[str, Person] = {}
        self.formerly: dict[str, tuple[str, ...]] = {}
        self.luck: Random | None = None
        self.writes = 0
        self._name, self._most, self._ids = name, most_numbers, count(1)
        self.limits = Limits(
            create=3,
            update=3,
            delete=3,
            page=4,
            sequential=True,
            takes={MODULE: frozenset(takes)},
            newcomers=MODULE,
        )

    # -- what people do there

    def add(self, person: Person) -> str:
        new = f"{self._name}{next(self._ids)}"
        self.people[new] = person
        return new

    def rename(self, old: str) -> str:
        new = self.add(self.people.pop(old))
        self.formerly[new] = (*self.formerly.pop(old, ()), old)
        return new

    # -- reading

    def view(self) -> View:
        """What a reading tells; on a bad day a page is missing and another comes twice."""
        records = [self._record(key) for key in self.people]
        if self.luck is None:
            return View(records={(MODULE, record.remote_id): record for record in records})
        self.luck.shuffle(records)
        pages = [records[start : start + 4] for start in range(0, len(records), 4)]
        lost = bool(pages) and self.luck.random() < 0.4
        kept = pages[1:] if lost else pages
        told = [record for page in [*kept, *kept[:1]] for record in page]
        return View(records={(MODULE, record.remote_id): record for record in told}, complete=not lost)

    def _record(self, key: str) -> Record:
        etag = str(self.luck.random()) if self.luck and self.luck.random() < 0.5 else ""
        return Record(
            module=MODULE,
            remote_id=key,
            person=self.people[key],
            etag=etag,
            formerly=self.formerly.get(key, ()),
        )

    # -- writing

    def create(self, people: Sequence[Person], more: Sequence[Mapping[str, Any]] = ()) -> list[Told]:
        assert 0 < len(people) <= self.limits.create
        self._before()
        made = [self.add(self._kept(person, Person(), frozenset(FIELDS))) for person in people]
        self.writes += len(made)
        self._after()
        return [self._told(key, person, frozenset(FIELDS)) for key, person in zip(made, people, strict=True)]

    def find(self, people: Sequence[Person], since: datetime) -> list[Told | None]:
        found: list[Told | None] = [None] * len(people)
        awaited = Awaited(self._kept(person, Person(), frozenset(FIELDS)) for person in people)
        for key in self.people:
            if (at := awaited.place_of(self._record(key))) is not None:
                found[at] = self._told(key, people[at], frozenset(FIELDS))
        return found

    def update(self, changes: Sequence[Change]) -> list[Told]:
        assert 0 < len(changes) <= self.limits.update
        self._before()
        told = [self._update(change) for change in changes]
        self._after()
        return told

    def _update(self, change: Change) -> Told:
        key = self._present(change.remote_id)
        if (settled := look(change, self._record(key) if key else None)) is not None:
            return settled
        self.people[key] = self._kept(change.wanted, self.people[key], change.fields)
        self.writes += 1
        return self._told(key, change.wanted, change.fields)

    def delete(self, changes: Sequence[Change]) -> list[Told]:
        self._before()
        told: list[Told] = []
        for change in changes:
            key = self._present(change.remote_id)
            settled = look(change, self._record(key) if key else None)
            if settled is None:
                del self.people[key]
                self.writes += 1
            told.append(settled or Told(do="gone", remote_id=change.remote_id))
        self._after()
        return told

    def _present(self, key: str) -> str:
        return next((new for new in self.people if key == new or key in self.formerly.get(new, ())), "")

    def _kept(self, wanted: Person, there: Person, fields: frozenset[Field]) -> Person:
        for name in fields & self.limits.takes[MODULE]:
            parts = ("given", "family") if name == "name" else (name,)
            values = {part: getattr(wanted, part) for part in parts}
            there = replace(there, **values)
        return replace(there, lines=there.lines[: self._most])

    def _told(self, key: str, wanted: Person, fields: frozenset[Field]) -> Told:
        record = self._record(key)
        short = tuple(name for name in sorted(fields) if said(record.person, name) != said(wanted, name))
        return Told(do="written", remote_id=key, record=record, short=short)

    def _before(self) -> None:
        if self.luck is not None and self.luck.random() < 0.2:
            raise TryLater

    def _after(self) -> None:
        if self.luck is not None and self.luck.random() < 0.2:
            raise Unanswered


class Driver:
    """Runs an agreement and remembers pairs, journal, and creations nobody answered."""

    def __init__(self, left: MemorySide, right: MemorySide, terms: Terms) -> None:
        self.sides: dict[Side, MemorySide] = {"left": left, "right": right}
        self.terms = terms
        self.pairs: dict[str, Pair] = {}
        self.journal: list[Conflict] = []
        self.waiting: list[Conflict] = []
        self._unanswered: list[Step] = []
        self._ids = count(1)

    def decide(self) -> Agreement:
        return plan(
            self.sides["left"].view(), self.sides["right"].view(), list(self.pairs.values()), self.terms, go_on=True
        )

    def run(self) -> Agreement:
        """One run: look for what nobody answered, decide, tell, remember."""
        for step in self._unanswered:
            assert step.side is not None
            assert step.person is not None
            if (found := self.sides[step.side].find([step.person], NOW)[0]) is not None:
                self._remember(step, {step.side: found})
        self._unanswered = []
        agreement = self.decide()
        self.journal += agreement.conflicts
        self.waiting = agreement.waiting
        for step in agreement.steps:
            self._remember(step, self._tell(step))
        return agreement

    def _tell(self, step: Step) -> dict[Side, Told]:
        told: dict[Side, Told] = {}
        try:
            if step.do == "create" and step.side is not None and step.person is not None:
                told[step.side] = self.sides[step.side].create([step.person])[0]
            for side, change in step.changes.items():
                tell: Callable[[Sequence[Change]], list[Told]] = getattr(self.sides[side], step.do)
                told[side] = tell([change])[0]
        except TryLater:
            pass
        except Unanswered:
            if step.do == "create":
                self._unanswered.append(step)
        return told

    def _remember(self, step: Step, told: dict[Side, Told]) -> None:
        partnered = {seen.key for pair in self.pairs.values() for seen in (pair.left, pair.right) if seen is not None}
        taken = step.do == "create" and any((MODULE, answer.remote_id) in partnered for answer in told.values())
        settled = settle(step, told, self.pairs.get(step.pair), taken=taken)
        self.journal += settled.conflicts
        if settled.pair is not None:
            name = step.pair or f"p{next(self._ids)}"
            self.pairs[name] = replace(settled.pair, id=name)
        elif step.pair:
            self.pairs.pop(step.pair, None)

    def numbers(self) -> set[str]:
        """Every number and address that stands on either side."""
        return {
            str(value)
            for side in self.sides.values()
            for person in side.people.values()
            for name in MANY
            for value in said(person, name)
        }
