"""A message written into the CRM as a note on somebody's record: only because a user pressed the button that says so.

Once for a message and a record, however often it is pressed; a request nobody answered is looked for among the record's
notes before it is written again. What is written is read at Google at that moment, and waits nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import structlog

from domain.errors import ConsentLost, Forbidden, Missing, NotAllowed, Refused, TryLater, Unanswered
from domain.mail import Message
from domain.matching import MODULES
from domain.noting import note_of
from domain.ports import Note
from jobs import connect, crm_pages, passages, privacy
from jobs.outage import postpone
from jobs.services import Services
from jobs.texts import zone_of
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.tenants import Tenant, User

log = structlog.get_logger()

EXIT = "mail note"  # the gate's name for it (`domain.limited_use`)
KIND = "mail.note"
FEATURE = "notes"
GONE = "mail.note_gone"
PAUSED = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Record:
    """Where a message can be written, and how that stands: "" for not asked for."""

    contact: UUID
    module: str
    remote_id: str
    state: str = ""
    reason: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.module, self.remote_id


def crm_of(services: Services, tenant: TenantId) -> Tie | None:
    """The CRM that notes may be written into."""
    tie = services.connections.first(tenant, "crm")
    if tie is None or tie.state != "active":
        return None
    on = {one.feature.slug for one in connect.features(services, tenant, tie) if one.on}
    return tie if FEATURE in on else None


def records(services: Services, tenant: Tenant, message: Message) -> list[Record]:
    """The records of whom a message was exchanged with, each with how it stands; none where nothing may be written."""
    crm = crm_of(services, tenant.id)
    if crm is None:
        return []
    found = services.hub.by_email(tenant.id, sorted(message.correspondents))
    contacts = sorted({contact for many in found.values() for contact in many})
    known = []
    people = [module for module in tenant.matching.order if module in MODULES]
    for contact, places in services.hub.where(tenant.id, contacts).items():
        for place in crm_pages.likeliest([one for one in places if one.connection == crm.id], people):
            stands = services.effects.standing(
                tenant.id, _key(services, tenant.id, message, (place.module, place.remote_id))
            )
            known.append(Record(contact, place.module, place.remote_id, *(stands or ("", ""))))
    return known


def draft(services: Services, tenant: Tenant, message: Message, record: tuple[str, str]) -> Note:
    """What would be written there, word for word."""
    return note_of(message, record, _marker(services, tenant.id, message), zone_of(tenant))


def write(services: Services, user: User, message: Message, record: tuple[str, str]) -> None:
    """Owe the CRM this message, because this user pressed the button, and write it at once where nobody holds the lane.

    Raises Missing for a message they may not see, Forbidden where nothing may be written.
    """
    tenant = services.tenants.get(user.tenant)
    if not privacy.visible(services, user, [message]):
        raise Missing("This message is not here (any more).")
    crm = crm_of(services, tenant.id)
    if crm is None:
        raise Forbidden("The permission to write notes was not given in Zoho.", code="mail.note_not_allowed")
    there = next((one for one in records(services, tenant, message) if one.key == record), None)
    if there is None:
        raise Missing("Nobody on this message has such a record.")
    payload = {"message": message.key, "user": str(user.id), "module": record[0], "remote_id": record[1]}
    key, subject = _key(services, tenant.id, message, record), f"connections:{UUID(message.mailbox)}"
    with services.db.tenant(tenant.id) as database:
        new = services.effects.plan(
            database,
            tenant.id,
            KIND,
            key,
            connection=crm.id,
            lane="mail",
            payload=payload,
            contact=there.contact,
        ) or (
            there.state in ("dead", "dropped")
            and services.effects.renew(database, tenant.id, key, payload=payload | {"again": True}, call=None)
        )
        if new:
            services.ledger.write(database, tenant.id, "mail.to_crm", actor=f"user:{user.id}", subject=subject)
    with services.lanes.hold(tenant.id, "mail") as held:
        if held:
            act(services, tenant.id)
    services.ring(tenant.id, "mail")


# ---- writing ------------------------------------------------------------------------------------------------------


def act(services: Services, tenant: TenantId) -> int:
    """Write what is owed; return how many were taken. The caller holds the `mail` lane."""
    services.effects.orphans(tenant, "mail")
    waiting = [effect for effect in services.effects.waiting(tenant, "mail") if effect.kind == KIND]
    for effect in waiting:
        crm = services.connections.get(tenant, effect.connection)
        try:
            _write(services, crm, effect)
        except ConsentLost as error:
            services.effects.postpone(tenant, [effect], error.code, PAUSED)
            services.connections.trouble(tenant, crm.id, error.code)
        except (TryLater, Unanswered) as error:
            postpone(services, crm, [effect], error)
        except (NotAllowed, Refused) as error:  # whoever pressed sees why, and may press again
            services.effects.drop(tenant, [effect], error.code)
    return len(waiting)


def _write(services: Services, crm: Tie, effect: Effect) -> None:
    """Read the message at Google as it is, and write it; what its user may not see any more is not written."""
    tenant, asked = services.tenants.get(crm.tenant), effect.payload
    box, _, id = asked["message"].partition(".")
    tie = next((one for one in privacy.mailboxes(services, tenant.id) if one.id.hex == box), None)
    user = services.tenants.user(tenant.id, UUID(asked["user"]))
    whole = services.mailbox(tie).message(id) if tie is not None and user is not None and user.active else None
    if tie is None or user is None or whole is None:
        return services.effects.drop(tenant.id, [effect], GONE)
    whole = replace(whole, mailbox=box)
    if not privacy.visible(services, user, [whole]):
        return services.effects.drop(tenant.id, [effect], GONE)
    note = draft(services, tenant, whole, (asked["module"], asked["remote_id"]))
    perhaps = effect.state == "unknown" or asked.get("again")  # given up before, and nobody knows what became of it
    there = services.crm(crm).find_note(note) if perhaps else ""
    if not there:
        actor, subject = f"user:{user.id}", f"connections:{tie.id}"
        passages.let_out_mail(services, tenant.id, EXIT, [whole], actor=actor, subject=subject, pressed=True)
        services.effects.claim(tenant.id, [effect])
        told = services.crm(crm).add_note(note)
        if not told.remote_id:
            return services.effects.drop(tenant.id, [effect], f"zoho.{told.refused.lower()}")
        there = told.remote_id
    with services.db.tenant(tenant.id) as database:
        services.effects.done(database, tenant.id, {effect.id: there})
        services.ledger.write(database, tenant.id, "mail.noted", subject=f"connections:{crm.id}", effect=str(effect.id))
    log.info("mail_noted", tenant=str(tenant.id), connection=str(crm.id))
    return None


def _marker(services: Services, tenant: TenantId, message: Message) -> str:
    """By what its note is found again: a fingerprint, which tells nobody in the CRM anything."""
    return services.vault.of(tenant).fingerprint("note", message.key).hex()[:32]


def _key(services: Services, tenant: TenantId, message: Message, record: tuple[str, str]) -> str:
    return f"{KIND}:{_marker(services, tenant, message)}:{record[0]}:{record[1]}"
