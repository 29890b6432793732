"""Every person any side knows, once, found by number, by address or by the beginning of a name."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from domain.contact import Gone, Line, Person, Record
from domain.plan import Step, read_plan, write_plan
from store.connections import Connections
from store.database import Database, TenantId
from store.hub import Hub
from store.tables import contact_keys, contacts, links
from store.vault import Vault

NUMBER, OTHER = "+34600111222", "+442079460001"
DORA = Person(given="Dora", family="Quince", lines=(Line.read(NUMBER),), emails=("Dora@Quince.example",))
EMIL = Person(given="Emil", family="Rowan", company="Rowanworks International", lines=(Line.read(OTHER),))


@pytest.fixture
def hub(db: Database, vault: Vault) -> Hub:
    return Hub(db, vault)


@pytest.fixture
def crm(db: Database, vault: Vault, tenant: TenantId) -> uuid.UUID:
    return Connections(db, vault).add(tenant, "crm", "zoho", label="Alice Ltd", subject="20001")


@pytest.fixture
def google(db: Database, vault: Vault, tenant: TenantId) -> uuid.UUID:
    return Connections(db, vault).add(tenant, "workspace", "google", label="Bob", subject="bob")


@pytest.fixture
def read(hub: Hub, db: Database, tenant: TenantId) -> Callable[..., dict[str, int]]:
    """Take over what a side says, as the sync does: plan, then apply."""

    def take(tie: uuid.UUID, *told: Record | Gone, complete: bool = False) -> dict[str, int]:
        people = [item.person for item in told if isinstance(item, Record)]
        steps = list(read_plan(told, hub.links(tenant, tie), hub.same_person(tenant, people), complete=complete))
        with db.tenant(tenant) as connection:
            return hub.apply(connection, tenant, tie, steps)

    return take


def record(remote_id: str, person: Person, module: str = "Contacts", **more: Any) -> Record:
    return Record(module=module, remote_id=remote_id, person=person, **more)


def names(found: Any) -> list[str]:
    return sorted(contact.person.name for contact in found)


Read = Callable[..., dict[str, int]]


def test_somebody_new_is_adopted_and_found(hub: Hub, tenant: TenantId, crm: uuid.UUID, read: Read) -> None:
    """By number, by address however it is written, and by a beginning of a name; with who said what."""
    assert [] == hub.who(tenant, NUMBER)

    assert {"adopt": 2, "join": 0, "refresh": 0, "drop": 0} == read(crm, record("1", DORA), record("2", EMIL))

    (dora,) = hub.who(tenant, NUMBER)
    assert {"dora@quince.example": [dora]} == hub.by_email(tenant, [" DORA@quince.example", "x@y.example"])
    person = hub.people(tenant, [dora])[dora]
    assert DORA == person.person
    assert {"given": ("zoho",), "family": ("zoho",), "lines": ("zoho",), "emails": ("zoho",)} == person.source
    assert 2 == hub.count(tenant) == len(list(hub.everybody(tenant, page=1)))


def test_the_second_side_joins_the_same_person(
    hub: Hub, tenant: TenantId, crm: uuid.UUID, google: uuid.UUID, read: Read
) -> None:
    """Known by the number; Zoho's name stands, Google's address is added, both records are known."""
    read(crm, record("1", DORA, owner="77"))
    also = Person(given="D.", lines=DORA.lines, emails=("dora@private.example",))

    assert 1 == read(google, record("people/c1", also, "contacts"))["join"]

    (dora,) = hub.who(tenant, NUMBER)
    person = hub.people(tenant, [dora])[dora]
    assert ("Dora", ("Dora@Quince.example", "dora@private.example")) == (person.person.given, person.person.emails)
    assert ("zoho", "google") == person.source["emails"]
    assert [("zoho", "Contacts", "1", "77"), ("google", "contacts", "people/c1", "")] == [
        (place.vendor, place.module, place.remote_id, place.owner) for place in hub.where(tenant, [dora])[dora]
    ]


def test_two_new_records_of_one_person_are_one_contact(hub: Hub, tenant: TenantId, crm: uuid.UUID, read: Read) -> None:
    """A lead that became a contact, read in one go."""
    counts = read(crm, record("1", DORA), record("2", DORA, "Leads"))

    assert (1, 1) == (counts["adopt"], counts["join"])
    assert 1 == len(hub.who(tenant, NUMBER))


def test_a_changed_record_moves_the_number(hub: Hub, tenant: TenantId, crm: uuid.UUID, read: Read) -> None:
    """The old number no longer leads to her, the new one does; the contact stays the same."""
    read(crm, record("1", DORA))
    (dora,) = hub.who(tenant, NUMBER)

    moved = Person(given="Dora", family="Plum", lines=EMIL.lines)
    assert 1 == read(crm, record("1", moved))["refresh"]

    assert ([], [dora]) == (hub.who(tenant, NUMBER), hub.who(tenant, OTHER))
    assert ([], ["Dora Plum"]) == (names(hub.search(tenant, "quince")), names(hub.search(tenant, "plu")))
    assert {} == hub.by_email(tenant, ["dora@quince.example"])


def test_a_record_that_goes_takes_what_only_it_said(
    hub: Hub, db: Database, tenant: TenantId, crm: uuid.UUID, google: uuid.UUID, read: Read
) -> None:
    """One side left: she stays with what the other says. None left: she is gone, keys and all."""
    read(crm, record("1", DORA))
    read(google, record("people/c1", Person(lines=DORA.lines, given="D."), "contacts"))
    (dora,) = hub.who(tenant, NUMBER)

    assert 1 == read(crm, Gone(module="Contacts", remote_id="1"))["drop"]
    assert ["D."] == names(hub.people(tenant, [dora]).values())
    assert {} == hub.by_email(tenant, ["dora@quince.example"])

    assert 1 == read(google, complete=True)["drop"]
    assert [] == hub.who(tenant, NUMBER)
    with db.tenant(tenant) as connection:
        for table in (contacts, contact_keys, links):
            assert [] == connection.execute(select(table)).all()


def test_reading_twice_changes_nothing(hub: Hub, db: Database, tenant: TenantId, crm: uuid.UUID, read: Read) -> None:
    """Not a row, not a byte."""
    told = (record("1", DORA), record("2", EMIL), record("3", DORA, "Leads"))
    read(crm, *told, complete=True)
    with db.tenant(tenant) as connection:
        before = connection.execute(select(links)).all()

    assert {0} == set(read(crm, *told, complete=True).values())
    with db.tenant(tenant) as connection:
        assert before == connection.execute(select(links)).all()


def test_a_number_of_several_people_leads_to_all_of_them(
    hub: Hub, tenant: TenantId, neighbour: TenantId, db: Database, crm: uuid.UUID
) -> None:
    """A switchboard's callers are shown all; always in the same order; a neighbour knows none of them."""
    shared = [record(str(n), Person(given=f"P{n}", lines=DORA.lines)) for n in range(3)]
    with db.tenant(tenant) as connection:
        hub.apply(connection, tenant, crm, [Step(do="adopt", record=each) for each in shared])

    found = hub.who(tenant, NUMBER)
    assert ["P0", "P1", "P2"] == names(hub.people(tenant, found).values())
    assert sorted(found) == found == hub.whose(tenant, [NUMBER, OTHER])[NUMBER]
    assert OTHER not in hub.whose(tenant, [NUMBER, OTHER])
    assert [] == hub.who(neighbour, NUMBER)
    assert {} == hub.people(neighbour, found)
    assert {} == hub.where(neighbour, found)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("do", ["Dora Quince"]),
        ("DORA Q", []),  # one letter is not enough to search by
        ("dora qu", ["Dora Quince"]),
        ("rowan", ["Emil Rowan"]),
        ("rowanworks", ["Emil Rowan"]),  # longer than the index is deep: the company's name, not the person's
        ("rowanworm", []),
        ("internat em", ["Emil Rowan"]),
        ("ora", []),
        ("%", []),
        ("", ["Dora Quince", "Emil Rowan"]),
    ],
)
def test_search_as_one_types(
    typed: str, found: list[str], hub: Hub, tenant: TenantId, crm: uuid.UUID, read: Read
) -> None:
    """Beginnings of names and companies, all of those typed, whatever the capitals; nothing typed: the latest."""
    read(crm, record("1", DORA), record("2", EMIL))

    assert found == names(hub.search(tenant, typed))


