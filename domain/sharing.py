"""What a tenant chose for the contacts of one connection: which way changes travel, whose word counts, what takes part.

Nothing is written anywhere until somebody chose so. What two connections chose together are the terms of an agreement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from domain.plan import REMOVE_AT_MOST
from domain.telling import FIELDS, Field, Limits
from domain.threeway import Direction, Owner, Side, Terms

FACT = "contacts"  # where a connection's facts keep this
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
OWNERS: tuple[Owner, ...] = ("left", "right", "newest")  # the CRM, the address book, whoever changed last
WRITING = "contacts-write"  # the feature a connection that is written needs
VIEWING = "views"  # the feature that tells which views there are to choose from


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """One connection's choice. `only`: the labels or modules that take part; empty: everything. `views`: of
    these modules only who is in that view. `stopped`: what Google knows beside contacts (`domain.besides`) and is not
    read any more."""

    direction: Direction = "read"
    owner: Mapping[Field, Owner] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    views: Mapping[str, str] = field(default_factory=dict)
    paused: bool = False
    stopped: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        return self.direction in ("write", "both")

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Sharing:
        """Read a connection's facts; what is not there is as it was before anybody chose."""
        data = facts.get(FACT) or {}
        return cls(
            direction=data.get("direction", "read"),
            owner=dict(data.get("owner", {})),
            only=tuple(data.get("only", ())),
            views=dict(data.get("views", {})),
            paused=bool(data.get("paused", False)),
            stopped=tuple(data.get("stopped", ())),
        )

    def as_facts(self) -> dict[str, Any]:
        """Plain JSON, for the connection's facts."""
        return {
            FACT: {
                "direction": self.direction,
                "owner": dict(self.owner),
                "only": list(self.only),
                "views": dict(self.views),
                "paused": self.paused,
                "stopped": list(self.stopped),
            }
        }


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of a side's people one run may remove before somebody is asked, in percent."""

    percent: int = round(REMOVE_AT_MOST * 100)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Limit:
        return cls(int(data.get("remove_percent", cls().percent)))

    def as_data(self) -> dict[str, Any]:
        return {"remove_percent": self.percent}


def terms(crm: Sharing, book: Sharing, limits: Mapping[Side, Limits], at_most: float = REMOVE_AT_MOST) -> Terms | None:
    """What both chose together, or None where nothing travels. A side whose consent does not let us write it has no
    `limits`: it is listened to if it was to be both, and left alone if it was only to be written."""
    left, right = (_possible(one, side in limits) for one, side in ((crm, "left"), (book, "right")))
    if left is None or right is None:
        return None
    found = Terms(
        left=left,
        right=right,
        owner={name: book.owner[name] for name in FIELDS if name in book.owner},
        left_takes=limits["left"].takes if "left" in limits else {},
        right_takes=limits["right"].takes if "right" in limits else {},
        remove_at_most=at_most,
    )
    return found if found.flows("left") or found.flows("right") else None


def _possible(chosen: Sharing, writable: bool) -> Direction | None:
    if chosen.paused:
        return None
    if writable or not chosen.writes:
        return chosen.direction
    return "read" if chosen.direction == "both" else None


def receives(crm: Sharing, book: Sharing, side: Side) -> bool:
    """Say whether these choices, could they all be followed, let changes travel to that side."""
    wanted = Terms(left=crm.direction, right=book.direction)
    return not (crm.paused or book.paused) and wanted.flows(side)
