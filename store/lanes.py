"""Lanes: one worker at a time on one kind of work of one tenant, and finding the lanes that have work.

The lock is PostgreSQL's own, held by a session: it ends with the process that held it, however that ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from domain.errors import TryLater
from store.database import Database, TenantId
from store.inbox import Lane

LOOK_SECONDS = 0.02


class Lanes:
    """Hold a lane, or see where work waits."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @contextmanager
    def hold(self, tenant: TenantId, lane: Lane) -> Iterator[bool]:
        """Hold a lane if nobody does; yields whether we do."""
        with self._named(f"lane {lane} {tenant}") as held:
            yield held

    @contextmanager
    def wait(self, tenant: TenantId, lane: Lane, seconds: float) -> Iterator[None]:
        """Hold a lane once whoever holds it now has left it. Raises TryLater when that takes longer."""
        until = time.monotonic() + seconds
        while True:
            with self.hold(tenant, lane) as held:
                if held:
                    yield
                    return
            if time.monotonic() >= until:
                raise TryLater("Calls of this tenant are being worked on.", code="lane.busy", wait=seconds)
            time.sleep(LOOK_SECONDS)

    @contextmanager
    def alone(self, what: str) -> Iterator[bool]:
        """Be the only one of all processes who does `what` (the timetable, say); yields whether we are."""
        with self._named(what) as held:
            yield held

    @contextmanager
    def _named(self, name: str) -> Iterator[bool]:
        with self._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = {"key": name}
            held = bool(
                connection.execute(text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))"), key).scalar()
            )
            try:
                yield held
            finally:
                if held:
                    connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))"), key)

    def with_work(self) -> list[tuple[TenantId, Lane]]:
        """Every (tenant, lane) where something is due."""
        with self._db.anyone() as connection:
            rows = connection.execute(text("SELECT tenant_id, lane FROM linekeeper_work()"))
            return [(row.tenant_id, row.lane) for row in rows]
