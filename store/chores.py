"""Chores: what is done again and again for a connection, and when each is due next.

They live in PostgreSQL, so neither a lost queue nor a dead timetable forgets one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from store.database import Database, TenantId
from store.inbox import Lane
from store.tables import chores


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore:
    """One repeated duty."""

    id: UUID
    connection: UUID
    kind: str
    lane: Lane
    every_seconds: int
    due_at: datetime
    last_ok_at: datetime | None
    reason: str
    failures: int
    progress: dict[str, Any]

    @property
    def held(self) -> dict[str, Any]:
        """What this chore would remove and has not, until a person says so; empty when nothing is held."""
        found: dict[str, Any] = self.progress.get("held", {})
        return found

    @property
    def may_remove(self) -> int:
        """How many people a person said may go."""
        return int(self.progress.get("may_remove", 0))


class Chores:
    """Set them up, find what is due, say how it went."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def set_up(
        self,
        tenant: TenantId,
        connection: UUID,
        kind: str,
        *,
        lane: Lane,
        every_seconds: int,
        first_in: timedelta = timedelta(),
    ) -> None:
        """Have `kind` done from now on, the first time at once or after `first_in`."""
        row, first = uuid.uuid5(connection, kind), func.now() + first_in
        with self._db.tenant(tenant) as database:
            database.execute(
                insert(chores)
                .values(
                    id=row,
                    tenant_id=tenant,
                    connection_id=connection,
                    kind=kind,
                    lane=lane,
                    every_seconds=every_seconds,
                    due_at=first,
                )
                .on_conflict_do_update(
                    index_elements=["tenant_id", "id"],
                    set_={"due_at": first, "every_seconds": every_seconds, "failures": 0},
                )
            )

    def ensure(self, tenant: TenantId, connection: UUID, kind: str, *, lane: Lane, every_seconds: int) -> None:
        """Have `kind` done from now on, unless it is done already: then it stays due when it was."""
        row = uuid.uuid5(connection, kind)
        with self._db.tenant(tenant) as database:
            database.execute(
                insert(chores)
                .values(
                    id=row,
                    tenant_id=tenant,
                    connection_id=connection,
                    kind=kind,
                    lane=lane,
                    every_seconds=every_seconds,
                    due_at=func.now(),
                )
                .on_conflict_do_nothing(index_elements=["tenant_id", "id"])
            )

    def end(self, tenant: TenantId, chore: Chore) -> None:
        """It was done for good."""
        with self._db.tenant(tenant) as database:
            database.execute(delete(chores).where(chores.c.tenant_id == tenant, chores.c.id == chore.id))

    def hurry(self, tenant: TenantId, kind: str, connection: UUID | None = None) -> int:
        """Make a kind of chore due now; return how many are."""
        statement = update(chores).where(chores.c.tenant_id == tenant, chores.c.kind == kind)
        if connection is not None:
            statement = statement.where(chores.c.connection_id == connection)
        with self._db.tenant(tenant) as database:
            return database.execute(statement.values(due_at=func.now())).rowcount

    def due(self, tenant: TenantId, lane: Lane) -> list[Chore]:
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(chores)
                .where(chores.c.tenant_id == tenant, chores.c.lane == lane, chores.c.due_at <= func.now())
                .order_by(chores.c.due_at)
            ).all()
        return [_chore(row) for row in rows]

    def all(self, tenant: TenantId) -> list[Chore]:
        with self._db.tenant(tenant) as database:
            return [_chore(row) for row in database.execute(select(chores).where(chores.c.tenant_id == tenant))]

    def went_well(self, tenant: TenantId, chore: Chore, *, again_in: timedelta | None = None, **progress: Any) -> None:
        """Done; due again after its interval (or `again_in`)."""
        pause = timedelta(seconds=chore.every_seconds) if again_in is None else again_in
        next_time = case((chores.c.due_at == chore.due_at, func.now() + pause), else_=chores.c.due_at)  # hurried since?
        self._set(tenant, chore, due_at=next_time, last_ok_at=func.now(), reason="", failures=0, progress=progress)

    def went_badly(self, tenant: TenantId, chore: Chore, reason: str, *, wait: float = 0.0) -> None:
        """Not done: again after `wait` seconds, at least a pause that doubles to the interval."""
        pause = max(wait, min(chore.every_seconds, 5.0 * 2 ** min(chore.failures, 10)))
        self._set(
            tenant,
            chore,
            due_at=func.now() + timedelta(seconds=pause),
            reason=reason,
            failures=chore.failures + 1,
        )

    def note(self, tenant: TenantId, chore: UUID, **progress: Any) -> None:
        """Add to what is known of a chore's progress: counts and our own ids."""
        with self._db.tenant(tenant) as database:
            database.execute(
                update(chores)
                .where(chores.c.tenant_id == tenant, chores.c.id == chore)
                .values(progress=chores.c.progress.concat(progress))
            )

    def _set(self, tenant: TenantId, chore: Chore, **values: Any) -> None:
        with self._db.tenant(tenant) as database:
            database.execute(
                update(chores).where(chores.c.tenant_id == tenant, chores.c.id == chore.id).values(**values)
            )


def _chore(row: Any) -> Chore:
    return Chore(
        id=row.id,
        connection=row.connection_id,
        kind=row.kind,
        lane=row.lane,
        every_seconds=row.every_seconds,
        due_at=row.due_at,
        last_ok_at=row.last_ok_at,
        reason=row.reason,
        failures=row.failures,
        progress=row.progress,
    )
