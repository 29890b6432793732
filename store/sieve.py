"""Which calls of a list somebody wants to see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select

from store.database import TenantId
from store.owed import ACTIVITIES, LATER, WAITING
from store.tables import calls, effects

NO_CUSTOMER = frozenset({"internal", "own", "left_out"})  # how a call matched that is with no customer: never logged


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which calls of a list. `log`: how its activity stands: done, waiting or failed."""

    user: UUID | None = None
    line: bytes | None = None  # the fingerprint of an inside line: `Calls.line`
    direction: str = ""
    outcome: str = ""
    log: str = ""
    since: datetime | None = None
    until: datetime | None = None
    customers: bool = False  # only those with somebody outside


LOG_STATES: dict[str, tuple[str, ...]] = {"done": ("done",), "waiting": WAITING, "failed": ("dead",)}


def those(tenant: TenantId, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    """What is true of the calls that are wanted, beside being the tenant's."""
    if wanted.user is not None:
        yield calls.c.user_id == wanted.user
    if wanted.line is not None:
        yield calls.c.line_index == wanted.line
    if wanted.direction:
        yield calls.c.direction == wanted.direction
    if wanted.outcome:
        yield calls.c.outcome == ("" if wanted.outcome == "live" else wanted.outcome)
    if wanted.since is not None:
        yield calls.c.started_at >= wanted.since
    if wanted.until is not None:
        yield calls.c.started_at < wanted.until
    if wanted.customers:
        yield calls.c.match.not_in(NO_CUSTOMER)
    if wanted.log:
        yield calls.c.id.in_(
            select(effects.c.call_id).where(
                effects.c.tenant_id == tenant,
                effects.c.kind.in_((*ACTIVITIES, *LATER)),
                effects.c.state.in_(LOG_STATES[wanted.log]),
                effects.c.call_id.is_not(None),
            )
        )
