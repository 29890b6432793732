"""The book of calls, as it is read: one call, those of a person, of an agent, of a time.

What is written into it is `store.calls`.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on

from domain.call import Call, CallEvent, agent_leg
from domain.matching import Trace
from domain.remark import Remark
from domain.seats import SeatState
from store.database import Database, TenantId, among
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
    filled: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # the same for mapped fields
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


class CallBook:
    """Find calls again."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault
        self._hand = threading.local()

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """What this thread seals of calls inside is not opened to be read again: the same seal holds the same words."""
        self._hand.sealed = {}
        try:
            yield
        finally:
            self._hand.sealed = None

    def _keep(self, sealed: bytes, value: object) -> None:
        if (known := getattr(self._hand, "sealed", None)) is not None:
            known[sealed] = value

    def _at_hand(self, sealed: bytes | None) -> Any:
        """What was sealed so by this thread, if it has that at hand."""
        known = getattr(self._hand, "sealed", None)
        return known.get(sealed) if known and sealed else None

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
        return "" if row is None else agent_leg(events_of(self._vault.of(tenant), row))

    def some(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, Kept]:
        """These calls, as far as they are still here."""
        if not ids:
            return {}
        with self._db.tenant(tenant) as database:
            rows = database.execute(select(calls).where(calls.c.tenant_id == tenant, among(calls.c.id, ids))).all()
        return {row.id: self._kept(row) for row in rows}

    def whole(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, tuple[Kept, tuple[CallEvent, ...]]]:
        """These calls with what the vendor told us of each, as far as they are still here."""
        if not ids:
            return {}
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as database:
            rows = database.execute(select(calls).where(calls.c.tenant_id == tenant, among(calls.c.id, ids))).all()
        return {row.id: (self._kept(row), self._at_hand(row.events) or events_of(vault, row)) for row in rows}

    def told(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, tuple[CallEvent, ...]]:
        """What the vendor told us of each of these calls, understood; a call of which it told nothing is left out."""
        if not ids:
            return {}
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(calls.c.id, calls.c.events).where(calls.c.tenant_id == tenant, among(calls.c.id, ids))
            ).all()
        return {row.id: told for row in rows if (told := events_of(vault, row))}

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

    def _call(self, vault: TenantVault, row: Any) -> Call:
        view = vault.open_json("calls", row.id, "view", row.view) or {}
        return Call(
            **view,
            ref=row.ref,
            direction=row.direction,
            state=row.state,
            started_at=row.started_at,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            outcome=row.outcome or None,
        )

    def _kept(self, row: Any) -> Kept:
        vault = self._vault.of(row.tenant_id)
        remark = vault.open_json("calls", row.id, "remark", row.remark)
        filled = vault.open_json("calls", row.id, "filled", row.filled)
        return Kept(
            id=row.id,
            connection=row.connection_id,
            call=self._at_hand(row.view) or self._call(vault, row),
            contact=row.contact_id,
            user=row.user_id,
            seats=seats_of(row),
            screen=row.screen_id,
            match=row.match,
            writer=row.writer,
            activity=row.activity_id,
            trace=self._at_hand(row.trace) or trace_of(vault, row),
            said=tuple(vault.open_json("calls", row.id, "said", row.said) or ()),
            filled={name: tuple(told) for name, told in (filled or {}).items()},
            remark=Remark.from_data(remark) if remark else None,
            opened=(row.opened_at, row.opened_by) if row.opened_at else None,
        )


def line_of(vault: TenantVault, extension: str) -> bytes | None:
    return vault.fingerprint("extension", extension) if extension else None


def seats_of(row: Any) -> dict[UUID, SeatState]:
    return {UUID(user): state for user, state in row.seats.items()}


def trace_of(vault: TenantVault, row: Any) -> Trace | None:
    data = vault.open_json("calls", row.id, "trace", row.trace)
    return Trace.from_data(data) if data else None


def events_of(vault: TenantVault, row: Any) -> tuple[CallEvent, ...]:
    data = vault.open_json("calls", row.id, "events", row.events) or []
    return tuple(CallEvent.from_data(event) for event in data)
