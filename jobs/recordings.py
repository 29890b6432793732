"""Recordings: what a call brings, the links to it, what the tenant decides, and forgetting it here and at the vendor.

Nothing is fetched without a basis (`domain.recording.Rules`), and whoever listens is in the ledger. A link is all its
bearer needs, so it is good for a while, until it is revoked, and never for longer than the recording is kept. What a
link leads to is told in `jobs.listening`, the archive in `jobs.archive`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from sqlalchemy import Connection

from domain.errors import Missing, NotAllowed, Refused, Upstream
from domain.recording import (
    Rules,
    Ticket,
    good_until,
    write_ticket,
)
from store.call_book import Kept
from store.calls import Heard
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.recordings import Recording, Recordings
from store.tenants import Tenant

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()

USE = "recordings"  # what the tickets' secret is derived for
PAGE_SECONDS = 3600  # a link behind a page's player: as long as somebody may pause
WHILE_KEPT = 10 * 365 * 86_400  # a link in the CRM, which fetches when it likes: as long as the recording is kept
ARCHIVE_CHORE = "archive.recordings"
ARCHIVE_EVERY = 300  # seconds; vendors keep a recording for days at least


def kept(services: Services) -> Recordings:
    """The recordings of every tenant, as we keep them."""
    return Recordings(services.db, services.vault)


# ---- what a call brings -------------------------------------------------------------------------------------------


def learn(services: Services, database: Connection, tenant: Tenant, heard: Sequence[Heard]) -> set[UUID]:
    """Note which of these calls were recorded, on the basis the rules give today; return those that may be fetched.

    Only calls of which we hear it for the first time: what a call was recorded on does not change afterwards.
    """
    told = [item for item in heard if item.call.recording_url and not (item.before and item.before.recording_url)]
    if not told:
        return set()
    new = set()
    for item in told:
        ends = kept_until(services, tenant, item.call.started_at)
        if ends is not None and ends <= services.now():
            continue  # its time was over before we heard of it, or it came again after its time
        basis = tenant.recordings.basis(item.call.direction)
        fresh = kept(services).note(
            database, tenant.id, item.id, item.connection, basis=basis, started_at=item.call.started_at
        )
        if fresh and basis != "none":
            new.add(item.id)
    return new


def owe_update(
    services: Services, database: Connection, tenant: TenantId, crm: UUID, call: UUID, revision: int = 0
) -> bool:
    """Owe the CRM the link in an activity that was written without it, or with another one."""
    return services.effects.amend_activity(database, tenant, crm, call, revision)


# ---- links --------------------------------------------------------------------------------------------------------


def link(services: Services, tenant: TenantId, call: UUID, *, for_whom: str, seconds: int) -> str:
    """Make a link for a listener (`user:<id>` or `door:<connection id>`). Raises Missing when nothing may be heard."""
    call_kept, recording = services.calls.get(tenant, call), kept(services).get(tenant, call)
    if call_kept is None or recording is None or not recording.playable:
        raise Missing("There is no recording to listen to.")
    return _link(services, services.tenants.get(tenant), recording, for_whom, seconds)


def crm_links(services: Services, tie: Tie, calls: Collection[Kept]) -> dict[UUID, str]:
    """The links a CRM is given with its activities; a call whose recording may not be fetched has none."""
    recorded = {call.id for call in calls if call.call.recording_url}
    playable = {
        call: recording for call, recording in kept(services).some(tie.tenant, recorded).items() if recording.playable
    }
    if not playable:
        return {}
    tenant = services.tenants.get(tie.tenant)
    return {
        call: _link(services, tenant, recording, f"door:{tie.id}", WHILE_KEPT) for call, recording in playable.items()
    }


def _link(services: Services, tenant: Tenant, recording: Recording, for_whom: str, seconds: int) -> str:
    ticket = Ticket(
        tenant=tenant.id,
        call=recording.call,
        listener=for_whom,
        until=good_until(services.now(), seconds, kept_until(services, tenant, recording.started_at)),
        revision=recording.revision,
    )
    return f"{services.settings.origin}/recordings/{write_ticket(services.vault.derive(USE), ticket)}"


def kept_until(services: Services, tenant: Tenant, started_at: datetime) -> datetime | None:
    period = tenant.recordings.keep(services.profiles.get(tenant.profile).keeps("recordings").period)
    return None if period is None else started_at + period


# ---- what the tenant decides ----------------------------------------------------------------------------------------


def decide(services: Services, tenant: TenantId, rules: Rules, *, actor: str) -> None:
    """Take over what an administrator decided, for the calls of which we hear from now on; archiving begins at once."""
    services.tenants.set(tenant, recordings=rules.as_data())
    services.ledger.note(tenant, "recording.rules", actor=actor, **rules.as_data())
    if rules.archive:
        for tie in services.connections.all(tenant, kind="telephony", connected=True):
            look_after(services, tie.tenant, tie.id, tie.vendor)
        services.ring(tenant, "contacts")


def look_after(services: Services, tenant: TenantId, tie: UUID, vendor: str) -> None:
    """Have a phone system's recordings archived from time to time, where the rules say so."""
    made = services.telephony.get(vendor)
    if made is not None and made.traits.recordings:
        services.chores.set_up(tenant, tie, ARCHIVE_CHORE, lane="contacts", every_seconds=ARCHIVE_EVERY)


