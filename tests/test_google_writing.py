"""Google contacts written through the real client library: only what was named, never over somebody's head."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.contact import Line, Person, Record
from domain.errors import NotAllowed, TryLater, Unanswered
from domain.telling import Change, Told, agree
from integrations.google import open_contacts_writer
from integrations.google.people import record_of
from integrations.google.writing import GoogleContactsWriter
from tests.google_stage import ALICE, AUTH, READ_CONTACTS, Stage, running

CREATE, UPDATE = "POST /v1/people:batchCreateContacts", "POST /v1/people:batchUpdateContacts"
DELETE, LOOK = "POST /v1/people:batchDeleteContacts", "GET /v1/people:batchGet"
NOW = datetime.now(UTC)
CAROL: dict[str, Any] = {
    "names": [{"givenName": "Carol", "familyName": "Díaz", "honorificPrefix": "Dr."}],
    "phoneNumbers": [
        {"value": "600 111 222", "type": "mobile"},
        {"value": "+44 20 7946 0001", "type": "Saturdays"},
    ],
    "emailAddresses": [{"value": "carol@shop.example", "type": "work"}],
    "organizations": [{"name": "Carol's Shop", "title": "Owner", "department": "Everything"}, {"name": "The choir"}],
    "nicknames": [{"value": "Caz"}],
}
ERIN = Person(
    given="Erin",
    family="Roe",
    company="Roe & Co",
    title="Buyer",
    lines=(Line.read("600 555 666", "mobile", "ES"), Line.read("+34 911 22 23 33", "work", "ES")),
    emails=("erin@roe.example",),
)


@pytest.fixture(scope="module")
def theatre() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(theatre: Stage) -> Stage:
    theatre.fresh()
    return theatre


class Meddler:
    """An `Http` that lets something happen just before a request of one kind leaves."""

    def __init__(self, stage: Stage, path: str, meddle: Callable[[], Any]) -> None:
        self._http, self._path, self._meddle = stage.http, path, meddle

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Send it, after the fact."""
        if self._path in url:
            self._meddle()
        return self._http.request(method, url, **options)


def writer(stage: Stage, http: Any = None, scope: str = AUTH + "contacts") -> GoogleContactsWriter:
    tokens = stage.purse(scope)
    return open_contacts_writer(http=http or stage.http, tokens=tokens, root=stage.origin, region="ES")


def add(stage: Stage, *people: dict[str, Any]) -> list[str]:
    return list(stage.post("contacts", user=ALICE, contacts=list(people))["resourceNames"])


def edit(stage: Stage, name: str, **person: Any) -> None:
    stage.post("contacts/edit", user=ALICE, resourceName=name, person=person)


def everybody(stage: Stage) -> dict[str, dict[str, Any]]:
    """What stands at Google, by name."""
    return {entry["resourceName"]: entry for entry in stage.get("contacts", user=ALICE)["contacts"]}


def change(stage: Stage, name: str, *fields: Any, **wanted: Any) -> Change:
    was = record_of(everybody(stage)[name], "ES").person
    return Change(module="contacts", remote_id=name, was=was, wanted=replace(was, **wanted), fields=frozenset(fields))


def did(told: list[Told]) -> list[str]:
    return [one.do for one in told]


def test_somebody_new_stands_there_as_written(stage: Stage) -> None:
    """One request for two people; the answer says how each reads there."""
    google = writer(stage)
    stage.delete("requests")

    told = google.create([ERIN, Person(company="Bakery", lines=(Line.read("911 000 111", "", "ES"),))])

    assert ["written", "written"] == did(told)
    assert {CREATE: 1} == stage.counts()
    erin = told[0].record
    assert erin is not None
    assert ERIN == erin.person
    assert erin.etag
    assert {one.remote_id for one in told} == set(everybody(stage))


