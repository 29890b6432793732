"""Whose a number is, said by somebody who knows: remembered, followed from now on, and applied to what was before.

What is said is a rule and holds at once. Calls of the past are put right in the tenant's `calls` lane, so that it does
not meet a call being heard just then; their activities are owed the new tie. Taken back, each call is what it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from domain.errors import Malformed, Missing
from domain.matching import Choice, Trace
from domain.phone import Number
from jobs import relink, retying, who
from jobs.services import Services
from store.call_book import Kept
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.tenants import User

APPLY = "match.apply"
OURS = ("internal", "own", "left_out", "hidden", "unreadable", "by_hand")  # nobody is looked up for these


def choose(services: Services, user: User, call: UUID, contact: UUID) -> None:
    """The number of this call is that contact's. Raises Missing, and Malformed for a contact who does not have it."""
    kept = services.calls.get(user.tenant, call)
    if kept is None:
        raise Missing("There is no such call.")
    if not kept.e164:
        raise Malformed("This call has no number that could be remembered.", code="choice.no_number")
    if contact not in services.hub.who(user.tenant, kept.e164):
        raise Malformed("This contact does not have the number.", code="choice.not_theirs")
    try:
        with services.db.tenant(user.tenant) as database:
            rule = who.choices(services).put(database, user.tenant, kept.e164, contact, user=user.id)
            _owe(services, database, user.tenant, kept.e164)
            services.ledger.write(
                database,
                user.tenant,
                "match.chosen",
                actor=f"user:{user.id}",
                subject=f"calls:{call}",
                contact=str(contact),
                rule=str(rule.id),
            )
    except IntegrityError:  # erased while it was chosen
        raise Missing("There is no such contact.") from None
    _apply_now(services, user.tenant)


def undo(services: Services, user: User, rule: UUID) -> None:
    """Take a rule back. Raises Missing."""
    found = who.choices(services).get(user.tenant, rule)
    if found is None:
        raise Missing("There is no such rule.")
    with services.db.tenant(user.tenant) as database:
        if who.choices(services).remove(database, user.tenant, rule):
            _owe(services, database, user.tenant, found.number)
            services.ledger.write(
                database,
                user.tenant,
                "match.undone",
                actor=f"user:{user.id}",
                subject=f"contacts:{found.contact}",
                rule=str(rule),
            )
    _apply_now(services, user.tenant)


def _owe(services: Services, database: Connection, tenant: TenantId, number: str) -> None:
    """Have the calls of a number put right, by whoever holds the lane next."""
    tie = services.connections.first(tenant, "crm") or services.connections.all(tenant)[0]
    services.effects.plan(
        database, tenant, APPLY, f"{APPLY}:{uuid4()}", connection=tie.id, lane="calls", payload={"number": number}
    )


def _apply_now(services: Services, tenant: TenantId) -> None:
    """Do it at once where nobody holds the lane; a worker does it otherwise."""
    with services.lanes.hold(tenant, "calls") as held:
        waiting = (
            [effect for effect in services.effects.waiting(tenant, "calls") if effect.kind == APPLY] if held else []
        )
        for tie in {effect.connection for effect in waiting}:
            apply(
                services,
                services.connections.get(tenant, tie),
                [effect for effect in waiting if effect.connection == tie],
            )
    services.ring(tenant, "calls")


def apply(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Put the calls of numbers right after a rule came or went. The caller holds the `calls` lane."""
    for effect in batch:
        changes = revise(services, tie.tenant, effect.payload["number"])
        with services.db.tenant(tie.tenant) as database:
            keep(services, database, tie.tenant, changes, effect.id)
            retying.settle(services, database, tie.tenant, effect.payload["number"], effect.id)
            services.effects.done(database, tie.tenant, {effect.id: ""})


@dataclass(frozen=True, slots=True)
class Change:
    """A call that is with somebody else, or for another reason; `crm`: where its activity is tied to another record."""

    call: UUID
    trace: Trace
    crm: UUID | None


def revise(services: Services, tenant: TenantId, number: str) -> list[Change]:
    """Decide anew who the calls of a number are with; nothing is written. The caller holds the `calls` lane.

    A call changes when a rule for its number came, changed or went, or when nobody was known for it and somebody is.
    """
    ours = services.tenants.get(tenant)
    crm = services.connections.first(tenant, "crm")
    found = who.search(services, ours, crm, [number])
    kept = services.calls.some(tenant, services.calls.of_number(tenant, number)).values()
    remote = {user.id: user.remote_id for user in services.tenants.users(tenant)}
    before = [one.trace.before.contact for one in kept if one.trace is not None and one.trace.before is not None]
    known = services.hub.people(tenant, {contact for contact in before if contact is not None})
    changes = []
    for one in kept:
        told = one.trace.told if one.trace is not None else one.call.customer
        region = one.trace.region if one.trace is not None else ours.region
        agent = remote.get(one.user, "") if one.user is not None else ""
        trace = _revised(one, found.trace(Number(told, "number", e164=number), region, agent), known)
        if trace is not None and trace != one.trace:
            was = _decided(one)
            moved = (was.contact, was.record) != (trace.choice.contact, trace.choice.record)
            changes.append(Change(one.id, trace, crm.id if moved and one.writer and crm is not None else None))
    return changes


def keep(services: Services, database: Connection, tenant: TenantId, changes: Sequence[Change], why: object) -> None:
    """Write down what was decided anew, in the caller's transaction, and owe activities their new ties."""
    for change in changes:
        services.calls.settle(database, tenant, change.call, change.trace)
        if change.crm is not None:
            relink.owe(services, database, tenant, change.crm, change.call, why)


def _revised(call: Kept, fresh: Trace, known: Collection[UUID]) -> Trace | None:
    """What a call's trace becomes, given what would be decided today; None: it stays."""
    if call.match in OURS:
        return None
    was = _decided(call)
    before = call.trace.before if call.trace is not None else None
    if fresh.choice.why == "rule":
        return replace(fresh, before=before if was.why == "rule" else was)
    if was.why == "rule":
        still = before is not None and (before.contact is None or before.contact in known)
        return replace(fresh, choice=before) if before is not None and still else fresh
    return fresh if was.match == "nobody" else None


def _decided(call: Kept) -> Choice:
    return call.trace.choice if call.trace is not None else Choice(match=call.match, contact=call.contact)
