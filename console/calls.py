"""The calls, newest first, and the story of one: when it rang, who it was and why we think so, what became of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from console import lines, owed, words
from console.desk import desk, here, page, read
from console.forms import Nothing, Older, asked
from domain.errors import Missing

ROWS = 50

bp = Blueprint("calls", __name__, url_prefix="/console/calls")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show a page of calls; older ones by time."""
    before: datetime | None = asked(Older())
    services, at = desk().services, here()
    found = services.calls.recent(at.tenant.id, limit=ROWS + 1, before=before)
    shown = found[:ROWS]
    read("read.calls", count=len(shown))
    ties = services.connections.all(at.tenant.id)
    return page(
        "calls.html",
        calls=lines.lines(services, at, shown, ties),
        older=shown[-1].call.started_at.isoformat() if len(found) > ROWS else "",
        first=before is None,
        phones=any(tie.kind == "telephony" and tie.state != "disconnected" for tie in ties),
    )


@bp.get("/<uuid:call>")
def one(call: UUID) -> ResponseReturnValue:
    """Show one call from ring to record."""
    asked(Nothing())
    services, at = desk().services, here()
    kept = services.calls.get(at.tenant.id, call)
    if kept is None:
        raise Missing("There is no such call.")
    read("read.calls", f"calls:{kept.id}", count=1)
    ties = services.connections.all(at.tenant.id)
    line = lines.lines(services, at, [kept], ties)[0]
    several = kept.match == "several"
    return page(
        "call.html",
        line=line,
        call=kept.call,
        why=words.MATCHES.get(kept.match, ""),
        others=lines.same_number(services, at.tenant.id, kept.call.customer, at.tenant.region) if several else [],
        owed=owed.of_call(services.db, at.tenant.id, kept.id),
        agent_line=lines.number(kept.call.callee, at.tenant.region)
        if kept.call.direction == "inbound"
        else lines.number(kept.call.caller, at.tenant.region),
    )
