"""Notification channels, and the thread that posts what changed: twice, late or never when asked to."""

import heapq
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.zoho.sandbox import outbound
from integrations.zoho.sandbox.clock import Clock
from integrations.zoho.sandbox.orgs import Knobs, Org, User

Changes = Mapping[str, Mapping[str, Any]]  # row id -> field -> new value
Payload = dict[str, Any]
KINDS = {"insert": "create", "update": "edit", "delete": "delete"}
IDLE_SECONDS = 1.0  # how long the thread waits for more before it ends
POLL_SECONDS = 0.1  # how soon it notices that a clock we do not own was turned


@dataclass(slots=True)
class Channel:
    """One subscription of one user of one application."""

    channel_id: str
    user: User
    client_id: str
    origin: str
    events: list[str]
    notify_url: str
    token: str | None
    expires_at: float
    with_values: bool
    related: bool
    condition: list[dict[str, Any]] | None
    watched: dict[str, set[str]] = field(default_factory=dict)  # module -> the only fields whose edits are told

    def wants(self, module: str, operation: str, changes: Changes) -> bool:
        """Say whether a change is this channel's business."""
        if not {f"{module}.{KINDS[operation]}", f"{module}.all"} & set(self.events):
            return False
        only = self.watched.get(module)
        return operation != "update" or only is None or any(only & fields.keys() for fields in changes.values())


class Notifier:
    """Every channel, and the queue of notifications that have not left."""

    def __init__(self, clock: Clock, knobs: Knobs) -> None:
        self.channels: dict[tuple[str, str, str], Channel] = {}  # (zuid, client, channel id)
        self._sent: deque[dict[str, Any]] = deque(maxlen=5_000)
        self._clock = clock
        self._knobs = knobs
        self._moved = threading.Condition()
        self._queue: list[tuple[float, int, str, Payload]] = []
        self._numbers = itertools.count()
        self._told = 0
        self._in_hand = 0
        self._thread: threading.Thread | None = None

    def living(self) -> list[Channel]:
        """Drop the expired channels and list the rest."""
        now = self._clock.now()
        self.channels = {name: channel for name, channel in self.channels.items() if channel.expires_at > now}
        return list(self.channels.values())

    def tell(self, org: Org, module: str, operation: str, changes: Changes) -> None:
        """Queue a change for every channel that wants it; called with the world's lock held."""
        for channel in self.living() if self.channels else ():
            if channel.user.org == org.name and channel.wants(module, operation, changes):
                self._enqueue(channel, self._payload(channel, org, module, operation, changes))

    def wake(self) -> None:
        """Look again: the clock was turned."""
        with self._moved:
            self._moved.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is queued or being posted; say whether that happened in time."""
        with self._moved:
            return self._moved.wait_for(lambda: not self._queue and not self._in_hand, seconds)

    def report(self) -> dict[str, Any]:
        """List what was sent, and count what has not been answered yet."""
        with self._moved:
            return {"sent": list(self._sent), "waiting": len(self._queue) + self._in_hand}

    def close(self) -> None:
        """Throw away what is queued."""
        with self._moved:
            self._queue.clear()
            self._moved.notify_all()

    def _payload(self, channel: Channel, org: Org, module: str, operation: str, changes: Changes) -> Payload:
        columns = org.tables[module].module.fields
        values = [
            {
                "record_id": row_id,
                "values": {
                    name: org.show_value(columns[name], value, channel.user.zone)
                    for name, value in fields.items()
                    if name in columns
                },
            }
            for row_id, fields in changes.items()
        ]
        payload = {
            "server_time": int(self._clock.now() * 1000),
            "query_params": {},
            "module": module,
            "resource_uri": f"{channel.origin}/crm/v8/{module}",
            "ids": list(changes),
            "affected_fields": [{i: list(each)} for i, each in changes.items()] if operation == "update" else [],
            "operation": operation,
            "channel_id": channel.channel_id,
            "token": channel.token,
        }
        return payload | ({"affected_values": values} if channel.with_values else {})

    def _enqueue(self, channel: Channel, payload: Payload) -> None:
        knobs = self._knobs
        self._told += 1
        if knobs.notify_drop_every and self._told % knobs.notify_drop_every == 0:
            return
        late = knobs.notify_delay if self._told % knobs.notify_delay_every == 0 else 0.0
        with self._moved:
            for _ in range(knobs.notify_copies):
                item = (self._clock.now() + late, next(self._numbers), channel.notify_url, payload)
                heapq.heappush(self._queue, item)
            self._moved.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._deliver, name="zoho-notifications", daemon=True)
                self._thread.start()

    def _deliver(self) -> None:
        while item := self._next():
            _, _, url, payload = item
            status, _ = outbound.post(url, json.dumps(payload).encode(), {"Content-Type": "application/json"})
            kept = ("channel_id", "module", "operation", "ids")
            with self._moved:
                self._sent.append({name: payload[name] for name in kept} | {"at": self._clock.now(), "status": status})
                self._in_hand -= 1
                self._moved.notify_all()

    def _next(self) -> tuple[float, int, str, Payload] | None:
        patience = time.monotonic() + IDLE_SECONDS
        with self._moved:
            while True:
                if self._queue and self._queue[0][0] <= self._clock.now():
                    self._in_hand += 1
                    return heapq.heappop(self._queue)
                if not self._queue and time.monotonic() >= patience:
                    self._thread = None
                    return None
                self._moved.wait(POLL_SECONDS)
