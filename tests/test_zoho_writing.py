"""Contacts and Leads written by the hundred: each with its own answer, none twice, none over somebody's head."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.consent import scopes_for
from domain.contact import Line, Person
from domain.errors import NotAllowed, TryLater, Unanswered
from domain.telling import Change, Told
from integrations.zoho import ZohoPeopleWriter, open_people_writer
from integrations.zoho.people import LINES
from integrations.zoho.provider import FEATURES
from tests.zoho_stage import ALICE, EVERYTHING, Purse, Stage, running

READING = scopes_for(feature for feature in FEATURES if not feature.by_name)
CREATE, UPDATE = "POST /crm/v8/Contacts", "PUT /crm/v8/Contacts"
LOOK, DELETE = "GET /crm/v8/Contacts", "DELETE /crm/v8/Contacts"
ANN = {
    "First_Name": "Ann",
    "Last_Name": "Lee",
    "Title": "Buyer",
    "Email": "ann@lee.example",
    "Phone": "600 111 222",
    "Mobile": "+34 911 22 23 33",
    "Department": "Purchasing",
}
ERIN = Person(
    given="Erin",
    family="Roe",
    title="Boss",
    lines=(Line.read("600 555 666", "mobile", "ES"), Line.read("201", "assistant", "ES")),
    emails=("erin@roe.example",),
)


@pytest.fixture(scope="module")
def servers() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(servers: Stage) -> Stage:
    servers.fresh()
    return servers


class Meddler:
    """An `Http` that lets something happen just before a request of one kind leaves."""

    def __init__(self, stage: Stage, method: str, meddle: Callable[[], Any]) -> None:
        self._http, self._method, self._meddle = stage.http, method, meddle

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Send it, after the fact."""
        if method == self._method:
            self._meddle()
        return self._http.request(method, url, **options)


def writer(
    stage: Stage, http: Any = None, scopes: tuple[str, ...] = EVERYTHING, timeout: float = 20
) -> ZohoPeopleWriter:
    told = stage.consent(ALICE, scopes)
    purse = Purse(told["home"], told["location"], told)
    return open_people_writer(http=http or stage.http, api_domain=told["api_domain"], tokens=purse, region="ES")


def seed(stage: Stage, module: str, *records: dict[str, Any]) -> list[str]:
    ids: list[str] = stage.post("seed", org="alice", module=module, records=list(records))["ids"]
    return ids


def rows(stage: Stage, module: str = "Contacts") -> dict[str, dict[str, Any]]:
    """What stands at Zoho, by id."""
    return {row["id"]: row for row in stage.get("records", org="alice", module=module)["records"]}


def people(stage: Stage, module: str = "Contacts") -> dict[str, Person]:
    crm, _ = stage.crm()
    return {record.remote_id: record.person for record in crm.people(module)}


def change(stage: Stage, remote_id: str, *fields: Any, module: str = "Contacts", **wanted: Any) -> Change:
    was = people(stage, module)[remote_id]
    return Change(module=module, remote_id=remote_id, was=was, wanted=replace(was, **wanted), fields=frozenset(fields))


def did(told: list[Told]) -> list[str]:
    return [one.do for one in told]


def test_somebody_new_stands_there_and_reads_back_as_answered(stage: Stage) -> None:
    """Numbers go to the column of their label; who has no last name is called by what there is."""
    zoho = writer(stage)
    stage.delete("requests")
    told = zoho.create([ERIN, Person(given="Dan"), Person(company="Bakery"), Person(emails=("x@y.example",))])

    assert ["written"] * 4 == did(told)
    assert {CREATE: 1} == stage.counts()
    crm, _ = stage.crm()
    assert {one.remote_id: one.record for one in told} == {
        record.remote_id: record for record in crm.people("Contacts")
    }
    erin = rows(stage)[told[0].remote_id]
    assert ("600 555 666", "201", None) == tuple(erin.get(column) for column in ("Mobile", "Asst_Phone", "Phone"))
    assert ["Roe", "Dan", "Bakery", "x@y.example"] == [rows(stage)[one.remote_id]["Last_Name"] for one in told]


def test_a_number_reads_back_as_answered_however_it_is_written(stage: Stage) -> None:
    """What was understood before it was written is not understood anew, and means the same."""
    spelt = (
        "+34 600-555.777",
        "+34 (0)91 122 23 34",
        "+44 20 7946 0001 ext. 12",
        "0034 600 555 888",
        "911 222 333",
        "+49 30",
    )
    told = writer(stage).create([Person(family=text, lines=(Line.read(text, "mobile", "ES"),)) for text in spelt])

    crm, _ = stage.crm()
    there = {record.remote_id: record for record in crm.people("Contacts")}
    assert {one.remote_id: one.record for one in told} == there
    assert ["+34600555777", "+34911222334", "+442079460001", "+34600555888", "+34911222333", ""] == [
        one.record.person.lines[0].e164 for one in told if one.record
    ]