def test_only_the_named_field_changes_and_nothing_else_is_lost(stage: Stage) -> None:
    """The number that stays keeps its label and spelling; prefix, department, choir and nickname are still there."""
    (carol,) = add(stage, CAROL)
    keep, new = Line.read("0034 600-111-222", "x", "ES"), Line.read("911 222 333 x12", "work", "ES")

    (lines,) = writer(stage).update([change(stage, carol, "lines", lines=(keep, new))])
    (other,) = writer(stage).update([change(stage, carol, "name", "title", given="Carola", title="Boss")])

    stands = everybody(stage)[carol]
    assert ["written", "written"] == did([lines, other])
    assert [("600 111 222", "mobile"), ("911 222 333 x12", "work")] == [
        (number["value"], number.get("type")) for number in stands["phoneNumbers"]
    ]
    assert ("Dr.", "Carola", "Díaz") == tuple(
        stands["names"][0][part] for part in ("honorificPrefix", "givenName", "familyName")
    )
    assert [("Carol's Shop", "Boss", "Everything"), ("The choir", None, None)] == [
        tuple(work.get(part) for part in ("name", "title", "department")) for work in stands["organizations"]
    ]
    assert ("Caz", "work") == (stands["nicknames"][0]["value"], stands["emailAddresses"][0]["type"])
    assert other.record is not None
    assert other.record.etag == stands["etag"]


def test_who_was_changed_meanwhile_is_handed_back(stage: Stage) -> None:
    """A field that says something else by now is not overwritten; another field's change does no harm."""
    carol, dan = add(stage, CAROL, CAROL)
    both = [change(stage, name, "title", title="Boss") for name in (carol, dan)]
    edit(stage, carol, organizations=[{"name": "Carol's Shop", "title": "Retired"}])
    edit(stage, dan, nicknames=[{"value": "Dan"}])

    told = writer(stage).update(both)

    assert ["changed", "written"] == did(told)
    assert told[0].record is not None
    assert "Retired" == told[0].record.person.title == everybody(stage)[carol]["organizations"][0]["title"]


def test_a_change_between_look_and_write_is_seen(stage: Stage) -> None:
    """The etag refuses the whole batch; it is read again: one is handed back, the other written."""
    carol, dan = add(stage, CAROL, CAROL)
    edits = iter([lambda: edit(stage, carol, organizations=[{"title": "Retired"}])])
    http = Meddler(stage, ":batchUpdateContacts", lambda: next(edits, lambda: None)())
    google = writer(stage, http)
    stage.delete("requests")

    told = google.update([change(stage, name, "title", title="Boss") for name in (carol, dan)])

    assert ["changed", "written"] == did(told)
    assert {UPDATE: 2, LOOK: 2} == {name: stage.counts()[name] for name in (UPDATE, LOOK)}


def test_an_etag_that_never_fits_ends(stage: Stage) -> None:
    """Google's etags sometimes change by themselves: three rounds, then the record comes back as it is."""
    (carol,) = add(stage, CAROL)
    asked = change(stage, carol, "title", title="Boss")
    google = writer(stage, Meddler(stage, ":batchUpdateContacts", lambda: edit(stage, carol, nicknames=[])))

    (told,) = google.update([asked])

    assert "changed" == told.do
    assert told.record is not None
    assert "Owner" == told.record.person.title


def test_a_renamed_contact_is_followed(stage: Stage) -> None:
    """It is written under its new name, which the answer tells."""
    (old,) = add(stage, CAROL)
    asked = change(stage, old, "title", title="Boss")
    new = stage.post("contacts/rename", user=ALICE, resourceName=old)["resourceName"]

    (told,) = writer(stage).update([asked])

    assert ("written", new) == (told.do, told.remote_id)
    assert "Boss" == everybody(stage)[new]["organizations"][0]["title"]


