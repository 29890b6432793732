"""Handing over: a tenant's data, or everything of one person, as JSON lines that say which holding each row is of.

Secrets and fingerprints are left out, cached mail is included. Every export is a row in the ledger, written before the
first line leaves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jobs.erase import who
from store import footprint
from store.database import TenantId
from store.footprint import Person

if TYPE_CHECKING:
    from jobs.services import Services

MAIL_AT_MOST = 1_000  # messages a contact; a day's mail with one person


def export_tenant(services: Services, tenant: TenantId, actor: str = "system") -> Iterator[str]:
    """Return a tenant's data, one JSON object a line."""
    services.ledger.note(tenant, "export.tenant", actor=actor)
    return _lines(services, tenant, None)


def export_person(
    services: Services,
    tenant: TenantId,
    numbers: Sequence[str] = (),
    emails: Sequence[str] = (),
    actor: str = "system",
) -> Iterator[str]:
    """Return everything about one person, found by number or address. Raises Malformed."""
    person = who(services, tenant, numbers, emails)
    services.ledger.note(tenant, "export.person", actor=actor)
    return _lines(services, tenant, person)


def _lines(services: Services, tenant: TenantId, person: Person | None) -> Iterator[str]:
    with services.db.tenant(tenant) as database:
        found = None if person is None else footprint.find(database, services.vault, tenant, person)
        for holding, row in footprint.export(database, services.vault, tenant, found):
            yield _line(holding, row)
            if row["table"] == "contacts":
                yield from _mail(services, tenant, row["id"])


def _mail(services: Services, tenant: TenantId, contact: str) -> Iterator[str]:
    for message in services.mail.of_contact(tenant, contact, MAIL_AT_MOST):
        yield _line("mail", {"contact_id": contact, **message.as_data()})


def _line(holding: str, row: dict[str, Any]) -> str:
    return json.dumps({"holding": holding, **row}, ensure_ascii=False, default=str)
