"""Twilio: whom we believe, what a call's legs add up to, what we ask and how that fails, against the understudy."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import responses

from domain.errors import ConsentLost, NotAllowed, Refused, TryLater, Unanswered, Unauthentic, Upstream
from domain.ports import Knock, Target
from integrations import guard, telephony_vendors
from integrations.telephony.twilio import API_URL
from integrations.telephony.twilio.sandbox import create_apps
from integrations.telephony.twilio.signature import HEADER, event_id, sign
from tests.leg_stage import NOON, Stage, soon, staged

VENDOR = telephony_vendors()["twilio"]
SID, TOKEN = "AC" + "a1" * 16, "alices-token"
ANA, OURS, CUSTOMER = "+34600111222", "+34911222333", "+4915112345678"
BOB, DORA = "sip:201@alice.sip.twilio.com", "client:dora@alice.example"
ACCOUNT = {
    "account_sid": SID,
    "auth_token": TOKEN,
    "caller_id": OURS,
    "agent_address": "sip:{extension}@alice.sip.twilio.com",
}
URL = "https://cti.example.org/webhooks/telephony/d1"
BODY = b"CallSid=CA1&CallStatus=completed&SequenceNumber=3&FromCity=&CallerName=Jos%C3%A9+%26+Co"
ANSWERED = {"from": ANA, "to": OURS, "ring": [BOB], "ring_seconds": 4, "talk_seconds": 60}


@pytest.fixture(scope="module")
def play() -> Iterator[Stage]:
    with staged(VENDOR, create_apps({}, now=NOON.timestamp)["twilio"], ACCOUNT) as stage:
        yield stage


@pytest.fixture
def stage(play: Stage) -> Stage:
    play.begin(sid=SID, page=2)
    return play


def knock(body: bytes = BODY, url: str = URL, token: str = TOKEN, signed_url: str = URL) -> Knock:
    return Knock(headers=sign(token, "", body, NOON, signed_url), body=body, url=url)


# ---- believing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [URL, URL.replace(".org/", ".org:443/")])
def test_twilio_is_of_two_minds_about_the_port(signed: str) -> None:
    """The default port may or may not be in what was signed; another port, host, path or scheme may not."""
    assert VENDOR.verify(knock(signed_url=signed), [TOKEN], NOON) == "CA1:3"


@pytest.mark.parametrize(
    "signed",
    [
        URL.replace(".org/", ".org:8443/"),
        URL.replace("cti", "evil"),
        URL + "/",
        URL + "?x=1",
        URL.replace("https", "http"),
        "",
    ],
)
def test_a_signature_for_another_address_is_not_for_ours(signed: str) -> None:
    """What was sent to a neighbour's door cannot be sent on to ours."""
    with pytest.raises(Unauthentic):
        VENDOR.verify(knock(signed_url=signed), [TOKEN], NOON)


def test_blank_fields_are_signed() -> None:
    """A proxy that drops empty fields breaks the signature, and we do not mend it."""
    whole = knock()
    with pytest.raises(Unauthentic):
        VENDOR.verify(Knock(headers=whole.headers, body=BODY.replace(b"&FromCity=", b""), url=URL), [TOKEN], NOON)


@pytest.mark.parametrize(
    ("headers", "secrets"),
    [
        ({}, [TOKEN]),
        ({HEADER: ""}, [TOKEN]),
        ({HEADER: "\ud800"}, [TOKEN]),
        ({HEADER: "x" * 100_000}, [TOKEN]),
        (sign("", "", BODY, NOON, URL), [""]),  # nobody may sign with nothing
        (sign(TOKEN, "", BODY, NOON, URL), []),
    ],
    ids=["no header", "empty", "not text", "huge", "empty token", "no token"],
)
def test_a_forger_gets_the_same_answer_whatever_he_sends(headers: dict[str, str], secrets: list[str]) -> None:
    """Twilio's own library raises TypeError for some of these."""
    with pytest.raises(Unauthentic):
        VENDOR.verify(Knock(headers=headers, body=BODY, url=URL), secrets, NOON)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe=\xff", b"%", b"&" * 200_000, b"a=1&a=2&a=1", b'{"a": 1}'])
