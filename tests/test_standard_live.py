"""Calls that go on, their recordings, and text messages of a `standard` platform, over a real socket."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from flask import Flask, Response, request

from domain.call import fold
from domain.errors import ConsentLost, NotAllowed, Refused, TryLater, Unanswered, Upstream
from domain.ports import Control, PhoneSystem, Target
from integrations import guard
from integrations.telephony import edge
from integrations.telephony.standard.sandbox import create_apps
from tests.phone_stage import BOB, CALL, VENDOR, Platform, playing, served, soon

BASE = "https://pbx.alice.example/alice/api"
NUMBER = "+4915112345678"


@pytest.fixture(scope="module")
def play() -> Iterator[Platform]:
    with playing() as platform:
        yield platform


@pytest.fixture
def platform(play: Platform) -> Platform:
    play.fresh()
    return play


def steer(
    platform: Platform,
    call_ref: str,
    action: Control,
    *,
    leg_ref: str = "",
    digits: str = "",
    to: Target | None = None,
) -> None:
    platform.account.control(call_ref=call_ref, leg_ref=leg_ref, action=action, digits=digits, to=to)


def spoken(platform: Platform) -> str:
    """Return the id of a call somebody answered."""
    call_id = platform.account.dial(agent_extension="201", agent_email="", number=NUMBER)
    platform.stage("answer", key="alices-key", call_id=call_id)
    soon(lambda: len(platform.of(call_id)) == 2)
    return call_id


def live(platform: Platform, call_id: str) -> dict[str, Any] | None:
    return next((call for call in platform.shown("live")["live"] if call["call_id"] == call_id), None)


def kept(platform: Platform, call_id: str, seconds: int = 1) -> str:
    """Have the platform keep a recording; return its address."""
    return str(platform.stage("recordings", key="alices-key", call_id=call_id, seconds=seconds)["recording_url"])


@contextmanager
def answering(response: Response) -> Iterator[tuple[PhoneSystem, str, list[dict[str, str]]]]:
    """A web server that is not the platform's: our client, an address there, and the headers it was asked with."""
    app, asked = Flask("elsewhere"), list[dict[str, str]]()

    @app.route("/<path:_>", methods=["GET", "DELETE"])
    def answer(_: str) -> Response:
        asked.append(dict(request.headers))
        return response

    with guard.session(timeout=2, allowed_private_hosts={"127.0.0.1"}) as http, served(app) as at:
        yield VENDOR.open({"base_url": BASE, "api_key": "alices-key"}, http), f"{at}/r/1.wav", asked


# ---- control ------------------------------------------------------------------------------------------------------


def test_an_agent_steers_a_call_from_start_to_end(platform: Platform) -> None:
    """Hold, mute and keys change the call there, are safe to repeat, and the hang-up comes back as its last word."""
    call_id = spoken(platform)
    assert (live(platform, call_id) or {})["state"] == "answered"

    steer(platform, call_id, "hold")
    steer(platform, call_id, "hold", leg_ref="1")
    steer(platform, call_id, "mute")
    steer(platform, call_id, "dtmf", digits="12")
    steer(platform, call_id, "dtmf", digits="#A")
    seen = live(platform, call_id) or {}
    assert (seen["held"], seen["muted"], seen["digits"]) == (True, True, "12#A")
    steer(platform, call_id, "unhold")
    steer(platform, call_id, "unmute")
    seen = live(platform, call_id) or {}
    assert (seen["held"], seen["muted"]) == (False, False)

    steer(platform, call_id, "hangup")
    soon(lambda: len(platform.of(call_id)) == 3)
    call = fold(platform.of(call_id))
    assert (call.ref, call.state, call.outcome, call.callee) == (call_id, "ended", "answered", NUMBER)
    assert live(platform, call_id) is None
    assert call_id in {row["call_id"] for row in platform.shown("cdr")["cdr"]}
    held = [sent["status"] for sent in platform.shown("deliveries")["deliveries"] if sent["type"] == "call.held"]
    assert held == [202]  # a type we have no use for is accepted, and holding twice is told once


