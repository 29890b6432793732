"""Who is it, and who should answer: in time or not at all, and never in the caller's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from domain.contact import Record
from domain.plan import Step
from domain.ports import CrmUser
from jobs import numbers
from jobs.services import Services
from jobs.who import choices
from store.database import TenantId
from store.embedded import Postgres
from tests import house
from tests.console_desk import Office, furnish, meet, person

DANA, ERIN, NOBODY, LINE = "+34600111222", "+34600333444", "+34600999888", "+34911222333"


@pytest.fixture(scope="module")
def tools(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    with house.services(db_urls, work_url, mail_url, HINT_MILLISECONDS="5000") as opened:
        yield opened


@dataclass
class Desk:
    """Alice's office, in which Dana's record is Bob's, and a phone system that asks."""

    tools: Services
    office: Office
    client: FlaskClient
    key: dict[str, str]

    def ask(self, what: str, **query: str) -> Any:
        answer = self.client.get(f"/api/v1/{what}", query_string=query, headers=self.key)
        assert 200 == answer.status_code, answer.data
        return answer.json if query.get("form") != "text" else answer.get_data(as_text=True)


@pytest.fixture
def desk(tools: Services, tenant: TenantId) -> Iterator[Desk]:
    office = furnish(tools, tenant)
    meet(tools, tenant, office.crm, [person("Erin", "Quince", "Quince Ltd", ERIN, "")])
    record = Record(
        module="Contacts",
        remote_id="1",
        person=person("Dana", "Dune", "Dune Ltd", DANA, ""),
        owner=office.bob.remote_id,
    )
    with tools.db.tenant(tenant) as database:
        tools.hub.apply(database, tenant, office.crm, [Step(do="adopt", record=record)])
        tools.tenants.learn_extension(database, tenant, office.bob.id, "201")
    _, value = tools.api_keys.create(tenant, label="PBX", scopes=["hints"])
    made = Desk(tools, office, house.front(tools), {"Authorization": f"Bearer {value}"})
    yield made
    house.settled(made.client)


def test_a_phone_system_learns_who_calls(desk: Desk) -> None:
    """By any spelling; as JSON, or as the one line a dialplan shows."""
    assert ("Dana Dune", "Dune Ltd", "one") == tuple(
        desk.ask("lookup", number="600 11 12 22")[name] for name in ("name", "company", "because")
    )
    assert "Dana Dune" == desk.ask("lookup", number=DANA, form="text")
    assert ("", "nobody") == tuple(desk.ask("lookup", number=NOBODY)[name] for name in ("name", "because"))
    assert "" == desk.ask("lookup", number="anonymous", form="text")
    assert "hidden" == desk.ask("lookup", number="anonymous")["because"]


def test_several_people_with_one_number_are_named_by_what_they_share(desk: Desk) -> None:
    pair = [
        person("Finn", "Gray", "Gray Ltd", NOBODY, "f@g.example"),
        person("Gus", "Gray", "Gray Ltd", NOBODY, "g@g.example"),
    ]
    meet(desk.tools, desk.office.tenant, desk.office.crm, pair[:1])
    record = Record(module="Leads", remote_id="9", person=pair[1])
    with desk.tools.db.tenant(desk.office.tenant) as database:
        desk.tools.hub.apply(database, desk.office.tenant, desk.office.crm, [Step(do="adopt", record=record)])

    told = desk.ask("lookup", number=NOBODY)
    assert ("", "Gray Ltd", None, "several") == tuple(told[name] for name in ("name", "company", "contact", "because"))
    assert "Gray Ltd" == desk.ask("lookup", number=NOBODY, form="text")


def test_whom_somebody_here_chose_is_named_and_put_through_to_their_owner(desk: Desk) -> None:
    """Dana's number is Hal's too; once an agent said whose it is, hints say so as calls do."""
    tenant, hub = desk.office.tenant, desk.tools.hub
    hal = Record(module="Contacts", remote_id="7", person=person("Hal", "Hale", "Hale Ltd", DANA, ""), owner="1")
    with desk.tools.db.tenant(tenant) as database:
        hub.apply(database, tenant, desk.office.crm, [Step(do="adopt", record=hal)])
    found = hub.people(tenant, hub.who(tenant, DANA))
    (dana,) = (contact.id for contact in found.values() if contact.person.given == "Dana")
    assert "several" == desk.ask("lookup", number=DANA)["because"]
    assert "no_rule" == desk.ask("route", number=DANA)["because"]

    with desk.tools.db.tenant(tenant) as database:
        choices(desk.tools).put(database, tenant, DANA, dana, user=desk.office.bob.id)

    told = desk.ask("lookup", number=DANA)
    assert ("Dana Dune", str(dana), "chosen") == (told["name"], told["contact"], told["because"])
    assert ("201", "owner") == tuple(desk.ask("route", number=DANA)[name] for name in ("extension", "because"))


