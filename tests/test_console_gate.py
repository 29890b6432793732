"""Who gets into the console: nobody without a session, nobody next door, and nothing is changed without its form."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from console.session import SAFE
from store.database import TenantId
from store.embedded import Postgres
from tests.console_desk import Stage, contact_of, letter, meet, person, post, ring, running, token

DANA = "+34600111222"
OPEN = {
    "console.session.sign_in",
    "console.session.sign_in_zoho",
    "console.consent.install_zoho",
    "console.consent.install_google",
    "console.consent.callback",
    "console.static",
    "console.widget.index",
    "console.widget.enter",  # a code is asked for instead; see test_widget.py
    "console.widget.leave",
    "console.meet.index",  # a frame knows by itself whose it is, and its forms bring its own token (test_meet_panel)
    "console.meet.dial",
    "console.meet.leave",
    "console.meet.opened",
}
FOR_AGENTS = (
    "/console/panel",
    "/console/panel/state",
    "/console/own",
    "/console/calls",
    "/console/missed",
    "/console/texts",
    "/console/call-lists",
    "/console/contacts",
    "/console/workspace",
    "/console/widget",
)
FOR_ADMINISTRATORS = (
    "/console/settings",
    "/console/settings/calls",
    "/console/settings/numbers",
    "/console/connections",
    "/console/connections/google",
    "/console/accounts",
    "/console/connections/phone",
    "/console/connections/phone/standard",
    "/console/changes",
    "/console/holdings",
    "/console/keys",
    "/console/routing",
    "/console/settings/fields",
    "/console/settings/fields/Contacts",
    "/console/dial-plan",
    "/console/ledger",
)


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


def rules(stage: Stage) -> list[tuple[str, str, str]]:
    """Every (endpoint, method, path) the console answers, ids made up."""
    made_up = {"call": uuid4(), "contact": uuid4(), "tie": uuid4(), "message": "m1", "vendor": "standard"}
    made_up |= {"action": "hangup", "key": uuid4(), "route": uuid4(), "rule": uuid4(), "row": uuid4(), "text": uuid4()}
    made_up |= {"listing": uuid4(), "callee": uuid4()}
    made_up |= {"token": uuid4(), "line": uuid4(), "module": "Contacts", "record": "1"}
    made_up |= {"provider": "zoho", "filename": "console.css", "rest": "nowhere"}
    with stage.app.test_request_context():
        adapter = stage.app.url_map.bind("localhost")
        return [
            (rule.endpoint, method, adapter.build(rule.endpoint, {name: made_up[name] for name in rule.arguments}))
            for rule in stage.app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
            if rule.endpoint.startswith("console.")
        ]


def refused(answer: TestResponse) -> bool:
    """Sent to the sign-in page, or told 401."""
    return answer.status_code == 401 or (answer.status_code == 302 and answer.location == "/console/sign-in")


def test_nobody_gets_in_without_a_session(stage: Stage) -> None:
    """Every route that is not a way in asks for a session first, whatever the method."""
    closed = [row for row in rules(stage) if row[0] not in OPEN]
    assert len(closed) > 20
    browser = stage.browser()

    assert [] == [row for row in closed if not refused(browser.open(row[2], method=row[1]))]
    assert [] == stage.stories.asked


@pytest.mark.parametrize("value", ["", "x" * 43, "x" * 4000, "\u0000", "../../etc"])
def test_a_made_up_session_is_none(stage: Stage, value: str) -> None:
    browser = stage.app.test_client()
    browser.set_cookie("linekeeper_session", value)

    assert refused(browser.get("/console/calls"))


def test_a_session_ends_on_time(stage: Stage) -> None:
    """Good until it ends, then it never was."""
    directory, bob, now = stage.services.directory, stage.office.bob, stage.services.db.now()
    young = directory.new("session", bob.tenant, user=bob.id, expires_at=now + timedelta(minutes=1))
    due = directory.new("session", bob.tenant, user=bob.id, expires_at=now - timedelta(minutes=1))
    browser = stage.app.test_client()

    browser.set_cookie("linekeeper_session", young)
    assert 200 == browser.get("/console/calls").status_code
    browser.set_cookie("linekeeper_session", due)
    assert refused(browser.get("/console/calls"))


def test_whoever_leaves_is_out_at_once(stage: Stage) -> None:
    """A user the CRM no longer has, and anybody of a tenant that is being erased."""
    bob, charlie = stage.browser("bob"), stage.browser("charlie")
    assert (200, 200) == (bob.get("/console/calls").status_code, charlie.get("/console/calls").status_code)

    stage.services.tenants.learn_users(stage.office.tenant, stage.office.crm, [])
    stage.services.tenants.set(stage.next_door.tenant, state="erasing")

    assert refused(bob.get("/console/calls"))
    assert refused(charlie.get("/console/calls"))


def test_signing_out_ends_the_session_everywhere(stage: Stage) -> None:
    """The value is worth nothing afterwards, on any browser."""
    browser = stage.browser("bob")
    value = browser.get_cookie("linekeeper_session")
    assert value is not None

    assert "/console/sign-in" == post(browser, "/console/sign-out").location

    thief = stage.app.test_client()
    thief.set_cookie("linekeeper_session", value.value)
    assert refused(thief.get("/console/calls"))
    assert "signed_out" in stage.actions()


# ---- roles and strangers ----------------------------------------------------------------------------------


def test_an_agent_sees_the_panel_calls_and_contacts_and_nothing_else(stage: Stage) -> None:
    alice, bob = stage.browser("alice"), stage.browser("bob")
    for path in (*FOR_AGENTS, *FOR_ADMINISTRATORS):  # presence before absence: the administrator gets there
        assert alice.get(path, follow_redirects=True).status_code == 200, path

    assert [200] * len(FOR_AGENTS) == [bob.get(path).status_code for path in FOR_AGENTS]
    assert [403] * len(FOR_ADMINISTRATORS) == [bob.get(path).status_code for path in FOR_ADMINISTRATORS]
    assert "/console/panel" == bob.get("/console/").location


def test_an_agent_changes_nothing(stage: Stage) -> None:
    """Every form of the administrator's is refused to Bob, although his token is good."""
    bob = stage.browser("bob")
    form_token = token(bob)
    theirs = [row for row in rules(stage) if row[1] == "POST" and row[0].startswith("console.connections")]
    assert len(theirs) >= 4

    for _, _, path in theirs:
        assert 403 == bob.post(path, data={"csrf_token": form_token}).status_code, path
    assert [] == stage.stories.asked


