"""One record for each call in a module of the organisation's own: chosen on a page, made once, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from domain.call_record import RecordMap, wrong
from domain.mapping import CrmField, FieldMap, Rule, holds
from jobs import worker
from jobs.services import Services
from store.connections import Tie
from store.embedded import Postgres
from tests import zoho_stage
from tests.calls_office import DANA, LINE, RECORDS, Office, Row, opened, tools
from tests.console_desk import application, post, sign_in
from tests.test_search_order import Asking
from tests.zoho_stage import ALICE, BOB

PATH = "/console/settings/fields/records"
MODULE, MARKER = "Service_Calls", "Call_Reference"
REPORT = CrmField(name="Report", kind="textarea")


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
    with opened(services, zoho, (*RECORDS, "contacts", "own-records")) as made:
        made.zoho.post("seed", org="alice", module="Contacts", records=[{"Last_Name": "Sol", "Phone": DANA}])
        services.chores.hurry(made.tenant, "read.crm")
        worker.visit(services, made.tenant, "contacts", seconds=30)
        yield made


@pytest.fixture(scope="module")
def alice(office: Office) -> FlaskClient:
    settings = replace(office.services.settings, base_url="")
    app = application(replace(office.services, settings=settings), Asking())
    return sign_in(app, office.services, office.user(ALICE))


def crm(office: Office) -> Tie:
    found = office.services.connections.first(office.tenant, "crm")
    assert found is not None
    return found


def use(office: Office, *only: str, **templates: str) -> None:
    """Alice has chosen this."""
    known = {one.name: one for one in office.services.crm(crm(office)).record_fields(MODULE)}
    rules = [Rule(field=known[name], template=text) for name, text in ({"Name": "{caller}"} | templates).items()]
    fields = FieldMap(rules=tuple(rules), on=True)
    chosen = RecordMap(
        module=MODULE, marker=MARKER, link="Contact", link_to="Contacts", only=tuple(only), fields=fields
    )
    with office.services.db.tenant(office.tenant) as database:
        office.services.tenants.map_records(database, office.tenant, chosen)


def record(office: Office, ref: str) -> Row | None:
    """The one record of a call; none, or two, would show."""
    mine = [row for row in office.rows(MODULE) if row[MARKER] == str(office.call(ref))]
    assert 2 > len(mine)
    return next(iter(mine), None)


@pytest.mark.parametrize(
    ("wanted", "queue", "line", "expected"),
    [
        ("Sales", "sales", "", True),
        ("Sales", "support", "", False),
        ("911 222 333", "", "911222333", True),
        ("+34 911 222 333", "", "+34911222333", True),
        ("+34911222334", "", "+34911222333", False),
        ("Line 911222333", "", "911222333", False),
        ("", "", "+34911222333", True),
    ],
)
def test_a_condition_names_a_queue_or_a_line(wanted: str, queue: str, line: str, expected: bool) -> None:
    assert expected == holds(wanted, queue, line)


ID = CrmField(name="Ref", kind="text", length=64)
FAULTS = {
    "nothing": (RecordMap(module="M", marker="Ref"), 0),
    "no such module": (RecordMap(module="N", marker="Ref"), 1),
    "no marker": (RecordMap(module="M"), 1),
    "a short marker": (RecordMap(module="M", marker="Short"), 1),
    "a link that is none": (RecordMap(module="M", marker="Ref", link="Ref"), 1),
    "a row for the marker": (
        RecordMap(module="M", marker="Ref", fields=FieldMap(rules=(Rule(field=ID, template="x"),))),
        1,
    ),
}


@pytest.mark.parametrize(("chosen", "count"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_work_is_said(chosen: RecordMap, count: int) -> None:
    there = [ID, CrmField(name="Short", kind="text", length=20), REPORT]

    assert count == len(wrong(chosen, there, {}, ["M"]))
    assert chosen == RecordMap.from_data(chosen.as_data())


def test_alice_chooses_a_module_looks_and_switches_on(office: Office, alice: FlaskClient) -> None:
    """Its fields are shown, the latest calls with them, what cannot work is refused, and a stranger is."""
    office.hear(*office.spoken("a1", 0, queue="sales"))
    shown = alice.get(PATH, query_string={"module": MODULE}).get_data(as_text=True)
    for part in ("Service Calls", "Call reference", "Contact (Contacts)", "Machine (Machines)", "Write a deal for"):
        assert part in shown, part

    def send(do: str, *rows: tuple[str, str], **told: str) -> Any:
        columns = {"field": [row[0] for row in rows], "template": [row[1] for row in rows]}
        form = {"module": MODULE, "marker": MARKER, "link": "Contact", "calls_of": "sales, 911 222 333"} | told
        return post(alice, PATH, do=do, **columns, queue=[""] * len(rows), **form)

    good = (("Name", "{caller}"), ("Report", "{result}: {note|nothing said}"))
    looked = send("look", *good).get_data(as_text=True)
    assert "Answered: nothing said" in looked
    assert "Nothing is kept yet." in looked
    for bad in (
        send("on", ("Report", "x")),
        send("on", *good, marker="Report"),
        send("on", *good, module="Users"),
        send("on", *good, module="../org"),
        send("on", *good, link="Owner"),
        send("on", *good, calls_of="q" * 81),
        send("delete", *good),
    ):
        assert 400 == bad.status_code
    assert not office.services.tenants.get(office.tenant).records.module

    assert 303 == send("on", *good).status_code
    kept = office.services.tenants.get(office.tenant).records
    assert (MODULE, "Contacts", ("sales", "911 222 333"), True) == (kept.module, kept.link_to, kept.only, kept.on)
    assert "fields.mapped" in {one.action for one in office.services.ledger.rows(office.tenant, limit=50)}
    bob = sign_in(alice.application, office.services, office.user(BOB))
    assert 403 == bob.get(PATH).status_code


def test_a_call_has_its_record_beside_its_activity(office: Office) -> None:
    """Filled, linked to whom it was with, Bob's; only where its queue or its line is meant."""
    use(office, "sales", LINE[1:], Report="{direction}, {result}, {queue|-}")
    office.hear(*office.spoken("b1", 0, queue="Sales"), *office.spoken("b2", 60, queue="repair"))
    use(office, "sales", Report="{queue|-}")
    office.hear(*office.spoken("b3", 120, queue="repair"))
    office.work()

    first = record(office, "b1")
    assert first is not None
    assert ("Sol", "Sales", "Sol", BOB) == (
        first["Name"],
        first["Report"],
        first["Contact"]["name"],
        first["Owner"]["email"],
    )
    assert (True, None) == (record(office, "b2") is not None, record(office, "b3"))
    assert "records.made" in {one.action for one in office.services.ledger.rows(office.tenant, limit=50)}


