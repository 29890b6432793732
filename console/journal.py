"""Changes: what keeping contacts in step overwrote or deleted, where two sides disagreed, and taking it back."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console.desk import desk, here, page, read
from console.forms import Nothing, Older, asked, filled
from domain.errors import Malformed
from domain.limited_use import NotForThat
from jobs import passages, sharing
from store.journal import PAGE, Kept

EXIT = "changes"  # the gate's name for it (`domain.limited_use`)

bp = Blueprint("journal", __name__, url_prefix="/console/changes")


@bp.get("")
def index() -> ResponseReturnValue:
    """List them, newest first."""
    before = asked(Older())
    lines, older = _lines(before)
    read("read.journal", count=len(lines))
    return page("journal.html", lines=lines, before=before, older=older.isoformat() if older else None)


def _lines(before: datetime | None) -> tuple[list[Kept], datetime | None]:
    """A page of them, and where an older one begins; only those whose Google account still lets us show its word."""
    services, at = desk().services, here()
    found = services.journal.lines(at.tenant.id, before, limit=PAGE + 1)
    shut = set()
    for book in {one.book for one in found}:
        try:
            passages.whole(services, at.tenant.id, EXIT, book, len(found), actor=at.actor)
        except NotForThat:
            shut.add(book)
    lines = [one for one in found[:PAGE] if one.book not in shut]
    if lines:
        passages.note_whole(services, at.tenant.id, EXIT, [one.id for one in lines], actor=at.actor)
    return lines, found[PAGE - 1].at if len(found) > PAGE else None


@bp.post("/<uuid:line>/undo")
def undo(line: UUID) -> ResponseReturnValue:
    """Put back what was lost."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    sharing.undo(desk().services, here().user, line)
    return redirect(url_for("console.journal.index"), 303)
