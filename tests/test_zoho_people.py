"""People are read to the last one, then only what changed; who left is named, and users and organisation are known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from domain.contact import Gone, Record
from domain.errors import NotAllowed, TryLater
from integrations.zoho.crm import open_crm
from integrations.zoho.notifications import read_notification
from tests.zoho_double import ORIGIN, Line, Purse, answer, error
from tests.zoho_stage import ALICE, BOB, CHARLIE, EVERYTHING, Stage, door, running

ANN = {
    "First_Name": "Ann",
    "Last_Name": "Lee",
    "Title": "Buyer",
    "Email": "ann@lee.example",
    "Secondary_Email": "lee@home.example",
    "Phone": "600 111 222",
    "Mobile": "+34 911 22 23 33",
    "Home_Phone": "0034600333444",
    "Other_Phone": "201",
    "Asst_Phone": "(+34) 600-555-666",
    "Fax": "911 222 555",
}
TOKEN = "t" * 40


@pytest.fixture(scope="module")
def servers() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(servers: Stage) -> Stage:
    servers.fresh()
    return servers


def seed(stage: Stage, module: str, *records: dict) -> list[str]:
    return stage.post("seed", org="alice", module=module, records=list(records))["ids"]


def ids(found) -> list[str]:
    return [one.remote_id for one in found]


def test_a_contact_keeps_every_number_and_address(stage):
    (account,) = seed(stage, "Accounts", {"Account_Name": "Lee & Co"})
    (ann,) = seed(stage, "Contacts", ANN | {"Account_Name": {"id": account}})
    crm, _ = stage.crm()

    (record,) = crm.people("Contacts")

    person = record.person
    assert (record.module, record.remote_id) == ("Contacts", ann)
    assert (person.given, person.family, person.company, person.title) == ("Ann", "Lee", "Lee & Co", "Buyer")
    assert person.emails == ("ann@lee.example", "lee@home.example")
    assert [(line.label, line.e164, line.extension) for line in person.lines] == [
        ("work", "+34600111222", ""),
        ("mobile", "+34911222333", ""),
        ("home", "+34600333444", ""),
        ("other", "", "201"),
        ("assistant", "+34600555666", ""),
        ("fax", "+34911222555", ""),
    ]
    assert record.account == account
    assert person.lines[0].raw == "600 111 222"
    assert record.owner in {user.remote_id for user in crm.users()}
    assert record.etag


def test_a_column_the_organisation_added_counts_too(stage):
    """Under the label people there know; it is asked for once, and without its scope the standard columns are left."""
    seed(stage, "Contacts", ANN | {"Phone": None, "Direct_Line": "600 444 555"})
    crm, _ = stage.crm()
    stage.delete("requests")

    for _ in range(2):
        (record,) = crm.people("Contacts")
        assert ("Direct line", "+34600444555") in [(line.label, line.e164) for line in record.person.lines]
    assert stage.counts() == {"GET /crm/v8/settings/fields": 1, "GET /crm/v8/Contacts": 2}
    assert crm.reading() == "ES Contacts.Direct_Line"

    less, _ = stage.crm(scopes=tuple(scope for scope in EVERYTHING if "settings.fields" not in scope))
    (record,) = less.people("Contacts")
    assert "mobile" in [line.label for line in record.person.lines]  # presence before absence
    assert "Direct line" not in [line.label for line in record.person.lines]
    assert less.reading() == "ES"


def test_a_lead_is_a_person_too(stage):
    seed(stage, "Leads", {"Last_Name": "Lee", "Company": "Lee & Co", "Designation": "Buyer", "Mobile": "600111222"})
    crm, _ = stage.crm()

    (record,) = crm.people("Leads")

    assert (record.person.name, record.person.company, record.person.title) == ("Lee", "Lee & Co", "Buyer")
    assert [line.e164 for line in record.person.lines] == ["+34600111222"]


def test_a_company_is_known_by_its_number_where_the_consent_says_so(stage):
    """Without its scope the module is refused, and said to be one that a consent may leave out."""
    company = {"Account_Name": "Lee & Co", "Phone": "911 222 333"}
    account, _without_a_number = seed(stage, "Accounts", company, {"Account_Name": "Moss & Co"})
    crm, _ = stage.crm()

    (record,) = crm.people("Accounts")

    assert (record.remote_id, record.person.name, record.person.company) == (account, "Lee & Co", "Lee & Co")
    assert ([line.e164 for line in record.person.lines], record.account) == (["+34911222333"], "")
    assert crm.spare == {"Accounts"}
    less, _ = stage.crm(scopes=tuple(scope for scope in EVERYTHING if "accounts" not in scope))
    with pytest.raises(NotAllowed):
        list(less.people("Accounts"))


def test_everybody_is_read_once_beyond_the_wall_of_two_thousand(stage):
    """Page numbers end at 2,000 rows; page tokens do not."""
    known = seed(stage, "Contacts", *({"Last_Name": f"Lee {number}"} for number in range(2_301)))
    crm, _ = stage.crm()
    stage.delete("requests")

    found = ids(crm.people("Contacts"))

    assert sorted(found) == sorted(known)
    assert stage.counts() == {"GET /crm/v8/Contacts": 12, "GET /crm/v8/settings/fields": 1}


def test_only_what_changed_is_read_again(stage):
    known = seed(stage, "Contacts", ANN, {"Last_Name": "Moss"}, {"Last_Name": "Nash"})
    crm, _ = stage.crm()
    assert len(list(crm.people("Contacts"))) == 3
    stage.post("clock", advance=3600)
    last_read = datetime.now(UTC) + timedelta(seconds=3600)
    stage.post("clock", advance=600)

    assert list(crm.people("Contacts", last_read)) == []
    assert list(crm.people_gone("Contacts", last_read)) == []
    stage.post("edit", org="alice", module="Contacts", id=known[1], values={"Phone": "600999888"})
    stage.post("delete", org="alice", module="Contacts", id=known[2])
    (moss,) = crm.people("Contacts", last_read)

    assert (moss.remote_id, moss.person.lines[0].e164) == (known[1], "+34600999888")
    assert list(crm.people_gone("Contacts", last_read)) == [Gone(module="Contacts", remote_id=known[2])]
    assert ids(crm.people("Contacts")) != known  # presence before absence: the full list no longer has Nash
    assert known[2] not in ids(crm.people("Contacts"))


def test_a_change_just_before_the_last_reading_is_not_lost(stage):
    """Zoho shows some changes a little late, so every reading starts two minutes early."""
    (ann,) = seed(stage, "Contacts", ANN)
    crm, _ = stage.crm()
    assert ids(crm.people("Contacts", datetime.now(UTC) + timedelta(seconds=60))) == [ann]
    assert ids(crm.people("Contacts", datetime.now(UTC) + timedelta(seconds=300))) == []


def test_everybody_who_left_is_named_page_after_page(stage):
    known = seed(stage, "Leads", *({"Last_Name": "Lee", "Company": f"{number}"} for number in range(203)))
    for remote_id in known:
        stage.post("delete", org="alice", module="Leads", id=remote_id)
    crm, _ = stage.crm()
    assert sorted(ids(crm.people_gone("Leads"))) == sorted(known)


def test_records_a_notification_named_are_read_again(stage):
    known = seed(stage, "Contacts", ANN, {"Last_Name": "Moss"}, {"Last_Name": "Nash"})
    stage.post("delete", org="alice", module="Contacts", id=known[1])
    crm, _ = stage.crm()

    found = list(crm.some_people("Contacts", [known[0], known[1], known[1], "../org", ""]))

    assert [type(one) for one in found] == [Record, Gone]
    assert ids(found) == known[:2]
    assert list(crm.some_people("Contacts", [])) == []


def test_many_named_records_are_read_by_the_hundred(stage):
    known = seed(stage, "Contacts", *({"Last_Name": f"Lee {number}"} for number in range(250)))
    crm, _ = stage.crm()
    stage.delete("requests")
    assert ids(crm.some_people("Contacts", known)) == known
    assert stage.counts() == {"GET /crm/v8/Contacts": 3, "GET /crm/v8/settings/fields": 1}


def test_a_reading_that_breaks_says_so_before_anybody_believes_it_complete(stage):
    seed(stage, "Contacts", *({"Last_Name": f"Lee {number}"} for number in range(201)))
    crm, _ = stage.crm()
    stage.fault("GET /crm/v8/Contacts", "html", every=2)
    with pytest.raises(TryLater):
        list(crm.people("Contacts"))


def test_leads_without_the_permission_are_off_and_contacts_are_not(stage):
    seed(stage, "Contacts", ANN)
    crm, _ = stage.crm(scopes=tuple(scope for scope in EVERYTHING if "leads" not in scope))
    assert len(list(crm.people("Contacts"))) == 1
    with pytest.raises(NotAllowed):
        list(crm.people("Leads"))


def test_the_organisation_and_its_users_are_known(stage):
    crm, _ = stage.crm()

    organisation, users = crm.organisation(), crm.users()

    assert (organisation.name, organisation.time_zone) == ("Alice Ltd", "Europe/Madrid")
    assert organisation.remote_id.isdigit()
    assert organisation.web == f"{stage.eu}/crm/org{organisation.remote_id}"
    assert {user.email: user.admin for user in users} == {ALICE: True, BOB: False}
    assert all(user.remote_id and user.login_id and user.active for user in users)
    assert crm.me() == next(user for user in users if user.email == ALICE)


def test_charlie_sees_his_own_organisation_only(stage):
    seed(stage, "Contacts", ANN)
    crm, _ = stage.crm(CHARLIE)
    assert crm.organisation().name == "Next Door"
    assert list(crm.people("Contacts")) == []


def test_two_hundred_users_are_two_pages(stage):
    people = [{"email": f"agent{number}@big.example", "full_name": f"Agent {number}"} for number in range(201)]
    people[0]["admin"] = True
    stage.post("orgs", name="big", dc="eu", company_name="Big Ltd", time_zone="UTC", users=people)
    crm, _ = stage.crm("agent0@big.example")
    assert len(crm.users()) == 201


# ---- notifications ------------------------------------------------------------------------------------------------


def test_a_channel_is_opened_renewed_and_closed(stage):
    crm, _ = stage.crm()
    url = f"{stage.us}/nowhere"
    soon = datetime.now(UTC) + timedelta(hours=5)

    ends = crm.watch(url=url, token=TOKEN, channel="1000000068001", until=soon)
    again = crm.watch(url=url, token=TOKEN, channel="1000000068001", until=soon + timedelta(hours=1))

    assert ends == soon.replace(microsecond=0)
    assert again - ends == timedelta(hours=1)
    crm.unwatch("1000000068001")
    crm.unwatch("1000000068001")  # closed already


def test_a_change_in_zoho_knocks_at_our_door(stage):
    known = seed(stage, "Contacts", ANN)
    crm, _ = stage.crm()
    with door() as ours:
        crm.watch(url=ours.url, token=TOKEN, channel="7", until=datetime.now(UTC) + timedelta(days=1))
        stage.post("edit", org="alice", module="Contacts", id=known[0], values={"Phone": "600999888"})
        ours.wait()

    told = read_notification(ours.seen[0][1])
    assert told.believed(TOKEN)
    assert (told.channel, told.module, list(told.ids), told.operation) == ("7", "Contacts", known, "update")
    (ann,) = crm.some_people(told.module, told.ids)
    assert ann.person.lines[0].e164 == "+34600999888"


def test_a_channel_never_asks_for_more_than_a_week(stage):
    """Asked for more, Zoho falls back to one hour without a word."""
    crm, _ = stage.crm()
    before = datetime.now(UTC)
    ends = crm.watch(url=f"{stage.us}/x", token=TOKEN, channel="7", until=before + timedelta(days=30))
    assert timedelta(days=6, hours=23) < ends - before < timedelta(days=7)


def test_notifications_without_the_permission_are_off(stage):
    crm, _ = stage.crm(scopes=tuple(scope for scope in EVERYTHING if "notifications" not in scope))
    with pytest.raises(NotAllowed):
        crm.watch(url=f"{stage.us}/x", token=TOKEN, channel="7", until=datetime.now(UTC) + timedelta(days=1))


@pytest.mark.parametrize(("channel", "token"), [("abc", TOKEN), ("7", ""), ("7", "t" * 51), ("", TOKEN)])
def test_a_channel_zoho_would_refuse_is_our_mistake(channel, token):
    crm = open_crm(http=Line([]), api_domain=ORIGIN, tokens=Purse())
    with pytest.raises(ValueError, match="channel"):
        crm.watch(url="https://us.example/x", token=token, channel=channel, until=datetime.now(UTC))


# ---- pages an understudy would need 100,000 rows for --------------------------------------------------------------


def row(number: int, **rest) -> dict:
    minute = f"{number // 60:02d}:{number % 60:02d}"
    return {"id": str(number), "Last_Name": f"Lee {number}", "Modified_Time": f"2026-03-29T09:{minute}+02:00", **rest}


def page(*rows: dict, more: bool = False) -> dict:
    return {"data": list(rows), "info": {"more_records": more, "next_page_token": "p" if more else None}}


@pytest.mark.parametrize("code", ["PAGINATION_LIMIT_EXCEEDED", "DISCRETE_PAGINATION_LIMIT_EXCEEDED", "EXPIRED_VALUE"])
def test_a_listing_too_long_for_zoho_goes_on_where_it_ended(code):
    line = Line(
        [
            answer(204),  # no columns of its own
            answer(200, page(row(1), row(2), more=True)),
            error(code),
            answer(200, page(row(2), row(3))),
        ]
    )
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=Purse())

    assert ids(crm.people("Contacts")) == ["1", "2", "3"]

    assert [sent[2]["headers"].get("If-Modified-Since") for sent in line.asked[1:]] == [
        None,
        None,
        "2026-03-29T07:00:01+00:00",
    ]
    assert [sent[2]["params"].get("page_token") for sent in line.asked[1:]] == [None, "p", None]


def test_a_row_that_comes_twice_is_told_once_and_a_newer_version_again():
    line = Line(
        [
            answer(204),  # no columns of its own
            answer(200, page(row(1), row(2), more=True)),
            answer(200, page(row(2), row(1, Modified_Time="2026-03-29T10:00:00+02:00"))),
        ]
    )
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=Purse())
    assert ids(crm.people("Contacts")) == ["1", "2", "1"]


def test_a_lead_that_became_a_contact_is_gone_as_a_lead():
    converted = row(2, Converted__s=True)
    line = Line([answer(204), answer(200, page(row(1), converted)), answer(304), answer(200, page(converted))])
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=Purse())
    since = datetime(2026, 3, 29, tzinfo=UTC)

    assert ids(crm.people("Leads", since)) == ["1"]
    assert list(crm.people_gone("Leads", since)) == [Gone(module="Leads", remote_id="2", converted=True)]
    assert list(crm.some_people("Leads", ["2"])) == [Gone(module="Leads", remote_id="2", converted=True)]
    assert [sent[2]["params"].get("converted") for sent in line.asked[1:]] == ["both", None, "both"]


def test_nothing_of_a_person_is_in_an_error():
    line = Line(
        [
            answer(204),
            answer(400, {"code": "INVALID_DATA", "details": ANN, "message": json.dumps(ANN), "status": "error"}),
        ]
    )
    crm = open_crm(http=line, api_domain=ORIGIN, tokens=Purse())
    with pytest.raises(Exception, match="INVALID_DATA") as raised:
        list(crm.people("Contacts"))
    assert not any(str(value) in repr(raised.value) for value in ANN.values() if value != "201")
