"""A contact edited on a device while it was out of reach: it merges like every other change, and never overwrites."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from domain.api_key import SCOPES
from jobs import sharing
from store.embedded import Postgres
from tests import house
from tests.contacts_office import Office, Row, moved_in, outside, tools

ERIN: Row = {"First_Name": "Erin", "Last_Name": "Roe", "Phone": "+34 911 000 111", "Title": "Buyer"}
MOBILE = {"number": "+34600111222", "extension": "", "label": "mobile"}


@pytest.fixture(scope="module")
def stages() -> Iterator[Any]:
    with outside() as both:
        yield both


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, stages: Any) -> Iterator[Any]:
    with tools(db_urls, work_url, mail_url, *stages) as opened:
        yield opened


@pytest.fixture
def office(services: Any, stages: Any) -> Iterator[Office]:
    """Erin stands in Zoho and in Google, and both may be written."""
    with moved_in(services, *stages) as opened:
        opened.both_ways()
        opened.seed(ERIN)
        opened.work()
        opened.written()
        yield opened


@pytest.fixture
def device(office: Office) -> Iterator[FlaskClient]:
    made = house.front(office.services)
    _, key = office.services.api_keys.create(office.tenant, label="Telephone", scopes=SCOPES)
    made.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    yield made
    house.settled(made)


def seen(device: FlaskClient) -> Row:
    """Erin, as the device keeps her."""
    (erin,) = (device.get("/api/v1/contacts").json or {})["changed"]
    return dict(erin)


def tell(device: FlaskClient, was: Row, **now: Any) -> Row:
    answer = device.patch(f"/api/v1/contacts/{was['id']}", json={"was": was, "now": was | now})
    assert 202 == answer.status_code, answer.text
    return dict(answer.json or {})


def work(office: Office) -> None:
    """Let what was decided arrive everywhere."""
    office.go_on()
    office.work()


def standing(office: Office) -> tuple[Row, Row]:
    """Erin at Zoho and at Google: title and numbers."""
    (row,) = office.rows()
    (entry,) = office.people().values()
    google = {
        "title": (entry.get("organizations") or [{}])[0].get("title", ""),
        "numbers": sorted(one["value"] for one in entry.get("phoneNumbers", ())),
    }
    return {
        "title": row["Title"] or "",
        "numbers": sorted(row[name] for name in ("Phone", "Mobile", "Home_Phone", "Other_Phone") if row.get(name)),
    }, google


def test_an_edit_arrives_on_every_side_and_can_be_put_back(office: Office, device: FlaskClient) -> None:
    was = seen(device)

    assert {"taken": ["numbers", "title"], "kept": {}} == tell(
        device, was, title="Owner", numbers=[*was["numbers"], MOBILE]
    )
    work(office)

    both = {"title": "Owner", "numbers": ["+34 911 000 111", "+34600111222"]}
    assert (both, both) == standing(office)
    assert "Owner" == seen(device)["title"]
    office.written()
    assert ["numbers", "title"] == tell(device, was, title="Owner", numbers=[*was["numbers"], MOBILE])["taken"]
    work(office)
    assert {} == office.written(), "told twice it is written once"

    kept = next(one for one in office.services.journal.lines(office.tenant) if one.undoable and one.line.side == "left")
    assert ("title", ("Buyer",), ("Owner",)) == (kept.line.about, kept.line.before, kept.line.after)
    sharing.undo(office.services, office.alice, kept.id)
    work(office)
    assert ["Buyer", "Buyer"] == [side["title"] for side in standing(office)]


def test_a_number_taken_away_on_a_device_goes_everywhere(office: Office, device: FlaskClient) -> None:
    office.edit(office.rows()[0]["id"], Mobile="+34 600 111 222")
    office.work()
    was = seen(device)

    tell(device, was, numbers=[one for one in was["numbers"] if one["number"] != "+34600111222"])
    work(office)

    assert [["+34 911 000 111"], ["+34 911 000 111"]] == [side["numbers"] for side in standing(office)]


def test_who_changed_it_meanwhile_keeps_their_word(office: Office, device: FlaskClient) -> None:
    """In the field both changed; what else was edited is taken."""
    was = seen(device)
    office.edit(office.rows()[0]["id"], Title="Director")
    office.work()

    assert {"taken": ["numbers"], "kept": {"title": "both changed"}} == tell(
        device, was, title="Owner", numbers=[*was["numbers"], MOBILE]
    )
    work(office)

    both = {"title": "Director", "numbers": ["+34 911 000 111", "+34600111222"]}
    assert (both, both) == standing(office)


def test_whoever_is_faster_than_we_know_is_not_overwritten(office: Office, device: FlaskClient) -> None:
    """Zoho's title changed after we read it: found when it is to be written, and compared anew."""
    was = seen(device)
    office.edit(office.rows()[0]["id"], Title="Director")

    tell(device, was, title="Owner", numbers=[*was["numbers"], MOBILE])
    work(office)
    work(office)

    kept = office.services.ledger.rows(office.tenant, action="contacts.edit_kept")
    assert [{"fields": {"title": "both changed"}}] == [row.facts for row in kept], "what is lost is not lost unsaid"
    zoho, _ = standing(office)
    assert {"title": "Director", "numbers": ["+34 911 000 111", "+34600111222"]} == zoho


