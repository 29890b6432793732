"""Writing a message into Zoho: a page that says exactly what goes where, and the one button that does it."""

from __future__ import annotations

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from marshmallow import fields, validate

from console import mail, words
from console.desk import Here, desk, here, page
from console.forms import MESSAGES, Filled, Form, Nothing, asked, filled
from domain.errors import Missing
from domain.mail import Message
from jobs import noting

bp = Blueprint("noting", __name__, url_prefix="/console")


class Place(Form):
    """On which record: its module and its id."""

    record = fields.String(
        required=True, validate=validate.Regexp(r"^[A-Za-z0-9_]{1,64}/[A-Za-z0-9_-]{1,64}$"), error_messages=MESSAGES
    )


@bp.get("/messages/<message>/zoho")
def ask(message: str) -> ResponseReturnValue:
    """Say what would be written, and where."""
    asked(Nothing())
    at = here()
    return _page(at, _opened(at, message), Filled())


@bp.post("/messages/<message>/zoho")
def write(message: str) -> ResponseReturnValue:
    """Write it: the button was pressed."""
    at, form = here(), filled(Place())
    found = _opened(at, message)
    if not form.good:
        return _page(at, found, form), 400
    module, _, remote_id = form.value["record"].partition("/")
    noting.write(desk().services, at.user, found, (module, remote_id))
    return redirect(url_for("console.contacts.message", message=found.key), 303)


def _opened(at: Here, key: str) -> Message:
    """The message with its body, as it is at Google now. Raises Missing for one this user may not see."""
    found = desk().open_message(desk().services, user=at.user, message_id=key) if len(key) <= 128 else None
    if found is None:
        raise Missing("This message is not here (any more).")
    return found


def _page(at: Here, message: Message, form: Filled) -> str:
    services = desk().services
    known = noting.records(services, at.tenant, message)
    names = mail.names(at, {one.contact for one in known})
    return page(
        "noting.html",
        message=message,
        note=noting.draft(services, at.tenant, message, known[0].key) if known else None,
        records=[(one, names.get(one.contact, ""), words.noted(one.state)) for one in known],
        allowed=noting.crm_of(services, at.tenant.id) is not None,
        errors=form.errors,
    )
