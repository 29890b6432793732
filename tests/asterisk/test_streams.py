"""What a real Asterisk said of each kind of call, recorded, adds up to that call: no Asterisk needed.

`python -m tests.asterisk.record` records the streams again.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from domain.call import Call, CallEvent, fold
from domain.seats import seats
from integrations.telephony.asterisk import VENDOR
from integrations.telephony.asterisk.account import read_account
from integrations.telephony.asterisk.ami import Block
from integrations.telephony.asterisk.switchboard import Switchboard, Told
from tests.asterisk.kinds import EXPECTED, KINDS, summary

ACCOUNT = {
    "host": "pbx.alice.example",
    "port": "5039",
    "username": "linekeeper",
    "secret": "s3cret",
    "trunks": "carrier",
    "dial_context": "internal",
    "agent_channel": "PJSIP/{extension}",
    "region": "GB",
    "ari_url": "https://pbx.alice.example:8089/ari",
    "ari_username": "linekeeper",
    "ari_secret": "s3cret",
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def stream(kind: str) -> list[dict[str, str]]:
    path = Path(__file__).parent / "streams" / f"{kind}.json"
    events: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return events


def told(events: list[Any], switchboard: Switchboard | None = None) -> list[Told]:
    board = switchboard or Switchboard(read_account(ACCOUNT))
    return [one for event in events for one in board.hear(event, "1795305382.5")]


def understood(deliveries: list[Told]) -> list[CallEvent]:
    events = [VENDOR.parse(json.dumps(body).encode(), event_id) for event_id, body in deliveries]
    return [event for event in events if isinstance(event, CallEvent)]


def calls(events: list[CallEvent]) -> list[Call]:
    refs = dict.fromkeys(event.call_ref for event in events)
    return [fold(event for event in events if event.call_ref == ref) for ref in refs]


@every_kind
def test_a_recorded_stream_adds_up(kind: str) -> None:
    """The same table as with the real PBX."""
    found = calls(understood(told(stream(kind))))

    assert [*EXPECTED[kind]] == [summary(call) for call in found]
    assert {"ended"} >= {call.state for call in found}


@every_kind
def test_no_call_is_over_before_it_is(kind: str) -> None:
    """Whenever a worker looks: once a call counts as ended, nothing that comes later changes who and how."""
    deliveries = told(stream(kind))
    whole = {call.ref: summary(call) for call in calls(understood(deliveries))}

    for place in range(1, len(deliveries)):
        for call in calls(understood(deliveries[:place])):
            assert call.state != "ended" or summary(call) == whole[call.ref]


@every_kind
def test_the_first_word_of_a_call_says_whose_telephone_rings(kind: str) -> None:
    """Its screen pop is made of it, unless no telephone rang."""
    first = {event.call_ref: event for event in reversed(understood(told(stream(kind))))}

    assert all(event.agent_extension for event in first.values()) or kind == "announcement"
    assert all(event.caller and event.callee for event in first.values())


@every_kind
def test_events_keep_their_names(kind: str) -> None:
    """No two share one, and another listener gives the same."""
    ids = [event_id for event_id, _ in told(stream(kind))]

    assert len(set(ids)) == len(ids)
    assert ids == [event_id for event_id, _ in told(stream(kind))]
    assert all(len(event_id) <= 128 and event_id.isascii() for event_id in ids)


@every_kind
def test_a_pbx_without_cel_and_without_times_is_understood_too(kind: str) -> None:
    """Nobody has to switch on cel.conf; without timestampevents our own clock has to do."""
    bare = [
        {name: value for name, value in event.items() if name != "Timestamp"}
        for event in stream(kind)
        if event["Event"] != "CEL"
    ]

    assert [*EXPECTED[kind]] == [summary(call) for call in calls(understood(told(bare)))]


@every_kind
def test_nothing_is_remembered_of_a_call_that_is_over(kind: str) -> None:
    board = Switchboard(read_account(ACCOUNT))
    told(stream(kind), board)

    assert [] == list(board.look([], set(), "1795305382.5", "1795305382.5"))
    assert not board._calls
    assert not board._legs


@every_kind
@settings(max_examples=25, deadline=None)
@given(data=some.data())
def test_events_that_were_lost_break_nothing(kind: str, data: some.DataObject) -> None:
    """Whatever was missed, the next look ends what is not there any more."""
    events = stream(kind)
    heard = [event for event in events if data.draw(some.booleans())]
    board = Switchboard(read_account(ACCOUNT))
    deliveries = told(heard, board) + list(board.look([], set(), "1795309999.0", "1795309999.0"))

    assert {"ended"} >= {call.state for call in calls(understood(deliveries))}


@settings(max_examples=80, deadline=None)
@given(
    events=some.lists(
        some.dictionaries(
            some.sampled_from(["Event", "Uniqueid", "Linkedid", "DestUniqueid", "DestLinkedid", "Channel", "Exten"]),
            some.sampled_from(["Newchannel", "DialBegin", "DialEnd", "Hangup", "a", "b", "PJSIP/202-00000001", ""]),
        ),
        max_size=20,
    )
)
def test_nonsense_from_a_pbx_is_survived(events: list[Block]) -> None:
    """A PBX we do not know says something else."""
    board = Switchboard(read_account(ACCOUNT))
    understood([*told(events, board), *board.look(events, {"x"}, "1795309999.0", "1795309999.0")])


def test_voicemail_is_told() -> None:
    """cel.conf names the application; nobody's telephone need have rung."""
    begun = stream("announcement")[0]
    about = {"UniqueID": begun["Uniqueid"], "LinkedID": begun["Linkedid"]}
    left = {"Event": "CEL", "EventName": "APP_START", "Application": "VoiceMail", "Timestamp": "1795305382.5", **about}

    (call,) = calls(understood(told([begun, left, *stream("announcement")[1:]])))

    assert ("ended", "voicemail") == (call.state, call.outcome)


