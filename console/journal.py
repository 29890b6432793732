"""Changes: what keeping contacts in step overwrote or deleted, where two sides disagreed, and taking it back."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console.desk import desk, here, page, read
from console.forms import Nothing, Older, asked, filled
from domain.errors import Malformed
from jobs import sharing
from store.journal import PAGE

bp = Blueprint("journal", __name__, url_prefix="/console/changes")


@bp.get("")
def index() -> ResponseReturnValue:
    """List them, newest first."""
    before = asked(Older())
    found = desk().services.journal.lines(here().tenant.id, before, limit=PAGE + 1)
    lines = found[:PAGE]
    read("read.journal", count=len(lines))
    return page(
        "journal.html", lines=lines, before=before, older=lines[-1].at.isoformat() if len(found) > PAGE else None
    )


@bp.post("/<uuid:line>/undo")
def undo(line: UUID) -> ResponseReturnValue:
    """Put back what was lost."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    sharing.undo(desk().services, here().user, line)
    return redirect(url_for("console.journal.index"), 303)
