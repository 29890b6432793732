"""Cross-Account Protection: what Google says of an account stops its consent at once, and only Google is believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import requests

from domain.errors import Malformed
from integrations.google.risc import TYPES, read_news, token_marks
from jobs import connect, google_accounts, worker
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from tests import house
from tests.console_desk import letter
from tests.google_stage import ALICE, BOB, CHARLIE, CLIENT, READ_CONTACTS, Stage, running, serving
from tests.google_stage import SECRET as CLIENT_SECRET

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
DOOR = "/webhooks/google/risc"
REDIRECT = f"{house.ORIGIN}/oauth/google/callback"


@pytest.fixture(scope="module")
def google() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture(scope="module")
def tools(google: Stage, db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    outside = {
        "GOOGLE_CLIENT_ID": CLIENT,
        "GOOGLE_CLIENT_SECRET": CLIENT_SECRET,
        "GOOGLE_AUTH_URI": f"{google.origin}/o/oauth2/v2/auth",
        "GOOGLE_TOKEN_URI": f"{google.origin}/token",
        "GOOGLE_CERTS_URI": f"{google.origin}/oauth2/v3/certs",
        "GOOGLE_RISC_CONFIGURATION_URI": f"{google.origin}/.well-known/risc-configuration",
    }
    with house.services(db_urls, work_url, mail_url, **outside) as opened:
        yield opened


@dataclass
class Account:
    """Bob's Google account, tied to Alice's tenant by Bob, with a letter in the cache."""

    google: Stage
    tools: Services
    tenant: TenantId
    id: UUID
    door: str
    refresh: str

    @property
    def tie(self) -> Tie:
        return self.tools.connections.get(self.tenant, self.id)

    def happens(self, event: str, **told: Any) -> list[int]:
        """Something happens at Google, which sends it here."""
        number = self.google.post("risc", event=event, endpoint=self.door, **{"user": BOB} | told)["number"]
        deadline = monotonic() + 30
        while len(answers := self.answers(number)) < told.get("times", 1):
            assert monotonic() < deadline, "Google was never answered"
            sleep(0.01)
        return answers

    def answers(self, number: int) -> list[int]:
        """How a token was answered so far, each time it was sent."""
        found: list[int] = self.google.get("risc")["answers"].get(str(number), [])
        return found

    def letters(self) -> int:
        """How many cached messages can be opened."""
        return int(self.tools.mail.get(self.tenant, f"{self.id.hex}.m1") is not None)

    def consent_again(self, at: str = BOB) -> str:
        """Bob consents; Google names the account and the consent by these from now on."""
        token: str = self.google.consent(READ_CONTACTS, user=at)["refresh_token"]
        return token

    def signals(self) -> list[dict[str, Any]]:
        return [row.facts for row in self.tools.ledger.rows(self.tenant, action="google.signal")]


@pytest.fixture
def account(google: Stage, tools: Services, tenant: TenantId) -> Iterator[Account]:
    google.fresh()
    admin = house.administrator(tools, tenant)
    refresh = google.consent(READ_CONTACTS, user=BOB)["refresh_token"]
    tie = house.google_account(tools, tenant, refresh=refresh, by=admin.id)
    sub = google.post("users", email=BOB, name="Bob Baker")["sub"]
    google_accounts.listen(tools, tenant, tie, subject=sub, refresh=refresh)
    message = replace(letter("m1", "a@b.example", "Offer", datetime.now(UTC)), mailbox=tie.hex)
    tools.mail.put(tenant, [(message, [tie])])
    with serving(house.front(tools).application) as origin:
        yield Account(google, tools, tenant, tie, f"{origin}{DOOR}", refresh)


STOPS: dict[str, tuple[str, dict[str, Any], str]] = {
    "every token": ("tokens-revoked", {}, "google.tokens_revoked"),
    "one token, by its beginning": ("token-revoked", {"algorithm": "prefix"}, "google.token_revoked"),
    "one token, by its hash": (
        "token-revoked",
        {"algorithm": "hash_base64_sha512_sha512"},
        "google.token_revoked",
    ),
    "closed": ("account-disabled", {"reason": "bulk-account"}, "google.account_disabled"),
    "taken over": ("account-disabled", {"reason": "hijacking"}, "google.account_hijacked"),
}


@pytest.mark.parametrize(("event", "told", "code"), STOPS.values(), ids=STOPS)
def test_a_consent_stops_at_once(account: Account, event: str, told: dict[str, Any], code: str) -> None:
    """Before the answer: no token is left, cached mail cannot be opened, the connection says why, the ledger too."""
    assert (1, "active") == (account.letters(), account.tie.state)
    assert account.tools.grants.refresh(account.tenant, account.id) == account.refresh

    assert [202] == account.happens(event, **told)

    assert (0, "needs_consent", code) == (account.letters(), account.tie.state, account.tie.reason)
    assert "" == account.tools.grants.refresh(account.tenant, account.id)
    assert [(event, True)] == [(row["event"], row["stopped"]) for row in account.signals()]
    assert {"done": 1} == account.tools.inbox.counts(account.tenant)
    assert 1 == len(account.tools.ledger.rows(account.tenant, action="consent.lost"))


def test_a_repeat_is_answered_alike_and_done_once(account: Account) -> None:
    """And a consent given since is another one: neither a repeat nor an old event under a new id touches it."""
    before = int(datetime.now(UTC).timestamp()) - 60
    assert [202, 202, 202] == account.happens("tokens-revoked", times=3, jti="j1")
    assert 1 == len(account.signals())

    refresh = account.consent_again()
    again = house.google_account(account.tools, account.tenant, refresh=refresh, tie=account.id)
    assert [202] == account.happens("tokens-revoked", jti="j1")
    assert [202] == account.happens("tokens-revoked", jti="j2", claims={"iat": before})

    assert (again, "active") == (account.id, account.tie.state)
    assert [True, False] == [row["stopped"] for row in account.signals()][::-1]


def test_a_token_of_an_earlier_consent_does_not_end_the_one_that_stands(account: Account) -> None:
    """Bob consented twice; Google revokes what is left of the first."""
    newer = account.google.purse(READ_CONTACTS, user=ALICE)  # somebody else's, so that Bob's is still his newest
    house.google_account(account.tools, account.tenant, refresh="1//another-token", tie=account.id)
    assert newer.granted

    assert [202] == account.happens("token-revoked")

    assert "active" == account.tie.state
    assert [False] == [row["stopped"] for row in account.signals()]


def test_sessions_end_and_the_permission_stays(account: Account) -> None:
    """Whoever connected the account signs in again; so it is when it was taken over."""
    user = account.tools.grants.giver(account.tenant, account.id)
    assert user is not None
    session = account.tools.directory.new("session", account.tenant, user=user)
    assert account.tools.directory.find("session", session)

    assert [202] == account.happens("sessions-revoked")

    assert account.tools.directory.find("session", session) is None
    assert ("active", 1) == (account.tie.state, account.letters())
    assert [202] == account.happens("credential-change-required")
    assert ["credential-change-required", "sessions-revoked"] == [row["event"] for row in account.signals()]


def test_an_account_comes_back_and_goes_for_good(account: Account) -> None:
    """Enabled again it asks for a new consent; deleted, everything it brought goes, with a certificate."""
    assert [202] == account.happens("account-disabled")
    assert [202] == account.happens("account-enabled")
    assert ("needs_consent", "google.account_enabled") == (account.tie.state, account.tie.reason)
    house.google_account(account.tools, account.tenant, refresh=account.consent_again(), tie=account.id)

    assert [202] == account.happens("account-purged")

    assert "disconnected" == account.tie.state
    actions = [row.action for row in account.tools.ledger.rows(account.tenant)]
    assert {"consent.withdrawn", "certificate.disconnect"} <= set(actions), actions


def test_the_lane_does_what_the_door_could_not(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database faltered after the signal was written down: a worker does it, and Google need not repeat it."""
    with monkeypatch.context() as patch:
        patch.setattr("jobs.signals.act", lambda *_: 1 / 0)
        assert [202] == account.happens("tokens-revoked")
    assert ("active", {"pending": 1}) == (account.tie.state, account.tools.inbox.counts(account.tenant))

    worker.visit(account.tools, account.tenant, "contacts", seconds=5)

    assert ("needs_consent", 0) == (account.tie.state, account.letters())
    assert {"done": 1} == account.tools.inbox.counts(account.tenant)


