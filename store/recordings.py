"""Recordings as we keep them: on which basis each may be fetched, how it stands, and the archived sound in pieces.

A row for each call that was recorded, with the call's id; it goes with the call. The address of the sound stays inside
the call. Who may listen, and fetching, are told in `jobs`.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, DateTime, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.recording import Basis
from store.database import Database, TenantId, among
from store.tables import recording_chunks, recordings
from store.vault import Vault

CHUNK_BYTES = 64 * 1024  # of sound in each sealed piece but the last
ATTEMPTS = 12  # to archive one; then it stays at the vendor

State = Literal["there", "archived", "lost", "deleted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """How the recording of a call stands."""

    call: UUID
    connection: UUID
    basis: Basis
    state: State
    reason: str
    form: str
    length: int
    revision: int
    started_at: datetime
    changed_at: datetime

    @property
    def playable(self) -> bool:
        """There is a basis to fetch it, and something to fetch."""
        return self.basis != "none" and self.state in ("there", "archived")


class Recordings:
    """Note them, find them, archive them, delete them."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def note(
        self,
        database: Connection,
        tenant: TenantId,
        call: UUID,
        connection: UUID,
        *,
        basis: Basis,
        started_at: datetime,
    ) -> bool:
        """Note that a call was recorded, in the caller's transaction; False when we knew. The first basis stays."""
        new = database.execute(
            insert(recordings)
            .values(id=call, tenant_id=tenant, connection_id=connection, basis=basis, started_at=started_at)
            .on_conflict_do_nothing()
            .returning(recordings.c.id)
        ).scalar_one_or_none()
        return new is not None

    def get(self, tenant: TenantId, call: UUID) -> Recording | None:
        return self.some(tenant, {call}).get(call)

    def some(self, tenant: TenantId, calls: Collection[UUID]) -> dict[UUID, Recording]:
        """How the recordings of these calls stand, as far as there are any."""
        if not calls:
            return {}
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(recordings).where(recordings.c.tenant_id == tenant, among(recordings.c.id, calls))
            ).all()
        return {row.id: _recording(row) for row in rows}

    def begins(self, database: Connection, tenant: TenantId, call: UUID, listener: str, *, within: timedelta) -> bool:
        """Is this request the first of a listen? One listener's requests `within` so long of the first are one."""
        since = cast(func.coalesce(recordings.c.heard[listener].as_string(), "-infinity"), DateTime(timezone=True))
        mine = func.jsonb_build_object(listener, func.now())
        return bool(
            database.execute(
                update(recordings)
                .where(
                    recordings.c.tenant_id == tenant,
                    recordings.c.id == call,
                    since <= func.now() - within,
                )
                .values(heard=recordings.c.heard.concat(mine))
            ).rowcount
        )

    # -- the archive

    def to_archive(self, tenant: TenantId, connection: UUID, limit: int) -> list[Recording]:
        """What may be fetched and is not archived yet; the oldest first, what did not work last."""
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(recordings)
                .where(
                    recordings.c.tenant_id == tenant,
                    recordings.c.connection_id == connection,
                    recordings.c.state == "there",
                    recordings.c.basis != "none",
                    recordings.c.attempts < ATTEMPTS,
                )
                .order_by(recordings.c.attempts, recordings.c.started_at)
                .limit(limit)
            ).all()
        return [_recording(row) for row in rows]

    def begin(self, tenant: TenantId, call: UUID) -> None:
        """Count a try, and forget what an earlier one left."""
        with self._db.tenant(tenant) as database:
            self._drop_chunks(database, tenant, call)
            database.execute(_row(tenant, call).values(attempts=recordings.c.attempts + 1))

    def put(self, tenant: TenantId, call: UUID, number: int, sound: bytes) -> None:
        """Keep a piece, sealed in its place. Raises IntegrityError when the recording is gone meanwhile."""
        row = _chunk_id(call, number)
        sealed = self._vault.of(tenant).seal("recording_chunks", row, "sound", sound)
        with self._db.tenant(tenant) as database:
            database.execute(
                insert(recording_chunks).values(
                    id=row, tenant_id=tenant, recording_id=call, number=number, sound=sealed
                )
            )

    def archived(self, database: Connection, tenant: TenantId, call: UUID, *, form: str, length: int) -> bool:
        """Every piece is here: play it from us from now on. False, and nothing kept, when it was deleted meanwhile."""
        done = database.execute(
            _row(tenant, call)
            .where(recordings.c.state == "there")
            .values(state="archived", form=form, length=length, changed_at=func.now())
        ).rowcount
        if not done:
            self._drop_chunks(database, tenant, call)
        return bool(done)

    def lost(self, tenant: TenantId, call: UUID, reason: str) -> None:
        """The vendor has it no more, or it is no sound."""
        with self._db.tenant(tenant) as database:
            database.execute(
                _row(tenant, call)
                .where(recordings.c.state == "there")
                .values(state="lost", reason=reason, changed_at=func.now())
            )
            self._drop_chunks(database, tenant, call)

    def chunk(self, tenant: TenantId, call: UUID, number: int) -> bytes:
        """Open one piece. Raises Tampered for one that is not what we put there, IndexError for one that is missing."""
        row = _chunk_id(call, number)
        with self._db.tenant(tenant) as database:
            sealed = database.execute(
                select(recording_chunks.c.sound).where(
                    recording_chunks.c.tenant_id == tenant, recording_chunks.c.id == row
                )
            ).scalar_one_or_none()
        if sealed is None:
            raise IndexError("a piece of the recording is missing")
        return self._vault.of(tenant).open_bytes("recording_chunks", row, "sound", sealed)

    # -- the end

    def revoke(self, database: Connection, tenant: TenantId, call: UUID) -> int | None:
        """Make every link there is worthless, in the caller's transaction; return the new revision, None for none."""
        statement = _row(tenant, call).values(revision=recordings.c.revision + 1).returning(recordings.c.revision)
        revision: int | None = database.execute(statement).scalar_one_or_none()
        return revision

    def delete(self, database: Connection, tenant: TenantId, call: UUID) -> int | None:
        """Delete what we keep and revoke every link, in the caller's transaction.

        Return how many bytes were archived; None when there is nothing to delete.
        """
        row = database.execute(
            select(recordings)
            .where(recordings.c.tenant_id == tenant, recordings.c.id == call, recordings.c.state != "deleted")
            .with_for_update()
        ).one_or_none()
        if row is None:
            return None
        self._drop_chunks(database, tenant, call)
        database.execute(
            _row(tenant, call).values(
                state="deleted", form="", length=0, revision=recordings.c.revision + 1, changed_at=func.now()
            )
        )
        return int(row.length)

    def purge(self, tenant: TenantId, before: datetime) -> int:
        """Take what a tenant wants kept shorter than its profile says; the calls stay."""
        with self._db.tenant(tenant) as database:
            return database.execute(
                delete(recordings).where(recordings.c.tenant_id == tenant, recordings.c.started_at <= before)
            ).rowcount

    @staticmethod
    def _drop_chunks(database: Connection, tenant: TenantId, call: UUID) -> None:
        database.execute(
            delete(recording_chunks).where(
                recording_chunks.c.tenant_id == tenant, recording_chunks.c.recording_id == call
            )
        )


def _row(tenant: TenantId, call: UUID) -> Any:
    return update(recordings).where(recordings.c.tenant_id == tenant, recordings.c.id == call)


def _chunk_id(call: UUID, number: int) -> UUID:
    """A piece's id follows from its place, and its seal is bound to that id: no piece opens in another's place."""
    return uuid.uuid5(call, str(number))


def _recording(row: Any) -> Recording:
    return Recording(
        call=row.id,
        connection=row.connection_id,
        basis=row.basis,
        state=row.state,
        reason=row.reason,
        form=row.form,
        length=row.length,
        revision=row.revision,
        started_at=row.started_at,
        changed_at=row.changed_at,
    )
