"""Mail that is written here, and marks on messages: answers, letters to contacts, read and unread, labels.

What somebody writes is sent from their own mailbox. Pages show how a letter stands, never what it said.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, validate, validates_schema

from console import words
from console.desk import Here, desk, here, page
from console.forms import MESSAGES, Filled, Form, Nothing, asked, filled, text
from domain.contact import fold_email
from domain.errors import Malformed, Missing, Upstream
from domain.mail import Message, threads
from jobs import letters, noting, passages, privacy

EXIT = "mail"  # the gate's name for these pages (`domain.limited_use`)
LONGEST = 20_000
SUBJECT = 200
THREAD = 50  # of a contact's messages, among which a thread is looked for
OURS = {"UNREAD": "Unread", "STARRED": "Starred"}  # Gmail's own labels that people set by hand

bp = Blueprint("mail", __name__, url_prefix="/console")


def _said() -> fields.String:
    def plain(value: str) -> None:
        if any(ord(each) < 32 and each not in "\r\n\t" for each in value):
            raise ValidationError(MESSAGES["invalid"])

    several = text(most=LONGEST)
    several.validators.append(plain)
    return several


class Answer(Form):
    """What somebody answers. `token`: this very form, so that sending it twice is sending it once."""

    text = _said()
    token = fields.UUID(required=True, error_messages=MESSAGES)


def _subject() -> fields.String:
    def one_line(value: str) -> None:
        if not value.isprintable():
            raise ValidationError(MESSAGES["invalid"])

    line = text(most=SUBJECT)
    line.validators.append(one_line)
    return line


class Letter(Answer):
    """What somebody writes to a contact, at one of their addresses."""

    to = text(most=320)
    subject = _subject()


class Marks(Form):
    """A label to put on, or one to take off."""

    add = fields.String(load_default="", validate=validate.Length(max=64))
    remove = fields.String(load_default="", validate=validate.Length(max=64))

    @validates_schema
    def one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        if bool(data.get("add")) == bool(data.get("remove")):
            raise ValidationError("Choose one label.")


@bp.post("/messages/<message>/answer")
def answer(message: str) -> ResponseReturnValue:
    """Answer a message in its thread."""
    at, found = _cached(message)
    form = filled(Answer())
    if not form.good:
        whole = desk().open_message(desk().services, user=at.user, message_id=message)
        return opened(at, whole or found, form), 400
    token: UUID = form.value["token"]
    letters.answer(desk().services, at.user, found, form.value["text"], token=token)
    return redirect(url_for("console.mail.letter", token=token), 303)


@bp.post("/contacts/<uuid:contact>/write")
def write(contact: UUID) -> ResponseReturnValue:
    """Write to a contact."""
    at, form = here(), filled(Letter())
    if not form.good:
        return composing(at, contact, form), 400
    said, token = form.value, form.value["token"]
    letters.write(desk().services, at.user, contact, said["to"], said["subject"], said["text"], token=token)
    return redirect(url_for("console.mail.letter", token=token), 303)


@bp.get("/contacts/<uuid:contact>/write")
def compose(contact: UUID) -> ResponseReturnValue:
    """Show the form for a letter to a contact."""
    asked(Nothing())
    return composing(here(), contact)


def composing(at: Here, contact: UUID, form: Filled | None = None) -> str:
    """The page a letter is written on, or what was filled in and is wrong."""
    services = desk().services
    found = passages.people(services, at.tenant.id, EXIT, [contact], actor=at.actor).get(contact)
    if found is None:
        raise Missing("There is no such contact.")
    return page(
        "write.html",
        contact=found,
        tie=letters.own_mailbox(services, at.user, "send-mail"),
        given=form.given if form else {},
        errors=form.errors if form else {},
        token=uuid.uuid4(),
        longest=LONGEST,
    )


@bp.get("/letters/<uuid:token>")
def letter(token: UUID) -> ResponseReturnValue:
    """Show how a letter stands."""
    asked(Nothing())
    state, reason = letters.standing(desk().services, here().user, token)
    return page("letter.html", state=state, reason=reason)


@bp.post("/messages/<message>/labels")
def label(message: str) -> ResponseReturnValue:
    """Mark a message at Google: read or unread, or with one of the user's own labels."""
    at, found = _cached(message)
    form = filled(Marks())
    if not form.good:
        raise Malformed("This form cannot be read.", code="field.invalid")
    wanted = form.value["add"] or form.value["remove"]
    if wanted not in OURS and wanted not in dict(_labels(at, found)):
        raise Malformed("There is no such label.", code="field.invalid")
    letters.label(desk().services, at.user, found, **form.value)
    return redirect(url_for("console.contacts.message", message=message), 303)


