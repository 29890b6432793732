"""What people fill in, read with a schema that refuses what it does not know.

`filled` is for forms: its errors stand beside the fields. `asked` is for addresses: a page's query is either right or
a plain 400. Nothing that was sent is echoed in an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flask import request
from marshmallow import RAISE, Schema, ValidationError, fields, post_load, pre_load, validate
from phonenumbers import SUPPORTED_REGIONS
from werkzeug.datastructures import MultiDict

from domain import remark
from domain.api_key import SCOPES
from domain.dial_plan import FORMS, OUTSIDE
from domain.errors import Forbidden, Malformed
from domain.follow_up import MOST_HOURS, MOST_MINUTES, FollowUps
from domain.matching import OF_SEVERAL, POLICIES
from domain.pop import WHENS, PopRules, Wish
from domain.ports import AccountField
from domain.recording import BASES, Rules
from integrations import guard

TOKEN = "csrf_token"  # noqa: S105 - the name of Flask-WTF's field
UNKNOWN = "_schema"
REGIONS = frozenset({"", *SUPPORTED_REGIONS})
CHOOSE = "Please choose one of these."
MESSAGES: dict[str, Any] = {
    "required": "Please fill this in.",
    "null": "Please fill this in.",
    "invalid": "This cannot be read.",
    "unknown": "This form has no such field.",
}


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it came: the value, or what is wrong with which field."""

    value: Any = None
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not self.errors


class Form(Schema):
    """A form of ours: unknown fields are refused, and messages are for people."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": MESSAGES["unknown"]}  # noqa: RUF012 - marshmallow reads it from the class


def text(*, most: int, required: bool = True) -> fields.String:
    """A line of text that people type."""
    short = validate.Length(max=most, error=f"At most {most} characters.")
    if not required:
        return fields.String(load_default="", validate=[short], error_messages=MESSAGES)
    there = validate.Length(min=1, error=MESSAGES["required"])
    return fields.String(required=True, validate=[there, short], error_messages=MESSAGES)


def _load(schema: Schema, sent: MultiDict[str, str]) -> Filled:
    data: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, values in sent.lists():
        if name == TOKEN:
            continue
        if isinstance(schema.fields.get(name), fields.List):
            data[name] = values
        elif len(values) > 1:
            errors[name] = ["This was sent more than once."]
        else:
            data[name] = values[0].strip()
    given = {name: value for name, value in data.items() if isinstance(value, str) and name in schema.fields}
    try:
        value = schema.load(data)
    except ValidationError as error:
        told = error.messages if isinstance(error.messages, dict) else {UNKNOWN: error.messages}
        for name, messages in told.items():
            place = name if name in schema.fields else UNKNOWN  # an unknown field's name is not echoed
            errors.setdefault(place, _plain(messages))
        return Filled(None, errors, given)
    return Filled(None if errors else value, errors, given)


def _plain(messages: Any) -> list[str]:
    """Sentences out of whatever shape marshmallow nested them in."""
    if isinstance(messages, str):
        return [messages]
    parts = messages.values() if isinstance(messages, dict) else messages
    return list(dict.fromkeys(sentence for part in parts for sentence in _plain(part)))


def filled(schema: Schema) -> Filled:
    """Read the form that was sent."""
    return _load(schema, request.form)


def asked(schema: Schema) -> Any:
    """Read the query of this page's address. Raises Malformed."""
    found = _load(schema, request.args)
    if not found.good:
        code = "field.unknown" if UNKNOWN in found.errors else "field.invalid"
        raise Malformed("The address of this page asks for something it does not have.", code=code)
    return found.value


# ---- the forms --------------------------------------------------------------------------------------------


class Nothing(Form):
    """A button: nothing but the token."""


class Older(Form):
    """Which part of a list by time: what came before `before`."""

    before = fields.AwareDateTime(format="iso", default_timezone=None, load_default=None)

    @post_load
    def to_moment(self, data: dict[str, Any], **_: Any) -> datetime | None:
        before: datetime | None = data["before"]
        return before.astimezone(UTC) if before is not None else None


