"""A tenant's key is changed while it works: everything still opens, and the old key is gone."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from domain.contact import Line, Person, Record
from domain.plan import Step
from store.connections import Connections
from store.database import Database, TenantId
from store.hub import Hub
from store.inbox import Inbox
from store.reseal import BATCH, renew, reseal, sealed_columns
from store.tables import OF_A_TENANT, contacts, tenant_keys
from store.tenants import Tenants
from store.vault import HEADER, KeyGone, Vault

PEOPLE = 40


@pytest.fixture
def furnished(db: Database, vault: Vault, tenant: TenantId) -> TenantId:
    """Alice's tenant with a name, a connection, a delivery and forty contacts."""
    tie = Connections(db, vault).add(tenant, "crm", "zoho", label="Alice Ltd", account={"note": "ø"})
    Inbox(db, vault).write_once(tenant, tie, "event-1", kind="telephony", lane="calls", body=b'{"a":1}')
    steps = [
        Step(do="adopt", record=Record(module="Contacts", remote_id=str(number), person=_person(number)))
        for number in range(PEOPLE)
    ]
    with db.tenant(tenant) as database:
        Hub(db, vault).apply(database, tenant, tie, steps)
    return tenant


def _person(number: int) -> Person:
    return Person(given="Zoë", family=str(number), lines=(Line.read(f"+3460011{number:04d}"),))


def _key_ids(db: Database, tenant: TenantId) -> set[int]:
    """Which keys seal anything of this tenant now."""
    found: set[int] = set()
    with db.tenant(tenant) as database:
        for table in OF_A_TENANT:
            for column in sealed_columns(table):
                values = database.execute(select(column).where(column.is_not(None))).scalars()
                found |= {HEADER.unpack(bytes(value)[: HEADER.size])[2] for value in values}
    return found


def test_everything_is_sealed_with_the_new_key_and_still_opens(db: Database, vault: Vault, furnished: TenantId) -> None:
    """Names, connections, deliveries, contacts: one new key seals them all, and the old one opens nothing any more."""
    (old,) = _key_ids(db, furnished)
    with db.tenant(furnished) as database:
        row, kept = database.execute(select(contacts.c.id, contacts.c.person).limit(1)).one()

    assert 2 * PEOPLE + 4 <= renew(db, vault, furnished)

    (new,) = _key_ids(db, furnished)
    assert old != new
    assert "Alice Ltd" == Tenants(db, vault).get(furnished).name
    assert PEOPLE == len(Hub(db, vault).search(furnished, "zoë"))
    assert [b'{"a":1}'] == [delivery.body for delivery in Inbox(db, vault).pending(furnished, "calls")]
    with pytest.raises(KeyGone):
        vault.of(furnished).open("contacts", row, "person", kept)


def test_a_second_run_has_nothing_to_do(db: Database, vault: Vault, furnished: TenantId) -> None:
    """And a neighbour's values were never touched."""
    renew(db, vault, furnished)

    assert 0 == reseal(db, vault, furnished)
    with db.tenant(furnished) as database:
        states = list(database.execute(select(tenant_keys.c.state).where(tenant_keys.c.purpose == "data")).scalars())
    assert ["active", "destroyed"] == sorted(states)
    assert BATCH > PEOPLE
