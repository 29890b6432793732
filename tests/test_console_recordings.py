"""Recordings in the console: played by those who may, deleted and ruled over by administrators only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from domain.recording import Rules
from jobs import recordings
from store.database import TenantId
from store.embedded import Postgres
from store.tenants import User
from tests.console_desk import Stage, post, ring, running, token
from tests.test_console_gate import FOR_AGENTS

DANA = "+34600111222"
PLAYER = '<audio controls preload="none" src="'
ANNOUNCED = Rules(inbound="announced", outbound="announced")


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


def recorded(stage: Stage, *, basis: Any = "announced", user: User | None = None) -> UUID:
    """A call with a recording, as `log_call` leaves it."""
    services, tenant = stage.services, stage.office.tenant
    pbx = services.connections.add(
        tenant, "telephony", "standard", label="PBX", account={"base_url": "https://pbx.alice.example", "api_key": "k"}
    )
    at = services.db.now()
    call = ring(
        services, tenant, pbx, "c1", at, number=DANA, user=user or stage.office.bob, recording_url="https://r.example/1"
    )
    with services.db.tenant(tenant) as database:
        recordings.kept(services).note(database, tenant, call, pbx, basis=basis, started_at=at)
    return call


def page(browser: FlaskClient, call: UUID) -> str:
    return browser.get(f"/console/calls/{call}").get_data(as_text=True)


def test_a_player_where_there_is_something_to_play(stage: Stage) -> None:
    """For an administrator and for the agent who was on the line; no other page's policy allows a sound."""
    call = recorded(stage)
    for who in ("alice", "bob"):
        browser = stage.browser(who)
        assert f'{PLAYER}/console/calls/{call}/recording"' in page(browser, call)
        assert "; media-src 'self';" in browser.get(f"/console/calls/{call}").headers["Content-Security-Policy"]
    for path in FOR_AGENTS:
        assert "media-src" not in browser.get(path).headers["Content-Security-Policy"]

    answer = stage.browser("bob").get(f"/console/calls/{call}/recording")

    assert (302, "no-store") == (answer.status_code, answer.headers["Cache-Control"])
    assert answer.location.startswith("/recordings/")
    assert DANA not in answer.location


def test_an_agent_listens_to_calls_of_his_own(stage: Stage) -> None:
    call = recorded(stage, user=stage.office.alice)
    bob = stage.browser("bob")

    assert PLAYER not in page(bob, call)
    assert "You may listen to calls of your own" in page(bob, call)
    assert 403 == bob.get(f"/console/calls/{call}/recording").status_code


def test_a_stranger_finds_no_recording(stage: Stage) -> None:
    """Whoever asks without a session signs in first; Charlie gets the page of what is not there."""
    call = recorded(stage)
    charlie = stage.browser("charlie")

    assert 404 == charlie.get(f"/console/calls/{call}/recording").status_code
    assert "/console/sign-in" == stage.browser().get(f"/console/calls/{call}/recording").location
    for deed in ("delete", "revoke"):
        assert 404 == post(charlie, f"/console/calls/{call}/recording/{deed}").status_code


def test_a_recording_without_a_basis_says_why_it_is_silent(stage: Stage) -> None:
    call = recorded(stage, basis="none")
    alice = stage.browser("alice")

    assert PLAYER not in page(alice, call)
    assert "no basis for recordings of incoming calls was set" in page(alice, call)
    assert 404 == alice.get(f"/console/calls/{call}/recording").status_code


def test_an_administrator_deletes_it(stage: Stage) -> None:
    """Asked twice, done at once, and the page says what the telephone system owes."""
    call = recorded(stage)
    alice, bob = stage.browser("alice"), stage.browser("bob")
    assert "Delete the recording</button>" in page(alice, call)
    assert "Delete the recording</button>" not in page(bob, call)
    for deed in ("delete", "revoke"):
        path = f"/console/calls/{call}/recording/{deed}"
        assert 403 == bob.post(path, data={"csrf_token": token(bob)}).status_code
        assert 403 == alice.post(path).status_code  # without the form's token
    assert PLAYER in page(alice, call)

    assert 303 == post(alice, f"/console/calls/{call}/recording/revoke").status_code
    assert 303 == post(alice, f"/console/calls/{call}/recording/delete").status_code

    after = page(alice, call)
    assert "It was deleted today" in after
    assert "Delete the recording at the telephone system" in after
    assert PLAYER not in after
    assert 404 == alice.get(f"/console/calls/{call}/recording").status_code
    assert 404 == post(alice, f"/console/calls/{call}/recording/delete").status_code
    assert ["recording.revoked", "recording.deleted"] == [a for a in stage.actions() if a.startswith("recording.")]


# ---- the rules ----------------------------------------------------------------------------------------------------


def rules(stage: Stage) -> Rules:
    return stage.services.tenants.get(stage.office.tenant).recordings


def test_an_administrator_states_the_basis(stage: Stage) -> None:
    """Nothing until then; what was decided is in the ledger, and the archive begins."""
    alice = stage.browser("alice")
    services, tenant = stage.services, stage.office.tenant
    services.connections.add(tenant, "telephony", "standard", label="PBX")
    assert Rules() == rules(stage)

    wish = {"inbound": "announced", "outbound": "consented", "archive": "yes", "days": "14"}
    assert 303 == post(alice, "/console/settings/recordings", **wish).status_code

    assert Rules(inbound="announced", outbound="consented", archive=True, days=14) == rules(stage)
    row = services.ledger.rows(tenant, action="recording.rules")[0]
    assert (f"user:{stage.office.alice.id}", "announced") == (row.actor, row.facts["inbound"])
    assert ["archive.recordings"] == [chore.kind for chore in services.chores.all(tenant)]
    shown = alice.get("/console/settings").get_data(as_text=True)
    assert '<option value="consented" selected>' in shown
    assert 'value="14"' in shown
    assert 'value="yes" checked' in shown
    post(alice, "/console/settings/recordings", inbound="announced", outbound="none")
    assert replace(ANNOUNCED, outbound="none") == rules(stage)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"inbound": "whatever"}, "Please choose one of these."),
        ({"inbound": ""}, "Please choose one of these."),
        ({"days": "31"}, "From 1 to 30"),
        ({"days": "0"}, "From 1 to 30"),
        ({"days": "-1"}, "This cannot be read."),
        ({"days": "9" * 40}, "This cannot be read."),
        ({"archive": "maybe"}, "This cannot be read."),
        ({"tenant_id": "1"}, "This form has no such field."),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wish_that_makes_no_sense_changes_nothing(stage: Stage, wish: dict[str, str], said: str) -> None:
    """It says so beside the field; nobody keeps a recording for longer than the profile allows."""
    alice = stage.browser("alice")

    answer = post(alice, "/console/settings/recordings", **{"inbound": "announced", "outbound": "none", **wish})

    assert 400 == answer.status_code
    assert said in answer.get_data(as_text=True)
    assert Rules() == rules(stage)


def test_an_agent_rules_over_nothing(stage: Stage) -> None:
    bob = stage.browser("bob")

    answer = bob.post("/console/settings/recordings", data={"csrf_token": token(bob), "inbound": "announced"})

    assert (403, Rules()) == (answer.status_code, rules(stage))
