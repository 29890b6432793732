"""The inbox: what outside systems told us, written down once before we say thank you.

A delivery is unique for its connection and the sender's event id, and is committed before the 2xx. Its body stays
sealed until it is understood and is then gone; one that cannot be understood is kept, dead, to be seen and replayed.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, func, select, update

from store.database import Database, TenantId, among
from store.tables import deliveries
from store.vault import Vault

Lane = Literal["calls", "contacts", "mail"]
LANES: tuple[Lane, ...] = ("calls", "contacts", "mail")
ATTEMPTS = 5  # then it is dead: kept, shown, replayable
WRITE_ONCE = """
INSERT INTO deliveries (id, tenant_id, connection_id, event_id, kind, lane, body)
SELECT came.id, %(tenant)s, came.connection, came.event_id, came.kind, came.lane, came.body
FROM me, unnest(
  %(id)b::uuid[], %(connection)b::uuid[], %(event_id)b::text[], %(kind)b::text[], %(lane)b::text[], %(body)b::bytea[]
) AS came (id, connection, event_id, kind, lane, body)
ORDER BY came.connection, came.event_id
ON CONFLICT (connection_id, event_id) DO NOTHING
RETURNING id
"""  # in one order for all, so that two who write the same events wait for each other and never in a circle


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery that waits to be understood."""

    id: UUID
    connection: UUID
    kind: str
    event_id: str
    body: bytes
    received_at: datetime
    attempts: int


