"""The phonebook hears of who changed, by a reading that is as long as the change and not as the phonebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.contact import Gone, Line, Person, Record
from domain.errors import TryLater
from domain.plan import Held, Link, write_plan
from jobs import sync_contacts
from jobs.phonebook import MARK, write_phonebook
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from tests import house

MANY = 30
CHORE: Any = Chore  # which is not asked anything


@dataclass
class Phones:
    """A telephony vendor and its one account, which remembers what it was told."""

    book: dict[str, Person] = field(default_factory=dict)
    told: list[tuple[int, int]] = field(default_factory=list)  # each request: how many to put, how many to remove
    away: bool = False
    title: str = "Phones"

    def open(self, account: object, http: object) -> Phones:
        return self

    def put_contacts(self, put: Sequence[tuple[str, Person]], removed: Sequence[str]) -> None:
        if self.away:
            raise TryLater("Nobody is there.")
        self.told.append((len(put), len(removed)))
        self.book.update(put)
        for contact in removed:
            self.book.pop(contact, None)


@dataclass
class Office:
    """A tenant with an address book of its own making, and the phones beside it."""

    services: Services
    phones: Phones
    tenant: TenantId
    crm: Tie
    google: Tie
    pbx: Tie
    looked_at: list[int | None] = field(default_factory=list)  # each run: how many people, None: everybody

    def say(self, *people: tuple[int, Person], by: Tie | None = None) -> None:
        told = [Record(module="Contacts", remote_id=str(number), person=person) for number, person in people]
        self._take(told, by or self.crm)

    def drop(self, *numbers: int) -> None:
        self._take([Gone(module="Contacts", remote_id=str(number)) for number in numbers], self.crm)

    def _take(self, told: Sequence[Record | Gone], by: Tie) -> None:
        sync_contacts.take(self.services, by, told, complete=False, go_on=True)

    def write(self, **more: bool) -> dict[str, int]:
        """Do the chore; what the phones were told before is forgotten."""
        self.phones.told.clear()
        self.looked_at.clear()
        return write_phonebook(self.services, self.pbx, CHORE, **more)

    def names(self) -> set[str]:
        return {person.family for person in self.phones.book.values()}


def person(number: int, family: str = "", *, lines: bool = True) -> Person:
    said = (Line.read(f"+3460011{number:04d}"),) if lines else ()
    return Person(given="Ana", family=family or f"F{number}", lines=said, emails=(f"p{number}@people.example",))


@pytest.fixture(scope="module")
def opened(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    with house.services(db_urls, work_url, mail_url) as services:
        yield services


@pytest.fixture
def office(opened: Services, tenant: TenantId, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Thirty people whom the phones know."""
    phones: Any = Phones()
    services = replace(opened, telephony={"standard": phones})
    find, add = services.connections.get, services.connections.add
    crm = find(tenant, add(tenant, "crm", "zoho", label="Alice Ltd", subject=str(tenant)))
    google = find(tenant, house.google_account(services, tenant, "contacts"))
    pbx = find(tenant, add(tenant, "telephony", "standard", label="PBX", account={"base_url": "https://pbx.example"}))
    office = Office(services, phones, tenant, crm, google, pbx)
    everybody, after = services.hub.everybody, services.changes.after

    def seen(*asked: Any) -> Any:
        ids, mark = after(*asked)
        office.looked_at.append(None if ids is None else len(ids))
        return ids, mark

    monkeypatch.setattr(services.changes, "after", seen)
    monkeypatch.setattr(services.hub, "everybody", lambda tenant: everybody(tenant, page=7))
    office.say(*((number, person(number)) for number in range(MANY)))
    assert {"put": MANY, "remove": 0} == office.write()
    assert ([None], [(MANY, 0)]) == (office.looked_at, phones.told)
    return office


def test_one_change_among_many_is_one_person_looked_at_and_one_told(office: Office) -> None:
    """And when nothing changed nobody is looked at, nobody is told."""
    office.write()  # a run that began while another transaction was open looks again
    office.say((3, person(3, "Changed")))

    assert {"put": 1, "remove": 0} == office.write()
    assert ([1], [(1, 0)]) == (office.looked_at, office.phones.told)
    assert "Changed" in office.names()

    office.write()
    assert {"put": 0, "remove": 0} == office.write()
    assert ([0], []) == (office.looked_at, office.phones.told)


def test_who_is_gone_leaves_the_phones(office: Office) -> None:
    """Who went altogether by what is owed since then, who lost their number with the next writing."""
    office.drop(1)
    office.say((2, person(2, lines=False)))
    assert {"F1", "F2"} <= office.names()

    assert {"put": 0, "remove": 1} == office.write()
    sync_contacts.act(office.services, office.tenant)

    assert not {"F1", "F2"} & office.names()
    assert MANY - 2 == len(office.phones.book)
    assert {"put": 0, "remove": 0} == office.write()


