"""Lists of people to call one after the other: who is on them, whose turn it is, how often each was tried.

Every press counts the list's turns, and is good only for the turn its page was drawn in: of two presses one does
something, and a press of an older page nothing.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.call import Outcome
from domain.call import State as CallState
from domain.call_down import State, ToCall
from store.database import Database, TenantId
from store.tables import call_list_people, call_lists, calls
from store.vault import TenantVault, Vault

SKEW = timedelta(seconds=30)  # a vendor's clock may be behind ours when it says that a call began


@dataclass(frozen=True, slots=True, kw_only=True)
class CallList:
    """A user's list. The title is opened for its owner alone."""

    id: UUID
    user: UUID
    title: str
    most_tries: int
    turn: int
    worked_at: datetime
    states: Mapping[State, int]

    @property
    def people(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """Somebody on a list. `picked`: from the contacts, as `contact`; the others were pasted."""

    id: UUID
    number: ToCall
    contact: UUID | None
    picked: bool
    note: str
    state: State
    tries: int
    dialled_at: datetime | None


class CallLists:
    """Make lists, go through them, forget them."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    # -- lists

    def make(self, database: Connection, tenant: TenantId, user: UUID, title: str, most_tries: int) -> UUID:
        """Begin a list, in the caller's transaction."""
        row = uuid.uuid4()
        sealed = self._vault.of(tenant).seal("call_lists", row, "title", title)
        database.execute(
            insert(call_lists).values(id=row, tenant_id=tenant, user_id=user, title=sealed, most_tries=most_tries)
        )
        return row

    def get(self, tenant: TenantId, user: UUID, listing: UUID) -> CallList | None:
        """A list of this user's own."""
        return next(iter(self._lists(tenant, user, call_lists.c.id == listing, call_lists.c.user_id == user)), None)

    def all(self, tenant: TenantId, user: UUID, *, others: bool = False) -> list[CallList]:
        """The lists of a user, the latest worked on first; `others`: everybody's, without what theirs are called."""
        return self._lists(tenant, user, *(() if others else (call_lists.c.user_id == user,)))

    def _lists(self, tenant: TenantId, user: UUID, *which: ColumnElement[bool]) -> list[CallList]:
        vault = self._vault.of(tenant)
        wanted = select(call_lists).where(call_lists.c.tenant_id == tenant, *which)
        with self._db.tenant(tenant) as database:
            rows = database.execute(wanted.order_by(call_lists.c.worked_at.desc(), call_lists.c.id)).all()
            states: dict[UUID, Counter[State]] = {row.id: Counter() for row in rows}
            counted = database.execute(
                select(call_list_people.c.list_id, call_list_people.c.state, func.count().label("many"))
                .where(call_list_people.c.tenant_id == tenant, call_list_people.c.list_id.in_(states))
                .group_by(call_list_people.c.list_id, call_list_people.c.state)
            )
            for row in counted:
                states[row.list_id][row.state] = row.many
        return [
            CallList(
                id=row.id,
                user=row.user_id,
                title=vault.open("call_lists", row.id, "title", row.title) if row.user_id == user else "",
                most_tries=row.most_tries,
                turn=row.turn,
                worked_at=row.worked_at,
                states=states[row.id],
            )
            for row in rows
        ]

    def delete(self, database: Connection, tenant: TenantId, listing: UUID, *, user: UUID | None) -> bool:
        """Forget a list and everybody on it; `user`: only if it is theirs. In the caller's transaction."""
        which = [call_lists.c.tenant_id == tenant, call_lists.c.id == listing]
        if user is not None:
            which.append(call_lists.c.user_id == user)
        return database.execute(delete(call_lists).where(*which)).rowcount == 1

    # -- people

    def add(
        self, database: Connection, tenant: TenantId, listing: UUID, told: Iterable[tuple[ToCall, UUID | None]]
    ) -> int:
        """Put people at the end, each number once; a contact: picked from them. In the caller's transaction."""
        vault = self._vault.of(tenant)
        place = self._end(database, tenant, listing)
        rows = []
        for behind, (number, contact) in enumerate(told):
            row = uuid.uuid4()
            rows.append(
                {
                    "id": row,
                    "tenant_id": tenant,
                    "list_id": listing,
                    "place": place + behind,
                    "number": vault.seal("call_list_people", row, "number", number.dialled),
                    "number_index": vault.fingerprint("number", number.e164),
                    "contact_id": contact,
                    "picked": contact is not None,
                }
            )
        if not rows:
            return 0
        statement = insert(call_list_people).values(rows).on_conflict_do_nothing().returning(call_list_people.c.id)
        return len(database.execute(statement).all())

    @staticmethod
    def _end(database: Connection, tenant: TenantId, listing: UUID) -> int:
        last = select(func.coalesce(func.max(call_list_people.c.place), 0)).where(
            call_list_people.c.tenant_id == tenant, call_list_people.c.list_id == listing
        )
        return int(database.execute(last).scalar_one()) + 1

    def people(self, tenant: TenantId, listing: UUID) -> list[Callee]:
        """Everybody on a list, in the order of their turns."""
        vault = self._vault.of(tenant)
        wanted = (
            select(call_list_people)
            .where(call_list_people.c.tenant_id == tenant, call_list_people.c.list_id == listing)
            .order_by(call_list_people.c.place, call_list_people.c.id)
        )
        with self._db.tenant(tenant) as database:
            return [_callee(vault, row) for row in database.execute(wanted)]

    def remove(self, tenant: TenantId, listing: UUID, people: Collection[UUID]) -> int:
        """Take people off a list."""
        with self._db.tenant(tenant) as database:
            return database.execute(
                delete(call_list_people).where(
                    call_list_people.c.tenant_id == tenant,
                    call_list_people.c.list_id == listing,
                    call_list_people.c.id.in_(people),
                )
            ).rowcount

    def note(self, tenant: TenantId, listing: UUID, callee: UUID, note: str) -> bool:
        """Keep what the user noted of somebody; False when nobody such is on the list."""
        sealed = self._vault.of(tenant).seal("call_list_people", callee, "note", note) if note else None
        with self._db.tenant(tenant) as database:
            return self._set(database, tenant, listing, callee, note=sealed)

    # -- going through

    def claim(self, tenant: TenantId, one: CallList, callee: UUID) -> bool:
        """It is somebody's turn, they are about to be dialled; False where another press was first."""
        claimed = {"state": "calling", "tries": call_list_people.c.tries + 1, "dialled_at": func.now()}
        with self._db.tenant(tenant) as database:
            if not self._its_turn(database, tenant, one) or self._calling(database, tenant, one.id):
                return False
            return self._turn(database, tenant, one, callee, "waiting", claimed)

    def unclaim(self, tenant: TenantId, one: CallList, callee: UUID) -> bool:
        """Nothing rang: it is their turn still, and this try does not count."""
        waits = {"state": "waiting", "tries": func.greatest(call_list_people.c.tries - 1, 0)}
        with self._db.tenant(tenant) as database:
            return self._its_turn(database, tenant, one) and self._turn(database, tenant, one, callee, "calling", waits)

    def judge(
        self, tenant: TenantId, one: CallList, callee: Callee, state: State, *, tries: int, call: UUID | None = None
    ) -> bool:
        """Say what came of a try: who waits again, waits at the end."""
        told: dict[str, Any] = {"state": state, "tries": tries} | ({"call_id": call} if call is not None else {})
        with self._db.tenant(tenant) as database:
            if not self._its_turn(database, tenant, one):
                return False
            if state == "waiting":
                told["place"] = self._end(database, tenant, one.id)
            return self._turn(database, tenant, one, callee.id, callee.state, told)

    def calls_of(self, tenant: TenantId, user: UUID, callee: UUID) -> list[tuple[UUID, CallState, Outcome | None]]:
        """This user's calls to somebody since they were dialled, the first one first; not those of earlier tries."""
        same = and_(
            calls.c.tenant_id == call_list_people.c.tenant_id,
            calls.c.customer_index == call_list_people.c.number_index,
            calls.c.started_at >= call_list_people.c.dialled_at - SKEW,
            calls.c.id.is_distinct_from(call_list_people.c.call_id),
        )
        wanted = (
            select(calls.c.id, calls.c.state, calls.c.outcome)
            .join(call_list_people, same)
            .where(
                call_list_people.c.tenant_id == tenant,
                call_list_people.c.id == callee,
                calls.c.direction == "outbound",
                or_(calls.c.user_id == user, calls.c.user_id.is_(None)),
            )
            .order_by(calls.c.started_at, calls.c.id)
        )
        with self._db.tenant(tenant) as database:
            return [(row.id, row.state, row.outcome or None) for row in database.execute(wanted)]

    @staticmethod
    def _its_turn(database: Connection, tenant: TenantId, one: CallList) -> bool:
        """Whether the list has not turned since the page was drawn; another press waits until this one is done."""
        wanted = select(call_lists.c.turn).where(call_lists.c.tenant_id == tenant, call_lists.c.id == one.id)
        turn: int | None = database.execute(wanted.with_for_update()).scalar_one_or_none()
        return turn == one.turn

    def _turn(
        self,
        database: Connection,
        tenant: TenantId,
        one: CallList,
        callee: UUID,
        only: State,
        values: Mapping[str, Any],
    ) -> bool:
        """Change somebody who is in this state, and count it."""
        changed = self._set(database, tenant, one.id, callee, only, **values)
        if changed:
            database.execute(
                update(call_lists)
                .where(call_lists.c.tenant_id == tenant, call_lists.c.id == one.id)
                .values(turn=call_lists.c.turn + 1, worked_at=func.now())
            )
        return changed

    @staticmethod
    def _calling(database: Connection, tenant: TenantId, listing: UUID) -> bool:
        wanted = select(call_list_people.c.id).where(
            call_list_people.c.tenant_id == tenant,
            call_list_people.c.list_id == listing,
            call_list_people.c.state == "calling",
        )
        return bool(database.execute(select(wanted.exists())).scalar_one())

    @staticmethod
    def _set(
        database: Connection, tenant: TenantId, listing: UUID, callee: UUID, only: State | None = None, **values: Any
    ) -> bool:
        """Change somebody on a list, in this state only where one is named."""
        which = [
            call_list_people.c.tenant_id == tenant,
            call_list_people.c.list_id == listing,
            call_list_people.c.id == callee,
        ]
        if only is not None:
            which.append(call_list_people.c.state == only)
        changed = update(call_list_people).where(*which).values(changed_at=func.now(), **values)
        return database.execute(changed).rowcount == 1


def _callee(vault: TenantVault, row: Any) -> Callee:
    return Callee(
        id=row.id,
        number=ToCall(vault.open("call_list_people", row.id, "number", row.number)),
        contact=row.contact_id,
        picked=row.picked,
        note=vault.open("call_list_people", row.id, "note", row.note),
        state=row.state,
        tries=row.tries,
        dialled_at=row.dialled_at,
    )
