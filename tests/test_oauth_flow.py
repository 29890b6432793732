"""A consent is completed by the browser that began it, once, in time, and our secret goes to the provider alone."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from sqlalchemy import func, select, update

from domain.errors import Refused, TryLater, Unanswered
from integrations.zoho.provider import provider
from oauth.flow import BadConsent, Consent, Granted
from oauth.provider import OAuthProvider
from settings import Settings
from store.database import Database, TenantId
from store.tables import consent_requests
from store.vault import Vault
from tests import house
from tests.zoho_stage import ALICE, CHARLIE, CLIENT, SECRETS, Stage, running

ORIGIN = "http://127.0.0.1:8000"
BROWSER = "alice's browser"
SCOPES = ("ZohoCRM.org.READ", "ZohoCRM.users.READ")
Back = dict[str, list[str]]


@pytest.fixture(scope="module")
def stages() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(stages: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # as open_services does for a stage on loopback
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    stages.fresh()
    return stages


@pytest.fixture
def zoho(stage: Stage) -> OAuthProvider:
    """Zoho as the product knows it, with its list of data centres read."""
    told = Settings(
        zoho_client_id=CLIENT, zoho_client_secrets=SECRETS, zoho_serverinfo_url=f"{stage.us}/oauth/serverinfo"
    )
    described = provider(told, requests.Session())
    assert {"us", "eu"} == described.homes().keys()
    return described


@pytest.fixture
def consent(db: Database, vault: Vault, zoho: OAuthProvider) -> Consent:
    return Consent(db, vault, {"zoho": zoho}, origin=ORIGIN, timeout=5)


@pytest.fixture
def begin(consent: Consent, zoho: OAuthProvider) -> Callable[..., str]:
    def start(**more: Any) -> str:
        return consent.begin(zoho, SCOPES, browser=BROWSER, ticket={"purpose": "install"}, **more)

    return start


def decide(stage: Stage, address: str, **choice: str) -> Back:
    """Consent as Alice, unless told otherwise."""
    return house.decide(stage, address, **(choice or {"user": ALICE}))


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(BadConsent) as bad:
        act()
    return bad.value.code


def tokens_asked(stage: Stage) -> int:
    return sum(many for what, many in stage.counts().items() if what.endswith("POST /oauth/v2/token"))


@pytest.fixture
def complete(consent: Consent, zoho: OAuthProvider) -> Callable[..., Granted]:
    def finish(back: Mapping[str, list[str]], browser: str = BROWSER) -> Granted:
        return consent.complete(zoho, back, browser=browser)

    return finish


Begin, Complete = Callable[..., str], Callable[..., Granted]


def test_a_consent_from_beginning_to_end(stage: Stage, begin: Begin, complete: Complete, tenant: TenantId) -> None:
    """Alice consents in the EU: her tokens come from there, what was asked and why is remembered."""
    tie = uuid.uuid4()
    granted = complete(decide(stage, begin(tenant=tenant, connection=tie)))

    assert (stage.eu, "eu", tenant, tie) == (granted.home, granted.location, granted.tenant, granted.connection)
    assert {"purpose": "install"} == granted.ticket
    assert set(SCOPES) <= granted.answer.scopes
    assert granted.answer.refresh
    assert {"api_domain": stage.eu} == granted.answer.extra
    assert 1 == tokens_asked(stage)


def test_another_data_centre_is_met_with_its_own_secret(stage: Stage, begin: Begin, complete: Complete) -> None:
    """Charlie lives in the US."""
    granted = complete(decide(stage, begin(), user=CHARLIE))

    assert (stage.us, "us") == (granted.home, granted.location)


def test_what_travels_tells_nothing(db: Database, begin: Begin) -> None:
    """The state is random and kept as its hash; the challenge is S256; the verifier and the ticket are sealed."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(begin()).query).items()}

    assert ("S256", "code", "offline") == (asked["code_challenge_method"], asked["response_type"], asked["access_type"])
    assert (43, 43) == (len(asked["code_challenge"]), len(asked["state"]))
    assert f"{ORIGIN}/oauth/zoho/callback" == asked["redirect_uri"]
    assert ",".join(SCOPES) == asked["scope"]
    with db.anyone() as connection:
        row = connection.execute(select(consent_requests).order_by(consent_requests.c.expires_at.desc()).limit(1)).one()
    held = b"".join(bytes(value) for value in (row.state, row.browser, row.ticket))
    for secret in (asked["state"], BROWSER, "install", "verifier"):
        assert secret.encode() not in held


