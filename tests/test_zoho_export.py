"""A large organisation is read out of files Zoho writes: whole, once, and never instead of what changed meanwhile."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.contact import Record
from domain.errors import ConsentLost, NotAllowed, Refused, TryLater
from domain.ports import Export
from domain.sharing import Sharing
from integrations.zoho import export as adapter
from integrations.zoho.crm import open_crm
from jobs import connect, first_load, sharing, sync_contacts, worker
from jobs.services import Services
from store.embedded import Postgres
from tests import contacts_office, google_stage, zoho_stage
from tests.contacts_office import Office, moved_in, outside, tools
from tests.zoho_double import ORIGIN, Line, Purse, answer, error

FEATURES = (*contacts_office.READING, "export")
READ, JOB = "/crm/bulk/v8/read", "4150868000000200001"
LISTED, DELETED = "GET /crm/v8/Contacts", "GET /crm/v8/Contacts/deleted"
BEGUN, LOOKED = f"POST {READ}", f"GET {READ}/{{id}}"
FETCHED = f"{LOOKED}/result"
HEADER = ["Id", "First_Name", "Last_Name", "Email", "Owner", "Modified_Time", "Phone", "Account_Name"]
COMPANY = "Account_Name.Account_Name"
ANN = ["11", "Ann", "Lee", "ann@lee.example", "7", "2026-03-28T10:00:00+01:00", "600 111 222", "5"]


# ---- the file -----------------------------------------------------------------------------------------------------


def packed(*rows: Sequence[str], name: str = "a.csv") -> bytes:
    """A zip with one CSV in it."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return zipped(**{name: text.getvalue()})


def zipped(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def read(file: Any, *, rows: int = 1, module: str = "Contacts", status: int = 200) -> list[Record]:
    """Everybody in a file as Zoho answers it."""
    line = Line([answer(200, {"fields": []}), answer(status, file)])
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=Purse(), region="ES")
    return list(crm.exports.people(module, JOB, rows))


def test_a_row_says_what_a_listing_would_have_said() -> None:
    (ann,) = read(packed([*HEADER, COMPANY], [*ANN, "Lee & Co"]))

    assert ("Contacts", "11", "7", "5") == (ann.module, ann.remote_id, ann.owner, ann.account)
    assert ("Ann", "Lee", "Lee & Co", ("ann@lee.example",)) == (
        ann.person.given,
        ann.person.family,
        ann.person.company,
        ann.person.emails,
    )
    assert [("work", "+34600111222")] == [(line.label, line.e164) for line in ann.person.lines]
    assert ("2026-03-28T10:00:00+01:00", datetime.fromisoformat(ANN[5])) == (ann.etag, ann.changed_at)


ODD: dict[str, bytes] = {
    "names in other case, spaces, a byte order mark": zipped(
        a="\ufeffID,LAST_NAME , phone,owner\r\n11,Lee,600 111 222,7\r\n"
    ),
    "ids as people's own exports write them": zipped(a="Id,Last_Name,Phone,Owner.id\nzcrm_11,Lee,600 111 222,zcrm_7\n"),
    "columns nobody asked for, and one twice": zipped(
        a='Id,Tag,Last_Name,Phone,Phone,Owner\n11,"a,b",Lee,600 111 222,,7\n'
    ),
    "a row that ends early, and empty lines": zipped(a="Id,Phone,Last_Name,Owner,Email\n\n11,600 111 222,Lee,7\n\n"),
    "a cell with lines in it": zipped(a='Id,Last_Name,Phone,Owner,Title\n11,Lee,600 111 222,7,"a ""b""\r\nc"\n'),
}


@pytest.mark.parametrize("file", ODD.values(), ids=ODD.keys())
def test_odd_spellings_are_read(file: bytes) -> None:
    (one,) = read(file)

    assert ("11", "Lee", "7", ["+34600111222"]) == (
        one.remote_id,
        one.person.family,
        one.owner,
        [line.e164 for line in one.person.lines],
    )


