"""What a new contact or lead in Zoho gets beyond their own details: written once, with them, and never argued about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest

from domain.contact import Line, Person
from domain.errors import Malformed
from domain.mapping import CrmField, FieldMap, Rule, faults, fill
from domain.newcomer import GOOGLE, TOPICS, values
from jobs import leads, newcomers, worker
from jobs.services import Services
from store.connections import Tie
from store.embedded import Postgres
from tests import google_stage, zoho_stage
from tests.console_desk import Stories, application, post, sign_in
from tests.contacts_office import CREATES, READING, Office, moved_in, outside, tools

Stages = tuple[zoho_stage.Stage, google_stage.Stage]
CONTACTS = TOPICS["Contacts"]
CAROL: dict[str, Any] = {
    "names": [{"givenName": "Carol", "familyName": "Diaz"}],
    "organizations": [{"name": "Shop SL", "title": "Buyer"}],
    "phoneNumbers": [{"value": "+34 600 111 222", "type": "mobile"}],
    "emailAddresses": [{"value": "carol@shop.example"}],
}
DORA: dict[str, Any] = {
    "names": [{"givenName": "Dora", "familyName": "Ito"}],
    "phoneNumbers": [{"value": "+34 600 333 444", "type": "mobile"}],
}
TEXT, PICK = (
    CrmField(name="Department", label="Department"),
    CrmField(name="Lead_Source", kind="picklist", choices=("Chat",)),
)
MAIL, LINK, PHONE = (CrmField(name=kind.title(), kind=kind) for kind in ("email", "website", "phone"))
PERSON = Person(
    given="Carol",
    family="Diaz",
    company="Shop SL",
    emails=("carol@shop.example",),
    lines=(
        Line(raw="911", label="fax"),
        Line(raw="600 111 222", e164="+34600111222", label="mobile"),
    ),
)
CASES: dict[str, tuple[CrmField, str, Any, str]] = {  # a field, its template, what Carol gets, why it cannot work
    "a name": (TEXT, "{name} ({company})", "Carol Diaz (Shop SL)", ""),
    "numbers": (TEXT, "{phone} {mobile} {label}", "+34600111222 +34600111222 mobile", ""),
    "where from": (TEXT, "{source}: {owner_email}", "Google Contacts: alice@alice.example", ""),
    "nothing to say": (TEXT, "{title|none}", "none", ""),
    "a choice": (PICK, "chat", "Chat", ""),
    "an address": (MAIL, "{email}", "carol@shop.example", ""),
    "a call's name": (TEXT, "{queue}", None, "There is no {queue}."),
    "a source no list has": (
        PICK, "{source}", None, "None of what {source} says (Google Contacts, Call) is in the field’s list."
    ),
    "no link": (LINK, "{email}", None, "This field holds something else, and nothing known of a contact is that."),
    "a number of theirs": (
        PHONE, "{phone}", "+34600111222", "A field of this kind (phone) cannot be filled with a text."
    ),
    "demanded": (
        replace(TEXT, mandatory=True), "{company}", "Shop SL",
        "Zoho demands this field, and this may come out empty. Say what stands there then: {company|none}.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("target", "text", "value", "sentence"), CASES.values(), ids=CASES)
def test_what_a_person_gives_a_field(target: CrmField, text: str, value: Any, sentence: str) -> None:
    """By names of people and no others; what cannot work has its sentence."""
    chosen = FieldMap(rules=(Rule(field=target, template=text),))
    said = values(PERSON, source=GOOGLE, owner="alice@alice.example")

    assert value == fill(chosen, "", said, UTC, CONTACTS).values.get(target.name)
    assert ([sentence] if sentence else []) == [one.sentence for one in faults(chosen, [target], {}, CONTACTS)]


# ---- an office ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stages() -> Iterator[Stages]:
    with outside() as both:
        yield both


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, stages: Stages) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, *stages) as opened:
        yield opened


@pytest.fixture
def office(services: Services, stages: Stages) -> Iterator[Office]:
    with moved_in(services, *stages, features=(*READING, "call-fields", "leads")) as opened:
        opened.both_ways()
        yield opened


def use(office: Office, module: str = "Contacts", **templates: str) -> None:
    """Alice maps these fields and switches it on."""
    known = {one.name: one for one in newcomers.there(office.services, office.crm, module)}
    rules = tuple(Rule(field=known[name], template=text) for name, text in templates.items())
    newcomers.choose(
        office.services, office.crm, office.alice, module, FieldMap(rules=rules, on=True), [*known.values()]
    )


def crm(office: Office) -> Tie:
    return office.services.connections.get(office.tenant, office.crm.id)


def test_an_organisation_that_demands_more_gets_its_people(office: Office) -> None:
    """Without a value for the field its layout demands nobody arrives; with one, those who were refused do, once."""
    office.zoho.post("knobs", mandatory={"Contacts": ["Department"]})
    office.add(CAROL)
    office.work()
    assert [] == office.rows()
    with pytest.raises(Malformed, match="Zoho demands Department of every contact"):
        use(office, Lead_Source="chat")

    use(office, Department="{company|Private}", Lead_Source="chat", Description="{source}, {owner_email}")
    office.add(DORA)
    office.work()

    from_alice = f"Google Contacts, {office.book.label}"
    assert {("Diaz", "Shop SL", "Chat", from_alice), ("Ito", "Private", "Chat", from_alice)} == {
        (one["Last_Name"], one["Department"], one["Lead_Source"], one["Description"]) for one in office.rows()
    }
    office.written()
    office.work()
    assert {} == office.written()


def test_what_was_filled_belongs_to_the_people_there(office: Office) -> None:
    """Neither what they make of it nor a later change in Google moves it, and Google hears nothing of it."""
    use(office, Department="{company}")
    (carol,) = office.add(CAROL)
    office.work()
    (row,) = office.rows()
    office.edit(row["id"], Department="Purchasing")
    office.change(carol, organizations=[{"name": "Shop SA", "title": "Owner"}])
    office.written()

    office.work()
    (row,) = office.rows()
    assert ("Purchasing", "Owner") == (row["Department"], row["Title"])
    assert {"PUT /crm/v8/Contacts": 1} == office.written()
    assert {} == crm(office).facts.get("contact_fields_refused", {})


def test_what_zoho_refuses_is_left_out_and_said(office: Office) -> None:
    """A choice its list has lost, and a value that must be nobody else's: both stand without them, as two people."""
    use(office, Department="one", Lead_Source="Chat", Mailing_City="Madrid")
    office.zoho.post("knobs", closed_choices={"Contacts": ["Lead_Source"]}, unique={"Contacts": ["Department"]})
    chosen = office.services.tenants.get(office.tenant).newcomers["Contacts"]
    rules = [
        replace(one, template="Gone", field=replace(one.field, choices=("Gone",))) if one.field.choices else one
        for one in chosen.rules
    ]
    with office.services.db.tenant(office.tenant) as database:
        office.services.tenants.map_newcomers(database, office.tenant, "Contacts", replace(chosen, rules=tuple(rules)))
    office.add(CAROL, DORA)
    office.work()

    found = office.rows()
    assert {("Diaz", "Madrid", None), ("Ito", "Madrid", None)} == {
        (one["Last_Name"], one["Mailing_City"], one["Lead_Source"]) for one in found
    }
    assert {"one", None} == {one["Department"] for one in found}
    assert {"Lead_Source": "INVALID_DATA", "Department": "DUPLICATE_DATA"} == crm(office).facts[
        "contact_fields_refused"
    ]


