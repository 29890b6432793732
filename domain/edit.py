"""A contact edited somewhere that was out of reach: what of it is news to a record that may have changed meanwhile.

Decided by the three-way comparison of every other exchange (`threeway.judge`), with what the editor last saw for its
mark. Where both changed the same field what stands there stays; numbers and addresses are added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.contact import Person
from domain.telling import FIELDS, Field, said
from domain.threeway import Side, Terms, Verdict, Why, judge

DEVICE = "device"  # the module of whoever edits


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """How somebody stood on a device and how they stand there now; `takes`: fields of the record that is told of it."""

    was: Person
    now: Person
    takes: frozenset[Field] = frozenset()

    @property
    def fields(self) -> frozenset[Field]:
        """What was changed on the device."""
        return frozenset(name for name in FIELDS if said(self.was, name) != said(self.now, name))

    def against(self, there: Person, module: str) -> Verdict:
        """What a record that says `there` shall say: `wanted["left"]` in `fields["left"]`."""
        terms = Terms(
            left="both",
            right="both",
            left_takes={module: self.takes},
            right_takes={DEVICE: frozenset(FIELDS)},
        )
        people: dict[Side, Person] = {"left": there, "right": self.now}
        marks: dict[Side, Person | None] = {"left": self.was, "right": self.was}
        return judge(people, marks, {"left": module, "right": DEVICE}, terms)

    def lost(self, verdict: Verdict) -> dict[Field, Why]:
        """Which of the changed fields a record does not take over, and why."""
        return {
            one.field: one.why
            for one in verdict.conflicts
            if one.field != "record" and one.field in self.fields and one.won != "right"
        }

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values, for sealing."""
        return {"was": self.was.as_data(), "now": self.now.as_data(), "takes": sorted(self.takes)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Edit:
        """Undo `as_data`."""
        return cls(was=Person.from_data(data["was"]), now=Person.from_data(data["now"]), takes=frozenset(data["takes"]))
