"""Ringing after the answer: nobody who knocks waits for the doorbell, and a crowd rings once.

A ring is asked for when its delivery is committed and happens within milliseconds, together with all that were asked
for meanwhile. Should the process end first, the timetable's sweep finds the work in PostgreSQL.
"""

from __future__ import annotations

import threading
from time import sleep

from store.bell import Bell
from store.database import TenantId
from store.inbox import Lane

PAUSE_SECONDS = 0.02  # between rounds: a quiet door rings at once, a busy one at most fifty times a second
IDLE_SECONDS = 1.0  # then the thread ends; the next knock starts another


class Ringer:
    """Rings one bell from a thread of its own, which lives while there is something to ring for."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._asked = threading.Condition()
        self._lanes: set[tuple[TenantId, Lane]] = set()
        self._thread: threading.Thread | None = None

    def ring(self, tenant: TenantId, lane: Lane) -> None:
        """Have the bell rung for a lane, soon; return at once."""
        with self._asked:
            self._lanes.add((tenant, lane))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ringer", daemon=True)
                self._thread.start()
            else:
                self._asked.notify()

    def _work(self) -> None:
        try:
            while lanes := self._next():
                for tenant, lane in lanes:
                    self._bell.ring(tenant, lane)
                sleep(PAUSE_SECONDS)
        except BaseException:
            with self._asked:
                self._thread = None  # the bell takes every fault it knows for silence; after any other, start afresh
            raise

    def _next(self) -> set[tuple[TenantId, Lane]]:
        """Every lane asked for by now; none when nobody asked for a while, and then this thread is no more."""
        with self._asked:
            if not self._lanes:
                self._asked.wait(IDLE_SECONDS)
            lanes, self._lanes = self._lanes, set()
            if not lanes:
                self._thread = None
            return lanes
