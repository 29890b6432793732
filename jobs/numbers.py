"""Numbers that are never a customer's: what an administrator says of them, and those of the people who work here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from domain import phone
from domain.errors import Malformed
from domain.ports import CrmUser
from store.apart import Kind
from store.database import TenantId

if TYPE_CHECKING:
    from jobs.services import Services


def learn_users_own(services: Services, tenant: TenantId, people: Iterable[CrmUser]) -> None:
    """A colleague who calls from their own telephone is no customer."""
    told = [number for person in people if person.active for number in person.numbers]
    if not told:
        return
    region = services.tenants.get(tenant).region
    read = {number.e164 for number in (phone.read(raw, region) for raw in told) if number.kind == "number"}
    new = read - services.apart.known(tenant, read).keys()
    if new:
        with services.db.tenant(tenant) as database:
            for number in sorted(new):
                services.apart.put(database, tenant, number, "own", source="user")


def set_apart(services: Services, tenant: TenantId, raw: str, kind: Kind, reason: str, *, actor: str) -> None:
    """An administrator says that a number is ours, or is to be left out. Raises Malformed for what is no number."""
    number = phone.read(raw, services.tenants.get(tenant).region)
    if number.kind != "number":
        raise Malformed("This is not a number anybody calls from.", code="number.invalid")
    with services.db.tenant(tenant) as database:
        services.apart.put(database, tenant, number.e164, kind, reason)
        services.ledger.write(database, tenant, "number.set_apart", actor=actor, kind=kind)


def take_back(services: Services, tenant: TenantId, row: UUID, *, actor: str) -> None:
    """Whoever calls from this number is a customer again, from the next call on. Raises Missing."""
    with services.db.tenant(tenant) as database:
        kind = services.apart.remove(database, tenant, row)
        services.ledger.write(database, tenant, "number.taken_back", actor=actor, subject=f"set_apart:{row}", kind=kind)
