"""Effects: the writes we owe the outside world, each done exactly once.

    due ──claim──> claimed ──answer──> done | dead
     ^                │
     └──read back──  unknown   a timeout, a crash: nobody knows, so it is read back before anything is written again

An effect is a row with a unique key, committed before the request leaves. Whoever works on a lane holds that lane's
lock, so a claimed effect found there was left by somebody who died: it is unknown. A call's activity has one writer,
and the index `one_writer_per_call` holds it so.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Update, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from store.database import TenantId, among, handed
from store.inbox import Lane
from store.owed import ACTIVITIES, LATER, OVER, RECORD, TEXTS, UPDATE, WAITING, Standing
from store.tables import effects
from store.vault import as_json

ATTEMPTS = 12  # with the waits below: about a day
SETTLE = timedelta(seconds=2)  # a request whose sender died may still be at work over there; then it is read back


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Effect:
    """One write we owe. Two are the same only if they are one and the same row in hand."""

    id: UUID
    connection: UUID
    kind: str
    key: str
    state: Literal["due", "unknown"]
    call: UUID | None
    text: UUID | None
    contact: UUID | None
    payload: dict[str, Any]
    attempts: int
    created_at: datetime
    reason: str = ""  # why it was not done when it was last tried


def backoff(attempts: int) -> timedelta:
    """How long to wait before the next try: 2 s, doubling to an hour."""
    return timedelta(seconds=min(3600.0, 2.0 * 2.0 ** min(attempts, 12)))


class Effects(Standing):
    """Plan them, claim them, say how they ended."""

    def plan(
        self,
        database: Connection,
        tenant: TenantId,
        kind: str,
        key: str,
        *,
        connection: UUID,
        lane: Lane,
        payload: Mapping[str, Any],
        call: UUID | None = None,
        text: UUID | None = None,
        contact: UUID | None = None,
        since: datetime | None = None,
        wait: timedelta = timedelta(0),
    ) -> bool:
        """Write down what we owe, in the caller's transaction; False when it was written down before.

        `since`: what made us owe it reached us then, where that is not now. `wait`: it is due only so long from now.
        """
        row = uuid.uuid4()
        new = database.execute(
            insert(effects)
            .values(
                id=row,
                tenant_id=tenant,
                connection_id=connection,
                kind=kind,
                key=key,
                lane=lane,
                call_id=call,
                text_id=text,
                contact_id=contact,
                payload=self._vault.of(tenant).seal_json("effects", row, "payload", payload) if payload else None,
                created_at=since if since is not None else func.now(),
                next_at=func.now() + wait,
            )
            .on_conflict_do_nothing()
            .returning(effects.c.id)  # an INSERT's rowcount is not to be had from SQLAlchemy
        ).scalar_one_or_none()
        return new is not None

    def plan_each(
        self,
        database: Connection,
        tenant: TenantId,
        kind: str,
        payloads: Iterable[Mapping[str, Any]],
        *,
        connection: UUID,
        lane: Lane,
    ) -> None:
        """Write down several of a kind that nobody can have written down before, in the caller's transaction."""
        seal = self._vault.of(tenant).sealing("effects", "payload")
        same = {"tenant_id": tenant, "connection_id": connection, "kind": kind, "lane": lane}
        rows = [
            {"id": row, "key": f"{kind}:{row}", "payload": seal(row, as_json(payload)), **same}
            for row, payload in ((uuid.uuid4(), payload) for payload in payloads)
        ]
        if rows:
            database.execute(insert(effects).from_select([*rows[0]], select(handed(effects, rows))))

    @staticmethod
    def plan_activities(
        database: Connection, tenant: TenantId, crm: UUID, writers: Mapping[UUID, Literal["bridge", "records"]]
    ) -> None:
        """Write down who owes the activity of each of these calls, in the caller's transaction: one writer a call."""
        rows = [
            {
                "id": uuid.uuid4(),
                "tenant_id": tenant,
                "connection_id": crm,
                "kind": "activity.bridge" if writer == "bridge" else "activity.record",
                "key": f"activity:{call}",
                "lane": "calls",
                "call_id": call,
            }
            for call, writer in writers.items()
        ]
        if rows:
            statement = insert(effects).from_select([*rows[0]], select(handed(effects, rows)))
            database.execute(statement.on_conflict_do_nothing())

    def renew(
        self, database: Connection, tenant: TenantId, key: str, *, payload: Mapping[str, Any], call: UUID | None
    ) -> bool:
        """Owe something again that was owed before and is over, in the caller's transaction; False while it is not."""
        same = (effects.c.tenant_id == tenant, effects.c.key == key, effects.c.state.in_(OVER))
        row = database.execute(select(effects.c.id).where(*same).with_for_update()).scalar_one_or_none()
        if row is None:
            return False
        sealed = self._vault.of(tenant).seal_json("effects", row, "payload", payload)
        again = {"state": "due", "reason": "", "attempts": 0, "next_at": func.now(), "done_at": None}
        database.execute(
            update(effects)
            .where(effects.c.tenant_id == tenant, effects.c.id == row)
            .values(payload=sealed, call_id=call, **again)
        )
        return True

    def remove_from_phonebook(self, database: Connection, tenant: TenantId, phonebook: UUID, contact: UUID) -> bool:
        """Owe a phone system the news that a contact is gone, in the caller's transaction."""
        return self.plan(
            database,
            tenant,
            "phonebook.remove",
            f"phonebook.remove:{contact}:{phonebook}",
            connection=phonebook,
            lane="contacts",
            payload={"removed": [str(contact)]},
        )

    def forget_recording(
        self, database: Connection, tenant: TenantId, phone_system: UUID, call: UUID, url: str, *, of: UUID | None
    ) -> bool:
        """Owe a phone system the deletion of a recording, in the caller's transaction; `of`: the call, if it stays."""
        return self.plan(
            database,
            tenant,
            "recording.forget",
            f"recording.forget:{call}",
            connection=phone_system,
            lane="calls",
            payload={"url": url},
            call=of,
        )

    def amend_activity(self, database: Connection, tenant: TenantId, crm: UUID, call: UUID, why: object) -> bool:
        """Owe the CRM what we learned of a call since, in the caller's transaction; `why` happens once."""
        return self.plan(
            database,
            tenant,
            UPDATE,
            f"{UPDATE}:{call}:{why}",
            connection=crm,
            lane="calls",
            payload={},
            call=call,
        )

    def log_texts(self, database: Connection, tenant: TenantId, crm: UUID, text: UUID) -> None:
        """Owe the CRM a conversation's day, in the caller's transaction: one row for all of it, owed again with news.

        What is unknown stays so: it is read back first. The caller holds the lane, so none is on its way.
        """
        key = f"{TEXTS}:{text}"
        if not self.plan(database, tenant, TEXTS, key, connection=crm, lane="calls", payload={}, text=text):
            database.execute(
                update(effects)
                .where(effects.c.tenant_id == tenant, effects.c.key == key, effects.c.state.in_(OVER))
                .values(state="due", connection_id=crm, reason="", attempts=0, next_at=func.now(), done_at=None)
            )

    def explain(self, tenant: TenantId, effect: UUID, reason: str) -> None:
        """It is done as far as it could be: say what was left."""
        with self._db.tenant(tenant) as database:
            database.execute(
                update(effects)
                .where(effects.c.tenant_id == tenant, effects.c.id == effect, effects.c.state == "done")
                .values(state="dropped", reason=reason)
            )

    def orphans(self, tenant: TenantId, lane: Lane) -> int:
        """What somebody claimed and never finished is unknown now. The caller holds the lane."""
        with self._db.tenant(tenant) as database:
            return database.execute(
                update(effects)
                .where(effects.c.tenant_id == tenant, effects.c.lane == lane, effects.c.state == "claimed")
                .values(state="unknown", reason="interrupted", next_at=func.now() + SETTLE)
            ).rowcount

    def waiting(self, tenant: TenantId, lane: Lane, limit: int = 100) -> list[Effect]:
        """What is due or unknown in a lane, oldest first. The caller holds the lane."""
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(effects)
                .where(
                    effects.c.tenant_id == tenant,
                    effects.c.lane == lane,
                    effects.c.state.in_(("due", "unknown")),
                    effects.c.next_at <= func.now(),
                )
                .order_by(effects.c.next_at, effects.c.created_at)
                .limit(limit)
            ).all()
        return [
            Effect(
                id=row.id,
                connection=row.connection_id,
                kind=row.kind,
                key=row.key,
                state=row.state,
                call=row.call_id,
                text=row.text_id,
                contact=row.contact_id,
                payload=vault.open_json("effects", row.id, "payload", row.payload) or {},
                attempts=row.attempts,
                created_at=row.created_at,
                reason=row.reason,
            )
            for row in rows
        ]

    def claim(
        self, tenant: TenantId, batch: Sequence[Effect], saying: Mapping[UUID, Mapping[str, Any]] | None = None
    ) -> None:
        """Commit that these are about to leave; `saying`: with what in their payloads, where that is not there yet."""
        if not batch:
            return
        vault = self._vault.of(tenant)
        values: dict[str, Any] = {"state": "claimed", "fence": effects.c.fence + 1, "attempts": effects.c.attempts + 1}
        if saying is None:
            these = among(effects.c.id, [effect.id for effect in batch])
        else:
            rows = [
                {"id": one.id, "payload": vault.seal_json("effects", one.id, "payload", saying[one.id])}
                for one in batch
            ]
            told = handed(effects, rows)
            these, values["payload"] = effects.c.id == told.c.id, told.c.payload
        with self._db.tenant(tenant) as database:
            database.execute(update(effects).where(effects.c.tenant_id == tenant, these).values(values))

    def done(self, database: Connection, tenant: TenantId, results: Mapping[UUID, str]) -> None:
        """They stand over there, under these ids. The payload goes."""
        if results:
            told = handed(effects, [{"id": effect, "result": there} for effect, there in results.items()])
            database.execute(
                update(effects)
                .where(effects.c.tenant_id == tenant, effects.c.id == told.c.id)
                .values(state="done", reason="", result=told.c.result, payload=None, done_at=func.now())
            )

    def unknown(self, tenant: TenantId, batch: Sequence[Effect], reason: str, *, counted: bool = True) -> None:
        """The request left and nobody knows: read back before writing again. Not `counted`: nobody is at home there."""
        self._later(tenant, batch, "unknown", reason, SETTLE, counted)

    def again(self, tenant: TenantId, batch: Sequence[Effect], reason: str, *, wait: timedelta | None = None) -> None:
        """This try surely did nothing: once more after `wait`, or after a growing pause.

        What an earlier try may have done is unknown still when it was only the reading back that failed.
        """
        unread = case((effects.c.state == "unknown", "unknown"), else_="due")
        self._later(tenant, batch, unread, reason, wait)

    def postpone(self, tenant: TenantId, batch: Sequence[Effect], reason: str, wait: timedelta) -> None:
        """Their connection cannot be used now: wait, without counting it as a try. Surely nothing was done."""
        claimed = effects.c.state == "claimed"
        with self._db.tenant(tenant) as database:
            database.execute(
                self._open(tenant, batch).values(
                    state=case((claimed, "due"), else_=effects.c.state),
                    attempts=effects.c.attempts - case((claimed, 1), else_=0),
                    reason=reason,
                    next_at=func.now() + wait,
                )
            )

    def drop(self, tenant: TenantId, batch: Sequence[Effect], reason: str, *, state: str = "dead") -> None:
        """Asking again gets the same answer (dead), or there is nothing to do any more (dropped)."""
        if not batch:
            return
        with self._db.tenant(tenant) as database:
            database.execute(self._open(tenant, batch).values(state=state, reason=reason, done_at=func.now()))

    def _later(
        self,
        tenant: TenantId,
        batch: Sequence[Effect],
        state: str | ColumnElement[str],
        reason: str,
        wait: timedelta | None,
        counted: bool = True,
    ) -> None:
        back = 0 if counted else case((effects.c.state == "claimed", 1), else_=0)
        tried: dict[int, list[Effect]] = defaultdict(list)  # after an outage hundreds have been tried equally often
        for effect in batch:
            tried[effect.attempts].append(effect)
        with self._db.tenant(tenant) as database:
            for attempts, those in tried.items():
                pause = backoff(attempts) if wait is None else wait
                ended = counted and attempts + 1 >= ATTEMPTS
                database.execute(
                    self._open(tenant, those).values(
                        state="dead" if ended else state,
                        attempts=effects.c.attempts - back,
                        reason=reason,
                        next_at=func.now() + pause,
                    )
                )

    @staticmethod
    def _open(tenant: TenantId, batch: Sequence[Effect]) -> Update:
        """Change those of a batch that have not ended: one that was settled on its own keeps how it ended."""
        return update(effects).where(
            effects.c.tenant_id == tenant,
            among(effects.c.id, [effect.id for effect in batch]),
            effects.c.state.in_(WAITING),
        )

    def reopen(self, database: Connection, tenant: TenantId, ids: Collection[UUID]) -> int:
        """Owe these again, in the caller's transaction: unknown, so each is read back before anything is written.

        The same row under the same key: a call still has one activity and one writer.
        """
        return database.execute(
            update(effects)
            .where(effects.c.tenant_id == tenant, among(effects.c.id, ids), effects.c.state.in_(("done", "dead")))
            .values(
                state="unknown",
                reason="reconciled",
                attempts=0,
                reopened=effects.c.reopened + 1,
                next_at=func.now(),
                done_at=None,
            )
        ).rowcount

    def retry(self, database: Connection, tenant: TenantId, *, call: UUID | None = None) -> list[UUID]:
        """Try again what was given up of one call's activity, or of every call's, in the caller's transaction.

        Somebody may have mended the cause. It is read back before anything is written. Returns the calls in question.
        """
        return list(
            database.execute(
                update(effects)
                .where(
                    effects.c.tenant_id == tenant,
                    effects.c.call_id.is_not(None) if call is None else effects.c.call_id == call,
                    effects.c.kind.in_((*ACTIVITIES, *LATER, RECORD)),
                    effects.c.state == "dead",
                )
                .values(state="unknown", reason="retried", attempts=0, next_at=func.now(), done_at=None)
                .returning(effects.c.call_id)
            ).scalars()
        )

    def amended(self, database: Connection, tenant: TenantId, results: Mapping[UUID, str]) -> None:
        """They stand over there under these ids and say since now what they should."""
        if results:
            database.execute(
                update(effects)
                .where(effects.c.tenant_id == tenant, among(effects.c.id, results))
                .values(result=case(results, value=effects.c.id, else_=effects.c.result), done_at=func.now())
            )

    def wake(self, tenant: TenantId, connection: UUID) -> int:
        """Consent is back: what waited for it is due now."""
        with self._db.tenant(tenant) as database:
            return database.execute(
                update(effects)
                .where(
                    effects.c.tenant_id == tenant,
                    effects.c.connection_id == connection,
                    effects.c.state.in_(("due", "unknown")),
                )
                .values(next_at=func.now())
            ).rowcount
