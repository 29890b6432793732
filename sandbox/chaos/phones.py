"""Phone systems that deliver events over kept connections, and again later whatever got no yes, as vendors do."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from integrations.telephony.standard.sandbox.world import signed
from sandbox.chaos.plot import Delivery
from sandbox.scene import expect

LINES = 8  # connections at once
SENDER_SECONDS = 15.0
AGAIN_SECONDS = (0.1, 1.0)  # a vendor's minutes and hours, in short
READ_BYTES = 65_536


class Door(Protocol):
    """Where a company's phone system delivers to, and what it signs with."""

    @property
    def url(self) -> str: ...
    @property
    def secret(self) -> str: ...


class Wire:
    """One kept connection to a door, with no more HTTP than a delivery needs: there are very many."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), SENDER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = f"{host}:{port}"

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send one event; return the answer's status. Raises OSError when no whole answer came."""
        told = {"Host": self._host, "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        self._socket.sendall(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        answer = b""
        while not _whole(answer):
            if not (more := self._socket.recv(READ_BYTES)):
                raise ConnectionResetError("the door hung up")
            answer += more
        return int(answer[9:12])

    def close(self) -> None:
        self._socket.close()


def _whole(answer: bytes) -> bool:
    """Is all of this answer here, its body included? Our doors say how long it is, or that there is none."""
    head, end, body = answer.partition(b"\r\n\r\n")
    _, named, rest = head.lower().partition(b"\r\ncontent-length:")
    return bool(end) and len(body) >= (int(rest.partition(b"\r\n")[0]) if named else 0)


class Phones:
    """Deliver everything; `accepted` counts what was, `refused` what had to be sent again."""

    def __init__(self, deliveries: Sequence[Delivery], doors: Mapping[str, Door], seed: int) -> None:
        self._waiting = deque((0.0, delivery) for delivery in deliveries)
        self._doors = doors
        self._dice = random.Random(seed)
        self._turn = threading.Lock()
        self._under_way = 0
        self._turned_away = 0  # the status of an answer that no repeating would change
        self.accepted = 0
        self.refused = 0

    def deliver(self) -> None:
        """Deliver all of it; return when every delivery was accepted."""
        lines = [threading.Thread(target=self._line, daemon=True) for _ in range(LINES)]
        for line in lines:
            line.start()
        for line in lines:
            line.join()
        expect(not self._turned_away, f"a signed event was answered {self._turned_away}")

    def _line(self) -> None:
        wire: Wire | None = None
        while (took := self._next()) is not None:
            if not took:  # others may still come back
                time.sleep(0.02)
                continue
            (delivery,) = took
            door = self._doors[delivery.org]
            parts = urlsplit(door.url)
            headers, body = signed(door.secret, delivery.id, delivery.body, time.time(), "")
            try:
                wire = wire or Wire(parts.hostname or "", parts.port or 80)
                status = wire.post(parts.path, headers, body)
                accepted = 200 <= status < 300
                if 400 <= status < 500:
                    self._turned_away = status
            except OSError:
                accepted = False
            if not accepted and wire is not None:
                wire.close()
                wire = None
            self._back(delivery, accepted)
        if wire is not None:
            wire.close()

    def _next(self) -> tuple[Delivery, ...] | None:
        """Take what is due; nothing while everything is under way or waits; None when all is delivered."""
        with self._turn:
            if self._turned_away:
                return None
            if not self._waiting:
                return () if self._under_way else None
            due, delivery = self._waiting[0]
            if due > time.monotonic():
                self._waiting.rotate(-1)
                return ()
            self._waiting.popleft()
            self._under_way += 1
            return (delivery,)

    def _back(self, delivery: Delivery, accepted: bool) -> None:
        with self._turn:
            self._under_way -= 1
            if accepted:
                self.accepted += 1
            else:
                self.refused += 1
                self._waiting.append((time.monotonic() + self._dice.uniform(*AGAIN_SECONDS), delivery))
