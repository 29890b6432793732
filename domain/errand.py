"""Steps of an agreement on their way: bundled for one request each, and as plain data that an effect keeps.

An errand says everything that is needed to do it, to look for it when nobody answered, and to remember what came of
it; so whoever finds it after a crash needs nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.agreement import Step
from domain.contact import Person, Record
from domain.edit import Edit
from domain.pairs import key_of
from domain.ports import in_batches
from domain.telling import Change, Limits
from domain.threeway import SIDES, Conflict, Side, other

Lost = tuple[Conflict, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What one effect has to tell, each step with what it costs. `undo`: the journal's line it takes back; `edit`:
    what somebody wants of this one record, whatever else is paired with it."""

    crm: UUID
    steps: Sequence[Step]
    lost: Sequence[Lost] = ()  # of each step
    undo: UUID | None = None
    edit: Edit | None = None

    @property
    def paired(self) -> bool:
        """Whether the pairs of its steps agree once it is done; else the next exchange compares them."""
        return self.undo is None and self.edit is None

    @property
    def creates(self) -> bool:
        return any(step.do == "create" for step in self.steps)

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values, for sealing."""
        lost = self.lost or [()] * len(self.steps)
        steps = [_step_data(step, about) for step, about in zip(self.steps, lost, strict=True)]
        data: dict[str, Any] = {"crm": str(self.crm), "steps": steps}
        data |= {"undo": str(self.undo)} if self.undo else {}
        return data | ({"edit": self.edit.as_data()} if self.edit else {})

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Errand:
        """Undo `as_data`."""
        steps = [_step(one) for one in data["steps"]]
        return cls(
            crm=UUID(data["crm"]),
            steps=steps,
            lost=[
                tuple(_conflict(one, step) for one in told.get("lost", ()))
                for told, step in zip(data["steps"], steps, strict=True)
            ],
            undo=UUID(data["undo"]) if data.get("undo") else None,
            edit=Edit.from_data(data["edit"]) if data.get("edit") else None,
        )


def bundled(steps: Sequence[Step], limits: Mapping[Side, Limits]) -> Iterator[list[Step]]:
    """Yield the steps that go into one request each: of one kind, to the same sides, as many as these take."""
    kinds: dict[tuple[str, tuple[Side, ...]], list[Step]] = {}
    for step in steps:
        kinds.setdefault((step.do, told_by(step)), []).append(step)
    for (do, sides), alike in kinds.items():
        yield from in_batches(alike, min(getattr(limits[side], do) for side in sides))


def told_by(step: Step) -> tuple[Side, ...]:
    """The sides a step has to be told to."""
    if step.do == "create" and step.side is not None:
        return (step.side,)
    return tuple(side for side in SIDES if side in step.changes)


def conflicts_of(steps: Sequence[Step], conflicts: Sequence[Conflict]) -> list[Lost]:
    """Which of these conflicts each step settles."""
    found: dict[tuple[Any, Any], list[Conflict]] = {}
    for conflict in conflicts:
        found.setdefault((conflict.left, conflict.right), []).append(conflict)
    return [tuple(found.get(_names(step), ())) for step in steps]


def _names(step: Step) -> tuple[Any, Any]:
    return (key_of(step.left) if step.left else None, key_of(step.right) if step.right else None)


def _step_data(step: Step, lost: Lost) -> dict[str, Any]:
    data: dict[str, Any] = {"do": step.do}
    data |= {"pair": step.pair} if step.pair else {}
    data |= {"side": step.side} if step.side else {}
    for side in SIDES:
        if (record := step.at(side)) is not None:
            data[side] = [record.module, record.remote_id, record.person.as_data()]
    if step.changes:
        data["changes"] = {
            side: {"wanted": change.wanted.as_data(), "fields": sorted(change.fields)}
            for side, change in step.changes.items()
        }
    source = step.at(other(step.side)) if step.side else None
    if step.person is not None and (source is None or source.person != step.person):
        data["person"] = step.person.as_data()
    if lost:
        data["lost"] = [
            {
                "why": one.why,
                "field": one.field,
                "left": list(one.left_value),
                "right": list(one.right_value),
                "won": one.won,
            }
            for one in lost
        ]
    return data


def _step(data: Mapping[str, Any]) -> Step:
    records: dict[Side, Record] = {side: _record(data[side]) for side in SIDES if side in data}
    changes: dict[Side, Change] = {}
    for side, told in data.get("changes", {}).items():
        record = records[side]
        changes[side] = Change(
            module=record.module,
            remote_id=record.remote_id,
            was=record.person,
            wanted=Person.from_data(told["wanted"]),
            fields=frozenset(told["fields"]),
        )
    on: Side | None = data.get("side")
    person = Person.from_data(data["person"]) if "person" in data else None
    if person is None and data["do"] == "create" and on is not None and (source := records.get(other(on))):
        person = source.person
    return Step(
        do=data["do"],
        pair=data.get("pair", ""),
        side=on,
        left=records.get("left"),
        right=records.get("right"),
        person=person,
        changes=changes,
    )


def _record(data: Sequence[Any]) -> Record:
    return Record(module=data[0], remote_id=data[1], person=Person.from_data(data[2]))


def _conflict(data: Mapping[str, Any], step: Step) -> Conflict:
    left, right = _names(step)
    return Conflict(
        why=data["why"],
        field=data["field"],
        left=left,
        right=right,
        left_value=tuple(data["left"]),
        right_value=tuple(data["right"]),
        won=data["won"],
    )