def test_a_number_in_a_column_of_the_organisations_own_stays_there(stage: Stage) -> None:
    """It needs no second place, and taking another number away does not touch it."""
    (ann,) = seed(stage, "Contacts", ANN | {"Direct_Line": "600 444 555"})
    direct, new = Line.read("600444555", "direct", "ES"), Line.read("600 777 888", "home", "ES")
    (told,) = writer(stage).update([change(stage, ann, "lines", lines=(new, direct))])

    stands = rows(stage)[ann]
    assert ("written", ()) == (told.do, told.short)
    assert ("600 444 555", "600 777 888", None) == tuple(
        stands.get(name) for name in ("Direct_Line", "Home_Phone", "Phone")
    )
    assert "600 444 555" not in [stands.get(name) for name in LINES]


def test_only_the_named_field_changes(stage: Stage) -> None:
    """A number that stays keeps column and spelling; what was taken away is cleared; the department is still there."""
    (ann,) = seed(stage, "Contacts", ANN)
    keep, new = Line.read("0034600111222", "home", "ES"), Line.read("600 777 888", "home", "ES")
    zoho = writer(stage)
    (told,) = zoho.update([change(stage, ann, "lines", lines=(new, keep))])

    stands = rows(stage)[ann]
    assert ("written", ()) == (told.do, told.short)
    assert ("600 111 222", None, "600 777 888") == tuple(stands[name] for name in ("Phone", "Mobile", "Home_Phone"))
    assert ("Purchasing", "ann@lee.example", "Buyer") == tuple(
        stands[name] for name in ("Department", "Email", "Title")
    )
    assert told.record is not None
    assert told.record.person == people(stage)[ann]


def test_what_finds_no_room_is_named(stage: Stage) -> None:
    """A lead has two columns for numbers and two for addresses; a contact's company is a record of its own."""
    (lead,) = seed(stage, "Leads", {"Last_Name": "Lee", "Company": "Lee & Co", "Phone": "600111222"})
    (ann,) = seed(stage, "Contacts", ANN)
    crowd = tuple(Line.read(f"600 111 22{digit}", "", "ES") for digit in range(2, 6))
    addresses = tuple(f"{name}@lee.example" for name in "abc")

    told = writer(stage).update(
        [
            change(
                stage, lead, "lines", "emails", "company", module="Leads", lines=crowd, emails=addresses, company="L"
            ),
            change(stage, ann, "company", company="Lee & Co"),
        ]
    )

    assert [("written", ("emails", "lines")), ("written", ("company",))] == [(one.do, one.short) for one in told]
    assert ("L", 2, 2) == tuple(
        one if isinstance(one, str) else len(one)
        for person in people(stage, "Leads").values()
        for one in (person.company, person.lines, person.emails)
    )


def test_only_a_fax_number_goes_where_nobody_talks(stage: Stage) -> None:
    """The last free column is no place for a number to call, and a fax number takes none of theirs."""
    crowd = tuple(Line.read(f"600 111 22{digit}", "", "ES") for digit in range(6))
    (told,) = writer(stage).create([replace(ERIN, lines=(Line.read("911 000 111", "workFax", "ES"), *crowd))])

    assert ("911 000 111", ("lines",)) == (rows(stage)[told.remote_id]["Fax"], told.short)
    assert told.record is not None
    assert 6 == len(told.record.person.lines)


def test_a_column_zoho_does_not_take_is_left_out_and_named(stage: Stage) -> None:
    """An address that is none, a number of letters: the person is written without it."""
    (ann,) = seed(stage, "Contacts", ANN)
    odd = replace(ERIN, emails=("not an address", "erin@roe.example"), lines=(*ERIN.lines, Line(raw="☎ ring twice")))
    zoho = writer(stage)

    (new,) = zoho.create([odd])
    (old,) = zoho.update([change(stage, ann, "emails", "title", emails=("ann@lee.example", "?"), title="Boss")])

    assert [("written", ("emails", "lines")), ("written", ("emails",))] == [(one.do, one.short) for one in (new, old)]
    assert new.record is not None
    assert (("erin@roe.example",), 2) == (new.record.person.emails, len(new.record.person.lines))
    assert ("Boss", ("ann@lee.example",)) == (people(stage)[ann].title, people(stage)[ann].emails)


def test_whom_zoho_calls_a_duplicate_is_joined(stage: Stage) -> None:
    """No second record and no error: the answer is the one that stands there; the others are written."""
    (ann,) = seed(stage, "Contacts", ANN)
    stage.post("knobs", unique={"Contacts": ["Email"]})

    told = writer(stage).create([replace(ERIN, emails=("ann@lee.example",)), ERIN])

    assert ["joined", "written"] == did(told)
    assert ann == told[0].remote_id
    assert told[0].record is not None
    assert "Ann Lee" == told[0].record.person.name
    assert 2 == len(rows(stage))


def test_each_record_has_its_own_answer(stage: Stage) -> None:
    """One is refused by a rule of the organisation, the other is written."""
    ann, bea = seed(stage, "Contacts", ANN, ANN | {"Email": "bea@lee.example"})
    stage.post("knobs", mandatory={"Contacts": ["Title"]})
    asked = [change(stage, ann, "title", title=""), change(stage, bea, "title", title="Boss")]

    told = writer(stage).update(asked)

    assert [("refused", "zoho.mandatory_not_found"), ("written", "")] == [(one.do, one.refused) for one in told]
    assert ("Buyer", "Boss") == (people(stage)[ann].title, people(stage)[bea].title)


