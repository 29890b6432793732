"""A telephone call: what a set of vendor events adds up to.

`fold` is pure and order-free: events may come doubled, late, or hang-up before ring, and the call is the same.
Nothing is stored, matched or sent here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

Direction = Literal["inbound", "outbound", "internal"]
EventType = Literal["ringing", "answered", "parked", "retrieved", "ended", "recording", "voicemail"]
Outcome = Literal["answered", "missed", "voicemail", "busy", "no_answer", "rejected", "failed", "cancelled"]
State = Literal["ringing", "answered", "ended"]
Stage = Literal["", "queued", "sent", "failed", "delivered", "read"]  # of a text, each further than the one before

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
RANK: dict[EventType, int] = {
    "ringing": 0, "answered": 1, "parked": 1, "retrieved": 1, "ended": 2, "voicemail": 2, "recording": 2
}  # fmt: skip
SAME = timedelta(seconds=2)  # clocks and rounding: talk that differs by no more is the same


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent:
    """One thing a vendor told us about one call. Times are aware UTC; numbers are as the vendor wrote them."""

    id: str  # the vendor's event id: the same for every delivery of the same event
    type: EventType
    at: datetime  # when it happened, by the vendor's clock
    call_ref: str
    leg_ref: str = ""
    direction: Direction = "inbound"
    caller: str = ""
    callee: str = ""
    agent_email: str = ""
    agent_extension: str = ""
    queue: str = ""
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    recording_url: str = ""
    hung_up: bool = False  # of a leg that ended: whoever was on it put down
    transcript: str = ""  # of a voicemail, as the vendor understood it
    listed: bool = False  # a row of the vendor's own list of calls: the last word on how the call went
    by_hand: bool = False  # somebody of the tenant entered or corrected it: the last word of all

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values, for sealing."""
        told = {name: getattr(self, name) for name in FIELDS}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in told.items() if value
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> CallEvent:
        """Undo `as_data`; a field that a later version added is left at its default."""
        values: dict[str, Any] = {
            key: datetime.fromisoformat(value) if key == "at" or key.endswith("_at") else value
            for key, value in data.items()
            if key in FIELDS
        }
        return cls(**values)


FIELDS = tuple(field.name for field in fields(CallEvent))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNews:
    """A text message or a fax, as a vendor told us of it; numbers stand as it wrote them. Not all say when it was."""

    id: str
    message_ref: str
    direction: Direction
    sender: str
    receiver: str
    text: str = ""
    agent_email: str = ""
    agent_extension: str = ""
    media: tuple[str, ...] = ()  # where the vendor has the pictures and files that came with it
    unsaid: bool = False  # the vendor says that it was sent, and what it says only when asked (`traits.words`)
    fax: bool = False  # one by itself: it is no part of a day's conversation
    pages: int = 0  # of a fax; 0: nobody counted
    failed: str = (
        ""  # why it did not go through: of a fax as the vendor says it, of a text a code (`domain.undelivered`)
    )
    stage: Stage = ""  # how far a text of ours has come, where the vendor tells

    def dated(self, at: datetime) -> TextEvent:
        """The message, written when its news reached us where the vendor does not say when."""
        if isinstance(self, TextEvent):
            return self
        return TextEvent(at=at, **{field.name: getattr(self, field.name) for field in fields(TextNews)})


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEvent(TextNews):
    """A text message or a fax, and when it was written."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A telephone call as we understand it, whoever carried it."""

    ref: str  # the vendor's own id; unique together with the connection
    direction: Direction
    state: State
    started_at: datetime
    caller: str = ""
    callee: str = ""
    agent_email: str = ""
    agent_extension: str = ""
    queue: str = ""
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    recording_url: str = ""
    transcript: str = ""

    @property
    def customer(self) -> str:
        """The number at the far end: the caller of an inbound call, the callee of any other."""
        return self.caller if self.direction == "inbound" else self.callee

    @property
    def talk(self) -> timedelta:
        """From answer to end; zero when nobody spoke or nobody has hung up yet."""
        if self.answered_at is None or self.ended_at is None:
            return timedelta()
        return max(self.ended_at - self.answered_at, timedelta())

    @property
    def talk_seconds(self) -> int:
        return round(self.talk.total_seconds())

    @property
    def spoke(self) -> bool:
        return self.outcome == "answered"


