"""The side panel in Meet: framed by Meet alone, anybody's only after they said so, and then a telephone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from settings import BadSettings, read
from store.embedded import Postgres
from tests import console_desk, google_stage, house
from tests.card_hosts import DANAS, Office, office

SAME = {"Sec-Fetch-Site": "same-origin"}
PLACE = house.ORIGIN.removeprefix("https://")
COOKIE = "__Host-linekeeper_frame"
PANEL = "/console/meet"


@pytest.fixture(scope="module")
def google() -> Iterator[google_stage.Stage]:
    with google_stage.running() as stage:
        yield stage


@pytest.fixture(scope="module")
def here(db_urls: Postgres, work_url: str, mail_url: str, google: google_stage.Stage) -> Iterator[Office]:
    with office(db_urls, work_url, mail_url, google, GOOGLE_PROJECT_NUMBER="123456789012") as opened:
        yield opened


@pytest.fixture(scope="module")
def app(here: Office) -> Any:
    return console_desk.application(here.services, console_desk.Stories())


@pytest.fixture
def frame(app: Any) -> FlaskClient:
    """The frame: a browser that keeps only its own cookie."""
    client: FlaskClient = app.test_client()
    return client


@pytest.fixture
def window(app: Any, here: Office) -> FlaskClient:
    """A window of its own, where Bob is signed in."""
    client: FlaskClient = app.test_client()
    value = here.services.directory.new("session", here.bob.tenant, user=here.bob.id)
    client.set_cookie("__Host-linekeeper_session", value, domain=PLACE, secure=True)
    return client


def look(client: FlaskClient, path: str = PANEL) -> str:
    return client.get(path, base_url=house.ORIGIN).get_data(as_text=True)


def link(page: str) -> str:
    """Where "It is mine" leads."""
    found = re.search(r'href="(/console/meet/open\?frame=[^"]+)"', page)
    assert found, page
    return found[1]


def say_mine(window: FlaskClient, address: str) -> str:
    window.get(address, base_url=house.ORIGIN)
    page = look(window, f"{PANEL}/allow")
    form = {"csrf_token": page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]}
    sent = window.post(f"{PANEL}/allow", data=form, base_url=house.ORIGIN, headers=SAME)
    assert 200 == sent.status_code
    return page


def press(client: FlaskClient, path: str = f"{PANEL}/dial", headers: Any = None, **form: str) -> Any:
    page = look(client)
    told = re.search(r'name="frame_token" value="([^"]+)"', page)
    form = {"frame_token": told[1] if told else ""} | form
    return client.post(path, data=form, base_url=house.ORIGIN, headers=SAME if headers is None else headers)


def test_only_meet_may_frame_it_and_its_cookie_stays_in_the_frame(frame: FlaskClient) -> None:
    """Every other page is framed by nobody; Google's script runs in the panel and nowhere else."""
    answer = frame.get(PANEL, base_url=house.ORIGIN)
    policy, cookie = answer.headers["Content-Security-Policy"], answer.headers["Set-Cookie"]

    assert policy.endswith("frame-ancestors https://meet.google.com")
    assert "script-src 'self' https://www.gstatic.com/meetjs/;" in policy
    assert {"Secure", "HttpOnly", "SameSite=None", "Partitioned", "Path=/"} <= set(cookie.split("; "))
    assert cookie.startswith(COOKIE)
    other = frame.get("/console/sign-in", base_url=house.ORIGIN).headers["Content-Security-Policy"]
    assert ("frame-ancestors 'none'" in other, "gstatic" in other) == (True, False)


def test_a_panel_is_whose_who_said_so_until_they_leave_it(
    frame: FlaskClient, window: FlaskClient, here: Office
) -> None:
    """The same four digits stand in the frame and in the window; then it shows their calls and rings their phone."""
    first = look(frame)
    asked = say_mine(window, link(first))
    digits = re.search(r'class="code number">(\d{4})<', first)
    assert digits is not None
    assert digits[1] in asked

    assert "Dana Quince" in look(frame)
    before = len(here.owed("dial"))
    for _ in range(2):  # the same button, told twice
        rung = press(frame, number=DANAS, key="k1")
    assert (200, before + 1) == (rung.status_code, len(here.owed("dial")))
    assert "has already placed" in rung.get_data(as_text=True)
    call = re.search(r'name="call" value="([^"]+)"', look(frame))
    assert call is not None
    assert 200 == press(frame, call=call[1], key="k2").status_code
    assert before + 2 == len(here.owed("dial"))
    assert 303 == press(frame, f"{PANEL}/leave").status_code
    assert "It is mine" in look(frame)


REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "a form of another site": (403, {"headers": {"Sec-Fetch-Site": "cross-site"}, "number": DANAS, "key": "k"}),
    "a token of another frame": (403, {"frame_token": "0" * 64, "number": DANAS, "key": "k"}),
    "an emergency number": (400, {"number": "112", "key": "k"}),
    "a number that is none": (400, {"number": "x", "key": "k"}),
    "a call of nobody": (400, {"call": "00000000-0000-0000-0000-000000000001", "key": "k"}),
    "no key": (400, {"number": DANAS}),
    "a field of their own": (400, {"number": DANAS, "key": "k", "fire": "1"}),
}


@pytest.mark.parametrize(("status", "form"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_press_of_the_panel_rings_nobody(
    status: int, form: dict[str, Any], frame: FlaskClient, window: FlaskClient, here: Office
) -> None:
    say_mine(window, link(look(frame)))
    before = len(here.owed("dial"))

    assert status == press(frame, **form).status_code
    assert before == len(here.owed("dial"))


def test_nobodys_panel_dials_nothing_and_an_old_ticket_opens_nothing(
    app: Any, frame: FlaskClient, window: FlaskClient, here: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's frame stays a stranger's; a ticket that was made up or is older than ten minutes is refused."""
    address = link(look(frame))
    assert 401 == press(frame, number=DANAS, key="k").status_code
    assert 400 == window.get(f"{PANEL}/open?frame=made.up.ticket", base_url=house.ORIGIN).status_code
    monkeypatch.setattr("console.framed.ASKED_SECONDS", -1)
    assert 400 == window.get(address, base_url=house.ORIGIN).status_code
    assert 404 == window.get(f"{PANEL}/allow", base_url=house.ORIGIN).status_code
    stranger = app.test_client().get(f"{PANEL}/allow", base_url=house.ORIGIN)
    assert stranger.headers["Location"].endswith("/console/sign-in")


def test_a_user_who_was_signed_out_everywhere_loses_the_panel(
    frame: FlaskClient, window: FlaskClient, here: Office
) -> None:
    say_mine(window, link(look(frame)))
    assert "Dana Quince" in look(frame)
    here.services.directory.strike_sessions(here.bob.tenant, here.bob.id)
    assert "It is mine" in look(frame)


def test_a_browser_that_keeps_nothing_is_told_so(app: Any) -> None:
    assert "keeps nothing for a panel inside Meet" in look(app.test_client(use_cookies=False), f"{PANEL}?again=1")


def test_a_project_is_a_number() -> None:
    with pytest.raises(BadSettings, match="GOOGLE_PROJECT_NUMBER must be a number"):
        read({"GOOGLE_PROJECT_NUMBER": "linekeeper-prod"})
