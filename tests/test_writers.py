"""The way into PostgreSQL for one statement in a hurry: whose it is, when it is committed, what a lost server costs."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, NotNullViolation
from sqlalchemy import func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from store.database import Database, TenantId
from store.embedded import Postgres
from store.inbox import WRITE_ONCE
from store.tables import deliveries

MARK = "linekeeper-writers"
FOR_NOBODY = WRITE_ONCE.replace("FROM me,", "FROM")
FOR_CHARLIE = WRITE_ONCE.replace("%(tenant)s", "came.charlie").replace(
    "%(body)b::bytea[]\n) AS came (id, connection, event_id, kind, lane, body)",
    "%(body)b::bytea[], %(charlie)b::uuid[]\n) AS came (id, connection, event_id, kind, lane, body, charlie)",
)


@pytest.fixture
def hurried(db_urls: Postgres) -> Iterator[Database]:
    """A way in that only this test uses, and that the server knows by name."""
    url = make_url(db_urls.app_url).update_query_dict({"application_name": MARK})
    database = Database(url.render_as_string(hide_password=False), pool_size=1)
    yield database
    database.close()


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


def test_a_row_is_new_once_and_committed_at_once(hurried: Database, db: Database, tenant: TenantId) -> None:
    """Others see it when the call returns, and a repeat writes nothing."""
    tie = uuid.uuid4()

    assert [True, False] == [hurried.write(tenant, WRITE_ONCE, values("e1", tie)) for _ in range(2)]
    assert 1 == written(db, tenant)


def test_a_statement_that_names_nobody_is_refused(hurried: Database, db: Database, tenant: TenantId) -> None:
    """The tenant is named for one statement: the next on the same connection starts with none."""
    assert hurried.write(tenant, WRITE_ONCE, values("e1", uuid.uuid4()))

    with pytest.raises(InsufficientPrivilege):
        hurried.write(tenant, FOR_NOBODY, values("e1", uuid.uuid4()))
    assert 1 == written(db, tenant)


def test_a_row_for_somebody_else_is_refused(
    hurried: Database, db: Database, tenant: TenantId, neighbour: TenantId
) -> None:
    """Alice's statement cannot put anything into Charlie's inbox."""
    with pytest.raises(InsufficientPrivilege):
        hurried.write(tenant, FOR_CHARLIE, values("e1", uuid.uuid4(), charlie=neighbour))
    assert [0, 0] == [written(db, tenant), written(db, neighbour)]


def test_a_connection_is_used_again_and_no_thread_waits_for_one(
    hurried: Database, db: Database, db_urls: Postgres, tenant: TenantId
) -> None:
    """Writing one after the other takes one connection, and so does a tenant's crowd: it travels together."""
    tie = uuid.uuid4()
    for event in range(5):
        assert hurried.write(tenant, WRITE_ONCE, values(f"one-{event}", tie))
    assert 1 == connections(db_urls)

    with ThreadPoolExecutor(8) as threads:
        wrote = threads.map(lambda event: hurried.write(tenant, WRITE_ONCE, values(f"all-{event}", tie)), range(200))
        assert 200 == sum(wrote)
    assert 205 == written(db, tenant)
    assert 1 == connections(db_urls)


def in_a_crowd(
    hurried: Database, monkeypatch: pytest.MonkeyPatch, *wishes: tuple[TenantId, dict[str, object]]
) -> list[bool | type[BaseException]]:
    """Have the first row under way until all others of its tenant wait; return what each was told."""
    writers = hurried._writers
    send, all_there = writers._send, threading.Event()

    def hold(tenant: TenantId, statement: str, rows: Sequence[Mapping[str, object]]) -> set[uuid.UUID]:
        assert all_there.wait(20)
        return send(tenant, statement, rows)

    def write(wish: tuple[TenantId, dict[str, object]]) -> bool | type[BaseException]:
        try:
            return hurried.write(wish[0], WRITE_ONCE, wish[1])
        except Exception as error:
            return type(error)

    monkeypatch.setattr(writers, "_send", hold)
    with ThreadPoolExecutor(len(wishes)) as threads:
        told = [threads.submit(write, wishes[0])]
        while not writers._waiting:
            sleep(0.001)
        told += [threads.submit(write, wish) for wish in wishes[1:]]
        while sum(map(len, writers._waiting.values())) + len(writers._waiting) < len(wishes):
            sleep(0.001)
        all_there.set()
        return [each.result(20) for each in told]


def test_a_crowd_travels_together_and_each_hears_its_own(
    hurried: Database, db: Database, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who came while one journey was under way shares the next; a repeat among them is told it was one."""
    tie, journeys, send = uuid.uuid4(), [], hurried._writers._send

    def counted(tenant: TenantId, statement: str, rows: Sequence[Mapping[str, object]]) -> set[uuid.UUID]:
        journeys.append(len(rows))
        return send(tenant, statement, rows)

    monkeypatch.setattr(hurried._writers, "_send", counted)

    told = in_a_crowd(hurried, monkeypatch, *[(tenant, values(event, tie)) for event in ("a", "b", "a", "c", "c")])

    assert [1, 4] == journeys
    assert [True, True, False] == told[:3]
    assert [False, True] == sorted(map(bool, told[3:]))
    assert 3 == written(db, tenant)
    assert {} == hurried._writers._waiting


def test_what_is_wrong_with_one_is_said_to_that_one_only(
    hurried: Database, db: Database, tenant: TenantId, neighbour: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row nobody can write stops neither those who travel with it nor another tenant's."""
    tie = uuid.uuid4()

    told = in_a_crowd(
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


def test_a_lost_server_costs_one_refusal(hurried: Database, db_urls: Postgres, tenant: TenantId) -> None:
    """What was under way is answered "send it again"; the next one finds a connection that works."""
    tie = uuid.uuid4()
    assert hurried.write(tenant, WRITE_ONCE, values("before", tie))
    with psycopg.connect(db_urls.admin_url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", [MARK]
        )

    with pytest.raises(OperationalError) as refused:
        hurried.write(tenant, WRITE_ONCE, values("during", tie, body=b"what nobody may read"))
    assert "nobody may read" not in str(refused.value)
    assert hurried.write(tenant, WRITE_ONCE, values("during", tie))