def test_an_agent_passes_a_call_on_parks_it_and_leaves_a_part_unrecorded(platform: Platform) -> None:
    """To a number or to a colleague's line, one of the two; the recording stops and goes on."""
    call_id = spoken(platform)
    steer(platform, call_id, "pause")
    assert (live(platform, call_id) or {})["unrecorded"]
    steer(platform, call_id, "resume")

    steer(platform, call_id, "transfer", to=Target(number=NUMBER), leg_ref="1")
    steer(platform, call_id, "transfer", to=Target(extension="202", email="carol@alice.example"))
    steer(platform, call_id, "park")
    seen = live(platform, call_id) or {}
    assert (False, True, [NUMBER, "202"]) == (seen["unrecorded"], seen["parked"], seen["passed_on"])
    refused: list[tuple[Control, Target | None]] = [("park", None), ("transfer", None)]
    for action, to in (*refused, ("transfer", Target()), ("transfer", Target(number="x"))):
        with pytest.raises(Refused):
            steer(platform, call_id, action, to=to)


@pytest.mark.parametrize("action", sorted(get_args(Control)))
def test_a_call_that_is_over_cannot_be_steered(platform: Platform, action: Control) -> None:
    """That is final: nobody asks again."""
    call_id = spoken(platform)
    steer(platform, call_id, "hangup")

    with pytest.raises(Refused):
        steer(platform, call_id, action, digits="1", to=Target(number=NUMBER))


def test_a_ringing_call_can_be_hung_up_and_nothing_else(platform: Platform) -> None:
    """The platform says 409 until somebody answers; a call that came in by the director's word is known too."""
    data = {"call_id": "in-1", "direction": "inbound", "from": NUMBER, "to": "+34911222333", "agent": BOB}
    platform.stage("send", key="alices-key", event={"type": "call.ringing", "data": data})
    with pytest.raises(Refused):
        steer(platform, "in-1", "hold")
    assert (live(platform, "in-1") or {})["held"] is False

    steer(platform, "in-1", "hangup")

    soon(lambda: len(platform.of("in-1")) == 2)
    assert fold(platform.of("in-1")).outcome == "missed"
    platform.stage("send", key="alices-key", event={"type": "call.answered", "data": data})  # late: brings nothing back
    assert live(platform, "in-1") is None


def test_another_leg_and_a_strangers_key_are_refused(platform: Platform) -> None:
    """A leg the call does not have; a key that has no such call."""
    call_id = spoken(platform)
    with pytest.raises(Refused):
        steer(platform, call_id, "hold", leg_ref="2")
    with pytest.raises(ConsentLost):
        platform.opened("charlies-key").control(call_ref=call_id, leg_ref="", action="hangup")
    assert (live(platform, call_id) or {})["held"] is False


@pytest.mark.parametrize(
    ("call_ref", "digits"),
    [("c1", ""), ("c1", "12a"), ("c1", "+1"), ("c1", "1\n"), ("c1", "1" * 33), ("..", "1"), (".", "1"), ("", "1")],
)
def test_what_cannot_be_asked_is_not_asked(platform: Platform, call_ref: str, digits: str) -> None:
    """Keys no telephone has, and ids that would turn the address into another one."""
    with pytest.raises(Refused) as caught:
        steer(platform, call_ref, "dtmf", digits=digits)
    assert caught.value.code == "control.invalid"
    assert platform.shown("requests")["counts"] == {}


def test_an_id_is_one_part_of_the_address_whatever_it_holds(platform: Platform) -> None:
    """Slashes and question marks of a platform's ids lead nowhere else."""
    with pytest.raises(Refused):
        steer(platform, "../contacts?x=#", "hangup")
    assert [line["status"] for line in platform.shown("requests")["last"]] == [404]


