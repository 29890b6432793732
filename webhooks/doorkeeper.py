"""What every door does before it believes anything: size, form, whose door it is, and the one way in.

A door's connection and secrets are remembered for two seconds in each process, so that a busy door asks PostgreSQL
once a second, not once a knock; a revoked door closes two seconds later at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from flask import Request, current_app, request
from prometheus_client import Counter
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from domain.errors import Missing
from domain.ports import Knock
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.inbox import Lane
from webhooks.ringer import Ringer

MOST_BYTES = 256 * 1024
REMEMBERED_SECONDS = 2.0
FRESH_SECONDS = 1.0  # then a knock has it looked up again, and goes by what is remembered
MOST_REMEMBERED = 10_000
DOOR_CHARACTERS = 128
KNOCKS = Counter("linekeeper_deliveries_total", "Deliveries written down, by kind and result", ["kind", "result"])


@dataclass(frozen=True, slots=True)
class Door:
    """A door that exists: whose it is and which secrets open it."""

    tie: Tie
    secrets: tuple[str, ...]


class Doorkeeper:
    """Finds doors and takes deliveries in."""

    def __init__(self, services: Services, *, clock: Callable[[], float] = monotonic) -> None:
        self.services = services
        self._ringer = Ringer(services.bell)
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[float, Door | None]] = {}  # since when, and what it is
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="doors")
        self._looking: set[tuple[str, str]] = set()

    def find(self, door: str, purpose: str) -> Door | None:
        """The connection behind a door, if it is one and its connection is not disconnected."""
        known = self._remembered(door, purpose)
        return known[1] if known is not None else self._look(door, purpose)

    def at_hand(self, door: str, purpose: str) -> Door | None:
        """A door that is known to be one, and need not be looked up first."""
        known = self._remembered(door, purpose)
        return known[1] if known is not None else None

    def _remembered(self, door: str, purpose: str) -> tuple[float, Door | None] | None:
        """What is known of a door; when that is no longer fresh it is looked up again, and nobody waits for it."""
        known = self._known.get((door, purpose))
        if known is None or (age := self._clock() - known[0]) >= REMEMBERED_SECONDS:
            return None
        if age >= FRESH_SECONDS and (door, purpose) not in self._looking:
            self._looking.add((door, purpose))
            self._looker.submit(self._look_again, door, purpose)
        return known

    def _look_again(self, door: str, purpose: str) -> None:
        try:
            self._look(door, purpose)
        finally:
            self._looking.discard((door, purpose))

    def _look(self, door: str, purpose: str) -> Door | None:
        began = self._clock()
        found = self._door(door, purpose)
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[door, purpose] = (began, found)
        return found

    def _door(self, door: str, purpose: str) -> Door | None:
        if not 0 < len(door) <= DOOR_CHARACTERS:
            return None
        entry = self.services.directory.find("door", door)
        if entry is None or entry.connection is None:
            return None
        try:
            tie = self.services.connections.get(entry.tenant, entry.connection)
        except Missing:
            return None
        if tie.state == "disconnected":
            return None
        return Door(tie, tuple(self.services.connections.secrets(entry.tenant, tie.id, purpose)))

    def take(self, tenant: TenantId, connection: UUID, event_id: str, *, kind: str, lane: Lane, body: bytes) -> None:
        """Commit a believed delivery and have the bell rung. A repeat changes nothing and is answered the same."""
        new = self.services.inbox.write_once(tenant, connection, event_id, kind=kind, lane=lane, body=body)
        self._taken(tenant, kind, lane, new)

    async def take_soon(
        self, tenant: TenantId, connection: UUID, event_id: str, *, kind: str, lane: Lane, body: bytes
    ) -> None:
        """The same on a loop, for a tenant whose key is at hand."""
        new = await self.services.inbox.write_soon(tenant, connection, event_id, kind=kind, lane=lane, body=body)
        self._taken(tenant, kind, lane, new)

    def _taken(self, tenant: TenantId, kind: str, lane: Lane, new: bool) -> None:
        KNOCKS.labels(kind, "new" if new else "repeat").inc()
        if new:
            self._ringer.ring(tenant, lane)


def doorkeeper() -> Doorkeeper:
    keeper: Doorkeeper = current_app.extensions["linekeeper.doors"]
    return keeper


def knock(*content_types: str) -> Knock:
    """Read the request as it came, or refuse its size or form before reading on; without forms: whatever it says."""
    came: Request = request._get_current_object()  # type: ignore[attr-defined]  # a proxy looks it up at every mention
    headers = {name.lower(): value for name, value in came.headers}
    if not is_plain(headers, content_types):
        raise UnsupportedMediaType
    if (came.content_length or 0) > MOST_BYTES:
        raise RequestEntityTooLarge
    came.max_content_length = MOST_BYTES + 1  # a body that says no length is cut off here without a word
    body = came.get_data()
    if len(body) > MOST_BYTES:
        raise RequestEntityTooLarge
    return Knock(headers=headers, body=body, url=doorkeeper().services.settings.origin + came.path)


def is_plain(headers: Mapping[str, str], content_types: Collection[str]) -> bool:
    """Is a body of one of these forms (or of any, where none is named), and not compressed?"""
    form = headers.get("content-type", "").partition(";")[0].strip().lower()
    return headers.get("content-encoding", "identity") == "identity" and (not content_types or form in content_types)
