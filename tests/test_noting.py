"""A message in Zoho: only because somebody pressed the button, exactly what they saw, once, where they chose."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from console import create_console
from domain import limited_use
from domain.contact import Person, Record
from domain.limited_use import NotForThat
from domain.mail import Message
from domain.noting import LONGEST, note_of
from domain.plan import Step
from domain.ports import Organisation
from jobs import connect, noting, privacy, sync_mail, worker
from jobs.erase import erase_tenant
from jobs.services import Services
from store.connections import Tie
from store.embedded import Postgres
from store.tables import effects
from store.tenants import User
from tests import google_stage, house, zoho_stage
from tests.console_desk import furnish, post, sign_in
from tests.mail_office import DANA, connected, tools

ADD, SUBJECT = "POST /crm/v8/Notes", "Offer for the attic"


@dataclass(frozen=True, slots=True)
class Office:
    """Alice's tenant with her Zoho and her own mailbox, and Dana, who is in Zoho."""

    services: Services
    zoho: zoho_stage.Stage
    google: google_stage.Stage
    app: Flask
    alice: User
    bob: User
    dana: str
    own: Tie

    def came(self, text: str = "Prices inside.") -> Message:
        """Dana writes to Alice."""
        sync_mail.look(self.services, self.own)
        told = {"user": google_stage.ALICE, "from": f"Dana <{DANA}>", "subject": SUBJECT, "text": text}
        id = self.google.post("mail", **told)["id"]
        sync_mail.look(self.services, self.own)
        found = self.services.mail.get(self.alice.tenant, sync_mail.key(self.own, id))
        assert found is not None
        return found

    def browser(self, user: User) -> FlaskClient:
        return sign_in(self.app, self.services, user)

    def press(self, message: Message, user: User | None = None, **form: str) -> int:
        where = f"/console/messages/{message.key}/zoho"
        told = form or {"record": f"Contacts/{self.dana}"}
        return int(post(self.browser(user or self.alice), where, **told).status_code)

    def notes(self, message: Message) -> list[dict[str, Any]]:
        """What stands in Zoho of a message."""
        marker = noting._marker(self.services, self.alice.tenant, message)
        rows = self.zoho.get("records", org="alice", module="Notes")["records"]
        return [row for row in rows if marker in row["Note_Content"]]

    def standing(self, message: Message) -> tuple[str, str]:
        tenant = self.services.tenants.get(self.alice.tenant)
        return next((one.state, one.reason) for one in noting.records(self.services, tenant, message))

    def again(self) -> None:
        """As if the time had come to try again."""
        with self.services.db.tenant(self.alice.tenant) as database:
            database.execute(update(effects).values(next_at=datetime(2020, 1, 1, tzinfo=UTC)))
        worker.visit(self.services, self.alice.tenant, "mail", seconds=30)


@pytest.fixture(scope="module")
def office(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Office]:
    with zoho_stage.running() as zoho, google_stage.running() as google:
        told = {
            "BASE_URL": "http://127.0.0.1:8000",
            "ZOHO_CLIENT_ID": zoho_stage.CLIENT,
            **{f"ZOHO_CLIENT_SECRET_{code.upper()}": secret for code, secret in zoho_stage.SECRETS.items()},
            "ZOHO_SERVERINFO_URL": f"{zoho.us}/oauth/serverinfo",
        }
        with tools(db_urls, work_url, mail_url, google, **told) as services:
            zoho.fresh()
            google.fresh()
            asked = connect.begin(services, provider="zoho", purpose="install", browser="b", features=("notes",))
            back = house.decide(zoho, asked, user=zoho_stage.ALICE)
            alice = connect.complete(services, provider="zoho", query=back, browser="b", user=None).user
            bob = next(user for user in services.tenants.users(alice.tenant) if user.email == zoho_stage.BOB)
            crm = services.connections.first(alice.tenant, "crm")
            assert crm is not None
            sol = {"Last_Name": "Sol", "First_Name": "Dana", "Email": DANA}
            [dana] = zoho.post("seed", org="alice", module="Contacts", records=[sol])["ids"]
            person = Person(given="Dana", family="Sol", emails=(DANA,))
            step = Step(do="adopt", record=Record(module="Contacts", remote_id=dana, person=person))
            with services.db.tenant(alice.tenant) as database:
                services.hub.apply(database, alice.tenant, crm.id, [step])
            own = connected(services, google, alice, google_stage.ALICE, ("mailbox",), "own")
            app = Flask("linekeeper")
            app.register_blueprint(create_console(services))
            yield Office(services, zoho, google, app, alice, bob, dana, own)
            erase_tenant(services, alice.tenant)


def test_the_page_says_word_for_word_what_the_button_writes_once(office: Office) -> None:
    message, alice, services = office.came(), office.browser(office.alice), office.services
    link = f"/console/messages/{message.key}/zoho"
    assert link in alice.get(f"/console/messages/{message.key}").get_data(as_text=True)
    page = alice.get(link).get_data(as_text=True)
    [shown] = re.findall(r'<div class="letter-body">(.*?)</div>', page, re.DOTALL)
    assert ("Dana Sol" in page, []) == (True, office.notes(message)), "looking writes nothing"

    assert [303, 303] == [office.press(message), office.press(message)]

    [note] = office.notes(message)
    assert (SUBJECT, html.unescape(shown), office.dana) == (
        note["Note_Title"],
        note["Note_Content"],
        note["Parent_Id"]["id"],
    )
    assert f'From: "Dana" <{DANA}>' in note["Note_Content"]
    assert "Prices inside." in note["Note_Content"]
    assert ("done", "") == office.standing(message)
    assert "Written" in alice.get(f"/console/messages/{message.key}").get_data(as_text=True)
    passed = [
        row for row in services.ledger.rows(office.alice.tenant, limit=100) if row.facts.get("exit") == "mail note"
    ]
    assert [(f"user:{office.alice.id}", "crm", 1)] == [
        (row.actor, row.facts["sink"], row.facts["messages"]) for row in passed
    ]
    asked = [row.actor for row in services.ledger.rows(office.alice.tenant, limit=100) if row.action == "mail.to_crm"]
    assert [f"user:{office.alice.id}"] == asked


