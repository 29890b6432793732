"""Making, mending and ending connections, and the browser's steps through consent."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import pytest

from domain.errors import Forbidden, Refused, Trouble
from jobs import leaving
from store.database import TenantId
from store.embedded import Postgres
from tests.console_desk import Completed, Stage, post, running

CONSENT_PAGE = "https://accounts.zoho.com/oauth/v2/auth?state=made-up"
PHONE = "/console/connections/phone/standard"


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


def text(answer: Any) -> str:
    return html.unescape(answer.get_data(as_text=True))


# ---- consent ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "purpose"), [("/install/zoho", "install"), ("/console/sign-in/zoho", "sign_in")])
def test_consent_is_bound_to_the_browser_that_began(stage: Stage, path: str, purpose: str) -> None:
    """The cookie the browser keeps is the value the flow is told, going and coming back."""
    browser = stage.browser()
    stage.stories.back = Completed("sign_in", stage.office.bob)

    assert CONSENT_PAGE == browser.get(path).location
    browser.get("/oauth/zoho/callback?code=c&state=s")

    (_, begun), (_, completed) = stage.stories.asked
    assert (purpose, "zoho") == (begun["purpose"], begun["provider"])
    assert len(begun["browser"]) >= 43
    assert begun["browser"] == completed["browser"]
    assert {"code": ["c"], "state": ["s"]} == completed["query"]


def test_a_consent_that_does_not_last_sends_the_browser_on(stage: Stage) -> None:
    """Bound to the same browser; nobody is signed in or out meanwhile."""
    browser = stage.browser("alice")
    browser.get("/install/zoho")
    stage.stories.back = Completed("connect", stage.office.alice, onward=CONSENT_PAGE)

    answer = browser.get("/oauth/google/callback?code=c&state=s")

    assert (303, CONSENT_PAGE) == (answer.status_code, answer.location)
    (_, begun), (_, completed) = stage.stories.asked
    assert begun["browser"] == completed["browser"]
    assert "Connections" in text(browser.get("/console/connections"))


def test_a_connection_that_is_about_to_end_says_when_and_why(stage: Stage) -> None:
    """On the first page and on its own card; one that ended says what ended it."""
    tenant, now = stage.office.tenant, stage.services.now().isoformat()
    for vendor, label in (("google", "bob@a.example"), ("google", "sales@a.example")):
        tie = stage.services.connections.add(tenant, "workspace", vendor, label=label)
        stage.services.connections.set_facts(tenant, tie, licence={"held": True, "since": now, "times": 1})
    leaving.removed(
        stage.services, stage.services.connections.get(tenant, tie), leaving.UNLICENSED, said_at=stage.services.now()
    )
    browser = stage.browser("alice")

    for path in ("/console/", "/console/connections"):
        assert "not installed for this account any more" in text(browser.get(path))
    assert 1 == text(browser.get("/console/")).count("this connection ends")
    assert "removed from this account" in text(browser.get("/console/connections"))


def test_whoever_completes_a_sign_in_is_signed_in(stage: Stage) -> None:
    """With a new session; the one this browser had before is worth nothing."""
    browser = stage.browser("charlie")
    before = browser.get_cookie("linekeeper_session")
    stage.stories.back = Completed("sign_in", stage.office.bob)

    browser.get("/oauth/zoho/callback?code=c&state=s")

    assert "Bob Agent" in text(browser.get("/console/panel"))
    after = browser.get_cookie("linekeeper_session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert stage.services.directory.find("session", before.value) is None


def test_an_install_leads_to_the_connections(stage: Stage) -> None:
    browser = stage.browser()
    stage.stories.back = Completed("install", stage.office.alice, stage.office.crm)

    answer = browser.get("/oauth/zoho/callback?code=c&state=s", follow_redirects=True)

    assert "Log calls" in text(answer)


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (Refused("The administrator said no.", code="oauth.denied"), 200, "No permission was given"),
        (Trouble("Used already.", code="oauth.state"), 400, "This consent has run out"),
        (Forbidden("Nobody.", code="sign_in.unknown"), 403, "We do not know you yet"),
        (Refused("No.", code="oauth.refused"), 502, "The other side said no"),
    ],
)
def test_a_consent_that_failed_says_what_to_do(stage: Stage, error: Trouble, status: int, sentence: str) -> None:
    """In plain words, with a way on, and nothing of what came in the address."""
    stage.stories.back = error

    answer = stage.browser().get("/oauth/zoho/callback?error=<script>evil</script>&state=s")

    assert status == answer.status_code
    assert sentence in text(answer)
    assert "evil" not in text(answer)
    assert answer.headers.getlist("Set-Cookie") == []


@pytest.mark.parametrize("provider", ["evil", "standard", "zoho.evil", "%00"])
def test_a_provider_nobody_knows(stage: Stage, provider: str) -> None:
    assert 404 == stage.browser().get(f"/oauth/{provider}/callback?code=c").status_code
    assert [] == stage.stories.asked


def test_a_stranger_from_googles_marketplace_is_told_to_begin_with_zoho(stage: Stage) -> None:
    assert "Zoho first, then Google" in text(stage.browser().get("/install/google"))
    assert "connected by an administrator" in text(stage.browser("bob").get("/install/google"))
    assert "/console/connections/google" == stage.browser("alice").get("/install/google").location


def test_google_is_asked_for_what_was_ticked(stage: Stage) -> None:
    """Each feature with its purpose; nothing ticked asks for nothing, nor does what no page offers."""
    alice = stage.browser("alice")
    shown = text(alice.get("/console/connections/google"))
    for feature in stage.services.providers["google"].features:
        assert (feature.purpose in shown) is not feature.by_name

    assert 400 == post(alice, "/console/connections/google").status_code
    assert 400 == post(alice, "/console/connections/google", features=["contacts", "everything"]).status_code
    assert 400 == post(alice, "/console/connections/google", features=["contacts-write"]).status_code
    assert [] == stage.stories.asked
    answer = post(alice, "/console/connections/google", features=["contacts", "mailbox"])

    assert (303, CONSENT_PAGE) == (answer.status_code, answer.location)
    told = stage.stories.asked[0][1]
    assert ("google", "connect", ("contacts", "mailbox"), stage.office.alice) == (
        told["provider"],
        told["purpose"],
        told["features"],
        told["user"],
    )


def test_a_lost_permission_is_asked_for_again(stage: Stage) -> None:
    """From the connection itself, for features it has, in the name of its connection."""
    alice, crm = stage.browser("alice"), stage.office.crm

    assert 400 == post(alice, f"/console/connections/{crm}/consent", features=["mailbox"]).status_code
    answer = post(alice, f"/console/connections/{crm}/consent", features=["calls", "contacts", "phonebridge"])

    assert CONSENT_PAGE == answer.location
    told = stage.stories.asked[0][1]
    assert ("install", crm) == (told["purpose"], told["connection"])


# ---- telephone systems ------------------------------------------------------------------------------------


def test_a_telephone_system_gets_a_door_that_is_shown_once(stage: Stage) -> None:
    """The form asks what the vendor needs; the answer shows address and secret, and no page does again."""
    alice = stage.browser("alice")
    for field in stage.services.telephony["standard"].account:
        assert f'name="{field.name}"' in text(alice.get(PHONE))

    answer = post(alice, PHONE, base_url="https://pbx.example.com/api", api_key="k-123")

    assert {"base_url": "https://pbx.example.com/api", "api_key": "k-123"} == stage.stories.asked[0][1]["account"]
    assert "telephony/the-door" in text(answer)
    assert "whsec_the-secret" in text(answer)
    assert "no-store" == answer.headers["Cache-Control"]
    later = "".join(text(alice.get(path)) for path in ("/console/", "/console/connections", "/console/ledger"))
    assert "Your own telephone platform" in later
    assert "whsec_the-secret" not in later


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"base_url": "https://pbx.example.com"}, "Please fill this in."),
        ({"base_url": "", "api_key": "k"}, "Please fill this in."),
        ({"base_url": "http://pbx.example.com", "api_key": "k"}, "must begin with https://"),
        ({"base_url": "https://127.0.0.1/api", "api_key": "k"}, "not on the public internet"),
        ({"base_url": "https://0x7f.1/", "api_key": "k"}, "a number in disguise"),
        ({"base_url": "https://user@pbx.example.com/", "api_key": "k"}, "no user"),
        ({"base_url": "https://pbx.example.com", "api_key": "k" * 501}, "At most 500 characters."),
        ({"base_url": "https://pbx.example.com", "api_key": "k", "tenant_id": "1"}, "This form has no such field."),
    ],
    ids=["no key", "no address", "http", "loopback", "hex", "user", "long", "unknown field"],
)
def test_a_wrong_account_is_said_beside_its_field(stage: Stage, form: dict[str, str], problem: str) -> None:
    """Nothing is connected, what was typed is still there, and a key is not shown again."""
    answer = post(stage.browser("alice"), PHONE, **form)

    assert 400 == answer.status_code
    assert problem in text(answer)
    assert 'value="k' not in text(answer)
    assert [] == stage.stories.asked


def test_a_new_secret_is_shown_once(stage: Stage) -> None:
    """Telephone systems have one; a CRM has none of that kind."""
    alice, office = stage.browser("alice"), stage.office
    phone = stage.services.connections.add(office.tenant, "telephony", "standard", label="PBX")

    answer = post(alice, f"/console/connections/{phone}/secret")

    assert "whsec_the-next-secret" in text(answer)
    assert 404 == post(alice, f"/console/connections/{office.crm}/secret").status_code


# ---- the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "vendor", "destroyed"),
    [
        ("workspace", "google", "The key of its cached mail is destroyed first"),
        ("crm", "zoho", "Calls that are not written into Zoho yet will not be written."),
        ("telephony", "standard", "The door closes"),
    ],
)
def test_disconnecting_says_what_it_destroys_and_certifies_it(
    stage: Stage, kind: Any, vendor: str, destroyed: str
) -> None:
    """Looking at the page does nothing; the button does it and shows the certificate."""
    alice = stage.browser("alice")
    tie = stage.services.connections.add(stage.office.tenant, kind, vendor, label="x")
    path = f"/console/connections/{tie}/disconnect"

    assert destroyed in text(alice.get(path))
    assert [] == stage.stories.asked
    answer = post(alice, path)

    assert [("disconnect", {"tie": tie})] == stage.stories.asked
    assert {True} == {word in text(answer) for word in ("Certificate", "bWFkZSB1cA==", "messages")}


def test_an_ended_connection_cannot_be_ended_again(stage: Stage) -> None:
    office = stage.office
    with stage.services.db.tenant(office.tenant) as database:
        stage.services.connections.turn(database, office.tenant, office.crm, "disconnected")
    alice = stage.browser("alice")

    assert 404 == alice.get(f"/console/connections/{office.crm}/disconnect").status_code
    assert "1 ended connection" in text(alice.get("/console/connections"))