def test_a_converted_lead_and_a_company_without_a_number_are_nobody() -> None:
    leads = packed(
        ["Id", "Last_Name", "Company", "Phone", "Converted__s"],
        ["1", "Lee", "Lee & Co", "600111222", "false"],
        ["2", "Moss", "Moss & Co", "600111333", "true"],
    )
    accounts = packed(["Id", "Account_Name", "Phone"], ["3", "Lee & Co", "911222333"], ["4", "Moss & Co", ""])

    assert [("1", "Lee & Co")] == [(one.remote_id, one.person.company) for one in read(leads, rows=2, module="Leads")]
    assert [("3", "Lee & Co")] == [
        (one.remote_id, one.person.company) for one in read(accounts, rows=2, module="Accounts")
    ]


def test_a_record_beside_people_is_its_name_and_its_numbers() -> None:
    fields = [{"api_name": "Name"}, {"api_name": "Site_Phone", "data_type": "phone", "field_label": "Site phone"}]
    file = packed(["Id", "Name", "Owner", "Site_Phone"], ["1", "Lift 7", "7", "911222333"], ["2", "Lift 8", "7", ""])
    line = Line([answer(200, {"fields": fields}), answer(200, file), answer(200, {"fields": []})])
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=Purse(), region="ES", besides=("Lifts", "Stairs"))

    (lift,) = crm.exports.people("Lifts", JOB, 2)

    assert ("Lift 7", [("Site phone", "+34911222333")]) == (
        lift.person.company,
        [(one.label, one.e164) for one in lift.person.lines],
    )
    assert 0 == crm.exports.count("Stairs")  # nothing of it is read, so nobody asks how large it is


def test_an_empty_file_is_not_even_fetched() -> None:
    line = Line([])
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=Purse(), region="ES")

    assert [] == list(crm.exports.people("Contacts", JOB, 0))
    assert [] == line.asked


BROKEN: dict[str, Any] = {
    "not a zip": b"Id,Last_Name,Phone\n11,Lee,600111222\n",
    "nothing": b"",
    "cut off": packed([*HEADER, COMPANY], [*ANN, ""])[:-40],
    "two files": zipped(a="Id,Phone\n11,600111222\n", b="Id,Phone\n11,600111222\n"),
    "no file": zipped(),
    "no header": zipped(a=""),
    "no id": packed(["Last_Name", "Phone"], ["Lee", "600111222"]),
    "no numbers": packed(["Id", "Last_Name"], ["11", "Lee"]),
    "companies without their names": packed(HEADER, ANN),
    "a record without an id": packed([*HEADER, COMPANY], ["", *ANN[1:], ""]),
    "fewer than Zoho counted": packed([*HEADER, COMPANY]),
    "a quote that never ends": zipped(a='Id,Phone\n11,"600111222\n'),
    "a row without end": zipped(a="Id,Phone\n" + "," * (adapter.LONGEST_ROW + 1)),
    "a row of very many lines": zipped(a="Id,Phone\n" + '11,"' + "\n" * (adapter.LONGEST_ROW + 1) + '"\n'),
    "no text": zipped(a="Id,Phone\n").replace(b"Id,Phone", b"\xff\xfe"),
}


