"""An edit as a device tells it: somebody as it knew them, and as it has them now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import json
from marshmallow import RAISE, Schema, ValidationError, fields
from marshmallow.validate import Length, Regexp

from domain.contact import Line, Person
from domain.edit import Edit
from domain.errors import Malformed
from domain.phone import LONGEST
from domain.telling import Field

PARTS: Mapping[Field, str] = {  # what a device calls each field
    "name": "name",
    "company": "company",
    "title": "title",
    "lines": "numbers",
    "emails": "emails",
}
MOST_VALUES = 50  # numbers, or addresses, of one person
CLEAN = Regexp(r"[^\x00-\x1f\x7f\ud800-\udfff]*\Z", error="Not a line of text.")


def _text(most: int) -> fields.Str:
    return fields.Str(load_default="", validate=[Length(max=most), CLEAN])


class _Number(Schema):
    class Meta:
        unknown = RAISE

    number = fields.Str(required=True, validate=[Length(min=1, max=LONGEST), CLEAN])
    extension = fields.Str(load_default="", validate=Regexp(r"[0-9]{0,9}\Z"))
    label = _text(64)


class _Person(Schema):
    class Meta:
        unknown = RAISE

    id = fields.Str(load_default="", validate=Length(max=64))  # a contact may come back as it was told
    name = _text(512)  # what it was shown as; said by the two halves
    given = _text(255)
    family = _text(255)
    company = _text(255)
    title = _text(255)
    numbers = fields.List(fields.Nested(_Number), load_default=list, validate=Length(max=MOST_VALUES))
    emails = fields.List(
        fields.Str(validate=[Length(min=3, max=254), CLEAN]), load_default=list, validate=Length(max=MOST_VALUES)
    )


class _Edit(Schema):
    class Meta:
        unknown = RAISE

    was = fields.Nested(_Person, required=True)
    now = fields.Nested(_Person, required=True)


_EDIT = _Edit()
NOWHERE = {"_schema": "the whole of it"}
NAMES = {"was", "now", *_Person().fields, *_Number().fields}


def edit_from(body: bytes, region: str) -> Edit:
    """Read an edit; numbers without a country code are dialled from `region`. Raises Malformed."""
    try:
        told = _EDIT.load(json.loads(body))
    except ValidationError as error:
        where = ", ".join(_places(error.messages_dict))
        raise Malformed(
            f"Tell was and now, each a contact as GET /api/v1/contacts lists it. Look at {where}.", code="field.invalid"
        ) from None
    except (ValueError, RecursionError):
        raise Malformed("This is not JSON.") from None
    return Edit(was=_person(told["was"], region), now=_person(told["now"], region))


def _places(found: Mapping[Any, Any], above: str = "") -> Iterator[str]:
    """Where something is wrong, by our own names and places in a list: none of what was said."""
    for name, inside in found.items():
        known = name if name in NAMES or isinstance(name, int) else NOWHERE.get(name, "an unknown field")
        if isinstance(inside, Mapping):
            yield from _places(inside, f"{above}{known}.")
        else:
            yield f"{above}{known}"


def _person(told: Mapping[str, Any], region: str) -> Person:
    return Person(
        given=told["given"].strip(),
        family=told["family"].strip(),
        company=told["company"].strip(),
        title=told["title"].strip(),
        lines=tuple(_line(one, region) for one in told["numbers"]),
        emails=tuple(address.strip() for address in told["emails"]),
    )


def _line(told: Mapping[str, str], region: str) -> Line:
    line = Line.read(told["number"], told["label"], region)
    return Line(raw=line.raw, e164=line.e164, extension=told["extension"] or line.extension, label=line.label)
