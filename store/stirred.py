"""Whom an exchange has to look at: who moved since everybody was found at rest, and nobody else.

In which transaction a record last said something else or went, and a pair was written or went, the database notes by
itself, whoever did it. Whether two agree is told by their fingerprints: this only says whose are compared. Once a day
it is everybody's all the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, func, select

from domain.threeway import SIDES
from store.changes import under_way
from store.couples import Couple, named, of_couple
from store.tables import links, pairs

AGAIN = timedelta(days=1)  # then everybody is looked at, those who wait too: what was in their way may be gone
ONE_BY_ONE = 20_000  # records or pairs; with more, looking at everybody is no more work


@dataclass(frozen=True, slots=True)
class Stirred:
    """The rows of what may have moved: pairs, and records that may be in none."""

    pairs: Collection[UUID]
    links: Collection[UUID]


def since(database: Connection, couple: Couple, mark: str) -> tuple[Stirred | None, str]:
    """What may have moved since `mark` was given (None: anybody), and the mark to ask with once nothing has."""
    oldest, newest = under_way(database)
    now = int(database.execute(select(func.extract("epoch", func.now()))).scalar_one())
    afresh = f"{couple.crm} {oldest} {now}"
    crm, then, looked = mark.split(" ") if mark else ("", "0", "0")
    # none yet, of another CRM, of a database that went on further than this one, or too long ago
    if crm != str(couple.crm) or int(then) > newest or now - int(looked) > AGAIN.total_seconds():
        return None, afresh
    found = _stirred(database, couple, int(then))
    return (None, afresh) if found is None else (found, f"{couple.crm} {oldest} {looked}")


def _stirred(database: Connection, couple: Couple, then: int) -> Stirred | None:
    written = select(pairs.c.id).where(*of_couple(couple), pairs.c.moved_in >= then)
    found = set(database.execute(written.limit(ONE_BY_ONE + 1)).scalars())
    said = select(links.c.id, links.c.connection_id, links.c.remote_id).where(
        links.c.tenant_id == couple.tenant, links.c.moved_in >= then
    )
    rows = database.execute(said.limit(ONE_BY_ONE + 1)).all()
    if max(len(found), len(rows)) > ONE_BY_ONE:
        return None
    for side in SIDES:
        if names := [row.remote_id for row in rows if row.connection_id == couple.at(side)]:
            theirs = select(pairs.c.id).where(*of_couple(couple), named(side, names))
            found |= set(database.execute(theirs).scalars())
    return Stirred(found, [row.id for row in rows])
