"""The real servers behind the tests: one PostgreSQL and two Valkeys for the whole suite, started when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from domain.ports import Organisation
from store.database import Database, TenantId
from store.embedded import Embedded, Postgres
from store.embedded.postgres import SETTINGS
from store.schema import upgrade
from store.tenants import Tenants
from store.vault import KeyRing, Vault

RING = (("test", bytes(range(32))),)


@pytest.fixture(scope="session")
def servers_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers keep their files: what an auditor searches."""
    return tmp_path_factory.mktemp("linekeeper") / "var"


@pytest.fixture(scope="session")
def servers(servers_dir: Path) -> Iterator[Embedded]:
    """Every server is started by the fixture that needs it and ends with the session."""
    with Embedded(servers_dir, say=lambda _: None) as embedded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(SETTINGS, "fsync", "off")  # these outlive every process a test kills, not the machine
            embedded.postgres()
        yield embedded


@pytest.fixture(scope="session")
def db_urls(servers: Embedded) -> Postgres:
    """A migrated PostgreSQL: `owner_url`, `app_url`, `auditor_url`."""
    postgres = servers.postgres()
    upgrade(postgres.owner_url, "linekeeper_app", "linekeeper_auditor")
    return postgres


@pytest.fixture(scope="session")
def work_url(servers: Embedded) -> str:
    """The Valkey of the doorbell, which keeps a log on disk."""
    return servers.valkey("work").url


@pytest.fixture(scope="session")
def mail_url(servers: Embedded) -> str:
    """The Valkey of cached mail, which keeps nothing."""
    return servers.valkey("mail").url


@pytest.fixture(scope="session")
def db(db_urls: Postgres) -> Iterator[Database]:
    """The database as the application's role sees it."""
    database = Database(db_urls.app_url, pool_size=5)
    yield database
    database.close()


@pytest.fixture(scope="session")
def vault(db: Database) -> Vault:
    return Vault(db, KeyRing(RING))


def alice_ltd(db: Database, vault: Vault) -> TenantId:
    """Found Alice's company."""
    return Tenants(db, vault).create(
        Organisation(remote_id="20001", name="Alice Ltd", time_zone="Europe/Madrid", country="ES"), profile="strict"
    )


@pytest.fixture
def tenant(db: Database, vault: Vault) -> TenantId:
    """Alice Ltd, founded afresh for this test."""
    return alice_ltd(db, vault)


@pytest.fixture
def neighbour(db: Database, vault: Vault) -> TenantId:
    """Charlie's tenant, next door."""
    return Tenants(db, vault).create(
        Organisation(remote_id="30001", name="Charlie Inc", time_zone="America/New_York", country="US"),
        profile="strict",
    )


@contextmanager
def said(db: Database) -> Iterator[list[str]]:
    """Every statement that is said to the database meanwhile."""
    heard: list[str] = []

    def note(*told: Any) -> None:
        heard.append(told[2])

    event.listen(db.engine, "before_cursor_execute", note)
    yield heard
    event.remove(db.engine, "before_cursor_execute", note)
