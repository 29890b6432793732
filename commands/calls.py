"""Telephone calls as an operator sees them: which there are, how one went from door to CRM, and another try."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click

from commands.cli import as_json, cli, say, services, table, tenants_of
from commands.desk import OPERATOR, length_of, of_tenant
from domain.call import DIRECTIONS, OUTCOMES
from domain.errors import Missing
from domain.matching import Trace
from jobs import by_hand, journeys
from jobs.journeys import Mark
from jobs.services import Services
from store.call_book import Kept
from store.database import TenantId
from store.owed import WAITING
from store.sieve import LOG_STATES, Wanted

DAY = click.DateTime(formats=["%Y-%m-%d"])


@cli.group()
def calls() -> None:
    """Telephone calls."""


@calls.command("list")
@of_tenant
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--user", type=click.UUID, help="Taken or made by this user, by id.")
@click.option("--line", default="", help="Taken or made on this inside line.")
@click.option("--direction", default="", type=click.Choice(["", *DIRECTIONS]), show_choices=False)
@click.option("--outcome", default="", type=click.Choice(["", "live", *OUTCOMES]), show_choices=False)
@click.option("--log", default="", type=click.Choice(["", *LOG_STATES]), help="done, waiting or failed in the CRM.")
@click.option("--since", type=DAY, help="Begun on this day (UTC) or later.")
@click.option("--until", type=DAY, help="Begun before this day (UTC).")
@as_json
def calls_list(
    tenant: str | None,
    limit: int,
    user: UUID | None,
    line: str,
    direction: str,
    outcome: str,
    log: str,
    since: datetime | None,
    until: datetime | None,
    json_: bool,
) -> None:
    """List the latest calls, without numbers; why one is not in the CRM stands beside it."""
    rows: list[dict[str, Any]] = []
    with services() as opened:
        for one in tenants_of(opened, tenant):
            wanted = Wanted(
                user=user,
                line=opened.calls.line(one, line) if line else None,
                direction=direction,
                outcome=outcome,
                log=log,
                since=since and since.replace(tzinfo=UTC),
                until=until and until.replace(tzinfo=UTC),
            )
            found = opened.calls.recent(one, limit=limit, wanted=wanted)
            owed = opened.effects.of_calls(one, [kept.id for kept in found])
            rows += [
                {
                    "id": kept.id,
                    "started": kept.call.started_at,
                    "direction": kept.call.direction,
                    "outcome": kept.call.outcome or kept.call.state,
                    "talk seconds": kept.call.talk_seconds,
                    "match": kept.match,
                    "writer": kept.writer,
                    "log": owed[kept.id].state if kept.id in owed else "",
                    "reason": owed[kept.id].reason if kept.id in owed else "",
                }
                for kept in found
            ]
    table(rows, json_=json_, nothing="No such calls.")


@calls.command("count")
@of_tenant
@click.option("--since", default="36h", show_default=True, help="How far back: 90m, 36h or 7d.")
@as_json
def calls_count(tenant: str | None, since: str, json_: bool) -> None:
    """Count calls that began since then, and how their activities stand."""
    window = length_of(since)
    with services() as opened:
        rows = []
        for one in tenants_of(opened, tenant):
            began = opened.db.now() - window
            states, owed = opened.calls.states(one, began), opened.effects.activities(one, began)
            rows.append(
                {
                    "tenant": one,
                    "calls": sum(states.values()),
                    "ended": states.get("ended", 0),
                    "logged": owed.get("done", 0),
                    "owed": sum(owed.get(state, 0) for state in WAITING),
                    "refused": owed.get("dead", 0),
                    "deliveries waiting": opened.inbox.counts(one).get("pending", 0),
                }
            )
    table(rows, json_=json_, nothing="Nobody has installed Linekeeper yet.")


@calls.command("show")
@click.argument("call", type=click.UUID)
@as_json
def calls_show(call: UUID, json_: bool) -> None:
    """Tell one call's way from the door to the CRM. Its people stand as the phone system calls them."""
    with services() as opened:
        tenant, kept = _call(opened, call)
        marks = journeys.timeline(opened, tenant, kept)
        with opened.db.tenant(tenant) as database:
            owed = opened.effects.of_call(database, tenant, kept.id)
        opened.ledger.note(tenant, "read.calls", actor=OPERATOR, subject=f"calls:{kept.id}", count=1)
    facts = {
        "id": kept.id,
        "direction": kept.call.direction,
        "started": kept.call.started_at,
        "answered": kept.call.answered_at,
        "ended": kept.call.ended_at,
        "outcome": kept.call.outcome,
        "match": kept.match,
        "why": None if kept.trace is None else _why(kept.trace),
        "writer": kept.writer,
        "activity": kept.activity,
    }
    told = [f"{name}: {value}" for name, value in facts.items()]
    told += [
        "",
        *(f"{mark.at:%H:%M:%S}.{mark.at.microsecond // 1000:03}  {mark.where:<6}  {_said(mark)}" for mark in marks),
    ]
    timeline = [{"at": mark.at, "where": mark.where, "what": _said(mark)} for mark in marks]
    say({**facts, "effects": owed, "timeline": timeline}, "\n".join(told), json_=json_)


def _said(mark: Mark) -> str:
    if mark.where == "door":
        return f"{mark.about} came in, {mark.late:.3f} s after it happened ({mark.state})"
    return " ".join(filter(None, (mark.about, mark.state, mark.reason and f"({mark.reason})")))


@calls.command("retry")
@click.argument("call", type=click.UUID, required=False)
@of_tenant
@as_json
def calls_retry(call: UUID | None, tenant: str | None, json_: bool) -> None:
    """Try again what was given up of a call's activity, or of every call's; each is read back first."""
    with services() as opened:
        if call is not None:
            one, _ = _call(opened, call)
            count = by_hand.retry(opened, one, call, actor=OPERATOR)
        else:
            count = sum(by_hand.retry(opened, one, None, actor=OPERATOR) for one in tenants_of(opened, tenant))
    say({"again": count}, f"{count} will be tried again.", json_=json_)


def _call(opened: Services, call: UUID) -> tuple[TenantId, Kept]:
    """Find a call by id, whoever's it is."""
    for tenant in opened.db.tenants():
        if (kept := opened.calls.get(tenant, call)) is not None:
            return tenant, kept
    raise Missing("There is no such call.")


def _why(trace: Trace) -> dict[str, Any]:
    """How a call found its person, for an operator: ids, and of each number the last digits."""
    return {
        "told": _ends(trace.told),
        "read in": trace.region,
        "looked up": [_ends(number) for number in trace.tried],
        "found as": _ends(trace.matched),
        "found": [
            {"contact": one.contact, "records": ["/".join(record) for record in one.records]} for one in trace.found
        ],
        "chosen": trace.choice.contact or "/".join(trace.choice.record or ()) or None,
        "because": trace.choice.why,
        "searched": list(trace.order),
        "decided": trace.module or None,
    }


def _ends(number: str) -> str:
    """The last three characters of a number: enough to tell it from others, not whose it is."""
    return f"…{number[-3:]}" if number else ""
