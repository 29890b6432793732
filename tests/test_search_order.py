"""Where a caller is looked for in Zoho: the order, deals and modules of the organisation's own, and the page for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from domain.consent import Standing, scopes_for
from domain.contact import Record
from domain.matching import MODULES, Place, Rules
from integrations.zoho.provider import FEATURES
from jobs import connect, deals, sync_contacts, worker
from jobs.services import Services
from store.connections import Tie
from store.embedded import Postgres
from tests import zoho_stage
from tests.calls_office import BRIDGE, Office, Row, opened, tools
from tests.console_desk import Stories, application, post, sign_in
from tests.zoho_stage import ALICE, BOB

PATH = "/console/settings/order"
PANEL, DOOR, OTHER = "+34911000007", "+34911000008", "+34911000009"
EMIL, BRIDGED = "+34600333444", "+34911000010"


@dataclass
class Asking(Stories):
    """Permissions as they really stand."""

    def features(self, services: Services, tenant: UUID, tie: Tie) -> list[Standing]:
        return connect.features(services, tenant, tie)


@pytest.fixture(scope="module")
def zoho() -> Iterator[zoho_stage.Stage]:
    with zoho_stage.running() as stage:
        yield stage


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, zoho: zoho_stage.Stage) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, zoho) as made:
        yield made


@pytest.fixture(scope="module")
def office(services: Services, zoho: zoho_stage.Stage) -> Iterator[Office]:
    features = (*BRIDGE, "contacts", "accounts", "notifications", "deals", "own-modules")
    with opened(services, zoho, features) as made:
        services.tenants.set(made.tenant, call_writer="records")
        yield made


@pytest.fixture(scope="module")
def app(office: Office) -> Flask:
    settings = replace(office.services.settings, base_url="")
    return application(replace(office.services, settings=settings), Asking())


@pytest.fixture(scope="module")
def alice(app: Flask, office: Office) -> FlaskClient:
    return sign_in(app, office.services, office.user(ALICE))


def crm(office: Office) -> Tie:
    found = office.services.connections.first(office.tenant, "crm")
    assert found is not None
    return found


def search(office: Office, *order: str) -> None:
    """Alice has chosen this order."""
    office.services.tenants.set(office.tenant, matching=Rules(order=order).as_data())


def seed(office: Office, module: str, **values: Any) -> str:
    (made,) = office.zoho.post("seed", org="alice", module=module, records=[values])["ids"]
    return str(made)


def sync(office: Office) -> None:
    """Read Zoho, and nothing else that may be due."""
    (chore,) = [one for one in office.services.chores.all(office.tenant) if one.kind == "read.crm"]
    sync_contacts.read_crm(office.services, crm(office), chore)


def called(office: Office, ref: str, caller: str) -> Row:
    """Somebody calls and is answered; the row in Zoho."""
    office.hear(*office.spoken(ref, 0, caller=caller))
    office.work()
    return next(row for row in office.rows("Calls") if str(office.call(ref)) in str(row["Description"]))


def machine(office: Office, **values: Any) -> str:
    return seed(office, "Machines", **{"Name": "Press 7", "Panel_Phone": "911 000 007", "Owner": BOB} | values)


# ---- the rules ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        (("Machines", *MODULES), True),
        (("Accounts", "Deals", "Leads", "Contacts"), True),
        (("Machines", "Contacts"), False),
        ((*MODULES, "Machines", "Machines"), False),
        ((*MODULES, "Ma chines"), False),
        ((*MODULES, *(f"M{n}" for n in range(11))), False),
    ],
)
def test_an_order_has_every_usual_module_and_others_once(order: tuple[str, ...], kept: bool) -> None:
    assert (order if kept else MODULES) == Rules.from_data({"order": list(order)}).order


def test_the_first_module_in_the_order_has_the_record() -> None:
    places = [Place(module="Machines", remote_id="9"), Place(module="Contacts", remote_id="1")]

    assert ["Machines", "Contacts", None] == [
        found.module if (found := Rules(order=order).record(places[: len(order) - 2])) else None
        for order in (("Machines", *MODULES), (*MODULES, "Machines"), ("Leads", "Accounts"))
    ]


def test_nobody_is_asked_for_what_they_do_not_use() -> None:
    """Neither an installation nor a list of features names these scopes."""
    asked = scopes_for(feature for feature in FEATURES if not feature.by_name)

    assert not [scope for scope in asked if ".deals." in scope or ".custom." in scope or "settings.modules" in scope]


# ---- on the page --------------------------------------------------------------------------------------------------


def test_alice_adds_machines_and_moves_them_up(office: Office, alice: FlaskClient, app: Flask) -> None:
    """What has numbers can be added; each press is kept and in the ledger; a stranger's press is refused."""
    search(office, *MODULES)
    shown = alice.get(PATH).get_data(as_text=True)
    for part in ("Numbers in Panel Phone, Door Phone", "Numbers in Site phone", "One more module has no field"):
        assert part in shown

    for do in ("add", "up", "up", "down"):
        assert 303 == post(alice, PATH, do=do, module="Machines").status_code, do
    assert ("Contacts", "Leads", "Machines", "Accounts") == office.services.tenants.get(office.tenant).matching.order
    assert {"Machines": {"label": "Machines", "tab": "CustomModule1"}} == crm(office).facts["modules"]
    assert 4 == len(office.services.ledger.rows(office.tenant, action="matching.rules"))

    for bad in (
        {"do": "add", "module": "Machines"},
        {"do": "add", "module": "Service_Calls"},
        {"do": "add", "module": "../org"},
        {"do": "drop", "module": "Contacts"},
        {"do": "up", "module": "Deals"},
        {"do": "sort", "module": "Leads"},
        {"do": "up", "module": "M" * 65},
        {"do": "up", "module": "Leads", "admin": "yes"},
    ):
        assert 400 == post(alice, PATH, **bad).status_code, bad
    assert 403 == sign_in(app, office.services, office.user(BOB)).get(PATH).status_code
    assert 303 == post(alice, PATH, do="drop", module="Machines").status_code
    assert MODULES == office.services.tenants.get(office.tenant).matching.order


