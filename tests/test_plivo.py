"""Plivo: whom we believe, what its clocks and legs mean, what we ask and how that fails, against the understudy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
import responses

from domain.call import CallEvent
from domain.errors import ConsentLost, NotAllowed, Refused, TryLater, Unanswered, Unauthentic, Upstream
from domain.ports import Knock, Target
from integrations import guard, telephony_vendors
from integrations.telephony.plivo import API_URL
from integrations.telephony.plivo.client import MEDIA_URL
from integrations.telephony.plivo.sandbox import create_apps
from integrations.telephony.plivo.signature import HEADERS, NONCE, event_id, sign
from tests.leg_stage import NOON, Stage, soon, staged

VENDOR = telephony_vendors()["plivo"]
ID, TOKEN = "MAALICEALICEALICE001", "alices-token"
ANA, OURS, CUSTOMER = "34600111222", "34911222333", "4915112345678"
BOB, DORA = "sip:201@phone.plivo.com", "sip:202@phone.plivo.com"
ACCOUNT = {
    "auth_id": ID,
    "auth_token": TOKEN,
    "caller_id": f"+{OURS}",
    "answer_url": "https://alice.example/connect",
    "time_zone": "Europe/Madrid",
}
URL = "https://cti.example.org/webhooks/telephony/d1"
BODY = b"CallUUID=u1&Event=Hangup&CallStatus=completed&AnswerTime=&CallerName=Jos%C3%A9+%26+Co"
ANSWERED = {"from": ANA, "to": OURS, "ring": [BOB], "ring_seconds": 4, "talk_seconds": 60}
SIGNED = sign(TOKEN, "", BODY, NOON, URL)
MORNING = datetime(2026, 3, 28, 9, 15, tzinfo=UTC)
UUID = "64d3290a-87a6-46b4-a6e2-000000000003"


@pytest.fixture(scope="module")
def play() -> Iterator[Stage]:
    with staged(VENDOR, create_apps({}, now=NOON.timestamp)["plivo"], ACCOUNT) as stage:
        yield stage


@pytest.fixture
def stage(play: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    play.begin(page=2, zone_minutes=330)
    play.account = play.opened()
    monkeypatch.setattr(play.account, "_now", lambda: NOON + timedelta(hours=1))
    return play


# ---- believing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        SIGNED,
        SIGNED | {HEADERS[0]: f"b2xk,{SIGNED[HEADERS[0]]}"},
        {HEADERS[1]: SIGNED[HEADERS[0]], NONCE: SIGNED[NONCE]},
        SIGNED | {HEADERS[0]: "another-token's", HEADERS[1]: SIGNED[HEADERS[0]]},
    ],
    ids=["the number's account", "one of two tokens", "the main account alone", "the main account beside another"],
)
def test_any_listed_signature_will_do(headers: dict[str, str]) -> None:
    """Plivo signs with every active token, and with the main account's beside the one that owns the number."""
    assert VENDOR.verify(Knock(headers=headers, body=BODY, url=URL), [TOKEN], NOON) == "u1:Hangup"


@pytest.mark.parametrize(
    ("headers", "secrets"),
    [
        ({}, [TOKEN]),
        ({HEADERS[0]: SIGNED[HEADERS[0]]}, [TOKEN]),
        ({NONCE: SIGNED[NONCE]}, [TOKEN]),
        (SIGNED | {NONCE: SIGNED[NONCE] + "0"}, [TOKEN]),
        (SIGNED | {HEADERS[0]: "\ud800"}, [TOKEN]),
        (SIGNED | {NONCE: "\ud800"}, [TOKEN]),
        (SIGNED | {HEADERS[0]: "x," * 100_000}, [TOKEN]),
        (SIGNED | {HEADERS[0]: "a,b,c,d,e," + SIGNED[HEADERS[0]]}, [TOKEN]),
        ({"x-plivo-signature-v2": SIGNED[HEADERS[0]], "x-plivo-signature-v2-nonce": SIGNED[NONCE]}, [TOKEN]),
        (sign("", "", BODY, NOON, URL), [""]),
        (SIGNED, []),
    ],
    ids=[
        "nothing",
        "no nonce",
        "no signature",
        "another nonce",
        "no text",
        "no text as a nonce",
        "huge",
        "a long list",
        "version 2",
        "empty token",
        "no token",
    ],
)
def test_a_forger_gets_the_same_answer_whatever_he_sends(headers: dict[str, str], secrets: list[str]) -> None:
    """Version 2 signs no field of the form, so it proves nothing about one."""
    with pytest.raises(Unauthentic):
        VENDOR.verify(Knock(headers=headers, body=BODY, url=URL), secrets, NOON)


