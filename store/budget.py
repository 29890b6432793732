"""How long pops take: from the moment the news of a call reached us to the moment its card had left.

Counts and times alone; which call it was is asked of nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text

from store.database import Database, TenantId
from store.tables import effects


@dataclass(frozen=True, slots=True, kw_only=True)
class PopTimes:
    """Cards that went out since some moment. `p95_ms`: 95 of 100 took no longer; None: there was none to measure."""

    many: int = 0
    late: int = 0  # came too late to be shown at all
    p95_ms: int | None = None


def pop_times(db: Database, tenant: TenantId, since: datetime) -> PopTimes:
    """How long one tenant's cards took since then."""
    seconds = func.extract("epoch", effects.c.done_at - effects.c.created_at)
    done = effects.c.state == "done"
    with db.tenant(tenant) as database:
        row = database.execute(
            select(
                func.count().filter(done).label("many"),
                func.count().filter(effects.c.reason == "pop.stale").label("late"),
                func.percentile_cont(0.95).within_group(seconds).filter(done).label("p95"),
            ).where(effects.c.tenant_id == tenant, effects.c.kind == "pop", effects.c.done_at >= since)
        ).one()
    return PopTimes(many=row.many, late=row.late, p95_ms=None if row.p95 is None else round(float(row.p95) * 1000))


def every_tenant(db: Database, since: datetime) -> dict[TenantId, tuple[int, float]]:
    """For each tenant whose cards went out since then: how many, and the seconds 95 of 100 took at most."""
    with db.anyone() as connection:
        rows = connection.execute(
            text("SELECT tenant_id, many, p95_seconds FROM linekeeper_pops(:since)"), {"since": since}
        )
        return {row.tenant_id: (row.many, row.p95_seconds) for row in rows}
