"""Which of a tenant's numbers is shown to whom: what an administrator says of it, and what holds for one dialled."""

from __future__ import annotations

from uuid import UUID

from domain import caller_id, phone
from domain.caller_id import Rule
from domain.errors import Malformed, Missing
from jobs.services import Services
from store.apart import Apart
from store.connections import Tie
from store.database import TenantId
from store.tenants import Tenant, User

MOST_RULES = 200  # of a tenant; every click reads them all


def show(services: Services, tenant: TenantId, row: UUID, rule: Rule, *, actor: str) -> None:
    """Show one of our own numbers under this rule, and no other one. Raises Malformed."""
    own = {one.id: one for one in services.apart.all(tenant, "own") if one.state == "active"}
    if row not in own:
        raise Malformed("This is not one of your own numbers (any more).", code="number.not_own")
    if sum(len(one.shown) for one in own.values()) >= MOST_RULES:
        raise Malformed(f"There are {MOST_RULES} rules already.", code="number.too_many_rules")
    with services.db.tenant(tenant) as database:
        for one in own.values():
            rest = tuple(other for other in one.shown if other != rule)
            told = (*rest, rule) if one.id == row else rest
            if told != one.shown:
                services.apart.show(database, tenant, one.id, told)
        services.ledger.write(database, tenant, "number.shown", actor=actor, subject=f"set_apart:{row}")


def take_back(services: Services, tenant: TenantId, row: UUID, rule: Rule, *, actor: str) -> None:
    """Forget a rule. Raises Missing."""
    found = next((one for one in services.apart.shown(tenant) if one.id == row and rule in one.shown), None)
    if found is None:
        raise Missing("There is no such rule (any more).")
    with services.db.tenant(tenant) as database:
        services.apart.show(database, tenant, row, [other for other in found.shown if other != rule])
        services.ledger.write(database, tenant, "number.unshown", actor=actor, subject=f"set_apart:{row}")


def able(services: Services, tenant: TenantId) -> bool:
    """Whether one of the tenant's phone systems can be told which number to show."""
    ties = services.connections.all(tenant, kind="telephony", connected=True)
    return any(tie.vendor in services.telephony and services.telephony[tie.vendor].traits.shows for tie in ties)


def chosen(services: Services, tenant: Tenant, system: Tie, user: User, raw: str) -> str:
    """The number of ours to show to who is dialled; "" where no rule says, or nothing can be said."""
    number = phone.read(raw, tenant.region)
    if number.kind != "number" or not services.telephony[system.vendor].traits.shows:
        return ""
    every: list[Apart] = services.apart.shown(tenant.id)
    return caller_id.chosen([(one.number, rule) for one in every for rule in one.shown], number.e164, str(user.id))
