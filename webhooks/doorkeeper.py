"""What every door does before it believes anything: size, form, whose door it is, and the one way in.

A door's connection and secrets are remembered for two seconds in each process, so that a busy door asks PostgreSQL
once a second, not once a knock; a revoked door closes two seconds later at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
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
from store.inbox import PENDING, Lane
from webhooks.ringer import Ringer

MOST_BYTES = 256 * 1024
REMEMBERED_SECONDS = 2.0
FRESH_SECONDS = 1.0  # then one knock looks again, while the others go by what is remembered
MOST_REMEMBERED = 10_000
DOOR_CHARACTERS = 128
TELEPHONY = "/webhooks/telephony/"
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
        self._looking: set[tuple[str, str]] = set()

    def find(self, door: str, purpose: str) -> Door | None:
        """The connection behind a door, if it is one and its connection is not disconnected."""
        known = self._at_hand(door, purpose)
        if known is not None:
            return known[1]
        began = self._clock()
        self._looking.add((door, purpose))
        try:
            found = self._look(door, purpose)
        finally:
            self._looking.discard((door, purpose))
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[door, purpose] = (began, found)
        return found

    def swift(self, path: str) -> bool:
        """Is this a phone system's door whose secrets are at hand? A knock there takes no journey but its commit."""
        return path.startswith(TELEPHONY) and self._at_hand(path.removeprefix(TELEPHONY), "door") is not None

    def _at_hand(self, door: str, purpose: str) -> tuple[float, Door | None] | None:
        known = self._known.get((door, purpose))
        if known is None:
            return None
        age = self._clock() - known[0]
        fresh = age < FRESH_SECONDS or (age < REMEMBERED_SECONDS and (door, purpose) in self._looking)
        return known if fresh else None

    def _look(self, door: str, purpose: str) -> Door | None:
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

        def taken(new: bool) -> None:
            KNOCKS.labels(kind=kind, result="new" if new else "repeat").inc()
            if new:
                self._ringer.ring(tenant, lane)

        def settled(commit: Future[bool]) -> None:
            if commit.exception() is None:
                taken(commit.result())

        inbox = self.services.inbox
        pending: list[Future[bool]] | None = request.environ.get(PENDING)
        if pending is None:
            taken(inbox.write_once(tenant, connection, event_id, kind=kind, lane=lane, body=body))
        else:
            commit = inbox.write_soon(tenant, connection, event_id, kind=kind, lane=lane, body=body)
            commit.add_done_callback(settled)
            pending.append(commit)


def doorkeeper() -> Doorkeeper:
    keeper: Doorkeeper = current_app.extensions["linekeeper.doors"]
    return keeper


def knock(*content_types: str) -> Knock:
    """Read the request as it came, or refuse its size or form before reading on; without forms: whatever it says."""
    came: Request = request._get_current_object()  # type: ignore[attr-defined]  # a proxy looks it up at every mention
    headers = {name.lower(): value for name, value in came.headers}
    if headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType
    if content_types and came.mimetype not in content_types:
        raise UnsupportedMediaType
    if (came.content_length or 0) > MOST_BYTES:
        raise RequestEntityTooLarge
    came.max_content_length = MOST_BYTES + 1  # a body that says no length is cut off here without a word
    body = came.get_data()
    if len(body) > MOST_BYTES:
        raise RequestEntityTooLarge
    return Knock(headers=headers, body=body, url=doorkeeper().services.settings.origin + came.path)