def test_any_body_can_be_signed_and_spoiled(body: bytes) -> None:
    """The signature is over bytes: no charset, no broken escape and no repeated field is lost on the way."""
    assert VENDOR.verify(knock(body), [TOKEN], NOON).startswith("form-")
    with pytest.raises(Unauthentic):
        VENDOR.verify(Knock(headers=knock(body).headers, body=body + b"&z=1", url=URL), [TOKEN], NOON)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (b"CallSid=CA1&CallStatus=ringing&SequenceNumber=0", "CA1:0"),
        (b"CallSid=CA1&CallStatus=ringing", "CA1:ringing"),
        (b"CallSid=CA1&RecordingSid=RE1&RecordingStatus=completed", "RE1:completed"),
        (b"MessageSid=SM1&SmsStatus=received&Body=x", "SM1:received"),
        (b"MessageSid=SM1&MessageStatus=sent&SmsStatus=sent", "SM1:sent"),
        (b"CallSid=CA1&RecordingSid=RE1&RecordingUrl=x&CallStatus=completed&SequenceNumber=3", "CA1:3"),
    ],
)
def test_an_event_is_named_by_what_it_says(form: bytes, expected: str) -> None:
    """Its name is the same for every delivery; nothing unsigned, such as the retry header, is in it."""
    assert expected == event_id(form)


def test_an_event_without_a_name_of_its_own_is_named_by_its_form() -> None:
    """The same form is the same event, another form another."""
    first, again, other = event_id(b"LogSid=NO1"), event_id(b"LogSid=NO1"), event_id(b"LogSid=NO2")

    assert first == again != other
    assert event_id(b"CallSid=" + b"C" * 500 + b"&CallStatus=ringing").startswith("form-")


@pytest.mark.parametrize("tamper", ["signature", "body", "blank", "address", "secret"])
def test_what_was_tampered_with_on_the_way_is_refused(stage: Stage, tamper: str) -> None:
    form = {"CallSid": "CA1", "CallStatus": "ringing", "To": OURS, "FromCity": ""}
    assert stage.stage("send", form=form, tamper=tamper)["statuses"] == [401]
    assert stage.door.heard == {}


# ---- what legs add up to ------------------------------------------------------------------------------------------


def test_a_call_is_answered_when_the_agents_leg_is(stage: Stage) -> None:
    """Who called, whom, who spoke and how long; the caller's own leg adds the number that was called."""
    root = stage.stage("call", **ANSWERED)["call_sid"]
    call = stage.door.call()

    assert (root, "ended", "answered", "inbound") == (call.ref, call.state, call.outcome, call.direction)
    assert (ANA, OURS, "201") == (call.caller, call.callee, call.agent_extension)
    assert (60, NOON - timedelta(seconds=64)) == (call.talk_seconds, call.started_at)


def test_a_caller_the_machine_picked_up_was_not_answered(stage: Stage) -> None:
    """Twilio says "completed" of the caller's leg, with a duration; nobody spoke."""
    stage.stage("call", **ANSWERED | {"outcome": "missed"})
    call = stage.door.call()

    assert ("ended", "missed", 0) == (call.state, call.outcome, call.talk_seconds)
    assert (ANA, OURS) == (call.caller, call.callee)


def test_a_telephone_that_stopped_ringing_does_not_end_the_call(stage: Stage) -> None:
    """One colleague's telephone gives up, another's goes on: the call rings until the root's last word."""
    stage.stage("call", **ANSWERED | {"ring": [BOB, DORA], "answered_by": DORA})
    events = stage.door.events
    before = [event for event in events if event.type == "ringing"]
    call = stage.door.call()

    assert 2 == len(before)
    assert [] == [event for event in events if event.outcome == "no_answer"]
    assert ("answered", "dora@alice.example") == (call.outcome, call.agent_email)


def test_a_call_forwarded_to_a_telephone_number_is_still_the_callers(stage: Stage) -> None:
    """The leg to an agent's mobile looks as if we had called out; the root knows better."""
    stage.stage("call", **ANSWERED | {"ring": ["+34655444333"]})
    call = stage.door.call()

    assert ("inbound", ANA, OURS, "answered") == (call.direction, call.caller, call.callee, call.outcome)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("answered", "answered"), ("busy", "busy"), ("no_answer", "no_answer"), ("cancelled", "cancelled")],
)
def test_a_softphone_calls_out(stage: Stage, outcome: str, expected: str) -> None:
    """To Twilio it dialled in; to us it called out, and the customer's leg says how that went."""
    stage.stage("call", by="client:201", outcome=outcome, ring=[CUSTOMER], **{"from": OURS, "to": CUSTOMER})
    call = stage.door.call()

    assert ("outbound", expected) == (call.direction, call.outcome)
    assert (CUSTOMER, "201") == (call.callee, call.agent_extension)


