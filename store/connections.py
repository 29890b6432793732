"""A tenant's ties to outside systems: their health, the accounts and door secrets behind them, how far we have read.

The state is computed from what happened last, per connection: `ok` and `trouble` are called where the work is done.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.errors import Missing
from store.database import Database, TenantId
from store.tables import chores, connection_secrets, connections, cursors
from store.vault import Vault

Kind = Literal["crm", "workspace", "telephony"]
GET = select(connections).where(  # made once: making a statement costs as much as asking it
    connections.c.tenant_id == bindparam("tenant"), connections.c.id == bindparam("tie")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """A connection: a tenant's tie to one outside system."""

    id: UUID
    tenant: TenantId
    kind: Kind
    vendor: str
    state: Literal["active", "needs_consent", "disconnected"]
    reason: str
    label: str
    account: dict[str, str]
    facts: dict[str, Any]
    created_at: datetime
    last_ok_at: datetime | None
    last_trouble_at: datetime | None

    @property
    def troubled(self) -> bool:
        """Active, but the last thing it was asked to do did not work."""
        return self.last_trouble_at is not None and (self.last_ok_at is None or self.last_trouble_at > self.last_ok_at)


class Connections:
    """Ties, their secrets and their cursors."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def add(
        self,
        tenant: TenantId,
        kind: Kind,
        vendor: str,
        *,
        label: str,
        subject: str = "",
        account: dict[str, str] | None = None,
        **facts: Any,
    ) -> UUID:
        """Tie a tenant to an outside system; return the connection's id."""
        row = uuid.uuid4()
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as connection:
            connection.execute(
                insert(connections).values(
                    id=row,
                    tenant_id=tenant,
                    kind=kind,
                    vendor=vendor,
                    label=vault.seal("connections", row, "label", label),
                    account=vault.seal_json("connections", row, "account", account or {}),
                    subject=vault.fingerprint("subject", subject) if subject else None,
                    facts=facts,
                )
            )
        return row

    def all(self, tenant: TenantId, *, kind: Kind | None = None, connected: bool = False) -> list[Tie]:
        statement = select(connections).where(connections.c.tenant_id == tenant).order_by(connections.c.created_at)
        if kind is not None:
            statement = statement.where(connections.c.kind == kind)
        if connected:
            statement = statement.where(connections.c.state != "disconnected")
        with self._db.tenant(tenant) as connection:
            return [self._tie(row) for row in connection.execute(statement)]

    def listened_to(self, vendors: Collection[str]) -> list[TenantId]:
        """Who has an active telephone system of one of these vendors: ids only, for whoever listens."""
        asked = text("SELECT tenant_id FROM linekeeper_listened_to(:vendors)")
        with self._db.anyone() as connection:
            return list(connection.execute(asked, {"vendors": list(vendors)}).scalars())

    def announced(self) -> dict[str, int]:
        """How many connections of anybody's are announced as silent, or about to be, by what it is."""
        with self._db.anyone() as connection:
            rows = connection.execute(text("SELECT what, many FROM linekeeper_alarms()"))
            return {row.what: row.many for row in rows}

    def get(self, tenant: TenantId, tie: UUID) -> Tie:
        """Raise Missing for a connection that is not there or not this tenant's."""
        with self._db.tenant(tenant) as connection:
            row = connection.execute(GET, {"tenant": tenant, "tie": tie}).one_or_none()
        if row is None:
            raise Missing("There is no such connection.")
        return self._tie(row)

    def of_subject(self, tenant: TenantId, vendor: str, subject: str) -> Tie | None:
        """The connection that speaks for this account there, whatever its state."""
        fingerprint = self._vault.of(tenant).fingerprint("subject", subject)
        with self._db.tenant(tenant) as connection:
            row = connection.execute(
                select(connections)
                .where(
                    connections.c.tenant_id == tenant,
                    connections.c.vendor == vendor,
                    connections.c.subject == fingerprint,
                )
                .limit(1)
            ).one_or_none()
        return None if row is None else self._tie(row)

    def first(self, tenant: TenantId, kind: Kind) -> Tie | None:
        """The tenant's connection of a kind, if it has one that is not disconnected."""
        found = self.all(tenant, kind=kind, connected=True)
        return found[0] if found else None

    # -- health

    def ok(self, tenant: TenantId, tie: UUID) -> None:
        """It just did what it was asked."""
        with self._db.tenant(tenant) as connection:
            self.went_well(connection, tenant, tie)

    def went_well(self, connection: Connection, tenant: TenantId, tie: UUID) -> None:
        """The same, in the caller's transaction."""
        connection.execute(self._where(tenant, tie).values(last_ok_at=func.now(), reason=""))

    def trouble(self, tenant: TenantId, tie: UUID, code: str) -> None:
        """It just did not."""
        with self._db.tenant(tenant) as connection:
            connection.execute(self._where(tenant, tie).values(last_trouble_at=func.now(), reason=code))

    def turn(self, connection: Connection, tenant: TenantId, tie: UUID, state: str, reason: str = "") -> bool:
        """Change the state in the caller's transaction; say whether it was another before."""
        return bool(
            connection.execute(
                self._where(tenant, tie).where(connections.c.state != state).values(state=state, reason=reason)
            ).rowcount
        )

    def set_facts(self, tenant: TenantId, tie: UUID, **facts: Any) -> None:
        """Merge plain facts (never customer content) into the connection's."""
        with self._db.tenant(tenant) as connection:
            connection.execute(self._where(tenant, tie).values(facts=connections.c.facts.concat(facts)))

    @staticmethod
    def _where(tenant: TenantId, tie: UUID) -> Any:
        return update(connections).where(connections.c.tenant_id == tenant, connections.c.id == tie)

    # -- secrets

    def add_secret(self, tenant: TenantId, tie: UUID, purpose: str, value: str, *, overlap_seconds: int = 0) -> None:
        """Keep a secret; older ones for the same purpose end after `overlap_seconds`."""
        row = uuid.uuid4()
        vault = self._vault.of(tenant)
        same = (
            connection_secrets.c.tenant_id == tenant,
            connection_secrets.c.connection_id == tie,
            connection_secrets.c.purpose == purpose,
        )
        with self._db.tenant(tenant) as connection:
            connection.execute(
                update(connection_secrets)
                .where(*same, connection_secrets.c.not_after.is_(None))
                .values(not_after=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, overlap_seconds))
            )
            connection.execute(
                insert(connection_secrets).values(
                    id=row,
                    tenant_id=tenant,
                    connection_id=tie,
                    purpose=purpose,
                    value=vault.seal("connection_secrets", row, "value", value),
                )
            )

    def secrets(self, tenant: TenantId, tie: UUID, purpose: str) -> list[str]:
        """Every secret that is valid now, newest first."""
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as connection:
            rows = connection.execute(
                select(connection_secrets)
                .where(
                    connection_secrets.c.tenant_id == tenant,
                    connection_secrets.c.connection_id == tie,
                    connection_secrets.c.purpose == purpose,
                    or_(connection_secrets.c.not_after.is_(None), connection_secrets.c.not_after > func.now()),
                )
                .order_by(connection_secrets.c.created_at.desc())
            ).all()
        return [vault.open("connection_secrets", row.id, "value", row.value) for row in rows]

    # -- cursors

    def cursor(self, tenant: TenantId, tie: UUID, name: str) -> str:
        """How far we have read there, or "" for not at all."""
        with self._db.tenant(tenant) as connection:
            row = connection.execute(
                select(cursors).where(
                    cursors.c.tenant_id == tenant, cursors.c.connection_id == tie, cursors.c.name == name
                )
            ).one_or_none()
        return "" if row is None else self._vault.of(tenant).open("cursors", row.id, "value", row.value)

    def set_cursor(self, tenant: TenantId, tie: UUID, name: str, value: str) -> None:
        row = uuid.uuid5(tie, name)  # one row for one name, so that its seal has one place
        sealed = self._vault.of(tenant).seal("cursors", row, "value", value)
        with self._db.tenant(tenant) as connection:
            connection.execute(
                upsert(cursors)
                .values(id=row, tenant_id=tenant, connection_id=tie, name=name, value=sealed)
                .on_conflict_do_update(
                    index_elements=["tenant_id", "id"], set_={"value": sealed, "updated_at": func.now()}
                )
            )

    def drop_cursor(self, tenant: TenantId, tie: UUID, name: str) -> None:
        """Keep nothing under this name any more."""
        with self._db.tenant(tenant) as connection:
            connection.execute(
                delete(cursors).where(
                    cursors.c.tenant_id == tenant, cursors.c.connection_id == tie, cursors.c.name == name
                )
            )

    def let_go(self, connection: Connection, tenant: TenantId, tie: UUID) -> None:
        """Forget everything needed to reach the other side: account, secrets, cursors, chores."""
        for table in (connection_secrets, cursors, chores):
            connection.execute(delete(table).where(table.c.tenant_id == tenant, table.c.connection_id == tie))
        connection.execute(self._where(tenant, tie).values(account=None))

    def _tie(self, row: Any) -> Tie:
        vault = self._vault.of(row.tenant_id)
        return Tie(
            id=row.id,
            tenant=row.tenant_id,
            kind=row.kind,
            vendor=row.vendor,
            state=row.state,
            reason=row.reason,
            label=vault.open("connections", row.id, "label", row.label),
            account=vault.open_json("connections", row.id, "account", row.account) or {},
            facts=row.facts,
            created_at=row.created_at,
            last_ok_at=row.last_ok_at,
            last_trouble_at=row.last_trouble_at,
        )
