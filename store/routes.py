"""Who a call to each of a tenant's own numbers is for: a user, or a queue by the name the phone system knows it by."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from store.database import Database, TenantId
from store.tables import routes
from store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A number of the tenant's and where calls to it go."""

    id: UUID
    number: str  # E.164, or an inside line
    user: UUID | None
    queue: str


class Routes:
    """Put, find, list and remove."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def put(self, tenant: TenantId, number: str, *, user: UUID | None = None, queue: str = "") -> UUID:
        """Send calls to `number` there; what was said of it before no longer holds."""
        vault = self._vault.of(tenant)
        row = uuid.uuid5(tenant, vault.fingerprint("route", number).hex())  # one row for one number
        values: dict[str, Any] = {"user_id": user, "queue": vault.seal("routes", row, "queue", queue)}
        with self._db.tenant(tenant) as database:
            database.execute(
                upsert(routes)
                .values(
                    id=row,
                    tenant_id=tenant,
                    number=vault.seal("routes", row, "number", number),
                    number_index=vault.fingerprint("route", number),
                    **values,
                )
                .on_conflict_do_update(index_elements=["tenant_id", "id"], set_=values)
            )
        return row

    def find(self, tenant: TenantId, number: str) -> Route | None:
        index = self._vault.of(tenant).fingerprint("route", number)
        with self._db.tenant(tenant) as database:
            row = database.execute(
                select(routes).where(routes.c.tenant_id == tenant, routes.c.number_index == index)
            ).one_or_none()
        return None if row is None else self._route(row)

    def all(self, tenant: TenantId) -> list[Route]:
        """The whole table, by number."""
        with self._db.tenant(tenant) as database:
            rows = database.execute(select(routes).where(routes.c.tenant_id == tenant)).all()
        return sorted((self._route(row) for row in rows), key=lambda route: route.number)

    def remove(self, tenant: TenantId, route: UUID) -> bool:
        with self._db.tenant(tenant) as database:
            return bool(
                database.execute(delete(routes).where(routes.c.tenant_id == tenant, routes.c.id == route)).rowcount
            )

    def _route(self, row: Any) -> Route:
        vault = self._vault.of(row.tenant_id)
        return Route(
            id=row.id,
            number=vault.open("routes", row.id, "number", row.number),
            user=row.user_id,
            queue=vault.open("routes", row.id, "queue", row.queue),
        )
