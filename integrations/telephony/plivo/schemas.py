"""The one place that knows how Plivo spells things: forms of callbacks and rows of lists in, events and legs out.

https://www.plivo.com/docs/voice/api/call. What a leg means for its call is said in `integrations.telephony.legs`.

StartTime, AnswerTime and EndTime come in the account's own zone and do not say which; SessionStart comes in UTC. The
two begin within moments of each other, so their distance, to the quarter of an hour, is the zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Range, Regexp

from domain.call import CallEvent, Outcome, TextNews
from domain.errors import Malformed
from integrations.telephony import legs
from integrations.telephony.form import LINK, load, read_form
from integrations.telephony.legs import Leg
from integrations.telephony.plivo.parties import number
from integrations.telephony.plivo.signature import fold_names
from integrations.telephony.plivo.texts import read_message

TIME = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([+-][0-9]{2}:[0-9]{2})?")
CALLER_NAME = re.compile(r"\+[1-9][0-9]{6,14}")
QUARTER = timedelta(minutes=15)
FURTHEST_ZONE = timedelta(hours=15)
CLOCK_CHANGE = timedelta(minutes=5)  # off by more, and the zone's clock was put forward or back during the call
MOST_SECONDS = 31 * 86_400
MOST_MS = 32_503_680_000_000  # the year 3000
RECORDING_EVENTS = ("record", "recordstop", "recordfile", "recordsession", "")  # "": the API's callback names none
OUTCOMES: Mapping[str, Outcome] = {
    "completed": "answered",
    "busy": "busy",
    "no-answer": "no_answer",
    "timeout": "no_answer",
    "failed": "failed",
    "cancel": "cancelled",
}
CAUSES: Mapping[str, Outcome] = {  # finer than the status where they say more (the last two are unconfirmed names)
    "USER_BUSY": "busy",
    "NO_ANSWER": "no_answer",
    "CALL_REJECTED": "rejected",
    "ORIGINATOR_CANCEL": "cancelled",
}


SIGNS: tuple[tuple[str, Outcome], ...] = (
    ("BUSY", "busy"),
    ("REJECT", "rejected"),
    ("CANCEL", "cancelled"),
    ("FAIL", "failed"),
)


class Instant(fields.Field[datetime]):
    """A moment as Plivo writes it: with an offset, or naive."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str) or not TIME.fullmatch(value):
            raise ValidationError("Not a time.")
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise ValidationError("Not a time there is.") from None


def text(most: int, *, required: bool = False, **more: Any) -> fields.String:
    return fields.String(required=required, allow_none=not required, validate=Length(max=most), **more)


def uuid(*, required: bool = False, **more: Any) -> fields.String:
    return fields.String(required=required, allow_none=not required, validate=Regexp(r"[!-9;-~]{1,64}\Z"), **more)


def whole_seconds(**more: Any) -> fields.Integer:
    return fields.Integer(allow_none=True, validate=Range(min=0, max=MOST_SECONDS), **more)


class Loose(Schema):
    class Meta:
        unknown = EXCLUDE  # they may add fields; we keep only what we have a purpose for


class Step(Loose):
    """A ring, hangup or dial callback. Field names are folded: see `fold_names`."""

    ref = uuid(data_key="calluuid", required=True)
    root = uuid(data_key="aleguuid")
    event = text(64)
    status = text(32, data_key="callstatus")
    direction = fields.String(required=True, validate=OneOf(("inbound", "outbound")))
    caller = text(256, data_key="from")
    callee = text(256, data_key="to")
    caller_name = text(256, data_key="callername")
    session = Instant(data_key="sessionstart")
    started = Instant(data_key="starttime")
    answered = Instant(data_key="answertime")
    ended = Instant(data_key="endtime")
    seconds = whole_seconds(data_key="duration")
    cause = text(64, data_key="hangupcause")
    other = uuid(data_key="dialbleguuid")
    other_from = text(256, data_key="dialblegfrom")
    other_to = text(256, data_key="dialblegto")
    other_seconds = whole_seconds(data_key="dialblegduration")
    other_cause = text(64, data_key="dialbleghangupcause")


