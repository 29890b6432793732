"""The call log in a spreadsheet of one Google account: how it stands, start it, stop it."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console import words
from console.desk import desk, here, page
from console.forms import Nothing, asked, filled
from console.google_forms import Switch
from domain.errors import Malformed, Missing
from domain.own_account import holder
from jobs import sheet_log
from store.connections import Tie

bp = Blueprint("sheet", __name__, url_prefix="/console/connections/<uuid:tie>/sheet")


@bp.get("")
def index(tie: UUID) -> ResponseReturnValue:
    """Show where it is, or what starting it means."""
    asked(Nothing())
    found, services = _tie(tie), desk().services
    log = sheet_log.how(services, found)
    return page("sheet.html", tie=found, log=log, may=sheet_log.may(services, found), why=words.reason(log.why))


@bp.post("")
def switch(tie: UUID) -> ResponseReturnValue:
    """Start or stop it."""
    found, services = _tie(tie), desk().services
    form = filled(Switch())
    if not form.good:
        raise Malformed("Say on or off.", code="field.invalid")
    if form.value["on"] == "no":
        sheet_log.stop(services, found, actor=here().actor)
    elif sheet_log.may(services, found):
        sheet_log.start(services, found, actor=here().actor)
    return redirect(url_for("console.sheet.index", tie=found.id), 303)


def _tie(tie: UUID) -> Tie:
    """A Google account of the organisation's; a user's own is nobody else's business. Raises Missing."""
    found = desk().services.connections.get(here().tenant.id, tie)
    if found.kind != "workspace" or found.state == "disconnected" or holder(found.facts) is not None:
        raise Missing("There is no such Google account here.")
    return found