def test_a_voicemail_and_a_recording(stage: Stage) -> None:
    """<Record> asks the caller to speak, <Dial record> listens in."""
    stage.stage("call", **ANSWERED | {"recorded": True})
    assert stage.door.call().recording_url.startswith(stage.origin)
    assert "answered" == stage.door.call().outcome

    stage.door.heard.clear()
    stage.stage("call", **ANSWERED | {"outcome": "missed", "voicemail": True, "talk_seconds": 9})
    assert ("voicemail", True) == (stage.door.call().outcome, bool(stage.door.call().recording_url))


@pytest.mark.parametrize("seed", range(5))
def test_order_and_copies_do_not_matter(stage: Stage, seed: int) -> None:
    """Twilio promises no order and delivers again."""
    stage.stage("call", **ANSWERED | {"shuffle": seed, "copies": 3, "ring": [BOB, DORA]})
    call = stage.door.call()

    assert ("answered", 60, "201") == (call.outcome, call.talk_seconds, call.agent_extension)


def test_a_busy_door_is_tried_again(stage: Stage) -> None:
    """Delivered once more it is the same event, under the same name."""
    stage.door.busy = True
    assert {503} == set(stage.stage("call", **ANSWERED)["statuses"])
    stage.door.busy = False
    stage.stage("retry")

    assert "answered" == stage.door.call().outcome


# ---- asking -------------------------------------------------------------------------------------------------------


def test_a_click_rings_the_agent_and_the_call_is_named_as_the_door_hears_it(stage: Stage) -> None:
    """First the agent, then the customer; hanging up ends both."""
    ref = stage.account.dial(agent_extension="201", agent_email="", number="+49 (151) 1234-5678")
    soon(lambda: any(event.type == "answered" for event in stage.door.events))
    [asked] = stage.asked()

    assert (BOB, OURS) == (asked["form"]["To"], asked["form"]["From"])
    assert asked["form"]["StatusCallback"].endswith("#rc=5&rp=all")
    call = stage.door.call()
    assert (ref, "answered", "outbound") == (call.ref, call.state, call.direction)
    assert (CUSTOMER, "201") == (call.callee, call.agent_extension)

    stage.account.control(call_ref=ref, leg_ref="", action="hangup")
    soon(lambda: stage.door.call().state == "ended")
    with pytest.raises(Refused):
        stage.account.control(call_ref=ref, leg_ref="", action="hangup")


def test_a_caller_is_passed_on_and_stays_the_same_call(stage: Stage) -> None:
    """The caller's leg gets new TwiML with our door in it; the agent's ends; the recording is paused meanwhile."""
    ref = stage.stage("call", **ANSWERED | {"going_on": True})["call_sid"]
    agents = next(event.leg_ref for event in stage.door.events if event.type == "answered")
    steer = partial(stage.account.control, call_ref=ref, leg_ref=agents)

    steer(action="pause")
    steer(action="resume")
    steer(action="transfer", to=Target(number=CUSTOMER))
    soon(lambda: any(event.callee == CUSTOMER and event.type == "answered" for event in stage.door.events))
    with pytest.raises(Refused):  # the agent is not on it any more
        steer(action="transfer", to=Target(extension="202"))
    carols = next(event.leg_ref for event in stage.door.events if event.callee == CUSTOMER)
    steer(action="transfer", to=Target(extension="202"), leg_ref=carols)
    asked = [one["form"] for one in stage.asked() if one["form"]]

    assert [{"Status": "paused", "PauseBehavior": "silence"}, {"Status": "in-progress"}] == asked[:2]
    assert f'<Dial callerId="{OURS}"><Number statusCallback="' in asked[2]["Twiml"]
    assert asked[3]["Twiml"].endswith(">sip:202@alice.sip.twilio.com</Sip></Dial></Response>")
    soon(lambda: any(event.agent_extension == "202" and event.type == "answered" for event in stage.door.events))
    call = stage.door.call()
    assert (ref, "answered", ANA) == (call.ref, call.state, call.caller)


