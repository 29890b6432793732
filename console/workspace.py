"""Cards in Google's applications: which Google account is mine, said once and taken back whenever one likes."""

from __future__ import annotations

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console import session
from console.desk import desk, here, page
from console.forms import Nothing, asked, filled
from domain.errors import Malformed
from jobs import workspace

bp = Blueprint("workspace", __name__, url_prefix="/console/workspace")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show whether a Google account is connected, and what that is for."""
    asked(Nothing())
    return page("workspace.html", accounts=workspace.linked(desk().services, here().user))


@bp.post("")
def link() -> ResponseReturnValue:
    """Have Google say which account this is."""
    _pressed()
    value = session.browser()
    address = desk().connect.begin(desk().services, provider="google", purpose="link", browser=value, user=here().user)
    return session.to_consent(address, value)


@bp.post("/unlink")
def unlink() -> ResponseReturnValue:
    """Know none of this user's Google accounts any more."""
    _pressed()
    workspace.unlink(desk().services, here().user)
    return redirect(url_for("console.workspace.index"), 303)


def _pressed() -> None:
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
