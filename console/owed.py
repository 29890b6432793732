"""What is still owed, as pages read it: the effects of one call, and everything an administrator should look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import func, select

from console import words
from console.words import Word
from jobs import alarms
from jobs.licences import Seen
from store.connections import Tie
from store.database import Database, TenantId
from store.owed import ACTIVITIES, LATER, WAITING
from store.tables import effects

if TYPE_CHECKING:
    from console.desk import Here
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
    again: bool = False  # it was given up and may be tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Something that does not go on by itself, or not now. `tie`: where to look; `replay`: trying again may help."""

    title: str
    sentence: str
    tone: words.Tone = "warn"
    tie: UUID | None = None
    replay: bool = False


def of_call(services: Services, tenant: TenantId, call: UUID) -> list[Owed]:
    """What this call, or this conversation, made us owe, oldest first."""
    with services.db.tenant(tenant) as database:
        rows = services.effects.of_call(database, tenant, call)
    return [
        Owed(
            what=words.effect(row["kind"]),
            state=words.STATES.get(row["state"], Word(row["state"])),
            reason=words.reason(row["reason"]) if row["state"] != "done" else "",
            attempts=row["attempts"],
            created_at=row["created_at"],
            done_at=row["done_at"],
            again=row["state"] == "dead" and row["kind"] in (*ACTIVITIES, *LATER),
        )
        for row in rows
    ]


def calls_waiting(db: Database, tenant: TenantId) -> dict[UUID, int]:
    """How many calls are still to be logged through each connection."""
    with db.tenant(tenant) as connection:
        rows = connection.execute(
            select(effects.c.connection_id, func.count().label("many"))
            .where(effects.c.tenant_id == tenant, effects.c.kind.in_(ACTIVITIES), effects.c.state.in_(WAITING))
            .group_by(effects.c.connection_id)
        )
        return {row.connection_id: row.many for row in rows}


def attention(services: Services, at: Here, ties: Sequence[Tie], titles: dict[str, str]) -> list[Attention]:
    """Everything that does not go on by itself, or does not go on now, the most urgent first."""
    tenant = at.tenant.id
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
    found += [
        Attention(
            title=f"{words.vendor(tie.vendor, titles)}: this connection ends {at.times.mid(ends_at)}",
            sentence=words.lapses(at.times.mid(ends_at)),
            tone="bad",
            tie=tie.id,
        )
        for tie in ties
        if (ends_at := Seen.of(tie).ends_at) is not None and tie.state != "disconnected"
    ]
    found += [
        Attention(
            title=f"{words.vendor(tie.vendor, titles)}: {words.ALARMS[one.what][0].format(at.times.mid(one.at))}",
            sentence=words.ALARMS[one.what][1],
            tie=tie.id,
        )
        for tie in ties
        for one in alarms.of(services, tie)
    ]
    silent = _silent(services, at, ties, titles)
    found += silent.values()
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
    told = {tie.id: words.vendor(tie.vendor, titles) for tie in ties if tie.state == "active"}
    names = {tie: name for tie, name in told.items() if tie not in silent}
    found += [
        Attention(
            title=f"{names[tie.id]}: the last request did not work",
            sentence=words.reason(tie.reason),
            tie=tie.id,
        )
        for tie in ties
        if tie.id in names and tie.troubled
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


def _silent(services: Services, at: Here, ties: Sequence[Tie], titles: dict[str, str]) -> dict[UUID, Attention]:
    """The connections whose other side has not answered lately, and what that means."""
    since = {tie.id: services.standing(tie).silent_since for tie in ties if tie.state == "active"}
    waiting = calls_waiting(services.db, at.tenant.id) if any(since.values()) else {}
    found: dict[UUID, Attention] = {}
    for tie in ties:
        if not since.get(tie.id):
            continue
        many = waiting.get(tie.id, 0)
        found[tie.id] = Attention(
            title=f"{words.vendor(tie.vendor, titles)} has not answered since {at.times.since(since[tie.id])}",
            sentence=(f"{many} {_many(many, 'call waits', 'calls wait')} and will be logged. " if many else "")
            + "Nothing is lost; we look by ourselves whether it answers again.",
            tone="bad",
            tie=tie.id,
        )
    return found


def _many(count: int, one: str, several: str) -> str:
    return one if count == 1 else several
