"""What is still owed, as pages read it: the effects of one call, and everything an administrator should look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import select

from console import words
from console.words import Word
from store.connections import Tie
from store.database import Database, TenantId
from store.tables import effects

if TYPE_CHECKING:
    from jobs.services import Services

PATIENCE = 3  # a chore may fail so often before anybody is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One effect of a call, without what it says to the other side."""

    what: str
    state: Word
    reason: str
    attempts: int
    created_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Something that does not go on by itself. `tie`: where to look; `replay`: trying again may help."""

    title: str
    sentence: str
    tone: words.Tone = "warn"
    tie: UUID | None = None
    replay: bool = False


def of_call(db: Database, tenant: TenantId, call: UUID) -> list[Owed]:
    """What this call made us owe, oldest first."""
    with db.tenant(tenant) as connection:
        rows = connection.execute(
            select(effects)
            .where(effects.c.tenant_id == tenant, effects.c.call_id == call)
            .order_by(effects.c.created_at, effects.c.id)
        ).all()
    return [
        Owed(
            what=words.effect(row.kind),
            state=words.STATES.get(row.state, Word(row.state)),
            reason=words.reason(row.reason) if row.state != "done" else "",
            attempts=row.attempts,
            created_at=row.created_at,
            done_at=row.done_at,
        )
        for row in rows
    ]


def attention(services: Services, tenant: TenantId, ties: Sequence[Tie], titles: dict[str, str]) -> list[Attention]:
    """Everything that waits for a person, the most urgent first."""
    found = [
        Attention(
            title=f"{words.vendor(tie.vendor, titles)} needs your consent again",
            sentence=words.reason(tie.reason or "consent.lost"),
            tone="bad",
            tie=tie.id,
        )
        for tie in ties
        if tie.state == "needs_consent"
    ]
    if dead := services.inbox.counts(tenant).get("dead", 0):
        found.append(
            Attention(
                title=f"{dead} {_many(dead, 'delivery', 'deliveries')} could not be understood",
                sentence="They are kept, sealed, until you try again or their time is up.",
                tone="bad",
                replay=True,
            )
        )
    found += [
        Attention(
            title=f"{words.effect(kind)}: {many} given up",
            sentence="The calls in question show why. Nothing more is tried by itself.",
            tone="bad",
        )
        for (kind, state), many in sorted(services.effects.counts(tenant).items())
        if state == "dead"
    ]
    names = {tie.id: words.vendor(tie.vendor, titles) for tie in ties if tie.state == "active"}
    found += [
        Attention(
            title=f"{names[tie.id]}: the last request did not work",
            sentence=words.reason(tie.reason),
            tie=tie.id,
        )
        for tie in ties
        if tie.state == "active" and tie.troubled
    ]
    found += [
        Attention(
            title=f"{names[chore.connection]}: {words.DUTIES.get(chore.kind, chore.kind)} has not worked lately",
            sentence=words.reason(chore.reason),
            tie=chore.connection,
        )
        for chore in services.chores.all(tenant)
        if chore.failures >= PATIENCE and chore.connection in names
    ]
    return found


def _many(count: int, one: str, several: str) -> str:
    return one if count == 1 else several
