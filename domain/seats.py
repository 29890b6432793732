"""At whose phones a call is now: those that ring, and the one that is spoken on.

`seats` is pure and order-free like `domain.call.fold`: it depends on the set of events alone. Nobody is looked up here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.call import RANK, CallEvent, fold

SeatState = Literal["ringing", "answered"]
Agent = tuple[str, str]  # (e-mail, extension)


@dataclass(frozen=True, slots=True)
class Seat:
    """One phone the call is at."""

    email: str
    extension: str
    state: SeatState


@dataclass(slots=True)
class _Leg:
    agent: Agent = ("", "")
    rang: datetime | None = None
    answered: datetime | None = None
    over: bool = False


def seats(events: Iterable[CallEvent]) -> tuple[Seat, ...]:
    """Say where the call is: first the phone it is spoken on, then those that ring, in the order they began.

    One phone at most is spoken on, the one that answered last, or fetched the call where it was parked; until then a
    parked call is at nobody's. What rang before that answer has stopped, whether or not the vendor said so; what rings
    since then is where the call is being transferred. Nowhere once it is over.
    """
    every = list(events)
    if not every or fold(every).state == "ended":
        return ()
    told = sorted(every, key=lambda event: (event.at, RANK[event.type], event.id, repr(event)))
    legs = _legs(told)
    answers = [leg for leg in legs if leg.answered is not None]
    since = max((leg.answered for leg in answers if leg.answered), default=None)
    spoken = [leg for leg in answers if not leg.over]
    talking = max(spoken, key=lambda leg: (leg.answered, leg.agent)) if spoken else None
    ringing = [
        leg
        for leg in legs
        if leg.rang is not None and leg.answered is None and not leg.over and (since is None or leg.rang > since)
    ]
    ringing.sort(key=lambda leg: (leg.rang, leg.agent))
    found: dict[Agent, SeatState] = {talking.agent: "answered"} if talking is not None else {}
    for leg in ringing:
        found.setdefault(leg.agent, "ringing")
    return tuple(Seat(email, extension, state) for (email, extension), state in found.items())


def _legs(told: list[CallEvent]) -> list[_Leg]:
    """The legs that lead to an agent. Where a vendor names no legs, an agent's events are one."""
    first = next((agent for event in told if any(agent := _agent(event))), ("", ""))
    legs: dict[tuple[str, Agent], _Leg] = defaultdict(_Leg)
    for event in {event.id: event for event in told}.values():
        agent = _agent(event)
        if not event.leg_ref and not any(agent):
            agent = first  # the whole call's: of whom we heard first, as the call itself has it
        leg = legs[event.leg_ref, ("", "") if event.leg_ref else agent]
        leg.agent = agent if any(agent) else leg.agent
        if event.type == "ringing":
            leg.rang = min(filter(None, (leg.rang, event.at)))
        if event.type == "answered" or event.answered_at is not None:
            leg.answered = min(filter(None, (leg.answered, event.answered_at or event.at)))
        if event.type == "retrieved":
            leg.answered, leg.over = event.at, False
        if event.type == "parked" or (event.type in ("ended", "voicemail") and event.leg_ref):
            leg.over = True
    return [leg for leg in legs.values() if any(leg.agent)]


def _agent(event: CallEvent) -> Agent:
    return event.agent_email, event.agent_extension
