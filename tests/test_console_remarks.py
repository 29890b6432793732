"""What agents say of calls, what callers left on tape, and what was written to and fro, in the console."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from werkzeug.serving import make_server

from domain.call import CallEvent, TextEvent
from domain.recording import Rules
from domain.remark import Wishes
from jobs import log_call, texts
from store.database import TenantId
from store.embedded import Postgres
from tests.console_desk import Stage, contact_of, meet, person, post, ring, running, sign_in, token
from tests.test_browser import OFFLINE, PATIENCE_SECONDS, QUIET, Quiet

DANA = "+34600111222"
OURS = "+34911222333"
WISHES = Wishes(dispositions=("Interested", "Call again"), required=True)


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        stage.services.tenants.set(tenant, wishes=WISHES.as_data())
        dana = person("Dana", "Sol", "Sol SL", DANA, "d@sol.example", "Buyer")
        meet(stage.services, tenant, stage.office.crm, [dana])
        yield stage


def call(stage: Stage, ref: str = "c1", **more: Any) -> UUID:
    services, office = stage.services, stage.office
    told: dict[str, Any] = {"number": DANA, "user": office.bob, "contact": contact_of(services, office.tenant, DANA)}
    return ring(services, office.tenant, office.crm, ref, services.db.now(), **told | more)


def page(stage: Stage, who: str, path: str) -> str:
    return stage.browser(who).get(path).get_data(as_text=True)


def kept(stage: Stage, of: UUID) -> Any:
    return stage.services.calls.get(stage.office.tenant, of)


# ---- remarks ------------------------------------------------------------------------------------------------------


def test_an_agent_says_how_a_call_of_his_went(stage: Stage) -> None:
    """Asked on its page until he does; the word and the note are kept, sealed, and owed to Zoho once."""
    of = call(stage)
    assert "Please choose how this call went." in page(stage, "bob", f"/console/calls/{of}")

    for _ in range(2):
        answer = post(
            stage.browser("bob"), f"/console/calls/{of}/remark", note="wants <b>two</b>", disposition="Interested"
        )
        assert (303, f"/console/calls/{of}") == (answer.status_code, answer.location)

    after = page(stage, "bob", f"/console/calls/{of}")
    assert "Please choose how this call went." not in after
    assert "wants &lt;b&gt;two&lt;/b&gt;" in after
    assert "<option selected>Interested</option>" in after
    assert ["call.remarked"] == [action for action in stage.actions() if action == "call.remarked"]
    assert "Add to the call in Zoho" in after
    with stage.services.db.tenant(stage.office.tenant) as database:
        owed = stage.services.effects.of_call(database, stage.office.tenant, of)
    assert 1 == [one["kind"] for one in owed].count("activity.update")


def test_the_panel_is_answered_without_a_page(stage: Stage) -> None:
    of = call(stage)
    bob = stage.browser("bob")
    form = {"csrf_token": token(bob), "note": "short", "disposition": ""}

    answer = bob.post(f"/console/calls/{of}/remark", data=form, headers={"Accept": "application/json"})

    assert (200, {"kept": True}) == (answer.status_code, answer.get_json())
    assert "short" == kept(stage, of).remark.note


@pytest.mark.parametrize(
    ("who", "form", "status"),
    [
        ("charlie", {"note": "x"}, 404),
        ("", {"note": "x"}, 401),
        ("bob", {"note": "x", "disposition": "Made up"}, 400),
        ("bob", {"note": "x" * 4001}, 400),
        ("bob", {"note": "x", "more": "y"}, 400),
    ],
    ids=["next door", "no session", "no such word", "too long", "unknown field"],
)
def test_nothing_else_is_taken(stage: Stage, who: str, form: dict[str, str], status: int) -> None:
    """And nothing is kept of it."""
    of = call(stage)
    browser = stage.browser(who)
    sent = form | ({"csrf_token": token(browser)} if who else {})

    assert status == browser.post(f"/console/calls/{of}/remark", data=sent).status_code
    assert kept(stage, of).remark is None


def test_a_colleagues_call_is_the_colleagues(stage: Stage) -> None:
    """Bob reads what Alice said of hers; he says nothing of it himself."""
    of = call(stage, user=stage.office.alice)
    post(stage.browser("alice"), f"/console/calls/{of}/remark", note="mine", disposition="Call again")

    assert 403 == post(stage.browser("bob"), f"/console/calls/{of}/remark", note="mine too").status_code
    seen = page(stage, "bob", f"/console/calls/{of}")
    assert "<strong>Call again</strong>" in seen
    assert "Alice Admin" in seen


def test_without_the_pages_own_form_nothing_is_kept(stage: Stage) -> None:
    of = call(stage)

    assert 403 == stage.browser("bob").post(f"/console/calls/{of}/remark", data={"note": "x"}).status_code
    assert kept(stage, of).remark is None


@pytest.mark.parametrize("required", [True, False])
def test_the_panel_asks_while_they_speak_and_until_they_said(stage: Stage, required: bool) -> None:
    """Five minutes longer where nobody insists; of what nobody answered there is nothing to say."""
    services, tenant = stage.services, stage.office.tenant
    services.tenants.set(tenant, wishes=Wishes(dispositions=("Interested",), required=required).as_data())
    now = services.db.now()
    old = ring(services, tenant, stage.office.crm, "old", now - timedelta(hours=2), number=DANA, user=stage.office.bob)
    call(stage, "missed", outcome="missed")
    live = call(stage, "live", over=False)

    state = stage.browser("bob").get("/console/panel/state").get_json()

    assert ["Interested"] == state["dispositions"]
    assert {str(live), *([str(old)] if required else [])} == {one["id"] for one in state["asking"]}
    assert {str(live): False, str(old): True}.items() >= {one["id"]: one["required"] for one in state["asking"]}.items()


def test_an_administrator_chooses_the_words(stage: Stage) -> None:
    alice = stage.browser("alice")
    good = {"dispositions": "Sold\r\n\r\n Sold \r\nNot now", "transcripts": "yes"}

    assert 303 == post(alice, "/console/settings/after-call", **good).status_code

    wishes = stage.services.tenants.get(stage.office.tenant).wishes
    assert Wishes(dispositions=("Sold", "Not now"), required=False, transcripts=True) == wishes
    assert "call.wishes" in stage.actions()
    for wrong in (
        {"dispositions": "x" * 61},
        {"dispositions": "\n".join(map(str, range(31)))},
        {"dispositions": "", "required": "yes"},
        {"dispositions": "Sold", "more": "x"},
    ):
        assert 400 == post(alice, "/console/settings/after-call", **wrong).status_code
    assert 403 == post(stage.browser("bob"), "/console/settings/after-call", **good).status_code
    assert wishes == stage.services.tenants.get(stage.office.tenant).wishes


# ---- voicemail ----------------------------------------------------------------------------------------------------


def voicemail(stage: Stage) -> UUID:
    """Dana spoke on Bob's tape."""
    services, tenant = stage.services, stage.office.tenant
    of = call(stage, "vm", outcome="missed")
    spoken = CallEvent(
        id="vm-spoken", type="voicemail", at=services.db.now(), call_ref="vm", caller=DANA, transcript="Call me <back>."
    )
    tie = services.connections.get(tenant, stage.office.crm)
    log_call.take_over(services, tie, services.calls.hear(tenant, tie.id, [spoken]))
    return of


