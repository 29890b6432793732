"""Runs that would remove too many people: held, shown, and gone on with or left, as a person says.

Nothing is removed while a run is held. Whoever lets it go on says how many may go, and no more than those do; a
reading that may go on lets the exchange after it go on too, for it is the same question.
"""

from __future__ import annotations

import structlog

from domain.errors import Missing
from domain.plan import Held
from jobs import both_ways
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie

log = structlog.get_logger()

READS = ("read.crm", "read.book")


def hold(services: Services, tie: Tie, chore: Chore, held: Held) -> None:
    """Remember what a run would remove. It is tried again as ever: a side that is back needs nobody's word."""
    tenant = tie.tenant
    services.chores.went_badly(tenant, chore, held.code, wait=chore.every_seconds)
    services.connections.trouble(tenant, tie.id, held.code)
    if (chore.held.get("removing"), chore.held.get("known")) == (held.removing, held.known):
        return
    told = {"removing": held.removing, "known": held.known, "some": [str(one) for one in held.some], "left": False}
    services.chores.note(tenant, chore.id, held=told, may_remove=0)
    services.ledger.note(
        tenant,
        "sync.held",
        subject=f"connections:{tie.id}",
        chore=chore.kind,
        removing=held.removing,
        known=held.known,
    )
    log.warning("sync_held", tenant=str(tenant), connection=str(tie.id), chore=chore.kind, count=held.removing)


def decide(services: Services, tie: Tie, kind: str, *, go_on: bool, actor: str) -> None:
    """Let a held run go on, or leave it. Raises Missing when none of that kind is held."""
    tenant = tie.tenant
    chores = [chore for chore in services.chores.all(tenant) if chore.kind == kind and chore.connection == tie.id]
    if not chores or not chores[0].held:
        raise Missing("Nothing is held here any more.")
    (chore,) = chores
    many = int(chore.held["removing"])
    services.ledger.note(
        tenant,
        "sync.continued" if go_on else "sync.left",
        actor=actor,
        subject=f"connections:{tie.id}",
        chore=kind,
        removing=many,
    )
    if not go_on:
        services.chores.note(tenant, chore.id, held={**chore.held, "left": True}, may_remove=0)
        return
    services.chores.note(tenant, chore.id, may_remove=many)
    if kind in READS:
        for other in services.chores.all(tenant):
            if other.kind == both_ways.CHORE and (tie.kind == "crm" or other.connection == tie.id):
                services.chores.note(tenant, other.id, may_remove=max(many, other.may_remove))
    services.chores.hurry(tenant, kind, tie.id)
    services.ring(tenant, "contacts")
