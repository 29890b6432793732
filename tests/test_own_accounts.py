"""Mailboxes people connect for themselves: theirs alone until they share them, within their administrator's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from console import create_console
from domain.consent import Feature
from domain.errors import Forbidden, Missing
from domain.mail import Message
from domain.own_account import OwnAccounts, holder
from domain.ports import CrmUser, Organisation
from integrations.google.provider import FEATURES
from integrations.google.scopes import AUTH
from jobs import connect, export, letters, own_accounts, privacy, sync_mail
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.tenants import User
from tests.console_desk import furnish, post, sign_in
from tests.google_stage import ALICE, BOB, CHARLIE, Stage, running
from tests.mail_office import DANA, Office, connected, opened, tools

MAIL = ("mailbox", "send-mail")
Browser = Callable[[User], FlaskClient]
SUBJECT = "Between Dana and Bob"


@pytest.fixture(scope="module")
def google() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, google: Stage) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, google, BASE_URL="http://127.0.0.1:8000") as made:
        yield made


@pytest.fixture(scope="module")
def office(services: Services, google: Stage) -> Iterator[Office]:
    alices = Organisation(remote_id="20001", name="Alice Ltd", time_zone="Europe/Madrid", country="ES")
    with opened(services, google, services.tenants.create(alices, profile="strict")) as made:
        made.look()
        yield made


@pytest.fixture
def own(office: Office) -> Iterator[Tie]:
    """Bob's own account, connected by Bob and not there any more when the test is over."""
    tie = connected(office.services, office.google, office.bob, BOB, MAIL, "own")
    yield tie
    if office.services.connections.get(tie.tenant, tie.id).state != "disconnected":
        connect.disconnect(office.services, user=office.bob, tie=tie.id)


def came(office: Office, own: Tie) -> Message:
    """Dana writes to Bob."""
    sync_mail.look(office.services, own)
    office.google.post("mail", user=BOB, **{"from": f"Dana <{DANA}>"}, subject=SUBJECT, text="Prices inside.")
    sync_mail.look(office.services, office.services.connections.get(own.tenant, own.id))
    (found,) = [one for one in office.beside(office.dana) if one.mailbox == own.id.hex]
    return found


@pytest.fixture(scope="module")
def browser(services: Services) -> Browser:
    """A browser somebody is signed in with."""
    app = Flask("linekeeper")
    app.register_blueprint(create_console(services))
    return lambda user: sign_in(app, services, user)


@pytest.mark.parametrize(
    ("rules", "slugs"),
    [
        (OwnAccounts(), {"mailbox", "send-mail", "label-mail", "busy"}),
        (OwnAccounts(contacts=True), {"mailbox", "send-mail", "label-mail", "busy", "contacts"}),
        (OwnAccounts(connect=False, contacts=True), set()),
        (OwnAccounts.from_data({"connect": "never heard of"}), {"mailbox", "send-mail", "label-mail", "busy"}),
    ],
    ids=["as it is by default", "contacts too", "nothing", "a word of a later version"],
)
def test_what_people_may_allow_is_what_their_administrator_decided(rules: OwnAccounts, slugs: set[str]) -> None:
    features: tuple[Feature, ...] = FEATURES
    assert slugs == {feature.slug for feature in rules.offered(features)}
    assert rules == OwnAccounts.from_data(rules.as_data())


def test_mail_of_an_own_mailbox_is_its_users_alone_until_they_share_it(
    office: Office, own: Tie, browser: Browser
) -> None:
    """Pages, the opened message, answering and an export; an administrator and the neighbours alike."""
    message, services = came(office, own), office.services
    pages = (f"/console/contacts/{office.dana}", f"/console/messages/{message.key}", "/console/mailboxes")

    def seen(user: User) -> list[bool]:
        client = browser(user)
        return [SUBJECT in (page := client.get(path).get_data(as_text=True)) or BOB in page for path in pages]

    def exported() -> bool:
        return SUBJECT in "".join(export.export_person(services, office.tenant, emails=[DANA]))

    assert [True, True, True] == seen(office.bob)
    assert letters.may_answer(services, office.bob, message)
    assert ([False] * 3, False) == (seen(office.alice), exported())
    assert sync_mail.open_message(services, user=office.alice, message_id=message.key) is None
    assert 404 == post(browser(office.alice), f"/console/messages/{message.key}/answer", text="x").status_code

    privacy.show_to(services, office.bob, own.id, owner_only=False)
    assert ([True, True, False], True) == (seen(office.alice), exported())
    assert not letters.may_answer(services, office.alice, message)
    with pytest.raises(Missing):
        privacy.show_to(services, office.alice, own.id, owner_only=True)


