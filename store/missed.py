"""Calls nobody took, by who called: whether they were reached since, and how the task to call back stands.

Who called is compared by fingerprint alone; nothing is opened here. The task of a caller is an effect `task.create` of
the first call of its window, and what closes it an effect `task.close` of the same call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, exists, literal_column, or_, select
from sqlalchemy.sql.expression import FromClause

from store.database import Database, TenantId, among
from store.owed import WAITING
from store.tables import calls, effects

CREATE, CLOSE = "task.create", "task.close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """The task for a caller, as we owe it or wrote it."""

    id: UUID  # the effect's
    call: UUID  # the first call of its window
    caller: bytes  # a fingerprint
    called_at: datetime
    state: str
    reason: str
    task: str  # its id over there
    closing: bool  # somebody reached the caller since, and the task is closed, or about to be


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """A later call with somebody whose call nobody took."""

    call: UUID
    direction: str
    spoke: bool
    started_at: datetime
    user: UUID | None


def _spoke(call: FromClause) -> ColumnElement[bool]:
    """Somebody of ours spoke with them; of a call that still goes on we know it where they called."""
    talking = and_(call.c.state == "answered", call.c.direction == "inbound")
    return or_(call.c.outcome == "answered", talking)


class Missed:
    """What became of calls nobody took."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def tasks(self, database: Connection, tenant: TenantId, callers: Collection[bytes]) -> dict[bytes, list[Owed]]:
        """Tasks of these callers that are owed or written, the oldest first."""
        found: dict[bytes, list[Owed]] = defaultdict(list)
        if callers:
            for task in self._tasks(database, tenant, among(calls.c.customer_index, callers)):
                if task.state in (*WAITING, "done"):
                    found[task.caller].append(task)
        return found

    def of_calls(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, Owed]:
        """The tasks these calls made us owe."""
        if not ids:
            return {}
        with self._db.tenant(tenant) as database:
            return {task.call: task for task in self._tasks(database, tenant, calls.c.id.in_(ids))}

    @staticmethod
    def _tasks(database: Connection, tenant: TenantId, which: ColumnElement[bool]) -> list[Owed]:
        close = effects.alias()
        closing = exists(
            select(close.c.id).where(
                close.c.tenant_id == tenant,
                close.c.call_id == effects.c.call_id,
                close.c.kind == literal_column(f"'{CLOSE}'"),
                close.c.state.in_((*WAITING, "done")),
            )
        )
        rows = database.execute(
            select(effects, calls.c.customer_index, calls.c.started_at, closing.label("closing"))
            .join(calls, and_(calls.c.tenant_id == effects.c.tenant_id, calls.c.id == effects.c.call_id))
            .where(effects.c.tenant_id == tenant, effects.c.kind == literal_column(f"'{CREATE}'"), which)
            .order_by(calls.c.started_at)
        )
        return [
            Owed(
                id=row.id,
                call=row.call_id,
                caller=bytes(row.customer_index or b""),
                called_at=row.started_at,
                state=row.state,
                reason=row.reason,
                task=row.result or "",
                closing=row.closing,
            )
            for row in rows
        ]

    @staticmethod
    def reached(database: Connection, tenant: TenantId, caller: bytes, since: datetime) -> bool:
        """Whether somebody spoke with the caller in a call that began at that time or later."""
        found = select(calls.c.id).where(
            calls.c.tenant_id == tenant,
            calls.c.customer_index == caller,
            calls.c.started_at >= since,
            _spoke(calls),
        )
        return database.execute(select(found.exists())).scalar_one()

    def still_open(self, tenant: TenantId, call: UUID) -> tuple[list[UUID], bool]:
        """Calls of that call's caller, this one or later, that nobody took and after which nobody spoke with them, the
        latest last; and whether one with them is going on.
        """
        first, later = calls.alias(), calls.alias()
        reached = exists(
            select(later.c.id).where(
                later.c.tenant_id == tenant,
                later.c.customer_index == first.c.customer_index,
                later.c.started_at >= calls.c.started_at,
                _spoke(later),
            )
        )
        same = and_(
            calls.c.tenant_id == first.c.tenant_id,
            calls.c.customer_index == first.c.customer_index,
            calls.c.started_at >= first.c.started_at,
        )
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(calls.c.id, calls.c.state)
                .join(first, same)
                .where(
                    first.c.tenant_id == tenant,
                    first.c.id == call,
                    or_(calls.c.state != "ended", and_(calls.c.outcome == "missed", ~reached)),
                )
                .order_by(calls.c.started_at, calls.c.id)
            ).all()
        return [row.id for row in rows if row.state == "ended"], any(row.state != "ended" for row in rows)

    def after(self, tenant: TenantId, ids: Sequence[UUID]) -> dict[UUID, list[After]]:
        """What followed each of these calls: calls of ours to the caller, and theirs that somebody took."""
        found: dict[UUID, list[After]] = {call: [] for call in ids}
        if not ids:
            return found
        one = calls.alias()
        later = and_(
            calls.c.tenant_id == one.c.tenant_id,
            calls.c.customer_index == one.c.customer_index,
            calls.c.started_at >= one.c.started_at,
            calls.c.id != one.c.id,
            or_(calls.c.direction == "outbound", _spoke(calls)),
        )
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(one.c.id.label("missed"), calls, _spoke(calls).label("spoke"))
                .join(calls, later)
                .where(one.c.tenant_id == tenant, one.c.id.in_(ids))
                .order_by(calls.c.started_at, calls.c.id)
            )
            for row in rows:
                found[row.missed].append(
                    After(
                        call=row.id,
                        direction=row.direction,
                        spoke=row.spoke,
                        started_at=row.started_at,
                        user=row.user_id,
                    )
                )
        return found
