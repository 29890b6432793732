"""What agreeing costs: the journal's lines for values that were overwritten, records deleted, and ties nobody won."""

from __future__ import annotations

from collections.abc import Sequence

from domain.agreement import Step
from domain.contact import Person
from domain.errand import Lost
from domain.pairs import key_of
from domain.plan import Key
from domain.telling import FIELDS, MANY, Change, Field, said
from domain.threeway import SIDES, Conflict, Side, other, shown, taken_over
from store.journal import Line

OVERWRITTEN, DELETED = "overwritten", "deleted"


def of_steps(steps: Sequence[Step], conflicts: Sequence[Lost]) -> list[Line]:
    """Lines for steps nobody had to be told."""
    return [_of_conflict(step, one) for step, about in zip(steps, conflicts, strict=True) for one in about]


def of_told(step: Step, side: Side, now: Person | None, conflicts: Lost) -> list[Line]:
    """Lines for what one side was told: `now` is how its record reads since, None for one that is gone."""
    change, record = step.changes.get(side), step.at(side)
    if change is None or record is None:
        return []
    if step.do == "delete":
        gone = Line(
            why=DELETED,
            about="record",
            side=side,
            name=record.person.name,
            keys=_keys(step),
            before=shown(record.person, "record"),
            lost=record.person,
        )
        return [gone]
    return [
        Line(
            why=next((one.why for one in conflicts if one.field == name and one.won == other(side)), OVERWRITTEN),
            about=name,
            side=side,
            name=record.person.name or (now.name if now else ""),
            keys=_keys(step),
            before=shown(record.person, name),
            after=shown(now, name) if now else (),
            lost=taken_over(name, Person(), record.person),
        )
        for name in FIELDS
        if name in change.fields and now is not None and _loses(change, name, now)
    ]


def of_ties(step: Step, conflicts: Lost, told: Sequence[Line]) -> list[Line]:
    """Lines for conflicts that no lost value tells of already."""
    named = {(line.about, line.why) for line in told}
    return [_of_conflict(step, one) for one in conflicts if (one.field, one.why) not in named]


def _loses(change: Change, name: Field, now: Person) -> bool:
    before, after = said(change.was, name), said(now, name)
    if name in MANY:
        return bool(set(before) - set(after))
    return bool(before) and before != after


def _of_conflict(step: Step, one: Conflict) -> Line:
    person = next((record.person for side in SIDES if (record := step.at(side)) and record.person.name), Person())
    return Line(
        why=one.why, about=one.field, name=person.name, keys=_keys(step), before=one.left_value, after=one.right_value
    )


def _keys(step: Step) -> dict[str, Key]:
    return {side: key_of(record) for side in SIDES if (record := step.at(side))}
