"""Whether a connected Google account still has our application: what is removed there ends here, after a grace.

Google is asked four times a day. An account that was never installed from the Marketplace, because somebody connected
it here, has nothing to lose. One that had it and has it no more is told so, and ends three days later if it stays so:
an administrator who moves people about, or pays late, loses nothing. Silence and refusals of Google count for nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from domain.errors import Upstream
from jobs import leaving
from jobs.leaving import UNLICENSED
from jobs.services import LICENCE
from store.chores import Chore
from store.connections import Tie

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()

EVERY_SECONDS = 21_600
GRACE = timedelta(days=3)
LEAST = 3  # so many answers have to say the same before anything ends
FACT = "licence"  # of a connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the licences of an account said so far. `since`: from when on they say that it has none."""

    held: bool = False
    since: str = ""
    times: int = 0

    @classmethod
    def of(cls, tie: Tie) -> Seen:
        return cls(**tie.facts.get(FACT, {}))

    @property
    def ends_at(self) -> datetime | None:
        """When the connection ends unless the application is installed again."""
        return datetime.fromisoformat(self.since) + GRACE if self.since else None


def look_after(services: Services, tie: Tie) -> None:
    """Have the licence of a Google account asked for from now on, where we have an application to ask about."""
    if tie.kind == "workspace" and services.settings.google_marketplace_app_id:
        services.chores.ensure(tie.tenant, tie.id, LICENCE, lane="contacts", every_seconds=EVERY_SECONDS)


def look(services: Services, tie: Tie, chore: Chore) -> dict[str, int]:
    """Ask once. Doing it twice at the same moment counts two answers and never ends anything early."""
    licences = services.licences()
    if licences is None or "@" not in tie.label or tie.state == "disconnected":
        return {}
    now, before = services.now(), Seen.of(tie)
    try:
        licence = licences.of_user(tie.label)
    except Upstream as error:
        log.warning("licence_unknown", tenant=str(tie.tenant), connection=str(tie.id), code=error.code)
        return {"unknown": 1}
    if licence.held:
        _keep(services, tie, Seen(held=True))
        if before.since:
            _note(services, tie, "licence.back")
        return {"held": 1}
    if not before.held:
        return {"none": 1}
    seen = Seen(held=True, since=before.since or now.isoformat(), times=before.times + 1)
    grant = services.grants.get(tie.tenant, tie.id)
    if before.since and grant is not None and grant.created_at > datetime.fromisoformat(before.since):
        _keep(services, tie, Seen())  # connected again meanwhile, without the Marketplace
        return {"none": 1}
    _keep(services, tie, seen)
    if not before.since:
        _note(services, tie, "licence.lapsed")
    ends_at = seen.ends_at
    if ends_at is not None and now >= ends_at and seen.times >= LEAST:
        leaving.removed(services, tie, UNLICENSED, said_at=now)
    return {"lapsed": 1}


def _keep(services: Services, tie: Tie, seen: Seen) -> None:
    services.connections.set_facts(tie.tenant, tie.id, **{FACT: asdict(seen)})


def _note(services: Services, tie: Tie, action: str) -> None:
    services.ledger.note(tie.tenant, action, actor="google", subject=f"connections:{tie.id}")
    log.info(action.replace(".", "_"), tenant=str(tie.tenant), connection=str(tie.id))