@pytest.mark.parametrize("url", [URL + "/", URL.replace("cti", "evil"), URL.replace("https", "http"), URL + "?a=1", ""])
def test_a_signature_for_another_address_is_not_for_ours(url: str) -> None:
    with pytest.raises(Unauthentic):
        VENDOR.verify(Knock(headers=SIGNED, body=BODY, url=url), [TOKEN], NOON)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe=\xff", b"%", b"a=1&a=2&a=1", b'{"a": 1}'])
def test_any_body_can_be_signed_and_spoiled(body: bytes) -> None:
    """The signature is over bytes: no charset, no broken escape and no repeated field is lost on the way."""
    headers = sign(TOKEN, "", body, NOON, URL)

    assert VENDOR.verify(Knock(headers=headers, body=body, url=URL), [TOKEN], NOON).startswith("form-")
    with pytest.raises(Unauthentic):
        VENDOR.verify(Knock(headers=headers, body=body + b"&z=1", url=URL), [TOKEN], NOON)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (b"CallUUID=u1&Event=Ring", "u1:Ring"),
        (b"CallUUID=u1&CallStatus=ringing", "u1:ringing"),
        (b"CallUUID=u1&Event=DialAnswer&DialBLegUUID=u2", "u1:DialAnswer:u2"),
        (b"call_uuid=u1&recording_id=r1&record_url=x", "recording:r1"),
        (b"CallUUID=u1&RecordingID=r1&RecordUrl=x&Event=RecordStop", "recording:r1"),
    ],
)
def test_an_event_is_named_by_what_it_says(form: bytes, expected: str) -> None:
    """However it is spelled, and with another nonce each time it is delivered."""
    assert expected == event_id(form)


@pytest.mark.parametrize("tamper", ["signature", "body", "blank", "address", "secret", "nonce", "v2"])
def test_what_was_tampered_with_on_the_way_is_refused(stage: Stage, tamper: str) -> None:
    form = {"CallUUID": "u1", "Event": "Ring", "To": OURS, "CallerName": ""}
    assert stage.stage("send", form=form, tamper=tamper)["statuses"] == [401]
    assert stage.door.heard == {}


# ---- clocks and legs ----------------------------------------------------------------------------------------------


def hung_up(hours: float, **more: str) -> CallEvent:
    """A call of MORNING as an account whose clock is so many hours ahead of UTC reports it."""
    clock = [f"{MORNING + timedelta(hours=hours, seconds=later):%Y-%m-%d %H:%M:%S}" for later in (0, 4, 64)]
    form = {"CallUUID": "u1", "Event": "Hangup", "CallStatus": "completed", "Direction": "inbound", "Duration": "60"}
    form |= {"From": ANA, "To": OURS} | dict(zip(("StartTime", "AnswerTime", "EndTime"), clock, strict=True))
    event = VENDOR.parse(urlencode(form | {"SessionStart": "2026-03-28 09:15:02.910772"} | more).encode(), "e")
    assert isinstance(event, CallEvent)
    return event


@pytest.mark.parametrize("hours", [-11, -3.5, 0, 1, 5.5, 5.75, 14])
def test_the_accounts_zone_shows_beside_a_time_in_utc(hours: float) -> None:
    """Callbacks give times on the account's clock and do not say which that is."""
    event = hung_up(hours)

    assert (MORNING, MORNING + timedelta(seconds=4), MORNING + timedelta(seconds=64)) == (
        event.started_at,
        event.answered_at,
        event.ended_at,
    )


