"""Whole ranges of numbers, and callers who hide theirs, that are left out or blocked: how they are written and found.

Single numbers need none of this. What is kept of it plain are counts: how long the prefixes are that a call's number
has to be compared with, so that nobody compares where nobody asked for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

HIDDEN = "anonymous"  # as it stands in the list
PREFIX = re.compile(r"\+[1-9][0-9]{2,13}\*")  # three digits at least: +1* would be a continent


@dataclass(frozen=True, slots=True, kw_only=True)
class Barring:
    """What a tenant's list has besides single numbers."""

    lengths: tuple[int, ...] = ()  # of the prefixes, plus sign included; the longest first
    hidden: str = ""  # what becomes of hidden callers: left_out, blocked, or nothing

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Barring:
        """Undo `as_data`; nothing means no ranges."""
        return cls(lengths=tuple(data.get("lengths", ())), hidden=data.get("hidden", ""))

    @classmethod
    def of(cls, listed: Iterable[tuple[str, str]]) -> Barring:
        """Sum up a list of (number as it stands there, kind)."""
        every = dict(listed)
        lengths = {len(number) - 1 for number in every if number.endswith("*")}
        return cls(lengths=tuple(sorted(lengths, reverse=True)), hidden=every.get(HIDDEN, ""))

    def ranges(self, number: str) -> list[str]:
        """The ranges a number may lie in, the closest first."""
        return [f"{number[:length]}*" for length in self.lengths if length <= len(number)]


def written(raw: str) -> str | None:
    """Read a range or the word for hidden callers as an administrator writes it; None for what is neither.

    >>> written("+34 80*"), written("Anonymous"), written("+1*")
    ('+3480*', 'anonymous', None)
    """
    bare = re.sub(r"[\s()./-]", "", raw).casefold()
    if bare == HIDDEN:
        return HIDDEN
    return bare if PREFIX.fullmatch(bare) else None
