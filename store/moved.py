"""What moved on either side since a CRM and an address book last agreed, found in the database by fingerprints.

Nothing is opened that stands as it stood, and only whoever may have moved is compared (`stirred`). What moved is taken
by the thousand, with whoever shares a number or an address with it: enough to decide as if everybody were there, and
as little to hold in memory in a large organisation as in a small one. Nothing is remembered here; `pairs` does that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, or_, select, text, true, update

from domain.agreement import Size
from domain.contact import Person, Record
from domain.pairs import Pair, Seen, View
from domain.plan import Key
from domain.ports import in_batches
from domain.threeway import SIDES, Side
from store import persons
from store.couples import Couple, aside, module_at, name_at, named, of_couple, of_side, somebody
from store.database import Database, among
from store.hub import known_as
from store.merging import SPELT
from store.stirred import AGAIN, Stirred, since
from store.tables import contact_keys, links, pairs
from store.vault import TenantVault, Vault

WAITING = "waiting"  # no partner, for a reason a person has to look at
APART = "apart"  # left out of the sync by choice; whatever becomes of it there is not our business
NOBODY: Key = ("", "")  # the key of a side on which a pair has nobody
FINDS = ("number", "email", SPELT)
PARTS = ("module", "id", "mark", "look")  # what a pair keeps of each side
LEFT, RIGHT = links.alias("at_left"), links.alias("at_right")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What moved since both sides last agreed, and everybody near it. Only what moved may be acted upon."""

    views: Mapping[Side, View]
    pairs: Sequence[Pair]
    moved: Mapping[Side, frozenset[Key]]
    alone: Sequence[tuple[Side, Key]]  # those of them who are in no pair
    many: int  # pairs and records that moved, as `left_to_do` counts them
    whole: bool  # nothing else did
    mark: str  # to ask with from now on, if nothing did

    @property
    def empty(self) -> bool:
        return not any(self.moved.values())

    @property
    def removes(self) -> bool:
        """Whether anybody may have to go: the record of a pair is not there."""
        return any(
            (seen := pair.at(side)) is not None and seen.key not in self.views[side].records
            for pair in self.pairs
            for side in SIDES
        )