def test_a_clock_put_forward_does_not_make_a_call_longer() -> None:
    """The last Sunday of March, Madrid: what was answered at 01:58 and ended at 03:03 lasted five minutes."""
    event = hung_up(1, EndTime="2026-03-28 11:16:04")

    assert MORNING + timedelta(seconds=64) == event.ended_at


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("34600111222", "+34600111222"), ("+34600111222", "+34600111222"), ("201", "201"), ("anonymous", "anonymous")],
)
def test_numbers_get_their_plus_back(raw: str, expected: str) -> None:
    """Read without it, 34600111222 would be somebody in the tenant's own country."""
    assert expected == hung_up(0, From=raw).caller


@pytest.mark.parametrize("dial_times", [True, False])
def test_a_call_is_answered(stage: Stage, dial_times: bool) -> None:
    """Who called, whom, who spoke and how long, whether or not the callbacks of <Dial> carry a time."""
    root = stage.stage("call", **ANSWERED, dial_times=dial_times)["call_uuid"]
    call = stage.door.call()

    assert (root, "ended", "answered", "inbound") == (call.ref, call.state, call.outcome, call.direction)
    assert (f"+{ANA}", f"+{OURS}", "201") == (call.caller, call.callee, call.agent_extension)
    assert (60, NOON - timedelta(seconds=64)) == (call.talk_seconds, call.started_at)


def test_the_colleague_who_answered_is_the_agent(stage: Stage) -> None:
    stage.stage("call", **ANSWERED | {"ring": [BOB, DORA], "answered_by": DORA})

    assert ("answered", "202") == (stage.door.call().outcome, stage.door.call().agent_extension)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("answered", "answered"), ("missed", "no_answer"), ("busy", "busy"), ("rejected", "rejected")],
)
def test_we_called_out(stage: Stage, outcome: str, expected: str) -> None:
    stage.stage("call", direction="outbound", outcome=outcome, **{"from": OURS, "to": CUSTOMER})
    call = stage.door.call()

    assert (expected, "outbound", f"+{CUSTOMER}") == (call.outcome, call.direction, call.callee)


def test_nobody_answered_a_caller(stage: Stage) -> None:
    stage.stage("call", **ANSWERED | {"outcome": "missed", "ring": [BOB, DORA]})

    assert ("missed", 0) == (stage.door.call().outcome, stage.door.call().talk_seconds)


@pytest.mark.parametrize("seed", range(5))
def test_order_and_copies_do_not_matter(stage: Stage, seed: int) -> None:
    stage.stage("call", **ANSWERED | {"shuffle": seed, "copies": 3, "ring": [BOB, DORA], "recorded": True})
    call = stage.door.call()

    assert ("answered", 60, "201", "inbound") == (call.outcome, call.talk_seconds, call.agent_extension, call.direction)
    assert call.recording_url.endswith(".mp3")


def test_a_busy_door_is_tried_again(stage: Stage) -> None:
    """With another nonce and another signature it is the same event."""
    stage.door.busy = True
    assert {503} == set(stage.stage("call", **ANSWERED)["statuses"])
    stage.door.busy = False
    stage.stage("retry")

    assert "answered" == stage.door.call().outcome


# ---- asking -------------------------------------------------------------------------------------------------------


def test_a_click_rings_the_agent_and_asks_the_tenants_xml_for_the_rest(stage: Stage) -> None:
    """The number goes where the tenant said and onto the agent's display; keys are pressed, the call is hung up."""
    ref = stage.account.dial(agent_extension="201", agent_email="", number=f"+{CUSTOMER}")
    [asked] = stage.asked()

    assert (BOB, f"+{CUSTOMER}") == (asked["json"]["to"], asked["json"]["caller_name"])
    assert f"https://alice.example/connect?number=%2B{CUSTOMER}" == asked["json"]["answer_url"]
    stage.account.control(call_ref=ref, leg_ref="", action="dtmf", digits="12#")
    stage.account.control(call_ref=ref, leg_ref="", action="hangup")
    soon(lambda: stage.door.events)
    call = stage.door.call()
    assert (ref, "ended", "outbound", f"+{CUSTOMER}", "201") == (
        call.ref,
        call.state,
        call.direction,
        call.callee,
        call.agent_extension,
    )
    with pytest.raises(Refused):
        stage.account.control(call_ref=ref, leg_ref="", action="hangup")


