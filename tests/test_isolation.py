"""A tenant's rows exist for that tenant alone: PostgreSQL holds the wall even where a query of ours forgets it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import (
    Boolean,
    Connection,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Uuid,
    create_engine,
    delete,
    func,
    insert,
    pool,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError

from store.database import Database, TenantId, UnsafeRole
from store.embedded import Postgres
from store.schema import APPEND_ONLY, THROUGH_FUNCTIONS, pending, upgrade
from store.tables import OF_A_TENANT, WITHOUT_TENANT, effects, ledger, metadata, tenants
from store.vault import Vault
from tests.servers import alice_ltd

NAMES = [table.name for table in OF_A_TENANT]
UNCHANGEABLE = {*APPEND_ONLY, *THROUGH_FUNCTIONS}  # by the application's role
REFUSED = "row-level security|permission denied"
WRITABLE = [table for table in OF_A_TENANT if table.name not in THROUGH_FUNCTIONS]  # by the application's role
CHANGEABLE = [table for table in WRITABLE if table.name not in APPEND_ONLY]
NO = r"row-level security|permission denied"
NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
CONTACT = CALL = uuid.UUID(int=77)  # what rows that point at a contact or a recorded call point at
USER = uuid.UUID(int=78)
POINTERS = {"contact_id": CONTACT, "recording_id": CALL, "list_id": CALL, "user_id": USER}
POINTED_AT = {
    "contacts": CONTACT,
    "calls": CALL,
    "recordings": CALL,
    "callbacks": CALL,
    "call_lists": CALL,
    "users": USER,
    "chat_spaces": USER,
}


def owner_column(table: Table) -> Any:
    return table.c.id if table is tenants else table.c.tenant_id


def sample(column: Any) -> Any:
    """Any value the column takes."""
    kinds: dict[type, Any] = {
        Uuid: POINTERS.get(column.name) or uuid.uuid4(),
        Date: NOON.date(),
        DateTime: NOON,
        LargeBinary: uuid.uuid4().bytes,
        Boolean: True,
        JSONB: {"made": "up"},
        ARRAY: ["a"],
        Integer: uuid.uuid4().int % 2**31,
        SmallInteger: 1,
    }
    return next((value for kind, value in kinds.items() if isinstance(column.type, kind)), uuid.uuid4().hex)


def row(table: Table, tenant: TenantId) -> dict[str, Any]:
    """A row of that table and tenant, every column filled."""
    values = {column.name: sample(column) for column in table.columns if column.identity is None}
    if table.name in POINTED_AT:
        values["id"] = POINTED_AT[table.name]
    return values | {owner_column(table).name: tenant}


def count(connection: Connection, table: Table) -> int:
    total: int = connection.execute(select(func.count()).select_from(table)).scalar_one()
    return total


@pytest.fixture(scope="module")
def furnished(db: Database, vault: Vault) -> Iterator[TenantId]:
    """Alice's tenant with a row in every table there is. No test here changes one: that is what they show."""
    tenant = alice_ltd(db, vault)
    with db.tenant(tenant) as connection:
        for table in WRITABLE:  # in the order their keys need
            if table is not tenants:
                connection.execute(insert(table).values(row(table, tenant)))
        assert set() == {table.name for table in WRITABLE if not count(connection, table)}
    yield tenant
    with db.tenant(tenant) as connection:
        for table in reversed(CHANGEABLE):
            connection.execute(delete(table))