def test_a_long_beginning_is_looked_for_before_any_limit(
    hub: Hub, tenant: TenantId, crm: uuid.UUID, read: Read
) -> None:
    """Three whose names begin with the same eight letters: the limit counts those who fit."""
    families = ("Rowanwood", "Rowanwoods", "Rowanwooden")
    read(crm, *(record(str(place), Person(family=family)) for place, family in enumerate(families)))

    assert ["Rowanwooden"] == names(hub.search(tenant, "rowanwoode", limit=1))
    assert ["Rowanwooden", "Rowanwoods"] == sorted(
        {*names(hub.search(tenant, "rowanwoods", limit=1)), *names(hub.search(tenant, "rowanwooden", limit=1))}
    )


def test_nothing_of_a_person_lies_open(hub: Hub, db: Database, tenant: TenantId, crm: uuid.UUID, read: Read) -> None:
    """Sealed and blind columns only."""
    read(crm, record("1", DORA))

    with db.tenant(tenant) as connection:
        held = [str(row) for table in (contacts, contact_keys, links) for row in connection.execute(select(table))]
    assert 3 < len(held)
    for secret in ("Dora", "dora", "Quince", "quince", NUMBER, NUMBER[1:]):
        assert not any(secret in row for row in held)


def test_the_phonebook_is_told_what_differs(
    hub: Hub, db: Database, vault: Vault, tenant: TenantId, crm: uuid.UUID, read: Read
) -> None:
    """What was written is remembered, and is nobody's source: the hub does not learn from its own echo."""
    phonebook = Connections(db, vault).add(tenant, "telephony", "standard", label="PBX")
    read(crm, record("1", DORA))
    wanted = {str(contact.id): contact.person for contact in hub.everybody(tenant)}
    (put,) = write_plan(wanted, hub.written(tenant, phonebook))
    assert put.person is not None
    with db.tenant(tenant) as connection:
        hub.mark_written(connection, tenant, phonebook, [(put.contact, put.person)])
        hub.remerge(connection, tenant, [uuid.UUID(put.contact)])

    assert [] == list(write_plan(wanted, hub.written(tenant, phonebook)))
    assert {"zoho"} == {side for sides in next(hub.everybody(tenant)).source.values() for side in sides}
    with db.tenant(tenant) as connection:
        hub.unlink_written(connection, tenant, phonebook, [put.contact])
    assert {} == hub.written(tenant, phonebook)


def test_nobody_to_ask_about_is_nobody(hub: Hub, tenant: TenantId, crm: uuid.UUID) -> None:
    """Empty questions have empty answers."""
    assert ({}, {}, {}, {}) == (
        hub.people(tenant, []),
        hub.where(tenant, []),
        hub.by_email(tenant, []),
        hub.links(tenant, crm, only=[]),
    )