@pytest.mark.parametrize(
    ("action", "more", "keys", "hold"),
    [
        ("status", {"status": 503}, TryLater, TryLater),
        ("status", {"status": 504}, Unanswered, TryLater),
        ("status", {"status": 401}, ConsentLost, ConsentLost),
        ("status", {"status": 403}, NotAllowed, NotAllowed),
        ("status", {"status": 409}, Refused, Refused),
        ("hang_after", {"seconds": 30}, Unanswered, TryLater),
    ],
    ids=lambda value: str(value) if isinstance(value, (str, dict)) else "",
)
def test_keys_are_pressed_once_and_the_rest_may_be_repeated(
    platform: Platform, action: str, more: dict[str, Any], keys: type[Upstream], hold: type[Upstream]
) -> None:
    """Where nobody knows whether it was done, keys are left alone; holding twice is holding."""
    call_id = spoken(platform)
    with guard.session(timeout=0.3, allowed_private_hosts={"127.0.0.1"}) as hasty:
        account = VENDOR.open({"base_url": platform.origin, "api_key": "alices-key"}, hasty)

        platform.fault("POST /calls", action, **more)
        with pytest.raises(keys):
            account.control(call_ref=call_id, leg_ref="", action="dtmf", digits="1")
        platform.fault("POST /calls", action, **more)
        with pytest.raises(hold):
            account.control(call_ref=call_id, leg_ref="", action="hold")


def test_done_is_done_whatever_the_answer_holds(platform: Platform) -> None:
    """2xx needs no body, so none is looked at."""
    call_id = spoken(platform)
    platform.fault("POST /calls", "html")
    steer(platform, call_id, "hold")


# ---- recordings ---------------------------------------------------------------------------------------------------


def test_a_recording_is_told_fetched_and_forgotten(platform: Platform) -> None:
    """Present before it is deleted, gone after; deleting it twice is fine, hearing it is not."""
    platform.stage("call", key="alices-key", call_id="recorded", record=2, **CALL)
    [url] = [event.recording_url for event in platform.of("recorded") if event.type == "recording"]

    sound = platform.account.recording(url)
    content = b"".join(sound.chunks)
    assert (sound.content_type, sound.length) == ("audio/wav", len(content))
    with wave.open(io.BytesIO(content)) as file:
        assert file.getnframes() / file.getframerate() == 2

    platform.account.forget_recording(url)
    platform.account.forget_recording(url)
    assert platform.shown("recordings")["recordings"] == []
    with pytest.raises(Refused) as caught:
        platform.account.recording(url)
    assert caught.value.code == "recording.gone"
    assert "recording_url" not in next(row for row in platform.shown("cdr")["cdr"] if row["call_id"] == "recorded")


def test_a_platform_that_records_says_so_after_the_hang_up() -> None:
    """The recording's event follows the call's last word and leads to the sound of that very call."""
    with playing(records=True) as platform:
        call_id = spoken(platform)
        steer(platform, call_id, "hangup")
        soon(lambda: len(platform.of(call_id)) == 4)

        *_, ended, recorded = platform.of(call_id)
        assert (ended.type, recorded.type, ended.recording_url) == ("ended", "recording", "")
        assert urlsplit(recorded.recording_url).path == f"/calls/{call_id}/recording"
        assert b"".join(platform.account.recording(recorded.recording_url).chunks).startswith(b"RIFF")


def test_the_understudy_answers_a_player_that_asks_for_a_part(platform: Platform) -> None:
    """Range, as DESIGN's player needs it; beyond the end is 416; without the key there is nothing."""
    url, key = kept(platform, "r1"), {"Authorization": "Bearer alices-key"}

    part = platform.http.get(url, headers={**key, "Range": "bytes=0-3"})
    assert (part.status_code, part.content, part.headers["Content-Length"]) == (206, b"RIFF", "4")
    assert platform.http.get(url, headers={**key, "Range": "bytes=9999999-"}).status_code == 416
    assert platform.http.get(url).status_code == 401


def test_a_strangers_key_hears_and_deletes_nothing(platform: Platform) -> None:
    """Charlie's account does not have Bob's recording, whatever the address."""
    url = kept(platform, "bobs")
    platform.stage("accounts", key="charlies-own", door_url="", secret=VENDOR.new_secret())
    charlie = platform.opened("charlies-own")

    with pytest.raises(Refused):
        charlie.recording(url)
    charlie.forget_recording(url)  # 404: as good as gone, for Charlie

    assert b"".join(platform.account.recording(url).chunks)


