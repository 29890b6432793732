"""The cast on Zoho's stage, in one process: Alice and Bob in the EU, Charlie in the US, and an ear to post to."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from werkzeug.test import Client, TestResponse

from integrations.zoho.sandbox import create_apps
from integrations.zoho.sandbox.world import World

US, EU = "http://us.zoho.test", "http://eu.zoho.test"
BACK = "https://linekeeper.example/oauth/zoho/callback"
NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SCOPES = (
    "ZohoCRM.modules.ALL,ZohoCRM.coql.READ,ZohoCRM.users.READ,ZohoCRM.org.READ,ZohoCRM.settings.ALL,"
    "ZohoCRM.notifications.ALL,ZohoSearch.securesearch.READ,PhoneBridge.call.log,AaaServer.profile.READ"
)
Json = dict[str, Any]


class Stage:
    """Both data centres in one process, with Alice and Bob in the EU and Charlie in the US."""

    def __init__(self, eu: str = EU) -> None:
        self.time = NOON.timestamp()
        self.apps = create_apps({"zoho-us": US, "zoho-eu": eu}, now=lambda: self.time)
        self.us, self.eu = (Client(self.apps[name]) for name in ("zoho-us", "zoho-eu"))
        self.world: World = self.apps["zoho-eu"].extensions["understudy"]
        secrets = {"us": "secret-us", "eu": "secret-eu"}
        self.do("clients", client_id="1000.LINE", secrets=secrets, redirect_uris=[BACK])
        bob = {"email": "bob@alice.example", "full_name": "Bob Baker"}
        alice = {"email": "alice@alice.example", "full_name": "Alice Archer", "admin": True}
        self.alice_ltd = self.do(
            "orgs", name="Alice Ltd", dc="eu", time_zone="Europe/Madrid", edition="Standard", users=[alice, bob]
        )
        charlie = {"email": "charlie@next.example", "full_name": "Charlie Cole", "admin": True}
        self.do("orgs", name="Next Door", dc="us", time_zone="America/New_York", users=[charlie])

    def do(self, door: str, **sent: Any) -> Json:
        """Use one of the stage's own doors."""
        answer = self.us.post(f"/_stage/{door}", json=sent)
        assert answer.status_code == 200, answer.text
        return dict(answer.json or {})

    def see(self, door: str, **args: Any) -> Json:
        """Look through one of the stage's own doors."""
        return dict(self.us.get(f"/_stage/{door}", query_string=args).json or {})

    def consent(self, user: str, scope: str = SCOPES, start: Client | None = None, **more: str) -> dict[str, str]:
        """Go to the consent page, press the user's button, and come back with the query of the redirect."""
        asked = {"response_type": "code", "client_id": "1000.LINE", "redirect_uri": BACK, "scope": scope, "state": "s1"}
        asked |= {"access_type": "offline", "prompt": "consent", **more}
        page = (start or self.us).get("/oauth/v2/auth", query_string={k: v for k, v in asked.items() if v})
        assert page.status_code == 200, page.text
        assert user in page.text
        action = re.findall(r'action="([^"]+)"', page.text)[0].replace("&amp;", "&")
        answer = (start or self.us).post(action, data={"user": user})
        assert answer.status_code == 302
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    def exchange(self, code: str, dc: str = "eu", **more: str) -> Json:
        """Turn a code into tokens."""
        form = {"grant_type": "authorization_code", "redirect_uri": BACK, "code": code, **more}
        return self.token(dc, **form)

    def token(self, dc: str = "eu", **form: str) -> Json:
        """Ask the token endpoint; every answer is an HTTP 200."""
        answer = getattr(self, dc).post(
            "/oauth/v2/token", data={"client_id": "1000.LINE", "client_secret": f"secret-{dc}", **form}
        )
        assert answer.status_code == 200
        return dict(answer.json)

    def connect(self, user: str = "alice@alice.example", scope: str = SCOPES, dc: str = "eu") -> "Api":
        """Consent, exchange, and give back an API client."""
        granted = self.exchange(self.consent(user, scope)["code"], dc)
        return Api(getattr(self, dc), granted["access_token"])


class Api:
    """An API client with a token."""

    def __init__(self, client: Client, token: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Zoho-oauthtoken {token}"}

    def __call__(self, method: str, path: str, body: Any = None, form: Any = None, **more: Any) -> TestResponse:
        """Call the API; `body` is JSON without a Content-Type, as the official SDK sends it."""
        headers = self.headers | more.pop("headers", {})
        if body is not None:
            more["data"] = json.dumps(body)
        if form is not None:
            more["data"] = form
        return self.client.open(path, method=method, headers=headers, **more)

    def rows(self, query: str) -> list[Json]:
        """Ask in COQL."""
        answer = self("POST", "/crm/v8/coql", {"select_query": query})
        assert answer.status_code in {200, 204}, answer.text
        return list((answer.json or {})["data"]) if answer.data else []


class Sink(ThreadingHTTPServer):
    """Our side of the conversation: takes whatever is posted and says thank you."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SinkHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.heard: list[tuple[str, dict[str, str], bytes]] = []


class SinkHandler(BaseHTTPRequestHandler):
    """Writes down and answers 200."""

    def do_POST(self) -> None:
        """Take one message."""
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Sink)
        self.server.heard.append((self.path, dict(self.headers), sent))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"success")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def listening() -> Iterator[Sink]:
    """Listen on a free port of this machine for as long as the test runs."""
    with Sink() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def call(**more: Any) -> Json:
    """Write a call as the Calls module wants it."""
    sent = {"Subject": "Call", "Call_Type": "Inbound", "Call_Start_Time": "2026-03-28T12:00:00+00:00"}
    return {**sent, "Call_Duration": "02:05", "Call_Duration_in_seconds": 125, **more}
