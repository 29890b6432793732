"""Whose a shared number is, because somebody here said so: one rule a number, found by fingerprint, undone in one step.

A rule goes with its contact, and with its number when that is erased.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from store.database import Database, TenantId, among
from store.tables import number_rules
from store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRule:
    """A number and whose it is here."""

    id: UUID
    number: str  # E.164
    contact: UUID
    user: UUID | None  # who said so
    chosen_at: datetime


class Choices:
    """Remember them, follow them, take them back."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def put(
        self, database: Connection, tenant: TenantId, number: str, contact: UUID, *, user: UUID | None
    ) -> NumberRule:
        """This number is that contact's from now on, in the caller's transaction; the last word counts."""
        vault, row = self._vault.of(tenant), uuid.uuid4()
        statement = insert(number_rules).values(
            id=row,
            tenant_id=tenant,
            number_index=vault.fingerprint("number", number),
            number=vault.seal("number_rules", row, "number", number),
            contact_id=contact,
            user_id=user,
        )
        said = {"contact_id": contact, "user_id": user, "chosen_at": func.now()}  # the row and its seal stay
        index = ["tenant_id", "number_index"]
        made = database.execute(
            statement.on_conflict_do_update(index_elements=index, set_=said).returning(number_rules)
        ).one()
        return self._rule(made)

    def remove(self, database: Connection, tenant: TenantId, rule: UUID) -> bool:
        """Take a rule back, in the caller's transaction; False when it was not there."""
        return bool(
            database.execute(
                delete(number_rules).where(number_rules.c.tenant_id == tenant, number_rules.c.id == rule)
            ).rowcount
        )

    def get(self, tenant: TenantId, rule: UUID) -> NumberRule | None:
        with self._db.tenant(tenant) as database:
            row = database.execute(
                select(number_rules).where(number_rules.c.tenant_id == tenant, number_rules.c.id == rule)
            ).one_or_none()
        return None if row is None else self._rule(row)

    def of(self, tenant: TenantId, numbers: Collection[str]) -> dict[str, NumberRule]:
        """The rules for these numbers, by number."""
        if not numbers:
            return {}
        vault = self._vault.of(tenant)
        prints = [vault.fingerprint("number", number) for number in numbers]
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(number_rules).where(
                    number_rules.c.tenant_id == tenant, among(number_rules.c.number_index, prints)
                )
            ).all()
        return {rule.number: rule for rule in map(self._rule, rows)}

    def all(self, tenant: TenantId) -> list[NumberRule]:
        """Every rule, the latest first."""
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(number_rules)
                .where(number_rules.c.tenant_id == tenant)
                .order_by(number_rules.c.chosen_at.desc(), number_rules.c.id)
            ).all()
        return [self._rule(row) for row in rows]

    def _rule(self, row: Any) -> NumberRule:
        number = self._vault.of(row.tenant_id).open("number_rules", row.id, "number", row.number)
        return NumberRule(id=row.id, number=number, contact=row.contact_id, user=row.user_id, chosen_at=row.chosen_at)
