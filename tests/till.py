"""A consent in our keeping, and a token endpoint that says what it was told to: what the grants' tests work with."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import requests
from sqlalchemy import func, select, update

from oauth.answer import Answer
from oauth.grants import Grants
from oauth.provider import Client, OAuthProvider
from store.connections import Connections, Tie
from store.database import Database, TenantId
from store.ledger import Ledger
from store.tables import grants
from store.vault import Vault

HOUR = 3600
FIRST = Answer(access="access-0", refresh="refresh-0", scopes=frozenset({"calls"}), life=HOUR, refresh_life=0, extra={})
PROVIDER = OAuthProvider(
    slug="zoho",
    title="Zoho",
    client=Client(id="c", secret="s3cret"),
    authorize_url="{home}/auth",
    token_url="{home}/token",
    revoke_url="{home}/revoke",
    features=(),
    sign_in_scopes=(),
    errors_that_pass=frozenset({"Access Denied"}),
    keep_from_token=("api_domain",),
)


def renewed(number: int, **more: Any) -> dict[str, Any]:
    """What a token endpoint says to a renewal."""
    return {"access_token": f"access-{number}", "expires_in": HOUR, "scope": "calls"} | more


def pause(seconds: float) -> None:
    """Wait for another thread's renewal, ten times as impatient as in life."""
    threading.Event().wait(seconds / 10)


@dataclass
class Desk:
    """A token endpoint without a network: the last thing it was told to say it says for ever."""

    says: list[Any] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def post(self, url: str, *, data: Any = None, timeout: float, **_: Any) -> requests.Response:
        self.asked.append(dict(data or {}))
        say = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        self.meanwhile()
        if isinstance(say, Exception):
            raise say
        response = requests.Response()
        response.status_code = 200
        response._content = say if isinstance(say, bytes) else json.dumps(say).encode()
        return response


@dataclass
class Till:
    """Alice's connection with a consent that has just been given."""

    db: Database
    vault: Vault
    tenant: TenantId
    desk: Desk = field(default_factory=Desk)
    lost: list[tuple[TenantId, uuid.UUID]] = field(default_factory=list)  # whose loss was told

    def __post_init__(self) -> None:
        self.ledger, self.connections = Ledger(self.db), Connections(self.db, self.vault)
        self.grants = Grants(
            self.db,
            self.vault,
            self.ledger,
            self.connections,
            {"zoho": PROVIDER},
            cast(requests.Session, self.desk),
            timeout=5,
            on_lost=lambda tenant, tie: self.lost.append((tenant, tie)),
            sleep=pause,
        )
        self.tie = self.connections.add(self.tenant, "crm", "zoho", label="Alice Ltd", subject="20001")
        self.keep()

    def keep(self, got: Answer = FIRST, *, home: str = "https://eu", tie: uuid.UUID | None = None) -> None:
        self.grants.keep(
            self.tenant,
            tie or self.tie,
            PROVIDER,
            got,
            home=home,
            location="eu",
            granted_by=None,
            purposes=["calls"],
            policy_version="1",
        )

    def token(self) -> str:
        return self.grants.token(self.tenant, self.tie, PROVIDER).value

    def age(self, seconds_left: float) -> None:
        """Turn the clock until the access token has so long to live."""
        left = func.make_interval(0, 0, 0, 0, 0, 0, seconds_left)
        with self.db.tenant(self.tenant) as connection:
            connection.execute(update(grants).where(grants.c.state == "active").values(access_until=func.now() + left))

    def given(self, ago: timedelta) -> None:
        """Turn the clock until the consent was given so long ago."""
        with self.db.tenant(self.tenant) as connection:
            connection.execute(update(grants).where(grants.c.state == "active").values(created_at=func.now() - ago))

    def row(self) -> Any:
        """The newest grant as it stands in the database."""
        with self.db.tenant(self.tenant) as connection:
            return connection.execute(select(grants).order_by(grants.c.created_at.desc()).limit(1)).one()

    def open(self, field: str) -> str:
        """A token of the newest grant, unsealed."""
        row = self.row()
        return self.vault.of(self.tenant).open("grants", row.id, field, getattr(row, field))

    def connection(self) -> Tie:
        return self.connections.get(self.tenant, self.tie)
