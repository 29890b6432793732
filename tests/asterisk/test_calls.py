"""Each kind of call, played at a real Asterisk by real SIP telephones, is told as the one call it was."""

from __future__ import annotations

import time
import wave
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from domain.errors import ConsentLost, NotAllowed, Refused, TryLater
from domain.ports import Target
from tests.asterisk.ear import Ear, calls_of
from tests.asterisk.kinds import EXPECTED, KINDS, account, phone_system, summary, talking, vendor
from tests.asterisk.lab import Lab, eventually

pytestmark = pytest.mark.needs("asterisk", "sip-tester")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    # Not pytest's own folder: the path of a socket file must be short, and Asterisk has one.
    with TemporaryDirectory(prefix="lab") as folder, Lab(Path(folder)) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_call_is_told_as_the_call_it_was(lab: Lab, kind: str) -> None:
    """Who, to whom, with which agent and how it went; and never longer or shorter than it was."""
    with Ear(lab) as ear:
        began = time.time()
        KINDS[kind](lab)
        took = time.time() - began
        calls = ear.over(len(EXPECTED[kind]))

    assert [*EXPECTED[kind]] == [summary(call) for call in calls]
    assert all(began - 0.1 <= call.started_at.timestamp() <= began + took for call in calls)
    assert all(call.talk.total_seconds() <= took for call in calls)
    assert all((call.talk_seconds > 0) <= call.spoke for call in calls)


def test_two_listeners_hear_the_same(lab: Lab) -> None:
    """An event has one id, whoever hears it: the second writer finds it written."""
    with Ear(lab) as one, Ear(lab) as other:
        KINDS["ring_group"](lab)
        one.over(), other.over()

    assert len(one.told) > 5
    assert one.told[1:] == other.told[1:]  # the first says when each connected


def test_a_recorded_call_is_fetched_and_stays_until_the_account_may_delete(lab: Lab) -> None:
    """The read-only ARI account is enough to listen; deleting needs one that may."""
    with Ear(lab) as ear:
        KINDS["recorded"](lab)
        (call,) = ear.over()
    reading, tidying = phone_system(lab), phone_system(lab, ari_username="tidy")

    sound = reading.recording(call.recording_url)
    content = b"".join(sound.chunks)

    assert ("audio/wav", len(content)) == (sound.content_type, sound.length)
    with wave.open(BytesIO(content)) as played:
        assert (1, 8000) == (played.getnchannels(), played.getframerate())
        samples = played.readframes(played.getnframes())
        assert played.getnframes() > 8000, "more than a second"
        assert max(samples[1::2]) > 16, "with sound in it"
    with pytest.raises(NotAllowed):
        reading.forget_recording(call.recording_url)
    tidying.forget_recording(call.recording_url)
    tidying.forget_recording(call.recording_url)
    with pytest.raises(Refused):
        reading.recording(call.recording_url)


def test_a_call_that_ended_while_nobody_listened_is_over(lab: Lab) -> None:
    """AMI replays nothing: whoever listens next looks who is still there."""
    with lab.answers("202"):
        with Ear(lab) as before:
            caller = lab.calls("+442079460001", talk=1.5)
            eventually(lambda: [call for call in before.calls() if call.state == "answered"], "they speak")
        (call,) = before.calls()
        assert call.state == "answered"
        lab.ended(caller)

        with Ear(lab, call.ref) as after:
            after.over()

    (whole,) = calls_of(vendor(lab), [*before.told, *after.told])
    assert ("ended", "answered") == (whole.state, whole.outcome)


def test_a_call_that_began_while_nobody_listened_is_told(lab: Lab) -> None:
    """Its beginning from what the PBX says of it now, its end from the hang-up, and nothing twice."""
    with lab.answers("202"):
        caller = lab.calls("+442079460001", talk=2.5)
        talking(lab, "202")
        with Ear(lab) as ear:
            eventually(ear.calls, "it is told")
            (seen,) = ear.calls()
            lab.ended(caller)
            (call,) = ear.over()

    assert ("answered", "inbound", "+14155550101", "202") == (
        seen.state,
        seen.direction,
        seen.caller,
        seen.agent_extension,
    )
    assert ("ended", "answered") == (call.state, call.outcome)


def test_calls_end_with_a_pbx_that_dies_and_go_on_with_the_next(lab: Lab) -> None:
    """Pull the plug under a call: the same listener comes back by itself and says the call is over."""
    with Ear(lab) as ear, lab.answers("202"):
        caller = lab.calls("+442079460001", talk=60.0)
        eventually(lambda: [call for call in ear.calls() if call.state == "answered"], "they speak")
        lab.power_off()
        lab.power_on()
        caller.kill()
        (call,) = ear.over()
        assert ("ended", "answered") == (call.state, call.outcome)

        KINDS["missed"](lab)
        assert ["answered", "missed"] == [call.outcome for call in ear.over(2)]