@pytest.mark.parametrize(
    ("action", "more", "trouble", "code"),
    [
        ("status", {"status": 404}, Refused, "recording.gone"),
        ("status", {"status": 410}, Refused, "recording.gone"),
        ("status", {"status": 401}, ConsentLost, "consent.lost"),
        ("status", {"status": 403}, NotAllowed, "feature.off"),
        ("status", {"status": 425, "retry_after": 30}, TryLater, "upstream.busy"),
        ("status", {"status": 503}, TryLater, "upstream.busy"),
        ("status", {"status": 302}, Refused, "upstream.redirected"),
        ("html", {}, TryLater, "upstream.bad_response"),
        ("status", {"status": 200}, Refused, "recording.not_sound"),  # JSON
    ],
    ids=lambda value: str(value) if isinstance(value, (str, dict)) else "",
)
def test_each_fault_of_a_recording_has_its_remedy(
    platform: Platform, action: str, more: dict[str, Any], trouble: type[Upstream], code: str
) -> None:
    """Not yet, not any more, not for us, not a sound."""
    url = kept(platform, "faulty")
    platform.fault("GET /calls/faulty", action, **more)
    with pytest.raises(trouble) as caught:
        platform.account.recording(url)
    assert caught.value.code == code
    assert getattr(caught.value, "wait", 0) == more.get("retry_after", 0)

    assert b"".join(platform.account.recording(url).chunks)  # and then it is there


def test_a_recording_that_breaks_off_says_so(platform: Platform) -> None:
    """Half a recording is never taken for a whole one."""
    url = kept(platform, "broken")
    platform.fault("GET /calls/broken", "drop_after")
    sound = platform.account.recording(url)
    with pytest.raises(TryLater):
        list(sound.chunks)


def test_a_failed_deletion_is_not_a_deletion(platform: Platform) -> None:
    """Only 2xx and "not there" count."""
    url = kept(platform, "stays")
    for status, trouble in {500: TryLater, 401: ConsentLost, 403: NotAllowed, 409: Refused}.items():
        platform.fault("DELETE /calls/stays", "status", status=status)
        with pytest.raises(trouble):
            platform.account.forget_recording(url)
    assert {"call_id": "stays", "bytes": 8044} in platform.shown("recordings")["recordings"]


def test_a_recording_kept_elsewhere_never_sees_the_key() -> None:
    """It is fetched as a browser would; a deletion is not even tried, since without a key it would mean nothing."""
    sound = Response(b"OggS", 200, content_type="Audio/OGG; codecs=opus")
    with answering(sound) as (account, url, asked):
        heard = account.recording(url)
        assert (heard.content_type, heard.length, b"".join(heard.chunks)) == ("audio/ogg", 4, b"OggS")

        with pytest.raises(Refused) as caught:
            account.forget_recording(url)

    assert caught.value.code == "recording.elsewhere"
    assert [headers.get("Authorization") for headers in asked] == [None]


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (Response(b"x", 403), "recording.gone"),  # a signed link that has run out: no reason to doubt our key
        (Response(b"x", 401), "recording.gone"),
        (Response(b"x", 200, content_type="video/mp4"), "recording.not_sound"),
        (Response(b"x", 200, content_type="audio/\u00e4"), "recording.not_sound"),
        (Response(b"x", 200, content_type="audio/wav", headers={"Content-Encoding": "gzip"}), "recording.not_sound"),
        (
            Response(iter([b"x"]), 200, content_type="audio/wav", headers={"Content-Length": "209715201"}),
            "recording.too_long",
        ),
    ],
    ids=["403", "401", "video", "odd", "gzip", "too long"],
)
def test_what_is_no_recording_is_refused(response: Response, code: str) -> None:
    """The form and the length are judged before a byte is handed on."""
    with answering(response) as (account, url, _), pytest.raises(Refused) as caught:
        account.recording(url)
    assert caught.value.code == code