def test_the_owner_of_the_record_comes_before_the_table(desk: Desk) -> None:
    """Then the table's word for the line, a person or a queue; then nothing, and the phone system goes on."""
    tenant, routes = desk.office.tenant, desk.tools.routes
    routes.put(tenant, LINE, user=desk.office.alice.id)
    told = desk.ask("route", number=DANA, line=LINE)
    assert {"extension": "201", "email": "Bob@a.example", "queue": "", "because": "owner"} == told
    assert "201" == desk.ask("route", number=DANA, line=LINE, form="text")

    told = desk.ask("route", number=ERIN, line="911 222 333")
    assert ("Alice@a.example", "route") == (told["email"], told["because"])
    row = routes.put(tenant, LINE, queue="sales")
    assert ("", "sales", "route") == tuple(
        desk.ask("route", number=NOBODY, line=LINE)[name] for name in ("email", "queue", "because")
    )
    assert routes.remove(tenant, row)
    assert "no_rule" == desk.ask("route", number=NOBODY, line=LINE)["because"]
    assert "" == desk.ask("route", number=NOBODY, form="text")


def test_an_owner_who_left_is_not_rung(desk: Desk) -> None:
    tenant = desk.office.tenant
    alice = CrmUser(remote_id="1", login_id="login-Alice", email="Alice@a.example", name="Alice", admin=True)
    desk.tools.tenants.learn_users(tenant, desk.office.crm, [alice])

    assert "no_rule" == desk.ask("route", number=DANA, line=LINE)["because"]


def test_next_door_nobody_is_known(desk: Desk, neighbour: TenantId) -> None:
    _, value = desk.tools.api_keys.create(neighbour, label="PBX", scopes=["hints"])
    desk.key = {"Authorization": f"Bearer {value}"}
    desk.tools.routes.put(desk.office.tenant, LINE, queue="sales")

    assert "nobody" == desk.ask("lookup", number=DANA)["because"]
    assert "no_rule" == desk.ask("route", number=DANA, line=LINE)["because"]


def test_a_blocked_caller_is_rejected(desk: Desk) -> None:
    """By number, by range, or because it is hidden, whoever would answer else; what is only left out is not."""
    tenant = desk.office.tenant
    desk.tools.routes.put(tenant, LINE, queue="sales")
    numbers.set_apart(desk.tools, tenant, ERIN, "left_out", "", actor="x")
    for barred in ("+34 60011*", "anonymous"):
        numbers.set_apart(desk.tools, tenant, barred, "blocked", "", actor="x")

    told = [desk.ask("route", number=number, line=LINE) for number in (DANA, "anonymous", ERIN)]

    assert [("reject", "", "blocked"), ("reject", "", "blocked"), ("", "sales", "route")] == [
        (one.get("action", ""), one["queue"], one["because"]) for one in told
    ]
    assert "reject" == desk.ask("route", number=DANA, line=LINE, form="text")


@pytest.mark.parametrize("what", ["lookup", "route"])
@pytest.mark.parametrize(
    "query", ["", "number=1&number=2", "number=" + "9" * 65, "number=1&form=xml", "number=1&form=json&form=text"]
)
def test_a_question_that_is_none_is_refused(what: str, query: str, desk: Desk) -> None:
    assert 400 == desk.client.get(f"/api/v1/{what}?{query}", headers=desk.key).status_code


class Slow:
    """A hub that answers when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def people(self, *_: object) -> dict[Any, Any]:
        return {}

    where = people

    def who(self, *_: object) -> list[Any]:
        self.let.wait(20)
        return []


class Broken:
    """A hub behind a database that is gone."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def people(self, *_: object) -> dict[Any, Any]:
        return {}

    where = people

    def who(self, *_: object) -> list[Any]:
        raise self.error


@pytest.mark.parametrize("what", ["lookup", "route"])
def test_a_caller_does_not_wait_for_us(what: str, desk: Desk) -> None:
    """Too late is an empty hint with the reason, however many ask while nothing moves."""
    slow: Any = Slow()
    hasty = replace(desk.tools, hub=slow, settings=replace(desk.tools.settings, hint_milliseconds=30))
    desk.client = house.front(hasty)
    try:
        for _ in range(12):  # more than there are threads to wait in
            assert "timeout" == desk.ask(what, number=DANA)["because"]
        assert "" == desk.ask(what, number=DANA, form="text")
    finally:
        slow.let.set()


@pytest.mark.parametrize("error", [OperationalError("", {}, Exception()), RuntimeError("ours")])
@pytest.mark.parametrize("what", ["lookup", "route"])
def test_what_is_broken_is_an_empty_hint(what: str, error: Exception, desk: Desk) -> None:
    """Never a 5xx: the call goes on."""
    broken: Any = Broken(error)
    desk.client = house.front(replace(desk.tools, hub=broken))

    assert "unavailable" == desk.ask(what, number=DANA)["because"]
    assert "" == desk.ask(what, number=DANA, form="text")


def test_a_name_is_one_line_in_a_dialplan(desk: Desk) -> None:
    """Whatever a record calls itself, it starts no second line of a script."""
    rude = person("Eve\r\nSet-Cookie: x", "\x07Ivy", "", NOBODY, "")
    meet(desk.tools, desk.office.tenant, desk.office.crm, [rude])

    assert "Eve Set-Cookie: x Ivy" == desk.ask("lookup", number=NOBODY, form="text")