def test_whom_an_agent_called_is_passed_on_and_heard_of_no_more(stage: Stage) -> None:
    """The customer's leg is the dialled one, looked up; without knowing the agent's leg nothing is asked."""
    ref = stage.account.dial(agent_extension="201", agent_email="", number=CUSTOMER)
    soon(lambda: any(event.type == "answered" for event in stage.door.events))
    steer = partial(stage.account.control, call_ref=ref, action="transfer")
    with pytest.raises(Refused):
        steer(leg_ref="", to=Target(number=CUSTOMER))
    with pytest.raises(Refused):
        steer(leg_ref=ref, to=Target(number="112#"))
    steer(leg_ref=ref, to=Target(number="+4930123456"))

    assert (
        f'<Response><Dial callerId="{OURS}"><Number>+4930123456</Number></Dial></Response>'
        == (stage.asked()[-1]["form"]["Twiml"])
    )
    soon(lambda: stage.door.call().state == "ended")
    assert {ref} == {event.call_ref for event in stage.door.events}
    with pytest.raises(Refused):
        steer(leg_ref=ref, to=Target(number=CUSTOMER))


def test_the_customer_sees_the_number_that_was_chosen(stage: Stage) -> None:
    stage.account.dial(agent_extension="201", agent_email="", number=CUSTOMER, shown="+34911222444")
    soon(lambda: any(event.type == "answered" for event in stage.door.events))
    [asked] = stage.asked()

    assert "+34911222444" == asked["form"]["From"]
    assert '<Dial callerId="+34911222444">' in asked["form"]["Twiml"]


def test_the_customer_of_a_click_is_busy(stage: Stage) -> None:
    stage.stage("next", outcome="busy")
    stage.account.dial(agent_extension="201", agent_email="", number=CUSTOMER)
    soon(lambda: stage.door.events and stage.door.call().state == "ended")

    assert ("busy", CUSTOMER, "201") == (
        stage.door.call().outcome,
        stage.door.call().callee,
        stage.door.call().agent_extension,
    )


def test_an_agent_at_an_ordinary_number_is_not_taken_for_the_customer(stage: Stage) -> None:
    """Both legs go to numbers; neither what is told nor the list mistakes the agent's for whom was called."""
    account = stage.opened(agent_address="{extension}")
    ref = account.dial(agent_extension="+34655444333", agent_email="", number=CUSTOMER)
    soon(lambda: stage.door.events and stage.door.call().state == "answered")
    assert CUSTOMER == stage.door.call().callee

    stage.stage("clock", advance=30)
    account.control(call_ref=ref, leg_ref="", action="hangup")
    soon(lambda: stage.door.call().state == "ended")
    [row] = account.calls(NOON)
    assert ("answered", CUSTOMER, "+34655444333") == (row.outcome, row.callee, row.agent_extension)
    assert ("answered", 30) == (stage.door.call().outcome, stage.door.call().talk_seconds)


@pytest.mark.parametrize("number", ["", "112#", "+1<Hangup/>", '"', "sip:eve@evil.example", "+" * 3, "9" * 40])
def test_only_a_number_is_dialled(stage: Stage, number: str) -> None:
    """It is written into a document Twilio executes."""
    with pytest.raises(Refused):
        stage.account.dial(agent_extension="201", agent_email="", number=number)
    assert [] == stage.asked()


def test_an_agent_without_an_extension_cannot_be_rung(stage: Stage) -> None:
    for extension in ("", "2 01", "201\r\nX: y"):
        with pytest.raises(Refused, match=r"agent"):
            stage.account.dial(agent_extension=extension, agent_email="bob@alice.example", number=CUSTOMER)
    assert [] == stage.asked()


@pytest.mark.parametrize("action", ["hold", "unhold", "mute", "unmute", "dtmf"])
def test_what_twilio_cannot_do_is_refused(stage: Stage, action: Any) -> None:
    with pytest.raises(Refused):
        stage.account.control(call_ref="CA1", leg_ref="", action=action)


def test_the_list_tells_what_the_door_missed(stage: Stage) -> None:
    """Every page, legs put together, oldest first, and only what ended later than asked; the same twice."""
    first = stage.stage("call", **ANSWERED | {"drop": 1})["call_sid"]
    stage.stage("clock", advance=600)
    second = stage.stage("call", **ANSWERED | {"outcome": "missed", "drop": 1, "ring": [BOB, DORA]})["call_sid"]
    third = stage.stage("call", by="client:201", ring=[CUSTOMER], outcome="busy", drop=1, **{"from": OURS, "to": ""})
    stage.account.dial(agent_extension="201", agent_email="", number=CUSTOMER)  # still going on

    found = list(stage.account.calls(NOON - timedelta(hours=1)))
    told = {event.call_ref: event for event in found}

    assert {first, second, third["call_sid"]} == set(told)
    assert [event.ended_at for event in found] == sorted(event.ended_at for event in found if event.ended_at)
    assert ("answered", "201", ANA, OURS) == (
        told[first].outcome,
        told[first].agent_extension,
        told[first].caller,
        told[first].callee,
    )
    assert ("missed", "inbound") == (told[second].outcome, told[second].direction)
    busy = told[third["call_sid"]]
    assert ("busy", "outbound", CUSTOMER, "201") == (busy.outcome, busy.direction, busy.callee, busy.agent_extension)
    assert found == list(stage.account.calls(NOON - timedelta(hours=1)))
    later = {event.call_ref for event in stage.account.calls(NOON + timedelta(minutes=1))}
    assert {second, third["call_sid"]} == later