def in_order(events: Iterable[CallEvent]) -> list[CallEvent]:
    """Drop copies; put the rest in the order of the vendor's clock, then of rank and id: a tie has one answer too."""
    told = list(events)
    once = {event.id: event for event in told}
    if len(once) < len(told):  # which of several copies counts must not depend on the order they came in
        once = {event.id: event for event in sorted(told, key=lambda event: (event.at, repr(event)), reverse=True)}
    return sorted(once.values(), key=lambda event: (event.at, RANK[event.type], event.id))


def fold(events: Iterable[CallEvent]) -> Call:
    """Add up the events of one call. Raises ValueError when there is none.

    The result depends on the set of events alone: copies are dropped by event id, the rest is put in the order the
    vendor's clock gives. Where the vendor's own list has the call, it says whether and how long people spoke; events
    only add what a row does not say. What somebody corrected by hand is the last word in the same way.
    """
    told = in_order(events)
    if not told:
        raise ValueError("a call needs at least one event")

    answered = [event for event in told if event.type == "answered" or event.answered_at]
    ended = [event for event in told if event.type in ("ended", "voicemail")]
    over = any(not event.leg_ref for event in ended) or (bool(ended) and _legs(told) <= _legs(ended))
    listed = next((event for event in reversed(told) if event.by_hand), None) or next(
        (event for event in reversed(told) if event.listed), None
    )
    if listed is not None:
        over = True
        ended = [listed, *(event for event in ended if event.type == "voicemail")]
        if listed.answered_at or listed.outcome != "answered":
            answered = [listed] if listed.answered_at else []
    answered_at = min((event.answered_at or event.at for event in answered), default=None)
    speaker = answered[0] if answered else None
    started_at = min(
        [event.started_at for event in told if event.started_at]
        or [event.at for event in told if event.type == "ringing"]
        or [event.at for event in told]
    )
    direction = told[0].direction
    return Call(
        ref=told[0].call_ref,
        direction=direction,
        state="ended" if over else "answered" if answered else "ringing",
        started_at=started_at,
        caller=_first(told, "caller"),
        callee=_first(told, "callee"),
        agent_email=(speaker.agent_email if speaker else "") or _first(told, "agent_email"),
        agent_extension=(speaker.agent_extension if speaker else "") or _first(told, "agent_extension"),
        queue=_first(told, "queue"),
        answered_at=answered_at,
        ended_at=max(event.ended_at or event.at for event in ([listed] if listed else ended)) if over else None,
        outcome=_outcome(direction, ended, bool(answered)) if over else None,
        recording_url=_last(told, "recording_url"),
        transcript=_last(told, "transcript"),
    )


def agent_leg(events: Iterable[CallEvent]) -> str:
    """The leg of whoever is on the line for us: who took it last, else whose telephone rang first; "" for no leg."""
    told = sorted((event for event in events if event.leg_ref), key=lambda event: (event.at, event.id))
    spoken = [event for event in told if event.type in ("answered", "retrieved")]
    rang = [event for event in told if event.type == "ringing" and (event.agent_extension or event.agent_email)]
    return spoken[-1].leg_ref if spoken else rang[0].leg_ref if rang else ""


def differ(one: Call, other: Call) -> bool:
    """Say whether two accounts of a call differ in what somebody would notice."""
    return (
        (one.state, one.outcome, bool(one.recording_url)) != (other.state, other.outcome, bool(other.recording_url))
        or abs(one.talk - other.talk) > SAME
        or abs(one.started_at - other.started_at) > SAME
    )


def _legs(events: Iterable[CallEvent]) -> set[str]:
    """The legs these events speak of; an event that names none speaks for the whole call."""
    return {event.leg_ref for event in events if event.leg_ref and event.type in ("ringing", "answered", "ended")}


def _outcome(direction: Direction, ended: list[CallEvent], answered: bool) -> Outcome:
    """One outcome for the call: a person spoke, or why not. Nobody reached the inbound caller: missed."""
    told = {event.outcome for event in ended if event.outcome}
    if answered or "answered" in told:
        return "answered"
    if "voicemail" in told or any(event.type == "voicemail" for event in ended):
        return "voicemail"
    if direction == "inbound":
        return "missed"
    return next((event.outcome for event in reversed(ended) if event.outcome), "no_answer")


def _first(events: list[CallEvent], name: str) -> str:
    for event in events:
        if value := getattr(event, name):
            return str(value)
    return ""


def _last(events: list[CallEvent], name: str) -> str:
    return _first(events[::-1], name)
