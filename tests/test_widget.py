"""The frame in Zoho: calls and the mail one may see, framed by Zoho alone, with a session that opens nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from console.pairing import LENGTH, SIGNS
from domain.own_account import OWNER
from integrations.zoho.embedding import framed_by, framed_by_any
from store.database import TenantId
from store.embedded import Postgres
from tests.console_desk import Stage, letter, meet, person, ring, running

DANA, NUMBER = "dana@sol.example", "+34600111222"
HERE = "/widget/zoho/Contacts/90000"
EU = "frame-ancestors https://crm.zoho.eu https://crmplus.zoho.eu https://one.zoho.eu"
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour, base_url="https://linekeeper.alice.example") as stage:
        services, office = stage.services, stage.office
        (contact,) = meet(services, tenant, office.crm, [person("Dana", "Sol", "Sol Ltd", NUMBER, DANA)])
        now = services.db.now()
        ring(services, tenant, office.crm, "c1", now, number=NUMBER, user=office.bob, contact=contact)
        shared, alices = (
            services.connections.add(tenant, "workspace", "google", label=label, **facts)
            for label, facts in (("shared@a.example", {}), ("alice@a.example", own(office.alice.id)))
        )
        told = [("m1", "For everybody", shared), ("m2", "For Alice alone", alices)]
        for id, subject, box in told:
            services.mail.put(tenant, [(replace(letter(id, DANA, subject, now), mailbox=box.hex), [contact])])
        yield stage


def own(user: UUID) -> dict[str, Any]:
    return {"own": str(user), "mail_seen_by": OWNER}


def code(stage: Stage, who: str) -> str:
    """What the console shows somebody who is signed in there."""
    user = {"alice": stage.office.alice, "bob": stage.office.bob, "charlie": stage.next_door.alice}[who]
    value = stage.services.directory.new(
        "session", user.tenant, user=user.id, expires_at=stage.services.db.now() + timedelta(hours=1)
    )
    client = stage.app.test_client()
    client.set_cookie("__Host-linekeeper_session", value, secure=True, domain="localhost")
    page = client.get("/console/widget", base_url="https://localhost").get_data(as_text=True)
    form = {"csrf_token": page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]}
    shown = client.post("/console/widget", data=form, base_url="https://localhost").get_data(as_text=True)
    return re.findall(r'class="copy code">([^<]+)<', shown)[0]


def frame(stage: Stage) -> FlaskClient:
    """A frame on Dana's record, in a browser that holds no cookie of ours."""
    client = stage.app.test_client()
    client.environ_base["wsgi.url_scheme"] = "https"
    return client


def signed_in(stage: Stage, who: str) -> FlaskClient:
    client = frame(stage)
    assert 303 == client.post(HERE, data={"code": code(stage, who)}, headers=OURS).status_code
    return client


def test_who_is_signed_in_sees_calls_and_the_mail_they_may_see(stage: Stage) -> None:
    pages = {who: signed_in(stage, who).get(HERE) for who in ("alice", "bob")}
    seen = {who: page.get_data(as_text=True) for who, page in pages.items()}

    assert all("Dana Sol" in page and "Answered" in page and "For everybody" in page for page in seen.values())
    assert (True, False) == ("For Alice alone" in seen["alice"], "For Alice alone" in seen["bob"])
    assert EU in pages["bob"].headers["Content-Security-Policy"]
    assert "script-src 'self';" in pages["bob"].headers["Content-Security-Policy"]
    assert {"signed_in", "read.contact"} <= set(stage.actions())
    assert "google.passed" in stage.actions()


def test_a_stranger_is_asked_to_sign_in_and_sees_nobody(stage: Stage) -> None:
    """No session, one of the console's, a made-up one, a neighbour's: none of them shows Dana."""
    value = stage.services.directory.new(
        "session",
        stage.office.tenant,
        user=stage.office.bob.id,
        expires_at=stage.services.db.now() + timedelta(hours=1),
    )
    for cookie in ("", value, "x" * 43, "x" * 4000):
        client = frame(stage)
        if cookie:
            client.set_cookie("__Host-linekeeper_widget", cookie, secure=True)
        answer = client.get(HERE)
        assert (401, False) == (answer.status_code, "Dana" in answer.get_data(as_text=True))
    charlie = signed_in(stage, "charlie").get(HERE)
    assert (200, False) == (charlie.status_code, "Dana" in charlie.get_data(as_text=True))
    assert "Nobody we know yet" in charlie.get_data(as_text=True)