def beside(at: Here, contact: UUID, limit: int) -> list[tuple[list[Message], datetime | None]]:
    """The threads of a contact that are cached, the latest first, and when the newest message of each goes."""
    services = desk().services
    cached = privacy.visible(services, at.user, services.mail.of_contact(at.tenant.id, contact, limit))
    subject = f"contacts:{contact}"
    found = threads([*passages.let_out_mail(services, at.tenant.id, EXIT, cached, actor=at.actor, subject=subject)])
    return [(thread, services.mail.gone_at(at.tenant.id, thread[0].key)) for thread in found]


def names(at: Here, contacts: Collection[UUID]) -> dict[UUID, str]:
    """What people are called, as far as it may be shown."""
    known = passages.people(desk().services, at.tenant.id, EXIT, contacts, actor=at.actor)
    return {contact: one.person.name for contact, one in known.items()}


def _in_zoho(at: Here, message: Message) -> list[tuple[str, words.Word, str]]:
    """On whose records a message may be written: the name, how that stands, and why."""
    known = noting.records(desk().services, at.tenant, message)
    called = names(at, {one.contact for one in known})
    return [(called.get(one.contact, ""), words.noted(one.state), words.reason(one.reason)) for one in known]


def opened(at: Here, message: Message, form: Filled | None = None) -> str:
    """A message's page, with what was answered and is wrong."""
    services = desk().services
    return page(
        "message.html",
        message=message,
        gone=services.mail.gone_at(at.tenant.id, message.key),
        thread=[other for other in _thread(at, message) if other.key != message.key],
        answerable=letters.may_answer(services, at.user, message),
        zoho=_in_zoho(at, message),
        labels=_labels(at, message),
        ours=OURS,
        given=form.given if form else {},
        errors=form.errors if form else {},
        token=uuid.uuid4(),
        longest=LONGEST,
    )


def _cached(key: str) -> tuple[Here, Message]:
    at = here()
    found = desk().services.mail.get(at.tenant.id, key) if len(key) <= 128 else None
    if found is None or not privacy.visible(desk().services, at.user, [found]):
        raise Missing("This message is not here (any more).")
    passages.let_out_mail(desk().services, at.tenant.id, EXIT, [found], actor=at.actor)
    return at, found


def _labels(at: Here, message: Message) -> list[tuple[str, str]]:
    """The user's own labels, where we may change them; none while Google does not say."""
    services = desk().services
    tie = letters.may_label(services, at.user, message)
    try:
        return [] if tie is None else [*OURS.items(), *services.mailbox(tie).labels()]
    except Upstream:
        return list(OURS.items())


def _thread(at: Here, message: Message) -> list[Message]:
    """What is cached of a message's thread, the newest first."""
    services = desk().services
    people = services.hub.by_email(at.tenant.id, map(fold_email, message.correspondents))
    contacts = {contact for found in people.values() for contact in found}
    cached = [one for contact in contacts for one in services.mail.of_contact(at.tenant.id, contact, THREAD)]
    mine = (message.mailbox, message.thread)  # so it is seen by whoever sees the message
    near = {one.key: one for one in cached if (one.mailbox, one.thread) == mine}
    passing = passages.let_out_mail(services, at.tenant.id, EXIT, [*near.values()], actor=at.actor)
    return next(iter(threads([*passing])), [])