def test_webhooks_and_list_agree(stage: Stage) -> None:
    """What was heard and what is listed is one and the same call."""
    stage.stage("call", **ANSWERED)
    heard = stage.door.call()
    [row] = stage.account.calls(NOON - timedelta(hours=1))

    assert (heard.outcome, heard.direction, heard.caller, heard.callee) == (
        row.outcome,
        row.direction,
        row.caller,
        row.callee,
    )
    assert (heard.answered_at, heard.agent_extension) == (row.answered_at, row.agent_extension)


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
def test_the_key_is_shown_to_twilio_and_nobody_else() -> None:
    """An event may name any address as a recording's."""
    elsewhere = f"https://evil.example/2010-04-01/Accounts/{SID}/Recordings/RE{'0' * 32}"
    responses.get(elsewhere, body=b"x", content_type="audio/mpeg")
    ours = f"{API_URL}/2010-04-01/Accounts/{SID}/Recordings/RE{'0' * 32}"
    responses.get(f"{ours}.mp3", body=b"x", content_type="audio/mpeg")
    account = VENDOR.open(ACCOUNT, guard.pooled(5))

    account.recording(elsewhere)
    account.recording(ours)
    keys = [call.request.headers.get("Authorization") for call in responses.calls]
    assert [None, "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()] == keys
    with pytest.raises(Refused):
        account.forget_recording(elsewhere)


FAILURES: list[tuple[dict[str, Any], type[Upstream]]] = [
    ({"action": "status", "status": 401}, ConsentLost),
    ({"action": "status", "status": 403}, NotAllowed),
    ({"action": "status", "status": 400}, Refused),
    ({"action": "status", "status": 429, "retry_after": 7}, TryLater),
    ({"action": "status", "status": 503}, TryLater),
    ({"action": "html"}, TryLater),
    ({"action": "drop_after"}, TryLater),
]


@pytest.mark.parametrize(("fault", "error"), FAILURES, ids=[str(fault) for fault, _ in FAILURES])
def test_a_failing_list_is_named_after_its_remedy(stage: Stage, fault: dict[str, Any], error: type[Upstream]) -> None:
    stage.fault("GET /2010-04-01", **fault)
    with pytest.raises(error) as raised:
        list(stage.account.calls(NOON))

    assert float(fault.get("retry_after", 0)) == getattr(raised.value, "wait", 0.0)


@pytest.mark.parametrize("fault", [{"action": "html", "status": 201}, {"action": "drop_after"}, {"status": 502}])
def test_a_call_that_may_be_ringing_is_never_dialled_again(stage: Stage, fault: dict[str, Any]) -> None:
    """Nobody knows: not "try later", which something might obey."""
    stage.fault("POST /2010-04-01", **{"action": "status"} | fault)
    with pytest.raises(Unanswered):
        stage.account.dial(agent_extension="201", agent_email="", number=CUSTOMER)


def test_a_wrong_token_asks_for_a_new_one(stage: Stage) -> None:
    with pytest.raises(ConsentLost):
        list(stage.opened(auth_token="charlies-token").calls(NOON))


@pytest.mark.parametrize(
    "wrong", [{"account_sid": "AC1"}, {"account_sid": "AC/../" + "0" * 27}, {"auth_token": ""}, {"auth_token": "é"}]
)
def test_an_account_that_cannot_be_one_is_not_opened(stage: Stage, wrong: dict[str, str]) -> None:
    with pytest.raises(NotAllowed):
        stage.opened(**wrong)


@responses.activate
def test_a_list_that_leads_elsewhere_is_not_followed() -> None:
    """Our key would go with it."""
    responses.get(
        f"{API_URL}/2010-04-01/Accounts/{SID}/Calls.json",
        json={"calls": [], "next_page_uri": "https://evil.example/2010-04-01/Calls.json"},
    )
    with pytest.raises(TryLater):
        list(VENDOR.open(ACCOUNT, guard.pooled(5)).calls(NOON))