def test_charlie_finds_nothing_of_alices(stage: Stage) -> None:
    """Her ids give him the very page a made-up id gives: not there, or not yours, is one answer."""
    services, office = stage.services, stage.office
    meet(services, office.tenant, office.crm, [person("Dana", "Sol", "Sol SL", DANA, "dana@sol.example")])
    contact = contact_of(services, office.tenant, DANA)
    call = ring(services, office.tenant, office.crm, "c1", services.db.now(), number=DANA, contact=contact)
    services.mail.put(office.tenant, [(letter("m-secret", "dana@sol.example", "Offer", services.db.now()), [contact])])
    hers = {
        f"/console/calls/{call}": f"/console/calls/{uuid4()}",
        f"/console/contacts/{contact}": f"/console/contacts/{uuid4()}",
        "/console/messages/m-secret": "/console/messages/m-made-up",
        f"/console/connections/{office.crm}/disconnect": f"/console/connections/{uuid4()}/disconnect",
    }
    alice, charlie = stage.browser("alice"), stage.browser("charlie")
    assert {200} == {alice.get(path).status_code for path in hers}

    for path, made_up in hers.items():
        real, invented = charlie.get(path), charlie.get(made_up)
        assert (404, 404) == (real.status_code, invented.status_code), path
        assert _without_token(real) == _without_token(invented), path
    form_token = token(charlie)
    for deed in ("consent", "secret", "disconnect"):
        path = f"/console/connections/{office.crm}/{deed}"
        assert charlie.post(path, data={"csrf_token": form_token}).status_code in (400, 404), path
    assert [] == stage.stories.asked
    everything = "".join(
        charlie.get(path).get_data(as_text=True) for path in (*FOR_AGENTS, "/console/", "/console/ledger")
    )
    assert "Charlie" in everything
    assert [] == [word for word in ("Dana", "Alice", "600 11", "Sol SL") if word in everything]


def _without_token(answer: TestResponse) -> str:
    page = answer.get_data(as_text=True)
    for part in page.split('name="csrf_token" value="')[1:]:
        page = page.replace(part.split('"', 1)[0], "")
    return page


@pytest.mark.parametrize(
    "path",
    ["/console/nowhere", "/console/calls/1", "/console/calls/..%2f..%2f", "/console/contacts/" + "9" * 4000],
    ids=["unknown", "no uuid", "dots", "huge"],
)
def test_an_address_that_is_not_there(stage: Stage, path: str) -> None:
    answer = stage.browser("bob").get(path)

    assert 404 == answer.status_code
    assert "There is nothing here" in answer.get_data(as_text=True)


# ---- forms ------------------------------------------------------------------------------------------------


