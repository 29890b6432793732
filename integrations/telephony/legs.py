"""Calls made of legs: what one leg says about the call it is part of, and what all of them say together.

For vendors that connect people by a first leg, the root (somebody dialled in, or was dialled first), and legs dialled
from it. Only the leg of a person who was dialled can be answered by a person: a root that dialled in is picked up by
the vendor's own machine. It knows no vendor's spelling, and adds nothing up: that is `domain.call.fold`.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from domain.call import CallEvent, Direction, Outcome
from domain.errors import Refused

AGENT = re.compile(r"(?:client|sips?):([^@;?]+(?:@[^@;?]+)?)[^@]*")
NUMBER = re.compile(r"\+?[0-9]{2,15}")  # what may be dialled: no service codes, nothing that starts another header
LONGEST_RING = timedelta(minutes=10)  # a root's time may count from the answer on, and its legs have rung before


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One device's part in a call. `caller` and `callee` are as the vendor wrote them."""

    ref: str
    root: str  # the first leg of the call: its own `ref` when it is that one
    dialled: bool  # the vendor dialled it; else it dialled in
    caller: str = ""
    callee: str = ""
    state: Literal["ringing", "answered", "ended"]
    outcome: Outcome | None = None  # how it ended, for this leg alone
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    recording_url: str = ""
    picked_up: bool = False  # a root that dialled in, and the vendor says that a person's phone answered it

    @property
    def is_root(self) -> bool:
        return self.ref == self.root

    @property
    def agent_first(self) -> bool:
        """Click to dial: the agent's phone was rung, and the customer is dialled from it."""
        return self.is_root and self.dialled and bool(agent(self.callee))

    @property
    def reaches_a_person(self) -> bool:
        """Does an answer on this leg mean that the call was answered?"""
        return self.picked_up or (self.dialled and not self.agent_first)


@dataclass(frozen=True, slots=True)
class Sides:
    direction: Direction
    caller: str
    callee: str
    agent: str


def agent(party: str) -> str:
    """Name the user of ours behind an address of theirs (`client:bob`, `sip:201@...`); "" for a telephone number."""
    if (match := AGENT.fullmatch(party)) is None:
        return ""
    return match[1].partition("@")[0] if party.startswith("sip") else match[1]


def sides(leg: Leg) -> Sides:
    """Say who is calling whom, as far as this leg shows it."""
    near, far = agent(leg.caller), agent(leg.callee)
    if near and far:
        return Sides("internal", near, far, near if leg.is_root and not leg.dialled else far)
    if leg.agent_first:
        return Sides("outbound", "", "", far)  # whom the customer's leg names
    if far:
        return Sides("inbound", leg.caller, "" if not leg.is_root else far, far)
    if near or leg.dialled:
        return Sides("outbound", near or leg.caller, leg.callee, near)
    return Sides("inbound", leg.caller, leg.callee, "")


def event(leg: Leg, *, id: str, at: datetime) -> CallEvent | None:
    """Tell what happened on one leg as an event of its call; None when that changes nothing.

    The end of the root is the end of the call, so it speaks for the whole of it. It is dated before the call's other
    events: only the root knows for sure who called whom, and `fold` believes whoever spoke first.
    """
    side = sides(leg)
    told = _event(leg, side, id, at)
    answered = leg.outcome == "answered"
    match leg.state:
        case "ringing":
            return None if leg.agent_first else replace(told, type="ringing", started_at=at)
        case "answered" if leg.reaches_a_person:
            return replace(told, type="answered", answered_at=leg.answered_at or at)
        case "answered":  # of a root: the agent picked up, now the customer is rung; or only a machine answered
            return replace(told, type="ringing", started_at=at) if leg.agent_first else None
        case "ended" if leg.is_root:
            if leg.agent_first and not answered:
                return None  # the agent did not pick up: nobody was called
            outcome = leg.outcome if leg.reaches_a_person or not answered else None
            when = (leg.started_at or at) - LONGEST_RING
            return replace(told, at=when, leg_ref="", outcome=outcome, answered_at=_spoken(leg))
        case _ if side.agent and not answered and side.direction != "outbound":
            return None  # one telephone stopped ringing; others may go on, and the root has the last word
        case _:
            return replace(told, outcome=leg.outcome, answered_at=_spoken(leg))


