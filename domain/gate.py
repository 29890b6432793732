"""The gate before an outside system, as a pure function: who may go now, and what each answer changes.

    closed ──failures in a row──> open ──pause over──> half open: one request goes and looks
      ^                            ^                        │
      └────────── answered ────────┼───────── answered ─────┤
                                   └── failed, longer pause ┘

Beside this circuit a gate counts the requests under way, holds the last places and credits for work that somebody
waits for, and stays shut for as long as the other side asked. Times are milliseconds since 1970, so that a state reads
the same in Python and in Lua (`store/gate.lua`, which a test holds to this page).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

FAILURES = 5  # in a row, whoever had them, open the circuit
FIRST_PAUSE_MS = 5_000  # doubled each time the request that looks fails too
LONGEST_PAUSE_MS = 60_000
FIRST_SLOW_MS = 2_000  # after a 429 that names no time; doubled while they go on
LOOK_AGAIN_MS = 1_000  # while somebody looks, the others wait this long at most
HOUR_MS = 3_600_000
HOURS = 24  # of credits; the hour that has begun comes on top

Why = Literal["", "silent", "slowed", "full", "spent"]  # why a request may not go; "" it may
How = Literal["answered", "failed", "untold"]  # how it went; "untold" says nothing of the other side
Turn = Literal["", "opened", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of an outside system is ours. 0: as much as we like."""

    slots: int = 0  # requests under way at once
    kept_slots: int = 0  # of these, for work that somebody waits for
    credits: int = 0  # in 24 hours
    kept_credits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that wants to go. `ticket`: its own name; its place is free again after `lease_ms`, come what may."""

    ticket: str
    urgent: bool
    cost: int = 1
    lease_ms: int = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a request. `slow_ms`: the pause asked for, 0 for one of no stated length, -1 for none."""

    how: How
    slow_ms: int = -1
    left: int = -1  # credits that remain by the other side's own count; -1: it did not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The gate's answer to an `Ask`."""

    why: Why = ""
    wait_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a gate remembers."""

    leases: Mapping[str, int] = field(default_factory=dict)  # ticket: until when its place is taken
    spent: Mapping[str, int] = field(default_factory=dict)  # hour since 1970: credits
    left: int = -1
    left_until: int = 0  # by then it should have been said again
    shut_until: int = 0
    slowed: int = 0  # how often in a row
    failures: int = 0  # in a row
    since: int = 0  # when the first of these was seen
    open_until: int = 0  # 0: the circuit is closed
    opened: int = 0  # how often in a row
    probe: str = ""  # the ticket that went to look


def enter(state: State, ask: Ask, limits: Limits, now: int) -> tuple[State, Entry]:
    """Let a request go, or say why not and for how long it is no use asking."""
    leases = {ticket: until for ticket, until in state.leases.items() if until > now}
    hour = now // HOUR_MS
    spent = {at: credits for at, credits in state.spent.items() if int(at) >= hour - HOURS}
    state = replace(state, leases=leases, spent=spent, probe=state.probe if state.probe in leases else "")
    if why := _held_back(state, ask, limits, now):
        return state, why
    left = max(0, state.left - ask.cost) if state.left >= 0 else -1
    spent = {**spent, str(hour): spent.get(str(hour), 0) + ask.cost}
    probe = ask.ticket if state.open_until else ""
    return replace(
        state, leases={**leases, ask.ticket: now + ask.lease_ms}, spent=spent, left=left, probe=probe
    ), Entry()


def _held_back(state: State, ask: Ask, limits: Limits, now: int) -> Entry | None:
    if state.open_until > now:
        return Entry(why="silent", wait_ms=state.open_until - now)
    if state.open_until and state.probe:
        return Entry(why="silent", wait_ms=min(state.leases[state.probe] - now, LOOK_AGAIN_MS))
    if state.shut_until > now:
        return Entry(why="slowed", wait_ms=state.shut_until - now)
    room = limits.slots if ask.urgent else max(1, limits.slots - limits.kept_slots)
    if limits.slots and len(state.leases) >= room:
        return Entry(why="full")
    free = [limits.credits - sum(state.spent.values())] if limits.credits else []
    if state.left >= 0 and state.left_until > now:
        free.append(state.left)
    if free and ask.cost > max(0, min(free) - (0 if ask.urgent else limits.kept_credits)):
        return Entry(why="spent", wait_ms=HOUR_MS - now % HOUR_MS)
    return None


def leave(state: State, ticket: str, told: Told, now: int) -> tuple[State, Turn]:
    """Take in what came of a request; say whether that opened or closed the circuit."""
    looked = bool(ticket) and state.probe == ticket
    leases = {held: until for held, until in state.leases.items() if until > now and held != ticket}
    state = replace(state, leases=leases, probe="" if looked else state.probe)
    if told.left >= 0:
        state = replace(state, left=told.left, left_until=now + HOUR_MS)
    if told.slow_ms >= 0:
        pause = told.slow_ms or min(FIRST_SLOW_MS * 2**state.slowed, LONGEST_PAUSE_MS)
        state = replace(state, shut_until=max(state.shut_until, now + pause), slowed=min(state.slowed + 1, 5))
    elif told.how == "answered":
        state = replace(state, slowed=0)
    if told.how == "answered":
        closed = replace(state, failures=0, since=0, open_until=0, opened=0, probe="")
        return closed, "closed" if state.open_until else ""
    if told.how == "untold":
        return state, ""
    state = replace(state, failures=state.failures + 1, since=state.since or now)
    if state.open_until and looked:
        pause = min(FIRST_PAUSE_MS * 2 ** min(state.opened, 5), LONGEST_PAUSE_MS)
        return replace(state, open_until=now + pause, opened=state.opened + 1), ""
    if not state.open_until and state.failures >= FAILURES:
        return replace(state, open_until=now + FIRST_PAUSE_MS, opened=1), "opened"
    return state, ""
