"""Calls as we keep them: the understood events, sealed, and the call they add up to.

A call is always the fold of all its events, so it does not matter in which batch or order they came. Whoever folds
holds the tenant's `calls` lane.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from domain.call import Call, CallEvent, agent_leg, fold
from domain.matching import Choice, Trace
from domain.phone import Number
from domain.remark import Remark
from domain.seats import SeatState
from store.database import Database, TenantId, pairs
from store.sieve import Wanted, those
from store.tables import calls
from store.vault import TenantVault, Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A call with what we decided about it."""

    id: UUID
    connection: UUID
    call: Call
    contact: UUID | None
    user: UUID | None
    seats: Mapping[UUID, SeatState]  # at whose phones it is now
    screen: UUID | None  # whose screen in the CRM has its card
    match: str
    writer: str
    activity: str
    said: tuple[str, ...] = ()  # our words in the activity's text; several where we do not know which arrived
    remark: Remark | None = None
    opened: tuple[datetime, UUID] | None = None  # when a voicemail was first read or heard, and by whom

    trace: Trace | None = None

    @property
    def e164(self) -> str:
        """The customer's number as it was understood; empty for none."""
        return self.trace.e164 if self.trace is not None else ""

    @property
    def unread(self) -> bool:
        """A voicemail nobody has opened."""
        return self.call.outcome == "voicemail" and self.call.direction == "inbound" and self.opened is None


@dataclass(slots=True, kw_only=True)
class Heard:
    """A call after this batch's events, before it is saved."""

    id: UUID
    connection: UUID
    events: tuple[CallEvent, ...]
    call: Call
    before: Call | None
    contact: UUID | None
    user: UUID | None
    match: str
    writer: str
    seats_before: Mapping[UUID, SeatState]
    seats: dict[UUID, SeatState] = field(default_factory=dict)
    phones: int = 0  # how many it is at, those of nobody we know included
    screen: UUID | None = None
    trace: Trace | None = None

    def settle(self, trace: Trace) -> None:
        """Say who it is with, and keep why."""
        self.trace, self.match, self.contact = trace, trace.choice.match, trace.choice.contact