class Recording(Loose):
    ref = uuid(data_key="calluuid")
    event = text(64)
    url = fields.String(data_key="recordurl", validate=Regexp(rf"{LINK}\Z"))
    began_ms = fields.Integer(data_key="recordingstartms", validate=Range(max=MOST_MS))
    ended_ms = fields.Integer(data_key="recordingendms", validate=Range(max=MOST_MS))


class Row(Loose):
    """A leg in the account's list of calls; only finished ones are in it."""

    ref = uuid(data_key="call_uuid", required=True)
    parent = uuid(data_key="parent_call_uuid")
    direction = fields.String(data_key="call_direction", required=True, validate=OneOf(("inbound", "outbound")))
    caller = text(256, data_key="from_number")
    callee = text(256, data_key="to_number")
    started = Instant(data_key="initiation_time", allow_none=True)
    answered = Instant(data_key="answer_time", allow_none=True)
    ended = Instant(data_key="end_time", required=True)
    cause = text(64, data_key="hangup_cause_name")
    state = text(32, data_key="call_state")


STEP, RECORDING, ROW = Step(), Recording(), Row()


def read_event(body: bytes, event_id: str) -> CallEvent | TextNews | None:
    """Understand one callback; None for steps that are no news. Raises Malformed."""
    form = read_form(body)
    folded = fold_names(form)
    if len(folded) != len(form):
        raise Malformed("A field of the form is given twice.", code="body.not_form")
    if "recordurl" in folded and folded.get("event", "").lower() in RECORDING_EVENTS:
        return _recording(load(RECORDING, folded), event_id)
    if "messageuuid" in folded and "calluuid" not in folded:
        return read_message(folded, event_id)
    if "calluuid" not in folded or "direction" not in folded:
        return None  # a conference, a report on a recording's transcription
    return _step(load(STEP, folded), event_id)


def read_row(row: Any, zone: tzinfo) -> Leg:
    """Understand one leg of the list; a time without an offset is in `zone`, the account's. Raises Malformed."""
    if isinstance(row, dict):
        row = {name: None if value == "" else value for name, value in row.items()}
    data = load(ROW, row)
    started, answered, ended = (_in_utc(data.get(name), zone) for name in ("started", "answered", "ended"))
    outcome: Outcome = "answered" if answered else _unanswered(data.get("cause"), data.get("state"))
    root = data.get("parent") or data["ref"]
    return Leg(
        ref=data["ref"],
        root=root,
        dialled=data["direction"] == "outbound" or root != data["ref"],
        caller=number(data.get("caller")),
        callee=number(data.get("callee")),
        state="ended",
        outcome=outcome,
        started_at=started or answered or ended,
        answered_at=answered,
        ended_at=ended,
        picked_up=data["direction"] == "inbound" and bool(answered),
    )


def _step(data: Mapping[str, Any], event_id: str) -> CallEvent | None:
    if (data.get("event") or "").startswith("Dial"):
        return _dialled(data, event_id)
    leg = Leg(
        ref=data["ref"],
        root=data.get("root") or data["ref"],
        dialled=data["direction"] == "outbound",
        caller=number(data.get("caller")),
        callee=number(data.get("callee")),
        state="ringing",
    )
    status, offset = data.get("status") or "", _offset(data)
    session = data["session"].replace(tzinfo=UTC) if data.get("session") else None
    if status == "ringing" or status == "in-progress":
        if session is None:
            return None  # nobody says when
        leg = leg if status == "ringing" else replace(leg, state="answered")
        return _customer(legs.event(leg, id=event_id, at=session), leg, data)
    if status not in OUTCOMES:
        return None
    started, answered, ended = (_at(data.get(name), offset) for name in ("started", "answered", "ended"))
    if ended is None:
        raise Malformed("Missing or not as agreed: endtime, sessionstart.", code="field.invalid")
    if answered is not None and data.get("seconds") is not None:
        by_duration = answered + timedelta(seconds=data["seconds"])
        ended = ended if abs(ended - by_duration) < CLOCK_CHANGE else by_duration
    outcome = OUTCOMES[status]
    if outcome == "answered" and answered is None:
        outcome = "no_answer"
    leg = replace(
        leg,
        state="ended",
        outcome=outcome if outcome == "answered" else CAUSES.get(data.get("cause") or "", outcome),
        started_at=started or session,
        answered_at=answered,
        ended_at=ended,
        picked_up=not leg.dialled and outcome == "answered",  # Plivo answers a caller when what it dialled answers
    )
    return _customer(legs.event(leg, id=event_id, at=ended), leg, data)


