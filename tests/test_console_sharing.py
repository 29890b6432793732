"""The page of a connection's contacts and the page of changes: what is chosen, what is held, what is undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.consent import standing
from domain.contact import Person
from domain.errors import NotAllowed, TryLater
from domain.sharing import Sharing
from jobs import both_ways
from jobs.services import Services
from store.database import TenantId
from store.embedded import Postgres
from store.journal import Line
from tests import house
from tests.console_desk import Stage, meet, person, post, running

DANA = "+34600111222"


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


@pytest.fixture
def book(stage: Stage) -> UUID:
    return stage.services.connections.add(stage.office.tenant, "workspace", "google", label="alice@alice.example")


def chosen(stage: Stage, tie: UUID) -> Sharing:
    return Sharing.from_facts(stage.services.connections.get(stage.office.tenant, tie).facts)


def test_alice_chooses_which_way_changes_travel(stage: Stage, book: UUID) -> None:
    """And whose word counts; the page then says which permission is missing, and the ledger who chose."""
    alice, path = stage.browser("alice"), f"/console/connections/{book}/contacts"
    page = alice.get(path).get_data(as_text=True)
    assert "Only read" in page
    assert "permission is missing" not in page

    assert 303 == post(alice, path, direction="both", owner_title="newest").status_code

    assert Sharing(direction="both", owner={"title": "newest"}) == chosen(stage, book)
    assert "Keep Google contacts up to date: permission is missing" in alice.get(path).get_data(as_text=True)
    assert "contacts.chosen" in stage.actions()
    chores = {(chore.connection, chore.kind) for chore in stage.services.chores.all(stage.office.tenant)}
    assert (book, both_ways.CHORE) in chores


def test_a_large_crm_that_is_being_written_out_says_so(stage: Stage) -> None:
    """While files are made, whoever looks knows how many people will come out of them."""
    services, tenant = stage.services, stage.office.tenant
    crm = services.connections.add(tenant, "crm", "zoho", label="Alice Ltd")
    services.chores.set_up(tenant, crm, "read.crm", lane="contacts", every_seconds=300)
    alice, path = stage.browser("alice"), f"/console/connections/{crm}/contacts"
    assert "Under way" not in alice.get(path).get_data(as_text=True)

    (chore,) = (one for one in services.chores.all(tenant) if one.connection == crm)
    services.chores.went_well(tenant, chore, exporting=120_000)

    assert "is writing 120,000 records into files for us" in alice.get(path).get_data(as_text=True)


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "no direction": ("", {}),
    "another direction": ("", {"direction": "up"}),
    "another owner": ("", {"direction": "both", "owner_name": "charlie"}),
    "a label there is not": ("", {"direction": "both", "labels": ["contactGroups/x"]}),
    "an unknown field": ("", {"direction": "both", "admin": "yes"}),
    "twice": ("", {"direction": ["both", "read"]}),
    "too much": ("/limit", {"percent": "101"}),
    "no number": ("/limit", {"percent": "many"}),
    "neither": ("/pause", {"do": "stop"}),
    "nothing like that": ("/held", {"chore": "read.crm", "do": "delete"}),
    "a huge chore": ("/held", {"chore": "x" * 4_000, "do": "leave"}),
}


@pytest.mark.parametrize(("place", "form"), BAD.values(), ids=BAD)
def test_what_cannot_be_chosen_changes_nothing(stage: Stage, book: UUID, place: str, form: dict[str, Any]) -> None:
    answer = post(stage.browser("alice"), f"/console/connections/{book}/contacts{place}", **form)

    assert 400 == answer.status_code
    assert Sharing() == chosen(stage, book)
    assert 30 == stage.services.tenants.get(stage.office.tenant).contacts.percent


def test_a_held_run_shows_whom_it_is_about_and_goes_on_once(stage: Stage) -> None:
    services, office = stage.services, stage.office
    (dana,) = meet(services, office.tenant, office.crm, [person("Dana", "Sol", "", DANA, "")])
    services.chores.set_up(office.tenant, office.crm, "read.crm", lane="contacts", every_seconds=60)
    (chore,) = services.chores.all(office.tenant)
    alice, path = stage.browser("alice"), f"/console/connections/{office.crm}/contacts"
    assert 404 == post(alice, f"{path}/held", chore="read.crm", do="continue").status_code
    held = {"removing": 40, "known": 100, "some": [str(dana)], "left": False}
    services.chores.note(office.tenant, chore.id, held=held)

    page = alice.get(path).get_data(as_text=True)
    assert "40 of 100 people are gone from Zoho" in page
    assert "Among them: Dana Sol." in page
    assert "Held: needs your word" in alice.get("/console/connections").get_data(as_text=True)
    assert 303 == post(alice, f"{path}/held", chore="read.crm", do="leave").status_code
    assert "Left as it is" in alice.get(path).get_data(as_text=True)
    assert 303 == post(alice, f"{path}/held", chore="read.crm", do="continue").status_code
    assert 40 == services.chores.all(office.tenant)[0].may_remove


def test_a_phonebook_is_paused_and_its_held_run_goes_on(stage: Stage) -> None:
    """There is nothing to choose for it; another vendor's phone system keeps none, and Charlie finds nothing."""
    services, tenant = stage.services, stage.office.tenant
    pbx = services.connections.add(tenant, "telephony", "standard", label="PBX")
    services.chores.set_up(tenant, pbx, "read.phonebook", lane="contacts", every_seconds=60)
    (chore,) = (one for one in services.chores.all(tenant) if one.connection == pbx)
    services.chores.note(tenant, chore.id, held={"removing": 15, "known": 30, "some": [], "left": False})
    alice, path = stage.browser("alice"), f"/console/connections/{pbx}/contacts"

    page = alice.get(path).get_data(as_text=True)
    assert "15 of 30 people are gone from the phonebook" in page
    assert "known from what was typed in there" in page
    assert "Which way changes travel" not in page
    assert path in alice.get("/console/connections").get_data(as_text=True)
    assert 404 == post(alice, path, direction="both").status_code
    assert 404 == stage.browser("charlie").get(path).status_code
    assert 303 == post(alice, f"{path}/held", chore="read.phonebook", do="continue").status_code
    assert 15 == next(one for one in services.chores.all(tenant) if one.connection == pbx).may_remove
    assert 303 == post(alice, f"{path}/pause", do="pause").status_code
    assert chosen(stage, pbx).paused
    assert 303 == post(alice, f"{path}/pause", do="resume").status_code

    without = services.connections.add(tenant, "telephony", "twilio", label="Twilio")
    assert 404 == alice.get(f"/console/connections/{without}/contacts").status_code