def test_who_was_changed_meanwhile_is_handed_back(stage: Stage) -> None:
    """Before the look or between look and write: nothing is overwritten, the others are written."""
    ann, bea, cat = seed(stage, "Contacts", ANN, ANN, ANN)
    asked = [change(stage, name, "title", title="Boss") for name in (ann, bea, cat)]
    stage.post("edit", org="alice", module="Contacts", id=ann, values={"Title": "Retired"})
    edits = iter([lambda: stage.post("edit", org="alice", module="Contacts", id=bea, values={"Title": "Away"})])

    told = writer(stage, Meddler(stage, "PUT", lambda: next(edits, lambda: None)())).update(asked)

    assert ["changed", "changed", "written"] == did(told)
    assert ["Retired", "Away", "Boss"] == [people(stage)[name].title for name in (ann, bea, cat)]


def test_what_is_done_or_gone_is_not_written_again(stage: Stage) -> None:
    """Told twice, or told of somebody who left or was converted: one look, no write."""
    ann, bea = seed(stage, "Contacts", ANN, ANN)
    asked = [change(stage, name, "title", title="Boss") for name in (ann, bea)]
    zoho = writer(stage)
    zoho.update(asked[:1])
    stage.post("delete", org="alice", module="Contacts", id=bea)
    stage.delete("requests")

    assert ["written", "gone"] == did(zoho.update(asked))
    assert {LOOK: 1} == stage.counts()


def test_a_deletion_spares_who_changed(stage: Stage) -> None:
    """Who looks as they did goes to the recycle bin, who changed stays, who went already is gone."""
    ann, bea, cat = seed(stage, "Contacts", ANN, ANN, ANN)
    asked = [change(stage, name) for name in (ann, bea, cat)]
    stage.post("edit", org="alice", module="Contacts", id=bea, values={"Title": "Retired"})
    stage.post("delete", org="alice", module="Contacts", id=cat)

    assert ["gone", "changed", "gone"] == did(writer(stage).delete(asked))
    assert [bea] == list(rows(stage))


def test_a_creation_nobody_answered_is_found(stage: Stage) -> None:
    """It was carried out and the answer lost: `find` knows it, and knows who is not there."""
    seed(stage, "Contacts", ANN)
    since = datetime.now(UTC)
    zoho = writer(stage)
    stage.fault(CREATE, "drop_after")
    dan = Person(company="Bakery", lines=(Line.read("911 000 111", "", "ES"),))
    with pytest.raises(Unanswered):
        zoho.create([ERIN, dan])

    found = zoho.find([ERIN, dan, replace(ERIN, given="Aaron")], since)

    assert [True, True, False] == [one is not None and one.remote_id in rows(stage) for one in found]


def test_an_update_nobody_answered_may_be_told_again(stage: Stage) -> None:
    """It was done; the second time a look is enough."""
    (ann,) = seed(stage, "Contacts", ANN)
    asked = [change(stage, ann, "title", title="Boss")]
    zoho = writer(stage)
    stage.fault(UPDATE, "drop_after", times=2)  # a connection that is cut is tried once more
    with pytest.raises(TryLater):
        zoho.update(asked)
    stage.delete("requests")

    assert ["written"] == did(zoho.update(asked))
    assert {LOOK: 1} == stage.counts()


def test_a_hundred_are_one_request_and_both_modules_two(stage: Stage) -> None:
    known = seed(stage, "Contacts", *(ANN | {"Email": f"a{number}@lee.example"} for number in range(98)))
    leads = seed(stage, "Leads", *({"Last_Name": "Lee", "Company": "Lee & Co"} for _ in range(2)))
    was, were = people(stage), people(stage, "Leads")
    title = frozenset({"title"})
    asked = [
        *(Change(module="Contacts", remote_id=one, was=was[one], wanted=ERIN, fields=title) for one in known),
        *(Change(module="Leads", remote_id=one, was=were[one], wanted=ERIN, fields=title) for one in leads),
    ]
    zoho = writer(stage)
    stage.delete("requests")

    assert ["written"] * 100 == did(zoho.update(asked))
    columns = {"GET /crm/v8/settings/fields": 2}
    assert {LOOK: 1, UPDATE: 1, "GET /crm/v8/Leads": 1, "PUT /crm/v8/Leads": 1} | columns == stage.counts()


def test_without_the_wider_consent_nothing_is_written(stage: Stage) -> None:
    """What an installation asks for by itself reads and no more."""
    (ann,) = seed(stage, "Contacts", ANN)
    asked = [change(stage, ann, "title", title="Boss")]
    reader = writer(stage, scopes=READING)

    with pytest.raises(NotAllowed):
        reader.create([ERIN])
    with pytest.raises(NotAllowed):
        reader.update(asked)
    assert ["Buyer"] == [person.title for person in people(stage).values()]
