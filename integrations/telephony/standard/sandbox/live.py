"""Calls while they last: what may be done to them, how they end, and the sound they leave behind."""

from __future__ import annotations

import io
import math
import re
import wave
import zlib
from dataclasses import dataclass
from typing import Any

from flask import abort

ACTIONS = ("hangup", "hold", "unhold", "mute", "unmute", "dtmf", "transfer", "park", "pause", "resume")
DIGITS = re.compile(r"[0-9A-D*#]{1,32}")
NUMBER = re.compile(r"\+?[0-9*#]{1,32}")
SWITCHES = {
    "hold": ("held", True),
    "unhold": ("held", False),
    "mute": ("muted", True),
    "unmute": ("muted", False),
    "pause": ("unrecorded", True),
    "resume": ("unrecorded", False),
}
TOLD_AS = {"hold": "call.held", "unhold": "call.resumed", "mute": "call.muted", "unmute": "call.unmuted"}
TOLD_AS |= {"pause": "call.recording_paused", "resume": "call.recording_resumed"}
SAMPLES_A_SECOND = 8000

Json = dict[str, Any]


@dataclass
class Live:
    """A call that rings or is spoken on; `data` is what its last event said."""

    data: Json
    answered: bool = False
    held: bool = False
    muted: bool = False
    unrecorded: bool = False
    parked: bool = False
    digits: str = ""
    passed_on: tuple[str, ...] = ()

    def steer(self, action: str, wish: Json) -> str:
        """Do as asked; return the type of the event that tells of it, "" for none. Answers 404, 409 or 422 itself."""
        if wish.get("leg_id") not in (None, self.data.get("leg_id")):
            abort(404, "the call has no such leg")
        if not self.answered:
            abort(409, "nobody has answered yet")
        if action == "dtmf":
            digits = wish.get("digits")
            if not isinstance(digits, str) or not DIGITS.fullmatch(digits):
                abort(422, "those are no digits")
            self.digits += digits
            return ""
        if action == "transfer":
            return self._pass_on(wish)
        if action == "park":
            if self.parked:
                abort(409, "the call is parked already")
            self.parked = True
            return "call.parked"
        switch, wanted = SWITCHES[action]
        if getattr(self, switch) is wanted:
            return ""
        setattr(self, switch, wanted)
        return TOLD_AS[action]

    def _pass_on(self, wish: Json) -> str:
        """Ring somebody else: a colleague's line, or a number."""
        named = [value for name in ("to", "extension") if (value := wish.get(name))]
        if len(named) != 1 or not isinstance(named[0], str) or not NUMBER.fullmatch(named[0]):
            abort(422, "name one number or one extension")
        self.passed_on = (*self.passed_on, named[0])
        return "call.transferred"

    def ended(self, at: str) -> Json:
        """Return the call's last word when somebody here hangs up."""
        unanswered = "rejected" if self.data.get("direction") == "inbound" else "cancelled"
        return self.data | {"ended_at": at, "outcome": "answered" if self.answered else unanswered}

    def shown(self) -> Json:
        """Return the state as the director may look at it."""
        state = "answered" if self.answered else "ringing"
        return (
            self.data
            | {"state": state, "held": self.held, "muted": self.muted, "digits": self.digits}
            | {
                "unrecorded": self.unrecorded,
                "parked": self.parked,
                "passed_on": list(self.passed_on),
            }
        )


def follow(live: dict[str, Live], over: set[str], kind: str, data: Any) -> None:
    """Keep up with an event that was told: a call never goes back, whatever the order."""
    if not isinstance(data, dict) or not isinstance(id := data.get("call_id"), str) or id in over:
        return
    if kind == "call.ended":
        over.add(id)
        live.pop(id, None)
    elif kind in ("call.ringing", "call.answered"):
        call = live.setdefault(id, Live({}))
        call.data |= {name: value for name, value in data.items() if value is not None}
        call.answered = call.answered or kind == "call.answered"


def tone(id: str, seconds: int) -> bytes:
    """Make a WAV (8 kHz, 8 bit, mono) whose pitch depends on the call, so that two are told apart."""
    pitch = 300 + zlib.crc32(id.encode()) % 700
    turn = 2 * math.pi * pitch / SAMPLES_A_SECOND
    second = bytes(128 + round(100 * math.sin(turn * sample)) for sample in range(SAMPLES_A_SECOND))
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(SAMPLES_A_SECOND)
        file.writeframes(second * seconds)
    return made.getvalue()
