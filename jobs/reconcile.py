"""Nothing lost: the phone system's own list, our calls and the CRM's activities are laid side by side and put right.

Every few minutes over the last half hour and over whatever time we were away, every night over a day and a half with a
statement in the ledger, once over a week when a phone system is connected. What is read is read beside the tenant's
`calls` lane, which is held only to take calls over: nobody's phone rings later because of it. A run that is cut short
goes on where it was; told twice, it finds nothing to do.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from domain.call import SAME, CallEvent, differ
from domain.contact import Line, Person
from domain.errors import NotAllowed, Upstream
from domain.statement import Statement
from domain.urgency import in_background
from jobs import log_call, who
from jobs.agree import agree
from jobs.services import Services
from store.calls import Heard
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.sieve import NO_CUSTOMER

log = structlog.get_logger()

SLIDING = timedelta(minutes=30)
NIGHTLY = timedelta(hours=36)
BACKFILL = timedelta(days=7)  # also the longest absence that is made up for by itself
FIRST = timedelta(minutes=1)  # after it is connected: the phone system has to be told of its door, too
EVERY_SECONDS, DAY_SECONDS = 300, 86_400
NIGHT_HOUR = 3  # of the tenant's own clock
ROWS = 100  # of the list, taken over in one transaction
PAGE = 500  # calls of ours, compared at once
SLICE_SECONDS = 5.0  # then the lane's other work gets its turn
BACKFILL_ROWS = 300  # in one slice: history waits, live calls do not
BREATH = timedelta(seconds=1)
BACKFILL_BREATH = timedelta(seconds=10)
LANE_SECONDS = 10.0  # as long as somebody may stay in a lane


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run over a window, as far as it has come."""

    since: datetime
    until: datetime
    listed: datetime | None = None  # how far the list is taken over; None once it is
    taken: frozenset[str] = frozenset()  # ids of rows later than that which are taken over too
    after: tuple[datetime, UUID] | None = None  # the last call of ours that was compared
    statement: Statement = field(default_factory=Statement)

    def as_text(self) -> str:
        return json.dumps(
            {
                "since": self.since.isoformat(),
                "until": self.until.isoformat(),
                "listed": self.listed and self.listed.isoformat(),
                "taken": sorted(self.taken),
                "after": self.after and [self.after[0].isoformat(), str(self.after[1])],
                "statement": asdict(self.statement),
            }
        )

    @classmethod
    def from_text(cls, text: str) -> _Run:
        told = json.loads(text)
        after = told["after"]
        return cls(
            since=datetime.fromisoformat(told["since"]),
            until=datetime.fromisoformat(told["until"]),
            listed=datetime.fromisoformat(told["listed"]) if told["listed"] else None,
            taken=frozenset(told["taken"]),
            after=(datetime.fromisoformat(after[0]), UUID(after[1])) if after else None,
            statement=Statement(**told["statement"]),
        )


# ---- one run ------------------------------------------------------------------------------------------------------


@in_background()
def reconcile(services: Services, tenant: TenantId, window: timedelta) -> Statement:
    """Lay everything of a tenant side by side over `window` and put it right, now and to the end."""
    total = Statement()
    for tie in phone_systems(services, tenant):
        run = _begin(services, window)
        _go_on(services, tie, run, seconds=math.inf)
        total.add(run.statement)
    return total


def phone_systems(services: Services, tenant: TenantId) -> list[Tie]:
    """The connected phone systems that keep a list of their calls."""
    ties = services.connections.all(tenant, kind="telephony", connected=True)
    return [tie for tie in ties if tie.vendor in services.telephony and services.telephony[tie.vendor].traits.calls]


def _begin(services: Services, window: timedelta, last: datetime | None = None) -> _Run:
    """A run over `window`, or since the `last` one where that is longer."""
    now = services.now()
    since = max(min(now - window, last or now), now - max(window, BACKFILL))
    return _Run(since=since, until=now, listed=since)