class Inbox:
    """Write once, take in order, say what became of it."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def write_once(
        self, tenant: TenantId, connection: UUID, event_id: str, *, kind: str, lane: Lane, body: bytes
    ) -> bool:
        """Commit a delivery; False when it was here already, which is just as good."""
        return self._db.write(tenant, WRITE_ONCE, self._row(tenant, connection, event_id, kind, lane, body))

    async def write_soon(
        self, tenant: TenantId, connection: UUID, event_id: str, *, kind: str, lane: Lane, body: bytes
    ) -> bool:
        """The same on a loop, for a tenant whose key is at hand."""
        return await self._db.write_soon(tenant, WRITE_ONCE, self._row(tenant, connection, event_id, kind, lane, body))

    def at_hand(self, tenant: TenantId) -> bool:
        """Can a delivery be sealed without a journey for the key?"""
        return self._vault.at_hand(tenant, "data")

    def _row(
        self, tenant: TenantId, connection: UUID, event_id: str, kind: str, lane: Lane, body: bytes
    ) -> dict[str, Any]:
        row = uuid.uuid4()
        return {
            "id": row,
            "connection": connection,
            "event_id": event_id,
            "kind": kind,
            "lane": lane,
            "body": self._vault.of(tenant).seal("deliveries", row, "body", body),
        }

    def heard_at(self, tenant: TenantId, connection: UUID) -> datetime | None:
        """When a connection last told us anything, as far back as we know."""
        with self._db.tenant(tenant) as database:
            last: datetime | None = database.execute(
                select(func.max(deliveries.c.received_at)).where(
                    deliveries.c.tenant_id == tenant, deliveries.c.connection_id == connection
                )
            ).scalar_one()
        return last

    def pending(self, tenant: TenantId, lane: Lane, limit: int = 100) -> list[Delivery]:
        """What waits in a lane, oldest first. The caller holds the lane."""
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(deliveries)
                .where(
                    deliveries.c.tenant_id == tenant,
                    deliveries.c.lane == lane,
                    deliveries.c.state == "pending",
                    deliveries.c.next_at <= func.now(),
                )
                .order_by(deliveries.c.next_at)
                .limit(limit)
            ).all()
        return [
            Delivery(
                id=row.id,
                connection=row.connection_id,
                kind=row.kind,
                event_id=row.event_id,
                body=vault.open_bytes("deliveries", row.id, "body", row.body),
                received_at=row.received_at,
                attempts=row.attempts,
            )
            for row in rows
        ]

    @staticmethod
    def done(
        database: Connection, tenant: TenantId, ids: Sequence[UUID], state: str = "done", reason: str = ""
    ) -> None:
        """Understood (or of no use): the body goes, the event id stays so that a repeat changes nothing."""
        if ids:
            database.execute(
                update(deliveries)
                .where(deliveries.c.tenant_id == tenant, among(deliveries.c.id, ids))
                .values(state=state, reason=reason, body=None)
            )

    def finished(self, tenant: TenantId, connection: UUID, event_id: str) -> None:
        """What was written down was done at the door."""
        with self._db.tenant(tenant) as database:
            database.execute(
                update(deliveries)
                .where(
                    deliveries.c.tenant_id == tenant,
                    deliveries.c.connection_id == connection,
                    deliveries.c.event_id == event_id,
                )
                .values(state="done", body=None)
            )

    def failed(self, tenant: TenantId, delivery: Delivery, reason: str, *, wait: timedelta | None = None) -> None:
        """Not understood this time: again after `wait`, or dead when no wait would help or the tries are used up."""
        dead = wait is None or delivery.attempts + 1 >= ATTEMPTS
        with self._db.tenant(tenant) as database:
            database.execute(
                update(deliveries)
                .where(deliveries.c.tenant_id == tenant, deliveries.c.id == delivery.id)
                .values(
                    state="dead" if dead else "pending",
                    reason=reason,
                    attempts=deliveries.c.attempts + 1,
                    next_at=func.now() + (wait or timedelta()),
                )
            )

    def postpone(self, tenant: TenantId, batch: Sequence[Delivery], reason: str, wait: timedelta) -> None:
        """What understanding these takes cannot be asked for now: wait, without counting it as a try."""
        with self._db.tenant(tenant) as database:
            database.execute(
                update(deliveries)
                .where(
                    deliveries.c.tenant_id == tenant,
                    deliveries.c.id.in_([delivery.id for delivery in batch]),
                    deliveries.c.state == "pending",
                )
                .values(reason=reason, next_at=func.now() + wait)
            )

    def of_events(self, tenant: TenantId, connection: UUID, events: Collection[str]) -> list[Any]:
        """(event_id, state, received_at) of the deliveries these events came in, as long as we know of them."""
        if not events:
            return []
        with self._db.tenant(tenant) as database:
            return list(
                database.execute(
                    select(deliveries.c.event_id, deliveries.c.state, deliveries.c.received_at)
                    .where(
                        deliveries.c.tenant_id == tenant,
                        deliveries.c.connection_id == connection,
                        deliveries.c.event_id.in_(events),
                    )
                    .order_by(deliveries.c.received_at)
                )
            )

    def dead(self, tenant: TenantId) -> list[tuple[UUID, str, str, datetime]]:
        """(id, kind, reason, received at) of what could not be understood, newest first."""
        with self._db.tenant(tenant) as database:
            return [
                (row.id, row.kind, row.reason, row.received_at)
                for row in database.execute(
                    select(deliveries)
                    .where(deliveries.c.tenant_id == tenant, deliveries.c.state == "dead")
                    .order_by(deliveries.c.received_at.desc())
                )
            ]

    def replay(self, tenant: TenantId, ids: Sequence[UUID] | None = None) -> int:
        """Put dead deliveries back in their lanes; return how many."""
        statement = update(deliveries).where(deliveries.c.tenant_id == tenant, deliveries.c.state == "dead")
        if ids is not None:
            statement = statement.where(deliveries.c.id.in_(ids))
        with self._db.tenant(tenant) as database:
            return database.execute(statement.values(state="pending", attempts=0, next_at=func.now())).rowcount

    def counts(self, tenant: TenantId) -> dict[str, int]:
        """How many deliveries stand in each state."""
        with self._db.tenant(tenant) as database:
            return dict(
                database.execute(
                    select(deliveries.c.state, func.count())
                    .where(deliveries.c.tenant_id == tenant)
                    .group_by(deliveries.c.state)
                ).all()
            )
