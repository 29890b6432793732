"""Steering live calls: a press becomes one request to the phone system, now or never."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from domain.call import CallEvent, agent_leg
from domain.dial_plan import DialPlan
from domain.errors import Refused, Trouble, TryLater, Unanswered
from domain.ports import Control, Target, Traits
from integrations.zoho.bridge import call_id
from jobs import buttons, log_call, steering
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.tables import effects, users
from tests import house
from tests.console_desk import Office, furnish, ring

SECRET = "the-secret-of-presses"
NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


@dataclass
class Pbx:
    """A vendor that does what it is asked, and remembers it."""

    traits: Traits = field(
        default_factory=lambda: Traits(dial=True, control=frozenset[Control]({"hangup", "hold", "unhold", "dtmf"}))
    )
    title: str = "PBX"
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    trouble: Exception | None = None

    def open(self, account: Mapping[str, str], http: object) -> Pbx:
        return self

    def control(
        self, *, call_ref: str, leg_ref: str, action: Control, digits: str = "", to: Target | None = None
    ) -> None:
        self.asked.append((call_ref, action, digits))
        self.targets += [to] if to is not None else []
        if self.trouble is not None:
            raise self.trouble


class Screen:
    """PhoneBridge, as far as buttons go."""

    def __init__(self) -> None:
        self.dials: list[tuple[str, str]] = []
        self.controls: dict[str, dict[Control, str]] = {}
        self.secrets: set[str] = set()

    def register_dial(self, *, url: str, secret: str, login: str) -> None:
        self.dials.append((login, url))

    def register_controls(self, *, urls: dict[Control, str], secret: str, login: str) -> None:
        self.controls[login] = dict(urls)
        self.secrets.add(secret)


class WithScreen(Services):
    """The real tools, with a telephony screen that needs no consent."""

    def bridge(self, tie: Tie) -> Any:
        return self.opened.setdefault("test screen", Screen())


@dataclass
class Desk:
    """Alice's office with a live call of Bob's, and Zoho's door for buttons."""

    tools: Services
    office: Office
    pbx: Pbx
    call: UUID
    client: FlaskClient
    door: str

    def press(self, action: str, secret: str = SECRET, path: str = "", **form: str) -> int:
        told = {"zohouser": "4711", "callrefid": call_id(str(self.call))} | form
        address = f"/webhooks/zoho/control/{path or self.door}/{action}"
        headers = {"Authorization": f"Bearer {secret}"}
        return self.client.post(address, data=told, headers=headers).status_code

    def act(self) -> list[tuple[str, str, str]]:
        log_call.act(self.tools, self.office.tenant)
        return self.pbx.asked


