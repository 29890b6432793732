"""Only a view of a module takes part: whom it does not show is not read, and nobody is deleted for leaving it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.contact import Gone, Record
from domain.errors import NotAllowed, Refused, TryLater
from domain.sharing import Sharing
from integrations.zoho.views import ViewGone
from jobs import leads, sharing, worker
from jobs.services import Services
from jobs.views import A_DAY
from store.embedded import Postgres
from tests import google_stage, zoho_stage
from tests.contacts_office import READING, Office, moved_in, outside, tools

Stages = tuple[zoho_stage.Stage, google_stage.Stage]
ANN = {"First_Name": "Ann", "Last_Name": "Lee", "Phone": "+34600111333", "Department": "Sales"}
LONG_AGO = {"Modified_Time": "2020-01-01T12:00:00+00:00"}
BEN = {"First_Name": "Ben", "Last_Name": "Roe", "Phone": "+34600111444", "Department": "Private"}


@pytest.fixture(scope="module")
def stages() -> Iterator[Stages]:
    with outside() as both:
        yield both


@pytest.fixture
def zoho(stages: Stages) -> zoho_stage.Stage:
    stages[0].fresh()
    return stages[0]


def seed(zoho: zoho_stage.Stage, *rows: dict[str, Any], module: str = "Contacts") -> list[str]:
    return list(zoho.post("seed", org="alice", module=module, records=list(rows))["ids"])


def view(zoho: zoho_stage.Stage, module: str = "Contacts", **told: Any) -> str:
    """Save a view, as somebody at Zoho's screen does: those of the sales department, unless told otherwise."""
    sales = {"name": "Sales only", "field": "Department", "comparator": "equal", "value": "Sales"}
    return str(zoho.post("views", org="alice", module=module, **sales | told)["id"])


def edit(zoho: zoho_stage.Stage, id: str, module: str = "Contacts", **values: Any) -> None:
    zoho.post("edit", org="alice", module=module, id=id, values=values)


def asked(zoho: zoho_stage.Stage, module: str = "Contacts") -> list[tuple[str, str]]:
    """Each list of a module that was asked for: through which view, and for which columns; then forget them."""
    last = zoho.get("requests", last="1000")["last"]
    zoho.delete("requests")
    lists = [one for one in last if one["request"] == f"GET /crm/v8/{module}"]
    return [(one.get("cvid", ""), one["fields"]) for one in lists]


# ---- the adapter --------------------------------------------------------------------------------------------------


def test_a_modules_views_are_listed_by_name(zoho: zoho_stage.Stage) -> None:
    sales, berlin = view(zoho), view(zoho, name="Berlin", field="Mailing_City", value="Berlin")
    view(zoho, "Leads", name="Hot", field="Lead_Status", value="Contacted")
    crm, _ = zoho.crm()

    assert {sales: "Sales only", berlin: "Berlin"} == crm.views("Contacts")
    assert {} == crm.views("Accounts")
    without, _ = zoho.crm(scopes=("ZohoCRM.modules.contacts.READ",))
    with pytest.raises(NotAllowed):
        without.views("Contacts")


def test_a_view_is_read_whole_in_pages_and_whom_it_does_not_show_is_named_by_id_alone(zoho: zoho_stage.Stage) -> None:
    many = [{"Last_Name": f"No {n}", "Department": "Sales"} for n in range(450)]
    shown = seed(zoho, *many)
    (ben,) = seed(zoho, BEN)
    sales = view(zoho)
    crm, _ = zoho.crm()

    told = list(crm.people_in_view("Contacts", sales, None, [ben, shown[0]]))

    assert {*shown} == {one.remote_id for one in told if isinstance(one, Record)}
    assert [Gone(module="Contacts", remote_id=ben, apart=True)] == [one for one in told if isinstance(one, Gone)]
    assert {sales} == {cvid for cvid, _ in asked(zoho)}