def test_the_code_is_good_once_for_five_minutes_and_one_at_a_time(stage: Stage) -> None:
    first, second = code(stage, "bob"), code(stage, "bob")
    late = stage.services.directory.new(
        "widget_code", stage.office.tenant, user=stage.office.bob.id, expires_at=stage.services.db.now()
    )
    assert set(second) <= {*SIGNS, "-"}
    assert LENGTH + 1 == len(second)
    tries = [first, late, "", "A" * 41, "ABCDE-23456", "\u0000", second.lower().replace("-", " "), second]

    answers = [frame(stage).post(HERE, data={"code": one}, headers=OURS) for one in tries]

    assert [401, 401, 401, 401, 401, 401, 303, 401] == [answer.status_code for answer in answers]
    cookie = answers[6].headers["Set-Cookie"]
    assert {"Secure", "HttpOnly", "SameSite=None", "Partitioned", "Path=/"} <= set(cookie.split("; "))


def test_its_session_opens_nothing_else_and_ends(stage: Stage) -> None:
    client = signed_in(stage, "alice")
    value = client.get_cookie("__Host-linekeeper_widget")
    assert value is not None
    client.set_cookie("__Host-linekeeper_session", value.value, secure=True)
    assert "/console/sign-in" == client.get("/console/contacts").location

    assert 303 == client.post(f"{HERE}/leave", headers=OURS).status_code
    client.set_cookie("__Host-linekeeper_widget", value.value, secure=True)
    assert 401 == client.get(HERE).status_code

    bob = signed_in(stage, "bob")
    stage.services.directory.strike_sessions(stage.office.tenant, stage.office.bob.id)
    assert 401 == bob.get(HERE).status_code


def test_another_sites_form_is_not_taken(stage: Stage) -> None:
    told = {"code": code(stage, "bob")}
    elsewhere: list[dict[str, str]] = [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Origin": "https://x.example"},
    ]

    for headers in elsewhere:
        answers = [frame(stage).post(path, data=told, headers=headers) for path in (HERE, f"{HERE}/leave")]
        assert [403, 403] == [answer.status_code for answer in answers], headers
    assert 303 == frame(stage).post(HERE, data=told, headers=OURS).status_code, "and the code was not spent"


def test_an_address_that_names_no_record(stage: Stage) -> None:
    client = signed_in(stage, "bob")
    for made_up in ("%00", "..%5c", "x" * 65, "a b", "1%27"):
        paths = (f"/widget/zoho/Contacts/{made_up}", f"/widget/zoho/{made_up}/1")
        assert [404, 404] == [client.get(path).status_code for path in paths], made_up
    assert "Nobody we know yet" in client.get("/widget/zoho/Deals/1").get_data(as_text=True)


def test_zohos_script_is_alone_on_its_page(stage: Stage) -> None:
    """The page that asks which record is open shows nobody, asks us nothing and sends nothing, signed in or not."""
    for client in (frame(stage), signed_in(stage, "bob")):
        answer = client.get("/widget/zoho?serviceOrigin=https%3A%2F%2Fcrm.zoho.eu")
        policy, page = answer.headers["Content-Security-Policy"], answer.get_data(as_text=True)
        assert "script-src 'self' https://live.zwidgets.com;" in policy
        assert ("connect-src" in policy, "form-action 'none'" in policy) == (False, True)
        assert 'src="https://live.zwidgets.com/js-sdk/1.5/ZohoEmbededAppSDK.min.js"' in page
        assert "Bob" not in page
    assert "live.zwidgets.com" not in frame(stage).get(HERE).headers["Content-Security-Policy"]


def test_only_zoho_frames_it_each_tenants_own_data_centre() -> None:
    assert ("https://crm.zoho.com.au", "https://crmplus.zoho.com.au", "https://one.zoho.com.au") == framed_by(
        "https://crm.zoho.com.au/crm/org1"
    )
    assert "https://crm.zohocloud.ca" in framed_by("https://crm.zohocloud.ca/crm/org1")
    assert ("http://127.0.0.1:9000",) == framed_by("http://127.0.0.1:9000/crm/org1")
    everywhere = framed_by_any("https://accounts.zoho.com/oauth/serverinfo")
    assert {"https://crm.zoho.com", "https://crm.zoho.eu", "https://one.zoho.in"} <= set(everywhere)
    assert all(re.fullmatch(r"https://[a-z]+\.zoho(cloud)?\.[a-z.]+", one) for one in everywhere)
    assert ((), ("http://127.0.0.1:*",)) == (framed_by(""), framed_by_any("http://127.0.0.1:9000/oauth/serverinfo"))


def test_no_other_page_can_be_framed(stage: Stage) -> None:
    browser = frame(stage)
    for path in ("/console/sign-in", "/console/widget", "/console/nowhere"):
        assert "frame-ancestors 'none'" in browser.get(path).headers["Content-Security-Policy"]