def test_a_voicemail_is_new_until_somebody_who_may_opens_it(stage: Stage) -> None:
    of = voicemail(stage)
    assert '<span class="tag">New</span>' in page(stage, "bob", "/console/calls")
    assert kept(stage, of).unread

    opened = page(stage, "bob", f"/console/calls/{of}")

    assert "Call me &lt;back&gt;." in opened
    assert "First opened by Bob Agent today at" in opened
    assert '<span class="tag">New</span>' not in page(stage, "bob", "/console/calls")
    first = kept(stage, of).opened
    assert "First opened by Bob Agent" in page(stage, "alice", f"/console/calls/{of}")
    assert first == kept(stage, of).opened


def test_whoever_may_not_hear_it_does_not_read_it_either(stage: Stage) -> None:
    of = voicemail(stage)
    services, tenant = stage.services, stage.office.tenant
    carol = stage.office.alice
    with services.db.tenant(tenant) as database:
        database.exec_driver_sql("UPDATE calls SET user_id = %(user)s", {"user": carol.id})

    seen = page(stage, "bob", f"/console/calls/{of}")

    assert "Call me" not in seen
    assert "Nobody has opened it yet." in seen
    assert kept(stage, of).unread
    assert 404 == stage.browser("charlie").get(f"/console/calls/{of}").status_code


# ---- text messages ------------------------------------------------------------------------------------------------


def conversation(stage: Stage) -> UUID:
    services, tenant = stage.services, stage.office.tenant
    now = services.db.now()

    def said(number: int, direction: Any, text: str, **more: Any) -> TextEvent:
        ends = (DANA, OURS) if direction == "inbound" else (OURS, DANA)
        at = now - timedelta(seconds=10 - number)
        return TextEvent(
            id=f"e{number}", message_ref=f"m{number}", at=at, direction=direction, sender=ends[0], receiver=ends[1],
            text=text, **more,
        )  # fmt: skip

    told = [
        said(1, "inbound", "Is it <ready>?", media=("https://m.example/photo",)),
        said(2, "outbound", "On Tuesday.", agent_email=stage.office.bob.email),
    ]
    tie = services.connections.get(tenant, stage.office.crm)
    texts.hear(services, tie, told)
    return texts.kept(services).recent(tenant, limit=1)[0].id