def test_a_recording_without_a_length_still_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A length may be missing; 200 MB is counted all the same."""
    monkeypatch.setattr(edge, "SOUND_BYTES", 100_000)
    endless = Response((bytes(10_000) for _ in range(1_000)), 200, content_type="application/octet-stream")
    with answering(endless) as (account, url, _):
        sound = account.recording(url)
        assert sound.length is None
        with pytest.raises(Refused) as caught:
            list(sound.chunks)
    assert caught.value.code == "recording.too_long"


def test_a_long_recording_is_handed_on_as_it_comes() -> None:
    """Longer than any other answer may be, and never held as a whole."""
    many = 12
    long = Response((bytes(1 << 20) for _ in range(many)), 200, content_type="audio/wav")
    with answering(long) as (account, url, _):
        lengths = [len(chunk) for chunk in account.recording(url).chunks]
    assert sum(lengths) == many << 20 > guard.BODY_BYTES
    assert max(lengths) <= edge.CHUNK_BYTES


@pytest.mark.parametrize("url", ["http://169.254.169.254/x.wav", "http://pbx.alice.example/x.wav", "https://10.0.0.5/"])
def test_a_recording_inside_a_private_network_is_refused(url: str) -> None:
    """The guard judges a recording's address like any other a tenant supplied."""
    with guard.session(timeout=1) as http, pytest.raises(Refused) as caught:
        VENDOR.open({"base_url": BASE, "api_key": "k"}, http).recording(url)
    assert caught.value.code == "url.not_allowed"


@pytest.mark.parametrize(
    ("url", "below"),
    [
        (f"{BASE}/calls/c1/recording", True),
        (f"{BASE}/r.wav?part=1", True),
        ("https://PBX.alice.example:443/alice/api/r.wav", True),
        ("https://pbx.alice.example/alice/apis/r.wav", False),
        ("https://pbx.alice.example/alice/api", False),
        ("https://pbx.alice.example/charlie/api/r.wav", False),
        (f"{BASE}/../../charlie/api/r.wav", False),
        (f"{BASE}/%2e%2e/%2e%2e/charlie/api/r.wav", False),
        (f"{BASE}/%252e%252e/r.wav", False),
        (f"{BASE}/..%2f..%2fcharlie", False),
        (f"{BASE}/..;/..;/charlie", False),
        (f"{BASE}/x\\..\\r.wav", False),
        ("http://pbx.alice.example/alice/api/r.wav", False),
        ("https://pbx.alice.example:8443/alice/api/r.wav", False),
        ("https://pbx.alice.example.charlie.example/alice/api/r.wav", False),
        ("https://pbx.alice.example@charlie.example/alice/api/r.wav", False),
        ("https://alice@pbx.alice.example/alice/api/r.wav", False),
        ("https://pbx.alice.example:x/alice/api/r.wav", False),
        ("", False),
    ],
)
def test_the_key_is_shown_below_the_api_only(url: str, below: bool) -> None:
    """Same scheme, host and port, a whole path below, and no way out of it."""
    assert edge.is_below(url, BASE) is below
    assert edge.is_below(url, f"{BASE}/") is below


# ---- text messages ------------------------------------------------------------------------------------------------


def test_a_text_message_arrives_as_one(platform: Platform) -> None:
    """Doubled by the sender, it has one id and one reference."""
    data = {"message_id": "m-1", "from": NUMBER, "to": "+34911222333", "text": "On my way", "agent": BOB}
    platform.stage("send", key="alices-key", event={"type": "message.received", "data": data}, times=2)

    first, second = platform.texts
    assert first == second
    assert (first.message_ref, first.direction, first.sender, first.text) == ("m-1", "inbound", NUMBER, "On my way")
    assert first.id not in {event.id for event in platform.heard}


def test_the_director_finds_every_control_in_the_prompt_book() -> None:
    """Each `/_stage/` path is written in the understudy's docstring."""
    from integrations.telephony.standard import sandbox

    rules = create_apps({"pbx": ""})["pbx"].url_map.iter_rules()
    names = {name for rule in rules for name in re.findall(r"^/_stage/(\w+)$", rule.rule)}
    assert {"answer", "recordings", "call", "send"} <= names
    assert set() == {name for name in names if f"/_stage/{name}" not in (sandbox.__doc__ or "")}
