"""What the understudy remembers, how it words a call and how it signs and posts what it tells."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

from flask import abort, request

from integrations.telephony.standard.sandbox.live import Live, follow, tone

PAGE_CALLS = 100
REQUESTS_REMEMBERED = 1000
SENDER_SECONDS = 15
STALE_SECONDS = 600
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Json = dict[str, Any]


@dataclass
class Account:
    """One customer of the platform, known by its API key."""

    key: str
    door_url: str
    secret: str
    agents: list[Json]
    page: int = PAGE_CALLS
    records: bool = False  # every call somebody answered
    phonebook: dict[str, Json] = field(default_factory=dict)  # what was put
    typed: dict[str, Any] = field(default_factory=dict)  # and what people typed in, whatever shape it has
    cdr: list[Json] = field(default_factory=list)
    live: dict[str, Live] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)  # ids of calls that ended, lest a late event brings one back
    sounds: dict[str, bytes] = field(default_factory=dict)  # call id -> its recording
    deliveries: list[Json] = field(default_factory=list)
    sent: dict[str, str] = field(default_factory=dict)  # Idempotency-Key -> the message it made
    owed: dict[str, bytes] = field(default_factory=dict)  # event id -> body, until the door said 2xx


class World:
    """All that the understudy remembers. One lock guards it; nothing is sent while it is held."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.clock = now
        self.lock = threading.RLock()
        self.let_go = threading.Event()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.ahead = 0.0
            self.accounts: dict[str, Account] = {}
            self.requests: deque[Json] = deque(maxlen=REQUESTS_REMEMBERED)
            self.counts: Counter[str] = Counter()
            self.faults: list[Json] = []
        self.release()

    def now(self) -> float:
        return self.clock() + self.ahead

    def release(self) -> None:
        self.let_go.set()
        self.let_go = threading.Event()

    def fault(self, line: str) -> Json | None:
        with self.lock:
            for fault in self.faults:
                if line.startswith(fault["match"]) and fault["times"] > 0:
                    fault["times"] -= 1
                    return fault
        return None

    def account(self, key: Any) -> Account:
        with self.lock:
            if key not in self.accounts:
                abort(404, "no account has this key")
            return self.accounts[key]

    def deliver(self, account: Account, id: str, body: bytes, tamper: str = "") -> int:
        """Sign and post one event; return the door's status, 0 when there was no answer."""
        headers, sent = signed(account.secret, id, body, self.now(), tamper)
        status = post(account.door_url, headers, sent)
        with self.lock:
            kind = tamper or json.loads(body).get("type")
            account.deliveries.append({"id": id, "type": kind, "status": status, "at": self.now()})
            if 200 <= status < 300:
                account.owed.pop(id, None)
            elif not tamper:
                account.owed[id] = body
        return status

    def tell(self, account: Account, kind: str, at: datetime, data: Json) -> tuple[str, bytes]:
        """Word an event, and keep up with it; return its id and body."""
        with self.lock:
            follow(account.live, account.over, kind, data)
        return f"msg_{secrets.token_hex(12)}", compact({"type": kind, "timestamp": iso(at), "data": data})

    def deliver_later(self, account: Account, *events: tuple[str, bytes]) -> None:
        """Deliver events in this order, after whoever asked has their answer."""

        def run() -> None:
            for id, text in events:
                self.deliver(account, id, text)

        threading.Thread(target=run, daemon=True).start()

    def hang_up(self, account: Account, id: str, origin: str) -> list[tuple[str, bytes]]:
        """End a call from this side; return the events that tell of it, a recording's too where calls are recorded."""
        at = datetime.fromtimestamp(self.now(), UTC)
        with self.lock:
            if id not in account.live:
                abort(404, "no such call, or it is over")
            row = account.live[id].ended(iso(at))
            account.cdr.append(row)
            events = [self.tell(account, "call.ended", at, dict(row))]
            if account.records and row["outcome"] == "answered":
                row["recording_url"] = self.record(account, id, origin)
                events.append(self.tell(account, "call.recording", at + timedelta(seconds=2), dict(row)))
        return events

    def record(self, account: Account, id: str, origin: str, seconds: int = 1) -> str:
        """Keep a recording of a call; return its address."""
        with self.lock:
            account.sounds[id] = tone(id, seconds)
        return f"{origin.rstrip('/')}/calls/{quote(id, safe='')}/recording"


def signed(secret: str, id: str, body: bytes, now: float, tamper: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body as sent; `tamper` spoils one thing the receiver has to notice."""
    stamp = str(int(now) - (STALE_SECONDS if tamper == "stale" else 0))
    key = base64.b64decode(secret.split("_", 1)[1]) if tamper != "secret" else secrets.token_bytes(32)
    mac = hmac.new(key, b".".join((id.encode(), stamp.encode(), body)), hashlib.sha256).digest()
    if tamper == "signature":
        mac = bytes([mac[0] ^ 1]) + mac[1:]
    if tamper == "body":
        body = body.replace(b"}", b" }", 1)
    return {
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }, body


def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """Post to a door on this machine, whatever the address says otherwise: nothing leaves it."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in LOOPBACK:
        return 0
    connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=SENDER_SECONDS)
    try:
        connection.request("POST", parts.path or "/", body, dict(headers))
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def instant(text: str) -> datetime:
    """Read a time with its zone, or answer 422."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        abort(422, "not a time")
    if at.tzinfo is None:
        abort(422, "a time without a zone")
    return at


def whole_call(wish: Json, now: datetime) -> tuple[Json, list[tuple[str, datetime, Json]]]:
    """Return a call's row in the list and its events (type, time, data). It has just ended unless told otherwise."""
    ring = timedelta(seconds=wish.get("ring_seconds", 5))
    talk = timedelta(seconds=wish.get("talk_seconds", 0))
    started = instant(wish["started_at"]) if wish.get("started_at") else now - ring - talk
    base = {
        "call_id": wish["call_id"],
        "leg_id": "1",
        "direction": wish.get("direction", "inbound"),
        "from": wish.get("from", ""),
        "to": wish.get("to", ""),
        "agent": wish.get("agent"),
        "queue": wish.get("queue"),
        "started_at": iso(started),
    }
    events = [("call.ringing", started, base)]
    outcome = wish.get("outcome", "answered")
    row = base | {"ended_at": iso(started + ring + talk), "outcome": outcome}
    if outcome == "answered":
        row["answered_at"] = iso(started + ring)
        events.append(("call.answered", started + ring, base | {"answered_at": row["answered_at"]}))
    events.append(("call.ended", started + ring + talk, dict(row)))
    if link := wish.get("recording_url"):
        row["recording_url"] = link
        kind = "call.voicemail" if outcome == "voicemail" else "call.recording"
        events.append((kind, started + ring + talk + timedelta(seconds=2), dict(row)))
    return row, events


def body() -> Json:
    """Return the request's JSON object, or answer 400."""
    found = request.get_json()
    if not isinstance(found, dict):
        abort(400, "an object is expected")
    return found