def test_a_permission_nobody_gave_is_asked_for_on_the_page(office: Office) -> None:
    search(office, *MODULES, "Machines")
    settings = replace(office.services.settings, base_url="")
    bare = application(replace(office.services, settings=settings), Stories())

    shown = sign_in(bare, office.services, office.user(ALICE)).get(PATH).get_data(as_text=True)

    assert 'name="features" value="own-modules"' in shown
    assert "Your consent does not let us read it" in shown
    assert "Panel Phone" not in shown


# ---- what is searched ---------------------------------------------------------------------------------------------


def test_a_machine_calls_and_its_record_has_the_call(office: Office) -> None:
    """First load, a change and a deletion, as with people; the trace says which module decided."""
    press = machine(office)
    dana = seed(office, "Contacts", First_Name="Dana", Last_Name="Sol", Phone="911 000 007")
    search(office, "Machines", *MODULES)
    sync(office)

    row = called(office, "m1", PANEL)
    assert (press, "Machines", None) == (row["What_Id"]["id"], row["$se_module"], row["Who_Id"])
    kept = office.services.calls.get(office.tenant, office.call("m1"))
    assert kept is not None
    assert kept.trace is not None
    assert (("Machines", *MODULES), "Machines", "first") == (
        kept.trace.order,
        kept.trace.module,
        kept.trace.choice.why,
    )

    search(office, *MODULES, "Machines")
    (again,) = office.services.crm(crm(office)).some_people("Machines", [press])
    assert isinstance(again, Record)
    assert ("Press 7", [PANEL]) == (again.person.name, [line.e164 for line in again.person.lines])
    assert dana == called(office, "m2", PANEL)["Who_Id"]["id"]

    office.zoho.post("edit", org="alice", module="Machines", id=press, values={"Door_Phone": DOOR})
    sync(office)
    assert press == called(office, "m3", DOOR)["What_Id"]["id"]

    worker.visit(office.services, office.tenant, "contacts", seconds=30)
    (channel,) = office.zoho.get("channels", org="alice")["channels"]
    assert "Machines.all" in channel["events"]

    office.zoho.post("delete", org="alice", module="Machines", id=press)
    sync(office)
    assert None is called(office, "m4", DOOR)["What_Id"]


# ---- deals --------------------------------------------------------------------------------------------------------


NOW = datetime(2026, 3, 29, 9, tzinfo=UTC)
CONTACT = Place(module="Contacts", remote_id="1")
OLD, NEW = (
    Place(module="Deals", remote_id=f"{n}", open_deal=True, changed_at=NOW + timedelta(hours=n)) for n in (7, 8)
)
FIRST = ("Deals", *MODULES)