class Search(Form):
    """Who is looked for: the beginning of a name, a number or an address."""

    q = text(most=200, required=False)

    @post_load
    def to_text(self, data: dict[str, Any], **_: Any) -> str:
        return str(data["q"])


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of the ledger."""

    action: str
    before: int | None


class LedgerRows(Form):
    """Which rows of the ledger: whose action begins so, and which came before `before`."""

    action = fields.String(load_default="", validate=validate.Regexp(r"^[a-z_.]{0,40}$"))
    before = fields.Integer(load_default=None, validate=validate.Range(min=1, max=2**62))

    @post_load
    def to_rows(self, data: dict[str, Any], **_: Any) -> Rows:
        return Rows(data["action"], data["before"])


class Wanted(Form):
    """The features an administrator ticked."""

    features = fields.List(fields.String(validate=validate.Regexp(r"^[a-z-]{1,40}$")), load_default=list)

    @post_load
    def to_slugs(self, data: dict[str, Any], **_: Any) -> tuple[str, ...]:
        return tuple(dict.fromkeys(data["features"]))


class Recordings(Form):
    """What an administrator decides about recordings."""

    inbound = fields.String(required=True, validate=validate.OneOf(BASES, error="Please choose one of these."))
    outbound = fields.String(required=True, validate=validate.OneOf(BASES, error="Please choose one of these."))
    archive = fields.Boolean(load_default=False, truthy={"yes"}, falsy={"no"}, error_messages=MESSAGES)
    days = fields.String(load_default="", validate=validate.Regexp(r"^[0-9]{0,4}$", error=MESSAGES["invalid"]))

    def __init__(self, most: int | None) -> None:
        """`most`: the days the privacy profile allows; None: as many as one likes."""
        super().__init__()
        self.most = most

    @post_load
    def to_rules(self, data: dict[str, Any], **_: Any) -> Rules:
        days = int(data["days"]) if data["days"] else None
        if days is not None and not 1 <= days <= (self.most or 9999):
            raise ValidationError(f"From 1 to {self.most or 9999}, or nothing.", "days")
        return Rules(inbound=data["inbound"], outbound=data["outbound"], archive=data["archive"], days=days)


class Dialled(Form):
    """A number to dial, and which of one's own telephones to ring; none: the one chosen before."""

    number = text(most=200)
    extension = text(most=64, required=False)


class Line(Form):
    """Which of one's own telephones rings when one dials from here."""

    extension = text(most=64, required=False)


class Plan(Form):
    """How numbers are spelt for the telephone system, and a number to try it on."""

    form = fields.String(required=True, validate=validate.OneOf(FORMS, error="Please choose one of these."))
    outside = fields.String(
        load_default="", validate=validate.Regexp(rf"^{OUTSIDE.pattern}$", error="Up to four digits.")
    )
    before = fields.String(
        load_default="", validate=validate.Regexp(rf"^{OUTSIDE.pattern}$", error="Up to four digits.")
    )
    sample = text(most=200, required=False)
    do = fields.String(load_default="save", validate=validate.OneOf(("save", "try")))


class Press(Form):
    """A button of a live call; keys come with their digits, a call that is passed on with whom it is passed on to."""

    digits = text(most=32, required=False)
    to = text(most=200, required=False)
    press = text(most=64, required=False)  # names this press, so that a page that sends it twice presses once


class Pressed(Form):
    """Which press the panel wants to know about."""

    press = text(most=64)


class Key(Form):
    """A new key for a program of the tenant's."""

    label = text(most=80)
    scopes = fields.List(
        fields.String(validate=validate.OneOf(SCOPES)),
        required=True,
        validate=[validate.Length(min=1, error="Choose at least one.")],
        error_messages={**MESSAGES, "required": "Choose at least one."},
    )


class Way(Form):
    """Who a call to one of the tenant's numbers is for: a user or a queue."""

    number = text(most=64)
    user = fields.UUID(load_default=None, error_messages=MESSAGES, allow_none=True)
    queue = text(most=80, required=False)

    @pre_load
    def nobody(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in data.items() if name != "user" or value}


def choice(among: Iterable[str], **options: Any) -> fields.String:
    """One of a list."""
    known = validate.OneOf(tuple(among), error="Please choose one of these.")
    return fields.String(validate=known, error_messages=MESSAGES, **options)


class PopsForm(Form):
    """When calls come up by themselves, and whether agents may choose otherwise."""

    inbound = choice(WHENS, required=True)
    outbound = choice(WHENS, required=True)
    locked = fields.Boolean(load_default=False, truthy={"yes"}, falsy={"no"}, error_messages=MESSAGES)

    @post_load
    def to_rules(self, data: dict[str, Any], **_: Any) -> PopRules:
        return PopRules(**data)


class WishForm(Form):
    """When an agent wants calls to come up; empty: as everybody."""

    inbound = choice(("", *WHENS), required=True)
    outbound = choice(("", *WHENS), required=True)

    @post_load
    def to_wish(self, data: dict[str, Any], **_: Any) -> Wish:
        return Wish(inbound=data["inbound"] or None, outbound=data["outbound"] or None)


def number(most: int) -> fields.String:
    """A whole number from 0 to `most`."""

    def fits(value: str) -> None:
        if not (value.isascii() and value.isdecimal() and len(value) <= 4 and int(value) <= most):
            raise ValidationError(f"A whole number from 0 to {most}.")

    return fields.String(required=True, validate=fits, error_messages=MESSAGES)


