"""The one place that turns what the switchboard told into `CallEvent`s: one delivery, one event of one leg.

Whether a leg's end is the call's is not asked here: `domain.call.fold` adds the legs up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Regexp

from domain.call import DIRECTIONS, CallEvent, EventType, Outcome
from domain.errors import Malformed

RINGS: Mapping[str, EventType] = {"Newchannel": "ringing", "DialBegin": "ringing", "Moved": "ringing"}
TAKEN: Mapping[str, EventType] = {"BridgeEnter": "answered"}
ENDS: Mapping[str, EventType] = {"Hangup": "ended", "LINKEDID_END": "ended", "Lost": "ended", "Gone": "ended"}
MESSAGE: Mapping[str, EventType] = {"APP_START": "voicemail"}  # the switchboard tells of no other application
PARKING: Mapping[str, EventType] = {"ParkedCall": "parked", "UnParkedCall": "retrieved"}
PLAIN: Mapping[str, EventType] = {**RINGS, **TAKEN, **PARKING, **ENDS, **MESSAGE}

STATUSES: Mapping[str, Outcome] = {  # DialStatus of a leg nobody took
    "BUSY": "busy",
    "NOANSWER": "no_answer",
    "CANCEL": "cancelled",
    "CONGESTION": "failed",
    "CHANUNAVAIL": "failed",
    "ABORT": "cancelled",
}
CAUSES: Mapping[str, Outcome] = {"17": "busy", "21": "rejected"}  # Q.850; the others say less than the DialStatus
UP = "6"
MICROSECOND = 1_000_000
DURATION = re.compile(r"([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])")
CLEAN = Regexp(r"[^\x00-\x1f\x7f\ud800-\udfff]*\Z")


def _text(most: int = 128, **more: Any) -> fields.String:
    return fields.String(load_default="", validate=[Length(max=most), CLEAN], **more)


class Told(Schema):
    """One delivery of the switchboard."""

    class Meta:
        unknown = EXCLUDE

    event = fields.String(required=True, validate=Regexp(r"[A-Za-z_]{1,40}\Z"))
    at = fields.String(required=True, validate=Regexp(r"[0-9]{1,11}(\.[0-9]{1,6})?\Z"))
    call = fields.String(required=True, validate=[Length(min=1, max=128), CLEAN])
    direction = fields.String(load_default="inbound", validate=OneOf(DIRECTIONS))
    leg = _text()
    line = _text()
    caller = _text()
    callee = _text()
    queue = _text()
    status = _text(20)
    cause = _text(4)
    state = _text(2)
    reached = _text(3)
    put_down = _text(3)
    age = _text(12)
    recording = fields.String(
        load_default="", validate=[Length(max=2048), Regexp(r"(https?://[^\s\x00-\x1f\x7f\ud800-\udfff]+)?\Z")]
    )


TOLD = Told()


def read_event(body: bytes, event_id: str) -> CallEvent | None:
    """Understand one delivery; None for one a later release wrote. Raises Malformed."""
    try:
        data: dict[str, Any] = TOLD.load(json.loads(body.decode()))
    except ValidationError as error:
        names = sorted(map(str, error.messages_dict))
        raise Malformed(f"Missing or not as agreed: {', '.join(names)}.", code="field.invalid") from None
    except (ValueError, RecursionError):
        raise Malformed("The body is not JSON.", code="body.not_json") from None
    kind = _kind(data)
    if kind is None:
        return None
    at = instant(data["at"])
    age = DURATION.fullmatch(data["age"])
    hours, minutes, seconds = map(int, age.groups()) if age else (0, 0, 0)
    return CallEvent(
        id=event_id,
        type=kind,
        at=at,
        call_ref=data["call"],
        leg_ref=data["leg"],
        direction=data["direction"],
        caller=data["caller"],
        callee=data["callee"],
        agent_extension=data["line"],
        queue=data["queue"],
        started_at=at - timedelta(hours=hours, minutes=minutes, seconds=seconds) if age else None,
        outcome=_outcome(data) if kind == "ended" else None,
        recording_url=data["recording"],
        hung_up=data["put_down"] == "yes",
    )


def _kind(data: Mapping[str, Any]) -> EventType | None:
    match data["event"], data["status"]:
        case (("DialEnd" | "CoreShowChannel"), "ANSWER"):
            return "answered"
        case "DialEnd", _:
            return "ended"
        case "CoreShowChannel", _:
            return "ringing"
        case "VarSet", _:
            return "recording" if data["recording"] else None
        case event, _:
            return PLAIN.get(event)


def _outcome(data: Mapping[str, Any]) -> Outcome | None:
    if data["reached"] == "no":  # click to dial, and the agent's own telephone was not taken: nobody was called
        return "cancelled" if data["cause"] == "21" else "failed"
    if data["event"] == "Hangup":
        return CAUSES.get(data["cause"]) if data["state"] != UP else None
    return STATUSES.get(data["status"])


def instant(epoch: str) -> datetime:
    """Read seconds since 1970, kept to the microsecond."""
    whole, _, part = epoch.partition(".")
    return datetime.fromtimestamp(int(whole), UTC) + timedelta(microseconds=int(part.ljust(6, "0")) if part else 0)
