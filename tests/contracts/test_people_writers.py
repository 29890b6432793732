"""What every side that keeps people promises (`domain.telling.PeopleWriter`): Zoho, Google, and the plainest in memory.

The last is what the agreement is tested with by the thousand, so it has to keep what the real ones keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from domain.contact import Line, Person
from domain.errors import Unanswered
from domain.telling import Change, Field, PeopleWriter, Told, agree
from integrations.google import open_contacts_writer
from integrations.google.people import record_of
from integrations.zoho import open_people_writer
from tests import google_stage, zoho_stage
from tests.agreement_sides import MemorySide
from tests.google_stage import AUTH
from tests.zoho_stage import EVERYTHING, Purse

VERBS = ("POST ", "PUT ", "DELETE ", "PATCH ")


class Side(Protocol):
    """A side, and the hands of whoever works there."""

    writer: PeopleWriter

    def people(self) -> dict[str, Person]: ...

    def retitle(self, remote_id: str, title: str) -> None: ...

    def drop(self, remote_id: str) -> None: ...

    def lose_an_answer(self) -> None: ...

    def writes(self) -> int:
        """Requests that wrote, or in memory records, since this was asked last."""


@dataclass
class Zoho:
    stage: zoho_stage.Stage

    def __post_init__(self) -> None:
        told = self.stage.consent(zoho_stage.ALICE, EVERYTHING)
        purse = Purse(told["home"], told["location"], told)
        self.writer: PeopleWriter = open_people_writer(
            http=self.stage.http, api_domain=told["api_domain"], tokens=purse, region="ES"
        )
        self._crm, _ = self.stage.crm()

    def people(self) -> dict[str, Person]:
        return {record.remote_id: record.person for record in self._crm.people("Contacts")}

    def retitle(self, remote_id: str, title: str) -> None:
        self.stage.post("edit", org="alice", module="Contacts", id=remote_id, values={"Title": title})

    def drop(self, remote_id: str) -> None:
        self.stage.post("delete", org="alice", module="Contacts", id=remote_id)

    def lose_an_answer(self) -> None:
        self.stage.fault("POST /crm/v8/Contacts", "drop_after", times=1)

    def writes(self) -> int:
        return _written(self.stage)


@dataclass
class Google:
    stage: google_stage.Stage

    def __post_init__(self) -> None:
        tokens = self.stage.purse(AUTH + "contacts")
        self.writer: PeopleWriter = open_contacts_writer(
            http=self.stage.http, tokens=tokens, root=self.stage.origin, region="ES"
        )

    def people(self) -> dict[str, Person]:
        told = self.stage.get("contacts", user=google_stage.ALICE)["contacts"]
        return {entry["resourceName"]: record_of(entry, "ES").person for entry in told}

    def retitle(self, remote_id: str, title: str) -> None:
        work = [{"title": title}]
        self.stage.post(
            "contacts/edit", user=google_stage.ALICE, resourceName=remote_id, person={"organizations": work}
        )

    def drop(self, remote_id: str) -> None:
        self.stage.post("contacts/delete", user=google_stage.ALICE, resourceNames=[remote_id])

    def lose_an_answer(self) -> None:
        self.stage.fault("POST /v1/people:batchCreateContacts", "drop_after", times=1)

    def writes(self) -> int:
        return _written(self.stage)


def _written(stage: Any) -> int:
    many = sum(times for name, times in stage.counts().items() if any(verb in name for verb in VERBS))
    stage.delete("requests")
    return many


class Memory:
    def __init__(self) -> None:
        self.side = MemorySide("m")
        self.writer: PeopleWriter = self.side

    def people(self) -> dict[str, Person]:
        return dict(self.side.people)

    def retitle(self, remote_id: str, title: str) -> None:
        self.side.people[remote_id] = replace(self.side.people[remote_id], title=title)

    def drop(self, remote_id: str) -> None:
        del self.side.people[remote_id]

    def lose_an_answer(self) -> None:
        def lost() -> None:
            del self.side._after  # type: ignore[method-assign]  # once
            raise Unanswered

        self.side._after = lost  # type: ignore[method-assign]

    def writes(self) -> int:
        many, self.side.writes = self.side.writes, 0
        return many


@pytest.fixture(scope="module")
def stages() -> Iterator[tuple[zoho_stage.Stage, google_stage.Stage]]:
    with zoho_stage.running() as zoho, google_stage.running() as google:
        yield zoho, google


@pytest.fixture(params=["zoho", "google", "memory"])
def side(request: pytest.FixtureRequest, stages: tuple[zoho_stage.Stage, google_stage.Stage]) -> Side:
    zoho, google = stages
    if request.param == "zoho":
        zoho.fresh()
        found: Side = Zoho(zoho)
    elif request.param == "google":
        google.fresh()
        found = Google(google)
    else:
        found = Memory()
    found.writes() if request.param == "memory" else _written(zoho if request.param == "zoho" else google)
    return found


def somebody(number: int) -> Person:
    return Person(
        given="Erin",
        family=f"Roe {number}",
        title="Buyer",
        lines=(Line.read(f"+34 600 111 {number:03}", "mobile", "ES"),),
        emails=(f"erin{number}@roe.example",),
    )


def made(side: Side, many: int = 1) -> list[str]:
    told = side.writer.create([somebody(number) for number in range(many)])
    assert side.writes(), "what is written is counted"
    return [one.remote_id for one in told]


def change(side: Side, remote_id: str, *fields: Field, **wanted: Any) -> Change:
    was = side.people()[remote_id]
    module = side.writer.limits.newcomers
    return Change(module=module, remote_id=remote_id, was=was, wanted=replace(was, **wanted), fields=frozenset(fields))


def did(told: Sequence[Told | None]) -> list[str]:
    return [one.do if one else "" for one in told]


def test_who_is_created_reads_back_as_answered_in_the_order_of_the_question(side: Side) -> None:
    told = side.writer.create([somebody(2), somebody(1)])

    assert ["written", "written"] == did(told)
    there = side.people()
    assert [True, True] == [
        agree(there[one.remote_id], somebody(number)) for one, number in zip(told, (2, 1), strict=True)
    ]
    assert [there[one.remote_id] for one in told] == [one.record.person for one in told if one.record]


def test_as_many_as_it_says_go_at_once(side: Side) -> None:
    most = side.writer.limits.create

    assert most == len(made(side, most)) == len(side.people())


def test_only_the_named_field_is_written(side: Side) -> None:
    (erin,) = made(side)
    before = side.people()[erin]

    told = side.writer.update([change(side, erin, "title", title="Boss", family="Nobody")])

    assert ["written"] == did(told)
    assert replace(before, title="Boss") == side.people()[erin]


def test_who_was_faster_is_handed_back_and_left_alone(side: Side) -> None:
    (erin,) = made(side)
    asked = change(side, erin, "title", title="Boss")
    side.retitle(erin, "Director")
    side.writes()

    told = side.writer.update([asked])

    assert ["changed"] == did(told)
    assert told[0].record is not None
    assert "Director" == told[0].record.person.title == side.people()[erin].title
    assert 0 == side.writes()


def test_what_is_done_already_counts_as_done_and_what_is_gone_as_gone(side: Side) -> None:
    stays, goes = made(side, 2)
    changes = [change(side, one, "title", title="Boss") for one in (stays, goes)]
    side.retitle(stays, "Boss")
    side.drop(goes)
    side.writes()

    assert ["written", "gone"] == did(side.writer.update(changes))
    assert 0 == side.writes()


def test_a_deletion_spares_who_changed_and_may_be_told_twice(side: Side) -> None:
    stays, goes = made(side, 2)
    changes = [replace(change(side, one), wanted=Person()) for one in (stays, goes)]
    side.retitle(stays, "Director")

    assert ["changed", "gone"] == did(side.writer.delete(changes))
    assert [stays] == list(side.people())
    side.writes()
    assert ["gone"] == did(side.writer.delete(changes[1:]))
    assert 0 == side.writes()


def test_a_creation_nobody_answered_is_found_among_any_number(side: Side) -> None:
    """They stand there; who does not is not made up, and two who read alike are two."""
    asked = [somebody(1), somebody(1), somebody(2)]
    began = datetime.now(UTC) - timedelta(seconds=60)
    side.lose_an_answer()
    with pytest.raises(Unanswered):
        side.writer.create(asked)
    side.writes()

    found = side.writer.find([*asked, somebody(3)], began)

    assert ["written", "written", "written", ""] == did(found)
    assert set(side.people()) == {one.remote_id for one in found if one}
    assert 0 == side.writes()
