"""An understudy that posts signed forms, the door it posts them to, and our client of it, over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request
from werkzeug.serving import make_server

from domain.call import Call, CallEvent, TextEvent, fold
from domain.errors import Malformed, Unauthentic
from domain.ports import Knock, PhoneSystem, TelephonyVendor
from integrations import guard

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
DOOR = "/webhooks/telephony/bobs-door"


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


class Door:
    """A door as ours is: it knows its own address, believes the vendor's word and nobody else's."""

    def __init__(self, vendor: TelephonyVendor, secret: str) -> None:
        self.vendor, self.secret, self.url = vendor, secret, ""
        self.heard: dict[str, CallEvent | TextEvent | None] = {}
        self.busy = False
        self.app = Flask("door")
        self.app.add_url_rule(DOOR, view_func=self.knock, methods=["POST"])

    def knock(self) -> tuple[str, int]:
        headers = {name.lower(): value for name, value in request.headers}
        try:
            knock = Knock(headers=headers, body=request.get_data(), url=self.url)
            event_id = self.vendor.verify(knock, [self.secret], NOON)
            event = self.vendor.parse(knock.body, event_id)
        except Unauthentic:
            return "", 401
        except Malformed:
            return "", 400
        if self.busy:
            return "", 503
        self.heard.setdefault(event_id, event)
        return "", 202

    @property
    def events(self) -> list[CallEvent]:
        return [event for event in self.heard.values() if isinstance(event, CallEvent)]

    def call(self) -> Call:
        """Add up what was heard; it has to be of one call."""
        assert len({event.call_ref for event in self.events}) == 1
        return fold(self.events)


class Stage:
    """One account at the understudy."""

    def __init__(self, origin: str, door: Door, http: guard.Session, account: Mapping[str, str]) -> None:
        self.origin, self.door, self.http, self.told = origin, door, http, dict(account)
        self.name, self.id = (
            ("sid", account["account_sid"]) if "account_sid" in account else ("auth_id", account["auth_id"])
        )
        self.account = self.opened()

    def opened(self, **other: str) -> PhoneSystem:
        return self.door.vendor.open(self.told | {"api_url": self.origin, "door_url": self.door.url} | other, self.http)

    def stage(self, what: str, **wish: Any) -> Any:
        answer = self.http.post(f"{self.origin}/_stage/{what}", json={self.name: self.id} | wish)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def shown(self, what: str) -> Any:
        return self.http.get(f"{self.origin}/_stage/{what}", params={self.name: self.id}).json()

    def asked(self) -> list[dict[str, Any]]:
        """What the understudy's API was asked since the test began."""
        return list(self.shown("requests")["last"])

    def fault(self, match: str, action: str, **more: Any) -> None:
        self.stage("faults", match=match, action=action, **more)

    def begin(self, **account: Any) -> None:
        """A stage as if nothing had been played on it."""
        self.http.post(f"{self.origin}/_stage/reset")
        self.stage("accounts", token=self.told["auth_token"], door_url=self.door.url, **account)
        self.door.heard.clear()
        self.door.busy = False


@contextmanager
def staged(vendor: TelephonyVendor, app: Flask, account: Mapping[str, str]) -> Iterator[Stage]:
    door = Door(vendor, account["auth_token"])
    with (
        guard.session(timeout=5, allowed_private_hosts={"127.0.0.1"}) as http,
        served(door.app) as door_at,
        served(app) as at,
    ):
        door.url = door_at + DOOR
        yield Stage(at, door, http, account)


def soon(true: Callable[[], object]) -> None:
    """Wait for something another thread does."""
    until = time.monotonic() + 5
    while not true() and time.monotonic() < until:
        time.sleep(0.005)
    assert true()
