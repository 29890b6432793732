"""Hints for a phone system while a caller hears it ring: who calls, and whose telephone should ring.

A hint is only ever help: whoever asked goes on without one. How long it may take is decided at the door.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from uuid import UUID

from domain import dial_plan, phone
from domain.phone import Number
from jobs import busy, numbers, passages
from jobs.services import Services
from jobs.who import choices
from store.database import TenantId
from store.finding import Contact
from store.tenants import Tenant, User

EXIT = "caller name"  # the gate's name for it (`domain.limited_use`)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who has a number, as a telephone shows it; without a name nobody has it."""

    name: str = ""
    company: str = ""
    contact: UUID | None = None
    because: str = "nobody"  # one, chosen, several, nobody, hidden, inside, unreadable
    told: tuple[Contact, ...] = field(default=(), repr=False)  # whose names these are, for the gate; never answered

    def as_data(self) -> dict[str, str | None]:
        """The answer."""
        contact = str(self.contact) if self.contact is not None else None
        return {"name": self.name, "company": self.company, "contact": contact, "because": self.because}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Whose telephone should ring. Empty: as the phone system does without us."""

    extension: str = ""
    email: str = ""
    queue: str = ""
    action: str = ""  # reject: nobody's should
    because: str = "no_rule"  # owner, route, blocked, no_rule

    def as_data(self) -> dict[str, str]:
        """The answer; an action only where there is one."""
        return {name: value for name, value in asdict(self).items() if value or name != "action"}


def caller(services: Services, tenant: TenantId, number: str) -> Caller:
    """Say who has a number: whom somebody here said it is, else the name or the company that all who have it share."""
    read = _read(services.tenants.get(tenant), number)
    if read.kind != "number":
        return Caller(because=_unnamed(read))
    ids, chosen = _having(services, tenant, read.e164)
    people = passages.allowed(services, tenant, EXIT, services.hub.people(tenant, ids).values())
    if not people:
        return Caller()
    names = {contact.person.name for contact in people}
    companies = {contact.person.company for contact in people}
    return Caller(
        name=names.pop() if len(names) == 1 else "",
        company=companies.pop() if len(companies) == 1 else "",
        contact=people[0].id if len(people) == 1 else None,
        because="chosen" if chosen else "one" if len(people) == 1 else "several",
        told=tuple(people),
    )


def way(services: Services, tenant: TenantId, number: str, line: str) -> Way:
    """Say whose telephone should ring: nobody's where the caller is blocked, the owner's of the caller's record unless
    they are not to be disturbed, else what the table says of the line."""
    told = services.tenants.get(tenant)
    if numbers.mark(services, told, _read(told, number)) == "blocked":
        return Way(action="reject", because="blocked")
    owner = _owner(services, told, number)
    if owner is not None and not busy.undisturbed(services, owner):
        found = _to(services, owner, "owner")
        if found.extension or found.email:
            return found
    route = services.routes.find(tenant, line_key(line, told.region)) if line else None
    if route is None:
        return Way()
    user = services.tenants.user(tenant, route.user) if route.user is not None else None
    if user is not None and user.active:
        return _to(services, user, "route")
    return Way(queue=route.queue, because="route") if route.queue else Way()


def line_key(line: str, region: str) -> str:
    """How the routing table names one of the tenant's own numbers; "" for what is none."""
    read = phone.read(line, region)
    return read.e164 or read.extension


def _owner(services: Services, tenant: Tenant, number: str) -> User | None:
    """Who owns the caller's record in the CRM, when everybody it may be belongs to one and the same."""
    read = _read(tenant, number)
    if read.kind != "number":
        return None
    there = services.hub.where(tenant.id, _having(services, tenant.id, read.e164)[0])
    crm = services.connections.first(tenant.id, "crm")
    owners = {
        place.owner
        for places in there.values()
        for place in places
        if crm is not None and place.connection == crm.id and place.module in tenant.matching.order and place.owner
    }
    return services.tenants.user_by_remote(tenant.id, owners.pop()) if len(owners) == 1 else None


def _read(tenant: Tenant, number: str) -> Number:
    """A caller's number as the phone system shows it, which may have digits of its own before it."""
    return phone.read(dial_plan.came(number, tenant.dialling, tenant.region), tenant.region)


def _having(services: Services, tenant: TenantId, number: str) -> tuple[list[UUID], bool]:
    """Who has a number, and whether that is one person because somebody here said so, as calls follow it too."""
    found = services.hub.who(tenant, number)
    rule = choices(services).of(tenant, [number]).get(number) if len(found) > 1 else None
    return ([rule.contact], True) if rule is not None and rule.contact in found else (found, False)


def _to(services: Services, user: User, because: str) -> Way:
    lines = services.devices.of(user.tenant, user.id)
    extension = lines[0].extension if lines and lines[0].chosen else user.extension
    return Way(extension=extension, email=user.email, because=because)


def _unnamed(number: Number) -> str:
    return {"anonymous": "hidden", "extension": "inside"}.get(number.kind, "unreadable")
