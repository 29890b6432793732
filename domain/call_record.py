"""A record for each call in a module of the tenant's choice: which fields, for which calls, and how it is found again.

The fields are filled as those of an activity are (`domain.mapping`). One text field is ours: it holds the call's id, by
which a record is looked for where nobody knows whether it was written. Nothing is read or written here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from domain.mapping import CALLS, CrmField, Fault, FieldMap, faults, holds

MARKER_CHARACTERS = 36  # of an id
MOST_CONDITIONS = 20
TOPIC = replace(CALLS, one="record", many="records")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMap:
    """What a tenant chose. `link`: the look-up that points to whom the call was with; `only`: the queues and lines
    whose calls have a record; none: all calls."""

    module: str = ""
    marker: str = ""
    link: str = ""
    link_to: str = ""  # the module the look-up leads to
    only: tuple[str, ...] = ()
    fields: FieldMap = FieldMap()

    @property
    def on(self) -> bool:
        return self.fields.on

    def concerns(self, queue: str, line: str) -> bool:
        """Say whether a call in that queue and on that line has a record."""
        return self.on and (not self.only or any(holds(one, queue, line) for one in self.only))

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values, for sealing."""
        told = {"module": self.module, "marker": self.marker, "link": self.link, "link_to": self.link_to}
        return {**told, "only": list(self.only), "fields": self.fields.as_data()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any] | None) -> RecordMap:
        """Undo `as_data`."""
        if not data:
            return cls()
        return cls(**{**data, "only": tuple(data["only"]), "fields": FieldMap.from_data(data["fields"])})


def markers(there: Collection[CrmField]) -> list[CrmField]:
    """The fields that can hold a call's id."""
    return [one for one in there if one.kind == "text" and one.writable and one.length >= MARKER_CHARACTERS]


def links(there: Collection[CrmField]) -> list[CrmField]:
    """The look-ups that can point to whom a call was with."""
    return [one for one in there if one.kind == "lookup" and one.writable and one.points_to]


def wrong(
    chosen: RecordMap, there: Sequence[CrmField], words: Mapping[str, Sequence[str]], modules: Collection[str]
) -> list[Fault]:
    """Say why this cannot work with the fields there are."""
    if chosen.module not in modules:
        return [Fault(sentence="Choose a module; Zoho has none of this name, or not any more.")]
    found = []
    if chosen.marker not in {one.name for one in markers(there)}:
        found.append(Fault(sentence="Choose the text field that holds the call’s id, of 36 characters at least."))
    if chosen.link and chosen.link not in {one.name for one in links(there)}:
        found.append(Fault(sentence="Zoho has no such look-up field in this module, or not any more."))
    return found + faults(chosen.fields, ours(chosen, there), words, TOPIC)


def ours(chosen: RecordMap, there: Sequence[CrmField]) -> list[CrmField]:
    """The fields, those that are filled by us marked."""
    own = {chosen.marker, chosen.link, "Owner"}
    return [replace(one, ours=True) if one.name in own else one for one in there]