@pytest.mark.parametrize("file", BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_may_have_lost_somebody_is_refused(file: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read(file)

    assert "export.unreadable" == refused.value.code


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither more bytes than we keep in memory, nor more characters than an organisation can have."""
    file = packed([*HEADER, COMPANY], *([*ANN, ""] for _ in range(2_000)))
    assert 2_000 == len(read(file, rows=2_000))

    monkeypatch.setattr(adapter, "MOST_CHARACTERS", 100_000)
    with pytest.raises(Refused, match="not to its end"):
        read(file, rows=2_000)
    monkeypatch.setattr(adapter, "MOST_PACKED", 100)
    with pytest.raises(Refused, match="larger than we read"):
        read(file, rows=2_000)


@pytest.mark.parametrize(
    ("told", "trouble", "code"),
    [
        (error("TOO_MANY_REQUESTS", 429), TryLater, "upstream.busy"),
        (error("RESOURCE_NOT_FOUND", 404), Refused, "zoho.resource_not_found"),
        (error("OAUTH_SCOPE_MISMATCH", 401), NotAllowed, "zoho.oauth_scope_mismatch"),
        (answer(200, {"status": "error", "code": "INVALID_DATA"}), Refused, "zoho.invalid_data"),
        (answer(200, {"data": []}), Refused, "upstream.refused"),
        (answer(502, b"<html>"), TryLater, "upstream.busy"),
    ],
    ids=["too many downloads", "expired", "no permission", "refused with 200", "something else", "a gateway"],
)
def test_a_download_that_is_none_says_why(told: Any, trouble: type[Exception], code: str) -> None:
    line = Line([answer(200, {"fields": []}), told])
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=Purse(), region="ES")

    with pytest.raises(trouble) as raised:
        list(crm.exports.people("Contacts", JOB, 1))

    assert code == raised.value.code  # type: ignore[attr-defined]
    assert f"{ORIGIN}{READ}/{JOB}/result" == line.asked[-1][1]


def test_a_download_renews_its_token_once() -> None:
    tokens, refused = Purse(), error("INVALID_TOKEN", 401)
    file = answer(200, packed([*HEADER, COMPANY], [*ANN, ""]))
    line = Line([answer(200, {"fields": []}), refused, file])
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=tokens, region="ES")

    assert 1 == len(list(crm.exports.people("Contacts", JOB, 1)))
    assert 1 == tokens.renewed
    line.answers += [error("INVALID_TOKEN", 401), error("INVALID_TOKEN", 401)]
    with pytest.raises(ConsentLost):
        list(crm.exports.people("Contacts", JOB, 1))


LOOKS: dict[str, tuple[dict[str, Any], Export]] = {
    "added": ({"state": "ADDED"}, Export(state="waiting")),
    "a state nobody described": ({"state": "PAUSED"}, Export(state="waiting")),
    "failed": ({"state": "FAILURE"}, Export(state="failed")),
    "done": ({"state": "COMPLETED", "result": {"count": 3}}, Export(state="ready", rows=3)),
    "done, with more by a word": (
        {"state": "COMPLETED", "result": {"count": "3", "more_records": True, "next_page_token": "t"}},
        Export(state="ready", rows=3, more="t"),
    ),
    "done, with more by number": (
        {"state": "COMPLETED", "result": {"count": 3, "more_records": True, "page": 2}},
        Export(state="ready", rows=3, more="page:3"),
    ),
    "done, and nobody says what": ({"state": "COMPLETED"}, Export(state="failed")),
}


@pytest.mark.parametrize(("told", "understood"), LOOKS.values(), ids=LOOKS.keys())
def test_how_far_a_job_is(told: dict[str, Any], understood: Export) -> None:
    crm = open_crm(http=Line([answer(200, {"data": [told]})]), api_domain=ORIGIN, tokens=Purse(), region="ES")

    assert understood == crm.exports.look(JOB)


def test_a_job_asks_for_what_a_listing_asks_for() -> None:
    """And the next part of it for the same, by Zoho's word or by its number."""
    added = {"data": [{"status": "success", "details": {"id": JOB}}]}
    line = Line([answer(200, {"fields": []}), *(answer(201, added) for _ in range(3))])
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=Purse(), region="ES")

    assert [JOB] * 3 == [crm.exports.begin("Contacts", part) for part in ("", "t", "page:3")]

    first, *parts = (options["json"]["query"] for method, _, options in line.asked if method == "POST")
    assert ({"api_name": "Contacts"}, COMPANY) == (first["module"], first["fields"][-1])
    assert {"Last_Name", "Phone", "Owner", "Account_Name"} <= set(first["fields"])
    assert [first | {"page_token": "t"}, first | {"page": 3}] == parts
    for told, trouble in ((error("INVALID_MODULE"), Refused), (answer(201, {"data": [{"details": {}}]}), TryLater)):
        line.answers.append(told)
        with pytest.raises(trouble):
            crm.exports.begin("Contacts")


# ---- the first reading --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stages() -> Iterator[tuple[zoho_stage.Stage, google_stage.Stage]]:
    with outside() as both:
        yield both


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, stages: Any) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, *stages) as opened:
        yield opened


