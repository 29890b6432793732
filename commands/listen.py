"""`linekeeper listen`: stay connected to every phone system that does not knock, and write down what it tells.

Each connection of such a vendor has a thread in one process of all, under an advisory lock; the others idle and take
over. What it hears is a delivery like any other: written once, and from then on the worker's business.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import cast
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from commands.cli import cli, settings_of_house
from domain.errors import ConsentLost, NotAllowed, Refused, Trouble, Upstream
from domain.ports import ListeningVendor
from jobs.services import Services, open_services
from settings import Settings
from store.connections import Tie
from store.tables import calls

log = structlog.get_logger()

LOOK_SECONDS = 3.0  # how soon a new connection is listened to, and one that ended is not
IDLE_SECONDS = 2.0  # how often another process looks whether the lock is free
WELL_SECONDS = 60.0  # a connection that works says so this often
SHORTEST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
REFUSED_SECONDS = 600.0  # before an account that was refused is tried again: PBXs shut out who knocks too often
MISSED_SECONDS = 60.0  # by then whoever worked before us has written down what it had heard
MOST = 40  # connections a process listens to: each holds a lock, and a lock holds a database connection
GOING_ON = "going_on"  # beside the account: calls that are not known to have ended (see the vendor's `listen`)


class Ear:
    """One connection that is listened to."""

    def __init__(self, services: Services, tie: Tie, stop: threading.Event) -> None:
        self.tie = tie
        self._services = services
        self._vendor = cast(ListeningVendor, services.telephony[tie.vendor])  # `traits.listens` says so
        self._everybody = stop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"listen-{tie.id}", daemon=True)
        self._well_at = 0.0

    def start(self) -> None:
        self._thread.start()

    def end(self, seconds: float = 5.0) -> None:
        """Stop listening; what was heard is written."""
        self._stop.set()
        self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _stopped(self) -> bool:
        return self._stop.is_set() or self._everybody.is_set()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopped() and (left := until - time.monotonic()) > 0:
            self._stop.wait(min(left, 0.5))

    def _run(self) -> None:
        while not self._stopped():
            try:
                with self._services.lanes.alone(f"listen {self.tie.id}") as ours:
                    if ours:
                        self._keep_listening()
            except OperationalError:
                log.error("listener_waits", tenant=str(self.tie.tenant), connection=str(self.tie.id))
            self._wait(IDLE_SECONDS)

    def _keep_listening(self) -> None:
        backoff = SHORTEST_BACKOFF
        while not self._stopped():
            began = time.monotonic()
            try:
                self._listen()
                continue
            except (ConsentLost, NotAllowed, Refused) as error:
                reason, pause = error.code, REFUSED_SECONDS
            except Upstream as error:
                backoff = SHORTEST_BACKOFF if time.monotonic() - began > LONGEST_BACKOFF else backoff
                reason, pause = error.code, max(backoff, getattr(error, "wait", 0.0))
            except OperationalError:
                raise
            except Exception as error:
                # a mistake of ours must not silence the line for good; its words may hold what was heard
                reason, pause = "internal", LONGEST_BACKOFF
                log.error("listener_failed", connection=str(self.tie.id), error=type(error).__name__)
            self._services.connections.trouble(self.tie.tenant, self.tie.id, reason)
            log.info("listener_trouble", tenant=str(self.tie.tenant), connection=str(self.tie.id), reason=reason)
            self._wait(pause)
            backoff = min(2 * backoff, LONGEST_BACKOFF)

    def _listen(self) -> None:
        """Listen until told to stop, or until it is worth asking anew which calls have ended meanwhile."""
        going_on = self._going_on()
        account = {**self.tie.account, GOING_ON: " ".join(sorted(going_on))}
        log.info("listening", tenant=str(self.tie.tenant), connection=str(self.tie.id))
        self._well_at = 0.0
        for event_id, body in self._vendor.listen(account, self._once_more(going_on)):
            self._write(event_id, body)
            self._services.bell.ring(self.tie.tenant, "calls")
            if time.monotonic() - self._well_at > WELL_SECONDS or not self._well_at:
                self._well_at = time.monotonic()
                self._services.connections.ok(self.tie.tenant, self.tie.id)

    def _once_more(self, known: Collection[str]) -> Callable[[], bool]:
        """Say when to stop. A minute in it is asked, once, whether a call shows that was already going on before us."""
        began, ask_at = self._services.now(), time.monotonic() + MISSED_SECONDS
        asked = False

        def stop() -> bool:
            nonlocal asked
            if not asked and time.monotonic() > ask_at:
                asked = True
                return bool(self._going_on(before=began) - set(known))
            return self._stopped()

        return stop

    def _going_on(self, before: datetime | None = None) -> set[str]:
        """The calls of this connection that are not over, as far as we know."""
        statement = select(calls.c.ref).where(
            calls.c.tenant_id == self.tie.tenant, calls.c.connection_id == self.tie.id, calls.c.state != "ended"
        )
        if before is not None:
            statement = statement.where(calls.c.started_at < before)
        with self._services.db.tenant(self.tie.tenant) as database:
            return set(database.execute(statement).scalars())

    def _write(self, event_id: str, body: bytes) -> None:
        """Write it down, however long PostgreSQL is away: nobody tells it twice."""
        while True:
            try:
                self._services.inbox.write_once(
                    self.tie.tenant, self.tie.id, event_id, kind="telephony", lane="calls", body=body
                )
                return
            except OperationalError:
                if self._stopped():
                    raise
                self._wait(SHORTEST_BACKOFF)


class Listeners:
    """The connections this process listens to: `look` begins and ends them as they come and go."""

    def __init__(self, services: Services, stop: threading.Event) -> None:
        self._services = services
        self._stop = stop
        self._ears: dict[UUID, Ear] = {}

    def look(self) -> None:
        """Listen to whatever is new or was changed, stop where a connection ended."""
        wanted = self._wanted()
        for id, ear in list(self._ears.items()):
            tie = wanted.get(id)
            if tie is None or tie.account != ear.tie.account or not ear.alive:
                self._ears.pop(id).end()
        for id, tie in wanted.items():
            if id not in self._ears and len(self._ears) < MOST:
                self._ears[id] = Ear(self._services, tie, self._stop)
                self._ears[id].start()

    def _wanted(self) -> Mapping[UUID, Tie]:
        listening = {slug for slug, vendor in self._services.telephony.items() if vendor.traits.listens}
        wanted: dict[UUID, Tie] = {}
        for tenant in self._services.connections.listened_to(listening) if listening else []:
            try:
                ties = self._services.connections.all(tenant, kind="telephony")
            except Trouble as error:  # one tenant's trouble must not silence the others
                log.error("listeners_not_looked", tenant=str(tenant), reason=error.code)
                continue
            wanted |= {tie.id: tie for tie in ties if tie.vendor in listening and tie.state == "active"}
        return wanted

    def end(self) -> None:
        self._stop.set()
        for ear in self._ears.values():
            ear.end()


def keep_listening(settings: Settings) -> None:
    """Listen to every such connection until this process is told to end."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    services = open_services(settings, pool_size=MOST + 10)
    listeners = Listeners(services, stop)
    log.info("listener", pid=os.getpid())
    try:
        while not stop.is_set():
            try:
                listeners.look()
            except OperationalError as error:
                log.error("listeners_not_looked", error=type(error).__name__)
            stop.wait(LOOK_SECONDS)
    finally:
        listeners.end()
        services.close()


@cli.command()
def listen() -> None:
    """Stay connected to phone systems that have to be listened to. One process of all acts for each connection."""
    keep_listening(settings_of_house())
