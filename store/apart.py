"""Numbers set apart: our own, those left out, and those blocked. Nobody who calls from one is a customer.

Our own are learned: a number that stands on our side of a few calls is ours, and so is one of somebody who works here.
An administrator may add any and refuse what was learned. Sealed, found by fingerprint.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.caller_id import Rule
from domain.errors import Missing
from store.database import Database, TenantId, among
from store.tables import set_apart
from store.vault import Vault

Kind = Literal["own", "left_out", "blocked"]
Source = Literal["seen", "user", "told"]
ENOUGH = 3  # calls on whose side of ours a number stood; two may be a vendor's mistake


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """A number that is never a customer's, and why."""

    id: UUID
    number: str  # E.164, a range or a word (domain.barring)
    kind: Kind
    source: Source
    state: str
    reason: str
    seen: int
    changed_at: datetime
    shown: tuple[Rule, ...] = ()  # when those we dial are shown it


class SetApart:
    """Learn them, list them, look them up."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def known(self, tenant: TenantId, numbers: Collection[str]) -> dict[str, tuple[Kind, str]]:
        """(kind, state) of those of these numbers that are on the list, whatever was decided about them."""
        if not numbers:
            return {}
        vault = self._vault.of(tenant)
        prints = {vault.fingerprint("number", number): number for number in numbers}
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(set_apart.c.fingerprint, set_apart.c.kind, set_apart.c.state).where(
                    set_apart.c.tenant_id == tenant, among(set_apart.c.fingerprint, prints)
                )
            ).all()
        return {prints[bytes(row.fingerprint)]: (row.kind, row.state) for row in rows}

    def shown(self, tenant: TenantId) -> list[Apart]:
        """Those of our own numbers that have rules when those we dial are shown them."""
        return self.all(tenant, "own", set_apart.c.shown.is_not(None), set_apart.c.state == "active")

    def show(self, database: Connection, tenant: TenantId, row: UUID, rules: Iterable[Rule]) -> None:
        """Keep when one of our own numbers is shown, in the caller's transaction."""
        told = [rule.as_data() for rule in rules]
        sealed = self._vault.of(tenant).seal_json("set_apart", row, "shown", told) if told else None
        where = (set_apart.c.tenant_id == tenant, set_apart.c.id == row)
        database.execute(update(set_apart).where(*where).values(shown=sealed))

    def all(self, tenant: TenantId, kind: Kind | None = None, *more: ColumnElement[bool]) -> list[Apart]:
        """What is on the list, the latest first; numbers seen too seldom to tell are not."""
        vault = self._vault.of(tenant)
        wanted = [set_apart.c.tenant_id == tenant, set_apart.c.state != "seen", *more]
        if kind is not None:
            wanted.append(set_apart.c.kind == kind)
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(set_apart).where(*wanted).order_by(set_apart.c.changed_at.desc(), set_apart.c.id)
            ).all()
        return [
            Apart(
                id=row.id,
                number=vault.open("set_apart", row.id, "number", row.number),
                kind=row.kind,
                source=row.source,
                state=row.state,
                reason=vault.open("set_apart", row.id, "reason", row.reason) if row.reason else "",
                seen=row.seen,
                changed_at=row.changed_at,
                shown=tuple(map(Rule.from_data, vault.open_json("set_apart", row.id, "shown", row.shown) or ())),
            )
            for row in rows
        ]

    def put(
        self,
        database: Connection,
        tenant: TenantId,
        number: str,
        kind: Kind,
        reason: str = "",
        *,
        source: Source = "told",
    ) -> bool:
        """Put a number on the list, in the caller's transaction. An administrator's word stands above what was learned.

        False when nothing changed.
        """
        vault, row = self._vault.of(tenant), uuid.uuid4()
        mark = vault.fingerprint("number", number)
        there = database.execute(
            select(set_apart.c.id, set_apart.c.state).where(
                set_apart.c.tenant_id == tenant, set_apart.c.fingerprint == mark
            )
        ).one_or_none()
        if there is not None and source != "told" and there.state != "seen":
            return False
        row = there.id if there is not None else row
        values = {
            "kind": kind,
            "source": source,
            "state": "active",
            "number": vault.seal("set_apart", row, "number", number),
            "reason": vault.seal("set_apart", row, "reason", reason) if reason else None,
            **({} if kind == "own" else {"shown": None}),
            "changed_at": func.now(),
        }
        database.execute(
            insert(set_apart)
            .values(id=row, tenant_id=tenant, fingerprint=mark, **values)
            .on_conflict_do_update(index_elements=["tenant_id", "fingerprint"], set_=values)
        )
        return True

    def saw(self, database: Connection, tenant: TenantId, numbers: Iterable[str]) -> None:
        """These stood on our side, once for each call: the third makes it one of ours. In the caller's transaction."""
        vault = self._vault.of(tenant)
        for number, times in sorted(Counter(numbers).items()):
            row = uuid.uuid4()
            statement = insert(set_apart).values(
                id=row,
                tenant_id=tenant,
                kind="own",
                source="seen",
                state="active" if times >= ENOUGH else "seen",
                number=vault.seal("set_apart", row, "number", number),
                fingerprint=vault.fingerprint("number", number),
                seen=times,
            )
            total = set_apart.c.seen + times
            database.execute(
                statement.on_conflict_do_update(
                    index_elements=["tenant_id", "fingerprint"],
                    set_={
                        "seen": total,
                        "state": case((total >= ENOUGH, "active"), else_="seen"),
                        "changed_at": func.now(),
                    },
                    where=set_apart.c.state == "seen",
                )
            )

    def remove(self, database: Connection, tenant: TenantId, row: UUID) -> Kind:
        """Take a number off the list; what was learned is remembered as refused, so that it is not learned again.

        Raises Missing.
        """
        where = (set_apart.c.tenant_id == tenant, set_apart.c.id == row, set_apart.c.state == "active")
        found = database.execute(select(set_apart.c.kind, set_apart.c.source).where(*where)).one_or_none()
        if found is None:
            raise Missing("This number is not on the list (any more).")
        if found.source == "told":
            database.execute(delete(set_apart).where(*where))
        else:
            database.execute(update(set_apart).where(*where).values(state="refused", changed_at=func.now()))
        kind: Kind = found.kind
        return kind
