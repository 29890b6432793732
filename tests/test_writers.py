"""The way into PostgreSQL for one statement in a hurry: whose it is, when it is committed, what a lost server costs."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, NotNullViolation
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from store.database import Database, TenantId
from store.embedded import Postgres
from store.ferry import BOATS
from store.inbox import WRITE_ONCE
from store.tables import deliveries

MARK = "linekeeper-writers"
FOR_NOBODY = WRITE_ONCE.replace("FROM me,", "FROM")
FOR_CHARLIE = WRITE_ONCE.replace("%(tenant)s", "came.charlie").replace(
    "%(body)b::bytea[]\n) AS came (id, connection, event_id, kind, lane, body)",
    "%(body)b::bytea[], %(charlie)b::uuid[]\n) AS came (id, connection, event_id, kind, lane, body, charlie)",
)


Write = Callable[[TenantId, str, Mapping[str, object]], bool]


@pytest.fixture
def hurried(db_urls: Postgres) -> Iterator[Database]:
    """A way in that only this test uses, and that the server knows by name."""
    url = make_url(db_urls.app_url).update_query_dict({"application_name": MARK})
    database = Database(url.render_as_string(hide_password=False), pool_size=1)
    yield database
    database.close()


@pytest.fixture(params=["a thread", "a loop"])
def write(request: pytest.FixtureRequest, hurried: Database) -> Write:
    """Both ways to write one row."""
    if request.param == "a thread":
        return hurried.write
    return lambda tenant, statement, row: asyncio.run(hurried.write_soon(tenant, statement, row))


def values(event: str, connection: uuid.UUID, **more: object) -> dict[str, object]:
    return {
        "id": uuid.uuid4(),
        "connection": connection,
        "event_id": event,
        "kind": "telephony",
        "lane": "calls",
        "body": b"sealed",
        **more,
    }


def written(db: Database, tenant: TenantId) -> int:
    with db.tenant(tenant) as connection:
        count: int = connection.execute(select(func.count()).select_from(deliveries)).scalar_one()
    return count


def connections(db_urls: Postgres) -> int:
    """How many connections of the test's own the server has."""
    with psycopg.connect(db_urls.admin_url.replace("+psycopg", "")) as admin:
        row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [MARK]).fetchone()
    assert row
    total: int = row[0]
    return total


def test_a_row_is_new_once_and_committed_at_once(write: Write, db: Database, tenant: TenantId) -> None:
    """Others see it when the call returns, and a repeat writes nothing."""
    tie = uuid.uuid4()

    assert [True, False] == [write(tenant, WRITE_ONCE, values("e1", tie)) for _ in range(2)]
    assert 1 == written(db, tenant)


def test_a_statement_that_names_nobody_is_refused(write: Write, db: Database, tenant: TenantId) -> None:
    """The tenant is named for one statement: the next on the same connection starts with none."""
    assert write(tenant, WRITE_ONCE, values("e1", uuid.uuid4()))

    with pytest.raises(InsufficientPrivilege):
        write(tenant, FOR_NOBODY, values("e1", uuid.uuid4()))
    assert 1 == written(db, tenant)


def test_a_row_for_somebody_else_is_refused(write: Write, db: Database, tenant: TenantId, neighbour: TenantId) -> None:
    """Alice's statement cannot put anything into Charlie's inbox."""
    with pytest.raises(InsufficientPrivilege):
        write(tenant, FOR_CHARLIE, values("e1", uuid.uuid4(), charlie=neighbour))
    assert [0, 0] == [written(db, tenant), written(db, neighbour)]


def test_a_connection_is_used_again(hurried: Database, db: Database, db_urls: Postgres, tenant: TenantId) -> None:
    """Writing one after the other takes one connection on either way; no more are open than wrote at one time."""
    tie = uuid.uuid4()
    for event in range(5):
        assert hurried.write(tenant, WRITE_ONCE, values(f"one-{event}", tie))
    assert 1 == connections(db_urls)

    with ThreadPoolExecutor(8) as threads:
        wrote = threads.map(lambda event: hurried.write(tenant, WRITE_ONCE, values(f"all-{event}", tie)), range(200))
        assert 200 == sum(wrote)
    assert 205 == written(db, tenant)
    assert 1 <= connections(db_urls) <= 8


