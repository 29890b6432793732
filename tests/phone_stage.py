"""The `standard` understudy on a loopback server, with a door it tells its events to and our client of it.

A test module makes it a fixture: `with playing() as stage: yield stage`; `stage.fresh()` before each test.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request
from werkzeug.serving import make_server

from domain.call import CallEvent, TextEvent
from domain.errors import Unauthentic
from domain.ports import Knock, PhoneSystem
from integrations import guard, telephony_vendors
from integrations.telephony.standard.sandbox import create_apps

VENDOR = telephony_vendors()["standard"]
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
BOB = {"extension": "201", "email": "bob@alice.example"}
CALL = {"from": "+34600111222", "to": "+34911222333", "agent": BOB, "ring_seconds": 4, "talk_seconds": 60}


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an app on a free port of this machine."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = True  # type: ignore[attr-defined]  # a socketserver mix-in: a hanging fault shall not hang us
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Platform:
    """The understudy with one account, what its door heard, and our client of it."""

    def __init__(self, http: guard.Session) -> None:
        self.http = http
        self.heard: list[CallEvent] = []
        self.texts: list[TextEvent] = []
        self.busy = False  # the door's answer is 503
        self.secret = VENDOR.new_secret()
        self.origin = ""

    def settle(self, origin: str, door_at: str, **wish: Any) -> None:
        """Open the account, once it is known where everybody listens."""
        self.origin, door_url = origin, f"{door_at}/webhooks/telephony/bobs-door"
        self.stage("accounts", key="alices-key", door_url=door_url, secret=self.secret, agents=[BOB], page=2, **wish)
        self.account = self.opened("alices-key")

    def fresh(self) -> None:
        """Forget what was heard and asked, and every fault."""
        self.busy = False
        self.heard.clear()
        self.texts.clear()
        for name in ("requests", "faults"):
            self.http.delete(f"{self.origin}/_stage/{name}")

    def of(self, call_ref: str) -> list[CallEvent]:
        """What the door heard of one call; another test's last words may still come in."""
        return [event for event in self.heard if event.call_ref == call_ref]

    def opened(self, key: str) -> PhoneSystem:
        return VENDOR.open({"base_url": self.origin, "api_key": key}, self.http)

    def stage(self, name: str, **wish: Any) -> Any:
        answer = self.http.post(f"{self.origin}/_stage/{name}", json=wish)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def shown(self, name: str) -> Any:
        return self.http.get(f"{self.origin}/_stage/{name}", params={"key": "alices-key"}).json()

    def fault(self, match: str, action: str, **more: Any) -> None:
        self.stage("faults", match=match, action=action, **more)

    def hear(self) -> tuple[str, int]:
        """Answer a knock as our door would."""
        knock = Knock(headers={name.lower(): value for name, value in request.headers}, body=request.get_data())
        try:
            event_id = VENDOR.verify(knock, [self.secret], NOON)
        except Unauthentic:
            return "", 401
        if self.busy:
            return "", 503
        match VENDOR.parse(knock.body, event_id):
            case CallEvent() as event:
                self.heard.append(event)
            case TextEvent() as text:
                self.texts.append(text)
        return "", 202


@contextmanager
def playing(**wish: Any) -> Iterator[Platform]:
    """Play until the block ends, with an account as wished. It is noon for everybody."""
    door = Flask("door")
    with guard.session(timeout=5, allowed_private_hosts={"127.0.0.1"}) as http:
        platform = Platform(http)
        door.add_url_rule("/webhooks/telephony/bobs-door", view_func=platform.hear, methods=["POST"])
        app = create_apps({"pbx": ""}, now=NOON.timestamp)["pbx"]
        with served(door) as door_at, served(app) as at:
            platform.settle(at, door_at, **wish)
            yield platform


def soon(true: Callable[[], object]) -> None:
    """Wait for something another thread does."""
    until = time.monotonic() + 5
    while not true() and time.monotonic() < until:
        time.sleep(0.005)
    assert true()
