"""Do not disturb while my calendar says busy: who wants that, and whether it holds for them now.

Two things have to be said for it: a consent of its own at Google, and the user's switch here. Only while both stand is
the calendar asked, every few minutes, for the times of the next hour. Whatever goes wrong means not busy: a call nobody
was told of costs more than a disturbance.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from domain.busy import CURSOR, BusyTimes
from domain.errors import Forbidden, Trouble, Upstream
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie

if TYPE_CHECKING:
    from store.tenants import Tenant, User

log = structlog.get_logger()

CHORE, FEATURE = "read.busy", "busy"
FACT = "busy_of"  # of a connection: the user whose calendar it is, while their consent carries that
EVERY_SECONDS = 300
AHEAD = timedelta(hours=1)


def calendars(services: Services, user: User) -> list[Tie]:
    """The accounts in which a user allowed us to see when they are busy."""
    ties = services.connections.all(user.tenant, kind="workspace", connected=True)
    return [tie for tie in ties if tie.facts.get(FACT) == str(user.id)]


def undisturbed(services: Services, user: User) -> bool:
    """Whether this user is not to be disturbed now. Whoever did not switch it on costs nothing to ask about."""
    if not user.pops.undisturbed or services.tenants.get(user.tenant).pops.locked:
        return False
    now = services.now()
    try:
        known = [_times(services, tie) for tie in calendars(services, user) if tie.state == "active"]
    except Trouble as error:
        log.warning("busy_unknown", tenant=str(user.tenant), user=str(user.id), code=error.code)
        return False
    return any(times.at(now) for times in known if times is not None)


def switch(services: Services, tenant: Tenant, user: User, *, on: bool) -> None:
    """Disturb this user no more while their calendar says busy, or again. Raises Forbidden where pop-ups are locked."""
    if tenant.pops.locked:
        raise Forbidden("Your administrator decided this for everybody.", code="pops.locked")
    with services.db.tenant(tenant.id) as database:
        services.tenants.set_wish(database, tenant.id, user.id, replace(user.pops, undisturbed=on))
        services.ledger.write(
            database, tenant.id, "busy.switched", actor=f"user:{user.id}", subject=f"users:{user.id}", on=on
        )
    for tie in calendars(services, user):
        if on:
            services.chores.hurry(tenant.id, CHORE, tie.id)
        else:
            services.connections.drop_cursor(tenant.id, tie.id, CURSOR)
    services.ring(tenant.id, "mail")


def settle(services: Services, tie: Tie, user: User, on: Collection[str]) -> None:
    """Follow what a consent carries: its user's times are read from now on, or no more and what was read is gone."""
    services.connections.drop_cursor(tie.tenant, tie.id, CURSOR)
    if FEATURE in on:
        services.connections.set_facts(tie.tenant, tie.id, **{FACT: str(user.id)})
        services.chores.set_up(tie.tenant, tie.id, CHORE, lane="mail", every_seconds=EVERY_SECONDS)
    elif tie.facts.get(FACT):
        services.connections.set_facts(tie.tenant, tie.id, **{FACT: ""})
        for chore in services.chores.all(tie.tenant):
            if (chore.connection, chore.kind) == (tie.id, CHORE):
                services.chores.end(tie.tenant, chore)


def look(services: Services, tie: Tie, chore: Chore) -> None:
    """Read the times of the next hour, if their user wants them looked at; else keep none."""
    whose = tie.facts.get(FACT)
    people = services.tenants.users(tie.tenant) if whose else []
    user = next((one for one in people if str(one.id) == whose and one.active), None)
    if user is None or not user.pops.undisturbed or services.tenants.get(tie.tenant).pops.locked:
        services.connections.drop_cursor(tie.tenant, tie.id, CURSOR)
        return
    now = services.now()
    try:
        spans = services.calendar(tie).busy(now, now + AHEAD)
    except Upstream:
        known = _times(services, tie)
        if known is None or not known.fresh(now):
            services.connections.drop_cursor(tie.tenant, tie.id, CURSOR)
        raise
    services.connections.set_cursor(tie.tenant, tie.id, CURSOR, BusyTimes(read_at=now, spans=spans).as_text())


def _times(services: Services, tie: Tie) -> BusyTimes | None:
    return BusyTimes.from_text(services.connections.cursor(tie.tenant, tie.id, CURSOR))
