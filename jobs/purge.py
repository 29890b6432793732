"""Forgetting on time: the mail's hour keys first, then what is due of every tenant, each with its certificate.

`purge_mail` is told every few seconds (`store.mailkeys.period_seconds`), `purge` about once an hour. Both may be told
twice, at once and late: nothing due changes nothing. A tenant that cannot be purged does not stop the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import delete, func
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import Trouble
from store import holdings
from store.database import TenantId
from store.mailbox import Purged
from store.recordings import Recordings
from store.tables import consent_requests

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one purge took: mail, what belongs to no tenant, and from each tenant how much of each holding."""

    mail: Purged
    directory: int
    consent_requests: int
    installs: int
    tenants: Mapping[TenantId, Mapping[str, int]]
    failed: Mapping[TenantId, str] = field(default_factory=dict)  # why, as a code


def purge_mail(services: Services) -> Purged:
    """Destroy the hour keys that are due."""
    purged = services.mail.purge()
    if purged.buckets or purged.leftovers:
        log.info("mail_purged", buckets=purged.buckets, leftovers=purged.leftovers, oldest=round(purged.oldest))
    return purged


def purge(services: Services, *, now: datetime | None = None) -> Swept:
    """Purge everything that is due at `now` (the database's clock)."""
    mail = purge_mail(services)
    moment = now or services.db.now()
    taken: dict[TenantId, dict[str, int]] = {}
    failed: dict[TenantId, str] = {}
    for tenant in services.db.tenants():
        try:
            taken[tenant] = purge_tenant(services, tenant, moment)
        except (Trouble, SQLAlchemyError) as error:
            failed[tenant] = error.code if isinstance(error, Trouble) else "database"
            log.error("purge_failed", tenant=str(tenant), reason=failed[tenant])
    return Swept(
        mail=mail,
        directory=services.directory.sweep(),
        consent_requests=_expired_consent_requests(services),
        installs=services.installs.sweep(),
        tenants=taken,
        failed=failed,
    )


def purge_tenant(services: Services, tenant: TenantId, now: datetime) -> dict[str, int]:
    """Purge one tenant; a certificate says what went, if anything did."""
    told = services.tenants.get(tenant)
    profile = services.profiles.get(told.profile)
    services.mail.mend(tenant)
    went = holdings.purge(services.db, services.vault, tenant, profile, now)
    if told.recordings.days is not None:  # the tenant's own time, where it is shorter
        shorter = now - timedelta(days=told.recordings.days)
        went["recordings"] += Recordings(services.db, services.vault).purge(tenant, shorter)
    if (before := profile.keeps("ledger").due_before(now)) is not None:
        went["ledger"] = services.ledger.trim(tenant, before)
    if counts := {name: count for name, count in went.items() if count}:
        with services.db.tenant(tenant) as connection:
            services.certificates.issue(connection, tenant, "purge", profile=profile.name, counts=counts)
        log.info("purged", tenant=str(tenant), **{name.replace(" ", "_"): count for name, count in counts.items()})
    return went


def _expired_consent_requests(services: Services) -> int:
    with services.db.anyone() as connection:
        return connection.execute(delete(consent_requests).where(consent_requests.c.expires_at <= func.now())).rowcount