def test_what_may_not_be_written_is_kept_and_said(office: Office, device: FlaskClient) -> None:
    was = seen(device)
    for tie in (office.crm, office.book):
        office.choose(tie, direction="read")

    assert {"taken": [], "kept": {"title": "read only"}} == tell(device, was, title="Owner")
    assert {"taken": [], "kept": {}} == tell(device, was)
    work(office)
    assert {} == office.written()


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"[]",
        b'{"was": {}}',
        b'{"was": {}, "now": {}, "more": 1}',
        b'{"was": {}, "now": {"title": "a\\u0000b"}}',
        b'{"was": {}, "now": {"given": "\\ud83d"}}',
        b'{"was": {}, "now": {"numbers": "+34"}}',
        b'{"was": {}, "now": {"numbers": [{"number": ""}]}}',
        b'{"was": {}, "now": {"emails": [["a@b.example"]]}}',
        json.dumps({"was": {}, "now": {"emails": ["a@b.example"] * 51}}).encode(),
        json.dumps({"was": {}, "now": {"company": "x" * 256}}).encode(),
        b'{"was": ' * 5_000,
    ],
)
def test_what_is_no_edit_is_refused(told: bytes, office: Office, device: FlaskClient) -> None:
    """With a clear word, and nothing is owed."""
    address = f"/api/v1/contacts/{seen(device)['id']}"

    answer = device.patch(address, data=told, content_type="application/json")

    assert (400, True) == (answer.status_code, bool((answer.json or {})["title"]))
    assert 415 == device.patch(address, data=told, content_type="text/plain").status_code
    assert [] == office.services.effects.waiting(office.tenant, "contacts")


def test_whose_contact_it_is_and_what_the_key_is_for(office: Office, device: FlaskClient, neighbour: UUID) -> None:
    """Another tenant's key, a key for reading, a contact nobody has: nothing happens."""
    was = seen(device)
    told = {"was": was, "now": was | {"title": "Owner"}}
    _, theirs = office.services.api_keys.create(neighbour, label="Theirs", scopes=SCOPES)
    _, reads = office.services.api_keys.create(office.tenant, label="Reads", scopes=["contacts.read"])
    address = f"/api/v1/contacts/{was['id']}"

    def status(path: str, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return device.patch(path, json=told, headers=headers).status_code

    assert (404, 403) == (status(address, theirs), status(address, reads))
    assert 404 == device.patch(f"/api/v1/contacts/{uuid4()}", json=told).status_code
    assert [] == office.services.effects.waiting(office.tenant, "contacts")
