"""The ledger: who did or read what, under which consent. Append-only, one hash chain a tenant.

A row holds ids, codes and counts, never a number, a name or an address. The application's role may add rows and
nothing else; changing one breaks the chain, and `verify` says where.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, text

from store.database import Database, TenantId
from store.tables import ledger

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


def _hash(tenant: TenantId, row: Row, previous: bytes) -> bytes:
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
        last = connection.execute(
            select(ledger.c.seq, ledger.c.hash)
            .where(ledger.c.tenant_id == tenant)
            .order_by(ledger.c.seq.desc())
            .limit(1)
        ).one_or_none()
        seq, previous = (last.seq + 1, bytes(last.hash)) if last else (1, START)
        at = connection.execute(select(func.clock_timestamp())).scalar_one()
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
                hash=_hash(tenant, row, previous),
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

    def verify(self, tenant: TenantId) -> Verdict:
        """Walk the chain from its first row; say where it breaks."""
        previous, seq = START, 0
        with closing(self._walk(tenant)) as rows:
            for seq, (row, row_previous, row_hash) in enumerate(rows, start=1):
                if row.seq != seq or row_previous != previous or row_hash != _hash(tenant, row, previous):
                    return Verdict(rows=seq - 1, broken_at=row.seq)
                previous = row_hash
        return Verdict(rows=seq)

    def _walk(self, tenant: TenantId) -> Generator[tuple[Row, bytes, bytes], None, None]:
        statement = select(ledger).where(ledger.c.tenant_id == tenant).order_by(ledger.c.seq)
        with (
            self._db.tenant(tenant) as connection,
            connection.execution_options(yield_per=1_000).execute(statement) as rows,
        ):
            for row in rows:
                yield _row(row), bytes(row.previous), bytes(row.hash)


def _row(row: Any) -> Row:
    return Row(seq=row.seq, at=row.at, actor=row.actor, action=row.action, subject=row.subject, facts=row.facts)
