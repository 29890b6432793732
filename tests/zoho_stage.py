"""Zoho's understudy on two real loopback servers, with the cast on stage: Alice Ltd in the EU, Charlie in the US.

A test module makes it a fixture: `with running() as stage: yield stage`; `stage.fresh()` before each test.
"""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from domain.consent import scopes_for
from integrations.zoho import ZohoCrm, ZohoPhoneBridge, open_bridge, open_crm
from integrations.zoho.provider import FEATURES
from integrations.zoho.sandbox import SERVERS, create_apps

CLIENT, REDIRECT = "1000.LINEKEEPER", "http://127.0.0.1:8000/oauth/zoho/callback"
SECRETS = {"us": "secret-us", "eu": "secret-eu"}
EVERYTHING = scopes_for(FEATURES)
PATIENT, HASTY = 20.0, 1.0  # seconds a client waits; a hasty one meets a hanging answer
ALICE, BOB, CHARLIE = "alice@alice.example", "bob@alice.example", "charlie@next-door.example"


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class Purse:
    """The `Tokens` of one grant, kept the plainest way there is."""

    def __init__(self, home: str, dc: str, answer: Mapping[str, str]) -> None:
        self._home, self._dc, self._refresh = home, dc, answer["refresh_token"]
        self.value = answer["access_token"]
        self.renewed = 0

    def __call__(self, *, renew: bool = False) -> str:
        if renew:
            self.renewed += 1
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh}
            self.value = _token(self._home, self._dc, form)["access_token"]
        return self.value


class Stage:
    """The understudy's control plane, and connections through its front doors."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        self.us, self.eu = (origins[name] for name in SERVERS)
        self.http: Any = requests.Session()  # fits the port `Http`, which mypy cannot see
        self.http.trust_env = False
        self.users: dict[str, Mapping[str, str]] = {}

    def fresh(self) -> None:
        """Empty the stage and put the cast on it."""
        self.post("reset")
        self.post("clients", client_id=CLIENT, secrets=SECRETS, redirect_uris=[REDIRECT])
        people = [
            {"email": ALICE, "full_name": "Alice Adler", "admin": True},
            {"email": BOB, "full_name": "Bob Baker", "admin": False},
        ]
        zone = "Europe/Madrid"
        self.post("orgs", name="alice", dc="eu", company_name="Alice Ltd", time_zone=zone, country="ES", users=people)
        charlie = [{"email": CHARLIE, "full_name": "Charlie Cole", "admin": True}]
        next_door = {"company_name": "Next Door", "time_zone": "UTC", "country": "US"}
        self.post("orgs", name="charlie", dc="us", users=charlie, **next_door)

    def post(self, what: str, **told: Any) -> Any:
        """Tell the stage something."""
        answer = self.http.post(f"{self.us}/_stage/{what}", json=told, timeout=30)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def get(self, what: str, **asked: str) -> Any:
        """Ask the stage something."""
        answer = self.http.get(f"{self.us}/_stage/{what}", params=asked, timeout=30)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def delete(self, what: str) -> None:
        """Make the stage forget something."""
        self.http.delete(f"{self.us}/_stage/{what}", timeout=30)

    def fault(self, match: str, action: str, **told: Any) -> None:
        """Arm a misfortune."""
        self.post("faults", match=match, action=action, **told)

    def counts(self) -> dict[str, int]:
        """How often each request came, without the stage's own."""
        counts: dict[str, int] = self.get("requests")["counts"]
        return counts

    def consent(self, user: str = ALICE, scopes: tuple[str, ...] = EVERYTHING) -> dict[str, Any]:
        """Walk through Zoho's consent page as `user`; return the token endpoint's answer and `home`."""
        asked = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": REDIRECT,
            "scope": ",".join(scopes),
            "access_type": "offline",
            "prompt": "consent",
            "state": "s",
        }
        page = self.http.get(f"{self.us}/oauth/v2/auth", params=asked, timeout=30)
        action = re.search(r'action="([^"]+)"', page.text)
        assert action, page.text
        address = urljoin(page.url, html.unescape(action[1]))
        decided = self.http.post(address, data={"user": user}, allow_redirects=False, timeout=30)
        back = {name: values[0] for name, values in parse_qs(urlsplit(decided.headers["Location"]).query).items()}
        home, location = back["accounts-server"], back["location"]
        form = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": REDIRECT}
        return _token(home, location, form) | {"home": home, "location": location}

    def crm(
        self, user: str = ALICE, scopes: tuple[str, ...] = EVERYTHING, timeout: float = PATIENT
    ) -> tuple[ZohoCrm, Purse]:
        """Open the CRM with a user's consent."""
        told = self.consent(user, scopes)
        purse = Purse(told["home"], told["location"], told)
        api = told["api_domain"]
        return open_crm(http=self.http, api_domain=api, tokens=purse, region="ES", timeout=timeout), purse

    def bridge(
        self, user: str = ALICE, scopes: tuple[str, ...] = EVERYTHING, timeout: float = PATIENT
    ) -> ZohoPhoneBridge:
        """Open PhoneBridge with a user's consent."""
        told = self.consent(user, scopes)
        purse = Purse(told["home"], told["location"], told)
        return open_bridge(http=self.http, api_domain=told["api_domain"], tokens=purse, timeout=timeout)


def _token(home: str, dc: str, form: Mapping[str, str]) -> dict[str, Any]:
    known = {"client_id": CLIENT, "client_secret": SECRETS[dc]}
    told: dict[str, Any] = requests.post(f"{home}/oauth/v2/token", data={**known, **form}, timeout=30).json()
    assert "access_token" in told, told
    return told


class Door:
    """An address of ours that remembers what knocked: (headers in lower case, body, form)."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes, dict[str, str]]] = []
        self.url = ""
        self._knocked = threading.Condition()

    def __call__(self, environ: Any, start: Any) -> Any:
        request = Request(environ)
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._knocked:
            self.seen.append((headers, request.get_data(), request.form.to_dict()))
            self._knocked.notify_all()
        return Response("")(environ, start)

    def wait(self, knocks: int = 1) -> None:
        """Wait until so many have knocked; notifications arrive by themselves."""
        with self._knocked:
            assert self._knocked.wait_for(lambda: len(self.seen) >= knocks, 10), "nobody knocked"


@contextmanager
def _serving(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def door() -> Iterator[Door]:
    """Serve an address of ours until the block ends."""
    ours = Door()
    with _serving(ours) as origin:
        ours.url = f"{origin}/door"
        yield ours


@contextmanager
def running() -> Iterator[Stage]:
    """Serve both data centres on free ports until the block ends."""
    with ExitStack() as stack:
        apps: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for name in SERVERS:
            app = lambda environ, start, name=name: apps[name](environ, start)  # noqa: E731 - made before the apps are
            origins[name] = stack.enter_context(_serving(app))
        apps |= create_apps(origins)
        stage = Stage(origins)
        stack.callback(stage.http.close)
        stack.callback(stage.delete, "faults")
        yield stage
