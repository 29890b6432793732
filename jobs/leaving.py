"""Leaving: whoever ends a connection, an administrator or an outside system, one teardown follows, and it follows once.

It destroys first and asks the provider afterwards, so a provider that is down keeps nothing alive. Zoho's marketplace,
Google's licences and Google's word of a deleted account all lead here. What they say is about what was consented to
before they said it: a consent given since is another installation, and stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, select, update

from domain.errors import Upstream
from jobs.services import Services, upstream
from store.connections import Tie
from store.tables import deliveries, effects, links, mail_blocks
from store.vault import of_mailbox

log = structlog.get_logger()

SKEW = timedelta(seconds=5)  # between the clock that says when, and ours, which says since when


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Who says that we were removed, and the code of why the connection ended."""

    actor: str
    code: str


ZOHO = Removal(actor="zoho", code="extension.removed")
UNLICENSED = Removal(actor="google", code="google.unlicensed")
PURGED = Removal(actor="google", code="google.account_purged")


def removed(services: Services, tie: Tie, removal: Removal, *, said_at: datetime) -> bool:
    """Stop, forget, withdraw and certify, as if an administrator had disconnected; False where that is done already,
    or whoever says so spoke of an earlier consent."""
    grant = services.grants.get(tie.tenant, tie.id)
    if tie.state == "disconnected" or (grant is not None and grant.created_at > said_at + SKEW):
        return False
    ended = end(services, tie, actor=removal.actor, because=removal.code) is not None
    log.info("removed", tenant=str(tie.tenant), connection=str(tie.id), code=removal.code, count=int(ended))
    return ended


def end(services: Services, connection: Tie, *, actor: str, because: str = "") -> dict[str, Any] | None:
    """End a connection: destroy what it brought, forget how to reach it, certify that, withdraw at the provider.

    Returns the certificate, or None where it has ended already: of several who end it at once, one does. The provider
    is asked last; its answer stands beside the certificate and decides nothing. `because`: the code of why, where
    nobody here wished it.
    """
    tenant, tie = connection.tenant, connection.id
    counts: dict[str, int] = {}
    profile = services.tenants.get(tenant).profile
    if connection.kind == "workspace":
        counts["messages"] = services.mail.disconnect_box(tenant, tie)
    if connection.kind == "crm":
        _leave_crm(services, connection)
    with services.db.tenant(tenant) as database:
        if not services.connections.turn(database, tenant, tie, "disconnected", because):
            return None
        held = services.grants.end(database, tenant, tie)
        services.vault.destroy(database, tenant, (of_mailbox(tie.hex),))  # if it was read until this moment
        services.connections.let_go(database, tenant, tie)
        touched = set(
            database.execute(
                select(links.c.contact_id).where(links.c.tenant_id == tenant, links.c.connection_id == tie)
            ).scalars()
        )
        counts["links"] = database.execute(
            delete(links).where(links.c.tenant_id == tenant, links.c.connection_id == tie)
        ).rowcount
        services.hub.remerge(database, tenant, touched)
        counts["mail_blocks"] = database.execute(
            delete(mail_blocks).where(mail_blocks.c.tenant_id == tenant, mail_blocks.c.connection_id == tie)
        ).rowcount
        counts["pairs"] = services.pairs.end(database, tenant, tie)
        counts["journal"] = services.journal.end(database, tenant, tie)
        counts["deliveries"] = database.execute(
            update(deliveries)
            .where(deliveries.c.tenant_id == tenant, deliveries.c.connection_id == tie, deliveries.c.body.is_not(None))
            .values(state="ignored", reason="disconnected", body=None)
        ).rowcount
        counts["effects"] = database.execute(
            update(effects)
            .where(
                effects.c.tenant_id == tenant,
                effects.c.connection_id == tie,
                effects.c.state.in_(("due", "claimed", "unknown")),
            )
            .values(state="dropped", reason="disconnected", payload=None)
        ).rowcount
        issued = services.certificates.issue(
            database, tenant, "disconnect", profile=profile, counts=counts, actor=actor
        )
    services.directory.strike_all(tenant, connection=tie)
    services.gates.forget(upstream(connection.vendor, tie))
    if connection.kind == "crm":  # who may sign in does not depend on the consent to read contacts
        for person in services.tenants.users(tenant):
            if person.active and person.login_id:
                services.directory.put("login", f"zoho:{person.login_id}", tenant, user=person.id)
    revoked = "not needed"
    if held is not None:
        home, token = held
        done = services.grants.revoke(services.providers[connection.vendor], home, token)
        revoked = "withdrawn" if done else "not confirmed"
    services.ledger.note(
        tenant,
        "consent.withdrawn",
        actor=actor,
        subject=f"connections:{tie}",
        provider=connection.vendor,
        at_provider=revoked,
        because=because,
    )
    services.chores.hurry(tenant, "write.phonebook")
    services.chores.hurry(tenant, "users")  # and what can be pressed in the CRM
    services.ring(tenant, "contacts")
    return services.certificates.document(issued) | {"at_provider": revoked}


def _leave_crm(services: Services, tie: Tie) -> None:
    """Tell the CRM to stop sending; it does not matter if it does not listen."""
    try:
        services.bridge(tie).leave()
        channel = services.connections.cursor(tie.tenant, tie.id, "watch.channel")
        if channel:
            services.crm(tie).unwatch(channel)
    except Upstream as error:
        log.info("crm_not_told", tenant=str(tie.tenant), reason=error.code)
