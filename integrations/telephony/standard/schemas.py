"""The one place that knows how a `standard` platform spells things: JSON in, `CallEvent` or `TextEvent` out.

A body is read strictly, a time must say its zone, and whatever we have no purpose for is left behind. Whether the
events make sense together is not asked here: `domain.call.fold` adds them up.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar, get_args

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing
from marshmallow.validate import Length, OneOf, Range, Regexp

from domain.call import DIRECTIONS, OUTCOMES, CallEvent, Direction, EventType, TextEvent
from domain.errors import Malformed

T = TypeVar("T")
ID_CHARACTERS = 128
NUMBER_CHARACTERS = 64
EMAIL_CHARACTERS = 254  # RFC 5321, 4.5.3.1.3
URL_CHARACTERS = 2048
TEXT_CHARACTERS = 4096
MEDIA = 10  # pictures and files of one message
DIGITS = 18  # more is no number of ours, and turning many digits into one takes long
CALL_TYPES: Mapping[str, EventType] = {f"call.{name}": name for name in get_args(EventType)}
TEXT_TYPES: Mapping[str, Direction] = {"message.received": "inbound", "message.sent": "outbound"}
FAX_TYPES: Mapping[str, Direction] = {"fax.received": "inbound", "fax.sent": "outbound"}
PAGES = 10_000
REASON_CHARACTERS = 200
LINK = r"https?://[^\s\x00-\x1f\x7f]+"  # it ends up in people's browsers, hence no javascript:
NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:?[0-9]{2})")


class Value(fields.Field[T]):
    """A value that is checked once for each thing asked of it: marshmallow builds a chain of checks for every value."""

    def _validate(self, value: T) -> None:
        for check in self.validators:
            check(value)


class Text(Value[str]):
    """Text a database can hold: no NUL, no half of a character pair. Where it may be left out, null means the same."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or NOT_TEXT.search(value):
            raise ValidationError("Not a text, or holds characters that are none.")
        return value


class Instant(Value[datetime]):
    """A moment as RFC 3339 writes it, zone included; UTC from here on."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str) or not RFC_3339.fullmatch(value):
            raise ValidationError("Not a time with a zone.")
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValidationError("Not a time there is.") from None


class AgentData(Schema):
    class Meta:
        unknown = EXCLUDE

    extension = Text(allow_none=True, validate=Length(max=NUMBER_CHARACTERS))
    email = Text(allow_none=True, validate=Length(max=EMAIL_CHARACTERS))


class Parties(Schema):
    """Who, to whom, which of our people, and what was written or transcribed."""

    class Meta:
        unknown = EXCLUDE  # they may add fields; we keep only what we have a purpose for

    from_ = Text(data_key="from", allow_none=True, validate=Length(max=NUMBER_CHARACTERS))
    to = Text(allow_none=True, validate=Length(max=NUMBER_CHARACTERS))
    agent = fields.Nested(AgentData, allow_none=True)
    text = Text(allow_none=True, validate=Length(max=TEXT_CHARACTERS))


class MessageData(Parties):
    """A text message. It has an id of its own, or that of the call it belongs to; else its event's id has to do."""

    message_id = Text(allow_none=True, validate=Length(max=ID_CHARACTERS))
    call_id = Text(allow_none=True, validate=Length(max=ID_CHARACTERS))
    direction = Text(allow_none=True, validate=OneOf(DIRECTIONS))
    media = fields.List(
        Text(validate=[Length(max=URL_CHARACTERS), Regexp(f"{LINK}\\Z")]), allow_none=True, validate=Length(max=MEDIA)
    )


class FaxData(Parties):
    """A fax whose fate is known."""

    fax_id = Text(required=True, validate=Length(min=1, max=ID_CHARACTERS))
    direction = Text(allow_none=True, validate=OneOf(DIRECTIONS))
    at = Instant(allow_none=True)
    pages = fields.Integer(allow_none=True, strict=True, validate=Range(min=0, max=PAGES))
    status = Text(required=True, validate=OneOf(("delivered", "failed")))
    reason = Text(allow_none=True, validate=Length(max=REASON_CHARACTERS))
    link = Text(allow_none=True, validate=[Length(max=URL_CHARACTERS), Regexp(f"({LINK})?\\Z")])


class CallData(Parties):
    """A call, and what is known of its times so far."""

    call_id = Text(required=True, validate=Length(min=1, max=ID_CHARACTERS))
    direction = Text(required=True, validate=OneOf(DIRECTIONS))
    leg_id = Text(allow_none=True, validate=Length(max=ID_CHARACTERS))
    queue = Text(allow_none=True, validate=Length(max=ID_CHARACTERS))
    started_at = Instant(allow_none=True)
    answered_at = Instant(allow_none=True)
    ended_at = Instant(allow_none=True)
    outcome = Text(allow_none=True, validate=OneOf(OUTCOMES))
    recording_url = Text(allow_none=True, validate=[Length(max=URL_CHARACTERS), Regexp(f"({LINK})?\\Z")])


class EndedData(CallData):
    """The last word on a call must be enough to write it down, should every other event be lost."""

    outcome = Text(required=True, validate=OneOf(OUTCOMES))


class RecordingData(CallData):
    recording_url = Text(required=True, validate=[Length(max=URL_CHARACTERS), Regexp(f"{LINK}\\Z")])


class RowData(EndedData):
    """A call in the platform's own list."""

    ended_at = Instant(required=True)


class Envelope(Schema):
    class Meta:
        unknown = EXCLUDE

    type = Text(required=True, validate=Regexp(r"[A-Za-z0-9_.]{1,128}\Z"))
    timestamp = Instant(required=True)
    data = fields.Dict(required=True)