def in_a_crowd(
    hurried: Database, monkeypatch: pytest.MonkeyPatch, *wishes: tuple[TenantId, dict[str, object]]
) -> tuple[list[bool | type[BaseException]], list[int]]:
    """Have the first row under way until all others wait; return what each was told, and how many crossed together."""
    ferry, crossings = hurried._ferry, list[int]()
    send = ferry._send

    async def crowd() -> list[bool | BaseException]:
        all_there = asyncio.Event()

        async def hold(tenant: TenantId, statement: str, rows: Sequence[Mapping[str, object]]) -> set[uuid.UUID]:
            await all_there.wait()
            crossings.append(len(rows))
            return await send(tenant, statement, rows)

        monkeypatch.setattr(ferry, "_send", hold)
        told = []
        for tenant, row in wishes:
            told.append(asyncio.create_task(hurried.write_soon(tenant, WRITE_ONCE, row)))
            for _ in range(3):  # it is asked for, and a boat that is free takes it
                await asyncio.sleep(0)
        all_there.set()
        return await asyncio.gather(*told, return_exceptions=True)

    told = [type(one) if isinstance(one, BaseException) else one for one in asyncio.run(crowd())]
    assert ({}, set(), set()) == (ferry._waiting, ferry._crossing, ferry._boats)
    return told, crossings


def test_a_crowd_crosses_together_and_each_hears_its_own(
    hurried: Database, db: Database, db_urls: Postgres, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who came while one crossing was under way shares the next; a repeat among them is told it was one."""
    tie = uuid.uuid4()

    told, crossings = in_a_crowd(
        hurried, monkeypatch, *[(tenant, values(event, tie)) for event in ("a", "b", "a", "c", "c")]
    )

    assert [1, 4] == crossings
    assert [True, True, False] == told[:3]
    assert [False, True] == sorted(map(bool, told[3:]))
    assert 3 == written(db, tenant)
    assert 1 == connections(db_urls)


def test_what_is_wrong_with_one_is_said_to_that_one_only(
    hurried: Database, db: Database, tenant: TenantId, neighbour: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row nobody can write stops neither those who cross with it nor another tenant's."""
    tie = uuid.uuid4()

    told, crossings = in_a_crowd(
        hurried,
        monkeypatch,
        (tenant, values("first", tie)),
        (tenant, values("good", tie)),
        (tenant, values("bad", tie, kind=None)),
        (tenant, values("too", tie)),
        (neighbour, values("theirs", uuid.uuid4())),
    )

    assert [True, True, NotNullViolation, True, True] == told
    assert [3, 1] == [written(db, tenant), written(db, neighbour)]
    assert [1, 1, 3, 1, 1, 1] == crossings  # the first of each at once; then three, and each by itself


def test_only_so_many_tenants_cross_at_one_time(hurried: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next waits for a boat, and everybody gets one."""
    most, at_sea = [0], [0]

    async def send(tenant: TenantId, statement: str, rows: Sequence[Mapping[str, object]]) -> set[object]:
        at_sea[0] += 1
        most[0] = max(most[0], at_sea[0])
        await asyncio.sleep(0)
        at_sea[0] -= 1
        return {row["id"] for row in rows}

    monkeypatch.setattr(hurried._ferry, "_send", send)

    async def everybody() -> list[bool]:
        tie = uuid.uuid4()
        wishes = [hurried.write_soon(uuid.uuid4(), WRITE_ONCE, values("e", tie)) for _ in range(5 * BOATS)]
        return await asyncio.gather(*wishes)

    assert [True] * 5 * BOATS == asyncio.run(everybody())
    assert BOATS == most[0]


def test_a_boat_that_just_came_in_keeps_nobody_waiting(
    hurried: Database, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes again the moment they are told, when there is no other boat, is taken over all the same."""
    monkeypatch.setattr("store.ferry.BOATS", 1)

    async def one_after_the_other() -> list[bool]:
        tie = uuid.uuid4()
        return [await hurried.write_soon(tenant, WRITE_ONCE, values(f"e{place}", tie)) for place in range(3)]

    assert [True] * 3 == asyncio.run(asyncio.wait_for(one_after_the_other(), 20))


def test_a_lost_server_costs_one_refusal(write: Write, db_urls: Postgres, tenant: TenantId) -> None:
    """What was under way is answered "send it again"; the next one finds a connection that works."""
    tie = uuid.uuid4()
    assert write(tenant, WRITE_ONCE, values("before", tie))
    with psycopg.connect(db_urls.admin_url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", [MARK]
        )

    with pytest.raises(OperationalError) as refused:
        write(tenant, WRITE_ONCE, values("during", tie, body=b"what nobody may read"))
    assert "nobody may read" not in str(refused.value)
    assert write(tenant, WRITE_ONCE, values("during", tie))
