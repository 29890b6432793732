"""The forms around calls: which of the list, one entered or put right by hand, a number set apart, one to return."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from marshmallow import fields, post_load, pre_load, validate

from console.forms import CHOOSE, MESSAGES, Form, text
from domain.call import DIRECTIONS, OUTCOMES

LOG_WORDS = ("", "done", "waiting", "failed")


class Calls(Form):
    """Which calls of the list; days are the tenant's own."""

    before = fields.AwareDateTime(format="iso", default_timezone=None, load_default=None)
    user = fields.UUID(load_default=None)
    line = fields.String(load_default="", validate=validate.Regexp(r"^([0-9a-f]{64})?$"))
    direction = fields.String(load_default="", validate=validate.OneOf(["", *DIRECTIONS]))
    outcome = fields.String(load_default="", validate=validate.OneOf(["", "live", *OUTCOMES]))
    log = fields.String(load_default="", validate=validate.OneOf(LOG_WORDS))
    since = fields.Date(format="%Y-%m-%d", load_default=None)
    until = fields.Date(format="%Y-%m-%d", load_default=None)

    @pre_load
    def leave_out_empty(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """A browser sends the fields nobody filled in, too."""
        return {name: value for name, value in data.items() if value != ""}

    @post_load
    def to_utc(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if data["before"] is not None:
            data["before"] = data["before"].astimezone(UTC)
        return data


def talk() -> fields.String:
    """How long people spoke: 3 minutes, or 3:20."""
    valid = validate.Regexp(r"^([0-9]{1,4}(:[0-5][0-9])?)?$", error="Write minutes, or minutes:seconds.")
    return fields.String(load_default="", validate=[valid], error_messages=MESSAGES)


def minutes(text: str) -> timedelta:
    """Read what `talk` let through."""
    whole, _, seconds = text.partition(":")
    return timedelta(minutes=int(whole or 0), seconds=int(seconds or 0))


class Entered(Form):
    """A call entered by hand."""

    token = fields.UUID(required=True, error_messages=MESSAGES)
    direction = fields.String(required=True, validate=validate.OneOf(["inbound", "outbound"], error=CHOOSE))
    number = text(most=64)
    started = fields.NaiveDateTime(format="%Y-%m-%dT%H:%M", required=True, error_messages=MESSAGES)
    outcome = fields.String(required=True, validate=validate.OneOf(OUTCOMES, error=CHOOSE))
    talk = talk()


class Corrected(Form):
    """What somebody puts right of a call. `contact`: keep, nobody, or somebody's id."""

    outcome = fields.String(required=True, validate=validate.OneOf(OUTCOMES, error=CHOOSE))
    talk = talk()
    contact = fields.String(
        load_default="keep", validate=validate.Regexp(r"^(keep|nobody|[0-9a-f-]{36})$", error=CHOOSE)
    )
    user = fields.UUID(load_default=None, error_messages=MESSAGES)


class Apart(Form):
    """A number that is ours, or to be left out or blocked."""

    kind = fields.String(required=True, validate=validate.OneOf(["own", "left_out", "blocked"], error=CHOOSE))
    number = text(most=64)
    reason = text(most=200, required=False)


class Shown(Form):
    """When those we dial are shown one of our numbers."""

    number = fields.UUID(required=True, error_messages=MESSAGES)
    to = text(most=64, required=False)
    user = fields.UUID(load_default=None, error_messages=MESSAGES)

    @pre_load
    def leave_out_empty(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in data.items() if value != ""}


class Unshown(Form):
    """A rule to take back, as the page named it."""

    to = fields.String(load_default="", validate=validate.Length(max=16))
    user = fields.String(load_default="", validate=validate.Length(max=36))


class Whose(Form):
    """Who should return a call; nobody named: whoever comes first."""

    user = fields.UUID(load_default=None, error_messages=MESSAGES)

    @pre_load
    def leave_out_empty(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in data.items() if value != ""}
