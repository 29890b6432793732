"""A call is what its events add up to, in whatever order and however often they came."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.call import DIRECTIONS, OUTCOMES, Call, CallEvent, EventType, Outcome, differ, fold

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
TYPES: tuple[EventType, ...] = ("ringing", "answered", "ended", "recording", "voicemail")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def event(type: EventType, seconds: float = 0, **more: Any) -> CallEvent:
    """One event of Alice's call, `seconds` after noon."""
    told = {"id": f"{type}-{seconds}-{more.get('leg_ref', '')}", "call_ref": "c1", **more}
    return CallEvent(type=type, at=at(seconds), **told)


moments = st.integers(0, 600).map(at)
events = st.builds(
    CallEvent,
    id=st.sampled_from("abcdefgh"),
    type=st.sampled_from(TYPES),
    at=moments,
    call_ref=st.just("c1"),
    leg_ref=st.sampled_from(["", "", "A", "B"]),
    direction=st.sampled_from(DIRECTIONS),
    caller=st.sampled_from(["", "+34600111222", "anonymous"]),
    callee=st.sampled_from(["", "+34910000000"]),
    agent_email=st.sampled_from(["", "bob@alice.example", "dora@alice.example"]),
    agent_extension=st.sampled_from(["", "201", "202"]),
    queue=st.sampled_from(["", "sales"]),
    started_at=st.none() | moments,
    answered_at=st.none() | moments,
    ended_at=st.none() | moments,
    outcome=st.none() | st.sampled_from(OUTCOMES),
    recording_url=st.sampled_from(["", "https://pbx.example/r/1", "https://pbx.example/r/2"]),
    listed=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(told=st.lists(events, min_size=1, max_size=8), data=st.data())
def test_order_and_repetition_change_nothing(told: list[CallEvent], data: st.DataObject) -> None:
    """Any order and any number of copies of the same events give the same call."""
    again = data.draw(st.lists(st.sampled_from(told), max_size=12))
    shuffled = data.draw(st.permutations([*told, *again]))

    assert fold(told) == fold(shuffled)


@settings(max_examples=40, deadline=None)
@given(told=st.lists(events, min_size=1, max_size=8, unique_by=lambda item: item.id))
def test_what_is_true_of_every_call(told: list[CallEvent]) -> None:
    """A call that is over has an end and an outcome, one that is not has neither; talk is never negative."""
    call = fold(told)

    assert (call.state == "ended", call.state == "ended") == (call.ended_at is not None, call.outcome is not None)
    assert call.talk >= timedelta()
    assert call.ref == "c1"
    assert {call.caller, call.callee, call.recording_url} <= {
        text for item in told for text in (item.caller, item.callee, item.recording_url)
    } | {""}


@settings(max_examples=40, deadline=None)
@given(one=events)
def test_an_event_survives_being_written_down(one: CallEvent) -> None:
    """What was sealed as plain JSON values is read as the same event."""
    assert one == CallEvent.from_data(one.as_data())


def test_a_field_of_tomorrow_is_left_alone() -> None:
    """An older release can still read what a newer one wrote."""
    one = event("ringing")

    assert one == CallEvent.from_data(one.as_data() | {"mood": "sunny"})


@settings(max_examples=50, deadline=None)
@given(one=events.filter(lambda item: item.type == "ended"))
def test_an_ending_alone_is_a_call(one: CallEvent) -> None:
    """Should every other event be lost, the last word is enough."""
    call = fold([one])

    assert "ended" == call.state
    assert (one.ended_at or one.at) == call.ended_at
    assert call.outcome is not None
    assert (one.started_at or one.at) == call.started_at


def test_nothing_is_no_call() -> None:
    """No event, no call: the caller has made a mistake."""
    with pytest.raises(ValueError, match="at least one event"):
        fold([])


def test_a_whole_call_in_the_wrong_order() -> None:
    """Hang-up before answer before ring, and the times are right all the same."""
    told = [
        event("ended", 65, outcome="answered"),
        event("recording", 70, recording_url="https://pbx.example/r/1"),
        event("answered", 5, agent_email="bob@alice.example", agent_extension="201"),
        event("ringing", 0, caller="+34600111222", callee="+34910000000", queue="sales"),
    ]

    assert fold(told) == Call(
        ref="c1",
        direction="inbound",
        state="ended",
        started_at=at(0),
        answered_at=at(5),
        ended_at=at(65),
        outcome="answered",
        caller="+34600111222",
        callee="+34910000000",
        agent_email="bob@alice.example",
        agent_extension="201",
        queue="sales",
        recording_url="https://pbx.example/r/1",
    )
    assert 60 == fold(told).talk_seconds
    assert fold(told).spoke


@pytest.mark.parametrize(
    ("told", "state", "outcome"),
    [
        ([event("ringing")], "ringing", None),
        ([event("ringing"), event("answered", 3)], "answered", None),
        ([event("recording", 9, recording_url="https://pbx.example/r/1")], "ringing", None),
        ([event("ringing"), event("ended", 9, outcome="no_answer")], "ended", "missed"),
        ([event("ringing"), event("ended", 9, outcome="busy")], "ended", "missed"),
        ([event("ringing"), event("ended", 9, outcome="answered")], "ended", "answered"),
        ([event("answered", 3), event("ended", 9, outcome="no_answer")], "ended", "answered"),
        ([event("ended", 9, outcome="no_answer", answered_at=at(3))], "ended", "answered"),
        ([event("ringing"), event("voicemail", 9)], "ended", "voicemail"),
        ([event("voicemail", 9), event("ended", 12, outcome="no_answer")], "ended", "voicemail"),
        ([event("answered", 3), event("voicemail", 9)], "ended", "answered"),
        *(
            ([event("ended", 9, direction=direction, outcome=said)], "ended", said)
            for direction in ("outbound", "internal")
            for said in OUTCOMES
        ),
        ([event("ended", 9, direction="outbound")], "ended", "no_answer"),
        ([event("ended", 9)], "ended", "missed"),
    ],
)
def test_one_outcome_from_many_words(told: list[CallEvent], state: str, outcome: Outcome | None) -> None:
    """Somebody spoke, or why not. An inbound call nobody took is missed, whatever the vendor calls it."""
    assert (state, outcome) == (fold(told).state, fold(told).outcome)


class TestLegs:
    """Several phones ring for one call; it is over when each of them is."""

    RING_A = event("ringing", 0, leg_ref="A", agent_email="bob@alice.example", agent_extension="201")
    RING_B = event("ringing", 0, leg_ref="B", agent_email="dora@alice.example", agent_extension="202")
    TAKEN_B = event("answered", 4, leg_ref="B", agent_email="dora@alice.example", agent_extension="202")
    END_A = event("ended", 4, leg_ref="A", outcome="cancelled")
    END_B = event("ended", 64, leg_ref="B", outcome="answered")

    def test_one_phone_that_stops_ringing_does_not_end_the_call(self) -> None:
        """Dora still speaks."""
        call = fold([self.RING_A, self.RING_B, self.TAKEN_B, self.END_A])

        assert ("answered", None) == (call.state, call.outcome)
        assert "dora@alice.example" == call.agent_email

    def test_the_last_phone_ends_it(self) -> None:
        """And whoever spoke is the agent of the call."""
        call = fold([self.END_B, self.END_A, self.TAKEN_B, self.RING_B, self.RING_A])

        assert ("ended", "answered", 60) == (call.state, call.outcome, call.talk_seconds)
        assert ("dora@alice.example", "202") == (call.agent_email, call.agent_extension)

    def test_an_ending_without_a_leg_ends_the_whole_call(self) -> None:
        """It speaks for all of them."""
        call = fold([self.RING_A, self.RING_B, event("ended", 30)])

        assert ("ended", "missed") == (call.state, call.outcome)

    def test_nobody_answered_any_leg(self) -> None:
        """All phones rang out: one missed call."""
        told = [self.RING_A, self.RING_B, self.END_A, event("ended", 30, leg_ref="B", outcome="no_answer")]

        assert ("ended", "missed") == (fold(told).state, fold(told).outcome)


@pytest.mark.parametrize(
    ("direction", "customer"), [("inbound", "+34600111222"), ("outbound", "201"), ("internal", "201")]
)
def test_the_customer_is_at_the_far_end(direction: str, customer: str) -> None:
    """The caller of an inbound call, the callee of any other."""
    call = fold([event("ringing", direction=direction, caller="+34600111222", callee="201")])

    assert customer == call.customer


def test_a_clock_that_runs_backwards_gives_no_negative_talk() -> None:
    """An answer after the end is nobody's conversation."""
    call = fold([event("ended", 9, outcome="answered", answered_at=at(20), ended_at=at(9))])

    assert timedelta() == call.talk
    assert call == dataclasses.replace(call)


# ---- the vendor's own list ----------------------------------------------------------------------------------------


def row(outcome: Outcome, **more: Any) -> CallEvent:
    """The call as the vendor's list has it: it ended half a minute after noon."""
    return event("ended", 30, id="list-1", outcome=outcome, ended_at=at(30), listed=True, **more)


HEARD: dict[str, list[CallEvent]] = {
    "nothing": [],
    "only that it rang": [event("ringing", leg_ref="A")],
    "a leg that never ended": [event("ringing", leg_ref="B"), event("answered", 9, leg_ref="B")],
    "an end that came too late": [event("answered", 9), event("ended", 400, outcome="answered", answered_at=at(9))],
    "that nobody took it": [event("ringing"), event("ended", 20, outcome="missed")],
}


@pytest.mark.parametrize("heard", HEARD.values(), ids=HEARD)
def test_the_list_has_the_last_word(heard: list[CallEvent]) -> None:
    """Whatever was heard or not: it is over, and people spoke as long as the list says."""
    call = fold([*heard, row("answered", leg_ref="A", answered_at=at(5))])

    assert ("ended", "answered", 25, at(30)) == (call.state, call.outcome, call.talk_seconds, call.ended_at)


def test_a_row_that_says_nobody_spoke_is_believed() -> None:
    call = fold([event("answered", 5), event("ended", 30, outcome="answered"), row("no_answer", direction="outbound")])

    assert ("ended", 0) == (call.state, call.talk_seconds)
    assert "answered" != call.outcome


def test_what_a_row_does_not_say_the_events_do() -> None:
    """When it was answered, by whom, in which queue; that a message was left."""
    heard = [event("answered", 5, agent_extension="201", queue="sales", answered_at=at(5))]

    call = fold([*heard, row("answered")])

    assert (25, "201", "sales") == (call.talk_seconds, call.agent_extension, call.queue)
    assert "voicemail" == fold([event("voicemail", 32), row("missed")]).outcome


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        ({}, False),
        ({"ended_at": at(32)}, False),
        ({"ended_at": at(33)}, True),
        ({"started_at": at(3)}, True),
        ({"outcome": "busy"}, True),
        ({"state": "answered"}, True),
        ({"recording_url": "https://pbx.example/r/1"}, True),
        ({"queue": "sales"}, False),
    ],
)
def test_two_accounts_differ_in_what_somebody_would_notice(change: dict[str, Any], noticed: bool) -> None:
    call = fold([row("answered", answered_at=at(5), started_at=at(0))])

    assert noticed is differ(call, dataclasses.replace(call, **change))