@pytest.mark.parametrize(
    ("order", "of_several", "places", "record", "beside"),
    [
        (FIRST, "none", (CONTACT, OLD), OLD, CONTACT),
        (FIRST, "none", (CONTACT, OLD, NEW), CONTACT, None),
        (FIRST, "latest", (CONTACT, OLD, NEW), NEW, CONTACT),
        ((*MODULES, "Deals"), "latest", (CONTACT, OLD), CONTACT, None),
        (MODULES, "latest", (OLD,), None, None),
        (FIRST, "none", (Place(module="Accounts", remote_id="5"), OLD), OLD, None),
    ],
)
def test_the_open_deal_of_a_customer_has_the_call(
    order: tuple[str, ...], of_several: Any, places: tuple[Place, ...], record: Place | None, beside: Place | None
) -> None:
    rules = Rules(order=order, of_several=of_several)

    found = rules.record(places)

    assert (record, beside.key if beside else None) == (found, rules.beside(found, places))


def test_a_call_goes_to_the_customers_open_deal(office: Office, alice: FlaskClient) -> None:
    """With the customer beside it; once it is closed, or nobody looks in deals, to the customer as before."""
    emil = seed(office, "Contacts", First_Name="Emil", Last_Name="Rowan", Phone=EMIL)
    won = {"Deal_Name": "Old roof", "Stage": "Closed Won", "Contact_Name": {"id": emil}}
    seed(office, "Deals", **won)
    roof = seed(office, "Deals", Deal_Name="New roof", Stage="Negotiation/Review", Contact_Name={"id": emil})
    search(office, "Deals", *MODULES)
    sync(office)

    row = called(office, "d1", EMIL)
    assert (roof, "Deals", emil) == (row["What_Id"]["id"], row["$se_module"], row["Who_Id"]["id"])
    call = office.call("d1")
    kept = office.services.calls.get(office.tenant, call)
    assert kept is not None
    assert kept.trace is not None
    assert "Deals" == kept.trace.module
    assert "(Deal: New roof)" in alice.get(f"/console/calls/{call}").get_data(as_text=True)

    assert 303 == post(alice, f"{PATH}/deals", of_several="latest").status_code
    assert "latest" == office.services.tenants.get(office.tenant).matching.of_several
    assert 400 == post(alice, f"{PATH}/deals", of_several="all").status_code

    office.zoho.post("edit", org="alice", module="Deals", id=roof, values={"Stage": "Closed Lost"})
    deals.hear(office.services, crm(office), office.services.crm(crm(office)), [roof, "999"])
    row = called(office, "d2", EMIL)
    assert (None, emil) == (row["What_Id"], row["Who_Id"]["id"])

    search(office, *MODULES)
    sync(office)
    assert "Deals" not in office.services.hub.by_module(office.tenant, crm(office).id)


def test_what_phonebridge_cannot_know_is_tied_by_us(services: Services, office: Office) -> None:
    """Zoho's own telephony knows people by their numbers, and no machines."""
    press = machine(office, Panel_Phone=BRIDGED)
    search(office, *MODULES, "Machines")
    sync(office)
    services.tenants.set(office.tenant, call_writer="bridge")

    office.hear(*office.spoken("p1", 0, caller=BRIDGED))
    office.work()

    (row,) = [row for row in office.rows("Calls") if row["CTI_Entry"]]
    assert (press, "Machines") == (row["What_Id"]["id"], row["$se_module"])


# ---- what is no more -----------------------------------------------------------------------------------------------


def test_what_is_taken_out_or_deleted_there_is_forgotten(office: Office, alice: FlaskClient) -> None:
    """A module that vanished says so on the page; taken out, nothing of it is known."""
    machine(office, Panel_Phone=OTHER)
    search(office, *MODULES, "Machines")
    sync(office)
    tie = crm(office)
    there = len(office.rows("Machines"))
    assert (there, there) == office.services.hub.by_module(office.tenant, tie.id)["Machines"]

    office.zoho.post("modules/delete", org="alice", module="Machines")
    assert "Zoho has no such module any more" in alice.get(PATH).get_data(as_text=True)
    sync(office)
    asked = {"url": f"{office.services.settings.origin}/x", "token": "t", "channel": "77"}
    office.services.crm(tie).watch(**asked, until=office.services.now() + timedelta(days=1))
    (channel,) = [one for one in office.zoho.get("channels", org="alice")["channels"] if one["channel_id"] == "77"]
    assert ["Contacts.all", "Leads.all"] == channel["events"]
    assert 303 == post(alice, PATH, do="drop", module="Machines").status_code
    sync(office)

    assert "Machines" not in office.services.hub.by_module(office.tenant, tie.id)
    assert [] == office.services.hub.who(office.tenant, OTHER)