def _go_on(services: Services, tie: Tie, run: _Run, *, seconds: float, rows: float = math.inf) -> bool:
    """Work on a run for so long, or so many rows of the list; True when it is complete."""
    ends = time.monotonic() + seconds
    if run.listed is not None:
        try:
            if not _take_list(services, tie, run, run.listed, ends, rows):
                return False
            if tie.troubled:
                services.connections.ok(tie.tenant, tie.id)
        except NotAllowed as error:
            if error.code != "account.incomplete":  # nobody said where the list is, so there is none to lay beside
                raise
        run.listed = None
    crm = services.connections.first(tie.tenant, "crm")
    if crm is None:
        run.statement.crm = "none"
        return True
    try:
        return _compare(services, tie, crm, run, ends)
    except Upstream as error:  # the CRM's trouble, not the phone system's: the next run looks again
        run.statement.crm = error.code
        services.connections.trouble(tie.tenant, crm.id, error.code)
        return True


# ---- the phone system's list --------------------------------------------------------------------------------------


def _take_list(services: Services, tie: Tie, run: _Run, at: datetime, ends: float, rows: float) -> bool:
    """Take over what the list has and we have not; False when there is more and the time is up."""
    batch: list[CallEvent] = []
    done: list[CallEvent] = []
    for event in services.phone_system(tie).calls(at):
        if event.id in run.taken:
            continue
        batch.append(event)
        if len(batch) < ROWS:
            continue
        _take_rows(services, tie, run.statement, batch)
        done += batch
        batch = []
        reached = event.at - SAME  # rows of one second may be on both sides of the cut
        if reached > at and (len(done) >= rows or time.monotonic() >= ends):
            run.listed = reached
            run.taken = frozenset(row.id for row in done if row.at > reached)
            return False
    _take_rows(services, tie, run.statement, batch)
    return True


def _take_rows(services: Services, tie: Tie, statement: Statement, rows: Sequence[CallEvent]) -> None:
    """Fold rows of the list into the calls they tell of; a call they tell nothing new of is not touched."""
    if not rows:
        return
    with _calls_lane(services, tie.tenant):
        heard = services.calls.hear(tie.tenant, tie.id, [replace(row, listed=True) for row in rows])
        unwanted = _unwanted(services, tie, [item for item in heard if item.before is None])
        news: list[Heard] = []
        statement.listed += len(heard)
        for item in heard:
            if item.before is None:
                if item.id in unwanted:
                    statement.forgotten += unwanted[item.id]
                    continue
                statement.missing += 1
            elif item.before.state != "ended":
                statement.unended += 1
            elif differ(item.before, item.call):
                statement.corrected += 1
            else:
                continue
            news.append(item)
        if news:
            log_call.take_over(services, tie, news)
    if news:
        services.ring(tie.tenant, "calls")


def _unwanted(services: Services, tie: Tie, unknown: Sequence[Heard]) -> dict[UUID, int]:
    """Calls we do not know and shall not: of the forgotten or too old (1), or known from a former connection (0)."""
    if not unknown:
        return {}
    tenant = services.tenants.get(tie.tenant)
    region = who.region_of(tie, tenant)
    due = services.profiles.get(tenant.profile).keeps("calls").due_before(services.now())
    before = services.calls.elsewhere(tie.tenant, tie.id, {item.call.ref for item in unknown})
    people = {
        item.id: Person(lines=tuple(Line.read(said, region=region) for said in _parties(item))) for item in unknown
    }
    gone = {value for kind, value in services.hub.forgotten(tie.tenant, people.values()) if kind == "number"}
    unwanted: dict[UUID, int] = {}
    for item in unknown:
        if any(ref == item.call.ref and abs(start - item.call.started_at) <= SAME for ref, start in before):
            unwanted[item.id] = 0
        elif (due is not None and item.call.started_at <= due) or any(
            line.e164 in gone for line in people[item.id].lines
        ):
            unwanted[item.id] = 1
    return unwanted


def _parties(item: Heard) -> Iterator[str]:
    yield from filter(None, (item.call.caller, item.call.callee))


@contextmanager
def _calls_lane(services: Services, tenant: TenantId) -> Iterator[None]:
    """Hold the tenant's `calls` lane; whoever holds it now leaves within ten seconds. Raises TryLater."""
    with services.lanes.wait(tenant, "calls", LANE_SECONDS):
        yield
    services.ring(tenant, "calls")  # who came while we held it went away again


# ---- our calls and the CRM ----------------------------------------------------------------------------------------