def test_each_grant_has_its_own_receipt_and_its_own_end(office: Office, own: Tie, browser: Browser) -> None:
    """Bob's goes with its key and its certificate; what Alice connected stays, and so does its mail."""
    message, services = came(office, own), office.services
    office.mail(subject="To Alice")
    office.look()
    given = next(row for row in services.ledger.rows(office.tenant, limit=100) if row.action == "consent.given")
    assert (f"connections:{own.id}", f"user:{office.bob.id}") == (given.subject, given.actor)
    assert ["mailbox", "send-mail"] == given.facts["purposes"]

    bob = browser(office.bob)
    page = bob.get(f"/console/workspace/account/{own.id}/disconnect").get_data(as_text=True)
    assert "Disconnect your Google account?" in page
    done = post(bob, f"/console/workspace/account/{own.id}/disconnect")

    assert (200, True) == (done.status_code, "Certificate" in done.get_data(as_text=True))
    assert services.mail.get(office.tenant, message.key) is None
    assert {("To Alice", office.tie.id.hex)} == {(one.subject, one.mailbox) for one in office.beside(office.dana)}
    assert not office.google.get("tokens", user=BOB)["refresh_tokens"]
    assert office.google.get("tokens", user=ALICE)["refresh_tokens"]
    assert ("disconnected", "active") == tuple(
        services.connections.get(office.tenant, tie).state for tie in (own.id, office.tie.id)
    )


def test_whoever_still_reads_a_mailbox_that_ended_keeps_nothing_of_it(office: Office, own: Tie) -> None:
    message = came(office, own)
    connect.disconnect(office.services, user=office.bob, tie=own.id)

    assert 0 == office.services.mail.put(office.tenant, [(message, [office.dana])])
    assert 1 == office.services.mail.put(
        office.tenant, [(Message.from_data({**message.as_data(), "mailbox": office.tie.id.hex}), [office.dana])]
    )


def test_an_administrator_sees_that_it_is_there_and_may_end_it(office: Office, own: Tie, browser: Browser) -> None:
    services, alice = office.services, browser(office.alice)
    page = alice.get("/console/accounts").get_data(as_text=True)
    assert (True, False) == ("Bob Agent" in page, BOB in page)
    for path in ("/console/connections", "/console"):
        assert BOB not in alice.get(path, follow_redirects=True).get_data(as_text=True)
    at = f"/console/connections/{own.id}"
    refused = [
        alice.get(f"{at}/contacts"),
        alice.get(f"{at}/disconnect"),
        post(alice, f"{at}/consent", features="contacts"),
    ]
    assert [404] * 3 == [answer.status_code for answer in refused]

    assert BOB not in alice.get(f"/console/accounts/{own.id}/disconnect").get_data(as_text=True)
    assert 200 == post(alice, f"/console/accounts/{own.id}/disconnect").status_code
    assert "disconnected" == services.connections.get(office.tenant, own.id).state
    row = next(row for row in services.ledger.rows(office.tenant) if row.action == "consent.withdrawn")
    assert f"user:{office.alice.id}" == row.actor


def test_the_administrators_switch(office: Office, browser: Browser) -> None:
    """Off: nothing is offered, no form is taken, and a consent that was under way comes back in vain."""
    services, alice, bob = office.services, browser(office.alice), browser(office.bob)
    assert "Connect my own account" in bob.get("/console/workspace").get_data(as_text=True)
    assert 303 == post(bob, "/console/workspace/account", features="mailbox").status_code
    assert 400 == post(bob, "/console/workspace/account", features="contacts").status_code
    assert 400 == post(bob, "/console/workspace/account").status_code

    assert 303 == post(alice, "/console/accounts").status_code
    assert "has not switched this on" in bob.get("/console/workspace").get_data(as_text=True)
    assert 400 == post(bob, "/console/workspace/account", features="mailbox").status_code
    with pytest.raises(Forbidden, match="administrator"):
        connected(services, office.google, office.bob, BOB, MAIL, "own")
    assert ([], 403) == (own_accounts.of(services, office.bob), post(bob, "/console/accounts").status_code)
    assert 400 == post(alice, "/console/accounts", connect="perhaps").status_code
    assert 303 == post(alice, "/console/accounts", connect="yes").status_code


