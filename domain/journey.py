"""A call's way through the house, in steps people can read: who was rung, who answered, took over and put down.

`journey` is pure and, like `domain.call.fold`, order-free. Our people stand in it as the phone system calls them, by
extension or address; whoever shows a step gives them names. Whose activity the call is, is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from domain.call import Call, CallEvent, fold, in_order

What = Literal[
    "began",
    "queued",
    "rang",
    "refused",
    "answered",
    "asked",
    "transferred",
    "parked",
    "retrieved",
    "voicemail",
    "ended",
    "corrected",
]
Name = Callable[[str], str]

TOGETHER = timedelta(seconds=2)  # both sides of a call end within so long of each other: the first of them put down
MANY = 5  # more telephones that ring at once are counted, not named
PLAIN: frozenset[What] = frozenset({"began", "rang", "answered", "voicemail", "ended", "corrected"})
SILENT: frozenset[What] = frozenset({"began", "corrected"})
WHY_NOT: dict[str, str] = {
    "busy": "was busy",
    "rejected": "declined",
    "no_answer": "did not answer",
    "failed": "could not be reached",
}
ENDINGS: dict[str, str] = {
    "missed": "Nobody answered",
    "no_answer": "Nobody answered",
    "busy": "The line was busy",
    "rejected": "The call was rejected",
    "failed": "The call could not be connected",
    "cancelled": "The call was given up",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened. `who` did it or it happened to them; `by`: who handed the call on."""

    at: datetime
    what: What
    who: tuple[str, ...] = ()
    by: str = ""
    far: bool = False  # the customer's side did it
    detail: str = ""  # the queue, or an outcome
    inbound: bool = True


def journey(events: Iterable[CallEvent]) -> tuple[Step, ...]:
    """Tell the way of a call, first step first. Raises ValueError when there is no event."""
    told = in_order(events)
    call = fold(told)
    walk = _Walk(call, _names(told))
    for event in sorted((event for event in told if not event.by_hand), key=lambda one: (moment(one), one.id)):
        walk.hear(event)
    walk.end(told)
    for event in told:
        if event.by_hand:
            entered = event.id == event.call_ref
            walk.steps.append(Step(at=event.at, what="corrected", detail="entered" if entered else ""))
    return (
        tuple(walk.steps) if call.direction == "inbound" else tuple(replace(step, inbound=False) for step in walk.steps)
    )


def line(steps: Sequence[Step], name: Name) -> str:
    """The whole way in a line; empty when it is nothing but "it rang, somebody answered"."""
    rang = {who for step in steps if step.what == "rang" for who in step.who}
    if len(rang) < 2 and all(step.what in PLAIN for step in steps):
        return ""
    return "; ".join(sentence(step, name) for step in steps if step.what not in SILENT) + "."


def sentence(step: Step, name: Name) -> str:
    """Say a step in words."""
    them = "The caller" if step.inbound else "The other side"
    people = [name(who) for who in step.who]
    who = _list(people) if len(people) <= MANY else f"{len(people)} telephones"
    by = name(step.by) if step.by else ""
    match step.what:
        case "began":
            return "The call came in" if step.inbound else f"{who or 'Somebody'} dialled"
        case "queued":
            return f"It waited in the queue {step.detail}"
        case "rang":
            return f"It rang at {who}"
        case "refused":
            return f"{who} {WHY_NOT.get(step.detail, 'did not answer')}"
        case "answered":
            return f"{them if step.far else who or 'Somebody'} answered"
        case "asked":
            return f"{by or 'Somebody'} asked {who}"
        case "transferred":
            return f"{by} passed the call to {who}" if by else f"{who} took over"
        case "parked":
            return f"{who or 'Somebody'} parked the call"
        case "retrieved":
            return f"{who or 'Somebody'} took the parked call"
        case "voicemail":
            return f"{them} left a voicemail"
        case "corrected":
            return "It was entered by hand" if step.detail == "entered" else "It was corrected by hand"
        case _:
            return _ending(step, them, who)


def _ending(step: Step, them: str, who: str) -> str:
    if step.detail not in ("", "answered", "voicemail"):
        if step.far and step.inbound:
            return f"{them} hung up before anybody answered"
        return ENDINGS.get(step.detail, "It ended")
    if step.far:
        return f"{them} hung up"
    return f"{who} hung up" if who else "It ended"


def moment(event: CallEvent) -> datetime:
    """When it happened: some vendors' last word on a call is dated before its first (`legs.event`)."""
    return (event.ended_at or event.at) if event.type == "ended" else event.at