def test_every_form_asks_for_its_token(stage: Stage) -> None:
    """No POST of the console does anything without the token of a page this browser was given."""
    alice = stage.browser("alice")
    posts = [row for row in rules(stage) if row[1] not in SAFE and row[0] not in OPEN]
    assert len(posts) >= 7

    for _, method, path in posts:
        for form in ({}, {"csrf_token": "made-up"}):
            answer = alice.open(path, method=method, data=form)
            assert 403 == answer.status_code, path
            assert "csrf" in answer.get_data(as_text=True)
    assert [] == stage.stories.asked


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:8000.evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:8000"}, 303),
        ({"Origin": "null"}, 303),
        ({}, 303),
    ],
)
def test_a_form_of_another_site_is_refused(stage: Stage, headers: dict[str, str], status: int) -> None:
    """Even with a good token. Under no-referrer browsers send `Origin: null` with our own forms."""
    alice = stage.browser("alice")
    form_token = token(alice)

    answer = alice.post("/console/deliveries/replay", data={"csrf_token": form_token}, headers=headers)

    assert status == answer.status_code


@pytest.mark.parametrize("extra", [{"tenant_id": "1"}, {"role": "admin"}])
def test_a_field_nobody_asked_for_is_refused(stage: Stage, extra: dict[str, str]) -> None:
    """Mass assignment gets nowhere, and its name is not echoed."""
    alice = stage.browser("alice")

    answer = post(alice, "/console/deliveries/replay", **extra)

    assert 400 == answer.status_code
    assert not any(name in answer.get_data(as_text=True) for name in extra)


@pytest.mark.parametrize(
    "path",
    [
        "/console/calls?before=yesterday",
        "/console/calls?before=2026-11-21T10:00:00",
        "/console/calls?limit=1000000000",
        "/console/calls?before=2026-11-21T10:00:00%2B00:00&before=2026-11-21T10:00:00%2B00:00",
        "/console/ledger?before=0",
        "/console/ledger?before=-1",
        "/console/ledger?before=99999999999999999999999",
        "/console/ledger?action=%25",
        "/console/contacts?q=" + "x" * 10_000,
        "/console/contacts?tenant=1",
        "/console/?next=https://evil.example",
    ],
)
def test_an_address_that_asks_for_too_much(stage: Stage, path: str) -> None:
    answer = stage.browser("alice").get(path)

    assert 400 == answer.status_code
    assert "evil" not in answer.get_data(as_text=True)


# ---- what browsers are told -------------------------------------------------------------------------------


def test_every_answer_carries_the_headers(stage: Stage) -> None:
    """Pages, errors, redirects and JSON alike; only the style sheet and pictures may be kept."""
    alice = stage.browser("alice")
    for path in (*FOR_AGENTS, *FOR_ADMINISTRATORS, "/console/nowhere", "/console/sign-in", "/install/google"):
        headers = alice.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert ("nosniff", "no-referrer", "no-store") == (
            headers["X-Content-Type-Options"],
            headers["Referrer-Policy"],
            headers["Cache-Control"],
        ), path
        assert "Strict-Transport-Security" not in headers  # this stage is http on loopback
    with alice.get("/console/static/console.css") as style:
        assert "no-store" not in style.headers["Cache-Control"]


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(stage: Stage) -> None:
    """The policy would block it, so no page may lean on it."""
    alice = stage.browser("alice")
    for path in ("/console/", *FOR_AGENTS, *FOR_ADMINISTRATORS, "/console/sign-in"):
        page = alice.get(path, follow_redirects=True).get_data(as_text=True)
        assert " style=" not in page
        assert "<style" not in page
        assert " on" + "click" not in page
        assert page.count("<script") == page.count('<script src="/console/static/')
        assert 'src="http' not in page


def test_over_https_cookies_are_bound_to_the_host(
    db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId
) -> None:
    """`__Host-`, Secure, HttpOnly, Lax; and browsers are told to come by https only."""
    with running(db_urls.app_url, mail_url, tenant, neighbour, base_url="https://linekeeper.example") as stage:
        answer = stage.browser().get("/console/sign-in/zoho", base_url="https://linekeeper.example")

        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-linekeeper_browser=")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
        assert "max-age=31536000; includeSubDomains" == answer.headers["Strict-Transport-Security"]


def test_json_without_a_session_is_a_problem(stage: Stage) -> None:
    answer = stage.browser().get("/console/panel/state")

    assert (401, "application/problem+json") == (answer.status_code, answer.mimetype)
    assert "session.none" == answer.get_json()["code"]


def test_a_broken_page_says_so_and_nothing_else(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stack, and not the message either: it may hold somebody's name."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("Dana Sol +34600111222")

    monkeypatch.setattr(stage.services.calls, "recent", broken)
    answer = stage.browser("alice").get("/console/calls")

    page = answer.get_data(as_text=True)
    assert 500 == answer.status_code
    assert "Something broke on our side" in page
    assert "internal" in page
    assert "Dana" not in page
    assert "Traceback" not in page
