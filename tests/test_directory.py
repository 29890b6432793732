"""Whose knock is this? Known by fingerprint alone, and never answered with somebody else's tenant."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from store.database import Database, TenantId
from store.directory import Directory, Entry
from store.tables import directory as rows
from store.vault import Vault

MINUTE = timedelta(minutes=1)


@pytest.fixture
def directory(db: Database, vault: Vault) -> Directory:
    return Directory(db, vault)


@pytest.fixture
def value() -> str:
    """A mailbox nobody else in these tests has."""
    return f"{uuid.uuid4()}@alice.example"


def test_what_was_put_is_found(directory: Directory, tenant: TenantId, value: str) -> None:
    """The tenant, the connection and the user; under its own kind only."""
    tie, user = uuid.uuid4(), uuid.uuid4()
    assert directory.find("mailbox", value) is None

    directory.put("mailbox", value, tenant, connection=tie, user=user)

    assert Entry(tenant, tie, user) == directory.find("mailbox", value)
    assert directory.find("login", value) is None
    assert directory.find("mailbox", value + " ") is None


def test_no_value_is_kept(directory: Directory, db: Database, tenant: TenantId, value: str) -> None:
    """Only a keyed fingerprint that is of no use elsewhere."""
    directory.put("mailbox", value, tenant)

    with db.anyone() as connection:
        held = [bytes(each) for each in connection.execute(select(rows.c.fingerprint)).scalars()]
    assert held
    assert {32} == {len(each) for each in held}
    assert not any(value.encode() in each for each in held)


def test_the_first_tenant_to_name_it_keeps_it(
    directory: Directory, tenant: TenantId, neighbour: TenantId, value: str
) -> None:
    """Charlie cannot take Alice's organisation over by naming it too; Alice may move it to another connection."""
    tie = uuid.uuid4()
    directory.put("organisation", value, tenant)
    directory.put("organisation", value, neighbour, connection=uuid.uuid4())
    assert Entry(tenant, None, None) == directory.find("organisation", value)

    directory.put("organisation", value, tenant, connection=tie)
    assert Entry(tenant, tie, None) == directory.find("organisation", value)


def test_an_entry_ends_on_time(directory: Directory, db: Database, tenant: TenantId, value: str) -> None:
    """A minute before it is there, a minute after it is not, swept or not."""
    directory.put("session", value, tenant, expires_at=db.now() + MINUTE)
    directory.put("session", f"other {value}", tenant)
    assert directory.find("session", value)

    directory.put("session", value, tenant, expires_at=db.now() - MINUTE)

    assert directory.find("session", value) is None
    assert 1 <= directory.sweep()
    assert directory.find("session", f"other {value}")
    directory.put("session", value, tenant)
    assert directory.find("session", value)


def test_new_values_cannot_be_guessed(directory: Directory, tenant: TenantId) -> None:
    """A door is 256 random bits, in letters an address can hold."""
    doors = {directory.new("door", tenant, connection=uuid.UUID(int=9)) for _ in range(20)}

    assert 20 == len(doors)
    assert {43} == {len(door) for door in doors}
    assert all(door.replace("-", "").replace("_", "").isalnum() for door in doors)
    assert {Entry(tenant, uuid.UUID(int=9), None)} == {directory.find("door", door) for door in doors}


def test_striking_out(directory: Directory, tenant: TenantId, neighbour: TenantId, value: str) -> None:
    """One value, one connection's, or everything of a tenant; a neighbour's stays."""
    ties = [uuid.uuid4(), uuid.uuid4()]
    for number, tie in enumerate((*ties, *ties)):
        directory.put("door", f"{value} {number}", tenant, connection=tie)
    directory.put("door", f"{value} next door", neighbour)

    directory.strike("door", f"{value} 0")
    directory.strike("mailbox", f"{value} 1")
    assert [False, True, True, True] == [bool(directory.find("door", f"{value} {number}")) for number in range(4)]
    assert 1 == directory.strike_all(tenant, connection=ties[0])
    assert 2 == directory.strike_all(tenant)
    assert directory.find("door", f"{value} next door")


def test_a_strange_value_is_just_not_there(directory: Directory) -> None:
    """Nothing a stranger can put into an address upsets the database."""
    for strange in ("", "\0", "'; DROP TABLE directory; --", "ø" * 10_000, "../../etc/passwd"):
        assert directory.find("door", strange) is None


def test_an_expired_value_can_be_used_again(
    directory: Directory, db: Database, tenant: TenantId, neighbour: TenantId, value: str
) -> None:
    """Once it is swept, the next who names it has it."""
    directory.put("session", value, tenant)
    with db.anyone() as connection:
        mine = rows.c.tenant_id == tenant
        connection.execute(update(rows).where(mine).values(expires_at=db.now() - MINUTE))
    directory.sweep()
    directory.put("session", value, neighbour)

    assert Entry(neighbour, None, None) == directory.find("session", value)
