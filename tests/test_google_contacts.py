"""A user's Google contacts through the real client library: everything once, then only what changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.contact import Gone, Line, Person, Record
from domain.errors import NotAllowed, Refused, TryLater
from domain.ports import CursorLost
from integrations.google import open_contacts
from integrations.google.people import line_of
from tests.google_stage import ALICE, BOB, READ_MAIL, Stage, running

LIST = "GET /v1/people/me/connections"
WEEK = 7 * 86_400
CAROL: dict[str, Any] = {
    "names": [{"givenName": "Carol", "familyName": "Díaz"}],
    "phoneNumbers": [
        {"value": "600 111 222", "type": "mobile"},
        {"value": "+44 20 7946 0001", "type": "work"},
        {"value": "call the shop", "type": "Saturdays"},
    ],
    "emailAddresses": [{"value": "carol@shop.example"}, {"value": "carol@home.example"}],
    "organizations": [{"name": "Carol's Shop", "title": "Owner"}],
}
DAN = {"names": [{"givenName": "Dan"}], "phoneNumbers": [{"value": "+34 600 333 444"}]}


@pytest.fixture(scope="module")
def theatre() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(theatre: Stage) -> Stage:
    theatre.fresh()
    return theatre


def add(stage: Stage, *people: dict[str, Any], user: str = ALICE) -> list[str]:
    return list(stage.post("contacts", user=user, contacts=list(people))["resourceNames"])


def test_everything_is_read_once_with_every_number_and_label(stage: Stage) -> None:
    """The first read is complete; nothing a contact holds is dropped, not even a number that is none."""
    carol, dan = add(stage, CAROL, DAN)
    book, _ = stage.contacts()

    reading = book.read("")
    people = {item.remote_id: item for item in reading.items if isinstance(item, Record)}

    assert reading.complete
    assert reading.cursor
    assert {carol, dan} == set(people)
    expected = Person(
        given="Carol",
        family="Díaz",
        company="Carol's Shop",
        title="Owner",
        lines=(
            Line(raw="600 111 222", e164="+34600111222", label="mobile"),
            Line(raw="+44 20 7946 0001", e164="+442079460001", label="work"),
            Line(raw="call the shop", label="Saturdays"),
        ),
        emails=("carol@shop.example", "carol@home.example"),
    )
    assert expected == people[carol].person
    assert people[carol].etag


@pytest.mark.parametrize(
    ("canonical", "e164"),
    [
        ({}, "+34600111222"),
        ({"canonicalForm": ""}, "+34600111222"),
        ({"canonicalForm": "+34600111222"}, "+34600111222"),
        ({"canonicalForm": "+51600111222"}, "+51600111222"),  # the user lives elsewhere than the company
        ({"canonicalForm": "+51 600 111 222"}, "+51600111222"),
        ({"canonicalForm": "?"}, "+34600111222"),
    ],
    ids=["absent", "empty", "the same", "another country", "spelt otherwise", "no number"],
)
def test_google_knows_better_from_where_a_number_is_dialled(canonical: dict[str, str], e164: str) -> None:
    """Its canonical form wins where it is a number; what was written, and an inside line, stay as they are."""
    said = {"value": "600 111 222 ext. 4", "type": "work", **canonical}

    assert Line(raw="600 111 222 ext. 4", e164=e164, extension="4", label="work") == line_of(said, "ES")


def test_from_then_on_only_changes_are_read(stage: Stage) -> None:
    """An edit and a deletion come back; what stayed as it was does not; nothing new means nothing."""
    carol, dan, _ = add(stage, CAROL, DAN, DAN)
    book, _ = stage.contacts()
    first = book.read("")
    assert len(list(first.items)) == 3
    stage.post("contacts/edit", user=ALICE, resourceName=carol, person={"names": [{"givenName": "Carola"}]})
    stage.post("contacts/delete", user=ALICE, resourceName=dan)

    second = book.read(first.cursor)
    items = list(second.items)

    assert not second.complete
    assert [Gone(module="contacts", remote_id=dan)] == [item for item in items if isinstance(item, Gone)]
    assert ["Carola"] == [item.person.given for item in items if isinstance(item, Record)]
    assert [] == list(book.read(second.cursor).items)


def test_twenty_five_hundred_contacts_take_three_requests(stage: Stage) -> None:
    """Pages of a thousand, each asked for once, and the position only at the end."""
    add(stage, *({"names": [{"givenName": f"N{number}"}]} for number in range(2_500)))
    book, _ = stage.contacts()
    stage.delete("requests")

    reading = book.read("")
    assert reading.cursor == ""
    assert len(list(reading.items)) == 2_500

    assert reading.cursor
    assert {LIST: 3} == stage.counts()


@pytest.mark.parametrize("status", ["400", "410"])
def test_a_position_a_week_old_is_lost(stage: Stage, status: str) -> None:
    """Google forgets it in either of two ways; both are known before the first item."""
    add(stage, CAROL)
    book, purse = stage.contacts()
    reading = book.read("")
    list(reading.items)
    stage.post("knobs", expired_sync_token=status)
    stage.post("clock", advance=WEEK + 60)
    purse(renew=True)

    with pytest.raises(CursorLost):
        book.read(reading.cursor)


def test_a_contact_that_changed_its_name_leaves_the_old_one(stage: Stage) -> None:
    """Joining a profile renames the resource: the old id is gone, the new one is there."""
    (old,) = add(stage, CAROL)
    book, _ = stage.contacts()
    first = book.read("")
    list(first.items)
    new = stage.post("contacts/rename", user=ALICE, resourceName=old)["resourceName"]

    gone, record = list(book.read(first.cursor).items)

    assert Gone(module="contacts", remote_id=old) == gone
    assert isinstance(record, Record)
    assert new == record.remote_id


def test_a_page_lost_on_the_way_starts_over_once(stage: Stage) -> None:
    """The read still ends complete, having told some contacts twice."""
    names = add(stage, *({"names": [{"givenName": f"N{number}"}]} for number in range(1_200)))
    book, _ = stage.contacts()
    reading = book.read("")
    stage.fault(LIST, "status", status=400)

    items = list(reading.items)

    assert set(names) == {item.remote_id for item in items}
    assert len(items) == 1_000 + 1_200
    assert reading.cursor


def test_a_page_lost_twice_is_for_later(stage: Stage) -> None:
    """No endless circle: the job runs again another time."""
    add(stage, *({"names": [{"givenName": f"N{number}"}]} for number in range(1_200)))
    book, _ = stage.contacts()
    reading = book.read("")
    for _ in range(1_000):
        next(reading.items)
    stage.fault(LIST, "status", status=400)
    next(reading.items)
    for _ in range(999):
        next(reading.items)
    stage.fault(LIST, "status", status=400)

    with pytest.raises(TryLater):
        next(reading.items)
    assert reading.cursor == ""


def test_full_reads_too_often_are_for_later(stage: Stage) -> None:
    """The quota on first pages is TryLater, not a failure."""
    stage.post("knobs", full_syncs_per_minute=1)
    book, _ = stage.contacts()
    list(book.read("").items)

    with pytest.raises(TryLater):
        book.read("")


def test_without_the_scope_it_is_not_allowed(stage: Stage) -> None:
    """A consent for mail alone opens no contacts."""
    book = open_contacts(http=stage.http, tokens=stage.purse(READ_MAIL), root=stage.origin)

    with pytest.raises(NotAllowed):
        book.read("")


def test_a_request_google_cannot_read_is_refused(stage: Stage) -> None:
    """A 400 that says nothing of an expired position is never taken for one."""
    book, _ = stage.contacts()
    stage.fault(LIST, "status", status=400)

    with pytest.raises(Refused):
        book.read("")


def test_bob_never_sees_alices_contacts(stage: Stage) -> None:
    """One leaf serves both; the token decides whose contacts come."""
    add(stage, CAROL)
    alice, _ = stage.contacts(ALICE)
    bob, _ = stage.contacts(BOB)

    assert len(list(alice.read("").items)) == 1
    assert list(bob.read("").items) == []