def test_what_is_done_or_gone_is_not_written_again(stage: Stage) -> None:
    """Told twice, or told of somebody who left: one look, no write."""
    carol, dan = add(stage, CAROL, CAROL)
    asked = [change(stage, name, "title", title="Boss") for name in (carol, dan)]
    google = writer(stage)
    google.update(asked[:1])
    stage.post("contacts/delete", user=ALICE, resourceName=dan)
    stage.delete("requests")

    told = google.update(asked)

    assert ["written", "gone"] == did(told)
    assert {LOOK: 1} == stage.counts()


def test_a_deletion_spares_who_changed(stage: Stage) -> None:
    """Who looks as they did goes, who changed stays, who went already is gone; a race looks again."""
    names = add(stage, CAROL, CAROL, CAROL, CAROL)
    asked = [change(stage, name) for name in names]
    edit(stage, names[1], names=[{"givenName": "Else"}])
    stage.post("contacts/delete", user=ALICE, resourceName=names[2])
    gone = iter([lambda: stage.post("contacts/delete", user=ALICE, resourceName=names[3])])
    google = writer(stage, Meddler(stage, ":batchDeleteContacts", lambda: next(gone, lambda: None)()))

    told = google.delete(asked)

    assert ["gone", "changed", "gone", "gone"] == did(told)
    assert [names[1]] == list(everybody(stage))


def test_a_creation_nobody_answered_is_found(stage: Stage) -> None:
    """It was carried out and the answer lost: `find` knows it, and knows who is not there."""
    add(stage, *({"names": [{"givenName": f"N{number}"}]} for number in range(1_100)))
    google = writer(stage)
    stage.fault(CREATE, "drop_after")
    with pytest.raises(Unanswered):
        google.create([ERIN])

    found, missing = google.find([ERIN, replace(ERIN, given="Aaron")], NOW)

    assert missing is None
    assert found is not None
    assert found.remote_id in everybody(stage)
    assert found.record is not None
    assert agree(found.record.person, ERIN)


def test_one_bad_entry_does_not_keep_the_others_out(stage: Stage) -> None:
    """Google refuses all of a batch for one of them: it is found by halves, and refused alone."""
    (carol,) = add(stage, CAROL)
    stage.fault(CREATE, "status", status=400)
    google = writer(stage)
    people = [replace(ERIN, given=name) for name in ("Ann", "Ben", "Cat")]

    assert ["written"] * 3 == did(google.create(people))
    stage.fault(UPDATE, "status", status=400)
    assert ["refused"] == did(google.update([change(stage, carol, "title", title="Boss")]))
    assert len(everybody(stage)) == 4


@pytest.mark.parametrize(("size", "requests"), [(200, {CREATE: 1}), (0, {})], ids=["full", "empty"])
def test_a_full_batch_is_one_request(stage: Stage, size: int, requests: dict[str, int]) -> None:
    google = writer(stage)
    stage.delete("requests")
    assert len(google.create([replace(ERIN, given=f"N{number}") for number in range(size)])) == size
    assert requests == stage.counts()


def test_without_the_wider_consent_nothing_is_written(stage: Stage) -> None:
    """contacts.readonly reads and no more."""
    (carol,) = add(stage, CAROL)
    reader = writer(stage, scope=READ_CONTACTS)

    with pytest.raises(NotAllowed):
        reader.create([ERIN])
    with pytest.raises(NotAllowed):
        reader.update([change(stage, carol, "title", title="Boss")])
    assert [carol] == list(everybody(stage))


def test_an_update_nobody_answered_may_be_told_again(stage: Stage) -> None:
    """It was done; the second time a look is enough."""
    (carol,) = add(stage, CAROL)
    asked = [change(stage, carol, "title", title="Boss")]
    google = writer(stage)
    stage.fault(UPDATE, "drop_after", times=2)  # a connection that is cut is tried once more
    with pytest.raises(TryLater):
        google.update(asked)
    stage.delete("requests")

    (told,) = google.update(asked)

    assert ("written", {LOOK: 1}) == (told.do, stage.counts())
    assert isinstance(told.record, Record)
