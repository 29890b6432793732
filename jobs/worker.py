"""What a worker does when the bell rings: take a lane of a tenant and work through everything in it.

Also what the timetable's sweep relies on: a lane with work is rung for until the work is done. Two rings are one
visit; a ring while somebody is inside is answered by whoever is inside.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from domain.besides import SOURCES
from domain.errors import ConsentLost, NotAllowed, NotNow, Trouble, TryLater, Upstream
from domain.plan import Held
from domain.urgency import in_background
from jobs import (
    archive,
    besides,
    both_ways,
    busy,
    buttons,
    connect,
    holding,
    installing,
    letters,
    licences,
    log_call,
    noting,
    phonebook,
    read_phonebook,
    reconcile,
    recordings,
    sheet_log,
    signals,
    sync_contacts,
    sync_mail,
)
from jobs.services import LICENCE, Services
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.inbox import LANES, Delivery, Lane

log = structlog.get_logger()

VISIT_SECONDS = 10.0  # then other tenants get their turn

_services: Services | None = None


def open_for(services: Services) -> None:
    """Say which tools this worker process uses; called once, before it listens."""
    global _services  # RQ calls `drain` by name, so the process's tools have to be found by name too
    _services = services


def drain(tenant: str, lane: str) -> None:
    """What RQ calls: ids only."""
    if _services is None:
        raise RuntimeError("This worker was started without its tools; use `linekeeper worker`.")
    if lane not in LANES:
        return
    try:
        visit(_services, UUID(tenant), lane)
    except Exception as error:
        # the work is in PostgreSQL and the sweep will ring again; RQ would keep the words of this for a day
        log.error("visit_failed", tenant=tenant, lane=lane, error=type(error).__name__)


def visit(services: Services, tenant: TenantId, lane: Lane, *, seconds: float = VISIT_SECONDS) -> int:
    """Work through a lane until it is empty or time is up; return how many things were done."""
    done, ends = 0, time.monotonic() + seconds
    structlog.contextvars.bind_contextvars(lane=lane)
    try:
        while True:
            with services.lanes.hold(tenant, lane) as held:
                if not held:
                    return done  # whoever is inside looks again when they come out
                with in_background():
                    while (step := STEPS[lane](services, tenant)) and time.monotonic() < ends:
                        done += step
                done += step
            services.bell.answer(tenant, lane)  # what rang so far is seen by the next look; from now on it rings anew
            if (tenant, lane) not in services.lanes.with_work():
                return done
            if time.monotonic() >= ends:
                services.bell.ring(tenant, lane)
                return done
    finally:
        structlog.contextvars.unbind_contextvars("lane")


def _calls(services: Services, tenant: TenantId) -> int:
    with services.calls.at_hand():
        return log_call.hear(services, tenant) + log_call.act(services, tenant)


def _contacts(services: Services, tenant: TenantId) -> int:
    return (
        _deliveries(services, tenant, "contacts", _heard)
        + sync_contacts.act(services, tenant)
        + _chores(services, tenant, "contacts")
    )


def _heard(services: Services, tie: Tie, batch: list[Delivery]) -> None:
    """A CRM tells of records and of our extension there, Google of what became of an account."""
    if tie.kind == "workspace":
        signals.catch_up(services, tie, batch)
        return
    of_us = [one for one in batch if one.kind == installing.KIND]
    installing.catch_up(services, tie, of_us)
    if len(of_us) < len(batch):
        sync_contacts.hear_crm(services, tie, [one for one in batch if one not in of_us])


def _mail(services: Services, tenant: TenantId) -> int:
    return (
        letters.act(services, tenant)
        + noting.act(services, tenant)
        + _deliveries(services, tenant, "mail", sync_mail.hear_mail)
        + _chores(services, tenant, "mail")
    )


STEPS: dict[Lane, Callable[[Services, TenantId], int]] = {"calls": _calls, "contacts": _contacts, "mail": _mail}


def _deliveries(
    services: Services, tenant: TenantId, lane: Lane, hear: Callable[[Services, Tie, list[Delivery]], None]
) -> int:
    waiting: dict[UUID, list[Delivery]] = defaultdict(list)
    for delivery in services.inbox.pending(tenant, lane):
        waiting[delivery.connection].append(delivery)
    for connection, batch in waiting.items():
        tie = services.connections.get(tenant, connection)
        try:
            hear(services, tie, batch)
        except NotNow as error:
            services.inbox.postpone(tenant, batch, error.code, timedelta(seconds=error.wait))
            services.connections.trouble(tenant, connection, error.code)
        except Trouble as error:
            pause = timedelta(seconds=getattr(error, "wait", 0.0))
            wait = max(pause, log_call.SOON if isinstance(error, TryLater) else log_call.PAUSED)
            for delivery in batch:
                services.inbox.failed(tenant, delivery, error.code, wait=wait)
            services.connections.trouble(tenant, connection, error.code)
    return sum(map(len, waiting.values()))


def _renew(services: Services, tie: Tie, chore: Chore) -> None:
    """Renew ahead of expiry, and keep an idle consent alive."""
    licences.look_after(services, tie)
    services.grants.token(tie.tenant, tie.id, services.providers[tie.vendor])


def _users(services: Services, tie: Tie, chore: Chore) -> None:
    """Learn who joined and who left, and have the CRM show each what they can press."""
    connect.learn_users(services, tie.tenant, tie.id, services.crm(tie).users())
    buttons.refresh(services, tie)


CHORES: dict[str, Callable[..., Any]] = {
    "renew": _renew,
    LICENCE: licences.look,
    "users": _users,
    "read.crm": sync_contacts.read_crm,
    "watch.crm": sync_contacts.watch_crm,
    "read.book": sync_contacts.read_book,
    **{source.chore: besides.read for source in SOURCES},
    read_phonebook.CHORE: read_phonebook.read_phonebook,
    "write.phonebook": phonebook.write_phonebook,
    both_ways.CHORE: both_ways.exchange,
    "read.mail": sync_mail.read_mail,
    busy.CHORE: busy.look,
    "watch.mail": sync_mail.watch_mail,
    recordings.ARCHIVE_CHORE: archive.archive,
    sheet_log.CHORE: sheet_log.look,
    "reconcile": reconcile.sweep,
    "reconcile.night": reconcile.night,
    "backfill": reconcile.backfill,
}


def _do(services: Services, tie: Tie, chore: Chore) -> Any:
    """Do a chore; one that would remove more than it may goes on if a person said that so many may go."""
    try:
        return CHORES[chore.kind](services, tie, chore)
    except Held as held:
        if held.removing > chore.may_remove:
            raise
        return CHORES[chore.kind](services, tie, chore, go_on=True)


def _chores(services: Services, tenant: TenantId, lane: Lane) -> int:
    due = services.chores.due(tenant, lane)
    for chore in due:
        tie = services.connections.get(tenant, chore.connection)
        try:
            counts = _do(services, tie, chore)
        except Held as held:
            holding.hold(services, tie, chore, held)
        except (ConsentLost, NotAllowed) as error:
            services.chores.went_badly(tenant, chore, error.code, wait=chore.every_seconds)
            services.connections.trouble(tenant, chore.connection, error.code)
        except Upstream as error:
            services.chores.went_badly(tenant, chore, error.code, wait=getattr(error, "wait", 0.0))
            services.connections.trouble(tenant, chore.connection, error.code)
        except Exception as error:
            # a mistake of ours must not stop the tenant's other chores; its name is logged, its words may be personal
            services.chores.went_badly(tenant, chore, "internal")
            log.error("chore_failed", tenant=str(tenant), chore=chore.kind, error=type(error).__name__)
        else:
            services.chores.went_well(tenant, chore, **(counts or {}))
            log.info("chore_done", tenant=str(tenant), chore=chore.kind)
    return len(due)