def test_two_tenants_with_one_account_both_hear(account: Account, neighbour: TenantId) -> None:
    """Bob works for Charlie too. The understudy names him once, and both consents stop."""
    refresh = account.consent_again()
    theirs = house.google_account(account.tools, neighbour, refresh=refresh)
    sub = account.google.post("users", email=BOB, name="Bob Baker")["sub"]
    google_accounts.listen(account.tools, neighbour, theirs, subject=sub, refresh=refresh)

    assert [202] == account.happens("tokens-revoked")

    assert ["needs_consent", "needs_consent"] == [
        account.tie.state,
        account.tools.connections.get(neighbour, theirs).state,
    ]


def test_whoever_connects_is_listened_for(
    account: Account, neighbour: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: Charlie connects his Google account through the consent page, and withdraws at Google."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # as open_services does for a stage on loopback
    tools, google = account.tools, account.google
    charlie = house.administrator(tools, neighbour)
    google.post("clients", client_id=CLIENT, client_secret=CLIENT_SECRET, redirect_uris=[REDIRECT])
    asked = connect.begin(tools, provider="google", purpose="connect", browser="b", user=charlie)
    form = {"user": CHARLIE, "scope": parse_qs(urlsplit(asked).query)["scope"][0].split()}
    decided = requests.post(asked.replace("/auth?", "/auth/decide?"), data=form, allow_redirects=False, timeout=30)
    back = parse_qs(urlsplit(decided.headers["Location"]).query)
    done = connect.complete(tools, provider="google", query=back, browser="b", user=charlie)
    assert done.connection is not None

    assert [202] == account.happens("token-revoked", user=CHARLIE, algorithm="hash_base64_sha512_sha512")

    assert "google.token_revoked" == tools.connections.get(neighbour, done.connection).reason
    assert "active" == account.tie.state


def test_a_stranger_and_a_test_are_answered_and_nothing_is_written(account: Account) -> None:
    assert [202] == account.happens("tokens-revoked", user=ALICE)
    assert [202] == account.happens("verification", state="made-up by whoever set it up")

    assert ({}, []) == (account.tools.inbox.counts(account.tenant), account.signals())


FORGED: dict[str, dict[str, Any]] = {
    "for another application": {"claims": {"aud": "somebody-else"}},
    "for nobody": {"claims": {"aud": None}},
    "of another issuer": {"claims": {"iss": "https://evil.example/"}},
    "of the issuer of ID tokens": {"claims": {"iss": "https://accounts.google.com"}},
    "without an id": {"claims": {"jti": ""}},
    "with an endless id": {"claims": {"jti": "x" * 400}},
    "from tomorrow": {"claims": {"iat": 4_102_444_800}},
    "without a time": {"claims": {"iat": True}},
    "without events": {"claims": {"events": {}}},
    "with events in words": {"claims": {"events": "tokens-revoked"}},
    "about nobody": {"claims": {"events": {f"{TYPES}oauth/event-type/tokens-revoked": {}}}},
    "an event in words": {"claims": {"events": {f"{TYPES}oauth/event-type/tokens-revoked": "bob"}}},
}


@pytest.mark.parametrize("told", FORGED.values(), ids=FORGED)
def test_what_google_did_not_say_to_us_is_refused(account: Account, told: dict[str, Any]) -> None:
    """400, and nothing written or stopped. For two applications of which we are one is for us."""
    assert [400] == account.happens("sessions-revoked", **told)
    assert ({}, "active") == (account.tools.inbox.counts(account.tenant), account.tie.state)


def test_a_door_takes_any_form_and_no_nonsense(account: Account) -> None:
    """The token is what counts: without one, cut short, unsigned or huge it is refused."""
    client = house.front(account.tools)
    bodies = [b"", b"a.b.c", b"{}", b"x" * 9_000, "é".encode(), b"eyJhbGciOiJub25lIn0.e30."]

    assert [400] * len(bodies) == [client.post(DOOR, data=one).status_code for one in bodies]
    assert 413 == client.post(DOOR, data=b"x" * 300_000).status_code
    assert [202] == account.happens("sessions-revoked", claims={"aud": ["other", CLIENT], "exp": 1})  # no exp check


def test_unknown_events_are_passed_over() -> None:
    """Google may add some; those we know beside them are read."""
    subject = {"subject": {"subject_type": "id_token_claims", "iss": "x", "sub": "1", "email": "b@a.example"}}
    events = {f"{TYPES}risc/event-type/of-tomorrow": {}, f"{TYPES}risc/event-type/sessions-revoked": subject}
    claims = {"jti": "j", "iat": NOW.timestamp(), "events": events}

    news = read_news(claims, NOW)

    assert [("sessions-revoked", "1")] == [(one.kind, one.subject) for one in news.events]
    with pytest.raises(Malformed):
        read_news(claims, NOW - timedelta(minutes=2))


def test_a_token_is_named_the_same_by_both_sides() -> None:
    """In either base64 alphabet, padded or not; computed apart from our code (Python's hashlib in a shell)."""
    prefix, hashed = token_marks("1//0example-refresh-token")
    assert "prefix:1//0example-refr" == prefix
    for spelt in (hashed, hashed.rstrip("="), hashed.replace("+", "-").replace("/", "_")):
        value = spelt.removeprefix("hash:")
        said = {"token_identifier_alg": "hash_base64_sha512_sha512", "token": value}
        claims = {"jti": "j", "iat": 1, "events": {f"{TYPES}oauth/event-type/token-revoked": {"subject": said}}}
        assert hashed == read_news(claims, NOW).events[0].token
