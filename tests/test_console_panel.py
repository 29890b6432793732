"""The agent's panel: who is on the line with Bob, said within a poll, and noted in the ledger once a call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from console.panel import _Noted
from store.database import TenantId
from store.embedded import Postgres
from tests.console_desk import WEB, Stage, application, contact_of, letter, meet, person, ring, running, sign_in

DANA, STRANGER = "+34600111222", "+442079460001"


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        meet(
            stage.services, tenant, stage.office.crm, [person("Dana", "Sol", "Sol SL", DANA, "d@sol.example", "Buyer")]
        )
        yield stage


def call_bob(stage: Stage, ref: str = "live", **more: object) -> None:
    """Dana rings, and it is Bob's phone that rings."""
    services, office = stage.services, stage.office
    told = {"number": DANA, "contact": contact_of(services, office.tenant, DANA), "user": office.bob} | more
    ring(services, office.tenant, office.crm, ref, services.db.now(), outcome=None, over=False, **told)  # type: ignore[arg-type]  # the keywords are ring's own


def test_a_ringing_phone_shows_who_it_is(stage: Stage) -> None:
    """Name, role, number, the record in Zoho, earlier calls and recent mail, before the phone is picked up."""
    services, office = stage.services, stage.office
    contact = contact_of(services, office.tenant, DANA)
    earlier = services.db.now() - timedelta(minutes=5)
    ring(services, office.tenant, office.crm, "c0", earlier, number=DANA, contact=contact, user=office.bob)
    services.mail.put(office.tenant, [(letter("m1", "d@sol.example", "Offer 2211", services.db.now()), [contact])])
    call_bob(stage)

    state = stage.browser("bob").get("/console/panel/state").get_json()

    [live] = state["live"]
    assert ("Ringing", True, "Dana Sol", "Buyer, Sol SL", "+34 600 11 12 22") == (
        live["state"],
        live["ringing"],
        live["who"],
        live["role"],
        live["number"],
    )
    assert f"{WEB}/tab/Contacts/90000" == live["links"][0]["url"]
    assert ["Answered"] == [row["outcome"] for row in live["calls"]]
    assert ["Offer 2211"] == [message["subject"] for message in live["mail"]]


def test_only_the_one_whose_phone_rings_is_shown_the_call(stage: Stage) -> None:
    """Alice's panel stays calm, and Charlie's knows nothing."""
    call_bob(stage)
    assert 1 == len(stage.browser("bob").get("/console/panel/state").get_json()["live"])

    for who in ("alice", "charlie"):
        state = stage.browser(who).get("/console/panel/state").get_json()
        assert [] == state["live"] + state["recent"] + state["missed"]


def test_a_stranger_is_shown_by_number(stage: Stage) -> None:
    call_bob(stage, number=STRANGER, contact=None)

    [live] = stage.browser("bob").get("/console/panel/state").get_json()["live"]

    assert ("+44 20 7946 0001", False, [], [], []) == (
        live["who"],
        live["known"],
        live["links"],
        live["calls"],
        live["mail"],
    )
    assert "No contact has this number." == live["why"]


def test_a_call_whose_end_was_lost_does_not_ring_for_ever(stage: Stage) -> None:
    services, office = stage.services, stage.office
    for ref, hours in (("young", 3.9), ("old", 4.1)):
        started = services.db.now() - timedelta(hours=hours)
        ring(services, office.tenant, office.crm, ref, started, number=DANA, outcome=None, over=False, user=office.bob)

    assert 1 == len(stage.browser("bob").get("/console/panel/state").get_json()["live"])


def test_an_idle_panel_shows_recent_and_missed_calls(stage: Stage) -> None:
    """Bob's own, and the ones nobody took."""
    services, office = stage.services, stage.office
    now = services.db.now() - timedelta(minutes=2)
    ring(services, office.tenant, office.crm, "c1", now, number=DANA, user=office.bob)
    ring(services, office.tenant, office.crm, "c2", now, number=STRANGER, outcome="missed")
    ring(services, office.tenant, office.crm, "c3", now, number="+34911000111", user=office.alice)

    state = stage.browser("bob").get("/console/panel/state").get_json()

    assert ([], 1, 1) == (state["live"], len(state["recent"]), len(state["missed"]))
    assert ("+34 600 11 12 22", "+44 20 7946 0001") == (state["recent"][0]["who"], state["missed"][0]["who"])


def test_the_panel_is_in_the_ledger_once_a_call(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once a poll, and not again by another process either."""
    call_bob(stage)
    bob = stage.browser("bob")
    for _ in range(5):
        bob.get("/console/panel/state")
    assert ["read.contact"] == stage.actions()

    monkeypatch.setattr("console.panel._noted", _Noted())  # what another process remembers: nothing
    other = sign_in(application(stage.services, stage.stories), stage.services, stage.office.bob)
    other.get("/console/panel/state")
    assert ["read.contact"] == stage.actions()

    call_bob(stage, "another", number=STRANGER, contact=None)
    other.get("/console/panel/state")
    assert ["read.contact", "read.calls"] == stage.actions()


def test_the_page_is_a_frame_for_the_script(stage: Stage) -> None:
    """It says where to ask, announces politely, and sets text only."""
    page = stage.browser("bob").get("/console/panel").get_data(as_text=True)
    with stage.browser().get("/console/static/panel.js") as answer:
        script = answer.get_data(as_text=True)

    assert 'data-state="/console/panel/state"' in page
    assert 'aria-live="polite"' in page
    assert "textContent" in script
    assert not any(
        word in script for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
    )