@pytest.mark.parametrize("lost", ["gone", "unreadable", "of a database that went further"])
def test_a_lost_mark_heals(office: Office, lost: str) -> None:
    """Everybody is looked at once, only who is news is told, and then it goes on as before."""
    office.say((4, person(4, "Changed")))
    cursor = office.services.connections.cursor(office.tenant, office.pbx.id, MARK)
    gate = cursor.partition(" ")[0]
    keep = {"gone": "", "unreadable": f"{gate} soon", "of a database that went further": f"{gate} {2**62}"}
    office.services.connections.set_cursor(office.tenant, office.pbx.id, MARK, keep[lost])

    assert {"put": 1, "remove": 0} == office.write()
    assert [None] == office.looked_at
    office.say((5, person(5, "Too")))
    assert {"put": 1, "remove": 0} == office.write()
    assert None not in office.looked_at
    assert {"Changed", "Too"} <= office.names()


def test_what_was_not_told_is_looked_at_again(office: Office) -> None:
    """The phones were away: the mark has not moved."""
    office.say((6, person(6, "Changed")))
    office.phones.away = True
    with pytest.raises(TryLater):
        office.write()
    office.phones.away = False

    assert {"put": 1, "remove": 0} == office.write()
    assert "Changed" in office.names()


def test_what_changed_without_a_consent_arrives_when_it_is_back(office: Office) -> None:
    """A consent that lapses for an hour empties no telephone, and loses no change."""
    office.say((90, person(90)), by=office.google)
    office.write()
    given_before = datetime(2999, 1, 1, tzinfo=UTC)
    assert office.services.grants.stop(office.tenant, office.google.id, "withdrawn", given_before=given_before)
    office.say((90, person(90, "Changed")), by=office.google)

    assert {"put": 0, "remove": 0} == office.write()
    assert [None] == office.looked_at  # the gate stands otherwise than before
    office.write()
    assert "F90" in office.names()
    house.google_account(office.services, office.tenant, "contacts", tie=office.google.id)

    assert {"put": 1, "remove": 0} == office.write()
    assert "Changed" in office.names()
    assert [None] == office.looked_at


def test_too_many_removals_wait_for_a_word(office: Office) -> None:
    """Counted against everybody the phones know, not against those who changed; others are told all the same."""
    office.write()
    numberless = [(number, person(number, lines=False)) for number in range(12)]
    office.say((20, person(20, "Changed")), *numberless)

    with pytest.raises(Held) as held:
        office.write()
    assert (12, MANY) == (held.value.removing, held.value.known)
    assert "Changed" in office.names()
    assert MANY == len(office.phones.book)

    assert {"put": 0, "remove": 12} == office.write(go_on=True)
    assert MANY - 12 == len(office.phones.book)


def test_who_is_left_only_to_other_contacts_has_no_place_there(office: Office) -> None:
    """Whom nobody but Google's other contacts knows any more: what stands there of them goes."""
    other = Record(module="otherContacts", remote_id="o7", person=person(7))
    sync_contacts.take(office.services, office.google, [other], complete=False, go_on=True)
    office.write()
    office.drop(7)

    assert {"put": 0, "remove": 1} == office.write()
    assert "F7" not in office.names()


def test_what_other_contacts_say_stays_out_when_the_consent_for_contacts_has_ended(office: Office) -> None:
    """Left out for good, not only until somebody else's word is left out as well."""
    office.say((91, person(91)), by=office.google)
    other = Record(module="otherContacts", remote_id="o91", person=person(91))
    sync_contacts.take(office.services, office.google, [other], complete=False, go_on=True)
    given_before = datetime(2999, 1, 1, tzinfo=UTC)
    assert office.services.grants.stop(office.tenant, office.google.id, "withdrawn", given_before=given_before)

    assert {"put": 0, "remove": 0} == office.write()
    assert "F91" not in office.names()


def test_a_new_phone_system_is_told_everybody(office: Office) -> None:
    """It has no mark; neither has one whose address was changed."""
    office.write()
    moved = replace(office.pbx, account={"base_url": "https://new.example"})
    assert {"put": 0, "remove": 0} == write_phonebook(office.services, moved, CHORE)
    assert None is office.looked_at[-1]

    another = office.services.connections.add(office.tenant, "telephony", "standard", label="Another")
    assert MANY == write_phonebook(office.services, replace(moved, id=another), CHORE)["put"]


def test_removals_are_counted_against_the_whole() -> None:
    """`known` says how many there are, where the links are a part of them."""
    links = {str(n): Link(contact=str(n), module="phonebook", remote_id=str(n), mark=Person()) for n in range(12)}
    with pytest.raises(Held):
        list(write_plan({}, links))
    assert ["remove"] * 12 == [step.do for step in write_plan({}, links, known=100)]
