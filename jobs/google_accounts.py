"""By what Google names an account or a consent of ours, and whose connection that is. Fingerprints, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from integrations.google.risc import SecurityEvent, token_marks
from store.database import TenantId
from store.directory import Entry

if TYPE_CHECKING:
    from jobs.services import Services

SHARED_BY = 8  # tenants that may have connected one Google account and still be told


def listen(services: Services, tenant: TenantId, tie: UUID, *, subject: str, refresh: str) -> None:
    """Remember, as fingerprints, by what Google will name this account and this consent."""
    for place in range(SHARED_BY):  # several tenants may have connected one account: each has a place
        services.directory.put("google_account", f"{subject}#{place}", tenant, connection=tie)
        entry = services.directory.find("google_account", f"{subject}#{place}")
        if entry is not None and entry.tenant == tenant:
            break
    for mark in token_marks(refresh) if refresh else ():
        services.directory.put("google_token", mark, tenant, connection=tie)


def concerned(services: Services, event: SecurityEvent) -> list[Entry]:
    """The connections an event is about."""
    if event.token:
        found = [services.directory.find("google_token", event.token)]
    else:
        names = [f"{event.subject}#{place}" for place in range(SHARED_BY) if event.subject]
        found = [services.directory.find("google_account", name) for name in names]
    return [entry for entry in found if entry is not None and entry.connection is not None]