@dataclass(slots=True)
class _Walk:
    """Where the call is while its events are told one after the other."""

    call: Call
    names: dict[str, str]
    steps: list[Step] = field(default_factory=list)
    rung: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)  # legs that were taken
    talking: dict[str, str] = field(default_factory=dict)  # leg -> which of our people is on it
    asked: set[str] = field(default_factory=set)  # who was asked and has not taken over
    last: str = ""  # who of ours spoke last

    def __post_init__(self) -> None:
        own = (self.own,) if self.own and self.call.direction != "inbound" else ()
        self.steps.append(Step(at=self.call.started_at, what="began", who=own))

    @property
    def own(self) -> str:
        """Who of ours is calling; nobody when somebody calls us."""
        if self.call.direction == "inbound":
            return ""
        if self.call.direction == "internal":
            return self.call.caller
        return self._named(self.call.agent_extension or self.call.agent_email)

    @property
    def _taken(self) -> bool:
        return any(step.what in ("answered", "retrieved") for step in self.steps)

    def hear(self, event: CallEvent) -> None:
        who = self._named(event.agent_extension or event.agent_email)
        if event.queue and all(step.what != "queued" for step in self.steps):
            self._add(self.call.started_at if event.type == "ended" else event.at, "queued", detail=event.queue)
        if event.type == "ended" and event.answered_at and not self._taken:  # nobody told of it when it happened
            self._answered(event, who, event.answered_at)
        match event.type:
            case "ringing":
                self._rang(event, who)
            case "answered":
                self._answered(event, who, event.at)
            case "parked":
                self._add(event.at, "parked", (who or self.last,) if who or self.last else ())
                self.talking.clear()
            case "retrieved":
                self._add(event.at, "retrieved", (who,) if who else ())
                self.talking[event.leg_ref], self.last = who, who
            case "voicemail" if all(step.what != "voicemail" for step in self.steps):
                self._add(event.at, "voicemail")
            case "ended" if event.leg_ref:
                self._left(event, who)

    def end(self, told: Sequence[CallEvent]) -> None:
        """The call is over: who put down, as far as anybody said."""
        if self.call.ended_at is None:
            return
        put_down = sorted((e for e in told if e.type == "ended" and e.hung_up), key=lambda e: (moment(e), e.id))
        late = [event for event in put_down if moment(event) > moment(put_down[-1]) - TOGETHER]
        who, far = "", False
        if late and moment(late[0]) > self.call.ended_at - TOGETHER:
            who, far = self._who_is_on(late[0])
        self.steps.append(
            Step(
                at=self.call.ended_at,
                what="ended",
                who=(who,) if who else (),
                far=far,
                detail="" if self.call.outcome == "answered" else self.call.outcome or "",
            )
        )

    def _who_is_on(self, event: CallEvent) -> tuple[str, bool]:
        """Whose leg it is: one of ours, or (far) the customer's."""
        who = self._named(event.agent_extension or event.agent_email)
        if self.call.direction == "outbound" and who == self.own:
            far = event.leg_ref in self.answered or event.leg_ref != self.call.ref
            return ("", True) if far else (who, False)
        return who, not who

    def _rang(self, event: CallEvent, who: str) -> None:
        if not who or who == self.own or who in self.talking.values():
            return
        if self.steps[-1].what == "rang":
            if who not in self.steps[-1].who:
                self.steps[-1] = replace(self.steps[-1], who=(*self.steps[-1].who, who))
        else:
            self._add(event.at, "rang", (who,))
        self.rung.add(event.leg_ref)

    def _answered(self, event: CallEvent, who: str, at: datetime) -> None:
        first = not self._taken
        self.answered.add(event.leg_ref)
        if self.call.direction == "outbound" and who in ("", self.own):
            if first:
                self._add(at, "answered", far=True)
                self.talking[self.call.ref], self.last = self.own, self.own
            return
        if first:
            self._add(at, "answered", (who,) if who else ())
            if self.own:
                self.talking[self.call.ref] = self.own
        elif who and who != self.last and who not in self.talking.values():
            holder = next((one for leg, one in self.talking.items() if leg and one), "")
            if holder and event.leg_ref:
                self._add(at, "asked", (who,), by=holder)
                self.asked.add(who)
                self.talking[event.leg_ref] = who
                return
            self._add(at, "transferred", (who,), by=self.last)
            self.talking.clear()
        self.talking[event.leg_ref] = who
        self.last = who or self.last

    def _left(self, event: CallEvent, who: str) -> None:
        if (gone := self.talking.pop(event.leg_ref, "")) and gone not in self.asked:
            if successor := next((one for one in self.talking.values() if one in self.asked), ""):
                if not self._over(event):
                    self._add(moment(event), "transferred", (successor,), by=gone)
                self.asked.discard(successor)
                self.last = successor
        elif event.leg_ref in self.rung and event.leg_ref not in self.answered and event.outcome in WHY_NOT:
            if self.steps[-1].what == "refused" and who in self.steps[-1].who:
                self.steps.pop()  # some say first that it was not taken, and why a moment later
            self._add(moment(event), "refused", (who,) if who else (), detail=event.outcome or "")

    def _over(self, event: CallEvent) -> bool:
        """It is the end of everything, not of one's part in it."""
        return self.call.ended_at is not None and moment(event) > self.call.ended_at - timedelta(milliseconds=200)

    def _named(self, who: str) -> str:
        return self.names.get(who, who)

    def _add(
        self,
        at: datetime,
        what: What,
        who: tuple[str, ...] = (),
        *,
        by: str = "",
        far: bool = False,
        detail: str = "",
    ) -> None:
        self.steps.append(Step(at=at, what=what, who=who, by=by, far=far, detail=detail))


def _names(told: Sequence[CallEvent]) -> dict[str, str]:
    """One name for each of our people, where some events give an address and others an extension."""
    return {event.agent_email: event.agent_extension for event in told if event.agent_email and event.agent_extension}


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
