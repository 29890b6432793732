"""Numbers that are never a customer's: what an administrator says of them, and those of the people who work here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from domain import barring, phone
from domain.barring import Barring
from domain.errors import Malformed
from domain.phone import Number
from domain.ports import CrmUser
from store.apart import Kind
from store.database import TenantId
from store.tenants import Tenant

if TYPE_CHECKING:
    from jobs.services import Services


def marks(services: Services, tenant: Tenant, numbers: Collection[str]) -> Mapping[str, Kind]:
    """Which of these numbers are set apart and how: each by itself, else by the closest range it lies in."""
    ranges = {number: tenant.barring.ranges(number) for number in numbers} if tenant.barring.lengths else {}
    known = services.apart.known(tenant.id, {*numbers, *(one for some in ranges.values() for one in some)})
    active = {number: kind for number, (kind, state) in known.items() if state == "active"}
    within = {number: next((active[one] for one in some if one in active), None) for number, some in ranges.items()}
    told = {number: active.get(number) or within.get(number) for number in numbers}
    return {number: kind for number, kind in told.items() if kind is not None}


def mark(services: Services, tenant: Tenant, number: Number) -> str:
    """How a caller's number is set apart, hidden ones too; "" where it is not."""
    if number.kind == "anonymous":
        return tenant.barring.hidden
    return marks(services, tenant, [number.e164]).get(number.e164, "") if number.e164 else ""


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
    """An administrator says that a number is ours, or is left out or blocked; the latter may be said of ranges and of
    hidden callers. Raises Malformed for what is no number."""
    number = phone.read(raw, services.tenants.get(tenant).region)
    said = number.e164 if number.kind == "number" else barring.written(raw) if kind != "own" else None
    if "*" in raw:
        said = barring.written(raw) if kind != "own" else None
    if not said:
        raise Malformed("This is not a number anybody calls from.", code="number.invalid")
    with services.db.tenant(tenant) as database:
        services.apart.put(database, tenant, said, kind, reason)
        services.ledger.write(database, tenant, "number.set_apart", actor=actor, kind=kind)
    _sum_up(services, tenant)


def take_back(services: Services, tenant: TenantId, row: UUID, *, actor: str) -> None:
    """Whoever calls from this number is a customer again, from the next call on. Raises Missing."""
    with services.db.tenant(tenant) as database:
        kind = services.apart.remove(database, tenant, row)
        services.ledger.write(database, tenant, "number.taken_back", actor=actor, subject=f"set_apart:{row}", kind=kind)
    _sum_up(services, tenant)


def _sum_up(services: Services, tenant: TenantId) -> None:
    """Remember which ranges there are to compare a number with."""
    listed = [(one.number, one.kind) for one in services.apart.all(tenant) if one.state == "active"]
    services.tenants.set(tenant, barring=Barring.of(listed).as_data())