def test_changes_are_read_through_the_view_and_who_is_not_in_it_is_an_id(zoho: zoho_stage.Stage) -> None:
    """Who changed and stayed, who left by a change, who was never in it, and who was deleted."""
    ann, eve, old = seed(zoho, ANN, ANN | {"First_Name": "Eve"}, ANN | {"First_Name": "Old"})
    (ben,) = seed(zoho, BEN)
    sales = view(zoho)
    crm, _ = zoho.crm()
    zoho.post("clock", advance=3_600)
    since = datetime.fromtimestamp(zoho.get("clock")["now"], UTC)
    zoho.post("clock", advance=60)
    crm, _ = zoho.crm()
    edit(zoho, ann, Title="Head")
    edit(zoho, eve, Department="Private")
    edit(zoho, ben, Title="Secret")
    zoho.post("delete", org="alice", module="Contacts", id=old)
    zoho.delete("requests")

    told = {one.remote_id: one for one in crm.people_in_view("Contacts", sales, since)}

    assert {ann, eve, ben, old} == told.keys()
    assert isinstance(told[ann], Record)
    left_out = [Gone(module="Contacts", remote_id=one, apart=True) for one in (eve, ben)]
    assert left_out == [told[eve], told[ben]]
    assert Gone(module="Contacts", remote_id=old) == told[old]
    first, second = asked(zoho)
    assert ("", "id,Modified_Time") == first
    assert (sales, True) == (second[0], "Phone" in second[1])


def test_a_lead_that_became_a_contact_is_a_lead_no_more(zoho: zoho_stage.Stage) -> None:
    hot = view(zoho, "Leads", name="Hot", field="Lead_Status", value="Contacted")
    when = datetime.fromtimestamp(zoho.get("clock")["now"], UTC) - timedelta(hours=1)
    (lead,) = seed(
        zoho, {"Last_Name": "Lee", "Company": "L", "Lead_Status": "Contacted", "Converted__s": True}, module="Leads"
    )
    crm, _ = zoho.crm()

    assert [Gone(module="Leads", remote_id=lead, converted=True)] == [*crm.people_in_view("Leads", hot, when)]


def test_a_view_that_is_gone_is_named_and_nothing_is_read_in_its_place(zoho: zoho_stage.Stage) -> None:
    """Also one of another module, and what is no id at all; without the module's own permission that is said."""
    (ann,) = seed(zoho, ANN)
    of_leads = view(zoho, "Leads", name="Hot", field="Lead_Status", value="Contacted")
    crm, _ = zoho.crm()
    for bad in ("999", of_leads, "1&fields=Phone", ""):
        with pytest.raises(ViewGone) as refused:
            list(crm.people_in_view("Contacts", bad, None, [ann]))
        assert "zoho.view_gone" == refused.value.code
    assert all(cvid for cvid, _ in asked(zoho))
    without, _ = zoho.crm(scopes=("ZohoCRM.modules.leads.READ",))
    with pytest.raises(NotAllowed) as off:
        list(without.people_in_view("Contacts", view(zoho)))
    assert "zoho.oauth_scope_mismatch" == off.value.code


BAD_ANSWERS: dict[str, tuple[int, Any, type[Exception], str]] = {
    "not shared any more": (403, {"code": "NO_PERMISSION"}, ViewGone, "zoho.view_gone"),
    "a code of another year": (400, {"code": "INVALID_CVID"}, ViewGone, "zoho.view_gone"),
    "its place was lost": (400, {"code": "EXPIRED_VALUE"}, TryLater, "upstream.busy"),
    "larger than a list may be": (
        400,
        {"code": "PAGINATION_LIMIT_EXCEEDED"},
        Refused,
        "zoho.pagination_limit_exceeded",
    ),
    "no rows where they belong": (200, {"data": "x"}, TryLater, "upstream.busy"),
    "busy": (429, {"code": "TOO_MANY_REQUESTS"}, TryLater, "upstream.busy"),
}