def _compare(services: Services, tie: Tie, crm: Tie, run: _Run, ends: float) -> bool:
    """Compare our ended calls with the CRM's activities; False when there are more and the time is up."""
    while True:
        calls = services.calls.ended(tie.tenant, tie.id, run.since, after=run.after, limit=PAGE)
        ours = [call for call in calls if call.match not in NO_CUSTOMER]
        if unplanned := agree(services, crm, ours, run.statement):
            with _calls_lane(services, tie.tenant):
                again = services.calls.hear(tie.tenant, tie.id, (), again=[call.call.ref for call in unplanned])
                log_call.take_over(services, tie, again)
        if len(calls) < PAGE:
            return True
        run.after = (calls[-1].call.started_at, calls[-1].id)
        if time.monotonic() >= ends:
            return False


# ---- as chores ----------------------------------------------------------------------------------------------------


def set_up(services: Services, tenant: TenantId, tie: UUID) -> None:
    """Have a phone system with a list of calls reconciled from now on, and its last week taken over once."""
    zone = services.tenants.get(tenant).time_zone
    night = until_night(services.now(), zone)
    chores = services.chores
    chores.set_up(tenant, tie, "reconcile", lane="contacts", every_seconds=EVERY_SECONDS, first_in=FIRST)
    chores.set_up(tenant, tie, "reconcile.night", lane="contacts", every_seconds=DAY_SECONDS, first_in=night)
    chores.set_up(tenant, tie, "backfill", lane="contacts", every_seconds=EVERY_SECONDS, first_in=FIRST)


def sweep(services: Services, tie: Tie, chore: Chore) -> dict[str, Any]:
    """The last half hour, or everything since the last sweep when that was longer ago."""
    told = services.connections.cursor(tie.tenant, tie.id, "reconcile.last")
    run = _slice(services, tie, chore.kind, SLIDING, datetime.fromisoformat(told) if told else None)
    if run is None:
        return {"again_in": BREATH}
    services.connections.set_cursor(tie.tenant, tie.id, "reconcile.last", run.until.isoformat())
    return _result(run)


def night(services: Services, tie: Tie, chore: Chore) -> dict[str, Any]:
    """A day and a half, with a statement in the ledger."""
    run = _slice(services, tie, chore.kind, NIGHTLY)
    if run is None:
        return {"again_in": BREATH}
    services.ledger.note(
        tie.tenant,
        "statement",
        subject=f"connections:{tie.id}",
        since=run.since.isoformat(timespec="seconds"),
        until=run.until.isoformat(timespec="seconds"),
        **run.statement.as_facts(),
    )
    zone = services.tenants.get(tie.tenant).time_zone
    return {"again_in": until_night(services.now(), zone), **_result(run)}


def backfill(services: Services, tie: Tie, chore: Chore) -> dict[str, Any]:
    """The week before a phone system was connected, slowly; then never again."""
    run = _slice(services, tie, chore.kind, BACKFILL, rows=BACKFILL_ROWS)
    if run is None:
        return {"again_in": BACKFILL_BREATH}
    services.chores.end(tie.tenant, chore)
    services.ledger.note(tie.tenant, "calls.backfilled", subject=f"connections:{tie.id}", **run.statement.as_facts())
    return _result(run)


def _slice(
    services: Services,
    tie: Tie,
    kind: str,
    window: timedelta,
    last: datetime | None = None,
    *,
    rows: float = math.inf,
) -> _Run | None:
    """Go on with a chore's run, or begin one; return it when it is complete. How far it came is kept in any case."""
    kept = services.connections.cursor(tie.tenant, tie.id, kind)
    run = _Run.from_text(kept) if kept else _begin(services, window, last)
    complete = False
    try:
        complete = _go_on(services, tie, run, seconds=SLICE_SECONDS, rows=rows)
    finally:
        services.connections.set_cursor(tie.tenant, tie.id, kind, "" if complete else run.as_text())
    if not complete:
        return None
    log.info("reconciled", tenant=str(tie.tenant), connection=str(tie.id), chore=kind, **run.statement.as_facts())
    return run


def _result(run: _Run) -> dict[str, Any]:
    return {"compared": run.statement.compared, "repaired": run.statement.repairs, "left": run.statement.left}


def until_night(now: datetime, time_zone: str) -> timedelta:
    """How long it is until the tenant's next quiet hour."""
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        zone = ZoneInfo("UTC")
    here = now.astimezone(zone)
    tonight = here.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    next_one = tonight if tonight > here else tonight + timedelta(days=1)
    return next_one.astimezone(now.tzinfo) - now