@pytest.mark.parametrize("unique", [True, False])
def test_a_lost_answer_makes_no_second_record(office: Office, unique: bool) -> None:
    """Made, and nobody heard; or killed right after it was asked for: it is looked for before it is made again."""
    marker = MARKER if unique else "Caller"
    use(office)
    chosen = replace(office.services.tenants.get(office.tenant).records, marker=marker)
    with office.services.db.tenant(office.tenant) as database:
        office.services.tenants.map_records(database, office.tenant, chosen)
    office.zoho.fault(f"POST /crm/v8/{MODULE}", "drop_after", times=1)
    ref = f"l{unique}"
    office.hear(*office.spoken(ref, 0))
    office.work()

    mine = [row for row in office.rows(MODULE) if row[marker] == str(office.call(ref))]
    assert 1 == len(mine)
    (owed,) = [one for one in office.owed("record.create") if one.call_id == office.call(ref)]
    assert ("done", mine[0]["id"]) == (owed.state, owed.result)


def test_what_zoho_refuses_of_a_record_is_left_out_and_said(office: Office, alice: FlaskClient) -> None:
    use(office, Report="{result}")
    office.zoho.post("knobs", unique={MODULE: ["Report"]})
    office.hear(*office.spoken("r1", 0), *office.spoken("r2", 60))
    office.work()
    office.zoho.post("knobs", unique={})

    told = [row["Report"] for ref in ("r1", "r2") if (row := record(office, ref)) is not None]
    assert 2 == len(told)
    assert None in told
    assert "Zoho refused Report (DUPLICATE_DATA)" in alice.get(PATH).get_data(as_text=True)
