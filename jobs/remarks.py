"""What an agent says of a call: kept at once, told to the CRM with its activity or, where that stands already, later.

Which words there are for how a call went is the tenant's choice.
"""

from __future__ import annotations

from uuid import UUID

from domain.errors import Malformed, Missing
from domain.remark import NOTE_CHARACTERS, Remark, Wishes
from jobs.services import Services
from store.database import TenantId
from store.tenants import Tenant, User


def remark(services: Services, tenant: Tenant, call: UUID, *, note: str, disposition: str, user: User) -> None:
    """Keep a note and how it went; the activity is owed it. Raises Missing, Malformed. Told twice, nothing changes."""
    kept = services.calls.get(tenant.id, call)
    if kept is None:
        raise Missing("There is no such call.")
    note = note.replace("\r\n", "\n").strip()
    before = kept.remark
    known = {*tenant.wishes.dispositions, ""} | ({before.disposition} if before else set())
    if disposition not in known or len(note) > NOTE_CHARACTERS:
        raise Malformed("This is not one of the words for how a call went, or the note is too long.")
    if (note, disposition) == ((before.note, before.disposition) if before else ("", "")):
        return
    crm = services.connections.first(tenant.id, "crm")
    with services.db.tenant(tenant.id) as database:
        said = Remark(note=note, disposition=disposition, by=user.id, at=services.now())
        many = services.calls.remarked(database, tenant.id, call, said)
        if many is None:
            raise Missing("There is no such call.")
        if crm is not None:
            services.effects.amend_activity(database, tenant.id, crm.id, call, f"remark:{many}")
        services.ledger.write(
            database, tenant.id, "call.remarked", actor=f"user:{user.id}", subject=f"calls:{call}", note=bool(note)
        )
    services.ring(tenant.id, "calls")


def decide(services: Services, tenant: TenantId, wishes: Wishes, *, actor: str) -> None:
    """Take over what an administrator wants to hear after a call."""
    services.tenants.set(tenant, wishes=wishes.as_data())
    services.ledger.note(
        tenant, "call.wishes", actor=actor, dispositions=len(wishes.dispositions), required=wishes.required
    )
