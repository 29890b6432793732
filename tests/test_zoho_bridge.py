"""PhoneBridge shows a call and writes it; we tell it the truth once and can find what it wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import Malformed, NotAllowed, Refused, Unanswered
from domain.ports import Activity, Ring
from integrations.zoho.bridge import ZohoPhoneBridge, call_id, read_dial, read_press
from integrations.zoho.client import ZohoClient
from tests.zoho_double import ORIGIN, Line, Purse, answer
from tests.zoho_stage import BOB, HASTY, Stage, door, running

NINE = datetime(2026, 3, 29, 9, 15, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def servers() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(servers: Stage) -> Stage:
    servers.fresh()
    return servers


@pytest.fixture
def bob(stage: Stage):
    crm, _ = stage.crm()
    return next(user for user in crm.users() if user.email == BOB)


def call(bob, **changed) -> Activity:
    known = Activity(
        marker="c7f1a2",
        subject="Inbound call",
        direction="inbound",
        outcome="answered",
        started_at=NINE,
        talk_seconds=125,
        customer="+34600111222",
        agent="201",
        owner=bob.remote_id,
        owner_login=bob.login_id,
    )
    return replace(known, **changed)


def told(stage: Stage) -> list[dict]:
    return stage.get("callnotify", org="alice")["accepted"]


def rows(stage: Stage) -> list[dict]:
    return stage.get("records", org="alice", module="Calls")["records"]


def test_nothing_works_before_it_is_switched_on(stage, bob):
    bridge = stage.bridge()
    with pytest.raises(NotAllowed):
        bridge.finish(call(bob))

    bridge.integrate()
    bridge.integrate()
    bridge.finish(call(bob))

    assert len(rows(stage)) == 1
    bridge.leave()
    bridge.leave()
    with pytest.raises(NotAllowed):
        bridge.finish(call(bob))


@pytest.mark.parametrize(
    ("state", "sentence"), [("other_provider", "Another telephone provider"), ("not_registered", "not registered")]
)
def test_an_organisation_that_cannot_have_it_is_told_why(stage, state, sentence):
    people = [{"email": "dora@dora.example", "full_name": "Dora Dean", "admin": True}]
    stage.post("orgs", name="dora", dc="eu", company_name="Dora", time_zone="UTC", phonebridge=state, users=people)
    with pytest.raises(NotAllowed, match=sentence):
        stage.bridge("dora@dora.example").integrate()


def test_only_an_administrator_switches_it_on(stage):
    with pytest.raises(NotAllowed, match="administrator"):
        stage.bridge(BOB).integrate()


def test_a_call_is_shown_from_ring_to_end_and_written_once(stage, bob):
    bridge = stage.bridge()
    bridge.integrate()
    ring = Ring(
        call="c7f1a2",
        direction="inbound",
        state="ringing",
        customer="+34600111222",
        agent="201",
        owner_login=bob.login_id,
    )

    bridge.ring(ring)
    bridge.ring(replace(ring, state="answered"))
    bridge.finish(call(bob, recording_url="https://us.example/recordings/r1"))

    states = told(stage)
    assert [form["state"] for form in states] == ["ringing", "answered", "ended"]
    assert {form["id"] for form in states} == {"c7f1a2"}
    assert {(form["type"], form["from"], form["to"], form["zohouser"]) for form in states} == {
        ("received", "+34600111222", "201", bob.login_id)
    }
    assert (states[-1]["start_time"], states[-1]["duration"]) == ("2026-03-29 09:15:04", "125")
    (row,) = rows(stage)
    assert (row["Call_Type"], row["Voice_Recording__s"]) == ("Inbound", "https://us.example/recordings/r1")
    assert bridge.find_call(call(bob)) == row["id"]


@pytest.mark.parametrize(
    ("direction", "outcome", "documented"),
    [
        ("inbound", "missed", "missed"),
        ("inbound", "voicemail", "missed"),
        ("outbound", "busy", "busy"),
        ("outbound", "no_answer", "noanswer"),
        ("outbound", "cancelled", "noanswer"),
        ("outbound", "rejected", "rejected"),
        ("outbound", "failed", "invalid"),
    ],
)
def test_an_unattended_call_ends_as_documented_or_as_the_field_has_it(stage, bob, direction, outcome, documented):
    """Where the live service refuses the documented state, "ended" with no seconds is sent, and remembered."""
    bridge = stage.bridge()
    bridge.integrate()
    activity = call(bob, direction=direction, outcome=outcome, talk_seconds=0)

    bridge.finish(activity)
    stage.post("knobs", phonebridge_mode="field")
    bridge.finish(replace(activity, marker="second"))
    assert bridge.attended_only
    stage.delete("requests")
    bridge.finish(replace(activity, marker="third"))

    assert [form["state"] for form in told(stage)] == [documented, "ended", "ended"]
    assert [form.get("duration") for form in told(stage)] == [None, "0", "0"]
    assert stage.counts() == {"POST /phonebridge/v3/callnotify": 1}
    assert len(rows(stage)) == 3
    assert bridge.find_call(activity)


def test_a_refusal_that_is_about_something_else_teaches_nothing(stage, bob):
    bridge = stage.bridge()
    bridge.integrate()
    with pytest.raises(Refused):
        bridge.finish(call(bob, outcome="missed", owner_login="999"))
    assert not bridge.attended_only


@pytest.mark.parametrize("action", ["hang_after", "drop_after", "status_after"])
def test_an_end_nobody_confirmed_is_found_in_what_zoho_wrote(stage, bob, action):
    bridge = stage.bridge(timeout=HASTY)
    bridge.integrate()
    stage.fault("POST /phonebridge/v3/callnotify", action, seconds=10)

    with pytest.raises(Unanswered):
        bridge.finish(call(bob))
    stage.delete("faults")

    (row,) = rows(stage)
    assert bridge.find_call(call(bob)) == row["id"]


def test_what_zoho_wrote_for_another_call_is_not_ours(stage, bob):
    bridge = stage.bridge()
    bridge.integrate()
    bridge.finish(call(bob))
    assert bridge.find_call(call(bob))

    assert bridge.find_call(call(bob, customer="+34600111223")) == ""
    assert bridge.find_call(call(bob, started_at=NINE + timedelta(seconds=61))) == ""
    assert bridge.find_call(call(bob, direction="outbound")) == ""
    assert bridge.find_call(call(bob, owner="1")) == ""


def test_the_nearest_of_two_calls_from_one_number_is_found(stage, bob):
    bridge = stage.bridge()
    bridge.integrate()
    later = call(bob, marker="later", started_at=NINE + timedelta(seconds=40))
    bridge.finish(call(bob))
    bridge.finish(later)
    first, second = sorted(rows(stage), key=lambda row: row["Call_Start_Time"])
    assert (bridge.find_call(call(bob)), bridge.find_call(later)) == (first["id"], second["id"])


def test_a_row_that_is_another_calls_is_not_taken_for_this_one(stage, bob):
    """Who was cut off and rings again has one row, of the first call: the second was never written."""
    bridge = stage.bridge()
    bridge.integrate()
    first, second = call(bob), call(bob, marker="later", started_at=NINE + timedelta(seconds=40))
    bridge.finish(first)
    (row,) = rows(stage)
    assert (bridge.find_call(first, [second]), bridge.find_call(second, [first])) == (row["id"], "")


@pytest.mark.parametrize(
    ("row", "customer", "found"),
    [
        ({"Caller_ID": "0034 600 111 222"}, "+34600111222", True),
        ({"Caller_ID": "600-111-222"}, "+34600111222", True),
        ({"Dialled_Number": "(0600) 111222"}, "+49600111222", True),
        ({"Subject": "Call from +34 600 111 222"}, "+34600111222", True),
        ({"Caller_ID": "201"}, "201", True),
        ({"Caller_ID": "1201"}, "201", False),
        ({"Caller_ID": "222"}, "+34600111222", False),
        ({"Caller_ID": "anonymous"}, "", True),
        ({"Caller_ID": "+34600111222"}, "", False),
        ({"Caller_ID": None}, "+34600111222", False),
    ],
)
def test_a_number_is_known_in_any_spelling(row, customer, found):
    body = {"data": [{"id": "7", "Call_Type": "Inbound", "Call_Start_Time": "2026-03-29T11:15:04+02:00", **row}]}
    bridge = ZohoPhoneBridge(ZohoClient(http=Line([answer(200, body)]), api_domain=ORIGIN, tokens=Purse()))
    nobody = type("User", (), {"remote_id": "1", "login_id": "2"})
    assert bridge.find_call(call(nobody, customer=customer)) == ("7" if found else "")


def test_a_click_reaches_us_with_the_users_secret_and_the_raw_number(stage, bob):
    bridge = stage.bridge()
    bridge.integrate()
    with door() as ours:
        bridge.register_dial(url=ours.url, secret="s3cret-of_Bob", login=bob.login_id)
        stage.post("click-to-dial", org="alice", user=BOB, number="(600) 111-222")

    headers, _, form = ours.seen[0]
    dial = read_dial(headers, form)
    assert (dial.login, dial.number, dial.secret) == (bob.login_id, "(600) 111-222", "s3cret-of_Bob")
    bridge.dial_failed(reason="no_answer", agent="201", number="(600) 111-222", login=bob.login_id)
    assert told(stage)[-1]["code"] == "noanswer"


@pytest.mark.parametrize("secret", ["a,b", "a}b", "a'b", "a b", ""])
def test_a_secret_that_would_break_the_notation_is_our_mistake(secret):
    bridge = ZohoPhoneBridge(ZohoClient(http=Line([]), api_domain=ORIGIN, tokens=Purse()))
    with pytest.raises(ValueError, match="notation"):
        bridge.register_dial(url="https://us.example/dial", secret=secret, login="7")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"tonumber": "600"},
        {"zohouser": "7"},
        {"zohouser": "7", "tonumber": "6" * 65},
        {"zohouser": "../", "tonumber": "6"},
    ],
)
def test_what_is_no_click_is_malformed(form):
    with pytest.raises(Malformed):
        read_dial({}, form)


def test_the_secret_may_come_as_a_parameter():
    assert read_dial({}, {"zohouser": "7", "tonumber": "600", "Authorization": "Bearer s"}).secret == "s"


def test_a_call_id_is_letters_and_digits_and_tells_calls_apart():
    assert call_id("c7f1a2") == "c7f1a2"
    ids = {call_id(marker) for marker in ("7-12", "71-2", "712", "ü", "7_12")}
    assert len(ids) == 5
    assert all(id.isalnum() and id.isascii() for id in ids)


def test_a_button_of_the_call_bar_reaches_us_with_the_call_and_the_key(stage, bob):
    """Zoho shows what has an address, and nothing once it was taken back."""
    bridge = stage.bridge()
    bridge.integrate()
    with door() as ours:
        urls = {"hold": ours.url, "dtmf": ours.url, "transfer": ours.url}  # Zoho has no button to pass a call on
        bridge.register_controls(urls=urls, secret="s3cret-of_Bob", login=bob.login_id)
        stage.post("call-control", org="alice", user=BOB, action="hold", callrefid="c7f1a2")
        stage.post("call-control", org="alice", user=BOB, action="keypress", callrefid="c7f1a2", digit="5")
    presses = [read_press(headers, form) for headers, _, form in ours.seen]
    assert [("c7f1a2", ""), ("c7f1a2", "5")] == [(press.call, press.digit) for press in presses]
    assert {(bob.login_id, "s3cret-of_Bob")} == {(press.login, press.secret) for press in presses}

    for action in ("mute", "hold"):
        if action == "hold":
            bridge.register_controls(urls={}, secret="s3cret-of_Bob", login=bob.login_id)
        told = stage.http.post(
            f"{stage.us}/_stage/call-control",
            json={"org": "alice", "user": BOB, "action": action, "callrefid": "c7f1a2"},
            timeout=30,
        )
        assert told.status_code >= 400, action


@pytest.mark.parametrize(("state", "expected"), [("ringing", ["ringing"]), ("answered", ["ringing", "answered"])])
def test_a_call_that_moves_on_is_handed_over(stage: Stage, bob, state: str, expected: list[str]) -> None:
    """The new agent's ringing carries the call's id, as the documentation wants it for a transfer."""
    bridge = stage.bridge()
    bridge.integrate()
    ring = Ring(
        call="c7f1a2", direction="inbound", state="ringing", customer="+34600111222", agent="201", owner_login=""
    )

    bridge.ring(replace(ring, state=state, owner_login=bob.login_id, moved=True))  # type: ignore[arg-type]

    assert expected == [form["state"] for form in told(stage)]
    assert ["c7f1a2"] == [form["transferredcallid"] for form in told(stage) if "transferredcallid" in form]


@pytest.mark.parametrize("state", ["ringing", "answered"])
def test_a_refused_handing_over_changes_nothing_else(state: str) -> None:
    """What takes a card away is not documented: where the parameter is refused, the card comes without it."""
    refused = answer(400, {"code": "INVALID_DATA", "message": "…", "status": "error"})
    line = Line([refused, answer(200, {"status": "success", "code": "SUCCESS"})])
    bridge = ZohoPhoneBridge(ZohoClient(http=line, api_domain=ORIGIN, tokens=Purse()))

    bridge.ring(
        Ring(
            call="c1",
            direction="inbound",
            state=state,
            customer="+34600111222",
            agent="201",
            owner_login="7",
            moved=True,
        )  # type: ignore[arg-type]
    )

    first, second = (options["data"] for _, _, options in line.asked)
    assert ("ringing", "c1") == (first["state"], first["transferredcallid"])
    assert (state, None) == (second["state"], second.get("transferredcallid"))
