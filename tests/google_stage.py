"""Google's understudy on a real loopback server, with the cast on stage and the plainest `Tokens` there are.

A test module makes it a fixture: `with running() as stage: yield stage`; `stage.fresh()` before each test.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from integrations.google import open_contacts, open_mailbox
from integrations.google.gmail import GmailMailbox
from integrations.google.people import GoogleAddressBook
from integrations.google.sandbox import create_apps
from integrations.google.scopes import AUTH
from integrations.google.sessions import Sessions

CLIENT, SECRET, REDIRECT = "linekeeper", "s3cret", "http://127.0.0.1:8000/oauth/google/callback"
ALICE, BOB, CHARLIE = "alice@alice.example", "bob@alice.example", "charlie@next-door.example"
READ_CONTACTS, READ_MAIL = AUTH + "contacts.readonly", AUTH + "gmail.readonly"
PATIENT, HASTY = 20.0, 1.0  # seconds a client waits; a hasty one meets a hanging answer


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections, as Google does

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class Purse:
    """The `Tokens` of one grant."""

    def __init__(self, origin: str, answer: dict[str, Any]) -> None:
        self._origin, self._refresh = origin, answer["refresh_token"]
        self.value: str = answer["access_token"]
        self.granted = frozenset(str(answer["scope"]).split())
        self.renewed = 0

    def __call__(self, *, renew: bool = False) -> str:
        if renew:
            self.renewed += 1
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh}
            self.value = ask_for_tokens(self._origin, form)["access_token"]
        return self.value


class Stage:
    """The understudy's control plane, and connections through its front door."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.http = Sessions()

    def fresh(self) -> None:
        """Empty the stage and put the cast on it."""
        self.post("reset")
        self.post("clients", client_id=CLIENT, client_secret=SECRET, redirect_uris=[REDIRECT])
        for email, name in ((ALICE, "Alice Adler"), (BOB, "Bob Baker"), (CHARLIE, "Charlie Cole")):
            self.post("users", email=email, name=name, hd=email.partition("@")[2])

    def post(self, what: str, **told: Any) -> dict[str, Any]:
        """Tell the stage something."""
        return self._answer(self.http.request("POST", f"{self.origin}/_stage/{what}", json=told, timeout=30))

    def get(self, what: str, **asked: str) -> dict[str, Any]:
        """Ask the stage something."""
        return self._answer(self.http.request("GET", f"{self.origin}/_stage/{what}", params=asked, timeout=30))

    def delete(self, what: str) -> None:
        """Make the stage forget something."""
        self._answer(self.http.request("DELETE", f"{self.origin}/_stage/{what}", timeout=30))

    def fault(self, match: str, action: str, **told: Any) -> None:
        """Arm a misfortune."""
        self.post("faults", match=match, action=action, **told)

    def counts(self) -> dict[str, int]:
        """How often each request came, without the stage's own."""
        counts: dict[str, int] = self.get("requests")["counts"]
        return counts

    def consent(self, *scopes: str, user: str = ALICE, **params: str) -> dict[str, Any]:
        """Walk through Google's consent page as `user`, ticking everything; return the token endpoint's answer."""
        query = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": REDIRECT,
            "scope": " ".join(scopes),
            "access_type": "offline",
            "prompt": "consent",
        } | params
        address = f"{self.origin}/o/oauth2/v2/auth/decide"
        form = {"user": user, "scope": scopes}
        decided = requests.post(address, params=query, data=form, allow_redirects=False, timeout=30)
        code = parse_qs(urlsplit(decided.headers["Location"]).query)["code"][0]
        exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        return ask_for_tokens(self.origin, exchange)

    def purse(self, *scopes: str, user: str = ALICE) -> Purse:
        """A user's tokens for these scopes."""
        return Purse(self.origin, self.consent(*scopes, user=user))

    def contacts(self, user: str = ALICE, timeout: float = PATIENT) -> tuple[GoogleAddressBook, Purse]:
        """Open the contacts of a user who allowed it."""
        purse = self.purse(READ_CONTACTS, user=user)
        return open_contacts(http=self.http, tokens=purse, root=self.origin, region="ES", timeout=timeout), purse

    def mailbox(
        self, user: str = ALICE, scope: str = READ_MAIL, timeout: float = PATIENT
    ) -> tuple[GmailMailbox, Purse]:
        """Open the mailbox of a user who allowed it."""
        purse = self.purse(scope, user=user)
        return open_mailbox(http=self.http, tokens=purse, root=self.origin, timeout=timeout), purse

    @staticmethod
    def _answer(answer: requests.Response) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        value: dict[str, Any] = answer.json()
        return value


def ask_for_tokens(origin: str, form: dict[str, str]) -> dict[str, Any]:
    """Ask the token endpoint."""
    known = {"client_id": CLIENT, "client_secret": SECRET}
    told: dict[str, Any] = requests.post(f"{origin}/token", data=known | form, timeout=30).json()
    assert "access_token" in told, told
    return told


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve a WSGI app on a free port of 127.0.0.1 until the block ends."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def running() -> Iterator[Stage]:
    """Serve the understudy until the block ends."""
    apps: dict[str, Any] = {}
    with serving(lambda environ, start: apps["google"](environ, start)) as origin:  # it must know its own origin
        apps |= create_apps({"google": origin})
        stage = Stage(origin)
        try:
            yield stage
        finally:
            stage.delete("faults")
