"""A house to measure in: real servers in a temporary folder, Alice Ltd in it, and her telephone platform's door."""

from __future__ import annotations

import base64
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy.engine import make_url

import settings
from domain.ports import Organisation
from jobs.services import Services, open_services
from store import schema
from store.database import TenantId
from store.embedded import Embedded

ALICE = Organisation(remote_id="20001", name="Alice Ltd", time_zone="Europe/Madrid", country="ES")


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Servers that run and what was put into them."""

    services: Services
    environ: Mapping[str, str]  # what a process of this house is started with
    owner_url: str
    folder: Path

    def tenant(self) -> TenantId:
        """Found Alice Ltd afresh."""
        return self.services.tenants.create(ALICE, profile="strict")

    def phone_system(self, tenant: TenantId) -> Door:
        """Tie a telephone platform to the tenant, as the administrator's console does."""
        services = self.services
        secret = services.telephony["standard"].new_secret()
        account = {"base_url": "https://pbx.alice.example/api", "api_key": "alices-key"}
        tie = services.connections.add(tenant, "telephony", "standard", label="Alice's phones", account=account)
        services.connections.add_secret(tenant, tie, "door", secret)
        return Door(tenant=tenant, tie=tie, name=services.directory.new("door", tenant, connection=tie), secret=secret)

    def settle(self) -> None:
        """Let PostgreSQL learn what is in its tables now, as autovacuum does in time."""
        with psycopg.connect(_plain(self.owner_url), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A door of the house and the secret that opens it."""

    tenant: TenantId
    tie: UUID
    name: str
    secret: str


@contextmanager
def house() -> Iterator[House]:
    """Build the house; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="linekeeper-bench-") as folder:
        here = Path(folder)
        with Embedded(here / "var", say=lambda _: None) as embedded:
            postgres = embedded.postgres()
            environ = {
                "DATA_DIR": str(here / "var"),
                "DATABASE_URL": postgres.app_url,
                "REDIS_URL": embedded.valkey("work").url,
                "MAIL_REDIS_URL": embedded.valkey("mail").url,
                "KEYRING": "bench:" + base64.b64encode(secrets.token_bytes(32)).decode(),
            }
            schema.upgrade(postgres.owner_url, make_url(postgres.app_url).username or "")
            services = open_services(settings.read(environ))
            try:
                yield House(services=services, environ=environ, owner_url=postgres.owner_url, folder=here)
            finally:
                services.close()


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