class Moving:
    """Find what moved since a couple last agreed."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    # -- what there is to do

    def moved(self, couple: Couple, limit: int, mark: str = "") -> Moved:
        """At most so many records that moved, and whoever stands near them; all is at rest that was when `mark` was
        given and has not stirred since."""
        vault = self._vault.of(couple.tenant)
        moved: dict[Side, set[Key]] = {"left": set(), "right": set()}
        with self._db.tenant(couple.tenant) as database:
            stirred, mark = since(database, couple, mark)
            _compare(database, stirred)
            self._call_up(database, couple, stirred)
            ids = database.execute(_unquiet(couple, stirred).limit(limit)).scalars().all()
            rows = (
                database.execute(select(pairs).where(*of_couple(couple), among(pairs.c.id, ids))).all() if ids else []
            )
            for row in rows:
                for side, key in _keys(row).items():
                    moved[side].add(key)
            alone: list[tuple[Side, Key]] = []
            for side in SIDES:
                room = limit - len(rows) - len(alone)
                fresh = database.execute(_strangers(couple, side, stirred).limit(room)).all() if room > 0 else []
                alone += [(side, (row.module, row.remote_id)) for row in fresh]
                moved[side].update((row.module, row.remote_id) for row in fresh)
            _compare(database, over=True)
            records = self._near(database, vault, couple, moved)
            known = list({row.id: row for row in (*rows, *self._of(database, couple, records))}.values())
            for side in SIDES:
                partners = {key_at(row, side) for row in known} - records[side].keys() - {NOBODY}
                records[side] |= self._read(database, vault, couple, side, partners)
        apart = {side: {key_at(row, side) for row in known if row.state == APART} for side in SIDES}
        return Moved(
            views={
                side: View(records={key: one for key, one in records[side].items() if key not in apart[side]})
                for side in SIDES
            },
            pairs=[pair_of(vault, row) for row in known if not row.state],
            moved={side: frozenset(moved[side]) for side in SIDES},
            alone=alone,
            many=len(rows) + len(alone),
            whole=len(rows) + len(alone) < limit,
            mark=mark,
        )

    def left_to_do(self, couple: Couple, mark: str = "") -> int:
        """How many records and pairs moved."""
        total = 0
        with self._db.tenant(couple.tenant) as database:
            stirred, _ = since(database, couple, mark)
            _compare(database, stirred)
            for statement in (_unquiet(couple, stirred), *(_strangers(couple, side, stirred) for side in SIDES)):
                total += database.execute(select(func.count()).select_from(statement.subquery())).scalar_one()
        return total

    def sizes(self, couple: Couple) -> dict[Side, Size]:
        """How many people each side has, and how many of them are in a pair."""
        bereft = {
            "left": and_(pairs.c.right_id != "", LEFT.c.id.is_not(None), RIGHT.c.id.is_(None)),
            "right": and_(pairs.c.left_id != "", RIGHT.c.id.is_not(None), LEFT.c.id.is_(None)),
        }
        counts = []
        for side in SIDES:
            paired = somebody(side)
            counts += [func.count().filter(paired), func.count().filter(and_(paired, bereft[side]))]
        found: dict[Side, Size] = {}
        with self._db.tenant(couple.tenant) as database:
            _compare(database)
            told = list(database.execute(_beside(couple, pairs.c.state == "").with_only_columns(*counts)).one())
            for place, side in enumerate(SIDES):
                people = select(func.count()).select_from(links).where(*of_side(couple, side, links))
                found[side] = Size(database.execute(people).scalar_one(), *told[2 * place : 2 * place + 2])
        return found

    def bereft(self, couple: Couple, limit: int) -> list[UUID]:
        """Some of the people whose record on one side is gone."""
        with self._db.tenant(couple.tenant) as database:
            found: list[UUID] = []
            for here, mine, there, theirs in (
                (LEFT, pairs.c.left_id, RIGHT, pairs.c.right_id),
                (RIGHT, pairs.c.right_id, LEFT, pairs.c.left_id),
            ):
                lost = and_(mine != "", here.c.id.is_not(None), theirs != "", there.c.id.is_(None))
                some = _beside(couple, and_(pairs.c.state == "", lost)).with_only_columns(here.c.contact_id)
                found += database.execute(some.limit(limit)).scalars()
        return found[:limit]

    def waiting(self, couple: Couple) -> dict[str, int]:
        """How many records wait for a person, by reason."""
        statement = select(pairs.c.state, func.count()).where(*of_couple(couple), pairs.c.state.like(f"{WAITING}:%"))
        with self._db.tenant(couple.tenant) as database:
            rows = database.execute(statement.group_by(pairs.c.state)).all()
        return {state.partition(":")[2]: many for state, many in rows}

    @staticmethod
    def _call_up(database: Connection, couple: Couple, stirred: Stirred | None) -> None:
        """Look again at those who wait: at once when they say something else, and at all of them now and then."""
        waits = and_(*aside(pairs.c.state.like(f"{WAITING}:%")), _may_have(pairs, stirred))
        if not database.execute(select(exists().where(*of_couple(couple), waits))).scalar_one():
            return
        unquiet = _unquiet(couple, stirred, waits)
        due = pairs.c.agreed_at < func.now() - AGAIN / 2  # else who began after one look at everybody misses the next
        database.execute(delete(pairs).where(*of_couple(couple), waits, or_(due, pairs.c.id.in_(unquiet))))

    def _near(
        self, database: Connection, vault: TenantVault, couple: Couple, moved: Mapping[Side, Collection[Key]]
    ) -> dict[Side, dict[Key, Record]]:
        """The records that moved, and those of whoever shares a number or an address with them."""
        whose: set[UUID] = set()
        for side in SIDES:
            for batch in in_batches(moved[side], 1_000):
                here = (*of_side(couple, side, links), known_as(couple.at(side), batch))
                whose |= set(database.execute(select(links.c.contact_id).where(*here)).scalars().all())
        mine, theirs = contact_keys.alias("mine"), contact_keys.alias("theirs")
        near = set(whose)
        for batch in in_batches(whose, 1_000):
            near |= set(
                database.execute(
                    select(theirs.c.contact_id)
                    .join(
                        mine,
                        and_(
                            mine.c.tenant_id == theirs.c.tenant_id,
                            mine.c.kind == theirs.c.kind,
                            mine.c.fingerprint == theirs.c.fingerprint,
                        ),
                    )
                    .where(mine.c.tenant_id == couple.tenant, mine.c.kind.in_(FINDS), among(mine.c.contact_id, batch))
                    .distinct()
                )
                .scalars()
                .all()
            )
        records: dict[Side, dict[Key, Record]] = {"left": {}, "right": {}}
        for side in SIDES:
            for batch in in_batches(near, 1_000):
                found = select(links).where(*of_side(couple, side, links), among(links.c.contact_id, batch))
                records[side] |= self._records(database, vault, found)
        return records

    def _read(
        self, database: Connection, vault: TenantVault, couple: Couple, side: Side, wanted: Collection[Key]
    ) -> dict[Key, Record]:
        found: dict[Key, Record] = {}
        for batch in in_batches(wanted, 1_000):
            statement = select(links).where(*of_side(couple, side, links), known_as(couple.at(side), batch))
            found |= self._records(database, vault, statement)
        return found

    @staticmethod
    def _records(database: Connection, vault: TenantVault, statement: Select[Any]) -> dict[Key, Record]:
        found: dict[Key, Record] = {}
        opened = vault.opening("links", "mark")
        for row in database.execute(statement).all():
            person = persons.read(opened(row.id, row.mark))
            found[row.module, row.remote_id] = Record(
                module=row.module, remote_id=row.remote_id, person=person, owner=row.owner, changed_at=row.changed_at
            )
            if row.look is None:  # a link from before there were fingerprints
                (said,) = persons.looks(vault, [person])
                database.execute(
                    update(links).where(links.c.tenant_id == row.tenant_id, links.c.id == row.id).values(look=said)
                )
        return found

    @staticmethod
    def _of(database: Connection, couple: Couple, records: Mapping[Side, Mapping[Key, Record]]) -> list[Any]:
        """The rows of the pairs these records are in."""
        found: dict[UUID, Any] = {}
        for side in SIDES:
            for batch in in_batches((key[1] for key in records[side]), 1_000):
                rows = database.execute(select(pairs).where(*of_couple(couple), named(side, batch)))
                found |= {row.id: row for row in rows if key_at(row, side) in records[side]}
        return list(found.values())


def _compare(database: Connection, stirred: Stirred | None = None, *, over: bool = False) -> None:
    """Have PostgreSQL compare whole sets by hashing, row by row no more, until that is `over`; a few it finds by row.

    During a first load it does not know yet how many rows there are, takes them for few, and compares each with each.
    """
    database.execute(text(f"SET LOCAL enable_nestloop = {'off' if stirred is None and not over else 'on'}"))


def _may_have(table: Any, stirred: Stirred | None) -> ColumnElement[bool]:
    """Whether a pair or a link may have moved."""
    if stirred is None:
        return true()
    return among(table.c.id, stirred.pairs if table is pairs else stirred.links)


def _beside(couple: Couple, state: ColumnElement[bool]) -> Select[Any]:
    """The ids of pairs beside the links of their records; the marks are not carried along, for they are long."""
    left = and_(
        LEFT.c.tenant_id == pairs.c.tenant_id,
        LEFT.c.connection_id == pairs.c.crm_id,
        LEFT.c.module == pairs.c.left_module,
        LEFT.c.remote_id == pairs.c.left_id,
    )
    right = and_(
        RIGHT.c.tenant_id == pairs.c.tenant_id,
        RIGHT.c.connection_id == pairs.c.book_id,
        RIGHT.c.module == pairs.c.right_module,
        RIGHT.c.remote_id == pairs.c.right_id,
    )
    return (
        select(pairs.c.id)
        .select_from(pairs)
        .outerjoin(LEFT, left)
        .outerjoin(RIGHT, right)
        .where(*of_couple(couple), state)
    )


def _unquiet(couple: Couple, stirred: Stirred | None, state: ColumnElement[bool] | None = None) -> Select[Any]:
    """Ids of pairs one of whose records says something else than when they agreed, is gone, or never was compared."""
    either = []
    for side in SIDES:
        table, look = (LEFT, pairs.c.left_look) if side == "left" else (RIGHT, pairs.c.right_look)
        moved = or_(table.c.id.is_(None), look.is_(None), table.c.look.is_distinct_from(look))
        either.append(and_(somebody(side), moved))
    found = _beside(couple, pairs.c.state == "" if state is None else state)
    return found.where(_may_have(pairs, stirred), or_(*either))


def _strangers(couple: Couple, side: Side, stirred: Stirred | None) -> Select[Any]:
    """Records in no pair of this couple."""
    mine = (somebody(side), name_at(side) == links.c.remote_id, module_at(side) == links.c.module)
    known = exists().where(*of_couple(couple), *mine)
    here = (*of_side(couple, side, links), _may_have(links, stirred))
    return select(links.c.module, links.c.remote_id).where(*here, ~known)


def key_at(row: Any, side: Side) -> Key:
    return (row.left_module, row.left_id) if side == "left" else (row.right_module, row.right_id)


def _keys(row: Any) -> dict[Side, Key]:
    return {side: key_at(row, side) for side in SIDES if key_at(row, side) != NOBODY}


def pair_of(vault: TenantVault, row: Any) -> Pair:
    seen: dict[Side, Seen] = {}
    for side, key in _keys(row).items():
        mark = vault.open_json("pairs", row.id, f"{side}_mark", getattr(row, f"{side}_mark"))
        seen[side] = Seen(key=key, mark=Person.from_data(mark) if mark is not None else None)
    return Pair(id=str(row.id), left=seen.get("left"), right=seen.get("right"))
