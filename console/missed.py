"""Calls nobody took: who called, when, whether somebody called back since, and how the task to do so stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from console import lines, words
from console.desk import desk, here, page, read
from console.forms import Older, asked
from console.lines import Line, Link
from console.words import Word
from jobs import follow_ups
from store.connections import Tie
from store.missed import After, Owed
from store.sieve import Wanted

ROWS = 50

MISSED = Wanted(outcome="missed", customers=True)

bp = Blueprint("missed", __name__, url_prefix="/console/missed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A missed call with what followed."""

    line: Line
    then: Word
    by: str
    at: datetime | None
    later: UUID | None  # the call that followed
    task: Word | None
    link: Link | None


@bp.get("")
def index() -> ResponseReturnValue:
    """Show a page of missed calls; older ones by time."""
    before: datetime | None = asked(Older())
    services, at = desk().services, here()
    found = services.calls.recent(at.tenant.id, limit=ROWS + 1, before=before, wanted=MISSED)
    shown = found[:ROWS]
    read("read.calls", count=len(shown))
    ties = services.connections.all(at.tenant.id)
    ids = [kept.id for kept in shown]
    after = follow_ups.missed(services).after(at.tenant.id, ids)
    tasks = follow_ups.missed(services).of_calls(at.tenant.id, ids)
    names = {user.id: user.name for user in services.tenants.users(at.tenant.id)} if shown else {}
    return page(
        "missed.html",
        rows=[
            _row(line, kept.match, after[kept.id], tasks.get(kept.id), names, ties)
            for line, kept in zip(lines.lines(services, at, shown, ties), shown, strict=True)
        ],
        older=shown[-1].call.started_at.isoformat() if len(found) > ROWS else "",
        first=before is None,
    )


def _row(
    line: Line, match: str, after: Sequence[After], task: Owed | None, names: dict[UUID, str], ties: Sequence[Tie]
) -> Row:
    spoke = next((call for call in after if call.spoke), None)
    told = spoke or (after[-1] if after else None)  # until they are reached, the latest try
    if told is None:
        then = words.BACK["nobody" if match in ("hidden", "unreadable") else "not_yet"]
    else:
        then = words.BACK["tried" if spoke is None else "back" if told.direction == "outbound" else "again"]
    crm = next((tie for tie in ties if tie.kind == "crm"), None)
    return Row(
        line=line,
        then=then,
        by=names.get(told.user, "") if told is not None and told.user is not None else "",
        at=told.started_at if told is not None else None,
        later=told.call if told is not None else None,
        task=words.task(task.state, closing=task.closing, reason=task.reason) if task is not None else None,
        link=lines.record_link(ties, crm.id, "Tasks", task.task, "In {}") if task and task.task and crm else None,
    )
