"""The pages about calls as they happen: the administrator's rules, the agent's wish, the list of missed calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from domain.follow_up import FollowUps
from domain.pop import PopRules, Wish
from store.database import TenantId
from store.embedded import Postgres
from store.tables import effects
from tests.console_desk import Stage, post, ring, running

DANA, STRANGER = "+34600111222", "+442079460001"
POPS = {"inbound": "answer", "outbound": "never", "locked": "yes"}
TASKS = {"hours": "48", "minutes": "0", "fallback": ""}


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


def test_the_administrator_decides_when_calls_come_up(stage: Stage) -> None:
    alice = stage.browser("alice")

    assert 303 == post(alice, "/console/settings/calls/pops", **POPS).status_code

    tenants, office = stage.services.tenants, stage.office
    assert PopRules(inbound="answer", outbound="never", locked=True) == tenants.get(office.tenant).pops
    assert PopRules() == tenants.get(stage.next_door.tenant).pops
    assert "pops.rules" in stage.actions()
    page = alice.get("/console/settings/calls").get_data(as_text=True)
    assert re.search(r'value="answer" selected', page)
    assert re.search(r'name="locked" value="yes" checked', page)


def test_the_administrator_decides_what_missed_calls_become(stage: Stage) -> None:
    alice, bob = stage.browser("alice"), stage.office.bob

    assert 303 == post(alice, "/console/settings/calls/follow-ups", **TASKS | {"fallback": str(bob.id)}).status_code

    expected = FollowUps(hours=48, minutes=0, fallback=str(bob.id))
    assert expected == stage.services.tenants.get(stage.office.tenant).follow_ups
    assert "follow_ups.rules" in stage.actions()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("pops", {}),
        ("pops", POPS | {"inbound": "whisper"}),
        ("pops", POPS | {"locked": "perhaps"}),
        ("pops", POPS | {"colour": "red"}),
        ("pops", POPS | {"inbound": "x" * 100_000}),
        ("follow-ups", {}),
        ("follow-ups", TASKS | {"hours": "169"}),
        ("follow-ups", TASKS | {"hours": "-1"}),
        ("follow-ups", TASKS | {"hours": "²"}),
        ("follow-ups", TASKS | {"minutes": "9" * 5000}),
        ("follow-ups", TASKS | {"fallback": "00000000-0000-0000-0000-000000000000"}),
    ],
)
def test_what_makes_no_sense_is_said_beside_the_field(stage: Stage, path: str, form: dict[str, str]) -> None:
    answer = post(stage.browser("alice"), f"/console/settings/calls/{path}", **form)

    tenant = stage.services.tenants.get(stage.office.tenant)
    assert (400, PopRules(), FollowUps()) == (answer.status_code, tenant.pops, tenant.follow_ups)
    assert 'class="problem"' in answer.get_data(as_text=True)


def test_a_neighbours_agent_is_nobodys_fallback(stage: Stage) -> None:
    charlie = str(stage.next_door.bob.id)

    answer = post(stage.browser("alice"), "/console/settings/calls/follow-ups", **TASKS | {"fallback": charlie})

    assert 400 == answer.status_code


@pytest.mark.parametrize(("path", "form"), [("pops", POPS), ("follow-ups", TASKS)])
def test_rules_are_for_administrators(stage: Stage, path: str, form: dict[str, str]) -> None:
    assert 403 == post(stage.browser("bob"), f"/console/settings/calls/{path}", **form).status_code
    assert PopRules() == stage.services.tenants.get(stage.office.tenant).pops


# ---- the agent ------------------------------------------------------------------------------------------------------


def test_an_agent_decides_for_themselves(stage: Stage) -> None:
    bob = stage.browser("bob")

    assert "/console/panel" == post(bob, "/console/own", inbound="never", outbound="").location

    users = stage.services.tenants
    assert [Wish(inbound="never"), Wish()] == [
        users.user(stage.office.tenant, user.id).pops for user in (stage.office.bob, stage.office.alice)
    ]
    assert "Calls do not come up here by themselves." in bob.get("/console/panel").get_data(as_text=True)
    assert "pops.wish" in stage.actions()


@pytest.mark.parametrize("form", [{}, {"inbound": "ring"}, {"inbound": "loud", "outbound": ""}], ids=str)
def test_a_wish_that_makes_no_sense_is_none(stage: Stage, form: dict[str, str]) -> None:
    assert 400 == post(stage.browser("bob"), "/console/own", **form).status_code


def test_a_lock_is_shown_and_kept(stage: Stage) -> None:
    stage.services.tenants.set(stage.office.tenant, pops=PopRules(inbound="answer", locked=True).as_data())
    bob = stage.browser("bob")

    page = bob.get("/console/own").get_data(as_text=True)

    assert "Your administrator decided this for everybody." in page
    assert "<select" not in page
    assert 403 == post(bob, "/console/own", inbound="never", outbound="never").status_code


@pytest.mark.parametrize(("when", "expected"), [("ring", 1), ("answer", 0), ("never", 0)])
def test_the_panel_follows_the_rules(stage: Stage, when: str, expected: int) -> None:
    services, office = stage.services, stage.office
    services.tenants.set(office.tenant, pops={"inbound": when})
    ring(
        services,
        office.tenant,
        office.crm,
        "c",
        services.db.now(),
        number=DANA,
        outcome=None,
        over=False,
        user=office.bob,
    )

    assert expected == len(stage.browser("bob").get("/console/panel/state").get_json()["live"])


# ---- missed calls ---------------------------------------------------------------------------------------------------


def shown(stage: Stage, who: str = "bob") -> list[str]:
    """The rows of the list as running text."""
    page = stage.browser(who).get("/console/missed").get_data(as_text=True)
    rows = re.findall(r"<tr>\s*<td.*?</tr>", page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


def test_missed_calls_say_whether_somebody_called_back(stage: Stage) -> None:
    services, office = stage.services, stage.office
    began = services.db.now() - timedelta(hours=1)

    def call(ref: str, minute: float, number: str, **more: Any) -> Any:
        return ring(services, office.tenant, office.crm, ref, began + timedelta(minutes=minute), number=number, **more)

    call("a", 0, DANA, outcome="missed")
    call("b", 1, STRANGER, outcome="missed")
    call("c", 2, "anonymous", outcome="missed", match="hidden")
    call("d", 3, "+34600111333", outcome="missed")
    call("e", 4, "+34600111444", outcome="missed")
    call("f", 5, DANA, direction="outbound", user=office.bob)
    call("g", 6, STRANGER, direction="outbound", outcome="no_answer", user=office.alice)
    call("h", 7, "+34600111333", user=office.bob)
    call("i", 8, "+34911000111")

    rows = shown(stage)

    told = ["Not yet", "They called again and were answered", "No number to call", "Tried, not reached", "Called back"]
    assert [True] * 5 == [words in row for words, row in zip(told, rows, strict=True)]
    assert "Bob Agent" in rows[4]
    assert "Alice Admin" in rows[3]
    assert [] == shown(stage, "charlie")
    assert "read.calls" in stage.actions()


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("done", "", "Open"),
        ("due", "", "Waiting"),
        ("dropped", "task.reached", "Not needed"),
        ("dead", "X", "Given up"),
    ],
)
def test_missed_calls_say_how_their_task_stands(stage: Stage, state: str, reason: str, expected: str) -> None:
    services, office = stage.services, stage.office
    missed = ring(services, office.tenant, office.crm, "a", services.db.now(), number=DANA, outcome="missed")
    with services.db.tenant(office.tenant) as database:
        services.effects.plan(
            database, office.tenant, "task.create", "t", connection=office.crm, lane="calls", payload={}, call=missed
        )
        database.execute(
            effects.update().where(effects.c.call_id == missed).values(state=state, reason=reason, result="77")
        )

    [row] = shown(stage)

    assert expected in row


def test_pops_are_measured_or_said_not_to_be(stage: Stage) -> None:
    """The overview says how fast calls come up, and is honest where there is nothing to measure."""
    services, office = stage.services, stage.office
    alice = stage.browser("alice")
    assert "Nothing to measure" in alice.get("/console/").get_data(as_text=True)
    services.tenants.set(office.tenant, call_writer="bridge")
    assert "No card went out to Zoho in the last 7 days" in alice.get("/console/").get_data(as_text=True)

    now = services.db.now()
    with services.db.tenant(office.tenant) as database:
        for place, took in enumerate((80, 90, 400)):
            services.effects.plan(
                database, office.tenant, "pop", f"p{place}", connection=office.crm, lane="calls", payload={},
                since=now - timedelta(milliseconds=took),
            )  # fmt: skip
        database.execute(effects.update().where(effects.c.kind == "pop").values(state="done", done_at=now))

    page = alice.get("/console/").get_data(as_text=True)
    assert "369 ms" in page
    assert "Over the budget of 150 ms" in page
