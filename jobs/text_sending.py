"""Text messages that users write here: sent through the phone system once, soon, or not at all.

What is written waits sealed in its effect and is gone once it is sent; the vendor then tells us of it like of any other
message, and it is logged with them. The vendor is given a key with it, so whoever asks again sends nothing twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import structlog

from domain import dial_plan, phone
from domain.errors import Malformed, Refused
from domain.ports import Texter
from domain.urgency import urgently
from jobs import dialling
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.tenants import User

log = structlog.get_logger()

KIND = "text.send"
STALE = timedelta(minutes=10)  # by then whoever wrote it has called instead
MOST_CHARACTERS = 1_000
CANNOT = "cannot_text"  # on a connection: its platform said that it sends none


def system_of(services: Services, tenant: TenantId) -> Tie | None:
    """The tenant's phone system that can send text messages."""
    for tie in services.connections.all(tenant, kind="telephony", connected=True):
        vendor = services.telephony.get(tie.vendor)
        if vendor is not None and vendor.traits.writes and not tie.facts.get(CANNOT):
            return tie
    return None


def ask(services: Services, user: User, raw: str, words: str, *, actor: str, once: str) -> bool:
    """Owe a user the sending of a message; False where it was owed under this name before.

    Raises Malformed for what is no number or no message, Forbidden for an emergency number.
    """
    tenant, words = services.tenants.get(user.tenant), words.strip()
    number = phone.read(raw, tenant.region)
    dial_plan.check(raw, number, tenant.dialling, tenant.region)
    system = system_of(services, tenant.id)
    if number.kind != "number" or system is None:
        raise Malformed("No text message can be sent to this number from here.", code="text.impossible")
    if not 0 < len(words) <= MOST_CHARACTERS:
        raise Malformed(f"A text message has 1 to {MOST_CHARACTERS} characters.", code="field.invalid")
    mark = services.vault.of(tenant.id).fingerprint("text", f"{user.id} {once}")
    line = dialling.line_of(services, user)
    with services.db.tenant(tenant.id) as database:
        new = services.effects.plan(
            database,
            tenant.id,
            KIND,
            f"{KIND}:{mark.hex()[:32]}",
            connection=system.id,
            lane="calls",
            payload={"number": number.e164, "text": words, "email": user.email, "extension": line},
        )
        if new:
            subject = f"connections:{system.id}"
            services.ledger.write(database, tenant.id, "text.asked", actor=actor, subject=subject, user=str(user.id))
    services.bell.ring(tenant.id, "calls")
    return new


@urgently()
def send(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Send what is owed. Its key is the effect's own, so what nobody answered for is asked for again as it is."""
    system = cast(Texter, services.phone_system(tie))  # `traits.writes` said so when it was owed
    for effect in list(batch):
        if services.now() - effect.created_at > STALE:
            services.effects.drop(tie.tenant, [effect], "text.stale", state="dropped")
            batch.remove(effect)
            continue
        services.effects.claim(tie.tenant, [effect])
        told = effect.payload
        try:
            ref = system.text(
                agent_extension=told.get("extension", ""),
                agent_email=told.get("email", ""),
                number=told["number"],
                words=told["text"],
                key=str(effect.id),
            )
        except Refused as error:
            if error.code == "text.unsupported":
                services.connections.set_facts(tie.tenant, tie.id, **{CANNOT: True})
            services.effects.drop(tie.tenant, [effect], error.code)
            services.connections.trouble(tie.tenant, tie.id, error.code)
        else:
            with services.db.tenant(tie.tenant) as database:
                services.effects.done(database, tie.tenant, {effect.id: ref})
            log.info("text_sent", tenant=str(tie.tenant), connection=str(tie.id))
        batch.remove(effect)
