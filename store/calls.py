"""Calls as we keep them: the understood events, sealed, and the call they add up to.

A call is always the fold of all its events, so it does not matter in which batch or order they came. Whoever folds
holds the tenant's `calls` lane.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.call import Call, CallEvent, fold
from domain.matching import Choice, Trace
from domain.phone import Number
from domain.remark import Remark
from domain.seats import SeatState
from store.call_book import CallBook, events_of, line_of, seats_of, trace_of
from store.database import TenantId, among, handed
from store.tables import calls
from store.vault import TenantVault


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


class Calls(CallBook):
    """Fold events in, and change what is decided about a call."""

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
                        among(calls.c.ref, by_ref),
                    )
                )
            }
        heard = []
        for ref, new in by_ref.items():
            row = known.get(ref)
            old = events_of(vault, row) if row is not None else ()
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
                    seats_before=seats_of(row) if row is not None else {},
                    screen=row.screen_id if row is not None else None,
                    trace=trace_of(vault, row) if row is not None else None,
                )
            )
        return heard

    def save(self, database: Connection, tenant: TenantId, heard: Sequence[Heard], numbers: Sequence[Number]) -> None:
        """Keep the calls in the caller's transaction. `numbers` are the customers', understood, in the same order."""
        if not heard:
            return
        vault = self._vault.of(tenant)
        sealed = [self._sealed(vault, item) for item in heard]
        rows = [
            {
                "id": item.id,
                "tenant_id": tenant,
                "connection_id": item.connection,
                "ref": item.call.ref,
                "direction": item.call.direction,
                "state": item.call.state,
                "outcome": item.call.outcome or "",
                **words,
                "customer_index": vault.fingerprint("number", number.e164) if number.e164 else None,
                "line_index": line_of(vault, item.call.agent_extension),
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
            for item, number, words in zip(heard, numbers, sealed, strict=True)
        ]
        statement = insert(calls).from_select([*rows[0]], select(handed(calls, rows)))
        kept = ("id", "tenant_id", "connection_id", "ref")
        changed = {name: statement.excluded[name] for name in rows[0] if name not in kept}
        database.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "id"], set_={**changed, "updated_at": func.now()}
            )
        )

    def _sealed(self, vault: TenantVault, item: Heard) -> dict[str, bytes | None]:
        """What is sealed of a call, at hand for whoever reads it next."""
        told: dict[str, tuple[Any, object]] = {
            "events": ([event.as_data() for event in item.events], item.events),
            "view": (_view(item.call), item.call),
        }
        if item.trace:
            told["trace"] = (item.trace.as_data(), item.trace)
        sealed: dict[str, bytes | None] = {"trace": None}
        for name, (data, value) in told.items():
            sealed[name] = closed = vault.seal_json("calls", item.id, name, data)
            self._keep(closed, value)
        return sealed

    def logged(
        self,
        database: Connection,
        tenant: TenantId,
        activities: Mapping[UUID, str],
        words: Mapping[UUID, Sequence[str]] | None = None,
    ) -> None:
        """The CRM keeps each of these calls under that id. `words`: ours in the activity's text, where we wrote it."""
        vault, words = self._vault.of(tenant), words or {}
        rows = [
            {
                "id": call,
                "activity_id": there,
                "said": vault.seal_json("calls", call, "said", list(words[call])) if call in words else None,
            }
            for call, there in activities.items()
        ]
        if rows:
            told = handed(calls, rows)
            database.execute(
                update(calls)
                .where(calls.c.tenant_id == tenant, calls.c.id == told.c.id)
                .values(activity_id=told.c.activity_id, said=func.coalesce(told.c.said, calls.c.said))
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

    def fills(self, tenant: TenantId, fields: Mapping[UUID, Mapping[str, Sequence[Any]]]) -> None:
        """Remember what we put into mapped fields of each call's activity, before it leaves: as it may stand there."""
        vault = self._vault.of(tenant)
        rows = [{"row": call, "told": vault.seal_json("calls", call, "filled", dict(f))} for call, f in fields.items()]
        if rows:
            with self._db.tenant(tenant) as database:
                database.execute(
                    update(calls)
                    .where(calls.c.tenant_id == tenant, calls.c.id == bindparam("row"))
                    .values(filled=bindparam("told")),
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

    def assign(self, database: Connection, tenant: TenantId, call: UUID, user: UUID) -> None:
        """Somebody said whose call it was."""
        database.execute(
            update(calls)
            .where(calls.c.tenant_id == tenant, calls.c.id == call)
            .values(user_id=user, updated_at=func.now())
        )


VIEW = (  # what of a call is sealed
    *("caller", "callee", "agent_email", "agent_extension", "queue", "recording_url", "transcript"),
)


def _view(call: Call) -> dict[str, str]:
    return {name: value for name in VIEW if (value := getattr(call, name))}
