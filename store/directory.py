"""Whose knock is this? Fingerprints of doors, organisations, mailboxes, sign-ins and sessions, and the tenant of each.

The one table read before a tenant is known, so it holds nothing but fingerprints and our own ids.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from store.database import Database, TenantId
from store.tables import directory
from store.vault import Vault

Kind = Literal[
    "door",
    "organisation",
    "login",
    "mailbox",
    "session",
    "frame",
    "api_key",
    "workspace",
    "google_account",
    "google_token",
    "widget",
    "widget_code",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """Whose it is."""

    tenant: TenantId
    connection: UUID | None
    user: UUID | None


class Directory:
    """Put, find and strike out entries. A value is never kept, only its fingerprint."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def find(self, kind: Kind, value: str) -> Entry | None:
        fingerprint = self._vault.own_fingerprint(kind, value)
        with self._db.anyone() as connection:
            row = connection.execute(
                select(directory).where(
                    directory.c.kind == kind,
                    directory.c.fingerprint == fingerprint,
                    func.coalesce(directory.c.expires_at, func.now() + func.make_interval(1)) > func.now(),
                )
            ).one_or_none()
        return None if row is None else Entry(row.tenant_id, row.connection_id, row.user_id)

    def take(self, kind: Kind, value: str) -> Entry | None:
        """Find what is good once: it is not there any more."""
        fingerprint = self._vault.own_fingerprint(kind, value)
        with self._db.anyone() as connection:
            row = connection.execute(
                delete(directory)
                .where(
                    directory.c.kind == kind,
                    directory.c.fingerprint == fingerprint,
                    directory.c.expires_at > func.now(),
                )
                .returning(directory.c.tenant_id, directory.c.connection_id, directory.c.user_id)
            ).one_or_none()
        return None if row is None else Entry(row.tenant_id, row.connection_id, row.user_id)

    def put(
        self,
        kind: Kind,
        value: str,
        tenant: TenantId,
        *,
        connection: UUID | None = None,
        user: UUID | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        """Remember whose `value` is. The first tenant to name it keeps it; putting it again is harmless."""
        statement = insert(directory).values(
            kind=kind,
            fingerprint=self._vault.own_fingerprint(kind, value),
            tenant_id=tenant,
            connection_id=connection,
            user_id=user,
            expires_at=expires_at,
        )
        statement = statement.on_conflict_do_update(
            index_elements=["kind", "fingerprint"],
            set_={
                "connection_id": statement.excluded.connection_id,
                "user_id": statement.excluded.user_id,
                "expires_at": statement.excluded.expires_at,
            },
            where=directory.c.tenant_id == tenant,
        )
        with self._db.anyone() as database:
            database.execute(statement)

    def new(self, kind: Kind, tenant: TenantId, *, bits: int = 256, **entry: object) -> str:
        """Make an unguessable value (a door, a session, a key), remember whose it is and return it, this once."""
        value = secrets.token_urlsafe(bits // 8)
        self.put(kind, value, tenant, **entry)  # type: ignore[arg-type]  # the same keywords, checked by put
        return value

    def strike(self, kind: Kind, value: str) -> None:
        with self._db.anyone() as connection:
            connection.execute(
                delete(directory).where(
                    directory.c.kind == kind, directory.c.fingerprint == self._vault.own_fingerprint(kind, value)
                )
            )

    def strike_user(self, kind: Kind, tenant: TenantId, user: UUID) -> int:
        """Strike out everything of one kind that is a user's."""
        mine = (directory.c.kind == kind, directory.c.tenant_id == tenant, directory.c.user_id == user)
        with self._db.anyone() as database:
            return database.execute(delete(directory).where(*mine)).rowcount

    def users(self, kind: Kind, tenant: TenantId, user: UUID) -> int:
        """How many of one kind are a user's."""
        mine = (directory.c.kind == kind, directory.c.tenant_id == tenant, directory.c.user_id == user)
        with self._db.anyone() as database:
            total: int = database.execute(select(func.count()).select_from(directory).where(*mine)).scalar_one()
        return total

    def strike_all(self, tenant: TenantId, *, connection: UUID | None = None) -> int:
        """Strike out everything of a tenant, or of one of its connections: then all but whose organisation it is, so
        that the same organisation stays the same tenant."""
        condition = directory.c.tenant_id == tenant
        if connection is not None:
            condition &= (directory.c.connection_id == connection) & (directory.c.kind != "organisation")
        with self._db.anyone() as database:
            return database.execute(delete(directory).where(condition)).rowcount

    def strike_sessions(self, tenant: TenantId, user: UUID) -> int:
        """Sign somebody out, wherever they are signed in."""
        mine = (
            directory.c.kind.in_(("session", "widget", "widget_code", "frame"))
            & (directory.c.tenant_id == tenant)
            & (directory.c.user_id == user)
        )
        with self._db.anyone() as database:
            return database.execute(delete(directory).where(mine)).rowcount

    def sweep(self) -> int:
        """Strike out what has expired."""
        with self._db.anyone() as connection:
            return connection.execute(delete(directory).where(directory.c.expires_at <= func.now())).rowcount
