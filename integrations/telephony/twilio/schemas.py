"""The one place that knows how Twilio spells things: forms of callbacks and rows of lists in, events and legs out.

https://www.twilio.com/docs/voice/api/call-resource. Fields are often there and empty; whatever we have no purpose for
is left behind. What a leg means for its call is said in `integrations.telephony.legs`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range, Regexp

from domain.call import CallEvent, Outcome, TextNews
from integrations.telephony import legs
from integrations.telephony.form import LINK, load, read_form
from integrations.telephony.legs import Leg
from integrations.telephony.twilio.texts import read_message

RFC_2822 = re.compile(r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} ([+-][0-9]{4}|GMT)")
MOST_SECONDS = 31 * 86_400
YEARS = range(2000, 3000)  # far from the ends of what can be added and taken away
DECLINED = "603"  # SIP "Decline"; Twilio calls it busy or failed
OUTCOMES: Mapping[str, Outcome] = {
    "completed": "answered",
    "busy": "busy",
    "no-answer": "no_answer",
    "failed": "failed",
    "canceled": "cancelled",
}
IN = ("inbound", "trunking-originating")  # from the public network to us
OUT = ("outbound-api", "outbound-dial", "trunking-terminating")
TRUNK = "trunking-"  # a leg between a PBX and the network: who picked up is the PBX's business, so an answer counts


class Instant(fields.Field[datetime]):
    """A moment as RFC 2822 writes it; UTC from here on."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str) or not RFC_2822.fullmatch(value):
            raise ValidationError("Not a time.")
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            raise ValidationError("Not a time there is.") from None
        if at.year not in YEARS:
            raise ValidationError("Not a time of a call.")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)  # "-0000": UTC, place unknown


def text(most: int, *, required: bool = False, **more: Any) -> fields.String:
    return fields.String(required=required, allow_none=not required, validate=Length(max=most), **more)


def sid(*, required: bool = False, **more: Any) -> fields.String:
    return fields.String(required=required, allow_none=not required, validate=Regexp(r"[!-9;-~]{1,64}\Z"), **more)


def whole_seconds(**more: Any) -> fields.Integer:
    return fields.Integer(allow_none=True, validate=Range(min=0, max=MOST_SECONDS), **more)


class Loose(Schema):
    class Meta:
        unknown = EXCLUDE  # they may add fields; we keep only what we have a purpose for


class Status(Loose):
    """A status callback: one step of one leg."""

    ref = sid(data_key="CallSid", required=True)
    parent = sid(data_key="ParentCallSid")
    status = text(32, data_key="CallStatus", required=True)
    direction = fields.String(data_key="Direction", required=True, validate=OneOf((*IN, *OUT)))
    caller = text(256, data_key="From")
    callee = text(256, data_key="To")
    at = Instant(data_key="Timestamp", required=True)
    seconds = whole_seconds(data_key="CallDuration")  # `Duration` is minutes, rounded up
    sip = text(8, data_key="SipResponseCode")
    recording_url = fields.String(data_key="RecordingUrl", validate=Regexp(rf"{LINK}\Z"))


class Recording(Loose):
    """A recording callback. A conference's has no call."""

    ref = sid(data_key="CallSid")
    status = text(32, data_key="RecordingStatus", required=True)
    url = fields.String(data_key="RecordingUrl", validate=Regexp(rf"{LINK}\Z"))
    at = Instant(data_key="RecordingStartTime", required=True)
    seconds = whole_seconds(data_key="RecordingDuration")
    source = text(64, data_key="RecordingSource")


class Row(Loose):
    """A leg in the account's list of calls. A leg that never rang has no start, one that is not over no end."""

    ref = sid(data_key="sid", required=True)
    parent = sid(data_key="parent_call_sid")
    status = text(32, required=True)
    direction = text(32, required=True)
    caller = text(256, data_key="from")
    callee = text(256, data_key="to")
    started_at = Instant(data_key="start_time", allow_none=True)
    ended_at = Instant(data_key="end_time", allow_none=True)
    seconds = whole_seconds(data_key="duration")


STATUS, RECORDING, ROW = Status(), Recording(), Row()


def read_event(body: bytes, event_id: str) -> CallEvent | TextNews | None:
    """Understand one callback; None for a fault report and steps that are no news. Raises Malformed."""
    form = read_form(body)
    if "CallStatus" in form:
        return _step(load(STATUS, form), event_id)
    if "RecordingStatus" in form:
        return _recording(load(RECORDING, form), event_id)
    return read_message(form, event_id)


def read_row(row: Any) -> Leg | None:
    """Understand one leg of the list; None for one that is not over. Raises Malformed."""
    if isinstance(row, dict):
        row = {name: None if value == "" else value for name, value in row.items()}
    data = load(ROW, row)
    if data["direction"] not in (*IN, *OUT) or data["status"] not in OUTCOMES or data.get("ended_at") is None:
        return None
    return _leg(data | {"at": data["ended_at"]})


def _step(data: Mapping[str, Any], event_id: str) -> CallEvent | None:
    leg = _leg(data)
    return legs.event(leg, id=event_id, at=data["at"]) if leg is not None else None


def _leg(data: Mapping[str, Any]) -> Leg | None:
    """Make a leg of what a callback or a row says; None while it is only queued, and for a status of tomorrow."""
    trunk = data["direction"].startswith(TRUNK)
    leg = Leg(
        ref=data["ref"],
        root=data.get("parent") or data["ref"],
        dialled=data["direction"] in OUT,
        caller=data.get("caller") or "",
        callee=data.get("callee") or "",
        state="ringing",
        started_at=data.get("started_at"),
        recording_url=data.get("recording_url") or "",
        picked_up=trunk,
    )
    match data["status"]:
        case "ringing":
            return leg
        case "in-progress":
            return replace(leg, state="answered", answered_at=data["at"])
        case status if status in OUTCOMES:
            talk = timedelta(seconds=data.get("seconds") or 0)
            outcome = OUTCOMES[status]
            if data.get("sip") == DECLINED and outcome in ("busy", "failed"):
                outcome = "rejected"
            if outcome == "answered" and not talk and leg.reaches_a_person:
                outcome = "no_answer"  # taken and let go within the same second
            began = data["at"] - talk  # in a callback; a row's start includes the ringing
            return replace(
                leg,
                state="ended",
                outcome=outcome,
                started_at=data.get("started_at") or (began if leg.is_root and talk else None),
                answered_at=began if outcome == "answered" else None,
                ended_at=data["at"],
            )
        case _:
            return None


def _recording(data: Mapping[str, Any], event_id: str) -> CallEvent | None:
    if data["status"] != "completed" or not data.get("ref") or not data.get("url"):
        return None
    return CallEvent(
        id=event_id,
        type="voicemail" if data.get("source") == "RecordVerb" else "recording",  # <Record> asks the caller to speak
        at=data["at"] + timedelta(seconds=data.get("seconds") or 0),
        call_ref=data["ref"],  # always the root leg's
        recording_url=data["url"],
    )