def test_a_stolen_code_is_worthless(stage: Stage, begin: Begin, complete: Complete) -> None:
    """PKCE: Charlie's code under the state of a consent Alice began does not fit her verifier."""
    hers, his = begin(), decide(stage, begin(), user=CHARLIE)
    state = parse_qs(urlsplit(hers).query)["state"]

    with pytest.raises(Refused) as bad:
        complete(his | {"state": state})
    assert "oauth.code_refused" == bad.value.code
    assert 1 == tokens_asked(stage)


def test_a_state_is_good_once(stage: Stage, begin: Begin, complete: Complete) -> None:
    """Whether the first use went well or not, and for one of many that come at once."""
    back = decide(stage, begin())
    results: list[str] = []

    def use() -> None:
        try:
            results.append(complete(back).location)
        except BadConsent as bad:
            results.append(bad.code)

    threads = [threading.Thread(target=use) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["eu", *["oauth.state"] * 4] == sorted(results)
    assert 1 == tokens_asked(stage)
    assert "oauth.state" == refused(lambda: complete(back))


WRONG: dict[str, Callable[[Back], Back]] = {
    "no state": lambda back: {name: back[name] for name in back if name != "state"},
    "an empty state": lambda back: back | {"state": [""]},
    "an invented state": lambda back: back | {"state": ["A" * 43]},
    "half of it": lambda back: back | {"state": [back["state"][0][:20]]},
    "a state of 8 KiB": lambda back: back | {"state": ["A" * 8192]},
    "nothing at all": lambda _: {},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_state_that_is_not_ours_is_refused(
    change: Callable[[Back], Back], stage: Stage, begin: Begin, complete: Complete
) -> None:
    """Nothing is sent anywhere; and what was begun can still be completed."""
    back = decide(stage, begin())

    assert "oauth.state" == refused(lambda: complete(change(back)))
    assert 0 == tokens_asked(stage)
    assert "eu" == complete(back).location


def test_another_browser_cannot_complete_it(stage: Stage, begin: Begin, complete: Complete) -> None:
    """An address sent to somebody else connects nobody's account to anybody."""
    back = decide(stage, begin())

    assert {"oauth.state"} == {
        refused(lambda: complete(back, "charlie's browser")),
        refused(lambda: complete(back, "")),
    }
    assert 0 == tokens_asked(stage)


def test_another_provider_cannot_complete_it(stage: Stage, begin: Begin, consent: Consent, zoho: OAuthProvider) -> None:
    """A code of one provider is never taken to another (RFC 9700, 4.4)."""
    back = decide(stage, begin())
    other = replace(zoho, slug="google")

    assert "oauth.state" == refused(lambda: consent.complete(other, back, browser=BROWSER))
    assert 0 == tokens_asked(stage)


@pytest.mark.parametrize(("minutes", "good"), [(9, True), (11, False)])
def test_it_has_ten_minutes(
    minutes: int, good: bool, stage: Stage, begin: Begin, complete: Complete, db: Database
) -> None:
    """A minute before the end it is good, a minute after it is not."""
    back = decide(stage, begin())
    with db.anyone() as connection:
        passed = func.make_interval(0, 0, 0, 0, 0, minutes)
        connection.execute(update(consent_requests).values(expires_at=consent_requests.c.expires_at - passed))

    if good:
        assert "eu" == complete(back).location
    else:
        assert "oauth.state" == refused(lambda: complete(back))
        assert 0 == tokens_asked(stage)


ANSWERS: dict[str, tuple[Callable[[Back], Back], str]] = {
    "yes and no": (lambda back: back | {"error": ["access_denied"]}, "oauth.ambiguous"),
    "two codes": (lambda back: back | {"code": back["code"] * 2}, "oauth.ambiguous"),
    "two states": (lambda back: back | {"state": back["state"] * 2}, "oauth.ambiguous"),
    "another error": (lambda back: {"state": back["state"], "error": ["<script>"]}, "oauth.provider_error"),
    "no code": (lambda back: {"state": back["state"]}, "oauth.code"),
    "an empty code": (lambda back: back | {"code": [""]}, "oauth.code"),
    "a code of 8 KiB": (lambda back: back | {"code": ["a" * 8192]}, "oauth.code"),
    "a line break": (lambda back: back | {"code": ["a\r\nHost: evil.example"]}, "oauth.code"),
    "a NUL": (lambda back: back | {"code": ["a\0"]}, "oauth.code"),
    "other letters": (lambda back: back | {"code": ["ключ"]}, "oauth.code"),
}


@pytest.mark.parametrize(("change", "code"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_cannot_be_is_refused(
    change: Callable[[Back], Back], code: str, stage: Stage, begin: Begin, complete: Complete
) -> None:
    """With a code for each, and nothing sent anywhere."""
    back = decide(stage, begin())

    assert code == refused(lambda: complete(change(back)))
    assert 0 == tokens_asked(stage)


def test_somebody_who_says_no_is_heard(stage: Stage, begin: Begin, complete: Complete) -> None:
    """Permission was not given: a plain sentence, and they may begin again."""
    back = decide(stage, begin(), deny="yes")

    with pytest.raises(BadConsent, match="Permission was not given") as bad:
        complete(back)
    assert "oauth.denied" == bad.value.code
    assert "eu" == complete(decide(stage, begin())).location


FORGED = [
    "https://evil.example",
    "https://accounts.zoho.eu.evil.example",
    "https://evil.example/accounts.zoho.eu",
    "https://accounts.zoho.eu@evil.example",
    "https://evil.example#accounts.zoho.eu",
    "https://evil.example?accounts.zoho.eu",
    "https://evil.example\\.zoho.eu",
    "https://xn--zoho-1ra.eu",
    "https://accounts.zoho.eu",  # Zoho's own, but not on this installation's list
    "http://accounts.zoho.eu",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://[::1]:1",
    "http://169.254.169.254",
    "file:///etc/passwd",
    "//evil.example",
    "javascript:alert(1)",
    "{eu}/",  # a path on the right host is another address too, except for the last slash
    "{eu}.evil.example",
    "{eu}@evil.example",
    "{eu}/../evil",
    "{EU}",
    "{us}",  # on the list, but another data centre's
]


@pytest.mark.parametrize("address", FORGED)
def test_our_secret_goes_to_the_data_centre_on_the_list_or_nowhere(
    address: str, stage: Stage, begin: Begin, complete: Complete
) -> None:
    """A callback can name any address; only the listed one of that very data centre is believed."""
    back = decide(stage, begin())
    forged = address.replace("{eu}", stage.eu).replace("{us}", stage.us).replace("{EU}", stage.eu.upper())

    if address == "{eu}/":
        assert stage.eu == complete(back | {"accounts-server": [forged]}).home
    else:
        assert "oauth.host" == refused(lambda: complete(back | {"accounts-server": [forged]}))
        assert 0 == tokens_asked(stage)


@pytest.mark.parametrize("location", ["us", "", "xx", "EU", "__class__"])
def test_a_data_centre_by_another_name_is_refused(
    location: str, stage: Stage, begin: Begin, complete: Complete
) -> None:
    """The name decides whose secret is sent, so it has to fit the address."""
    back = decide(stage, begin())

    assert "oauth.host" == refused(lambda: complete(back | {"location": [location]}))
    assert 0 == tokens_asked(stage)


def test_an_api_that_is_not_the_providers_is_refused(
    stage: Stage, db: Database, vault: Vault, zoho: OAuthProvider, begin: Begin
) -> None:
    """Tokens would be sent there with every request."""
    strict = replace(zoho, trusted_api=lambda location, origin: False)
    consent = Consent(db, vault, {"zoho": strict}, origin=ORIGIN, timeout=5)

    assert "oauth.host" == refused(lambda: consent.complete(strict, decide(stage, begin()), browser=BROWSER))


def test_a_code_that_was_spent_elsewhere(stage: Stage, begin: Begin, complete: Complete) -> None:
    """The provider says no, and we say so without its words."""
    back = decide(stage, begin())

    with pytest.raises(Refused) as bad:
        complete(back | {"code": ["1000.invented"]})
    assert "oauth.code_refused" == bad.value.code


TROUBLE: dict[str, tuple[str, dict[str, Any]]] = {
    "an error page": ("html", {}),
    "busy": ("status", {"status": 503}),
    "a throttle": ("status", {"status": 200, "body": {"error": "Access Denied"}}),
    "a broken line": ("drop_after", {}),
    "half an answer": ("truncated", {}),
}


@pytest.mark.parametrize(("action", "more"), TROUBLE.values(), ids=TROUBLE)
def test_a_provider_in_trouble_is_no_consent(
    action: str, more: dict[str, Any], stage: Stage, begin: Begin, complete: Complete
) -> None:
    """Nobody knows, or later; never half a consent, and never an error without a name."""
    back = decide(stage, begin())
    stage.fault("POST /oauth/v2/token", action, **more)

    with pytest.raises((TryLater, Unanswered, Refused)):
        complete(back)