def calls(legs: Iterable[Leg], ended_after: datetime) -> Iterator[CallEvent]:
    """Put the legs of a vendor's list together; yield each call that ended after that instant, oldest first."""
    by_root: dict[str, dict[str, Leg]] = defaultdict(dict)
    for leg in legs:
        by_root[leg.root][leg.ref] = leg  # a page that shifted while we read names a leg twice
    told = [
        call
        for root, found in by_root.items()
        if root in found and (call := whole(found[root], [leg for leg in found.values() if not leg.is_root]))
    ]
    later = [call for call in told if call.ended_at and call.ended_at > ended_after]
    yield from sorted(later, key=lambda call: (call.at, call.call_ref))


def whole(root: Leg, others: Sequence[Leg]) -> CallEvent | None:
    """Tell a finished call as one `ended` event; None when nobody was called, or it is not over."""
    if root.ended_at is None or (root.agent_first and not others):
        return None
    ended_at = root.ended_at
    reached = [leg for leg in (root, *others) if leg.reaches_a_person and leg.outcome == "answered"]
    # Click to dial to an agent whose telephone is an ordinary number: both legs are from the number we call from.
    click = root.agent_first or (root.dialled and any(leg.caller == root.caller for leg in others))
    people = [leg for leg in reached if not (leg is root and others and (click or leg.picked_up))]  # the connected ones
    spoke = min(people, key=lambda leg: leg.answered_at or ended_at, default=None)
    side, inner = sides(root), [sides(leg) for leg in ([spoke] if spoke else []) + [*others]]
    why = [leg.outcome for leg in (*others, root) if leg.outcome and leg.outcome != "answered"]
    unanswered: Outcome = "missed" if side.direction == "inbound" else (*why, "no_answer")[0]
    agents = [side.agent or (root.callee if click else ""), *(one.agent for one in inner)]
    callees = ["" if click else side.callee, *(one.callee for one in inner)]
    filled = Sides(
        side.direction,
        side.caller or next((one.caller for one in inner if one.caller), ""),
        next(filter(None, callees), ""),
        (sides(spoke).agent if spoke else "") or next(filter(None, agents), ""),
    )
    told = replace(
        _event(root, filled, "", ended_at),
        leg_ref="",
        outcome="answered" if spoke else unanswered,
        answered_at=_spoken(spoke) if spoke else None,
    )
    mark = hashlib.sha256(repr(sorted(told.as_data().items())).encode()).hexdigest()
    return replace(told, id=f"list-{mark[:32]}")  # the same rows, the same id


def agent_address(template: str, *, extension: str, email: str) -> str:
    """Fill in how an agent's telephone is reached. Raises Refused when there is nothing to fill in with."""
    address = template
    for name, value in (("{extension}", extension), ("{email}", email)):
        if name in address and not value:
            raise Refused("The agent has no extension or address to be called at.", code="agent.unreachable")
        address = address.replace(name, value)
    if not re.fullmatch(r"[!-;=?-~]{1,256}", address):  # printable, no blank, no < that separates destinations
        raise Refused("The agent cannot be called at this address.", code="agent.unreachable")
    return address


def dialable(number: str) -> str:
    """Return a number as it may be dialled. Raises Refused for anything else."""
    bare = re.sub(r"[\s().\-/]", "", number)
    if not NUMBER.fullmatch(bare):
        raise Refused("This is not a number that can be dialled.", code="number.invalid")
    return bare


def _event(leg: Leg, side: Sides, id: str, at: datetime) -> CallEvent:
    return CallEvent(
        id=id,
        type="ended",
        at=at,
        call_ref=leg.root,
        leg_ref=leg.ref,
        direction=side.direction,
        caller=side.caller,
        callee=side.callee,
        agent_email=side.agent if "@" in side.agent else "",
        agent_extension="" if "@" in side.agent else side.agent,
        started_at=leg.started_at,
        ended_at=leg.ended_at,
        recording_url=leg.recording_url,
    )


def _spoken(leg: Leg) -> datetime | None:
    return leg.answered_at if leg.outcome == "answered" and leg.reaches_a_person else None
