"""A second opinion on Google: the npm package `emulate`, which others wrote, plays its OAuth and Gmail for our code.

It needs node and the package, which `make peers` fetches and holds to its hash. What it does not play (contacts,
pushes, batches, profiles) or plays otherwise (scopes are not enforced, any position of the history is good) is not
asked of it.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import requests

from domain.errors import ConsentLost
from domain.mail import Letter
from jobs import connect
from jobs.services import Services
from store.database import TenantId
from store.embedded import Postgres
from store.tenants import User
from tests import house
from tests.google_stage import BOB, CLIENT, READ_CONTACTS, SECRET

HERE = Path(__file__).parent
PACKAGE, VERSION = HERE.parent.parent / ".peers" / "emulate", "0.11.2"
REDIRECT = f"{house.ORIGIN}/oauth/google/callback"
SEED = {
    "google": {
        "users": [{"email": BOB, "name": "Bob Baker", "hd": "alice.example"}],
        "oauth_clients": [{"client_id": CLIENT, "client_secret": SECRET, "name": "L", "redirect_uris": [REDIRECT]}],
        "labels": [{"id": "Label_1", "user_email": BOB, "name": "Customers", "type": "user"}],
        "messages": [
            {
                "id": "m1",
                "user_email": BOB,
                "from": "Dora <dora@quincebury.example>",
                "to": BOB,
                "subject": "Offer",
                "body_text": "Call me on +34 600 111 222.",
                "label_ids": ["INBOX", "UNREAD"],
            }
        ],
    }
}


def missing() -> str:
    """Why the peer cannot be asked here, "" if it can."""
    if shutil.which("node") is None:
        return "needs node"
    manifest = PACKAGE / "package.json"
    if not manifest.exists() or json.loads(manifest.read_text("utf-8"))["version"] != VERSION:
        return f"needs the npm package emulate {VERSION}: make peers"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The package as a server on loopback; it ends with its standard input."""
    seed = tmp_path_factory.mktemp("peer") / "seed.json"
    seed.write_text(json.dumps(SEED))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["node", str(HERE / "emulate.mjs"), str(PACKAGE), str(port), str(seed)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
        process.stdin.close()


@pytest.fixture(scope="module")
def tools(peer: str, db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    outside = {
        "GOOGLE_CLIENT_ID": CLIENT,
        "GOOGLE_CLIENT_SECRET": SECRET,
        "GOOGLE_AUTH_URI": f"{peer}/o/oauth2/v2/auth",
        "GOOGLE_TOKEN_URI": f"{peer}/oauth2/token",
        "GOOGLE_REVOKE_URI": f"{peer}/oauth2/revoke",
        "GOOGLE_CERTS_URI": f"{peer}/oauth2/v3/certs",
        "GOOGLE_API_ROOT": peer,
    }
    with house.services(db_urls, work_url, mail_url, **outside) as opened:
        yield opened


@dataclass
class Account:
    """Bob's account at the peer, and Alice at our console."""

    peer: str
    tools: Services
    alice: User

    def connect(self, *features: str, leave: str = "") -> tuple[UUID, set[str]]:
        """Consent there as Bob, without one scope; return the connection and the features that are on."""
        begun = connect.begin(
            self.tools, provider="google", purpose="connect", browser="b", features=features, user=self.alice
        )
        page = requests.get(begun, timeout=30).text
        (form,) = [part for part in page.split("<form") if f'value="{BOB}"' in part]
        fields = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)}
        fields["scope"] = " ".join(scope for scope in fields["scope"].split() if scope != leave)
        there = requests.post(
            f"{self.peer}/o/oauth2/v2/auth/callback", data=fields, allow_redirects=False, timeout=30
        ).headers["Location"]
        assert there.startswith(REDIRECT)
        back = parse_qs(urlsplit(there).query)
        done = connect.complete(self.tools, provider="google", query=back, browser="b", user=self.alice)
        assert done.connection is not None
        return done.connection, {one.feature.slug for one in done.standings if one.on}

    def mailbox(self, tie: UUID) -> Any:
        return self.tools.mailbox(self.tools.connections.get(self.alice.tenant, tie))


@pytest.fixture
def account(peer: str, tools: Services, tenant: TenantId, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    return Account(peer, tools, house.administrator(tools, tenant))


def test_a_consent_is_given_renewed_and_withdrawn(account: Account) -> None:
    """With PKCE, an ID token under its own keys, one scope left out, a renewal, and an end that it confirms."""
    tools, tenant = account.tools, account.alice.tenant
    tie, on = account.connect("contacts", "mailbox", leave=READ_CONTACTS)
    assert ({"mailbox"}, BOB) == (on, tools.connections.get(tenant, tie).label)

    google = tools.providers["google"]
    first = tools.grants.token(tenant, tie, google)
    assert first.value != tools.grants.token(tenant, tie, google, refused=first.value).value

    refresh = tools.grants.refresh(tenant, tie)
    certificate = connect.disconnect(tools, user=account.alice, tie=tie)
    assert ("withdrawn", "disconnect") == (certificate["at_provider"], certificate["kind"])
    house.google_account(tools, tenant, refresh=refresh, tie=tie)
    with pytest.raises(ConsentLost):
        tools.grants.token(tenant, tie, google, refused="ya29.access")


def test_mail_is_read_labelled_sent_and_found_in_the_history(account: Account) -> None:
    """What happened since the watch began is told by the history, and the last part of it says where it ends."""
    tie, on = account.connect("mailbox", "send-mail", "label-mail")
    assert {"mailbox", "send-mail", "label-mail"} == on
    box = account.mailbox(tie)
    position, until = box.watch("projects/p/topics/t")
    assert until > datetime.now(UTC)

    message = box.message("m1")
    assert ("Offer", {"dora@quincebury.example", BOB}) == (message.subject, message.correspondents)
    assert "+34 600 111 222" in message.body
    assert box.message("never-there") is None
    assert [("Label_1", "Customers")] == box.labels()
    assert {"INBOX", "Label_1"} == set(box.relabel("m1", ["Label_1"], ["UNREAD"]))
    sent = box.send(Letter(mark="mark-1", to="dora@quincebury.example", subject="Re: Offer", text="We will."))

    news = list(box.news(position))

    assert [sent] == [id for part in news for id in part.added]
    assert {"INBOX", "Label_1"} == {label for part in news for label in part.labels.get("m1", ())}
    assert [] == [part for part in box.news(news[-1].cursor) if part.added]
    assert "Re: Offer" == box.message(sent).subject
    box.unwatch()
