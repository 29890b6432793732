"""Calls and days of text messages that do not stand in a spreadsheet yet: those nobody owes a row for."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, func, select

from store.database import TenantId
from store.sieve import NO_CUSTOMER
from store.tables import calls, effects, texts

NOT_LISTED = ("hidden", "unreadable", *NO_CUSTOMER)  # text messages with no customer


def calls_without(
    database: Connection, tenant: TenantId, owed: str, *, since: datetime, until: datetime, limit: int
) -> list[UUID]:
    """Calls that began in between and are over, oldest first; `owed`: how the key of such a row begins."""
    there = select(effects.c.id).where(effects.c.tenant_id == tenant, effects.c.key == func.concat(owed, calls.c.id))
    found = (
        select(calls.c.id)
        .where(
            calls.c.tenant_id == tenant,
            calls.c.state == "ended",
            calls.c.match.not_in(NO_CUSTOMER),
            calls.c.started_at >= since,
            calls.c.started_at < until,
            ~there.exists(),
        )
        .order_by(calls.c.started_at, calls.c.id)
        .limit(limit)
    )
    return [*database.execute(found).scalars()]


def days_without(
    database: Connection, tenant: TenantId, owed: str, *, since: datetime, before: date, limit: int
) -> list[UUID]:
    """The same of text messages: whole days, before that one."""
    there = select(effects.c.id).where(effects.c.tenant_id == tenant, effects.c.key == func.concat(owed, texts.c.id))
    found = (
        select(texts.c.id)
        .where(
            texts.c.tenant_id == tenant,
            texts.c.match.not_in(NOT_LISTED),
            texts.c.last_at >= since,
            texts.c.day < before,
            ~there.exists(),
        )
        .order_by(texts.c.last_at, texts.c.id)
        .limit(limit)
    )
    return [*database.execute(found).scalars()]
