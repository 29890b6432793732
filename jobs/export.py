"""Handing over: a tenant's data, or everything of one person, as JSON lines that say which holding each row is of.

Secrets and fingerprints are left out; cached mail is included, but for that of mailboxes whose users show it to nobody.
Every export is a row in the ledger, written before the first line leaves; how much of it came from Google is another,
written when the last one has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from domain import limited_use
from jobs import privacy
from jobs.erase import who
from store import footprint
from store.database import TenantId
from store.footprint import Person

if TYPE_CHECKING:
    from jobs.services import Services

EXIT = "export"  # the gate's name for it (`domain.limited_use`)
MAIL_AT_MOST = 1_000  # messages a contact; a day's mail with one person


def export_tenant(services: Services, tenant: TenantId, actor: str = "system") -> Iterator[str]:
    """Return a tenant's data, one JSON object a line."""
    services.ledger.note(tenant, "export.tenant", actor=actor)
    return _lines(services, tenant, None, actor)


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
    return _lines(services, tenant, person, actor)


def _lines(services: Services, tenant: TenantId, person: Person | None, actor: str) -> Iterator[str]:
    limited_use.check(limited_use.exit_named(EXIT), "contacts")
    limited_use.check(limited_use.exit_named(EXIT), "mail")
    google = {"people": 0, "messages": 0}
    try:
        with services.db.tenant(tenant) as database:
            found = None if person is None else footprint.find(database, services.vault, tenant, person)
            for holding, row in footprint.export(database, services.vault, tenant, found):
                yield _line(holding, row)
                if row["table"] == "contacts":
                    google["people"] += bool(limited_use.kinds_in(row["person"].get("source", {}).values()))
                    cached = services.mail.of_contact(tenant, row["id"], MAIL_AT_MOST)
                    for message in privacy.shown(services, tenant, cached):
                        google["messages"] += 1
                        yield _line("mail", {"contact_id": row["id"], **message.as_data()})
    finally:  # also for a receiver that stopped listening: this much had left
        if any(google.values()):
            out = limited_use.exit_named(EXIT)
            told: dict[str, Any] = {"exit": out.slug, "sink": out.sink, **google}
            services.ledger.note(tenant, "google.passed", actor=actor, **told)


def _line(holding: str, row: dict[str, Any]) -> str:
    return json.dumps({"holding": holding, **row}, ensure_ascii=False, default=str)
