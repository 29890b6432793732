"""Who it is, on the console's pages: why this person, one press to say who it was, a lead, and what settings decide."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import select

from domain import phone
from domain.contact import Line, Person, Record
from domain.matching import Rules
from domain.plan import Step
from jobs import who
from store.call_book import Kept
from store.database import TenantId
from store.embedded import Postgres
from store.tables import effects
from tests.console_desk import Stage, post, ring, running

MAIN, STRANGER = "+34911222444", "+34600777666"


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


def colleagues(stage: Stage, *names: str) -> list[UUID]:
    """People who share a number, each with a record in Zoho."""
    office, services = stage.office, stage.services
    told = [
        Record(module="Contacts", remote_id=f"{n}", person=Person(given=name, family="Sol", lines=(Line.read(MAIN),)))
        for n, name in enumerate(names)
    ]
    with services.db.tenant(office.tenant) as database:
        services.hub.apply(database, office.tenant, office.crm, [Step(do="adopt", record=one) for one in told])
    behind = services.hub.behind(office.tenant, office.crm, "Contacts", [one.remote_id for one in told])
    return [behind[one.remote_id] for one in told]


def called(stage: Stage, ref: str = "c1", number: str = MAIN, *, live: bool = False) -> UUID:
    """A call as the story of calls leaves it: with its trace."""
    services, office = stage.services, stage.office
    at = services.db.now()
    call = ring(
        services,
        office.tenant,
        office.crm,
        ref,
        at,
        number=number,
        user=office.bob,
        over=not live,
        outcome=None if live else "answered",
    )
    tenant, tie = services.tenants.get(office.tenant), services.connections.get(office.tenant, office.crm)
    (item,) = services.calls.hear(office.tenant, office.crm, (), again=[ref])
    read = [phone.read(number, "ES")]
    who.identify(services, tenant, tie, tie, [item], read)
    with services.db.tenant(office.tenant) as database:
        services.calls.save(database, office.tenant, [item], read)
    return call


def kept(stage: Stage, call: UUID) -> Kept:
    found = stage.services.calls.get(stage.office.tenant, call)
    assert found is not None
    return found


def decide(stage: Stage, policy: str) -> None:
    stage.services.tenants.set(stage.office.tenant, matching=Rules.from_data({"policy": policy}).as_data())


def test_the_page_says_why_and_takes_an_answer(stage: Stage) -> None:
    """Bob says who it was; the page says that he did, and one press takes it back."""
    decide(stage, "ask")
    dana, emil = colleagues(stage, "Dana", "Emil")
    call, bob = called(stage), stage.browser("bob")
    page = bob.get(f"/console/calls/{call}").get_data(as_text=True)
    for part in ("Several people have this number and nobody was chosen", "It is Dana Sol", "It is Emil Sol", MAIN):
        assert part in page
    assert "read as dialled in ES" in page

    answer = post(bob, f"/console/calls/{call}/who", contact=str(emil))

    assert (303, f"/console/calls/{call}") == (answer.status_code, answer.location)
    assert ("chosen", emil) == (kept(stage, call).match, kept(stage, call).contact)
    page = bob.get(f"/console/calls/{call}").get_data(as_text=True)
    assert "Bob Agent said today whose number this is" in page
    assert "It is Dana Sol" in page
    assert "It is Emil Sol" not in page

    assert 303 == post(bob, f"/console/calls/{call}/who/undo").status_code
    assert ("several", None) == (kept(stage, call).match, kept(stage, call).contact)
    assert ["match.chosen", "match.undone"] == [one for one in stage.actions() if one.startswith("match.")]
    assert dana != emil


def test_the_panel_offers_the_same(stage: Stage) -> None:
    """The others with a way to say it is them; pressed, the browser comes back to the panel."""
    dana, emil = colleagues(stage, "Dana", "Emil")
    call, bob = called(stage, live=True), stage.browser("bob")

    (live,) = bob.get("/console/panel/state").get_json()["live"]

    assert "Dana Sol" == live["who"]
    assert [(str(emil), f"/console/contacts/{emil}")] == [(one["contact"], one["url"]) for one in live["others"]]
    assert (f"/console/calls/{call}/who", "") == (live["choose"], live["lead"])
    assert "/console/panel" == post(bob, live["choose"], contact=str(emil), back="panel").location
    (live,) = bob.get("/console/panel/state").get_json()["live"]
    assert ("Emil Sol", [str(dana)]) == (live["who"], [one["contact"] for one in live["others"]])


def test_a_lead_is_asked_for_once(stage: Stage) -> None:
    """From the page and from the panel, by two people: one is owed, under the number."""
    call = called(stage, number=STRANGER, live=True)
    alice, bob = stage.browser("alice"), stage.browser("bob")
    assert "Make a lead" in bob.get(f"/console/calls/{call}").get_data(as_text=True)
    (live,) = bob.get("/console/panel/state").get_json()["live"]
    form = {"family": "Nova", "company": "Nova SL"}

    assert "/console/panel" == post(bob, live["lead"], **form, given="Nora", back="panel").location
    assert 303 == post(alice, f"/console/calls/{call}/lead", **form).status_code

    with stage.services.db.tenant(stage.office.tenant) as database:
        (row,) = database.execute(select(effects).where(effects.c.kind == "lead.create")).all()
    assert ("due", call) == (row.state, row.call_id)
    assert STRANGER not in row.key
    assert 1 == stage.actions().count("lead.asked")
    assert "Make a lead in Zoho" in bob.get(f"/console/calls/{call}").get_data(as_text=True)


def test_a_lead_that_was_refused_says_which_field_is_missing(stage: Stage) -> None:
    call, bob = called(stage, number=STRANGER), stage.browser("bob")
    post(bob, f"/console/calls/{call}/lead", family="Nova")
    waiting = stage.services.effects.waiting(stage.office.tenant, "calls")

    stage.services.effects.drop(stage.office.tenant, waiting, "lead.mandatory.lead_source")

    assert "Zoho demands the field Lead source for a lead" in bob.get(f"/console/calls/{call}").get_data(as_text=True)


@pytest.mark.parametrize(
    "form",
    [{}, {"family": ""}, {"family": "x" * 81}, {"family": "Nova", "owner": "1"}, {"family": "Nova", "back": "//evil"}],
    ids=["nothing", "no name", "too long", "a field of ours", "another place"],
)
def test_a_lead_that_cannot_be_read_is_not_owed(stage: Stage, form: dict[str, str]) -> None:
    call, bob = called(stage, number=STRANGER), stage.browser("bob")

    assert 400 == post(bob, f"/console/calls/{call}/lead", **form).status_code

    assert [] == stage.services.effects.waiting(stage.office.tenant, "calls")


@pytest.mark.parametrize("contact", ["", "1", str(UUID(int=7)), "x" * 5000])
def test_a_choice_that_cannot_be_is_refused(stage: Stage, contact: str) -> None:
    colleagues(stage, "Dana", "Emil")
    call, bob = called(stage), stage.browser("bob")

    assert 400 == post(bob, f"/console/calls/{call}/who", contact=contact).status_code

    assert [] == who.choices(stage.services).all(stage.office.tenant)


def test_charlie_decides_nothing_of_alices(stage: Stage) -> None:
    """Her calls, rules and lines are not there for him."""
    (dana, _), call = colleagues(stage, "Dana", "Emil"), called(stage)
    post(stage.browser("bob"), f"/console/calls/{call}/who", contact=str(dana))
    (rule,) = who.choices(stage.services).all(stage.office.tenant)
    charlie = stage.browser("charlie")

    answers = [
        post(charlie, f"/console/calls/{call}/who", contact=str(dana)),
        post(charlie, f"/console/calls/{call}/who/undo"),
        post(charlie, f"/console/calls/{call}/lead", family="Nova"),
        post(charlie, f"/console/settings/matching/{rule.id}/undo"),
        post(charlie, f"/console/connections/{stage.office.crm}/region", region="FR"),
    ]

    assert [404] * 5 == [answer.status_code for answer in answers]
    assert [rule] == who.choices(stage.services).all(stage.office.tenant)


# ---- what an administrator decides --------------------------------------------------------------------------------


def test_settings_say_where_numbers_are_dialled_and_why(stage: Stage) -> None:
    """Assumed until somebody says; only an administrator may, and only a country there is."""
    alice, tenant = stage.browser("alice"), stage.office.tenant
    assert "This is assumed" in alice.get("/console/settings").get_data(as_text=True)

    assert 403 == post(stage.browser("bob"), "/console/settings/country", country="GB").status_code
    wrong = post(alice, "/console/settings/country", country="XX")
    assert (400, True) == (wrong.status_code, "Two letters of a country" in wrong.get_data(as_text=True))
    assert "ES" == stage.services.tenants.get(tenant).region

    assert 303 == post(alice, "/console/settings/country", country="gb").status_code
    assert "GB" == stage.services.tenants.get(tenant).region
    assert "Your administrator chose it." in alice.get("/console/settings").get_data(as_text=True)


def test_settings_decide_about_shared_numbers(stage: Stage) -> None:
    """Kept, shown and in the ledger; what was said about numbers is listed and taken back there, too."""
    dana, _ = colleagues(stage, "Dana", "Emil")
    call, alice = called(stage), stage.browser("alice")
    post(stage.browser("bob"), f"/console/calls/{call}/who", contact=str(dana))

    stage.services.tenants.set(stage.office.tenant, matching=Rules(order=("Leads", "Contacts", "Accounts")).as_data())
    answer = post(alice, "/console/settings/matching", policy="account")

    assert 303 == answer.status_code
    rules = stage.services.tenants.get(stage.office.tenant).matching
    assert Rules(policy="account", order=("Leads", "Contacts", "Accounts")) == rules
    page = alice.get("/console/settings").get_data(as_text=True)
    assert "Leads, then Contacts, then Accounts" in page
    assert ("+34 911 22 24 44" in page, "Dana Sol" in page) == (True, True)
    assert "matching.rules" in stage.actions()

    (rule,) = who.choices(stage.services).all(stage.office.tenant)
    assert 303 == post(alice, f"/console/settings/matching/{rule.id}/undo").status_code
    assert [] == who.choices(stage.services).all(stage.office.tenant)
    assert 404 == post(alice, f"/console/settings/matching/{rule.id}/undo").status_code


@pytest.mark.parametrize("form", [{}, {"policy": "guess"}, {"order": "Contacts-Leads-Accounts"}, {"extra": "1"}])
def test_settings_that_cannot_be_are_refused(stage: Stage, form: dict[str, str]) -> None:
    told = {"policy": "ask"} | form if form else {}

    assert 400 == post(stage.browser("alice"), "/console/settings/matching", **told).status_code

    assert Rules() == stage.services.tenants.get(stage.office.tenant).matching
    assert 403 == post(stage.browser("bob"), "/console/settings/matching", **told).status_code


def test_a_phone_system_has_a_country(stage: Stage) -> None:
    """Of its own, or the organisation's; a made-up one is refused where it was typed."""
    services, tenant = stage.services, stage.office.tenant
    tie = services.connections.add(tenant, "telephony", "standard", label="PBX")
    alice, path = stage.browser("alice"), f"/console/connections/{tie}/region"

    assert 303 == post(alice, path, region="fr").status_code
    assert "FR" == who.region_of(services.connections.get(tenant, tie), services.tenants.get(tenant))
    assert 'value="FR"' in alice.get("/console/connections").get_data(as_text=True)

    wrong = post(alice, path, region="XX")
    assert (400, True) == (wrong.status_code, "Two letters of a country" in wrong.get_data(as_text=True))
    assert 303 == post(alice, path, region="").status_code
    assert "ES" == who.region_of(services.connections.get(tenant, tie), services.tenants.get(tenant))
    assert 404 == post(alice, f"/console/connections/{stage.office.crm}/region", region="FR").status_code