class FollowUpsForm(Form):
    """What becomes of calls nobody took."""

    hours = number(MOST_HOURS)
    minutes = number(MOST_MINUTES)
    fallback = fields.String(load_default="", error_messages=MESSAGES)

    def __init__(self, people: Iterable[str]) -> None:
        """`people`: the ids of those whose task it may be."""
        super().__init__()
        self.people = {"", *people}

    @post_load
    def to_rules(self, data: dict[str, Any], **_: Any) -> FollowUps:
        if data["fallback"] not in self.people:
            raise ValidationError("Please choose one of these.", "fallback")
        return FollowUps(hours=int(data["hours"]), minutes=int(data["minutes"]), fallback=data["fallback"])


class Person(Form):
    """Whose number it is; `back`: where the form stood."""

    contact = fields.UUID(required=True, error_messages=MESSAGES)
    back = fields.String(load_default="call", validate=validate.OneOf(("call", "panel")))


class Back(Form):
    """A button; `back`: where it stood."""

    back = fields.String(load_default="call", validate=validate.OneOf(("call", "panel")))


class Lead(Form):
    """Somebody unknown, as an agent writes them down."""

    family = text(most=80)
    given = text(most=40, required=False)
    company = text(most=200, required=False)
    back = fields.String(load_default="call", validate=validate.OneOf(("call", "panel")))


class Matching(Form):
    """What an administrator decides about shared numbers."""

    policy = fields.String(required=True, validate=validate.OneOf(POLICIES, error="Please choose one of these."))


class SearchOrder(Form):
    """One press on the page of the search order."""

    do = choice(("up", "down", "add", "drop"), required=True)
    module = text(most=64)


class SeveralDeals(Form):
    """Which of several open deals of one customer has the call."""

    of_several = choice(OF_SEVERAL, required=True)


class Region(Form):
    """The country a phone system's numbers are dialled in; empty: the organisation's."""

    region = fields.String(load_default="", validate=validate.OneOf(REGIONS, error="Two letters of a country: ES, GB."))

    @pre_load
    def in_capitals(self, data: Any, **_: Any) -> Any:
        return {**data, "region": data["region"].upper()} if isinstance(data.get("region"), str) else data


class Country(Form):
    """The country a tenant's numbers without a country code are dialled in."""

    country = fields.String(
        required=True, validate=validate.OneOf(SUPPORTED_REGIONS, error="Two letters of a country: ES, GB.")
    )

    @pre_load
    def in_capitals(self, data: Any, **_: Any) -> Any:
        return {**data, "country": data["country"].upper()} if isinstance(data.get("country"), str) else data


class RemarkForm(Form):
    """What an agent says of a call; which words there are is the tenant's choice."""

    note = text(most=remark.NOTE_CHARACTERS, required=False)
    disposition = text(most=remark.DISPOSITION_CHARACTERS, required=False)


class AfterCall(Form):
    """What an administrator wants to hear after a call: a word a line."""

    dispositions = fields.String(load_default="", validate=[validate.Length(max=4_000, error="This is too long.")])
    required = fields.Boolean(load_default=False, truthy={"yes"}, falsy={"no"}, error_messages=MESSAGES)
    transcripts = fields.Boolean(load_default=False, truthy={"yes"}, falsy={"no"}, error_messages=MESSAGES)

    @post_load
    def to_wishes(self, data: dict[str, Any], **_: Any) -> remark.Wishes:
        words = tuple(dict.fromkeys(filter(None, (line.strip() for line in data["dispositions"].splitlines()))))
        if len(words) > remark.DISPOSITIONS or any(len(word) > remark.DISPOSITION_CHARACTERS for word in words):
            raise ValidationError(
                f"At most {remark.DISPOSITIONS} words of {remark.DISPOSITION_CHARACTERS} characters.", "dispositions"
            )
        if any(not word.isprintable() for word in words):
            raise ValidationError(MESSAGES["invalid"], "dispositions")
        if data["required"] and not words:
            raise ValidationError("Write down at least one word to choose from.", "dispositions")
        return remark.Wishes(dispositions=words, required=data["required"], transcripts=data["transcripts"])


class Account(Form):
    """What a telephony vendor needs to be told; its fields come from the vendor."""


def account_form(described: tuple[AccountField, ...], allowed_private_hosts: frozenset[str]) -> Schema:
    """Make the form of a vendor's account."""

    def address(value: str) -> None:
        if not value:
            return
        try:
            guard.check_url(value, allowed_private_hosts)
        except Forbidden as error:
            raise ValidationError(str(error)) from None

    def made(one: AccountField) -> fields.String:
        line = text(most=2048 if one.kind == "url" else 500, required=not one.optional)
        if one.kind == "url":
            line.validators.append(address)
        return line

    return Account.from_dict({one.name: made(one) for one in described}, name="Account")(unknown=RAISE)
