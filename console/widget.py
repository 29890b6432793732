"""The frame on a record in Zoho: who it is, their calls and the threads of mail the user may see. It shows, and writes
nothing.

A frame of another site gets none of the console's cookies, so it has a session of its own, which opens these pages and
no others: its cookie lies in the partition of the site around it. It begins with a code that somebody signed in to the
console was given (`console.pairing`).
"""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

from flask import Blueprint, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from console import lines, mail, session
from console.desk import Here, desk, here, page, read
from console.forms import Filled, Form, Nothing, asked, filled, text
from domain.errors import Forbidden, Missing
from integrations.zoho.datacentres import origin
from integrations.zoho.embedding import framed_by, framed_by_any
from store.connections import Tie

COOKIE, KIND, CODE = "linekeeper_widget", "widget", "widget_code"
HOURS = 12
NAMED = re.compile(r"[A-Za-z0-9_]{1,64}")  # a module, a record's id; widget.js has the same
CALLS, MESSAGES = 8, 30  # messages, among which threads are looked for

bp = Blueprint("widget", __name__, url_prefix="/widget/zoho")


class Code(Form):
    """What the console showed."""

    code = text(most=40)


@bp.before_request
def frame() -> None:
    """Let Zoho frame these pages, and seat whoever is signed in here."""
    settings = desk().services.settings
    g.framed_by = framed_by_any(settings.zoho_serverinfo_url)
    if not all(NAMED.fullmatch(name) for name in (request.view_args or {}).values()):
        raise Missing
    value = request.cookies.get(session.cookie_name(settings, COOKIE), "")
    found = session.member_of(desk().services.directory.find("widget", value)) if 0 < len(value) <= 128 else None
    if found is not None:
        session.seat(found)
        crm = _crm(here())
        g.framed_by = framed_by(str(crm.facts.get("web", ""))) if crm is not None else ()


@bp.get("")
def index() -> ResponseReturnValue:
    """Wait for Zoho to say which record is open; nothing of anybody is on this page, so Zoho's script may be."""
    script = desk().services.settings.zoho_widget_script
    g.script_from = origin(script)
    g.pop("here", None)
    return page("widget_start.html", script=script)


@bp.get("/<module>/<record>")
def one(module: str, record: str) -> ResponseReturnValue:
    """Show the calls and mail of whom a record is."""
    if not signed_in():
        return _sign_in(Filled()), 401
    return _page(here(), module, record)


@bp.post("/<module>/<record>")
def enter(module: str, record: str) -> ResponseReturnValue:
    """Begin a session in this frame, with a code that is good once."""
    _own_form()
    form = filled(Code())
    value = "".join(sign for sign in (form.value or {}).get("code", "").upper() if sign.isalnum())
    entry = desk().services.directory.take("widget_code", value) if value else None
    found = session.member_of(entry)
    if found is None:
        wrong = {"code": ["This code is not good (any more). Get another one."]}
        return _sign_in(Filled(None, form.errors or wrong)), 401
    services = desk().services
    until = services.now() + timedelta(hours=HOURS)
    fresh = services.directory.new("widget", found.user.tenant, user=found.user.id, expires_at=until)
    services.ledger.note(found.user.tenant, "signed_in", actor=f"user:{found.user.id}", where="zoho")
    back = redirect(url_for("console.widget.one", module=module, record=record), 303)
    return session.set_in_frame(back, COOKIE, fresh, HOURS * 3600)


@bp.post("/<module>/<record>/leave")
def leave(module: str, record: str) -> ResponseReturnValue:
    """End this frame's session."""
    _own_form()
    settings = desk().services.settings
    desk().services.directory.strike("widget", request.cookies.get(session.cookie_name(settings, COOKIE), ""))
    back = redirect(url_for("console.widget.one", module=module, record=record), 303)
    return session.set_in_frame(back, COOKIE, "", 0)


def signed_in() -> bool:
    return g.get("here") is not None


def _own_form() -> None:
    """Take a form of this very page only. There is no form token: its cookie does not reach a frame of another site."""
    if request.headers.get("Sec-Fetch-Site") != "same-origin" and (
        request.headers.get("Origin") != desk().services.settings.origin
    ):
        raise Forbidden("This form did not come from Linekeeper.", code="csrf")


def _sign_in(form: Filled) -> str:
    g.pop("here", None)
    return page("widget_enter.html", errors=form.errors)


def _page(at: Here, module: str, record: str) -> str:
    asked(Nothing())
    services, crm = desk().services, _crm(at)
    link = services.hub.links(at.tenant.id, crm.id, [(module, record)]).get((module, record)) if crm else None
    contact = UUID(str(link.contact)) if link is not None else None
    if contact is not None:
        read("read.contact", f"contacts:{contact}", where="zoho")
    calls = services.calls.recent(at.tenant.id, limit=CALLS, contact=contact) if contact is not None else []
    return page(
        "widget.html",
        name=mail.names(at, [contact]).get(contact, "") if contact is not None else "",
        contact=contact,
        calls=lines.lines(services, at, calls),
        mail=mail.beside(at, contact, MESSAGES) if contact is not None else [],
        record={"module": module, "record": record},
    )


def _crm(at: Here) -> Tie | None:
    return desk().services.connections.first(at.tenant.id, "crm")
