"""A consent is completed by the browser that began it, once, and in time; nothing else completes anything."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import func, select, update

from domain.errors import Refused, TryLater, Unanswered
from oauth.flow import BadConsent
from store.database import Database, TenantId
from store.tables import consent_requests
from store.vault import Vault
from tests.consenting import BROWSER, ORIGIN, SCOPES, Back, Errand, refused, state_of
from tests.zoho_stage import CHARLIE, Stage, running


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def errand(stage: Stage, db: Database, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Errand:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # as open_services does for a stage on loopback
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    return Errand.start(stage, db, vault)


def test_a_consent_from_beginning_to_end(errand: Errand, tenant: TenantId) -> None:
    """Alice consents in the EU: her tokens come from there, what was asked and why is remembered."""
    tie = uuid.uuid4()
    granted = errand.complete(errand.decide(errand.begin(tenant=tenant, connection=tie)))

    assert (errand.stage.eu, "eu", tenant, tie) == (granted.home, granted.location, granted.tenant, granted.connection)
    assert {"purpose": "install"} == granted.ticket
    assert set(SCOPES) <= granted.answer.scopes
    assert granted.answer.refresh
    assert {"api_domain": errand.stage.eu} == granted.answer.extra
    assert 1 == errand.asked()


def test_another_data_centre_is_met_with_its_own_secret(errand: Errand) -> None:
    """Charlie lives in the US."""
    granted = errand.complete(errand.decide(user=CHARLIE))

    assert (errand.stage.us, "us") == (granted.home, granted.location)


def test_what_travels_tells_nothing(db: Database, errand: Errand) -> None:
    """The state is random and kept as its hash; the challenge is S256; the verifier and the ticket are sealed."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(errand.begin()).query).items()}

    assert ("S256", "code", "offline") == (asked["code_challenge_method"], asked["response_type"], asked["access_type"])
    assert (43, 43) == (len(asked["code_challenge"]), len(asked["state"]))
    assert f"{ORIGIN}/oauth/zoho/callback" == asked["redirect_uri"]
    assert ",".join(SCOPES) == asked["scope"]
    with db.anyone() as connection:
        row = connection.execute(select(consent_requests).order_by(consent_requests.c.expires_at.desc()).limit(1)).one()
    held = b"".join(bytes(value) for value in (row.state, row.browser, row.ticket))
    for secret in (asked["state"], BROWSER, "install", "verifier"):
        assert secret.encode() not in held


def test_a_stolen_code_is_worthless(errand: Errand) -> None:
    """PKCE: Charlie's code under the state of a consent Alice began does not fit her verifier."""
    hers, his = errand.begin(), errand.decide(user=CHARLIE)
    state = state_of(hers)

    with pytest.raises(Refused) as bad:
        errand.complete(his | {"state": state})
    assert "oauth.code_refused" == bad.value.code
    assert 1 == errand.asked()


def test_a_state_is_good_once(errand: Errand) -> None:
    """Whether the first use went well or not, and for one of many that come at once."""
    back = errand.decide()
    results: list[str] = []

    def use() -> None:
        try:
            results.append(errand.complete(back).location)
        except BadConsent as bad:
            results.append(bad.code)

    threads = [threading.Thread(target=use) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ["eu", *["oauth.state"] * 4] == sorted(results)
    assert 1 == errand.asked()
    assert "oauth.state" == refused(lambda: errand.complete(back))


WRONG: dict[str, Callable[[Back], Back]] = {
    "no state": lambda back: {name: back[name] for name in back if name != "state"},
    "an empty state": lambda back: back | {"state": [""]},
    "an invented state": lambda back: back | {"state": ["A" * 43]},
    "half of it": lambda back: back | {"state": [back["state"][0][:20]]},
    "a state of 8 KiB": lambda back: back | {"state": ["A" * 8192]},
    "nothing at all": lambda _: {},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_state_that_is_not_ours_is_refused(change: Callable[[Back], Back], errand: Errand) -> None:
    """Nothing is sent anywhere; and what was begun can still be completed."""
    back = errand.decide()

    assert "oauth.state" == refused(lambda: errand.complete(change(back)))
    assert 0 == errand.asked()
    assert "eu" == errand.complete(back).location


def test_another_browser_cannot_complete_it(errand: Errand) -> None:
    """An address sent to somebody else connects nobody's account to anybody."""
    back = errand.decide()

    assert {"oauth.state"} == {
        refused(lambda: errand.complete(back, "charlie's browser")),
        refused(lambda: errand.complete(back, "")),
    }
    assert 0 == errand.asked()


def test_another_provider_cannot_complete_it(errand: Errand) -> None:
    """A code of one provider is never taken to another (RFC 9700, 4.4)."""
    back = errand.decide()
    other = replace(errand.zoho, slug="google")

    assert "oauth.state" == refused(lambda: errand.consent.complete(other, back, browser=BROWSER))
    assert 0 == errand.asked()


@pytest.mark.parametrize(("minutes", "good"), [(9, True), (11, False)])
def test_it_has_ten_minutes(minutes: int, good: bool, errand: Errand, db: Database) -> None:
    """A minute before the end it is good, a minute after it is not."""
    back = errand.decide()
    with db.anyone() as connection:
        passed = func.make_interval(0, 0, 0, 0, 0, minutes)
        connection.execute(update(consent_requests).values(expires_at=consent_requests.c.expires_at - passed))

    if good:
        assert "eu" == errand.complete(back).location
    else:
        assert "oauth.state" == refused(lambda: errand.complete(back))
        assert 0 == errand.asked()


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
def test_an_answer_that_cannot_be_is_refused(change: Callable[[Back], Back], code: str, errand: Errand) -> None:
    """With a code for each, and nothing sent anywhere."""
    back = errand.decide()

    assert code == refused(lambda: errand.complete(change(back)))
    assert 0 == errand.asked()


def test_somebody_who_says_no_is_heard(errand: Errand) -> None:
    """Permission was not given: a plain sentence, and they may begin again."""
    back = errand.decide(deny="yes")

    with pytest.raises(BadConsent, match="Permission was not given") as bad:
        errand.complete(back)
    assert "oauth.denied" == bad.value.code
    assert "eu" == errand.complete(errand.decide()).location


def test_a_code_that_was_spent_elsewhere(errand: Errand) -> None:
    """The provider says no, and we say so without its words."""
    back = errand.decide()

    with pytest.raises(Refused) as bad:
        errand.complete(back | {"code": ["1000.invented"]})
    assert "oauth.code_refused" == bad.value.code


TROUBLE: dict[str, tuple[str, dict[str, Any]]] = {
    "an error page": ("html", {}),
    "busy": ("status", {"status": 503}),
    "a throttle": ("status", {"status": 200, "body": {"error": "Access Denied"}}),
    "a broken line": ("drop_after", {}),
    "half an answer": ("truncated", {}),
}


@pytest.mark.parametrize(("action", "more"), TROUBLE.values(), ids=TROUBLE)
def test_a_provider_in_trouble_is_no_consent(action: str, more: dict[str, Any], errand: Errand) -> None:
    """Nobody knows, or later; never half a consent, and never an error without a name."""
    back = errand.decide()
    errand.stage.fault("POST /oauth/v2/token", action, **more)

    with pytest.raises((TryLater, Unanswered, Refused)):
        errand.complete(back)