@pytest.fixture
def office(services: Services, stages: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Alice's organisation has five contacts, which is a lot here, and one lead."""
    monkeypatch.setattr(first_load, "LARGE", 3)
    with moved_in(services, *stages, features=FEATURES) as opened:
        opened.zoho.post("knobs", bulk_looks=1)
        opened.seed(*({"Last_Name": f"P{n}", "Phone": f"+3460011122{n}"} for n in range(5)))
        opened.seed({"Last_Name": "Lead", "Company": "L", "Phone": "+34600777888"}, module="Leads")
        opened.zoho.delete("requests")
        yield opened


def visit(office: Office) -> dict[str, int]:
    """Have the chore done now; return what was asked of Zoho for contacts."""
    office.zoho.delete("requests")
    office.services.chores.hurry(office.tenant, "read.crm")
    worker.visit(office.services, office.tenant, "contacts", seconds=60)
    asked = (LISTED, DELETED, BEGUN, LOOKED, FETCHED)
    return {name: many for name, many in office.zoho.counts().items() if name in asked}


def known(office: Office) -> set[str]:
    return {link.mark.family for link in office.services.hub.links(office.tenant, office.crm.id).values()}


def state(office: Office) -> tuple[bool, int, str]:
    """Whether the connection looks troubled, and what the chore says: failures and reason."""
    chore = office.chore("read.crm")
    tie = office.services.connections.get(office.tenant, office.crm.id)
    return tie.troubled, chore.failures, chore.reason


EVERYBODY = {"P0", "P1", "P2", "P3", "P4", "Lead"}


def test_a_large_module_comes_in_a_file(office: Office) -> None:
    """One job, one file, and one look at what changed while it was written; the small module is listed as ever."""
    assert {BEGUN: 1, LOOKED: 1, FETCHED: 1, LISTED: 1, DELETED: 1} == visit(office)

    assert EVERYBODY == known(office)
    assert ({"adopt": 6}, (False, 0, "")) == (
        {name: many for name, many in office.chore("read.crm").progress.items() if many},
        state(office),
    )
    assert {LISTED: 1, DELETED: 1} == visit(office)  # from now on by what changed


def test_while_it_is_written_nothing_happens_but_that_somebody_comes_back(office: Office) -> None:
    """The chore says what it waits for and is due again soon; nobody is dropped, and the page says how many come."""
    office.zoho.post("knobs", bulk_looks=3)

    assert {BEGUN: 1, LOOKED: 1} == visit(office)
    chore = office.chore("read.crm")
    assert ({"exporting": 6}, (False, 0, "")) == (chore.progress, state(office))
    pause = chore.due_at - office.services.db.now()
    assert timedelta() < pause <= first_load.LOOK_AGAIN
    assert set() == known(office)
    assert {LOOKED: 1} == visit(office)
    assert {LOOKED: 1, FETCHED: 1, LISTED: 1, DELETED: 1} == visit(office)
    assert EVERYBODY == known(office)


def test_whoever_forgot_everything_goes_on_with_the_same_job(
    office: Office, db_urls: Postgres, work_url: str, mail_url: str
) -> None:
    office.zoho.post("knobs", bulk_looks=2)
    assert {BEGUN: 1, LOOKED: 1} == visit(office)

    with tools(db_urls, work_url, mail_url, office.zoho, office.google) as others:
        office.zoho.delete("requests")
        others.chores.hurry(office.tenant, "read.crm")
        worker.visit(others, office.tenant, "contacts", seconds=60)

    assert (0, 1) == (office.zoho.counts().get(BEGUN, 0), office.zoho.counts()[FETCHED])
    assert EVERYBODY == known(office)
    assert "" == office.services.connections.cursor(office.tenant, office.crm.id, first_load.CURSOR)


def test_what_changed_while_it_was_written_counts(office: Office) -> None:
    """Of somebody who came, changed or went after the file was begun, the newest holds, and nobody new is dropped."""
    office.zoho.post("knobs", bulk_looks=2)
    visit(office)
    old, left = (row["id"] for row in office.rows() if row["Last_Name"] in ("P0", "P1"))
    (heard, unheard) = office.seed({"Last_Name": "Heard", "Phone": "600222333"}, {"Last_Name": "New", "Phone": "1"})
    office.edit(old, Last_Name="Changed")
    office.bin(left)
    crm = office.services.crm(office.crm)
    told = list(crm.some_people("Contacts", [heard]))  # as a notification has it read
    sync_contacts.take(office.services, office.crm, told, complete=False, go_on=True)
    assert {"Heard"} == known(office)

    visit(office)

    assert (EVERYBODY - {"P0", "P1"}) | {"Changed", "Heard", "New"} == known(office)
    assert unheard in {id for _, id in office.services.hub.links(office.tenant, office.crm.id)}
    began = office.services.connections.cursor(office.tenant, office.crm.id, "read.crm")
    assert datetime.fromisoformat(began) < office.services.db.now()


def test_who_was_known_and_is_in_no_file_is_gone(office: Office) -> None:
    """Read anew, say because numbers are read otherwise; who came after the files were begun stays."""
    visit(office)
    assert EVERYBODY == known(office)
    office.zoho.post("knobs", bulk_looks=2)
    office.bin(next(row["id"] for row in office.rows() if row["Last_Name"] == "P4"))
    office.services.connections.set_cursor(office.tenant, office.crm.id, "read.crm", "")

    assert {BEGUN: 1, LOOKED: 1} == visit(office)
    assert EVERYBODY == known(office)  # a file that is not there yet drops nobody
    visit(office)

    assert EVERYBODY - {"P4"} == known(office)


def test_very_many_come_in_several_files(office: Office) -> None:
    office.zoho.post("knobs", bulk_rows=2)

    assert {BEGUN: 3, LOOKED: 3, FETCHED: 3, LISTED: 1, DELETED: 1} == visit(office)
    assert EVERYBODY == known(office)


def test_a_kept_load_says_the_same_read_again() -> None:
    load = first_load.Load(datetime.fromisoformat(ANN[5]), "ES", 7, {"Contacts": [first_load.File("1", 2)]})

    assert load == first_load.Load.from_text(load.as_text())
    assert not load.waiting
    load.files["Contacts"].append(first_load.File("2"))
    assert first_load.Load.from_text(load.as_text()).waiting


def test_a_job_that_fails_is_a_listing(office: Office) -> None:
    office.zoho.post("knobs", bulk_fails=True)

    assert {BEGUN: 1, LOOKED: 1, LISTED: 1} == visit(office)
    assert (EVERYBODY, (False, 0, "")) == (known(office), state(office))


def test_a_job_that_is_a_day_old_is_a_listing(office: Office) -> None:
    office.zoho.post("knobs", bulk_looks=3)
    visit(office)
    office.zoho.post("clock", advance=86_400)

    assert {LOOKED: 2, LISTED: 1} == visit(office)  # the second with a new token: the old one is a day old as well
    assert EVERYBODY == known(office)


def test_nobody_waits_for_ever(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.zoho.post("knobs", bulk_looks=9)
    visit(office)
    monkeypatch.setattr(first_load, "LONGEST", timedelta())

    assert {LOOKED: 1, LISTED: 1} == visit(office)
    assert EVERYBODY == known(office)


@pytest.mark.parametrize(
    "wrong",
    [
        {"match": BEGUN, "action": "status", "status": 400, "body": {"status": "error", "code": "INVALID_DATA"}},
        {"match": f"GET {READ}/*/result", "action": "status", "status": 200, "body": {"status": "error", "code": "X"}},
    ],
    ids=["refused", "unreadable"],
)
def test_a_file_that_cannot_be_had_is_a_listing(office: Office, wrong: dict[str, Any]) -> None:
    office.zoho.post("faults", **wrong)

    assert 1 == visit(office)[LISTED]
    assert (EVERYBODY, (False, 0, "")) == (known(office), state(office))


@pytest.mark.parametrize(("match", "taken"), [(f"GET {READ}/*/result", 0), (LISTED, 4)], ids=["file", "changes"])
def test_zoho_that_is_busy_is_asked_again_for_the_same_file(
    office: Office, monkeypatch: pytest.MonkeyPatch, match: str, taken: int
) -> None:
    """Also after half of it was taken over: nobody is there twice."""
    monkeypatch.setattr(sync_contacts, "AT_ONCE", 2)
    office.zoho.fault(match, "status", status=503)

    assert {BEGUN: 1, LOOKED: 1, FETCHED: 1} == {name: many for name, many in visit(office).items() if name != LISTED}
    assert ("upstream.busy", taken) == (office.chore("read.crm").reason, len(known(office)))
    assert {FETCHED: 1, LISTED: 1, DELETED: 1} == visit(office)
    assert (EVERYBODY, 6) == (known(office), office.services.hub.count(office.tenant))


def test_without_the_permission_pages_are_listed(
    services: Services, stages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody even counts; and a module of a few is listed with it, too."""
    monkeypatch.setattr(first_load, "LARGE", 3)
    with moved_in(services, *stages) as office:
        office.seed(*({"Last_Name": f"P{n}", "Phone": f"+3460011122{n}"} for n in range(5)))

        assert {LISTED: 1} == visit(office)
        assert "GET /crm/v8/Contacts/actions/count" not in office.zoho.counts()
        assert 5 == len(known(office))
        (feature,) = (
            one for one in connect.features(services, office.tenant, office.crm) if one.feature.slug == "export"
        )
        assert (False, True) == (feature.on, feature.feature.optional)


def test_a_small_organisation_is_listed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_load, "LARGE", 5)

    assert {LISTED: 1} == visit(office)
    assert EVERYBODY == known(office)


def test_a_pause_stops_it_and_other_modules_begin_it_anew(office: Office) -> None:
    office.zoho.post("knobs", bulk_looks=2)
    visit(office)
    sharing.pause(office.services, office.crm, True, actor="user:alice")
    assert {} == visit(office)
    sharing.pause(office.services, office.crm, False, actor="user:alice")
    sharing.choose(office.services, office.crm, Sharing(only=("Contacts",)), actor="user:alice")

    assert {BEGUN: 1, LOOKED: 1} == visit(office)
    visit(office)

    assert EVERYBODY - {"Lead"} == known(office)


def test_what_is_remembered_of_it_is_no_customer_s(office: Office) -> None:
    """Job ids and counts, sealed like every cursor; gone with the other cursors when the connection ends."""
    office.zoho.post("knobs", bulk_looks=3)
    visit(office)
    kept = office.services.connections.cursor(office.tenant, office.crm.id, first_load.CURSOR)
    began, reading, records, files = json.loads(kept)
    assert (6, ["Contacts"], [None]) == (records, [*files], [rows for _, rows in files["Contacts"]])
    assert reading.startswith("Contacts Leads Accounts ES")
    assert datetime.fromisoformat(began).tzinfo is not None

    connect.disconnect(office.services, user=office.alice, tie=office.crm.id)

    assert "" == office.services.connections.cursor(office.tenant, office.crm.id, first_load.CURSOR)