def test_a_creation_nobody_answered_stands_once_with_its_fields(office: Office) -> None:
    use(office, Department="{company}")
    office.add(CAROL)
    office.zoho.fault(CREATES["zoho"], "drop_after", times=1)
    office.work()

    assert [("Diaz", "Shop SL")] == [(one["Last_Name"], one["Department"]) for one in office.rows()]


def test_a_lead_made_of_a_call_has_its_fields(office: Office) -> None:
    """A company for who has none, a demanded status, the address of who asked; a refused one is left out."""
    office.zoho.post("knobs", mandatory={"Leads": ["Lead_Status"]}, closed_choices={"Leads": ["Salutation"]})
    use(office, "Leads", Company="{company|Private}", Lead_Status="Contacted", Description="{source}, {owner_email}")
    tenant, number = office.tenant, "+34600777666"
    chosen = office.services.tenants.get(tenant).newcomers["Leads"]
    more = (*chosen.rules, Rule(field=CrmField(name="Salutation"), template="Señora"))
    with office.services.db.tenant(tenant) as database:
        office.services.tenants.map_newcomers(database, tenant, "Leads", replace(chosen, rules=more))
    assert leads.ask_for(office.services, office.alice, number, family="Nova")
    worker.visit(office.services, tenant, "calls", seconds=60)

    (row,) = office.rows("Leads")
    assert ("Nova", "Private", "Contacted", f"Call, {office.alice.email}", None) == tuple(
        row[name] for name in ("Last_Name", "Company", "Lead_Status", "Description", "Salutation")
    )
    assert {"Salutation": "INVALID_DATA"} == crm(office).facts["lead_fields_refused"]
    assert 1 == len(office.services.hub.who(tenant, number))


def test_alice_looks_at_it_on_real_people_and_switches_on(office: Office) -> None:
    """What cannot work is said beside its row and not kept; an agent, and a page there is not, get nowhere."""
    office.add(CAROL, DORA)
    office.work()
    plain = replace(office.services, settings=replace(office.services.settings, base_url=""))
    app = application(plain, Stories())
    alice, path = sign_in(app, office.services, office.alice), "/console/settings/fields/Contacts"

    def send(do: str, *rows: tuple[str, str]) -> Any:
        columns = {name: [one[place] for one in (*rows, ("", ""))] for place, name in enumerate(("field", "template"))}
        return post(alice, path, do=do, **columns)

    empty = alice.get(path).get_data(as_text=True)
    assert "Department" in empty
    assert '"Email"' not in empty
    looked = send("look", ("Department", "{company}"), ("Lead_Source", "{company|Chat}"), ("Mailing_City", "{queue}"))
    shown = looked.get_data(as_text=True)
    assert 200 == looked.status_code
    assert "2 people as they would be written if they were new" in shown
    assert "“Shop SL” is not in the field’s list." in shown
    assert "There is no {queue}." in shown
    for bad in ([("Email", "x@y.example")], [("Nonsense", "x"), ("Department", "{name")]):
        assert 400 == send("on", *bad).status_code, bad
    for worse in (
        {"do": "delete"},
        {"do": "on", "field": ["Department"], "template": ["a", "b"]},
        {"do": "on", "x": "1"},
    ):
        assert 400 == post(alice, path, **worse).status_code, worse
    assert {} == office.services.tenants.get(office.tenant).newcomers

    assert 303 == send("on", ("Department", "{company|Private}")).status_code
    assert office.services.tenants.get(office.tenant).newcomers["Contacts"].on
    assert "Every field holds what it gets." in alice.get(path).get_data(as_text=True)
    assert 404 == alice.get("/console/settings/fields/Deals").status_code
    assert {"newcomers"} <= {
        one.facts["exit"] for one in office.services.ledger.rows(office.tenant, limit=50, action="google.passed")
    }
    bob = next(one for one in office.services.tenants.users(office.tenant) if one.role == "agent")
    assert 403 == sign_in(app, office.services, bob).get(path).status_code
