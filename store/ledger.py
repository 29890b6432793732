"""The ledger: who did or read what, under which consent. Append-only, one hash chain a tenant.

A row holds ids, codes and counts, never a number, a name or an address. The application's role may add rows and
nothing else; changing one breaks the chain, and `verify` says where.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, text

from store.database import Database, TenantId
from store.tables import ledger, ledger_heads

START = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as it stands."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What `verify` found: how many rows hold together, and the first that does not."""

    rows: int
    broken_at: int | None = None

    @property
    def holds(self) -> bool:
        return self.broken_at is None


def digest(tenant: TenantId, row: Row, previous: bytes) -> bytes:
    """The hash of a row that follows `previous`: over everything in it, in one spelling."""
    at = row.at.astimezone(UTC).isoformat(timespec="microseconds")
    content = [str(tenant), row.seq, at, row.actor, row.action, row.subject, row.facts]
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(previous + canonical.encode()).digest()


class Ledger:
    """Add to it, read it, prove it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def write(
        self,
        connection: Connection,
        tenant: TenantId,
        action: str,
        *,
        actor: str = "system",
        subject: str = "",
        **facts: Any,
    ) -> None:
        """Append in the caller's transaction, so that a deed and its row stand or fall together.

        Appends of one tenant wait for each other until commit: write late in a transaction.
        """
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"ledger {tenant}"})
        last, previous, at = _end(connection, tenant)
        seq = last + 1
        row = Row(seq=seq, at=at, actor=actor, action=action, subject=subject, facts=facts)
        connection.execute(
            insert(ledger).values(
                tenant_id=tenant,
                seq=seq,
                at=at,
                actor=actor,
                action=action,
                subject=subject,
                facts=facts,
                previous=previous,
                hash=digest(tenant, row, previous),
            )
        )

    def note(self, tenant: TenantId, action: str, *, actor: str = "system", subject: str = "", **facts: Any) -> None:
        """Append in a transaction of its own."""
        with self._db.tenant(tenant) as connection:
            self.write(connection, tenant, action, actor=actor, subject=subject, **facts)

    def rows(self, tenant: TenantId, *, before: int | None = None, limit: int = 50, action: str = "") -> list[Row]:
        """The latest rows, newest first."""
        statement = select(ledger).where(ledger.c.tenant_id == tenant).order_by(ledger.c.seq.desc()).limit(limit)
        if before is not None:
            statement = statement.where(ledger.c.seq < before)
        if action:
            statement = statement.where(ledger.c.action.startswith(action, autoescape=True))
        with self._db.tenant(tenant) as connection:
            return [_row(row) for row in connection.execute(statement)]

    def trim(self, tenant: TenantId, before: datetime) -> int:
        """Let rows older than `before` go (the database keeps thirty days whatever is asked); return how many."""
        with self._db.tenant(tenant) as connection:
            gone: int = connection.execute(
                text("SELECT linekeeper_ledger_trim(:before)"), {"before": before}
            ).scalar_one()
            if gone:
                self.write(connection, tenant, "ledger.trimmed", rows=gone)
        return gone

    def verify(self, tenant: TenantId) -> Verdict:
        """Walk the chain from where it begins; say where it breaks."""
        with self._db.tenant(tenant) as connection:
            first, previous = _head(connection, tenant)
            count = 0
            statement = select(ledger).where(ledger.c.tenant_id == tenant).order_by(ledger.c.seq)
            with connection.execution_options(yield_per=1_000).execute(statement) as chain:  # closed wherever it breaks
                for found in chain:
                    row, count = _row(found), count + 1
                    fits = row.seq == first + count and bytes(found.previous) == previous
                    previous = digest(tenant, row, previous)
                    if not fits or bytes(found.hash) != previous:
                        return Verdict(rows=count - 1, broken_at=row.seq)
        return Verdict(rows=count)


def _end(connection: Connection, tenant: TenantId) -> tuple[int, bytes, datetime]:
    """The number and hash of the row the next one follows, and what time it is there: one journey as a rule."""
    now = func.clock_timestamp().label("now")
    last = connection.execute(
        select(ledger.c.seq, ledger.c.hash, now)
        .where(ledger.c.tenant_id == tenant)
        .order_by(ledger.c.seq.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        return (*_head(connection, tenant), connection.execute(select(now)).scalar_one())
    return last.seq, bytes(last.hash), last.now


def _head(connection: Connection, tenant: TenantId) -> tuple[int, bytes]:
    """The number and hash the chain begins after: nothing, or the last row whose time had come."""
    head = connection.execute(select(ledger_heads).where(ledger_heads.c.tenant_id == tenant)).one_or_none()
    return (head.seq, bytes(head.hash)) if head is not None else (0, START)


def _row(row: Any) -> Row:
    return Row(seq=row.seq, at=row.at, actor=row.actor, action=row.action, subject=row.subject, facts=row.facts)