# Made once: making one takes about as long as using it, and loading leaves nothing behind in it.
ENVELOPE = Envelope()
ROW = RowData()
DATA: Mapping[str, Schema] = {
    **dict.fromkeys(CALL_TYPES, CallData()),
    "call.ended": EndedData(),
    "call.recording": RecordingData(),
    **dict.fromkeys(TEXT_TYPES, MessageData()),
    **dict.fromkeys(FAX_TYPES, FaxData()),
}


def read_event(body: bytes, event_id: str) -> CallEvent | TextEvent | None:
    """Understand one webhook body; None for a type this release does not know. Raises Malformed."""
    envelope = _load(ENVELOPE, strict_json(body))
    if (schema := DATA.get(envelope["type"])) is None:
        return None
    data = _load(schema, envelope["data"], "data.")
    if (direction := TEXT_TYPES.get(envelope["type"])) is not None:
        return _text(event_id, direction, envelope["timestamp"], data)
    if (direction := FAX_TYPES.get(envelope["type"])) is not None:
        return _fax(event_id, direction, envelope["timestamp"], data)
    return _event(event_id, CALL_TYPES[envelope["type"]], envelope["timestamp"], data)


def read_row(row: Any) -> CallEvent:
    """Understand a call of the platform's list as an `ended` event; the same row, the same id. Raises Malformed."""
    data = _load(ROW, row)
    mark = hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()
    return _event(f"list-{mark[:32]}", "ended", data["ended_at"], data)


def strict_json(body: bytes) -> Any:
    """Read UTF-8 JSON that has one meaning only. Raises Malformed for anything else, however deep or long it is."""
    try:
        return STRICT.decode(body.decode())
    except (ValueError, RecursionError):  # bad JSON and bad UTF-8 are ValueErrors
        raise Malformed("The body is not strict JSON.", code="body.not_json") from None


def _event(event_id: str, kind: EventType, at: datetime, data: Mapping[str, Any]) -> CallEvent:
    agent = data.get("agent") or {}
    return CallEvent(
        id=event_id,
        type=kind,
        at=at,
        call_ref=data["call_id"],
        leg_ref=data.get("leg_id") or "",
        direction=data["direction"],
        caller=data.get("from_") or "",
        callee=data.get("to") or "",
        agent_email=agent.get("email") or "",
        agent_extension=agent.get("extension") or "",
        queue=data.get("queue") or "",
        started_at=data.get("started_at"),
        answered_at=data.get("answered_at"),
        ended_at=data.get("ended_at"),
        outcome=data.get("outcome"),
        recording_url=data.get("recording_url") or "",
        transcript=(data.get("text") or "") if kind == "voicemail" else "",
    )


def _text(event_id: str, direction: Direction, at: datetime, data: Mapping[str, Any]) -> TextEvent:
    """Received or sent is the type's word; only that both ends are our own is the data's."""
    agent = data.get("agent") or {}
    return TextEvent(
        id=event_id,
        at=at,
        message_ref=data.get("message_id") or data.get("call_id") or event_id,
        direction="internal" if data.get("direction") == "internal" else direction,
        sender=data.get("from_") or "",
        receiver=data.get("to") or "",
        text=data.get("text") or "",
        agent_email=agent.get("email") or "",
        agent_extension=agent.get("extension") or "",
        media=tuple(data.get("media") or ()),
    )


def _fax(event_id: str, direction: Direction, at: datetime, data: Mapping[str, Any]) -> TextEvent:
    plain = _text(event_id, direction, data.get("at") or at, data)
    return replace(
        plain,
        message_ref=data["fax_id"],
        media=tuple(filter(None, (data.get("link"),))),
        fax=True,
        pages=data.get("pages") or 0,
        failed=(data.get("reason") or "no reason told") if data["status"] == "failed" else "",
    )


def _load(schema: Schema, value: Any, where: str = "") -> dict[str, Any]:
    """Load `value`; a fault names the fields, which are ours, and never what stood in them."""
    try:
        return _each(schema, value)
    except ValidationError:
        pass  # which other fields are at fault too, marshmallow says
    try:
        loaded: dict[str, Any] = schema.load(value)
    except ValidationError as error:
        names = ", ".join(sorted(where + name for name in _names(error.messages_dict)))
        raise Malformed(f"Missing or not as agreed: {names}.", code="field.invalid") from None
    return loaded


def _each(schema: Schema, value: Any) -> dict[str, Any]:
    """Load `value` field by field: for what is as agreed, marshmallow's own way costs twice what its fields do."""
    if not isinstance(value, Mapping):
        raise ValidationError("Not an object.")
    loaded: dict[str, Any] = {}
    for name, field in schema.load_fields.items():
        told = value.get(field.data_key or name, missing)
        if told is missing and not field.required:
            continue
        if isinstance(field, fields.Nested) and told:
            loaded[name] = _each(field.schema, told)
        else:
            loaded[name] = field.deserialize(told, name, value)
    return loaded


def _names(faults: Mapping[str, Any]) -> Iterator[str]:
    for name, inner in faults.items():
        if isinstance(inner, Mapping):
            yield from (f"{name}.{below}" for below in _names(inner))
        else:
            yield "(all of it)" if name == "_schema" else name


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError("too many digits")
    return int(digits)


def _fraction(digits: str) -> float:
    number = float(digits) if len(digits) <= 2 * DIGITS else math.inf
    if not math.isfinite(number):
        raise ValueError("too large or too long a number")
    return number


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


STRICT = json.JSONDecoder(  # made once, as the schemas are
    object_pairs_hook=_object, parse_int=_whole, parse_float=_fraction, parse_constant=_no_number
)