@pytest.fixture
def owner(db_urls: Postgres) -> Iterator[Connection]:
    """The role that owns the tables."""
    engine = create_engine(make_url(db_urls.owner_url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_every_table_is_behind_the_wall_or_says_why_not(owner: Connection) -> None:
    """Row-level security is on and forced, for the owner too, wherever a row belongs to a tenant."""
    rows = owner.execute(
        text(
            "SELECT relname, relrowsecurity AND relforcerowsecurity AS walled FROM pg_class WHERE relkind IN ('r','p')"
            " AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'mail_keys_%'"
        )
    )
    walled = {row.relname: row.walled for row in rows}

    assert {*NAMES, *WITHOUT_TENANT, "alembic_version"} == walled.keys()
    assert set(NAMES) == {name for name, is_walled in walled.items() if is_walled}


@pytest.mark.parametrize("table", OF_A_TENANT, ids=NAMES)
def test_a_neighbours_rows_are_not_there(table: Table, db: Database, furnished: TenantId, neighbour: TenantId) -> None:
    """Charlie sees none of Alice's rows, changes none and deletes none, even with a query that names no tenant."""
    hers = owner_column(table) == furnished

    with db.tenant(neighbour) as connection:
        assert [] == connection.execute(select(table).where(hers)).all()
        assert {neighbour} >= set(connection.execute(select(owner_column(table))).scalars())
    if table in CHANGEABLE:
        same = {owner_column(table).name: furnished}
        with db.tenant(neighbour) as connection:
            assert 0 == connection.execute(update(table).where(hers).values(same)).rowcount
            assert 0 == connection.execute(delete(table).where(hers)).rowcount
    with pytest.raises(ProgrammingError, match=NO), db.tenant(neighbour) as connection:
        connection.execute(insert(table).values(row(table, furnished)))
    with db.tenant(furnished) as connection:
        assert bool(count(connection, table)) == (table in WRITABLE)


@pytest.mark.parametrize("table", OF_A_TENANT, ids=NAMES)
def test_without_a_tenant_there_are_no_rows(table: Table, db: Database, furnished: TenantId) -> None:
    """A transaction that forgot to say whose it is sees nothing and can write nothing."""
    with db.anyone() as connection:
        assert 0 == count(connection, table)
    with pytest.raises(ProgrammingError, match=NO), db.anyone() as connection:
        connection.execute(insert(table).values(row(table, furnished)))


@pytest.mark.parametrize("table", CHANGEABLE, ids=lambda table: table.name)
def test_a_row_cannot_be_given_away(table: Table, db: Database, furnished: TenantId, neighbour: TenantId) -> None:
    """Nobody can plant a row of their own in another tenant."""
    with pytest.raises(ProgrammingError, match=NO), db.tenant(furnished) as connection:
        connection.execute(update(table).values({owner_column(table).name: neighbour}))


def test_a_connection_forgets_whose_it_was(db_urls: Postgres, furnished: TenantId, neighbour: TenantId) -> None:
    """Hundreds of interleaved transactions over two connections, and each sees its own tenant or none."""
    small = Database(db_urls.app_url, pool_size=1)  # and one overflow

    def look(turn: int) -> bool:
        who = (furnished, neighbour, None)[turn % 3]
        with small.tenant(who) if who else small.anyone() as connection:
            seen = list(connection.execute(select(tenants.c.id)).scalars())
            if turn % 5 == 0:
                connection.rollback()
        return seen == ([who] if who else [])

    with ThreadPoolExecutor(8) as threads:
        assert {True} == set(threads.map(look, range(300)))
    small.close()


def test_a_failed_transaction_leaks_nothing(db_urls: Postgres, furnished: TenantId) -> None:
    """What broke for Alice leaves her name nowhere for the next one on that connection."""
    small = Database(db_urls.app_url, pool_size=1)
    for _ in range(3):
        with pytest.raises(ProgrammingError), small.tenant(furnished) as connection:
            connection.execute(text("SELECT nothing FROM nowhere"))
        with small.anyone() as connection:
            assert 0 == count(connection, tenants)
    small.close()


def test_a_role_that_may_too_much_is_refused(db: Database, db_urls: Postgres) -> None:
    """Whoever owns the tables could look past the wall, so nothing is opened with that role."""
    db.check_role()
    owner = Database(db_urls.owner_url, pool_size=1)

    with pytest.raises(UnsafeRole, match="DATABASE_OWNER_URL is for the owner"):
        owner.check_role()
    owner.close()


@pytest.mark.parametrize("name", APPEND_ONLY)
@pytest.mark.parametrize("act", [update, delete], ids=["UPDATE", "DELETE"])
def test_proof_can_only_be_added_to(name: str, act: Any, db: Database, furnished: TenantId) -> None:
    """The application's role has no right to change or remove a row of the ledger or a certificate."""
    table = metadata.tables[name]
    statement = act(table).values(at=NOON) if act is update else act(table)

    with pytest.raises(ProgrammingError, match="permission denied"), db.tenant(furnished) as connection:
        connection.execute(statement)
    with db.tenant(furnished) as connection:
        assert 1 <= count(connection, table)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO mail_keys VALUES (now(), '')",
        "DELETE FROM mail_keys",
        "UPDATE alembic_version SET version_num = '0000'",
        "ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY one_tenant ON contacts",
        "TRUNCATE contacts",
        "DROP TABLE tombstones",
        "CREATE TABLE mine (id int)",
        "SET ROLE linekeeper_owner",
    ],
)
def test_the_application_cannot_move_the_walls(statement: str, db: Database) -> None:
    """Whoever takes over a web process still meets them."""
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner|does not exist"), db.anyone() as some:
        some.execute(text(statement))


def test_a_call_has_one_writer(db: Database, tenant: TenantId) -> None:
    """Either the CRM's telephony writes the activity or we do: a second one is refused by the database itself."""
    call = uuid.uuid4()

    def owe(kind: str) -> dict[str, Any]:
        return row(effects, tenant) | {"kind": kind, "call_id": call}

    with db.tenant(tenant) as connection:
        connection.execute(insert(effects).values(owe("activity.bridge")))
        connection.execute(insert(effects).values(owe("pop")))  # any number of others
        connection.execute(insert(effects).values(owe("pop")))
    for kind in ("activity.record", "activity.bridge"):
        with pytest.raises(IntegrityError, match="one_writer_per_call"), db.tenant(tenant) as connection:
            connection.execute(insert(effects).values(owe(kind)))


def test_the_migrations_make_what_the_tables_say(owner: Connection, db_urls: Postgres) -> None:
    """Nothing to add, nothing to alter; and bringing it up to date again changes nothing."""
    context = MigrationContext.configure(
        owner, opts={"include_name": lambda name, kind, _: kind != "table" or not str(name).startswith("mail_keys_")}
    )

    assert [] == compare_metadata(context, metadata)
    assert [] == pending(db_urls.owner_url)
    assert upgrade(db_urls.owner_url, "linekeeper_app", "linekeeper_auditor")


def test_what_the_ledger_may_not_hold_is_nowhere_plain(db: Database, furnished: TenantId) -> None:
    """Every column is sealed, blind, opaque, a word, a time, a count or an id of ours: there is no other text."""
    plain = [
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if "kind" not in column.info and column.type.python_type is str
    ]

    assert ["clock_marks.name"] == plain
    with db.tenant(furnished) as connection:
        assert 1 == count(connection, ledger)