@pytest.fixture(scope="module")
def opened(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    with house.services(db_urls, work_url, mail_url) as services:
        yield services


@pytest.fixture
def desk(opened: Services, tenant: TenantId) -> Desk:
    pbx: Any = Pbx()
    values = {name: getattr(opened, name) for name in Services.__dataclass_fields__}
    tools = WithScreen(**values | {"telephony": {**opened.telephony, "standard": pbx}, "opened": {}})
    office = furnish(tools, tenant)
    with tools.db.tenant(tenant) as database:
        database.execute(users.update().where(users.c.id == office.bob.id).values(login_id="4711"))
    tie = tools.connections.add(tenant, "telephony", "standard", label="PBX")
    call = ring(
        tools, tenant, tie, "c1", tools.now() - timedelta(minutes=1), number="+34600111222", user=office.bob, over=False
    )
    tools.connections.add_secret(tenant, office.crm, "dial", SECRET)
    door = tools.directory.new("door", tenant, connection=office.crm)
    return Desk(tools, office, pbx, call, house.front(tools), door)


def test_a_button_in_zoho_is_one_request_to_the_phone_system(desk: Desk) -> None:
    """In the order they were pressed; a key as often as it was pressed."""
    assert [200] * 4 == [
        desk.press("hold"),
        desk.press("keypress", digit="5"),
        desk.press("keypress", digit="5"),
        desk.press("unhold"),
    ]

    assert sorted([("c1", "hold", ""), ("c1", "dtmf", "5"), ("c1", "dtmf", "5"), ("c1", "unhold", "")]) == sorted(
        desk.act()
    )
    assert 4 == len(desk.act())  # and no second time
    rows = [row for row in desk.tools.ledger.rows(desk.office.tenant) if row.action == "call.steered"]
    assert {f"user:{desk.office.bob.id}"} == {row.actor for row in rows}
    assert 4 == len(rows)


REFUSALS: dict[str, tuple[dict[str, str], int]] = {
    "another secret": ({"secret": "another"}, 401),
    "no secret": ({"secret": ""}, 401),
    "nobody's secret": ({"secret": "nobody's secret"}, 401),
    "no such door": ({"path": "A" * 43}, 401),
    "nobody of this organisation": ({"zohouser": "4712"}, 404),
    "no user": ({"zohouser": "x"}, 400),
    "another call": ({"callrefid": "a" * 32}, 404),
    "no call": ({"callrefid": ""}, 400),
    "a call with a path": ({"callrefid": "../x"}, 400),
    "no such button": ({"action": "explode"}, 404),
    "a button Zoho does not have": ({"action": "transfer"}, 404),
    "what this vendor cannot do": ({"action": "mute"}, 403),
    "no key": ({"action": "keypress"}, 400),
    "no key of a telephone": ({"action": "keypress", "digit": "x"}, 400),
    "a key that is a book": ({"action": "keypress", "digit": "5" * 33}, 400),
    "a key with hang up": ({"digit": "5"}, 400),
}


@pytest.mark.parametrize(("change", "status"), REFUSALS.values(), ids=REFUSALS)
def test_a_button_nobody_pressed_does_nothing(change: dict[str, str], status: int, desk: Desk) -> None:
    before = len(desk.tools.ledger.rows(desk.office.tenant))

    assert status == desk.press(**({"action": "hangup"} | change))
    assert ([], before) == (desk.act(), len(desk.tools.ledger.rows(desk.office.tenant)))


PASSED_ON: dict[str, Target | str] = {
    "+34 911 222 333": Target(number="911222333"),
    "020 7946 0001": "dial.impossible",
    "201": Target(extension="201", email="Bob@a.example"),
    "209": Target(extension="209"),
    "112": "dial.emergency",
    "+34 112": "dial.emergency",
    "+34 911 222 333 ext. 7": "dial.impossible",
    "anonymous": "dial.impossible",
    "": "control.target",
}


def test_a_call_is_passed_on_to_whom_could_be_dialled(desk: Desk) -> None:
    """By the tenant's dial plan, never to an emergency number; what cannot be is refused before anything is owed."""
    tools, tenant = desk.tools, desk.office.tenant
    desk.pbx.traits = Traits(control=frozenset[Control]({"transfer", "park", "hold"}))
    tools.tenants.set(tenant, dialling=DialPlan(form="national").as_data())
    with tools.db.tenant(tenant) as database:
        tools.devices.learn(database, tenant, desk.office.bob.id, "201")
    kept = tools.calls.get(tenant, desk.call)
    assert kept is not None

    def press(action: Control, to: str = "") -> str:
        try:
            steering.ask(tools, tenant, kept, action, actor="user:1", to=to)
        except Trouble as error:
            return error.code
        desk.act()
        return ""

    for raw, expected in PASSED_ON.items():
        before = len(desk.pbx.targets)
        assert (raw, expected if isinstance(expected, str) else "") == (raw, press("transfer", raw))
        assert [expected] * isinstance(expected, Target) == desk.pbx.targets[before:]
    assert "control.target" == press("hold", "201")
    assert "control.unsupported" == press("pause")
    assert "" == press("park")
    kept = replace(kept, call=replace(kept.call, state="ringing"))
    assert ["call.not_answered"] * 2 == [press("park"), press("transfer", "201")]
    kept = replace(kept, call=replace(kept.call, state="ended"))
    assert "call.over" == press("transfer", "201")
    assert ("c1", "park", "") == desk.pbx.asked[-1]


def test_somebody_elses_call_is_not_steered(desk: Desk) -> None:
    """Zoho says whose screen it was: only that user's calls are looked through."""
    with desk.tools.db.tenant(desk.office.tenant) as database:
        database.execute(users.update().where(users.c.id == desk.office.alice.id).values(login_id="815"))

    assert 404 == desk.press("hangup", zohouser="815")
    assert [] == desk.act()


def test_a_press_that_waited_too_long_is_not_done(desk: Desk) -> None:
    """Ten seconds later the call has gone on without it."""
    assert 200 == desk.press("hangup")
    later = replace(desk.tools, now=lambda: datetime.now(UTC) + timedelta(seconds=11))

    log_call.act(later, desk.office.tenant)

    assert [] == desk.pbx.asked
    assert {("control", "dropped"): 1} == desk.tools.effects.counts(desk.office.tenant)


@pytest.mark.parametrize("trouble", [Unanswered("?"), TryLater("busy"), Refused("over", code="call.over")])
def test_what_did_not_work_is_not_tried_again(trouble: Exception, desk: Desk) -> None:
    """Nobody knows, come again, no: whoever pressed sees the call and presses once more if they want."""
    desk.pbx.trouble = trouble
    assert 200 == desk.press("hold")

    assert 1 == len(desk.act())
    assert 1 == len(desk.act())
    assert {("control", "dead"): 1} == desk.tools.effects.counts(desk.office.tenant)


def test_what_was_under_way_when_a_worker_died_is_not_done_again(desk: Desk) -> None:
    assert 200 == desk.press("hangup")
    tenant = desk.office.tenant
    desk.tools.effects.claim(tenant, desk.tools.effects.waiting(tenant, "calls"))
    desk.tools.effects.orphans(tenant, "calls")
    with desk.tools.db.tenant(tenant) as database:
        database.execute(effects.update().values(next_at=NOON))

    assert [] == desk.act()
    assert {("control", "dropped"): 1} == desk.tools.effects.counts(tenant)


def test_zoho_shows_the_buttons_the_phone_system_has(desk: Desk) -> None:
    """Registered for every user at one door; again only when a user, or what can be pressed, came or went."""
    tools, tenant = desk.tools, desk.office.tenant
    tools.tenants.set(tenant, call_writer="bridge")

    def crm() -> Tie:
        return tools.connections.get(tenant, desk.office.crm)

    buttons.refresh(tools, crm())
    screen = tools.bridge(crm())
    assert isinstance(screen, Screen)
    assert {"login-Alice", "4711"} == screen.controls.keys() == {login for login, _ in screen.dials}
    urls = screen.controls["4711"]
    assert {"hangup", "hold", "unhold", "dtmf"} == urls.keys()
    assert urls["dtmf"].endswith("/keypress")
    assert urls["hold"].endswith("/hold")
    assert 1 == len({url.rsplit("/", 2)[1] for url in urls.values()} | {screen.dials[0][1].rpartition("/")[2]})
    (secret,) = screen.secrets
    assert 200 == desk.press("hold", secret=secret, path=urls["hold"].rsplit("/", 2)[1])

    buttons.refresh(tools, crm())
    assert 2 == len(screen.dials)
    desk.pbx.traits = Traits(dial=True)
    buttons.refresh(tools, crm())
    assert {"login-Alice": {}, "4711": {}} == screen.controls
    assert 1 == len(screen.secrets)


def leg(type: Any, leg_ref: str, at: int, extension: str = "") -> CallEvent:
    return CallEvent(
        id=f"{type}{at}",
        type=type,
        at=NOON + timedelta(seconds=at),
        call_ref="c",
        leg_ref=leg_ref,
        agent_extension=extension,
    )


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], ""),
        ([leg("ringing", "", 0, "201")], ""),
        ([leg("ringing", "a", 0)], ""),
        ([leg("ringing", "b", 1, "202"), leg("ringing", "a", 0, "201")], "a"),
        ([leg("answered", "b", 2, "202"), leg("ringing", "a", 0, "201")], "b"),
        ([leg("answered", "c", 9, "203"), leg("answered", "b", 2, "202")], "c"),  # it was handed on
    ],
)
def test_the_leg_that_is_steered_is_the_agents(events: list[CallEvent], expected: str) -> None:
    assert expected == agent_leg(events)