@pytest.mark.parametrize(("status", "body", "error", "code"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_bad_answers_to_a_view_are_named(
    zoho: zoho_stage.Stage, status: int, body: Any, error: type[Exception], code: str
) -> None:
    crm, _ = zoho.crm()
    crm.reading()
    zoho.fault("GET /crm/v8/Contacts", "status", status=status, body=json.dumps(body))

    with pytest.raises(error) as raised:
        list(crm.people_in_view("Contacts", "123", None, ["1"]))

    assert error is type(raised.value)
    assert code == getattr(raised.value, "code", "")


# ---- the whole way ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, stages: Stages) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, *stages) as opened:
        yield opened


@pytest.fixture
def office(services: Services, stages: Stages) -> Iterator[Office]:
    with moved_in(services, *stages, features=(*READING, "leads")) as opened:
        yield opened


def only(office: Office, **views: str) -> None:
    """Have only these views take part, of their modules."""
    tie = office.services.connections.get(office.tenant, office.crm.id)
    chosen = replace(Sharing.from_facts(tie.facts), views=views)
    sharing.choose(office.services, tie, chosen, actor="user:alice")


def known(office: Office, module: str = "Contacts") -> set[str]:
    """The records of a module Linekeeper knows."""
    links = office.services.hub.links(office.tenant, office.crm.id)
    return {remote_id for of, remote_id in links if of == module}


def at_google(office: Office) -> list[str]:
    return sorted(one["names"][0].get("givenName", "") for one in office.people().values())


def a_day_later(office: Office) -> None:
    """Have every view's last whole reading be a day ago."""
    keep = office.services.connections.set_cursor
    ago = office.services.db.now() - A_DAY
    keep(office.tenant, office.crm.id, "read.crm.Contacts.whole", ago.isoformat())


def columns(office: Office) -> set[str]:
    """What was asked of contacts beside the view."""
    return {name for cvid, names in asked(office.zoho) if not cvid for name in names.split(",")}


def test_only_the_views_people_are_read(office: Office) -> None:
    """And written to Google; of the others not even a name was asked for, at first or later."""
    ann, _ = office.seed(ANN, BEN)
    only(office, Contacts=view(office.zoho))
    office.zoho.delete("requests")
    office.both_ways()
    office.work()
    assert {ann} == known(office)
    assert ["Ann"] == at_google(office)
    assert set() == columns(office)

    new, secret = office.seed(ANN | {"First_Name": "New", "Phone": "+34600111555"}, BEN | {"First_Name": "Secret"})
    office.work()
    assert {ann, new} == known(office)
    assert secret not in known(office)
    assert {"id", "Modified_Time"} == columns(office)


def test_who_leaves_a_view_leaves_here_and_stands_at_google_and_who_comes_back_is_the_same(office: Office) -> None:
    ann, ben = office.seed(ANN, BEN)
    only(office, Contacts=view(office.zoho))
    office.both_ways()
    office.work()
    office.written()

    office.edit(ann, Department="Private")
    office.edit(ben, Department="Sales")
    office.work()
    assert {ben} == known(office)
    assert ["Ann", "Ben"] == at_google(office)
    office.edit(ann, Title="Not for you")
    office.work()
    assert ["Ann", "Ben"] == at_google(office)
    assert {"Ann": ""} == {
        one["names"][0]["givenName"]: (one.get("organizations") or [{}])[0].get("title", "")
        for one in office.people().values()
        if one["names"][0]["givenName"] == "Ann"
    }

    office.edit(ann, Department="Sales")
    office.work()
    assert {ann, ben} == known(office)
    assert (2, ["Ann", "Ben"]) == (len(office.rows()), at_google(office))


def test_who_is_deleted_in_a_view_is_deleted_and_not_left_out(office: Office) -> None:
    """By a sweep, and by the whole reading of a day as well."""
    ann, eve = office.seed(ANN, ANN | {"First_Name": "Eve", "Phone": "+34600111666"})
    only(office, Contacts=view(office.zoho))
    office.both_ways()
    office.work()
    assert ["Ann", "Eve"] == at_google(office)

    office.bin(eve)
    office.work()
    assert ["Ann"] == at_google(office)
    office.bin(ann)
    a_day_later(office)
    office.work()
    assert [] == at_google(office)


def test_a_view_that_moves_by_itself_is_read_whole_once_a_day(office: Office) -> None:
    """Nobody was edited: until then who was in it stays, from then on the others are left out and deleted nowhere."""
    ann, ben = office.seed(ANN | LONG_AGO, BEN | LONG_AGO)
    sales = view(office.zoho)
    only(office, Contacts=sales)
    office.both_ways()
    office.work()
    view(office.zoho, id=sales, value="Private")
    office.work()
    assert {ann} == known(office)

    a_day_later(office)
    office.work()
    assert {ben} == known(office)
    assert (2, ["Ann", "Ben"]) == (len(office.rows()), at_google(office))
    asked(office.zoho)
    office.work()
    assert {"id", "Modified_Time"} == columns(office), "and then by what changed again"


def test_a_notification_of_somebody_left_out_fetches_nothing_of_them(office: Office) -> None:
    """It is a hint: the sweep looks at once, through the view."""
    (ben,) = office.seed(BEN)
    only(office, Contacts=view(office.zoho))
    office.work()
    office.zoho.delete("requests")
    body = {"module": "Contacts", "operation": "update", "ids": [ben], "token": "t", "channel_id": "1"}
    (ann,) = office.seed(ANN)

    office.services.inbox.write_once(
        office.tenant, office.crm.id, "n1", kind="notification", lane="contacts", body=json.dumps(body).encode()
    )
    worker.visit(office.services, office.tenant, "contacts", seconds=60)

    assert {ann} == known(office)
    assert {"id", "Modified_Time"} == columns(office)
    assert [] == office.services.inbox.pending(office.tenant, "contacts")


def test_a_view_that_was_deleted_is_named_and_nobody_leaves(office: Office) -> None:
    """Its module waits; another one goes on; and nothing is read in its place until somebody chooses again."""
    ann, _ = office.seed(ANN, BEN)
    sales = view(office.zoho)
    only(office, Contacts=sales)
    office.both_ways()
    office.work()
    office.zoho.post("views/delete", org="alice", id=sales)
    a_day_later(office)
    asked(office.zoho)
    (lead,) = office.seed({"Last_Name": "New", "Company": "N", "Phone": "+34600111777"}, module="Leads")

    office.work()
    office.work()

    assert ({ann}, {lead}) == (known(office), known(office, "Leads"))
    assert {"id", "Modified_Time"} == columns(office)
    assert "Ann" in at_google(office)
    assert "zoho.view_gone" == office.chore("read.crm").reason
    assert "zoho.view_gone" == office.services.connections.get(office.tenant, office.crm.id).reason

    only(office)
    office.work()
    assert 2 == len(known(office))
    assert "" == office.chore("read.crm").reason


def test_a_view_of_companies_the_consent_leaves_out_is_no_trouble(services: Services, stages: Stages) -> None:
    with moved_in(services, *stages, features=("calls", "contacts")) as office:
        (ann,) = office.seed(ANN)
        only(office, Accounts=view(office.zoho, "Accounts", name="Near", field="Website", value="x"))
        office.work()

        assert {ann} == known(office)
        assert "" == office.chore("read.crm").reason


def test_choosing_all_records_again_brings_everybody_back(office: Office) -> None:
    """And the ledger says how many views were chosen; a view chosen once more is read from its beginning."""
    ann, ben = office.seed(ANN | LONG_AGO, BEN | LONG_AGO)
    sales = view(office.zoho)
    office.both_ways()
    office.work()
    assert {ann, ben} == known(office)

    only(office, Contacts=sales)
    office.work()
    assert ({ann}, ["Ann", "Ben"]) == (known(office), at_google(office))
    only(office)
    office.work()
    assert {ann, ben} == known(office)
    only(office, Contacts=sales)
    office.work()
    assert ({ann}, ["Ann", "Ben"]) == (known(office), at_google(office))
    assert 2 == len(office.rows())
    told = [row.facts["views"] for row in office.services.ledger.rows(office.tenant) if row.action == "contacts.chosen"]
    assert [1, 0, 1] == told


def test_no_lead_is_made_of_a_number_somebody_left_out_has(office: Office) -> None:
    """And nothing of them is read to find that out."""
    office.seed(BEN)
    only(office, Contacts=view(office.zoho))
    office.work()
    asked(office.zoho)

    assert leads.ask_for(office.services, office.alice, BEN["Phone"], family="Caller")
    worker.visit(office.services, office.tenant, "calls", seconds=60)

    assert [] == office.rows("Leads")
    assert set() == known(office)
    assert [] == asked(office.zoho)


@pytest.mark.parametrize(("field", "value"), [("Department", "Sales"), ("Last_Name", "Lee")])
def test_a_lead_that_became_a_customer_is_deleted_nowhere(office: Office, field: str, value: str) -> None:
    """Whether or not the view of contacts shows them: one person at Google, before and after."""
    only(office, Contacts=view(office.zoho, name=field, field=field, value=value))
    office.both_ways()
    lead = {"First_Name": "Ida", "Last_Name": "Lee", "Company": "L", "Phone": "+34600111777"}
    (id,) = office.seed(lead, module="Leads")
    office.work()
    (there,) = office.people()

    contact = office.zoho.post("convert", org="alice", id=id)["details"]["id"]
    for _ in range(2):
        office.work()

    assert ({contact} if field == "Last_Name" else set()) == known(office)
    assert [there] == list(office.people())
    office.written()
    office.work()
    assert {} == office.written()
