"""The journal of contacts kept in step: what was overwritten or deleted over there, and where two sides disagreed.

A line that lost something can be taken back; doing so is a write like any other. Lines are kept as long as the profile
says, and an entry lies sealed.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from domain.contact import Person
from domain.plan import Key
from domain.threeway import Side
from store.database import Database, TenantId
from store.tables import journal
from store.vault import Vault

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Something that was lost, or could not be agreed. `before` and `after`: as a person reads them."""

    why: str
    about: str  # domain.telling.Field, or "record"
    side: Side | None = None  # where the value was lost; None: each side kept its own
    name: str = ""  # whose record it is, as people know them
    keys: dict[str, Key] = field(default_factory=dict)  # by side
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    lost: Person | None = None  # what it takes to undo it


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A line as it is kept."""

    id: UUID
    crm: UUID
    book: UUID
    line: Line
    state: str  # open, asked, undone
    at: datetime
    undone_at: datetime | None

    @property
    def undoable(self) -> bool:
        return self.state == "open" and self.line.lost is not None


class Journal:
    """Write lines, read them, and say what became of taking one back."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def write(self, database: Connection, tenant: TenantId, crm: UUID, book: UUID, lines: Sequence[Line]) -> None:
        """Add lines in the caller's transaction."""
        vault, rows = self._vault.of(tenant), []
        for line in lines:
            row = uuid.uuid4()
            entry = {
                "name": line.name,
                "keys": {side: list(key) for side, key in line.keys.items()},
                "before": list(line.before),
                "after": list(line.after),
                "lost": line.lost.as_data() if line.lost is not None else None,
            }
            rows.append(
                {
                    "id": row,
                    "tenant_id": tenant,
                    "crm_id": crm,
                    "book_id": book,
                    "why": line.why,
                    "field": line.about,
                    "side": line.side or "",
                    "entry": vault.seal_json("journal", row, "entry", entry),
                }
            )
        if rows:
            database.execute(insert(journal), rows)

    def lines(self, tenant: TenantId, before: datetime | None = None, limit: int = PAGE) -> list[Kept]:
        """The latest lines, newest first."""
        statement = select(journal).where(journal.c.tenant_id == tenant)
        if before is not None:
            statement = statement.where(journal.c.at < before)
        with self._db.tenant(tenant) as database:
            rows = database.execute(statement.order_by(journal.c.at.desc(), journal.c.id).limit(limit)).all()
        return [self._kept(row) for row in rows]

    def get(self, tenant: TenantId, line: UUID) -> Kept | None:
        with self._db.tenant(tenant) as database:
            row = database.execute(
                select(journal).where(journal.c.tenant_id == tenant, journal.c.id == line)
            ).one_or_none()
        return None if row is None else self._kept(row)

    @staticmethod
    def turn(database: Connection, tenant: TenantId, line: UUID, state: str, among: Collection[str]) -> bool:
        """Change the state of a line that is in one of these; False when it is not."""
        done = {"undone_at": func.now()} if state == "undone" else {}
        return bool(
            database.execute(
                update(journal)
                .where(journal.c.tenant_id == tenant, journal.c.id == line, journal.c.state.in_(among))
                .values(state=state, **done)
            ).rowcount
        )

    @staticmethod
    def end(database: Connection, tenant: TenantId, tie: UUID) -> int:
        """A connection ended: what was said over there goes."""
        either = or_(journal.c.crm_id == tie, journal.c.book_id == tie)
        return database.execute(delete(journal).where(journal.c.tenant_id == tenant, either)).rowcount

    @staticmethod
    def asked_by(database: Connection, tenant: TenantId, line: UUID, user: UUID) -> None:
        """Remember who wanted it undone."""
        database.execute(
            update(journal).where(journal.c.tenant_id == tenant, journal.c.id == line).values(undone_by=user)
        )

    def _kept(self, row: Any) -> Kept:
        entry = self._vault.of(row.tenant_id).open_json("journal", row.id, "entry", row.entry) or {}
        return Kept(
            id=row.id,
            crm=row.crm_id,
            book=row.book_id,
            line=Line(
                why=row.why,
                about=row.field,
                side=row.side or None,
                name=entry.get("name", ""),
                keys={side: (key[0], key[1]) for side, key in entry.get("keys", {}).items()},
                before=tuple(entry.get("before", ())),
                after=tuple(entry.get("after", ())),
                lost=Person.from_data(entry["lost"]) if entry.get("lost") is not None else None,
            ),
            state=row.state,
            at=row.at,
            undone_at=row.undone_at,
        )