def test_a_parked_call_goes_from_phone_to_phone() -> None:
    """It rings at Bob's, he takes it, it is nobody's while it is parked, then Carol's without ringing there."""
    events = understood(told(stream("parked")))
    found = [seats(events[: place + 1]) for place in range(len(events))]
    moves = [tuple((seat.extension, seat.state) for seat in one) for one in found]

    assert [(("202", "ringing"),), (("202", "answered"),), (), (("203", "answered"),), ()] == [
        one for place, one in enumerate(moves) if place == 0 or one != moves[place - 1]
    ]
    assert ["202", "203"] == [event.agent_extension for event in events if event.type in ("parked", "retrieved")]
    assert "203" not in {event.agent_extension for event in events if event.type == "ringing"}


def test_what_was_going_on_elsewhere_is_over_when_it_is_not_there() -> None:
    """Calls a listener before us had heard of."""
    board = Switchboard(read_account(ACCOUNT))
    (lost,) = board.look([], {"lab-1.0"}, "1795309999.0", "1795309990.0")
    (event,) = understood([lost])

    assert ("ended", "lab-1.0", "") == (event.type, event.call_ref, event.leg_ref)
    assert 1795309990 == event.at.timestamp()


def test_the_guide_asks_for_the_rights_the_lab_gives() -> None:
    """What every kind of call was played with is what an administrator is told to set."""
    guide = (Path(inspect.getfile(type(VENDOR))).parent / "doc.md").read_text(encoding="utf-8")
    lab = (Path(__file__).parent / "conf" / "manager.conf").read_text(encoding="utf-8")
    section = lab.partition("[linekeeper]")[2].partition("[everything]")[0]
    lines = [line for line in section.splitlines() if line.startswith(("read", "write =", "eventfilter"))]

    assert 5 == len(lines)
    assert [] == [line for line in lines if line not in guide]