def test_a_conversation_is_on_its_page_and_the_contacts(stage: Stage) -> None:
    of = conversation(stage)
    contact = contact_of(stage.services, stage.office.tenant, DANA)

    for path in ("/console/texts", f"/console/contacts/{contact}"):
        assert f'href="/console/texts/{of}"' in page(stage, "bob", path)
    seen = page(stage, "bob", f"/console/texts/{of}")
    assert "Is it &lt;ready&gt;?" in seen
    assert "Bob Agent, " in seen
    assert "Write the messages into Zoho" in seen
    assert "read.texts" in stage.actions()


def test_a_picture_is_a_link_only_where_there_is_a_basis(stage: Stage) -> None:
    of = conversation(stage)
    assert "https://m.example/photo" not in page(stage, "bob", f"/console/texts/{of}")

    stage.services.tenants.set(stage.office.tenant, recordings=Rules(inbound="consented").as_data())

    assert 'href="https://m.example/photo"' in page(stage, "bob", f"/console/texts/{of}")


def test_a_fax_stands_beside_them(stage: Stage) -> None:
    """With its pages, whether it went through, and a link only where there is a basis."""
    services, tenant = stage.services, stage.office.tenant
    tie = services.connections.get(tenant, stage.office.crm)
    fax = TextEvent(
        id="f", message_ref="f", at=services.db.now(), direction="outbound", sender=OURS, receiver=DANA, fax=True,
        pages=3, failed="the line was busy", media=("https://m.example/pages",),
    )  # fmt: skip
    texts.hear(services, tie, [fax])
    of = texts.kept(services).recent(tenant, limit=1)[0].id

    assert "You: Fax of 3 pages, not delivered: the line was busy" in page(stage, "bob", "/console/texts")
    assert "https://m.example/pages" not in page(stage, "bob", f"/console/texts/{of}")
    services.tenants.set(tenant, recordings=Rules(outbound="consented").as_data())
    assert 'href="https://m.example/pages"' in page(stage, "bob", f"/console/texts/{of}")


def test_next_door_sees_nothing_of_it(stage: Stage) -> None:
    of = conversation(stage)
    charlie = stage.browser("charlie")

    assert 404 == charlie.get(f"/console/texts/{of}").status_code
    assert str(of) not in charlie.get("/console/texts").get_data(as_text=True)
    assert 400 == charlie.get("/console/texts?before=yesterday").status_code


# ---- in a browser -------------------------------------------------------------------------------------------------


@pytest.mark.needs("chromium", "chromium-driver")
def test_what_an_agent_types_outlives_the_calls_end(stage: Stage, tmp_path: Path) -> None:
    """The panel is drawn anew all the time; the note is not, and is kept when he saves it."""
    services, tenant = stage.services, stage.office.tenant
    of = call(stage, "live", over=False)
    server = make_server("127.0.0.1", 0, stage.app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*QUIET, *OFFLINE, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,1000"):
        options.add_argument(flag)
    chrome = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    wait = WebDriverWait(chrome, PATIENCE_SECONDS)
    try:
        chrome.get(f"http://127.0.0.1:{server.server_port}/console/sign-in")
        cookie = sign_in(stage.app, services, stage.office.bob).get_cookie("linekeeper_session")
        assert cookie is not None
        chrome.add_cookie({"name": "linekeeper_session", "value": cookie.value, "path": "/"})
        chrome.get(f"http://127.0.0.1:{server.server_port}/console/panel")
        wait.until(lambda _: chrome.find_elements(By.NAME, "note"))
        chrome.find_element(By.NAME, "note").send_keys("wants an offer")
        tie = services.connections.get(tenant, stage.office.crm)
        over = CallEvent(
            id="over", type="ended", at=services.db.now(), call_ref="live", caller=DANA, outcome="answered"
        )
        log_call.take_over(services, tie, services.calls.hear(tenant, tie.id, [over]))
        wait.until(lambda _: "Nobody is on the line" in chrome.find_element(By.ID, "live").text)
        chrome.find_element(By.NAME, "disposition").send_keys("Interested")
        chrome.find_element(By.CSS_SELECTOR, "form.remark button").click()
        wait.until(lambda _: "Saved." in chrome.find_element(By.ID, "asking").text)
        assert [] == [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
    finally:
        chrome.quit()
        server.shutdown()

    assert ("wants an offer", "Interested") == (kept(stage, of).remark.note, kept(stage, of).remark.disposition)
