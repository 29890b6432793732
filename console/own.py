"""What an agent decides for themselves: when calls come up by themselves, unless the administrator locked it."""

from __future__ import annotations

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console.desk import desk, here, page
from console.forms import Filled, Nothing, WishForm, asked, filled
from jobs import pops

bp = Blueprint("own", __name__, url_prefix="/console/own")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show one's own wish beside what the administrator decided."""
    asked(Nothing())
    return _page(Filled())


@bp.post("")
def wish() -> ResponseReturnValue:
    """Take over one's own wish. Raises Forbidden when it is locked."""
    form = filled(WishForm())
    if not form.good:
        return _page(form), 400
    pops.wish(desk().services, here().tenant, here().user, form.value)
    return redirect(url_for("console.panel.index"), 303)


def _page(form: Filled) -> str:
    mine = here().user.pops
    given = form.given or {"inbound": mine.inbound or "", "outbound": mine.outbound or ""}
    return page("own.html", rules=here().tenant.pops, given=given, errors=form.errors)
