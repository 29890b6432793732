"""Other contacts and the directory: known when they call, written nowhere, gone when nobody allows them any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from domain.besides import DIRECTORY, OTHERS, SOURCES, Source, side_of
from domain.contact import Gone, Person, Record, merge
from domain.limited_use import EXITS
from domain.ports import CursorLost
from integrations.google import open_beside
from integrations.google.beside import NoDirectory
from integrations.google.scopes import AUTH
from jobs import besides, holding, passages, phonebook
from store.embedded import Postgres
from tests import contacts_office, zoho_stage
from tests.contacts_office import Office
from tests.google_stage import ALICE, Stage

SCOPES = {OTHERS: AUTH + "contacts.other.readonly", DIRECTORY: AUTH + "directory.readonly"}
LISTS = {OTHERS: "GET /v1/otherContacts", DIRECTORY: "GET /v1/people:listDirectoryPeople"}
AT = {OTHERS: {"other": True}, DIRECTORY: {"directory": True}}
BOTH = pytest.mark.parametrize("source", SOURCES, ids=[one.slug for one in SOURCES])
WEEK, DAY = 7 * 86_400, 86_400


def somebody(given: str, number: str = "") -> dict[str, Any]:
    numbers = {"phoneNumbers": [{"value": number, "type": "mobile"}]} if number else {}
    return {"names": [{"givenName": given}], "emailAddresses": [{"value": f"{given}@x.example"}]} | numbers


def test_a_contact_keeps_who_said_it_and_a_users_own_word_wins() -> None:
    """The directory stands before what Gmail collected, and a user's own contact before both."""
    told = [(side_of("google", module), Person(given=module)) for module in ("otherContacts", "directory", "contacts")]

    assert ["google:others", "google:directory", "google"] == [side for side, _ in told]
    assert ("contacts", ("google",)) == (merge(told).person.given, merge(told).source["given"])
    assert "directory" == merge(told[:2]).person.given
    assert "zoho" == side_of("zoho", "directory")


@pytest.fixture(scope="module")
def stages() -> Iterator[tuple[zoho_stage.Stage, Stage]]:
    with contacts_office.outside() as both:
        yield both


@pytest.fixture
def theatre(stages: tuple[zoho_stage.Stage, Stage]) -> Stage:
    stages[1].fresh()
    return stages[1]


@BOTH
def test_it_is_read_once_and_then_by_what_changed(theatre: Stage, source: Source) -> None:
    """With numbers only, in one page of a thousand; a position that is lost says so before the first item."""
    ann, _ = theatre.post(
        "contacts", user=ALICE, contacts=[somebody("Ann", "600 111 222"), somebody("Ben")], **AT[source]
    )["resourceNames"]
    purse = theatre.purse(SCOPES[source])
    there = open_beside(source, http=theatre.http, tokens=purse, root=theatre.origin, region="ES")

    first = there.read("")
    people = [item for item in first.items if isinstance(item, Record)]
    assert [(source.module, ann, "Ann", "+34600111222", ())] == [
        (one.module, one.remote_id, one.person.given, one.person.lines[0].e164, one.person.emails) for one in people
    ]
    assert {LISTS[source]: 1} == {name: many for name, many in theatre.counts().items() if name == LISTS[source]}

    theatre.post("contacts/edit", user=ALICE, resourceName=ann, person=somebody("Anna"), **AT[source])
    theatre.post("contacts/edit", user=ALICE, resourceName=ann, person={"phoneNumbers": []}, **AT[source])
    second = there.read(first.cursor)
    assert [Gone(module=source.module, remote_id=ann, apart=True)] == [*second.items]
    theatre.post("knobs", directory_deletions="told")
    theatre.post("contacts/delete", user=ALICE, resourceName=ann, **AT[source])
    assert [Gone(module=source.module, remote_id=ann)] == [*there.read(second.cursor).items]
    theatre.post("clock", advance=WEEK + 60)
    purse(renew=True)
    with pytest.raises(CursorLost):
        there.read(second.cursor)


def test_an_account_of_no_organisation_has_no_directory(theatre: Stage) -> None:
    theatre.post("users", email="dora@gmail.example", name="Dora")
    purse = theatre.purse(SCOPES[DIRECTORY], user="dora@gmail.example")

    with pytest.raises(NoDirectory):
        open_beside(DIRECTORY, http=theatre.http, tokens=purse, root=theatre.origin).read("")


# ---- a whole office -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def office(db_urls: Postgres, work_url: str, mail_url: str, stages: tuple[zoho_stage.Stage, Stage]) -> Iterator[Office]:
    """Whoever needs an empty theatre comes before."""
    features = ("contacts", "contacts-write", OTHERS.slug, DIRECTORY.slug)
    with (
        contacts_office.tools(db_urls, work_url, mail_url, *stages) as services,
        contacts_office.moved_in(services, *stages, at_google=features) as moved_in,
    ):
        moved_in.both_ways()
        yield moved_in


def add(office: Office, source: Source, *people: dict[str, Any]) -> list[str]:
    return list(office.google.post("contacts", user=ALICE, contacts=list(people), **AT[source])["resourceNames"])


def look(office: Office, source: Source) -> None:
    office.services.chores.hurry(office.tenant, source.chore)
    office.work()


def known(office: Office, number: str) -> list[str]:
    hub = office.services.hub
    return [one.person.name for one in hub.people(office.tenant, hub.who(office.tenant, number)).values()]