def test_a_call_is_passed_on_by_the_tenants_xml(stage: Stage) -> None:
    """The customer's leg, whichever that is, asks the tenant's address: a number, or a colleague's telephone."""
    ref = stage.account.dial(agent_extension="201", agent_email="", number=f"+{CUSTOMER}")
    steer = partial(stage.account.control, call_ref=ref, action="transfer")
    steer(leg_ref=ref, to=Target(number=f"+{CUSTOMER}"))
    steer(leg_ref="the-agents", to=Target(extension="202"))
    told = [one["json"] for one in stage.asked()[1:]]

    at = "https://alice.example/connect"
    assert [
        {"legs": "bleg", "bleg_url": f"{at}?number=%2B{CUSTOMER}"},
        {"legs": "aleg", "aleg_url": f"{at}?agent=sip%3A202%40phone.plivo.com"},
    ] == told
    for wrong in ({"leg_ref": ""}, {"leg_ref": ref, "to": Target(number="112#")}, {"leg_ref": ref, "call_ref": "over"}):
        with pytest.raises(Refused):
            steer(**{"to": Target(number=f"+{CUSTOMER}")} | wrong)
    with pytest.raises(NotAllowed):
        stage.opened(answer_url="").control(call_ref=ref, leg_ref=ref, action="transfer", to=Target(number=CUSTOMER))


def test_the_tenants_xml_is_told_which_number_was_chosen(stage: Stage) -> None:
    stage.account.dial(agent_extension="201", agent_email="", number=f"+{CUSTOMER}", shown="+34911222444")
    soon(lambda: stage.door.heard)
    [asked] = stage.asked()

    assert "+34911222444" == asked["json"]["from"]
    assert asked["json"]["answer_url"].endswith(f"?number=%2B{CUSTOMER}&shown=%2B34911222444")


@pytest.mark.parametrize("action", ["hold", "unhold", "mute", "unmute", "dtmf", "transfer", "park", "pause", "resume"])
def test_what_plivo_cannot_do_is_refused(stage: Stage, action: Any) -> None:
    """Pressing no key, or one that does not exist, is among it."""
    with pytest.raises(Refused):
        stage.account.control(call_ref="u1", leg_ref="", action=action, digits="1;2")
    assert [] == stage.asked()


@pytest.mark.parametrize("number", ["", "112#", "14155550100<14155550101", "sip:eve@evil.example"])
def test_only_one_number_is_dialled(stage: Stage, number: str) -> None:
    """A < would separate a second destination."""
    with pytest.raises(Refused):
        stage.account.dial(agent_extension="201", agent_email="", number=number)
    with pytest.raises(Refused):
        stage.account.dial(agent_extension="201<14155550101", agent_email="", number=f"+{CUSTOMER}")
    assert [] == stage.asked()


def test_without_an_answer_address_there_is_no_click_to_dial(stage: Stage) -> None:
    with pytest.raises(NotAllowed):
        stage.opened(answer_url="").dial(agent_extension="201", agent_email="", number=f"+{CUSTOMER}")


def test_the_list_tells_what_the_door_missed(stage: Stage) -> None:
    """Every page, legs put together, oldest first, whatever the zone of its times; the same twice."""
    first = stage.stage("call", **ANSWERED | {"drop": 1})["call_uuid"]
    stage.stage("clock", advance=600)
    second = stage.stage("call", **ANSWERED | {"outcome": "missed", "drop": 1, "ring": [BOB, DORA]})["call_uuid"]
    stage.stage("clock", advance=600)
    third = stage.stage("call", direction="outbound", drop=1, outcome="busy", **{"from": OURS, "to": CUSTOMER})

    found = list(stage.account.calls(NOON - timedelta(hours=1)))

    assert [first, second, third["call_uuid"]] == [event.call_ref for event in found]
    assert [("answered", "201"), ("missed", "201"), ("busy", "")] == [
        (event.outcome, event.agent_extension) for event in found
    ]
    assert (f"+{ANA}", NOON, NOON - timedelta(seconds=60)) == (found[0].caller, found[0].ended_at, found[0].answered_at)
    assert found == list(stage.account.calls(NOON - timedelta(hours=1)))
    assert found[1:] == list(stage.account.calls(NOON))


