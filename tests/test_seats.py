"""Where a call is: one phone it is spoken on at most, those that ring, and nowhere once it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.call import CallEvent, fold
from domain.seats import seats

NINE = datetime(2026, 3, 29, 9, 0, tzinfo=UTC)
BOB, CAROL, DAN = "201", "202", "203"


def event(kind: str, second: int, agent: str = "", leg: str = "", **more: Any) -> CallEvent:
    return CallEvent(
        id=f"{kind}-{second}-{agent}-{leg}",
        type=kind,  # type: ignore[arg-type]  # one of the five
        at=NINE + timedelta(seconds=second),
        call_ref="c1",
        caller="+34600111222",
        callee="+34911222333",
        agent_extension=agent,
        leg_ref=leg,
        **more,
    )


GROUP = (event("ringing", 0, BOB, "1"), event("ringing", 0, CAROL, "2"))
TAKEN = (*GROUP, event("answered", 5, CAROL, "2"))
BLIND = (*TAKEN, event("ended", 60, CAROL, "2"), event("ringing", 61, DAN, "3"))
PARKED = (*TAKEN, event("parked", 30, CAROL, "2"))
CONSULT = (*TAKEN, event("ringing", 61, DAN, "3"))

TABLE = {
    "nothing": ((), []),
    "no agent is named": ((event("ringing", 0),), []),
    "one phone rings": (GROUP[:1], [(BOB, "ringing")]),
    "a group rings": (GROUP, [(BOB, "ringing"), (CAROL, "ringing")]),
    "a group without legs": (
        (event("ringing", 0, BOB), event("ringing", 1, CAROL)),
        [(BOB, "ringing"), (CAROL, "ringing")],
    ),
    "one of a group answers": (TAKEN, [(CAROL, "answered")]),
    "an answer that names nobody": ((event("ringing", 0, BOB), event("answered", 3)), [(BOB, "answered")]),
    "an answer that names the leg": (
        (event("ringing", 0, BOB, "1"), event("answered", 3, "", "1")),
        [(BOB, "answered")],
    ),
    "one phone after the other": (
        (event("ringing", 0, BOB, "1"), event("ended", 20, BOB, "1"), event("ringing", 20, CAROL, "2")),
        [(CAROL, "ringing")],
    ),
    "transferred, and it rings there": (BLIND, [(DAN, "ringing")]),
    "transferred and taken": ((*BLIND, event("answered", 70, DAN, "3")), [(DAN, "answered")]),
    "asking a colleague first": (CONSULT, [(CAROL, "answered"), (DAN, "ringing")]),
    "the colleague answers": ((*CONSULT, event("answered", 65, DAN, "3")), [(DAN, "answered")]),
    "the colleague gives it back": (
        (*CONSULT, event("answered", 65, DAN, "3"), event("ended", 80, DAN, "3")),
        [(CAROL, "answered")],
    ),
    "parked": (PARKED, []),
    "parked and fetched": ((*PARKED, event("retrieved", 40, DAN, "3")), [(DAN, "answered")]),
    "parked, fetched, and the old leg ends": (
        (*PARKED, event("retrieved", 40, DAN, "3"), event("ended", 41, CAROL, "2")),
        [(DAN, "answered")],
    ),
    "fetched by whoever parked it": ((*PARKED, event("retrieved", 40, CAROL, "2")), [(CAROL, "answered")]),
    "parked too long: it rings again": ((*PARKED, event("ringing", 75, CAROL, "4")), [(CAROL, "ringing")]),
    "hung up": ((*TAKEN, event("ended", 90)), []),
    "every leg ended": ((*BLIND, event("ended", 75, DAN, "3"), event("ended", 75, BOB, "1")), []),
}  # fmt: skip


@pytest.mark.parametrize(("events", "expected"), TABLE.values(), ids=TABLE)
def test_where_a_call_is(events: tuple[CallEvent, ...], expected: list[tuple[str, str]]) -> None:
    assert expected == [(seat.extension, seat.state) for seat in seats(events)]


KINDS = st.sampled_from(["ringing", "answered", "parked", "retrieved", "ended", "recording", "voicemail"])
EVENTS = st.lists(
    st.builds(event, KINDS, st.integers(0, 9), st.sampled_from(["", BOB, CAROL, DAN]), st.sampled_from(["", "1", "2"])),
    max_size=9,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_neither_order_nor_copies_matter(events: list[CallEvent], chance: Any) -> None:
    """And whatever the events: one phone at most is spoken on, no phone twice, and none when the call is over."""
    again = [*events, *chance.choices(events, k=3)] if events else []
    chance.shuffle(again)

    found = seats(events)

    assert set(found) == set(seats(again))
    assert len(found) == len({(seat.email, seat.extension) for seat in found})
    assert sum(seat.state == "answered" for seat in found) <= 1
    if events and fold(events).state == "ended":
        assert () == found
