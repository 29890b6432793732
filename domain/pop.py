"""Screen pops: when a call comes up on an agent's screen by itself, as the tenant and the agent want it.

The administrator says it for everybody, by direction, and may lock it; unless it is locked, agents say it for
themselves. Nothing is shown, stored or sent here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from domain.call import Direction
from domain.seats import SeatState

When = Literal["ring", "answer", "never"]
WHENS: tuple[When, ...] = get_args(When)
BUDGET_MS = 150  # published: event in to card out, for 95 of 100 pops of a queue that is idle


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one agent wants; None: as the tenant has it. `undisturbed`: not while their calendar says busy."""

    inbound: When | None = None
    outbound: When | None = None
    undisturbed: bool = False

    def as_data(self) -> dict[str, Any]:
        told = {"inbound": self.inbound, "outbound": self.outbound, "undisturbed": self.undisturbed or None}
        return {name: wanted for name, wanted in told.items() if wanted is not None}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Wish:
        """Undo `as_data`; a word of a later version is left out."""
        return cls(
            inbound=_when(data.get("inbound")),
            outbound=_when(data.get("outbound")),
            undisturbed=data.get("undisturbed") is True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PopRules:
    """What a tenant decided. `locked`: its agents' own wishes do not count."""

    inbound: When = "ring"
    outbound: When = "ring"
    locked: bool = False

    def as_data(self) -> dict[str, Any]:
        return {"inbound": self.inbound, "outbound": self.outbound, "locked": self.locked}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> PopRules:
        """Undo `as_data`; what is missing or a word of a later version is as it is by default."""
        return cls(
            inbound=_when(data.get("inbound")) or "ring",
            outbound=_when(data.get("outbound")) or "ring",
            locked=data.get("locked") is True,
        )

    def when(self, direction: Direction, wish: Wish) -> When:
        """When a call of this direction comes up for an agent with that wish. Colleagues' calls among themselves do
        not."""
        if direction == "internal":
            return "never"
        ours, theirs = (self.inbound, wish.inbound) if direction == "inbound" else (self.outbound, wish.outbound)
        return ours if self.locked or theirs is None else theirs


def shows(when: When, state: SeatState) -> bool:
    """Whether a call stands on a screen while its phone is in that state."""
    return when == "ring" or (when == "answer" and state == "answered")


def _when(told: Any) -> When | None:
    return next((when for when in WHENS if when == told), None)
