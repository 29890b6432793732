"""A text message, written here: to whom a conversation, a call or a contact is with, and how it stands afterwards.

Its address names one of these and never a number. What is asked to be sent is owed once for each form there was.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, validate, validates_schema

from console import lines, texts
from console.desk import Here, desk, here, page, read
from console.forms import CHOOSE, MESSAGES, Filled, Form, Nothing, asked, filled, text
from domain import conversation, phone, segments
from domain.errors import Forbidden, Malformed, Missing
from jobs import text_sending
from jobs import texts as stored

if TYPE_CHECKING:
    from jobs.services import Services
    from store.connections import Tie

LONGEST = 2 * text_sending.MOST_CHARACTERS  # as far as a form is read, to say how much too long it is

bp = Blueprint("text_writing", __name__, url_prefix="/console/texts")


class Whom(Form):
    """To whom: the other side of a conversation, a call, or a contact."""

    text = fields.UUID(load_default=None)
    call = fields.UUID(load_default=None)
    contact = fields.UUID(load_default=None)

    @validates_schema
    def one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        if sum(value is not None for value in data.values()) != 1:
            raise ValidationError("Name one.")


class Written(Form):
    """What somebody writes, or wants to know the length of. `token`: this very form."""

    to = text(most=phone.LONGEST)
    sender = text(most=phone.LONGEST, required=False)
    words = text(most=LONGEST)
    token = fields.UUID(required=True, error_messages=MESSAGES)
    do = fields.String(load_default="send", validate=validate.OneOf(["send", "count"], error=CHOOSE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Whom it is for: their name, their numbers, and the page it is written from."""

    who: str
    numbers: list[str]
    back: str
    through: UUID | None = None  # the phone system of the conversation


@bp.get("/write")
def compose() -> ResponseReturnValue:
    """Show the form."""
    return _page(_other(asked(Whom())), Filled())


@bp.post("/write")
def write() -> ResponseReturnValue:
    """Have it sent, or say how long it is."""
    other, form = _other(asked(Whom())), filled(Written())
    services, at = desk().services, here()
    errors = dict(form.errors)
    if form.good and form.value["to"] not in other.numbers:
        errors["to"] = [CHOOSE]
    if form.good and not errors and form.value["do"] == "send":
        told = form.value
        try:
            text_sending.ask(
                services,
                at.user,
                told["to"],
                told["words"],
                actor=at.actor,
                once=_once(told["token"]),
                sender=told["sender"],
                through=other.through,
            )
        except (Forbidden, Malformed) as error:
            errors["words" if error.code == "field.invalid" else "to"] = [str(error)]
        else:
            return redirect(url_for("console.text_writing.written", token=told["token"]), 303)
    seen = Filled(None, errors, form.given)
    return (_page(other, seen), 400) if errors else _page(other, seen)


@bp.get("/written/<uuid:token>")
def written(token: UUID) -> ResponseReturnValue:
    """Show how a message this user wrote stands."""
    asked(Nothing())
    state, reason = text_sending.standing(desk().services, here().user, _once(token))
    return page("text_written.html", state=state, reason=reason, unsure=reason == text_sending.UNSURE)


def _once(token: UUID) -> str:
    return f"page {token}"


def _page(other: Other, form: Filled) -> str:
    services, at = desk().services, here()
    system = text_sending.system_of(services, at.tenant.id, through=other.through)
    able = [number for number in other.numbers if not text_sending.stopped(services, at.tenant.id, number)]
    return page(
        "text_write.html",
        other=other,
        able=able,
        shown=phone.shown,
        system=system,
        senders=_senders(services, at, system, able),
        given=form.given,
        errors=form.errors,
        length=segments.measure(form.given.get("words", "").replace("\r\n", "\n")),
        token=uuid.uuid4(),
        most=text_sending.MOST_CHARACTERS,
    )


def _senders(services: Services, at: Here, system: Tie | None, able: list[str]) -> list[str]:
    return text_sending.offered(services, at.user, system, able[0]) if system is not None and able else []


def _other(told: dict[str, UUID | None]) -> Other:
    """Whom an address names. Raises Missing."""
    if told["text"] is not None:
        return _of_conversation(told["text"])
    return _of_call(told["call"]) if told["call"] is not None else _of_contact(told["contact"])


def _of_conversation(text: UUID) -> Other:
    services, at = desk().services, here()
    found = stored.kept(services).some(at.tenant.id, [text]).get(text)
    if found is None:
        raise Missing("There is no such conversation.")
    read("read.texts", f"texts:{found.id}", count=1)
    (talk,) = texts.talks(services, at, [found], services.connections.all(at.tenant.id))
    back = url_for("console.texts.one", text=text)
    number = phone.read(conversation.customer(found.messages[0]), at.tenant.region).e164
    return Other(who=talk.who, numbers=[number] if number else [], back=back, through=found.connection)


def _of_call(call: UUID | None) -> Other:
    services, at = desk().services, here()
    kept = services.calls.get(at.tenant.id, call) if call is not None else None
    if kept is None:
        raise Missing("There is no such call.")
    read("read.calls", f"calls:{kept.id}", count=1)
    (line,) = lines.lines(services, at, [kept], services.connections.all(at.tenant.id))
    number = phone.read(kept.call.customer, at.tenant.region).e164
    numbers = [number] if number and kept.call.direction != "internal" else []
    return Other(who=line.who, numbers=numbers, back=url_for("console.calls.one", call=call))


def _of_contact(contact: UUID | None) -> Other:
    services, at = desk().services, here()
    found = texts.called(services, at, contact) if contact is not None else None
    if found is None:
        raise Missing("There is no such contact.")
    read("read.contact", f"contacts:{found.id}")
    numbers = list(dict.fromkeys(line.e164 for line in found.person.lines if line.e164 and not line.extension))
    back = url_for("console.contacts.one", contact=contact)
    return Other(who=found.person.name, numbers=numbers, back=back)
