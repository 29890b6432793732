"""What people do for machines and machines for people: keys, the routing table, the dial plan, dialling, steering."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from store.database import TenantId
from store.embedded import Postgres
from tests.console_desk import Stage, meet, person, post, ring, running, token

DANA = "+34600111222"


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


@pytest.fixture
def pbx(stage: Stage) -> UUID:
    return stage.services.connections.add(stage.office.tenant, "telephony", "standard", label="PBX")


def test_a_key_is_made_shown_once_and_revoked(stage: Stage) -> None:
    alice = stage.browser("alice")
    assert "There is none yet" in alice.get("/console/keys").get_data(as_text=True)

    page = post(alice, "/console/keys", label="Softphone", scopes=["hints", "dial"]).get_data(as_text=True)
    (value,) = set(re.findall(r"lk_[A-Za-z0-9_-]{43}", page))
    made = stage.services.api_keys.find(value)
    assert ("dial", "hints") == made.scopes
    later = alice.get("/console/keys").get_data(as_text=True)
    assert "Softphone" in later
    assert value not in later

    charlie = stage.browser("charlie")
    assert 404 == post(charlie, f"/console/keys/{made.id}/revoke").status_code
    assert 303 == post(alice, f"/console/keys/{made.id}/revoke").status_code
    assert stage.services.api_keys.get(stage.office.tenant, made.id).revoked_at is not None
    assert ["key.created", "key.revoked"] == [act for act in stage.actions() if act.startswith("key.")]


@pytest.mark.parametrize("form", [{"label": "x"}, {"label": "", "scopes": "dial"}, {"label": "x", "scopes": "all"}])
def test_a_key_that_could_do_nothing_is_not_made(form: dict[str, str], stage: Stage) -> None:
    assert 400 == post(stage.browser("alice"), "/console/keys", **form).status_code
    assert [] == stage.services.api_keys.all(stage.office.tenant)


def test_who_answers_a_number_is_said_and_taken_back(stage: Stage) -> None:
    """A person or a queue; the last word holds; somebody from next door answers nothing here."""
    alice, tenant = stage.browser("alice"), stage.office.tenant
    assert 303 == post(alice, "/console/routing", number="911 222 333", user=stage.office.bob.id).status_code
    assert 303 == post(alice, "/console/routing", number="+34911222333", user="", queue="sales").status_code
    (route,) = stage.services.routes.all(tenant)
    assert ("+34911222333", None, "sales") == (route.number, route.user, route.queue)
    assert "Queue sales" in alice.get("/console/routing").get_data(as_text=True)

    for wrong in (
        {"number": "call me", "queue": "sales"},
        {"number": "911222333"},
        {"number": "911222333", "user": stage.office.bob.id, "queue": "sales"},
        {"number": "911222333", "user": stage.next_door.bob.id},
        {"number": "911222333", "user": "x"},
    ):
        assert 400 == post(alice, "/console/routing", **wrong).status_code
    assert 404 == post(stage.browser("charlie"), f"/console/routing/{route.id}/remove").status_code
    assert 303 == post(alice, f"/console/routing/{route.id}/remove").status_code
    assert [] == stage.services.routes.all(tenant)


def test_a_dial_plan_is_tried_before_it_is_kept(stage: Stage) -> None:
    alice, tenants, tenant = stage.browser("alice"), stage.services.tenants, stage.office.tenant
    wanted = {"form": "national", "outside": "0", "sample": "+34 600 111 222 ext 5"}

    tried = post(alice, "/console/dial-plan", **wanted, do="try").get_data(as_text=True)
    assert ">0600111222<" in tried
    assert "e164" == tenants.get(tenant).dialling.form
    assert 303 == post(alice, "/console/dial-plan", **wanted).status_code
    assert ("national", "0") == (tenants.get(tenant).dialling.form, tenants.get(tenant).dialling.outside)
    told = post(alice, "/console/dial-plan", **wanted | {"sample": "0112"}, do="try").get_data(as_text=True)
    assert "An emergency number is dialled by hand" in told
    for wrong in ({"form": "roman"}, {"outside": "abc"}, {"outside": "00000"}):
        assert 400 == post(alice, "/console/dial-plan", **wanted | wrong).status_code


@pytest.mark.parametrize("path", ["/console/keys", "/console/routing", "/console/dial-plan"])
def test_an_agent_decides_none_of_it(path: str, stage: Stage) -> None:
    bob = stage.browser("bob")

    assert [403, 403] == [bob.get(path).status_code, post(bob, path).status_code]


def test_an_agent_dials_from_a_page(stage: Stage, pbx: UUID) -> None:
    """From the panel, a contact or a call: their own telephone rings, and the page says how it is dialled."""
    bob, tenant = stage.browser("bob"), stage.office.tenant
    (dana,) = meet(stage.services, tenant, stage.office.crm, [person("Dana", "Dune", "Dune Ltd", DANA, "")])
    call = ring(stage.services, tenant, pbx, "c1", stage.services.now(), number=DANA, user=stage.office.bob)
    for path in ("/console/panel", f"/console/contacts/{dana}", f"/console/calls/{call}"):
        assert 'action="/console/dial"' in bob.get(path).get_data(as_text=True)

    page = post(bob, "/console/dial", number=f"{DANA} ext 7").get_data(as_text=True)

    assert "Ask for extension" in page
    (effect,) = stage.services.effects.waiting(tenant, "calls")
    assert (DANA, "Bob@a.example") == (effect.payload["number"], effect.payload["email"])
    assert 403 == post(bob, "/console/dial", number="112").status_code
    for wrong in ({}, {"number": "call me"}, {"number": DANA, "extension": "299"}, {"number": DANA, "x": "1"}):
        assert 400 == post(bob, "/console/dial", **wrong).status_code
    assert 1 == len(stage.services.effects.waiting(tenant, "calls"))


def test_where_no_telephone_system_dials_nothing_offers_it(stage: Stage) -> None:
    assert 'action="/console/dial"' not in stage.browser("bob").get("/console/panel").get_data(as_text=True)
    assert 400 == post(stage.browser("bob"), "/console/dial", number=DANA).status_code


def test_an_agent_with_two_telephones_chooses(stage: Stage, pbx: UUID) -> None:
    bob, devices, tenant = stage.browser("bob"), stage.services.devices, stage.office.tenant
    with stage.services.db.tenant(tenant) as database:
        for line in ("201", "31"):
            devices.learn(database, tenant, stage.office.bob.id, line)
    assert "Ring me on" in bob.get("/console/panel").get_data(as_text=True)

    assert 303 == post(bob, "/console/lines", extension="31").status_code
    assert [("31", True), ("201", False)] == [
        (device.extension, device.chosen) for device in devices.of(tenant, stage.office.bob.id)
    ]
    assert 404 == post(bob, "/console/lines", extension="299").status_code


def test_an_agent_steers_their_own_call(stage: Stage, pbx: UUID) -> None:
    """With the buttons its phone system has; somebody else's call, and next door's, are not theirs to end."""
    bob, tenant, services = stage.browser("bob"), stage.office.tenant, stage.services
    began = services.now() - timedelta(seconds=30)
    call = ring(services, tenant, pbx, "c1", began, number=DANA, user=stage.office.bob, over=False)
    (live,) = bob.get("/console/panel/state").get_json()["live"]
    buttons = ["hangup", "hold", "unhold", "mute", "unmute", "pause", "resume", "park"]
    assert buttons == [item["action"] for item in live["controls"]["buttons"]]
    assert live["controls"]["keys"]
    assert live["controls"]["passes"]
    assert f"/console/calls/{call}/control/" == live["controls"]["url"]

    path = live["controls"]["url"]
    assert [202, 202] == [
        post(bob, f"{path}hold").status_code,
        post(bob, f"{path}dtmf", digits="5").status_code,
    ]
    assert ["hold", "dtmf"] == [effect.payload["action"] for effect in services.effects.waiting(tenant, "calls")]
    assert 403 == post(stage.browser("alice"), f"{path}hangup").status_code
    assert 404 == post(stage.browser("charlie"), f"{path}hangup").status_code
    assert [404, 404, 400] == [
        post(bob, f"{path}explode").status_code,
        post(bob, f"/console/calls/{uuid4()}/control/hangup").status_code,
        post(bob, f"{path}dtmf", digits="x").status_code,
    ]
    assert 403 == bob.post(f"{path}hangup").status_code  # without the page's own token
    assert 2 == len(services.effects.waiting(tenant, "calls"))


def test_an_agent_passes_their_own_call_on_once_a_press(stage: Stage, pbx: UUID) -> None:
    """A press has a name and is done once; what may not be is refused in a sentence, and owed by nobody."""
    bob, tenant, services = stage.browser("bob"), stage.office.tenant, stage.services
    began = services.now() - timedelta(seconds=30)
    call = ring(services, tenant, pbx, "c1", began, number=DANA, user=stage.office.bob, over=False)
    path = f"/console/calls/{call}/control/transfer"
    assert 'id="colleagues"' in bob.get("/console/panel").get_data(as_text=True)

    assert [202] * 3 == [post(bob, path, to="+34 911 222 333", press=name).status_code for name in ("p1", "p1", "p2")]
    wanted = [effect.payload["to"] for effect in services.effects.waiting(tenant, "calls")]
    assert [{"number": "+34911222333"}] * 2 == wanted

    page = {"X-CSRFToken": token(bob, "/console/panel"), "Accept": "application/json"}
    refused = bob.post(path, data={"to": "112"}, headers=page)
    assert (403, "dial.emergency") == (refused.status_code, refused.get_json()["code"])
    assert "by hand" in refused.get_json()["detail"]
    for wrong in ({}, {"to": "call me"}, {"to": DANA, "press": "x" * 65}, {"to": "9" * 201}):
        assert 400 == post(bob, path, **wrong).status_code
    assert [403, 404] == [post(stage.browser(who), path, to="201").status_code for who in ("alice", "charlie")]
    first, second = services.effects.waiting(tenant, "calls")

    assert {"over": False, "done": False, "text": ""} == bob.get(f"{path}?press=p1").get_json()
    services.effects.drop(tenant, [first], "number.invalid")
    told = "That was not done. The telephone system has no such number."
    assert {"over": True, "done": False, "text": told} == bob.get(f"{path}?press=p1").get_json()
    with services.db.tenant(tenant) as database:
        services.effects.done(database, tenant, {second.id: ""})
    assert {"over": True, "done": True, "text": "Done."} == bob.get(f"{path}?press=p2").get_json()
    for who in ("alice", "charlie"):
        assert 404 == stage.browser(who).get(f"{path}?press=p1").status_code
    for wrong, status in (("?press=p3", 404), ("", 400), (f"?press={'x' * 65}", 400)):
        assert status == bob.get(path + wrong).status_code
