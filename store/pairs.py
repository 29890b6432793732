"""Pairs: which record of the CRM and which of an address book are one person, and how each looked when they agreed.

A pair whose records say the same as then is quiet; what is not is found by `moved`.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Uuid, and_, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.contact import Person
from domain.pairs import Pair, Seen
from domain.plan import Key
from domain.ports import in_batches
from domain.threeway import SIDES, Side
from store import persons
from store.couples import Couple, aside, module_at, name_at, named, of_couple
from store.database import TenantId, among, as_rows, rowset
from store.moved import APART, NOBODY, PARTS, WAITING, Moving, pair_of
from store.tables import pairs
from store.vault import TenantVault

_TOLD = ("id", "state", *(f"{side}_{part}" for side in SIDES for part in PARTS))
_told = rowset(*(pairs.c[name] for name in _TOLD))
_INSERT = insert(pairs).from_select(
    ["tenant_id", "crm_id", "book_id", *_TOLD],
    select(*(bindparam(name, type_=Uuid) for name in ("tenant", "crm", "book")), *_told.c),
)
PUT = _INSERT.on_conflict_do_update(
    index_elements=["tenant_id", "id"],
    set_={name: _INSERT.excluded[name] for name in _TOLD if name != "id"} | {"agreed_at": func.now()},
)


class Pairs(Moving):
    """Find what moved, and remember what was agreed."""

    def get(self, database: Connection, couple: Couple, ids: Collection[str]) -> dict[str, Pair]:
        """These pairs, as they are remembered now."""
        wanted = [UUID(name) for name in ids if name]
        if not wanted:
            return {}
        vault = self._vault.of(couple.tenant)
        rows = database.execute(select(pairs).where(*of_couple(couple), among(pairs.c.id, wanted)))
        return {str(row.id): pair_of(vault, row) for row in rows}

    def partnered(self, database: Connection, couple: Couple, side: Side, keys: Collection[Key]) -> set[Key]:
        """Which of these records have a partner already."""
        if not keys:
            return set()
        module, name = module_at(side), name_at(side)
        theirs = named(side, [key[1] for key in keys])
        rows = database.execute(select(module, name).where(*of_couple(couple), pairs.c.state == "", theirs))
        return {(module, name) for module, name in rows} & set(keys)

    def put(self, database: Connection, couple: Couple, agreed: Sequence[Pair]) -> None:
        """Remember these as they are now; one without an id is new. Whoever of them waited does so no longer."""
        if not agreed:
            return
        self._make_room(database, couple, agreed)
        rows = _rows(self._vault.of(couple.tenant), agreed)
        database.execute(PUT, {"tenant": couple.tenant, "crm": couple.crm, "book": couple.book, "rows": as_rows(rows)})

    def wait(self, database: Connection, couple: Couple, why: Mapping[tuple[Side, Key], tuple[str, Person]]) -> None:
        """These stay alone for now, each for a reason; they are quiet until they say something else."""
        if not why:
            return
        alone = [Pair(id="", **{side: Seen(key=key, mark=person)}) for (side, key), (_, person) in why.items()]
        rows = _rows(self._vault.of(couple.tenant), alone)
        told = [row | {"state": f"{WAITING}:{reason}"} for row, (reason, _) in zip(rows, why.values(), strict=True)]
        values = {"tenant": couple.tenant, "crm": couple.crm, "book": couple.book, "rows": as_rows(told)}
        database.execute(_INSERT.on_conflict_do_nothing(), values)

    def part(self, database: Connection, couple: Couple, ids: Collection[str]) -> None:
        """Forget these pairs."""
        for batch in in_batches([UUID(name) for name in ids if name], 1_000):
            database.execute(delete(pairs).where(*of_couple(couple), among(pairs.c.id, batch)))

    @staticmethod
    def call_up_all(database: Connection, tenant: TenantId) -> int:
        """Look at everybody who waits again: what was chosen has changed."""
        return database.execute(
            delete(pairs).where(pairs.c.tenant_id == tenant, pairs.c.state.like(f"{WAITING}:%"))
        ).rowcount

    @staticmethod
    def try_again(database: Connection, tenant: TenantId, crm: UUID) -> int:
        """Whoever the CRM would not take is new to it once more: it is told something else from now on."""
        alone = (pairs.c.state == "", pairs.c.left_id == "", pairs.c.right_id != "")
        return database.execute(
            delete(pairs).where(pairs.c.tenant_id == tenant, pairs.c.crm_id == crm, *alone)
        ).rowcount

    @staticmethod
    def set_apart(database: Connection, tenant: TenantId, tie: UUID, keys: Collection[Key], *, apart: bool) -> None:
        """These take no part any more: their partners are left alone. Or they do again, and meet as if for the first
        time."""
        if not apart and not _some(database, tenant, pairs.c.state == APART):
            return
        for batch in in_batches(keys, 1_000):
            names = [key[1] for key in batch]
            mine = or_(
                and_(pairs.c.crm_id == tie, named("left", names)),
                and_(pairs.c.book_id == tie, named("right", names)),
            )
            if apart:
                database.execute(update(pairs).where(pairs.c.tenant_id == tenant, mine).values(state=APART))
            else:
                database.execute(delete(pairs).where(pairs.c.tenant_id == tenant, mine, pairs.c.state == APART))

    @staticmethod
    def end(database: Connection, tenant: TenantId, tie: UUID) -> int:
        """A connection ended: forget its pairs."""
        either = or_(pairs.c.crm_id == tie, pairs.c.book_id == tie)
        return database.execute(delete(pairs).where(pairs.c.tenant_id == tenant, either)).rowcount

    @staticmethod
    def renamed(database: Connection, tenant: TenantId, book: UUID, names: Mapping[Key, Key]) -> None:
        """Follow records of an address book that got another name."""
        theirs = pairs.alias("theirs")
        for (module, old), (_, new) in names.items():
            same = (pairs.c.tenant_id == tenant, pairs.c.book_id == book, pairs.c.right_module == module)
            taken = exists().where(
                theirs.c.tenant_id == tenant,
                theirs.c.book_id == book,
                theirs.c.right_module == module,
                theirs.c.right_id == new,
            )
            database.execute(update(pairs).where(*same, pairs.c.right_id == old, ~taken).values(right_id=new))

    @staticmethod
    def _make_room(database: Connection, couple: Couple, agreed: Sequence[Pair]) -> None:
        """Somebody who waited, and has a partner now, is in one pair only."""
        waits = pairs.c.state.like(f"{WAITING}:%")
        if not _some(database, couple.tenant, waits):
            return
        for side in SIDES:
            names = [seen.key[1] for pair in agreed if (seen := pair.at(side))]
            for batch in in_batches(names, 1_000):
                database.execute(delete(pairs).where(*of_couple(couple), waits, named(side, batch)))


def _some(database: Connection, tenant: TenantId, state: ColumnElement[bool]) -> bool:
    """Whether there is anybody in a state few are in: mostly nobody, and then nobody has to be looked for."""
    return bool(database.execute(select(exists().where(pairs.c.tenant_id == tenant, *aside(state)))).scalar_one())


def _rows(vault: TenantVault, agreed: Sequence[Pair]) -> list[dict[str, Any]]:
    """Pairs as rows, without a state."""
    rows: list[dict[str, Any]] = [{"id": pair.id or str(uuid.uuid4()), "state": ""} for pair in agreed]
    for side in SIDES:
        seal = vault.sealing("pairs", f"{side}_mark")
        marked: list[tuple[dict[str, Any], Person]] = []
        for row, pair in zip(rows, agreed, strict=True):
            seen = pair.at(side)
            row[f"{side}_module"], row[f"{side}_id"] = seen.key if seen else NOBODY
            if seen and seen.mark is not None:
                marked.append((row, seen.mark))
        looks = persons.looks(vault, (mark for _, mark in marked))
        for (row, mark), look in zip(marked, looks, strict=True):
            row[f"{side}_mark"] = seal(row["id"], persons.spell(mark))
            row[f"{side}_look"] = look
    return rows