@BOTH
def test_they_are_known_and_written_nowhere(office: Office, source: Source) -> None:
    """Neither Zoho nor Google Contacts nor the phonebook gets them; of a person Zoho has too, Zoho's part goes on."""
    mine, shared = ("+34611000001", "+34611000002") if source is OTHERS else ("+34612000001", "+34612000002")
    office.seed({"Last_Name": "Shared", "Mobile": shared})
    add(office, source, somebody("Only", mine), {**somebody("", shared), "names": [{"familyName": "Shared"}]})
    office.google.post(
        "contacts/edit",
        user=ALICE,
        **AT[source],
        resourceName=add(office, source, somebody("Two"))[0],
        person=somebody("Two", shared),
    )
    office.written()
    look(office, source)

    assert ["Only"] == known(office, mine)
    assert {"POST /v1/people:batchCreateContacts": 1} == office.written()  # Shared, whom Zoho has, and nobody else
    told = {id: one for people, _ in phonebook.pages(office.services, office.crm, None) for id, one in people.items()}
    names = {one.person.name for one in told.values()}
    assert "Shared" in names
    assert not {"Only", "Two"} & names
    assert mine not in {line.e164 for one in told.values() for line in one.person.lines}


@BOTH
def test_each_exit_lets_out_what_its_row_says(office: Office, source: Source) -> None:
    """A page shows them, an activity does not name them: a person only they know is nobody there."""
    number = "+34613000001" if source is OTHERS else "+34614000001"
    add(office, source, somebody("Vera", number))
    look(office, source)
    (vera,) = office.services.hub.people(office.tenant, office.services.hub.who(office.tenant, number)).values()

    ways = [one for one in EXITS if "contacts" in one.kinds and one.slug not in ("operator", "export")]
    out = {way.slug for way in ways if passages.let_out(office.services, office.tenant, way.slug, [vera])}
    assert {way.slug for way in ways if source.slug in way.kinds} == out
    assert {"calls", "panel", "caller name"} <= out
    assert not {"activities", "phonebook", "contacts in step", "api", "text log"} & out


def test_whoever_left_is_gone_also_where_google_does_not_say(office: Office) -> None:
    """Other contacts are told of; the directory is compared once a day."""
    others = add(office, OTHERS, somebody("Left", "+34615000001"))
    colleagues = add(office, DIRECTORY, somebody("Quit", "+34615000002"))
    office.google.post("contacts", user=ALICE, contacts=[somebody("Own", "+34615000003"), somebody("Mine")])
    look(office, OTHERS)
    look(office, DIRECTORY)
    assert (["Left"], ["Quit"]) == (known(office, "+34615000001"), known(office, "+34615000002"))

    office.google.post("contacts/delete", user=ALICE, resourceNames=others, other=True)
    office.google.post("contacts/delete", user=ALICE, resourceNames=colleagues, directory=True)
    look(office, OTHERS)
    look(office, DIRECTORY)
    assert ([], ["Quit"]) == (known(office, "+34615000001"), known(office, "+34615000002"))

    set_cursor, tie = office.services.connections.set_cursor, office.book.id
    set_cursor(office.tenant, tie, f"{DIRECTORY.chore}.whole", "2026-01-01T00:00:00+00:00")
    look(office, DIRECTORY)
    assert [] == known(office, "+34615000002")
    contacts = office.services.hub.known(office.tenant, tie, ["contacts"])
    assert contacts >= 2, "reading the directory whole lets go of nobody's own contacts"


def test_too_many_at_once_are_held(office: Office) -> None:
    """The guard counts the directory alone; continued, they go."""
    many = add(office, DIRECTORY, *(somebody(f"C{number}", f"+3461700{number:04}") for number in range(30)))
    look(office, DIRECTORY)
    tie = office.services.connections.get(office.tenant, office.book.id)
    before = office.services.hub.known(office.tenant, tie.id, [DIRECTORY.module])
    office.google.post("contacts/delete", user=ALICE, resourceNames=many, directory=True)
    office.services.connections.set_cursor(office.tenant, tie.id, f"{DIRECTORY.chore}.whole", "")
    look(office, DIRECTORY)

    assert {"removing": 30, "known": before} == {
        name: office.chore(DIRECTORY.chore).held[name] for name in ("removing", "known")
    }
    holding.decide(office.services, tie, DIRECTORY.chore, go_on=True, actor="user:alice")
    office.work()
    assert before - 30 == office.services.hub.known(office.tenant, tie.id, [DIRECTORY.module])


def test_stopped_it_is_forgotten_and_read_again_it_is_back(office: Office) -> None:
    """Nothing else of the connection goes with it; a consent that does not carry it any more forgets it too."""
    add(office, OTHERS, somebody("Olga", "+34616000001"))
    look(office, OTHERS)
    hub, tie = office.services.hub, office.services.connections.get(office.tenant, office.book.id)
    assert ["Olga"] == known(office, "+34616000001")
    contacts = hub.known(office.tenant, tie.id, ["contacts"])

    besides.choose(office.services, tie, OTHERS, False, actor="user:alice")
    office.work()
    assert ([], contacts) == (known(office, "+34616000001"), hub.known(office.tenant, tie.id, ["contacts"]))
    assert OTHERS.chore not in {chore.kind for chore in office.services.chores.all(office.tenant)}

    besides.choose(office.services, _again(office), OTHERS, True, actor="user:alice")
    office.work()
    assert ["Olga"] == known(office, "+34616000001")
    besides.settle(office.services, _again(office), {"contacts"})
    assert (0, 0) == tuple(hub.known(office.tenant, tie.id, [source.module]) for source in SOURCES)
    assert contacts == hub.known(office.tenant, tie.id, ["contacts"])


def _again(office: Office) -> Any:
    tie: UUID = office.book.id
    return office.services.connections.get(office.tenant, tie)