def test_an_agent_hangs_up_and_types_from_the_screen(lab: Lab) -> None:
    """What the AMI rights allow: tones to the far end, hanging up; and a call that is over is refused."""
    pbx = phone_system(lab)
    with Ear(lab) as ear, lab.answers("202"), lab.answers("carrier"):
        ref = pbx.dial(agent_extension="202", agent_email="", number="+1 (415) 555-0188", shown="+442079460009")
        eventually(lambda: [call for call in ear.calls() if call.state == "answered"], "they speak")
        assert "!+442079460009!" in lab.console("core show channels concise")
        pbx.control(call_ref=ref, leg_ref="", action="dtmf", digits="1#")
        with pytest.raises(NotAllowed):
            pbx.control(call_ref=ref, leg_ref="", action="hold")
        pbx.control(call_ref=ref, leg_ref="", action="hangup")
        (call,) = ear.over()

    assert (ref, "answered", "+14155550188") == (call.ref, call.outcome, call.callee)
    eventually(lambda: not lab.live(), "every channel is gone")
    for action in ("hangup", "dtmf"):
        with pytest.raises(Refused):
            pbx.control(call_ref=ref, leg_ref="", action=action, digits="1")


def test_an_agent_passes_a_caller_on_who_is_parked_there(lab: Lab) -> None:
    """To a colleague's line, once it is known to be there; the recording has a gap; parked, she is on nobody's leg."""
    pbx = phone_system(lab)
    with Ear(lab) as ear, lab.answers("202"), lab.answers("203"):
        caller = lab.calls("+442079460003", talk=60.0)
        eventually(lambda: [call for call in ear.calls() if call.state == "answered"], "they speak")
        (call,) = ear.calls()
        bob = ear.leg()
        assert "202" == call.agent_extension
        pbx.control(call_ref=call.ref, leg_ref=bob, action="pause")
        pbx.control(call_ref=call.ref, leg_ref=bob, action="resume")
        with pytest.raises(Refused) as refused:  # Asterisk itself would say yes, and hang up on the caller
            pbx.control(call_ref=call.ref, leg_ref=bob, action="transfer", to=Target(extension="999"))
        assert ("number.invalid", 2) == (refused.value.code, len(lab.live()))

        pbx.control(call_ref=call.ref, leg_ref=bob, action="transfer", to=Target(extension="203"))
        talking(lab, "203")
        assert not [name for name in lab.live() if name.startswith("PJSIP/202-")]
        with pytest.raises(Refused):
            pbx.control(call_ref=call.ref, leg_ref=bob, action="park")
        eventually(lambda: ear.leg() != bob, "Carol is heard of")
        pbx.control(call_ref=call.ref, leg_ref=ear.leg(), action="park")
        eventually(lambda: "PJSIP/carrier-" in lab.console("parking show default"), "the caller is parked")
        caller.kill()
        pbx.control(call_ref=call.ref, leg_ref="", action="hangup")
        (over,) = ear.over()

    assert (call.ref, "answered", "202") == (over.ref, over.outcome, over.agent_extension)


@pytest.mark.parametrize(
    ("extension", "number"),
    [
        ("299", "+14155550188"),
        ("202", "+1415\r\nAction: Logoff"),
        ("202", "1,2"),
        ("202,x", "+14155550188"),
        ("202", ""),
        ("202&PJSIP/203", "+14155550188"),
    ],
)
def test_what_cannot_be_dialled_is_refused(lab: Lab, extension: str, number: str) -> None:
    """A telephone there is not, and what a dialplan would take for more than a number."""
    with pytest.raises(Refused):
        phone_system(lab).dial(agent_extension=extension, agent_email="", number=number)
    assert [] == lab.live()


def test_wrong_words_have_names(lab: Lab) -> None:
    """A wrong secret asks for the administrator; a PBX that is not there is tried later."""
    with pytest.raises(ConsentLost):
        next(vendor(lab).listen(account(lab) | {"secret": "wrong"}, lambda: False))
    with pytest.raises(ConsentLost):
        phone_system(lab, secret="wrong").dial(agent_extension="202", agent_email="", number="+14155550188")
    with pytest.raises(TryLater):
        phone_system(lab, port="1").dial(agent_extension="202", agent_email="", number="+14155550188")
    with pytest.raises(ConsentLost):
        phone_system(lab, ari_secret="wrong").recording(f"{account(lab)['ari_url']}/recordings/stored/x/file")
    with pytest.raises(Refused):
        phone_system(lab).recording("https://evil.example/recordings/stored/x/file")