class Calls:
    """Fold events in, find calls again."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def hear(
        self, tenant: TenantId, connection: UUID, events: Iterable[CallEvent], *, again: Collection[str] = ()
    ) -> list[Heard]:
        """Add events to the calls they belong to; nothing is saved yet. `again`: known calls with nothing new."""
        vault = self._vault.of(tenant)
        by_ref: dict[str, list[CallEvent]] = {ref: [] for ref in again}
        for event in events:
            by_ref.setdefault(event.call_ref, []).append(event)
        with self._db.tenant(tenant) as database:
            known = {
                row.ref: row
                for row in database.execute(
                    select(calls).where(
                        calls.c.tenant_id == tenant,
                        calls.c.connection_id == connection,
                        calls.c.ref.in_(by_ref),
                    )
                )
            }
        heard = []
        for ref, new in by_ref.items():
            row = known.get(ref)
            old = _events(vault, row) if row is not None else ()
            relisted = any(event.listed for event in new)  # the vendor's list says it anew
            kept = [event for event in old if not (relisted and event.listed)]
            every = tuple({event.id: event for event in (*new, *kept)}.values())
            heard.append(
                Heard(
                    id=row.id if row is not None else uuid.uuid4(),
                    connection=connection,
                    events=every,
                    call=fold(every),
                    before=fold(old) if old else None,
                    contact=row.contact_id if row is not None else None,
                    user=row.user_id if row is not None else None,
                    match=row.match if row is not None else "",
                    writer=row.writer if row is not None else "",
                    seats_before=_seats(row) if row is not None else {},
                    screen=row.screen_id if row is not None else None,
                    trace=_trace(vault, row) if row is not None else None,
                )
            )
        return heard

    def save(self, database: Connection, tenant: TenantId, heard: Sequence[Heard], numbers: Sequence[Number]) -> None:
        """Keep the calls in the caller's transaction. `numbers` are the customers', understood, in the same order."""
        if not heard:
            return
        vault = self._vault.of(tenant)
        rows = [
            {
                "id": item.id,
                "tenant_id": tenant,
                "connection_id": item.connection,
                "ref": item.call.ref,
                "direction": item.call.direction,
                "state": item.call.state,
                "outcome": item.call.outcome or "",
                "events": vault.seal_json("calls", item.id, "events", [event.as_data() for event in item.events]),
                "view": vault.seal_json("calls", item.id, "view", _view(item.call)),
                "trace": vault.seal_json("calls", item.id, "trace", item.trace.as_data()) if item.trace else None,
                "customer_index": vault.fingerprint("number", number.e164) if number.e164 else None,
                "line_index": _line(vault, item.call.agent_extension),
                "contact_id": item.contact,
                "user_id": item.user,
                "seats": {str(user): state for user, state in item.seats.items()},
                "screen_id": item.screen,
                "match": item.match,
                "writer": item.writer,
                "started_at": item.call.started_at,
                "answered_at": item.call.answered_at,
                "ended_at": item.call.ended_at,
                "talk_seconds": item.call.talk_seconds,
            }
            for item, number in zip(heard, numbers, strict=True)
        ]
        statement = insert(calls)
        kept = ("id", "tenant_id", "connection_id", "ref")
        changed = {name: statement.excluded[name] for name in rows[0] if name not in kept}
        database.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "id"], set_={**changed, "updated_at": func.now()}
            ),
            rows,
        )

    def logged(self, database: Connection, tenant: TenantId, activities: Mapping[UUID, str]) -> None:
        """The CRM keeps each of these calls under that id."""
        if activities:
            told = pairs(activities)
            database.execute(
                update(calls)
                .where(calls.c.tenant_id == tenant, calls.c.id == told.c.id)
                .values(activity_id=told.c.value)
            )

    def shown(self, tenant: TenantId, screens: Mapping[UUID, UUID]) -> None:
        """The card of each of these calls is about to stand on that user's screen in the CRM."""
        if screens:
            with self._db.tenant(tenant) as database:
                database.execute(
                    update(calls)
                    .where(calls.c.tenant_id == tenant, calls.c.id == bindparam("row"))
                    .values(screen_id=bindparam("user")),
                    [{"row": call, "user": user} for call, user in screens.items()],
                )

    def settle(self, database: Connection, tenant: TenantId, call: UUID, trace: Trace) -> None:
        """Say anew who a call is with, in the caller's transaction. The caller holds the tenant's `calls` lane."""
        choice: Choice = trace.choice
        sealed = self._vault.of(tenant).seal_json("calls", call, "trace", trace.as_data())
        database.execute(
            update(calls)
            .where(calls.c.tenant_id == tenant, calls.c.id == call)
            .values(contact_id=choice.contact, match=choice.match, trace=sealed, updated_at=func.now())
        )

    def last_with(self, tenant: TenantId, numbers: Collection[str]) -> dict[str, UUID]:
        """With whom the last spoken call of each number was; a number nobody spoke on is left out."""
        vault = self._vault.of(tenant)
        by_print = {vault.fingerprint("number", number): number for number in numbers}
        if not by_print:
            return {}
        statement = (
            select(calls.c.customer_index, calls.c.contact_id)
            .ext(distinct_on(calls.c.customer_index))
            .where(
                calls.c.tenant_id == tenant,
                calls.c.customer_index.in_(by_print),
                calls.c.contact_id.is_not(None),
                calls.c.state == "ended",
                calls.c.talk_seconds > 0,
            )
            .order_by(calls.c.customer_index, calls.c.started_at.desc(), calls.c.id)
        )
        with self._db.tenant(tenant) as database:
            return {by_print[bytes(row.customer_index)]: row.contact_id for row in database.execute(statement)}

    def says(self, tenant: TenantId, words: Mapping[UUID, Sequence[str]]) -> None:
        """Remember our words in the text of each call's activity, before they leave: as they may stand there."""
        vault = self._vault.of(tenant)
        rows = [{"row": call, "words": vault.seal_json("calls", call, "said", list(w))} for call, w in words.items()]
        if rows:
            with self._db.tenant(tenant) as database:
                database.execute(
                    update(calls)
                    .where(calls.c.tenant_id == tenant, calls.c.id == bindparam("row"))
                    .values(said=bindparam("words")),
                    rows,
                )

    def remarked(self, database: Connection, tenant: TenantId, call: UUID, remark: Remark) -> int | None:
        """Keep what somebody says of a call, in the caller's transaction; return how often that was. None: no call."""
        sealed = self._vault.of(tenant).seal_json("calls", call, "remark", remark.as_data())
        many: int | None = database.execute(
            update(calls)
            .where(calls.c.tenant_id == tenant, calls.c.id == call)
            .values(remark=sealed, remarks=calls.c.remarks + 1)
            .returning(calls.c.remarks)
        ).scalar_one_or_none()
        return many

    def open_voicemail(self, tenant: TenantId, call: UUID, user: UUID, at: datetime) -> bool:
        """Note who read or heard a voicemail first; False when somebody had before."""
        with self._db.tenant(tenant) as database:
            return bool(
                database.execute(
                    update(calls)
                    .where(calls.c.tenant_id == tenant, calls.c.id == call, calls.c.opened_at.is_(None))
                    .values(opened_at=at, opened_by=user)
                ).rowcount
            )

    def get(self, tenant: TenantId, call: UUID) -> Kept | None:
        with self._db.tenant(tenant) as database:
            row = database.execute(select(calls).where(calls.c.tenant_id == tenant, calls.c.id == call)).one_or_none()
        return None if row is None else self._kept(row)

    def leg(self, tenant: TenantId, call: UUID) -> str:
        """The vendor's name for our agent's part of a call, where it has one."""
        with self._db.tenant(tenant) as database:
            row = database.execute(
                select(calls.c.id, calls.c.events).where(calls.c.tenant_id == tenant, calls.c.id == call)
            ).one_or_none()
        return "" if row is None else agent_leg(_events(self._vault.of(tenant), row))

    def some(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, Kept]:
        """These calls, as far as they are still here."""
        if not ids:
            return {}
        with self._db.tenant(tenant) as database:
            rows = database.execute(select(calls).where(calls.c.tenant_id == tenant, calls.c.id.in_(ids))).all()
        return {row.id: self._kept(row) for row in rows}

    def told(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, tuple[CallEvent, ...]]:
        """What the vendor told us of each of these calls, understood; a call of which it told nothing is left out."""
        if not ids:
            return {}
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(calls.c.id, calls.c.events).where(calls.c.tenant_id == tenant, calls.c.id.in_(ids))
            ).all()
        return {row.id: told for row in rows if (told := _events(vault, row))}

    def ended(
        self, tenant: TenantId, connection: UUID, since: datetime, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[Kept]:
        """Calls of a phone system that began and ended since then, in the order they began; `after` one of them."""
        statement = (
            select(calls)
            .where(
                calls.c.tenant_id == tenant,
                calls.c.connection_id == connection,
                calls.c.started_at >= since,
                calls.c.state == "ended",
            )
            .order_by(calls.c.started_at, calls.c.id)
            .limit(limit)
        )
        if after is not None:
            statement = statement.where(tuple_(calls.c.started_at, calls.c.id) > tuple_(*after))
        with self._db.tenant(tenant) as database:
            return [self._kept(row) for row in database.execute(statement)]

    def elsewhere(self, tenant: TenantId, connection: UUID, refs: Collection[str]) -> set[tuple[str, datetime]]:
        """Which of these calls another connection brought, a former one of the same phone system say: (ref, start)."""
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(calls.c.ref, calls.c.started_at).where(
                    calls.c.tenant_id == tenant, calls.c.connection_id != connection, calls.c.ref.in_(refs)
                )
            )
            return {(row.ref, row.started_at) for row in rows}

    def recent(
        self,
        tenant: TenantId,
        *,
        limit: int = 50,
        before: datetime | None = None,
        contact: UUID | None = None,
        user: UUID | None = None,
        wanted: Wanted | None = None,
    ) -> list[Kept]:
        """The latest calls, newest first: all of them, or those that are wanted."""
        statement = select(calls).where(calls.c.tenant_id == tenant).order_by(calls.c.started_at.desc()).limit(limit)
        if before is not None:
            statement = statement.where(calls.c.started_at < before)
        if contact is not None:
            statement = statement.where(calls.c.contact_id == contact)
        if user is not None:
            statement = statement.where(calls.c.user_id == user)
        if wanted is not None:
            statement = statement.where(*those(tenant, wanted))
        with self._db.tenant(tenant) as database:
            return [self._kept(row) for row in database.execute(statement)]

    def line(self, tenant: TenantId, extension: str) -> bytes:
        """How calls of an inside line are found."""
        return self._vault.of(tenant).fingerprint("extension", extension)

    def lines(self, tenant: TenantId, limit: int = 200) -> dict[bytes, str]:
        """Every inside line calls were taken on, by how its calls are found."""
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(calls.c.line_index, calls.c.id, calls.c.view)
                .ext(distinct_on(calls.c.line_index))
                .where(calls.c.tenant_id == tenant, calls.c.line_index.is_not(None))
                .order_by(calls.c.line_index)
                .limit(limit)
            ).all()
        views = {bytes(row.line_index): vault.open_json("calls", row.id, "view", row.view) or {} for row in rows}
        return {mark: str(view.get("agent_extension", "")) for mark, view in views.items()}

    def assign(self, database: Connection, tenant: TenantId, call: UUID, user: UUID) -> None:
        """Somebody said whose call it was."""
        database.execute(
            update(calls)
            .where(calls.c.tenant_id == tenant, calls.c.id == call)
            .values(user_id=user, updated_at=func.now())
        )

    def live(self, tenant: TenantId, user: UUID, since: datetime) -> list[Kept]:
        """What rings at a user's phone or is spoken on there now; `since` leaves out calls whose end was lost."""
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(calls)
                .where(
                    calls.c.tenant_id == tenant,
                    calls.c.seats.has_key(str(user)),
                    calls.c.state != "ended",
                    calls.c.match != "left_out",
                    calls.c.started_at > since,
                )
                .order_by(calls.c.started_at.desc())
                .limit(5)
            ).all()
        return [self._kept(row) for row in rows]

    def of_number(self, tenant: TenantId, e164: str) -> list[UUID]:
        """Every call with that customer number."""
        fingerprint = self._vault.of(tenant).fingerprint("number", e164)
        with self._db.tenant(tenant) as database:
            return list(
                database.execute(
                    select(calls.c.id).where(calls.c.tenant_id == tenant, calls.c.customer_index == fingerprint)
                ).scalars()
            )

    def counts(self, tenant: TenantId, since: datetime) -> dict[str, int]:
        """Calls by outcome since then; live ones count as ""."""
        with self._db.tenant(tenant) as database:
            return dict(
                database.execute(
                    select(calls.c.outcome, func.count())
                    .where(calls.c.tenant_id == tenant, or_(calls.c.started_at > since, calls.c.state != "ended"))
                    .group_by(calls.c.outcome)
                ).all()
            )

    def states(self, tenant: TenantId, since: datetime) -> dict[str, int]:
        """Calls that began since then, by state."""
        with self._db.tenant(tenant) as database:
            return dict(
                database.execute(
                    select(calls.c.state, func.count())
                    .where(calls.c.tenant_id == tenant, calls.c.started_at >= since)
                    .group_by(calls.c.state)
                ).all()
            )

    def beside(self, tenant: TenantId, call: UUID, span: timedelta) -> list[Kept]:
        """Other calls of the same person with the same number that began so near to this one."""
        this, other = calls.alias("this"), calls
        statement = (
            select(other)
            .join(
                this,
                (this.c.tenant_id == other.c.tenant_id)
                & (this.c.id != other.c.id)
                & this.c.user_id.is_not_distinct_from(other.c.user_id)
                & this.c.customer_index.is_not_distinct_from(other.c.customer_index),
            )
            .where(
                other.c.tenant_id == tenant,
                this.c.id == call,
                other.c.started_at.between(this.c.started_at - span, this.c.started_at + span),
            )
        )
        with self._db.tenant(tenant) as database:
            return [self._kept(row) for row in database.execute(statement)]

    def _kept(self, row: Any) -> Kept:
        vault = self._vault.of(row.tenant_id)
        view = vault.open_json("calls", row.id, "view", row.view) or {}
        remark = vault.open_json("calls", row.id, "remark", row.remark)
        call = Call(
            ref=row.ref,
            direction=row.direction,
            state=row.state,
            started_at=row.started_at,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            outcome=row.outcome or None,
        )
        return Kept(
            id=row.id,
            connection=row.connection_id,
            call=replace(call, **view),
            contact=row.contact_id,
            user=row.user_id,
            seats=_seats(row),
            screen=row.screen_id,
            match=row.match,
            writer=row.writer,
            activity=row.activity_id,
            trace=_trace(vault, row),
            said=tuple(vault.open_json("calls", row.id, "said", row.said) or ()),
            remark=Remark.from_data(remark) if remark else None,
            opened=(row.opened_at, row.opened_by) if row.opened_at else None,
        )


def _line(vault: TenantVault, extension: str) -> bytes | None:
    return vault.fingerprint("extension", extension) if extension else None


VIEW = (  # what of a call is sealed
    *("caller", "callee", "agent_email", "agent_extension", "queue", "recording_url", "transcript"),
)


def _view(call: Call) -> dict[str, str]:
    return {name: value for name in VIEW if (value := getattr(call, name))}


def _seats(row: Any) -> dict[UUID, SeatState]:
    return {UUID(user): state for user, state in row.seats.items()}


def _trace(vault: TenantVault, row: Any) -> Trace | None:
    data = vault.open_json("calls", row.id, "trace", row.trace)
    return Trace.from_data(data) if data else None


def _events(vault: TenantVault, row: Any) -> tuple[CallEvent, ...]:
    data = vault.open_json("calls", row.id, "events", row.events) or []
    return tuple(CallEvent.from_data(event) for event in data)