def _dialled(data: Mapping[str, Any], event_id: str) -> CallEvent | None:
    """Understand a callback of <Dial>: a leg was answered, or ended. Without a time in it, it tells nothing.

    SessionStart alone says who was rung, not when that was answered.
    """
    answered = _at(data.get("answered"), _offset(data))
    talk = timedelta(seconds=data.get("other_seconds") or 0)
    at = answered or (data["session"].replace(tzinfo=UTC) if data.get("session") else None)
    if not data.get("other") or at is None:
        return None
    leg = Leg(
        ref=data["other"],
        root=data.get("root") or data["ref"],
        dialled=True,
        caller=number(data.get("other_from")),
        callee=number(data.get("other_to")),
        state="answered" if answered else "ringing",
        answered_at=answered,
    )
    match data["event"]:
        case "DialAnswer":
            return legs.event(leg, id=event_id, at=at)
        case "DialHangup" if talk and answered:
            leg = replace(leg, state="ended", outcome="answered", ended_at=answered + talk)
            return legs.event(leg, id=event_id, at=answered + talk)
        case "DialHangup" if not talk:
            outcome = _unanswered(data.get("other_cause"), "")
            leg = replace(leg, state="ended", outcome=outcome, answered_at=None, ended_at=at)
            return legs.event(leg, id=event_id, at=at)
        case _:
            return None


def _customer(event: CallEvent | None, leg: Leg, data: Mapping[str, Any]) -> CallEvent | None:
    """Fill in whom an agent was rung for: we say it as the caller's name when we dial, and Plivo repeats it."""
    if event is None or not leg.agent_first:
        return event
    name = data.get("caller_name") or ""
    return replace(event, callee=name) if CALLER_NAME.fullmatch(name) else None  # a call with nobody is no news


def _recording(data: Mapping[str, Any], event_id: str) -> CallEvent | None:
    if not data.get("ref") or not data.get("url"):
        return None
    ms = next((ms for ms in (data.get("ended_ms"), data.get("began_ms")) if ms and ms > 0), None)
    if ms is None:
        raise Malformed("Missing or not as agreed: recordingstartms, recordingendms.", code="field.invalid")
    return CallEvent(
        id=event_id,
        type="recording",
        at=datetime.fromtimestamp(ms / 1000, UTC),
        call_ref=data["ref"],
        recording_url=data["url"],
    )


def _unanswered(cause: str | None, state: str | None) -> Outcome:
    """Say why nobody answered; lists write causes as people do ("Busy Line"), callbacks as programs do (USER_BUSY)."""
    words = f"{cause or ''} {state or ''}".upper().replace("_", " ").replace("-", " ")
    return next((outcome for sign, outcome in SIGNS if sign in words), "no_answer")


def _offset(data: Mapping[str, Any]) -> timedelta | None:
    """How far the account's clock is from UTC, by the two clocks of this event; None when it shows only one."""
    local, session = data.get("started") or data.get("answered"), data.get("session")
    if local is None or session is None or local.tzinfo or session.tzinfo:
        return None
    offset = round((local - session) / QUARTER) * QUARTER
    return offset if abs(offset) <= FURTHEST_ZONE else None


def _at(when: datetime | None, offset: timedelta | None) -> datetime | None:
    if when is None or (when.tzinfo is None and offset is None):
        return None
    return when.astimezone(UTC) if when.tzinfo else (when - (offset or timedelta())).replace(tzinfo=UTC)


def _in_utc(when: datetime | None, zone: tzinfo) -> datetime | None:
    return None if when is None else (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(UTC)