def test_a_long_time_is_asked_for_in_parts(stage: Stage) -> None:
    """Plivo refuses more than thirty days and has forgotten what is older than ninety."""
    assert [] == list(stage.account.calls(NOON - timedelta(days=200)))

    assert 3 == len(stage.asked())
    assert "2025-12-28 13:00:00" == stage.asked()[0]["query"]["end_time__gte"]


def test_a_recording_is_opened_with_the_key_and_deleted(stage: Stage) -> None:
    """Gone already is fine."""
    stage.stage("call", **ANSWERED | {"recorded": True})
    url = stage.door.call().recording_url
    sound = stage.account.recording(url)

    assert ("audio/mpeg", True) == (sound.content_type, len(b"".join(sound.chunks)) > 0)
    stage.account.forget_recording(url)
    assert [] == stage.shown("recordings")["recordings"]
    stage.account.forget_recording(url)
    with pytest.raises(Refused):
        stage.account.recording(url)


@responses.activate
def test_the_key_is_shown_to_plivo_and_nobody_else() -> None:
    """Recordings are on a host of their own; an event may name any address."""
    for host in ("https://evil.example", API_URL, MEDIA_URL):
        responses.get(f"{host}/v1/Account/{ID}/Recording/{UUID}.mp3", body=b"x", content_type="audio/mpeg")
    account = VENDOR.open(ACCOUNT, guard.pooled(5))

    for call in list(responses.registered()):
        account.recording(str(call.url))
    assert [False, True, True] == ["Authorization" in call.request.headers for call in responses.calls]
    with pytest.raises(Refused):
        account.forget_recording("https://media.plivo.com/../../Call/")


FAILURES: list[tuple[dict[str, Any], type[Upstream]]] = [
    ({"action": "status", "status": 401}, ConsentLost),
    ({"action": "status", "status": 403}, NotAllowed),
    ({"action": "status", "status": 400}, Refused),
    ({"action": "status", "status": 429, "retry_after": 7}, TryLater),
    ({"action": "html"}, TryLater),
    ({"action": "drop_after"}, TryLater),
]


@pytest.mark.parametrize(("fault", "error"), FAILURES, ids=[str(fault) for fault, _ in FAILURES])
def test_a_failing_list_is_named_after_its_remedy(stage: Stage, fault: dict[str, Any], error: type[Upstream]) -> None:
    stage.fault("GET /v1/Account", **fault)
    with pytest.raises(error) as raised:
        list(stage.account.calls(NOON))

    assert float(fault.get("retry_after", 0)) == getattr(raised.value, "wait", 0.0)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"action": "html", "status": 201}, Unanswered),
        ({"action": "drop_after"}, Unanswered),
        ({"action": "status", "status": 504}, Unanswered),
        ({"action": "status", "status": 403}, TryLater),
    ],
    ids=["unreadable", "cut off", "gateway", "too many calls at once"],
)
def test_a_call_that_may_be_ringing_is_never_dialled_again(
    stage: Stage, fault: dict[str, Any], error: type[Upstream]
) -> None:
    """Of a new call Plivo's 403 means the account's limit, not its rights."""
    stage.fault("POST /v1/Account", **fault)
    with pytest.raises(error):
        stage.account.dial(agent_extension="201", agent_email="", number=f"+{CUSTOMER}")


def test_a_wrong_token_asks_for_a_new_one(stage: Stage) -> None:
    with pytest.raises(ConsentLost):
        stage.opened(auth_token="charlies-token").control(call_ref="u1", leg_ref="", action="hangup")


@pytest.mark.parametrize(
    "wrong",
    [{"auth_id": "MA1"}, {"auth_id": "MA/../ALICEALICE0001"}, {"auth_token": ""}]
    + [{"time_zone": name} for name in ("Mars/Base", "../../etc/passwd", "Europe", "\x00")],
)
def test_an_account_that_cannot_be_one_is_not_opened(stage: Stage, wrong: dict[str, str]) -> None:
    with pytest.raises(NotAllowed):
        stage.opened(**wrong)