# ---- the end ------------------------------------------------------------------------------------------------------


def revoke(services: Services, tenant: TenantId, call: UUID, *, actor: str) -> None:
    """Make every link to a call's recording worthless; the CRM is owed a new one. Raises Missing."""
    crm = services.connections.first(tenant, "crm")
    with services.db.tenant(tenant) as database:
        revision = kept(services).revoke(database, tenant, call)
        if revision is None:
            raise Missing("There is no recording of this call.")
        if crm is not None:
            owe_update(services, database, tenant, crm.id, call, revision)
        services.ledger.write(database, tenant, "recording.revoked", actor=actor, subject=f"calls:{call}")
    services.ring(tenant, "calls")


def forget(services: Services, tenant: TenantId, call: UUID, *, actor: str) -> None:
    """Delete a call's recording here at once, revoke every link, and owe the vendor the same. Raises Missing."""
    found = services.calls.get(tenant, call)
    if found is None or not found.call.recording_url:
        raise Missing("There is no recording of this call.")
    tie = services.connections.get(tenant, found.connection)
    with services.db.tenant(tenant) as database:
        kept(services).note(  # also where nobody knew on which basis it was made
            database, tenant, call, tie.id, basis="none", started_at=found.call.started_at
        )
        archived = kept(services).delete(database, tenant, call)
        if archived is None:
            raise Missing("There is no recording of this call.")
        owed = tie.state != "disconnected" and services.effects.forget_recording(
            database, tenant, tie.id, call, found.call.recording_url, of=call
        )
        services.ledger.write(
            database,
            tenant,
            "recording.deleted",
            actor=actor,
            subject=f"calls:{call}",
            archived_bytes=archived,
            vendor="asked" if owed else "not connected",
        )
    services.ring(tenant, "calls")


def forget_there(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Have the vendor delete recordings; gone already is fine, so that asking again does no harm."""
    system = services.phone_system(tie)
    for position, effect in enumerate(batch):
        services.effects.claim(tie.tenant, [effect])
        try:
            system.forget_recording(effect.payload["url"])
        except (Refused, NotAllowed) as error:  # said on the call's page: it has to be deleted over there by hand
            services.effects.drop(tie.tenant, [effect], error.code)
            continue
        except Upstream:
            del batch[:position]  # what went before is settled; the rest shares this one's fate
            raise
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: ""})
            services.ledger.write(
                database,
                tie.tenant,
                "recording.deleted_there",
                subject=f"calls:{effect.call}" if effect.call else f"connections:{tie.id}",
            )