def test_more_than_was_offered_is_not_taken(office: Office) -> None:
    """The page that asks for consent is the browser's: what it asked for besides is looked at when it comes back."""
    wider = AUTH + "contacts.readonly"
    with pytest.raises(Forbidden, match="administrator"):
        connected(office.services, office.google, office.bob, BOB, MAIL, "own", [wider])
    own_accounts.decide(office.services, office.tenant, OwnAccounts(contacts=True), actor="system")
    tie = connected(office.services, office.google, office.bob, BOB, MAIL, "own", [wider])
    own_accounts.decide(office.services, office.tenant, OwnAccounts(), actor="system")

    kinds = {chore.kind for chore in office.services.chores.all(office.tenant) if chore.connection == tie.id}
    assert {"renew", "read.book", "watch.mail", "read.mail"} == kinds, "read, and never written"
    connect.disconnect(office.services, user=office.bob, tie=tie.id)


def test_an_account_is_either_the_organisations_or_somebodys_own(office: Office, own: Tie) -> None:
    services, google = office.services, office.google
    for user, account, purpose in (
        (office.bob, ALICE, "own"),  # Alice connected it for the organisation
        (office.alice, BOB, "own"),  # Bob's own
        (office.alice, BOB, "connect"),
    ):
        with pytest.raises(Forbidden):
            connected(services, google, user, account, MAIL, purpose)  # type: ignore[arg-type]
    assert own.id == connected(services, google, office.bob, BOB, ("mailbox",), "own").id
    privacy.show_to(services, office.bob, own.id, owner_only=False)
    connect.disconnect(services, user=office.bob, tie=own.id)

    again = connected(services, google, office.alice, BOB, MAIL, "own")
    assert (own.id, office.alice.id) == (again.id, holder(again.facts))
    assert "owner" == again.facts["mail_seen_by"], "whoever had it before does not decide who sees it now"


def test_who_leaves_takes_their_mailbox_along(office: Office, own: Tie) -> None:
    message, services = came(office, own), office.services
    crm = services.connections.first(office.tenant, "crm")
    assert crm is not None
    people = {
        user.remote_id: CrmUser(
            remote_id=user.remote_id,
            login_id=user.login_id,
            email=user.email,
            name=user.name,
            admin=user.role == "admin",
        )
        for user in services.tenants.users(office.tenant)
    }
    assert [] == own_accounts.left_behind(services, office.tenant)
    connect.learn_users(services, office.tenant, crm.id, [people[office.alice.remote_id]])

    assert "disconnected" == services.connections.get(office.tenant, own.id).state
    assert services.mail.get(office.tenant, message.key) is None
    connect.learn_users(services, office.tenant, crm.id, [*people.values()])


def test_nobody_ends_what_is_not_theirs(office: Office, own: Tie, neighbour: TenantId, browser: Browser) -> None:
    charlie = furnish(office.services, neighbour, "Charlie", "Carol").alice
    for user, path, code in (
        (office.alice, "/console/workspace/account/{}/disconnect", 404),
        (office.bob, "/console/accounts/{}/disconnect", 403),
        (charlie, "/console/accounts/{}/disconnect", 404),
        (charlie, "/console/workspace/account/{}/disconnect", 404),
        (charlie, "/console/workspace/account/{}/consent", 404),
    ):
        client = browser(user)
        assert code == post(client, path.format(own.id)).status_code, path
    assert CHARLIE not in browser(charlie).get("/console/accounts").get_data(as_text=True)
    assert 404 == browser(office.bob).get(f"/console/workspace/account/{uuid4()}/disconnect").status_code
    assert "active" == office.services.connections.get(office.tenant, own.id).state
