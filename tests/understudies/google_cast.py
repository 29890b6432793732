"""The cast of the Google understudy's tests: Alice and Bob at one Google, and the gestures every test makes."""

from __future__ import annotations

import base64
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from integrations.google import sandbox

NOON = 1_774_778_400.0
MINUTE, HOUR, DAY = 60, 3_600, 86_400
AUTH = "https://www.googleapis.com/auth/"
CONTACTS, READONLY, METADATA = AUTH + "contacts", AUTH + "gmail.readonly", AUTH + "gmail.metadata"
MODIFY, SEND = AUTH + "gmail.modify", AUTH + "gmail.send"
ALICE, BOB = "alice@alice.example", "bob@alice.example"
CALLBACK = "http://127.0.0.1:8000/oauth/google/callback"
TOPIC = "projects/linekeeper/topics/mail"
CAROL = {
    "names": [{"givenName": "Carol", "familyName": "Diaz"}],
    "phoneNumbers": [{"value": "+34 600 111 222", "type": "mobile"}],
}
Json = dict[str, Any]


class Stage:
    """The understudy with Alice and Bob seated, and the few gestures every test makes."""

    def __init__(self) -> None:
        self.client: FlaskClient = sandbox.create_apps({"google": "http://127.0.0.1:9103"}, lambda: NOON)[
            "google"
        ].test_client()
        client = {"client_id": "linekeeper", "client_secret": "s3cret", "redirect_uris": [CALLBACK]}
        self.act("clients", client)
        self.act("users", {"email": ALICE, "name": "Alice Smith", "hd": "alice.example"})
        self.act("users", {"email": BOB, "name": "Bob Jones", "hd": "alice.example"})

    def act(self, what: str, body: Json | None = None) -> Json:
        """Post to the control plane."""
        answer = self.client.post(f"/_stage/{what}", json=body or {})
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def look(self, what: str) -> Json:
        """Get from the control plane."""
        return dict(self.client.get(f"/_stage/{what}").get_json())

    def advance(self, seconds: float) -> None:
        """Turn the clock."""
        self.act("clock", {"advance": seconds})

    def decide(self, *ticked: str, user: str = ALICE, **query: str) -> dict[str, str]:
        """Agree on a consent page to what is ticked, and read what travels back."""
        return self.answer({"user": user, "scope": list(ticked)}, **query)

    def answer(self, form: Json, **query: str) -> dict[str, str]:
        """Answer a consent page and read what travels back."""
        answer = self.client.post("/o/oauth2/v2/auth/decide", query_string=asking(**query), data=form)
        assert answer.status_code == 302, answer.text
        assert answer.location.startswith(CALLBACK)
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.location).query).items()}

    def token(self, **form: str) -> TestResponse:
        """Ask the token endpoint."""
        return self.client.post("/token", data={"client_id": "linekeeper", "client_secret": "s3cret"} | form)

    def exchange(self, code: str, **form: str) -> TestResponse:
        """Turn a code into tokens."""
        return self.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK, **form)

    def connect(self, *scopes: str, user: str = ALICE, **query: str) -> Json:
        """Go through the whole consent and bring the tokens home."""
        back = self.decide(*scopes, user=user, scope=" ".join(scopes), **query)
        return dict(self.exchange(back["code"]).get_json())

    def bearer(self, *scopes: str, user: str = ALICE) -> dict[str, str]:
        """Get the header of somebody who granted these."""
        return {"Authorization": f"Bearer {self.connect(*scopes, user=user)['access_token']}"}

    def mail(self, user: str = ALICE, **values: Any) -> str:
        """Let a message arrive and name it."""
        message = {"user": user, "from": "Carol Diaz <carol@shop.example>", "subject": "Hello", "text": "Hi"} | values
        return str(self.act("mail", message)["id"])

    def contacts(self, *people: Json) -> list[str]:
        """Add contacts and name them."""
        return list(self.act("contacts", {"user": ALICE, "contacts": list(people)})["resourceNames"])


def asking(**query: str) -> dict[str, str]:
    """Build an authorization request."""
    usual = {"client_id": "linekeeper", "redirect_uri": CALLBACK, "response_type": "code", "state": "s1"}
    return usual | {"scope": CONTACTS, "access_type": "offline"} | query


@contextmanager
def door(*statuses: int) -> Iterator[tuple[str, queue.Queue[tuple[str, Json]]]]:
    """Listen for pushes on a port of its own, answering with the given statuses in turn and then with 204."""
    caught: queue.Queue[tuple[str, Json]] = queue.Queue()
    answers = iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name http.server asks for
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            caught.put((self.headers["Authorization"], body))
            self.send_response(next(answers, 204))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/webhooks/google/gmail", caught
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reason(answer: TestResponse) -> tuple[int, str]:
    """Read how an API call was refused."""
    return answer.status_code, str(answer.get_json()["error"]["errors"][0]["reason"])


def raw(to: str, subject: str, **headers: str) -> str:
    """Write a message as messages.send wants it."""
    message = EmailMessage()
    message["To"], message["Subject"] = to, subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("On my way")
    return base64.urlsafe_b64encode(message.as_bytes()).decode()


def read_push(push: tuple[str, Json]) -> Json:
    """Open the envelope."""
    return dict(json.loads(base64.urlsafe_b64decode(push[1]["message"]["data"])))
