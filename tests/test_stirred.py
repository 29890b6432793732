"""An exchange looks at who moved since everybody was at rest, and finds what it would find among everybody."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update

from domain.contact import Line, Person, Record
from domain.pairs import Pair, Seen, key_of
from domain.plan import Key, Step
from domain.threeway import Side
from store.connections import Connections
from store.couples import Couple
from store.database import Database, TenantId
from store.hub import Hub
from store.moved import Moved
from store.pairs import Pairs
from store.stirred import AGAIN, since
from store.tables import contacts, pairs
from store.vault import Vault

PEOPLE = 5


def person(place: int) -> Person:
    return Person(given="Given", family=f"Family{place}", lines=(Line.read(f"+3460011122{place}"),))


@dataclass(frozen=True, slots=True)
class World:
    """Five people who stand in a CRM and in an address book, in step, and the mark of the moment they were."""

    db: Database
    hub: Hub
    pairs: Pairs
    couple: Couple
    mark: str

    def look(self, mark: str) -> Moved:
        return self.pairs.moved(self.couple, 100, mark)

    def say(self, tie: uuid.UUID, record: Record) -> None:
        """A side tells of a record: of somebody new, or what one we know says now."""
        link = self.hub.links(self.couple.tenant, tie, {key_of(record)}).get(key_of(record))
        step = Step(do="refresh" if link else "adopt", contact=link.contact if link else "", record=record, link=link)
        with self.db.tenant(self.couple.tenant) as database:
            self.hub.apply(database, self.couple.tenant, tie, [step])

    def drop(self, tie: uuid.UUID, key: Key) -> None:
        link = self.hub.links(self.couple.tenant, tie, {key})[key]
        with self.db.tenant(self.couple.tenant) as database:
            self.hub.apply(database, self.couple.tenant, tie, [Step(do="drop", contact=link.contact, link=link)])

    def pair(self, place: int) -> str:
        """The id of the pair this person is."""
        with self.db.tenant(self.couple.tenant) as database:
            row = database.execute(pairs.select().where(pairs.c.left_id == f"{place}")).one()
        return str(row.id)


def crm_row(place: int, who: Person | None = None) -> Record:
    return Record(module="Contacts", remote_id=f"{place}", person=who or person(place))


def book_row(place: int, who: Person | None = None) -> Record:
    return Record(module="contacts", remote_id=f"people/c{place}", person=who or person(place))


@pytest.fixture
def world(db: Database, vault: Vault, tenant: TenantId) -> World:
    ties = Connections(db, vault)
    crm = ties.add(tenant, "crm", "zoho", label="Alice Ltd", subject="20001")
    book = ties.add(tenant, "workspace", "google", label="Alice", subject="alice")
    couple = Couple(tenant, crm, book, ("Contacts", "Leads"))
    found = World(db, Hub(db, vault), Pairs(db, vault), couple, "")
    for place in range(PEOPLE):
        found.say(crm, crm_row(place))
        found.say(book, book_row(place))
    agreed = [
        Pair(id="", left=Seen(key=key_of(one), mark=one.person), right=Seen(key=key_of(other), mark=other.person))
        for one, other in ((crm_row(place), book_row(place)) for place in range(PEOPLE))
    ]
    with db.tenant(tenant) as database:
        found.pairs.put(database, couple, agreed)
    rest = found.look("")
    assert rest.empty
    return replace(found, mark=rest.mark)


def _says_something_else(world: World) -> None:
    world.say(world.couple.book, book_row(1, replace(person(1), title="Boss")))


def _is_gone(world: World) -> None:
    world.drop(world.couple.crm, key_of(crm_row(1)))


def _is_gone_with_the_contact(world: World) -> None:
    (contact,) = {
        link.contact for link in world.hub.links(world.couple.tenant, world.couple.book, {key_of(book_row(1))}).values()
    }
    with world.db.tenant(world.couple.tenant) as database:
        database.execute(delete(contacts).where(contacts.c.id == uuid.UUID(contact)))


def _is_new(world: World) -> None:
    world.say(world.couple.book, book_row(9))


def _has_yet_to_be_compared(world: World) -> None:
    one = Pair(id=world.pair(1), left=Seen(key=key_of(crm_row(1))), right=Seen(key=key_of(book_row(1))))
    with world.db.tenant(world.couple.tenant) as database:
        world.pairs.put(database, world.couple, [one])


def _has_no_partner_any_more(world: World) -> None:
    with world.db.tenant(world.couple.tenant) as database:
        world.pairs.part(database, world.couple, [world.pair(1)])


def _got_another_name(world: World) -> None:
    names = {key_of(book_row(1)): key_of(book_row(8))}
    with world.db.tenant(world.couple.tenant) as database:
        world.pairs.renamed(database, world.couple.tenant, world.couple.book, names)
    world.drop(world.couple.book, key_of(book_row(1)))
    world.say(world.couple.book, book_row(8, replace(person(1), title="Boss")))


def _waits_and_says_something_else(world: World) -> None:
    world.say(world.couple.book, book_row(9))
    with world.db.tenant(world.couple.tenant) as database:
        world.pairs.wait(database, world.couple, {("right", key_of(book_row(9))): ("alike", person(9))})
    assert world.look("").empty
    world.say(world.couple.book, book_row(9, replace(person(9), title="Boss")))


def _is_looked_at_once_more(world: World) -> None:
    _waits_and_says_something_else(world)
    with world.db.tenant(world.couple.tenant) as database:
        assert 1 == world.pairs.call_up_all(database, world.couple.tenant)


def _takes_part_again(world: World) -> None:
    for apart in (True, False):
        with world.db.tenant(world.couple.tenant) as database:
            world.pairs.set_apart(database, world.couple.tenant, world.couple.book, [key_of(book_row(1))], apart=apart)


@pytest.mark.parametrize(
    "move",
    [
        _says_something_else,
        _is_gone,
        _is_gone_with_the_contact,
        _is_new,
        _has_yet_to_be_compared,
        _has_no_partner_any_more,
        _got_another_name,
        _waits_and_says_something_else,
        _is_looked_at_once_more,
        _takes_part_again,
    ],
    ids=lambda move: str(move.__name__).strip("_").replace("_", " "),
)
def test_whatever_moves_is_found(world: World, move: Callable[[World], None]) -> None:
    """Since the mark or among everybody: the same records and the same pairs, for whatever reason they moved."""
    move(world)

    told = world.look(world.mark)

    everybody = world.look("")
    assert not told.empty
    assert (everybody.moved, everybody.pairs, everybody.alone) == (told.moved, told.pairs, told.alone)
    assert told.many == world.pairs.left_to_do(world.couple, world.mark) == world.pairs.left_to_do(world.couple)


def test_nobody_else_is_looked_at(world: World) -> None:
    """Of five people one moved: one pair is compared, and one record looked for in no pair."""
    _says_something_else(world)

    with world.db.tenant(world.couple.tenant) as database:
        stirred, _ = since(database, world.couple, world.mark)
        assert stirred is not None
        assert ({uuid.UUID(world.pair(1))}, 1) == (set(stirred.pairs), len(stirred.links))


def test_what_was_seen_again_and_says_the_same_has_not_moved(world: World) -> None:
    """A reading of everybody, and its links written once more, stir nobody."""
    for place in range(PEOPLE):
        world.say(world.couple.book, book_row(place))

    with world.db.tenant(world.couple.tenant) as database:
        stirred, _ = since(database, world.couple, world.mark)
    assert stirred is not None
    assert (0, 0) == (len(stirred.pairs), len(stirred.links))


@pytest.mark.parametrize(("hours", "again"), [(11, False), (13, True)])
def test_who_waits_is_looked_at_with_everybody(world: World, hours: int, again: bool) -> None:
    """What was in their way may be gone; who has only begun to wait is left alone, or no look would be the last."""
    world.say(world.couple.book, book_row(9))
    reasons: dict[tuple[Side, Key], tuple[str, Person]] = {("right", key_of(book_row(9))): ("alike", person(9))}
    with world.db.tenant(world.couple.tenant) as database:
        world.pairs.wait(database, world.couple, reasons)
        then = datetime.now(UTC) - timedelta(hours=hours)
        database.execute(update(pairs).where(pairs.c.state != "").values(agreed_at=then))

    everybody = world.look("")

    assert [("right", key_of(book_row(9)))] * again == everybody.alone


@pytest.mark.parametrize("which", ["crm", "transaction", "day"])
def test_a_mark_of_elsewhere_or_of_yesterday_has_everybody_looked_at(world: World, which: str) -> None:
    """Of another CRM, of a database that went on further than this one (a backup was put back), or a day old."""
    crm, transaction, looked = world.mark.split(" ")
    other = {
        "crm": f"{uuid.uuid4()} {transaction} {looked}",
        "transaction": f"{crm} {int(transaction) + 1_000_000} {looked}",
        "day": f"{crm} {transaction} {int(looked) - int(AGAIN.total_seconds()) - 1}",
    }
    with world.db.tenant(world.couple.tenant) as database:
        known, same = since(database, world.couple, world.mark)
        nobody, afresh = since(database, world.couple, other[which])

    assert known is not None
    assert nobody is None
    assert same.split(" ")[2] == looked <= afresh.split(" ")[2]
