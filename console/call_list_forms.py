"""The forms of call-down lists: a new list, people to add to it, and what was pressed while going through it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from marshmallow import fields, post_load, validate

from console.forms import CHOOSE, MESSAGES, Form, text
from domain.call_down import MOST_PEOPLE, MOST_TRIES, NOTE_CHARACTERS, TITLE_CHARACTERS, TRIES

PASTED_CHARACTERS = MOST_PEOPLE * 120  # a line a person, with a name beside the number
PICK = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12} \+[0-9]{4,15}$"  # a contact, and which of their numbers
LARGEST_TURN = 2**31 - 2


class NewList(Form):
    """What a list is called, how often people on it are tried, and who they are."""

    title = text(most=TITLE_CHARACTERS)
    tries = fields.String(
        load_default=str(TRIES), validate=validate.OneOf(tuple(map(str, range(1, MOST_TRIES + 1))), error=CHOOSE)
    )
    numbers = text(most=PASTED_CHARACTERS, required=False)


class MorePeople(Form):
    """People to put at the end: pasted, a line each."""

    numbers = text(most=PASTED_CHARACTERS)


class Chosen(Form):
    """People to put at the end: ticked among those found."""

    who = fields.List(
        fields.String(validate=validate.Regexp(PICK, error=CHOOSE)),
        required=True,
        validate=validate.Length(min=1, max=MOST_PEOPLE, error="Choose at least one."),
        error_messages={**MESSAGES, "required": "Choose at least one."},
    )

    @post_load
    def to_pairs(self, data: dict[str, Any], **_: Any) -> list[tuple[UUID, str]]:
        return [(UUID(contact), number) for contact, _, number in (who.partition(" ") for who in data["who"])]


class Pressed(Form):
    """What was pressed beside somebody, in which turn of the list."""

    turn = fields.Integer(required=True, validate=validate.Range(min=0, max=LARGEST_TURN), error_messages=MESSAGES)
    do = fields.String(
        required=True,
        validate=validate.OneOf(
            ("dial", "reached", "not_reached", "skip", "nothing_rang", "again", "note", "remove"), error=CHOOSE
        ),
    )
    note = fields.String(
        load_default=None,
        validate=validate.Length(max=NOTE_CHARACTERS, error=f"At most {NOTE_CHARACTERS} characters."),
    )