def test_pausing_and_the_limit(stage: Stage) -> None:
    alice, path = stage.browser("alice"), f"/console/connections/{stage.office.crm}/contacts"

    assert 303 == post(alice, f"{path}/pause", do="pause").status_code
    assert chosen(stage, stage.office.crm).paused
    assert "Paused" in alice.get(path).get_data(as_text=True)
    assert 303 == post(alice, f"{path}/limit", percent="5").status_code
    assert 5 == stage.services.tenants.get(stage.office.tenant).contacts.percent


def test_what_google_knows_beside_contacts_is_stopped_and_read_again(
    stage: Stage, book: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a consent carries it; where it does not, there is nothing to press, and Charlie finds nothing at all."""
    alice, path = stage.browser("alice"), f"/console/connections/{book}/contacts"
    assert "Workspace directory" not in alice.get(path).get_data(as_text=True)
    assert 400 == post(alice, f"{path}/besides", source="directory", do="stop").status_code
    every = stage.services.providers["google"].features
    scopes = {scope for one in every for scope in one.scopes}
    monkeypatch.setattr(stage.stories, "features", lambda *_: standing(every, scopes))

    page = alice.get(path).get_data(as_text=True)
    assert "Workspace directory" in page
    assert "Stop, and forget what it told" in page
    assert 404 == post(stage.browser("charlie"), f"{path}/besides", source="directory", do="stop").status_code
    for bad in ({"source": "mailbox", "do": "stop"}, {"source": "directory", "do": "delete"}, {"source": "directory"}):
        assert 400 == post(alice, f"{path}/besides", **bad).status_code
    assert () == chosen(stage, book).stopped
    assert 303 == post(alice, f"{path}/besides", source="directory", do="stop").status_code
    assert ("directory",) == chosen(stage, book).stopped
    assert "What it told is forgotten here." in alice.get(path).get_data(as_text=True)
    assert 303 == post(alice, path, direction="both").status_code
    assert ("directory",) == chosen(stage, book).stopped, "another choice leaves this one as it is"
    assert 303 == post(alice, f"{path}/besides", source="directory", do="read").status_code
    assert (book, "read.directory") in {
        (chore.connection, chore.kind) for chore in stage.services.chores.all(stage.office.tenant)
    }


class Saved:
    """A CRM that has views of contacts, refuses to tell those of companies, and answers as long as `silent` is not."""

    def __init__(self) -> None:
        self.views_of: dict[str, dict[str, str]] = {"Contacts": {"11": "Sales <only>", "12": "Berlin"}, "Leads": {}}
        self.silent = False

    def views(self, module: str) -> dict[str, str]:
        if self.silent:
            raise TryLater("Zoho did not answer.")
        if module not in self.views_of:
            raise NotAllowed("Zoho does not allow this.")
        return self.views_of[module]


@pytest.fixture
def saved(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Saved:
    """Everything is allowed, and Zoho has views."""
    every = stage.services.providers["zoho"].features
    monkeypatch.setattr(
        stage.stories, "features", lambda *_: standing(every, {scope for one in every for scope in one.scopes})
    )
    crm = Saved()
    monkeypatch.setattr(Services, "crm", lambda *_: crm)
    return crm


def test_alice_chooses_a_view_by_its_name_and_all_records_again(stage: Stage, saved: Saved) -> None:
    """What the page does not ask stays; the ledger counts the views; and everything is read from the beginning."""
    services, tie = stage.services, stage.office.crm
    alice, path = stage.browser("alice"), f"/console/connections/{tie}/contacts"
    services.connections.set_cursor(stage.office.tenant, tie, "read.crm", "2026-01-01T00:00:00+00:00")
    page = alice.get(path).get_data(as_text=True)
    assert '<label for="f-view_contacts">Contacts</label>' in page
    assert '<option value="11">Sales &lt;only&gt;</option>' in page
    assert '<select id="f-view_accounts"' in page

    assert 303 == post(alice, path, direction="read", view_contacts="11", view_leads="").status_code
    assert {"Contacts": "11"} == chosen(stage, tie).views
    assert "" == services.connections.cursor(stage.office.tenant, tie, "read.crm")
    assert '<option value="11" selected>' in alice.get(path).get_data(as_text=True)
    assert 1 == services.ledger.rows(stage.office.tenant, action="contacts.chosen")[0].facts["views"]
    assert 303 == post(alice, path, direction="both", labels=["Contacts"]).status_code
    assert {"Contacts": "11"} == chosen(stage, tie).views
    assert 303 == post(alice, f"{path}/pause", do="pause").status_code
    assert {"Contacts": "11"} == chosen(stage, tie).views
    assert 303 == post(alice, path, direction="read", view_contacts="").status_code
    assert {} == chosen(stage, tie).views


@pytest.mark.parametrize("bad", ["99", "x" * 4_000, "<b>", "11 or 1=1"], ids=["none", "huge", "markup", "a query"])
@pytest.mark.parametrize("name", ["view_contacts", "view_leads", "view_accounts"])
def test_a_view_that_is_not_there_is_refused_with_words(stage: Stage, saved: Saved, name: str, bad: str) -> None:
    """Another module's as well; what was chosen stays chosen and stays selected."""
    alice, path = stage.browser("alice"), f"/console/connections/{stage.office.crm}/contacts"
    assert 303 == post(alice, path, direction="read", view_contacts="12").status_code
    assert 400 == post(alice, path, direction="read", view_leads="11").status_code

    answer = post(alice, path, direction="read", **{name: bad})

    page = answer.get_data(as_text=True)
    assert 400 == answer.status_code
    assert "This view is not there. Please choose one of these, or all records." in page
    assert f'aria-describedby="problem-{name} hint-views" aria-invalid="true"' in page
    assert '<option value="12" selected>' in page
    assert {"Contacts": "12"} == chosen(stage, stage.office.crm).views


def test_a_chosen_view_outlives_silence_and_a_deleted_one_is_shown_as_such(stage: Stage, saved: Saved) -> None:
    """Nobody saves the page and has everybody read for it."""
    alice, path = stage.browser("alice"), f"/console/connections/{stage.office.crm}/contacts"
    assert 303 == post(alice, path, direction="read", view_contacts="11").status_code

    saved.silent = True
    assert '<option value="11" selected>The view you chose</option>' in alice.get(path).get_data(as_text=True)
    assert 303 == post(alice, path, direction="both", view_contacts="11").status_code
    assert 400 == post(alice, path, direction="both", view_contacts="12").status_code
    saved.silent = False
    del saved.views_of["Contacts"]["11"]
    page = alice.get(path).get_data(as_text=True)
    assert '<option value="11" selected>A view that is not there any more</option>' in page
    assert 400 == post(alice, path, direction="read", view_contacts="11").status_code
    assert {"Contacts": "11"} == chosen(stage, stage.office.crm).views
    assert 303 == post(alice, path, direction="read", view_contacts="12").status_code


def test_without_the_permission_there_is_no_view_to_choose_and_the_page_says_where_to_give_it(stage: Stage) -> None:
    alice, path = stage.browser("alice"), f"/console/connections/{stage.office.crm}/contacts"

    page = alice.get(path).get_data(as_text=True)
    assert "A view can be chosen once “Read only a view” is allowed" in page
    assert "view_contacts" not in page
    assert 400 == post(alice, path, direction="read", view_contacts="11").status_code
    assert {} == chosen(stage, stage.office.crm).views


def test_charlie_sees_and_undoes_nothing_of_alices(stage: Stage, book: UUID) -> None:
    """Her line is on her page; to him her ids are like any made-up ones."""
    services, office = stage.services, stage.office
    house.google_account(services, office.tenant, tie=book)
    lost = Line(
        why="overwritten", about="title", side="right", name="Dana Sol", before=("Boss",), lost=Person(title="Boss")
    )
    with services.db.tenant(office.tenant) as database:
        services.journal.write(database, office.tenant, office.crm, book, [lost])
    (kept,) = services.journal.lines(office.tenant)
    alice, charlie = stage.browser("alice"), stage.browser("charlie")
    assert "Dana Sol" in alice.get("/console/changes").get_data(as_text=True)

    assert "Dana Sol" not in charlie.get("/console/changes").get_data(as_text=True)
    assert 404 == post(charlie, f"/console/changes/{kept.id}/undo").status_code
    for place in (book, office.crm, uuid4()):
        assert 404 == charlie.get(f"/console/connections/{place}/contacts").status_code
        assert 404 == post(charlie, f"/console/connections/{place}/contacts", direction="both").status_code
    assert 403 == post(alice, f"/console/changes/{kept.id}/undo").status_code  # nobody gave the permission to write
    assert "open" == services.journal.lines(office.tenant)[0].state
