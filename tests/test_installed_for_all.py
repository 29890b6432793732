"""An administrator installed us for everybody in Google Workspace: nobody is asked again for what was granted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import requests

from jobs import connect
from jobs.connect import Completed, Purpose
from jobs.services import Services
from oauth.flow import BadConsent
from store.database import TenantId
from store.embedded import Postgres
from store.tenants import User
from tests import house
from tests.google_stage import ALICE, BOB, CLIENT, READ_CONTACTS, READ_MAIL, SECRET, Stage, running
from tests.robot import hired, key_file

APP, DOMAIN = "712345678901", ALICE.partition("@")[2]
REDIRECT = f"{house.ORIGIN}/oauth/google/callback"
Back = dict[str, list[str]]


@pytest.fixture(scope="module")
def google() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture(scope="module")
def tools(google: Stage, db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    outside = {
        "GOOGLE_CLIENT_ID": CLIENT,
        "GOOGLE_CLIENT_SECRET": SECRET,
        "GOOGLE_AUTH_URI": f"{google.origin}/o/oauth2/v2/auth",
        "GOOGLE_TOKEN_URI": f"{google.origin}/token",
        "GOOGLE_CERTS_URI": f"{google.origin}/oauth2/v3/certs",
        "GOOGLE_API_ROOT": google.origin,
        "GOOGLE_MARKETPLACE_APP_ID": APP,
        "GOOGLE_SERVICE_ACCOUNT_KEY": key_file(),
    }
    with house.services(db_urls, work_url, mail_url, **outside) as opened:
        yield opened


@dataclass
class Desk:
    """Alice at the console, whose Google Workspace may have us for everybody."""

    google: Stage
    tools: Services
    alice: User

    def asked(self, *features: str, purpose: Purpose = "connect", **more: Any) -> tuple[str, dict[str, str]]:
        """The address of the consent page, and what it asks for."""
        address = connect.begin(
            self.tools, provider="google", purpose=purpose, browser="b", features=features, user=self.alice, **more
        )
        return address, {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}

    def decide(self, address: str, *ticked: str, user: str = ALICE) -> Back:
        """Press Allow with these ticked: a page on which nothing was asked has nothing to tick."""
        form = {"user": user, "scope": ticked}
        there = requests.post(address.replace("/auth?", "/auth/decide?"), data=form, allow_redirects=False, timeout=30)
        return parse_qs(urlsplit(there.headers["Location"]).query)

    def complete(self, back: Back) -> Completed:
        return connect.complete(self.tools, provider="google", query=back, browser="b", user=self.alice)

    def receipts(self) -> list[bool]:
        """Of each consent, the newest first, whether it was given at installation."""
        rows = self.tools.ledger.rows(self.alice.tenant, action="consent.given")
        return [bool(row.facts.get("at_install")) for row in rows]

    def state(self, tie: UUID | None) -> str:
        assert tie is not None
        return self.tools.connections.get(self.alice.tenant, tie).state


@pytest.fixture
def desk(google: Stage, tools: Services, tenant: TenantId, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    google.fresh()
    google.post("clients", client_id=CLIENT, client_secret=SECRET, redirect_uris=[REDIRECT])
    hired(google)
    return Desk(google, tools, house.administrator(tools, tenant))


def test_nobody_is_asked_twice(desk: Desk) -> None:
    """The account is chosen, nothing is ticked, and what was granted for all is there; the receipt says so."""
    desk.google.post("marketplace", application=APP, by="admin", whom=DOMAIN, scopes=[READ_CONTACTS, READ_MAIL])
    desk.google.post("knobs", unasked_refresh_token=True)

    address, asked = desk.asked("contacts", "mailbox")
    done = desk.complete(desk.decide(address))

    assert ("select_account", ALICE) == (asked["prompt"], asked["login_hint"])
    assert {"contacts", "mailbox"} == {one.feature.slug for one in done.standings if one.on}
    assert ("", [True], "active") == (done.onward, desk.receipts(), desk.state(done.connection))


def test_a_consent_that_does_not_last_is_asked_for_once_more(desk: Desk) -> None:
    """Google brought no refresh token without a page: the browser goes on to the page, and then it lasts."""
    desk.google.post("marketplace", application=APP, by="admin", whom=DOMAIN, scopes=[READ_CONTACTS])
    address, _ = desk.asked("contacts")

    first = desk.complete(desk.decide(address))

    assert (None, []) == (first.connection, desk.receipts())
    again = {name: values[0] for name, values in parse_qs(urlsplit(first.onward).query).items()}
    assert "consent" == again["prompt"]
    done = desk.complete(desk.decide(first.onward, READ_CONTACTS))
    assert ("", [False], "active") == (done.onward, desk.receipts(), desk.state(done.connection))

    # asked again for the same, the earlier consent lasts on
    address, _ = desk.asked("contacts", connection=done.connection)
    assert "" == desk.complete(desk.decide(address)).onward
    assert "active" == desk.state(done.connection)


ORDINARY: dict[str, dict[str, Any]] = {
    "nobody installed": {},
    "the user did": {"by": "user", "whom": ALICE},
    "an administrator elsewhere": {"by": "admin", "whom": "elsewhere.example"},
    "for another unit": {"by": "admin", "whom": BOB},
    "nobody pays": {"by": "billing", "whom": ALICE, "installed": False},
}


@pytest.mark.parametrize("installed", ORDINARY.values(), ids=ORDINARY)
def test_everybody_else_is_asked(desk: Desk, installed: dict[str, Any]) -> None:
    """And so is who wants another account, or anybody while Google does not say."""
    if installed:
        desk.google.post("marketplace", application=APP, **installed)
    prompt = "select_account" if installed.get("by") == "user" else "consent"  # a user's own installation reads alike

    assert prompt == desk.asked("contacts")[1]["prompt"]


def test_while_google_does_not_say_everybody_is_asked(desk: Desk) -> None:
    desk.google.post("marketplace", application=APP, by="admin", whom=DOMAIN, scopes=[READ_CONTACTS])
    desk.google.fault("GET /appsmarket/v2/userLicense/*", "status", status=500)

    address, asked = desk.asked("contacts")

    assert ("consent", None) == (asked["prompt"], asked.get("login_hint"))
    assert "" == desk.complete(desk.decide(address, READ_CONTACTS)).onward


def test_saying_who_one_is_takes_one_click(desk: Desk) -> None:
    """Linking an account for cards keeps nothing, so no page is forced upon anybody and no lasting token asked for."""
    _, asked = desk.asked(purpose="link")

    assert ("select_account", "online") == (asked["prompt"], asked["access_type"])


ANSWERS = {
    "access_denied": "oauth.denied",
    "invalid_scope": "oauth.scope",
    "admin_policy_enforced": "oauth.policy",
    "access_not_configured": "oauth.policy",
    "org_internal": "oauth.policy",
    "server_error": "oauth.provider_error",
    "<script>": "oauth.provider_error",
}


@pytest.mark.parametrize(("error", "code"), ANSWERS.items(), ids=ANSWERS)
def test_what_a_provider_answers_instead_has_words(desk: Desk, error: str, code: str) -> None:
    """Whose move it is: the user's, the administrator's, or whoever runs this; nothing of the answer is repeated."""
    _, asked = desk.asked("contacts")

    with pytest.raises(BadConsent) as refused:
        desk.complete({"error": [error], "state": [asked["state"]]})

    assert (code, False) == (refused.value.code, error in str(refused.value))
    assert [] == desk.receipts()
