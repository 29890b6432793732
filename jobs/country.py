"""In which country numbers without a country code are dialled: what Zoho told us, or what an administrator chose.

A number read in another country is another number, so a new country has everybody read again.
"""

from __future__ import annotations

from domain.besides import SOURCES
from domain.ports import Organisation
from jobs import read_phonebook
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.tenants import User

BECAUSE = "country_from"  # the fact of a CRM connection: organisation, phone, data_centre, chosen; empty: assumed
CHOSEN = "chosen"
BOOKS = ("read.book", *(source.chore for source in SOURCES))


def learn(services: Services, tie: Tie, organisation: Organisation) -> None:
    """Take over where an organisation says it is, unless somebody here chose."""
    if tie.facts.get(BECAUSE) == CHOSEN:
        return
    services.connections.set_facts(tie.tenant, tie.id, **{BECAUSE: organisation.country_from})
    if organisation.country:
        _move(services, tie.tenant, organisation.country)


def choose(services: Services, *, user: User, country: str) -> None:
    """Read numbers as dialled there from now on, because an administrator says so."""
    tie = services.connections.first(user.tenant, "crm")
    if tie is not None:
        services.connections.set_facts(user.tenant, tie.id, **{BECAUSE: CHOSEN})
    services.ledger.note(user.tenant, "tenant.region", actor=f"user:{user.id}", region=country)
    _move(services, user.tenant, country)


def because(services: Services, tenant: TenantId) -> str:
    """Why a tenant's numbers are read where they are; "" where nobody said."""
    tie = services.connections.first(tenant, "crm")
    return str(tie.facts.get(BECAUSE, "")) if tie is not None else ""


def _move(services: Services, tenant: TenantId, country: str) -> None:
    if services.tenants.get(tenant).region == country:
        return
    services.tenants.set(tenant, region=country)
    for tie in services.connections.all(tenant, kind="workspace"):
        for kind in BOOKS:
            if services.connections.cursor(tenant, tie.id, kind):
                services.connections.set_cursor(tenant, tie.id, kind, "")
    # the CRM's reading notices by itself that numbers are read otherwise, and a phonebook is always read whole
    for kind in ("read.crm", read_phonebook.CHORE, *BOOKS):
        services.chores.hurry(tenant, kind)
    services.ring(tenant, "contacts")
