"""A whole house on the stage: every process as `linekeeper up` runs it, two companies in it, their phones connected."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import app
from commands.supervise import free_ports
from commands.up import House
from integrations.telephony.standard.signature import sign
from jobs.services import Services, open_services
from sandbox.acts import connecting
from sandbox.scene import Scene
from store.database import TenantId

QUIET = {"CONTACTS_SYNC_SECONDS": "3600"}  # contacts come once
NOBODY = {"alice": 0, "charlie": 0}
SENDER_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Sent:
    """When an event was sent, by the clock on the wall, and the seconds until the door had accepted it."""

    at: float
    took: float


@dataclass(frozen=True, slots=True)
class Office:
    """Hands at the house, its stage and its doors."""

    house: House
    scene: Scene
    services: Services
    doors: Mapping[str, connecting.Door]

    def tenant(self, writer: str) -> TenantId:
        """The company whose activities are written so: "bridge" is Alice's, "records" the one next door."""
        tenants = self.services.tenants
        return next(one for one in self.services.db.tenants() if tenants.get(one).call_writer == writer)

    def send(self, org: str, events: Sequence[tuple[str, bytes]], *, a_second: float, lines: int) -> list[Sent]:
        """Send events (id, body) at a steady pace."""
        began = time.monotonic() + 0.1
        places = iter(range(len(events)))
        sent: list[Sent] = []
        threads = [
            threading.Thread(target=self._line, args=(org, events, places, began, a_second, sent)) for _ in range(lines)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(sent) != len(events):
            raise RuntimeError(f"{len(events) - len(sent)} of {len(events)} events were not accepted")
        return sorted(sent, key=lambda one: one.at)

    def _line(
        self,
        org: str,
        events: Sequence[tuple[str, bytes]],
        places: Iterator[int],
        began: float,
        a_second: float,
        done: list[Sent],
    ) -> None:
        parts = urlsplit(self.doors[org].url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=SENDER_SECONDS)
        for place in places:
            time.sleep(max(0.0, began + place / a_second - time.monotonic()))
            id, body = events[place]
            headers = sign(self.doors[org].secret, id, body, datetime.now(UTC))
            at = time.time()
            connection.request("POST", parts.path, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 202:
                done.append(Sent(at, time.time() - at))
        connection.close()


@contextmanager
def standing(**environ: str) -> Iterator[House]:
    """Run the house and its stage; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="linekeeper-bench-") as folder:
        port = free_ports(10)
        told = QUIET | environ | {"DATA_DIR": str(Path(folder) / "data"), "PORT": str(port)}
        with House(told, say=lambda _: None, parts=app.PARTS, stage=True, stage_port=port + 1) as house:
            yield house


@contextmanager
def office() -> Iterator[Office]:
    """Move both companies in."""
    with standing() as house:
        scene = Scene.open(house, threading.Event())
        doors = connecting.move_in(scene, NOBODY)
        services = open_services(house.settings)
        try:
            yield Office(house, scene, services, doors)
        finally:
            services.close()


def counts(scene: Scene) -> dict[str, int]:
    """What Zoho was asked for, and how often."""
    told: dict[str, Any] = scene.zoho.get("requests", last="0")["counts"]
    return {name: int(many) for name, many in told.items()}
