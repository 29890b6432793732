"""How what we owe stands: read only, for pages, commands and whoever decides what to do next.

What the states mean and who changes them is told in `store.effects`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, or_, select

from store.database import Database, TenantId, among
from store.tables import calls, effects
from store.vault import Vault

ACTIVITIES = ("activity.bridge", "activity.record")  # the two who may write a call's activity; one of them does
UPDATE = "activity.update"  # what an activity is told later: more of the call,
CORRECT = "activity.correct"  # ... what somebody put right by hand, and whose it is
LATER = (UPDATE, CORRECT, "activity.link")
RECORD = "record.create"  # a call's record in a further module
OVER = ("done", "dropped", "dead")  # how an effect can have ended
TEXTS = "text.log"  # a conversation's day: written once, then added to
WAITING = ("due", "claimed", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """How the activity of a call stands: what we owe, or owed."""

    id: UUID
    connection: UUID
    kind: str
    state: str
    reason: str
    result: str  # its id over there
    reopened: int
    done_at: datetime | None
    changed_at: datetime | None  # when we last wrote to it, updates included


class Standing:
    """See what is owed, and how it ended."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def open(self, tenant: TenantId, connection: UUID, kind: str) -> int:
        """How many of a kind a connection is owed still."""
        with self._db.tenant(tenant) as database:
            many: int = database.execute(
                select(func.count()).where(
                    effects.c.tenant_id == tenant,
                    effects.c.connection_id == connection,
                    effects.c.kind == kind,
                    effects.c.state.in_(WAITING),
                )
            ).scalar_one()
        return many

    @staticmethod
    def stand(database: Connection, tenant: TenantId, ids: Collection[UUID]) -> set[UUID]:
        """Which of these effects are there still; they are kept there until the caller's transaction ends.

        One that is about somebody who was erased meanwhile is not.
        """
        same = (effects.c.tenant_id == tenant, among(effects.c.id, ids), effects.c.state.in_(WAITING))
        return set(database.execute(select(effects.c.id).where(*same).with_for_update()).scalars())

    def of_calls(self, tenant: TenantId, calls: Collection[UUID]) -> dict[UUID, Owed]:
        """How the activity of each of these calls stands; a call that made us owe none is left out."""
        if not calls:
            return {}
        with self._db.tenant(tenant) as database:
            found = database.execute(
                select(effects).where(
                    effects.c.tenant_id == tenant,
                    effects.c.call_id.in_(calls),
                    effects.c.kind.in_((*ACTIVITIES, *LATER)),
                )
            ).all()
        rows = [row for row in found if row.kind in ACTIVITIES]
        changed: dict[UUID, datetime] = {}
        for row in found:
            if row.done_at is not None and row.state == "done":
                changed[row.call_id] = max(row.done_at, changed.get(row.call_id, row.done_at))
        return {
            row.call_id: Owed(
                id=row.id,
                connection=row.connection_id,
                kind=row.kind,
                state=row.state,
                reason=row.reason,
                result=row.result or "",
                reopened=row.reopened,
                done_at=row.done_at,
                changed_at=changed.get(row.call_id),
            )
            for row in rows
        }

    def standing(self, tenant: TenantId, key: str) -> tuple[str, str] | None:
        """How what we owe under a key stands: (state, reason)."""
        with self._db.tenant(tenant) as database:
            row = database.execute(
                select(effects.c.state, effects.c.reason).where(effects.c.tenant_id == tenant, effects.c.key == key)
            ).one_or_none()
        return None if row is None else (row.state, row.reason)

    def results(self, tenant: TenantId, kind: str, of: Collection[str]) -> set[str]:
        """Which of these ids over there what we owed of a kind has become."""
        if not of:
            return set()
        with self._db.tenant(tenant) as database:
            found = database.execute(
                select(effects.c.result).where(
                    effects.c.tenant_id == tenant, effects.c.kind == kind, effects.c.result.in_(of)
                )
            ).scalars()
            return set(found)

    @staticmethod
    def of_call(database: Connection, tenant: TenantId, call: UUID) -> list[dict[str, Any]]:
        """What a call, or a conversation, made us owe and how each stands, oldest first."""
        rows = database.execute(
            select(
                effects.c.id,
                effects.c.kind,
                effects.c.state,
                effects.c.reason,
                effects.c.attempts,
                effects.c.created_at,
                effects.c.next_at,
                effects.c.done_at,
            )
            .where(effects.c.tenant_id == tenant, or_(effects.c.call_id == call, effects.c.text_id == call))
            .order_by(effects.c.created_at, effects.c.id)
        )
        return [dict(row) for row in rows.mappings()]

    def counts(self, tenant: TenantId) -> dict[tuple[str, str], int]:
        """How many effects stand in each (kind, state)."""
        with self._db.tenant(tenant) as database:
            return {
                (row.kind, row.state): row.many
                for row in database.execute(
                    select(effects.c.kind, effects.c.state, func.count().label("many"))
                    .where(effects.c.tenant_id == tenant)
                    .group_by(effects.c.kind, effects.c.state)
                )
            }

    def activities(self, tenant: TenantId, since: datetime) -> dict[str, int]:
        """How many activities of calls that began since then stand in each state."""
        with self._db.tenant(tenant) as database:
            return dict(
                database.execute(
                    select(effects.c.state, func.count())
                    .join(calls, (calls.c.tenant_id == effects.c.tenant_id) & (calls.c.id == effects.c.call_id))
                    .where(effects.c.tenant_id == tenant, effects.c.kind.in_(ACTIVITIES), calls.c.started_at >= since)
                    .group_by(effects.c.state)
                ).all()
            )
