"""Erasing: one person everywhere by number or address, or a whole tenant with its keys.

A person's tombstones are committed first, so that nothing begun from then on brings them back; then the tenant's lanes
are held, so that nothing under way does either, and everything goes in one transaction with its certificate. Records
in the tenant's own CRM and address books are theirs to erase: the answer counts the people who were linked there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import delete, update

from domain import phone
from domain.errors import Malformed, TryLater
from store import footprint
from store.database import TenantId
from store.footprint import Person
from store.inbox import LANES
from store.lanes import Lanes
from store.mailbox import letters_to
from store.tables import OF_A_TENANT, tenants

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()

LANE_SECONDS = 30.0  # a drain lets go of its lane within ten
LOOK_AGAIN_SECONDS = 0.1
KEPT = frozenset(
    {"tenants", "tenant_keys", "ledger", "ledger_heads", "certificates"}
)  # proof, and keys that are no keys any more


def erase(
    services: Services,
    tenant: TenantId,
    numbers: Sequence[str] = (),
    emails: Sequence[str] = (),
    actor: str = "system",
    *,
    patience: float = LANE_SECONDS,
) -> dict[str, Any]:
    """Erase one person; return the certificate as a document. Raises Malformed, or TryLater while a sync is at work.

    Safe to tell twice: the second time counts nothing but the tombstones.
    """
    person = who(services, tenant, numbers, emails)
    with services.db.tenant(tenant) as database:
        footprint.bury(database, services.vault, tenant, person)
    profile = services.profiles.get(services.tenants.get(tenant).profile)
    with _lanes(services, tenant, patience), services.db.tenant(tenant) as database:
        found, counts = footprint.erase(database, services.vault, services.effects, tenant, person)
        lists = [where for contact in found.contacts for where in (contact, letters_to(contact))]
        counts["mail"] = sum(services.mail.forget_contact(tenant, where) for where in lists)
        issued = services.certificates.issue(
            database, tenant, "erase", profile=profile.name, counts=counts, actor=actor
        )
    log.info("person_erased", tenant=str(tenant), certificate=str(issued.id))
    return services.certificates.document(issued)


def who(services: Services, tenant: TenantId, numbers: Sequence[str], emails: Sequence[str]) -> Person:
    """Read numbers the way the tenant's country writes them. Raises Malformed for what is none."""
    region = services.tenants.get(tenant).region
    read = [phone.read(number, region) for number in numbers]
    if any(number.kind != "number" for number in read):
        raise Malformed("One of these is no telephone number. Write it with its country code.")
    if any("@" not in address for address in emails):
        raise Malformed("One of these is no e-mail address.")
    if not read and not emails:
        raise Malformed("Say who: a telephone number or an e-mail address.")
    return Person(numbers=tuple(number.e164 for number in read), emails=tuple(emails))


@contextmanager
def _lanes(services: Services, tenant: TenantId, patience: float) -> Iterator[None]:
    """Hold every lane of a tenant; raise TryLater when somebody keeps one too long."""
    lanes, until = Lanes(services.db), time.monotonic() + patience
    with ExitStack() as stack:
        for lane in LANES:
            while True:
                attempt = ExitStack()
                if attempt.enter_context(lanes.hold(tenant, lane)):
                    stack.push(attempt)
                    break
                attempt.close()
                if time.monotonic() >= until:
                    raise TryLater("A sync of this tenant is at work. Erase again in a minute.", wait=60.0)
                time.sleep(LOOK_AGAIN_SECONDS)
        yield


def erase_tenant(services: Services, tenant: TenantId, actor: str = "system") -> dict[str, Any]:
    """Erase a whole tenant: keys first, then rows; return the certificate. Withdraw its consents before.

    From the first commit on nobody can open anything of it. What stays is proof: the ledger and the certificates.
    """
    profile = services.profiles.get(services.tenants.get(tenant).profile)
    with services.db.tenant(tenant) as database:
        keys = services.vault.destroy(database, tenant)
        database.execute(update(tenants).where(tenants.c.id == tenant).values(state="erasing", name=None))
    counts = {"keys": keys, "mail": services.mail.forget_tenant(tenant)}
    counts["directory"] = services.directory.strike_all(tenant)
    with services.db.tenant(tenant) as database:
        for table in reversed(OF_A_TENANT):
            if table.name not in KEPT:
                counts[table.name] = database.execute(delete(table).where(table.c.tenant_id == tenant)).rowcount
        database.execute(update(tenants).where(tenants.c.id == tenant).values(state="erased"))
        issued = services.certificates.issue(
            database, tenant, "erase", profile=profile.name, counts=counts, actor=actor
        )
    log.info("tenant_erased", tenant=str(tenant), certificate=str(issued.id))
    return services.certificates.document(issued)
