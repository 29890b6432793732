"""Call-backs: which calls somebody wants to return, whose turn it is, and that it was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from store.database import Database, TenantId
from store.tables import callbacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A call to return. `user`: who should; None: whoever comes first."""

    call: UUID
    user: UUID | None
    state: str
    created_at: datetime
    created_by: UUID | None
    done_at: datetime | None
    done_by: UUID | None


class Callbacks:
    """Put calls on the list, say who returned them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, database: Connection, tenant: TenantId, call: UUID, *, user: UUID | None, by: UUID) -> None:
        """Somebody should return this call; one that was returned is on the list again. In the caller's transaction."""
        values = {"user_id": user, "state": "open", "done_at": None, "done_by": None}
        database.execute(
            insert(callbacks)
            .values(id=call, tenant_id=tenant, created_by=by, **values)
            .on_conflict_do_update(index_elements=["tenant_id", "id"], set_=values)
        )

    def done(self, database: Connection, tenant: TenantId, call: UUID, *, by: UUID) -> bool:
        """It was returned, or needs it no more; False when it was not on the list. In the caller's transaction."""
        return (
            database.execute(
                update(callbacks)
                .where(callbacks.c.tenant_id == tenant, callbacks.c.id == call, callbacks.c.state == "open")
                .values(state="done", done_at=func.now(), done_by=by)
            ).rowcount
            == 1
        )

    def get(self, tenant: TenantId, call: UUID) -> Callback | None:
        with self._db.tenant(tenant) as database:
            row = database.execute(
                select(callbacks).where(callbacks.c.tenant_id == tenant, callbacks.c.id == call)
            ).one_or_none()
        return None if row is None else _callback(row)

    def open(self, tenant: TenantId, *, user: UUID | None = None, limit: int = 200) -> list[Callback]:
        """What is to be returned, the longest waiting first: a user's and everybody's, or all."""
        statement = (
            select(callbacks)
            .where(callbacks.c.tenant_id == tenant, callbacks.c.state == "open")
            .order_by(callbacks.c.created_at, callbacks.c.id)
            .limit(limit)
        )
        if user is not None:
            statement = statement.where(or_(callbacks.c.user_id == user, callbacks.c.user_id.is_(None)))
        with self._db.tenant(tenant) as database:
            return [_callback(row) for row in database.execute(statement)]


def _callback(row: Any) -> Callback:
    return Callback(
        call=row.id,
        user=row.user_id,
        state=row.state,
        created_at=row.created_at,
        created_by=row.created_by,
        done_at=row.done_at,
        done_by=row.done_by,
    )