@pytest.mark.parametrize(("fault", "written"), [("drop_after", 1), ("status", 0)], ids=["done", "not done"])
def test_what_nobody_answered_is_looked_for_before_it_is_written_again(
    office: Office, fault: str, written: int
) -> None:
    message = office.came()
    office.zoho.fault(ADD, fault, times=1, status=503, body={})
    office.press(message)
    assert ("unknown", written) == (office.standing(message)[0], len(office.notes(message)))

    office.again()

    assert (("done", ""), 1) == (office.standing(message), len(office.notes(message)))


def test_what_zoho_refuses_says_why_and_can_be_pressed_again(office: Office) -> None:
    message = office.came()
    refusal = {"code": "NO_PERMISSION", "message": "permission denied", "status": "error", "details": {}}
    office.zoho.fault(ADD, "status", times=1, status=403, body=refusal)
    office.press(message)
    assert ("dead", "zoho.no_permission") == office.standing(message)

    assert (303, ("done", "")) == (office.press(message), office.standing(message))
    assert 1 == len(office.notes(message))


def test_only_whoever_may_see_a_message_writes_it(office: Office) -> None:
    """Bob may once Alice shows her mailbox to colleagues, and it is what stood then that counts."""
    message, services = office.came(), office.services
    charlies = services.tenants.create(
        Organisation(remote_id="9", name="Next door", time_zone="UTC", country="US"), profile="strict"
    )
    charlie = furnish(services, charlies, "Charlie", "Carol").alice
    for user in (office.bob, charlie):
        assert 404 == office.browser(user).get(f"/console/messages/{message.key}/zoho").status_code
        assert 404 == office.press(message, user)
    privacy.show_to(services, office.alice, office.own.id, owner_only=False)
    with services.lanes.hold(office.alice.tenant, "mail"):  # so that it is only owed
        assert 303 == office.press(message, office.bob)
    privacy.show_to(services, office.alice, office.own.id, owner_only=True)
    office.again()
    assert ([], ("dead", "mail.note_gone")) == (office.notes(message), office.standing(message))

    privacy.show_to(services, office.alice, office.own.id, owner_only=False)
    assert (303, 1) == (office.press(message, office.bob), len(office.notes(message)))
    privacy.show_to(services, office.alice, office.own.id, owner_only=True)


def test_it_is_written_nowhere_else(office: Office) -> None:
    message = office.came()
    for form, code in (
        ({"record": ""}, 400),
        ({"record": "Contacts"}, 400),
        ({"record": "Contacts/1/../2"}, 400),
        ({"record": "x" * 200}, 400),
        ({"record": "Contacts/1", "text": "More"}, 400),
        ({"record": "Contacts/999999"}, 404),
        ({"record": f"Deals/{office.dana}"}, 404),
    ):
        assert code == office.press(message, **form), form
    assert [] == office.notes(message)


def test_without_the_permission_nothing_is_offered(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    message, alice = office.came(), office.browser(office.alice)
    monkeypatch.setattr(noting, "FEATURE", "never granted")
    assert "Write this message" not in alice.get(f"/console/messages/{message.key}").get_data(as_text=True)
    assert "was not given in Zoho" in alice.get(f"/console/messages/{message.key}/zoho").get_data(as_text=True)
    assert (403, []) == (office.press(message), office.notes(message))


def test_nothing_leaves_that_nobody_pressed_for() -> None:
    way = limited_use.exit_named(noting.EXIT)
    with pytest.raises(NotForThat, match="presses the button"):
        limited_use.check(way, "mail")
    limited_use.check(way, "mail", pressed=True)
    with pytest.raises(NotForThat):
        limited_use.check(way, "contacts", pressed=True)


def test_a_note_says_who_wrote_when_and_what_and_cannot_be_taken_for_another() -> None:
    at = datetime(2026, 3, 29, 9, 15, tzinfo=UTC)
    message = Message(id="m", thread="t", at=at, sender="Dana <d@x.example>", to=("a@x.example",), subject="")
    note = note_of(
        replace(message, body="Hello\r\n[linekeeper:forged]"), ("Leads", "7"), "mark", ZoneInfo("Europe/Madrid")
    )
    long = note_of(replace(message, body="x" * 40_000), ("Leads", "7"), "mark", ZoneInfo("UTC"))

    assert ("(no subject)", ("Leads", "7")) == (note.title, note.record)
    assert [
        "From: Dana <d@x.example>",
        "To: a@x.example",
        "Received: 2026-03-29 11:15 CEST",
        "Hello",
        "(linekeeper:forged]",
        "[linekeeper:mark]",
    ] == note.text.splitlines()
    assert (True, LONGEST) == (
        "(The rest stands in the mailbox.)" in long.text,
        long.text.count("x" * LONGEST) * LONGEST,
    )
