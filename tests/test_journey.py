"""A call's way, told in steps: what a real Asterisk said of each kind of call, and what other phone systems tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from domain.call import CallEvent, EventType, fold
from domain.journey import Step, journey, line, sentence
from tests.asterisk.test_streams import stream, told, understood

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
NAMES = {"202": "Bob", "203": "Carol", "204": "Dora"}
IN, OUT, END = "The call came in", "Bob dialled", "The caller hung up"
RANG, BOB = "It rang at Bob", "Bob answered"

RECORDED: dict[str, tuple[str, ...]] = {
    "answered": (IN, RANG, BOB, END),
    "agent_hangs_up": (IN, RANG, BOB, "Bob hung up"),
    "missed": (IN, "It rang at Carol", "Carol did not answer", "Nobody answered"),
    "busy": (IN, RANG, "Bob was busy", "The caller hung up before anybody answered"),
    "declined": (IN, RANG, "Bob declined", "Nobody answered"),
    "gave_up": (IN, RANG, "The caller hung up before anybody answered"),
    "one_after_the_other": (IN, "It rang at Carol", "Carol did not answer", RANG, BOB, END),
    "ring_group": (IN, "It rang at Carol and Bob", BOB, END),
    "queue_answered": (IN, "It waited in the queue support", "It rang at Bob and Carol", BOB, END),
    "queue_abandoned": (
        IN,
        "It waited in the queue support",
        "It rang at Bob and Carol",
        "The caller hung up before anybody answered",
    ),
    "announcement": (IN, "Nobody answered"),
    "outgoing": (OUT, "The other side answered", "Bob hung up"),
    "outgoing_busy": (OUT, "The line was busy"),
    "outgoing_declined": (OUT, "The call was rejected"),
    "outgoing_given_up": (OUT, "The call was given up"),
    "internal": (OUT, "It rang at Carol", "Carol answered", "Bob hung up"),
    "blind_transfer": (IN, RANG, BOB, "It rang at Carol", "Bob passed the call to Carol", END),
    "attended_transfer": (
        IN,
        RANG,
        BOB,
        "It rang at Carol",
        "Bob asked Carol",
        "Bob passed the call to Carol",
        END,
    ),
    "clicked": (OUT, "The other side answered", "The other side hung up"),
    "clicked_agent_busy": (OUT, "The call could not be connected"),
}


def name(who: str) -> str:
    return NAMES.get(who, who)


def words(events: list[CallEvent]) -> tuple[str, ...]:
    return tuple(sentence(step, name) for step in journey(events))


def event(type: EventType, seconds: float, leg: str = "", who: str = "", **more: Any) -> CallEvent:
    at = NOON + timedelta(seconds=seconds)
    return CallEvent(
        id=f"{type}-{seconds}-{leg}", type=type, at=at, call_ref="c", leg_ref=leg, agent_extension=who, **more
    )


@pytest.mark.parametrize("kind", RECORDED)
def test_what_a_real_pbx_said_is_a_story(kind: str) -> None:
    assert RECORDED[kind] == words(understood(told(stream(kind))))


@given(data=some.data())
def test_order_and_copies_change_nothing(data: some.DataObject) -> None:
    """Events come doubled and in any order; the way is the same."""
    kind = data.draw(some.sampled_from(sorted(RECORDED)))
    events = understood(told(stream(kind)))
    mixed = data.draw(some.permutations(events + data.draw(some.lists(some.sampled_from(events), max_size=5))))

    assert journey(events) == journey(mixed)


@given(data=some.data())
def test_any_part_of_a_call_has_a_way(data: some.DataObject) -> None:
    """Events may be lost: what is told begins with its beginning and names nobody who was not there."""
    kind = data.draw(some.sampled_from(sorted(RECORDED)))
    events = understood(told(stream(kind)))
    heard = data.draw(some.lists(some.sampled_from(events), min_size=1))
    steps = journey(heard)

    assert "began" == steps[0].what
    assert {"202", "203", ""} >= {who for step in steps for who in (*step.who, step.by)}
    assert all(sentence(step, name) for step in steps)
    assert ("ended" == steps[-1].what) == (fold(heard).state == "ended")


def test_a_parked_call_is_fetched_by_somebody_else() -> None:
    """Parked by Bob, taken by Carol, who puts down."""
    events = [
        event("ringing", 0, "1", "202"),
        event("answered", 3, "1", "202"),
        event("parked", 9, "1", "202"),
        event("ended", 9.1, "1", "202", hung_up=True),
        event("retrieved", 30, "2", "203"),
        event("ended", 60, "2", "203", hung_up=True),
        event("ended", 60.1, outcome="answered"),
    ]

    assert (IN, RANG, BOB, "Bob parked the call", "Carol took the parked call", "Carol hung up") == words(events)
    assert ("202", 57) == (fold(events).agent_extension, fold(events).talk_seconds)


def test_a_vendor_without_legs_tells_a_transfer_by_a_second_answer() -> None:
    events = [
        event("ringing", 0, who="202"),
        event("answered", 3, who="202"),
        event("answered", 20, who="204"),
        event("ended", 60, outcome="answered"),
    ]

    assert (IN, RANG, BOB, "Bob passed the call to Dora", "It ended") == words(events)


def test_whoever_is_only_asked_does_not_take_over() -> None:
    """Bob asks Carol and goes on himself."""
    events = [
        event("answered", 3, "1", "202"),
        event("answered", 20, "2", "203"),
        event("ended", 30, "2", "203"),
        event("ended", 60, "1", "202", hung_up=True),
        event("ended", 60.1, outcome="answered"),
    ]

    assert (IN, BOB, "Bob asked Carol", "Bob hung up") == words(events)


def test_an_address_and_an_extension_of_one_person_are_one_person() -> None:
    """Some events give the one, some the other, and some both."""
    events = [
        event("ringing", 0, "1", "202", agent_email="bob@alice.example"),
        event("answered", 3, "1", agent_email="bob@alice.example"),
        event("answered", 4, "2", "202"),
        event("ended", 60, outcome="answered"),
    ]

    assert (IN, RANG, BOB, "It ended") == words(events)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("answered", ""),
        ("outgoing", ""),
        ("gave_up", ""),
        ("ring_group", "It rang at Carol and Bob; Bob answered; The caller hung up."),
        (
            "blind_transfer",
            "It rang at Bob; Bob answered; It rang at Carol; Bob passed the call to Carol; The caller hung up.",
        ),
    ],
)
def test_only_a_winding_way_is_worth_a_line(kind: str, expected: str) -> None:
    assert expected == line(journey(understood(told(stream(kind)))), name)


def test_many_telephones_are_counted() -> None:
    rang = Step(at=NOON, what="rang", who=tuple("123456"))

    assert "It rang at 6 telephones" == sentence(rang, name)


def test_a_parking_asterisk() -> None:
    """As its documentation spells it: the parked channel is the caller's; Carol's telephone fetches it."""
    begun = stream("answered")
    cut = next(place for place, one in enumerate(begun) if one["Event"] == "HangupRequest")
    parkee = {"ParkeeUniqueid": begun[0]["Uniqueid"], "ParkeeLinkedid": begun[0]["Linkedid"]}
    parked = [
        {"Event": "ParkedCall", "Timestamp": "1795305821.5", "ParkerDialString": "PJSIP/202", **parkee},
        {
            "Event": "UnParkedCall",
            "Timestamp": "1795305821.7",
            "RetrieverChannel": "PJSIP/203-0000000a",
            "RetrieverUniqueid": "lab-9.9",
            **parkee,
        },
    ]

    events = understood(told([*begun[:cut], *parked, *begun[cut:]]))

    assert (IN, RANG, BOB, "Bob parked the call", "Carol took the parked call", END) == words(events)
