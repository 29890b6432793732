"""Changes travel between Zoho and Google, each once, and only where the tenant said so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select

from domain.errors import Missing
from domain.sharing import Sharing
from jobs import connect, holding, sharing
from jobs.erase import erase
from jobs.services import Services
from store.embedded import Postgres
from store.tables import pairs
from tests import google_stage, zoho_stage
from tests.contacts_office import CREATES, Office, moved_in, outside, tools

Stages = tuple[zoho_stage.Stage, google_stage.Stage]
CAROL: dict[str, Any] = {
    "names": [{"givenName": "Carol", "familyName": "Diaz"}],
    "phoneNumbers": [{"value": "+34 600 111 222", "type": "mobile"}],
    "emailAddresses": [{"value": "carol@shop.example"}],
}
ERIN = {"First_Name": "Erin", "Last_Name": "Roe", "Phone": "+34 911 000 111", "Title": "Buyer"}


@pytest.fixture(scope="module")
def stages() -> Iterator[Stages]:
    with outside() as both:
        yield both


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, stages: Stages) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, *stages) as opened:
        yield opened


@pytest.fixture
def office(services: Services, stages: Stages) -> Iterator[Office]:
    with moved_in(services, *stages) as opened:
        yield opened


def titles(office: Office) -> dict[str, str]:
    """What people are called by each side: their names and titles."""
    zoho = {str(row["Last_Name"]): str(row["Title"] or "") for row in office.rows()}
    google = {
        one["names"][0]["familyName"]: (one.get("organizations") or [{}])[0].get("title", "")
        for one in office.people().values()
    }
    assert zoho == google
    return zoho


def test_nothing_is_written_until_somebody_says_so(office: Office) -> None:
    """Both sides are read; neither hears of the other."""
    office.add(CAROL)
    office.seed(ERIN)
    office.written()

    office.work()

    assert 2 == office.services.hub.count(office.tenant)
    assert {} == office.written()


def test_everybody_stands_on_both_sides_and_a_second_run_writes_nothing(office: Office) -> None:
    """Once each, in one request a side; our own writes coming back are no news."""
    office.both_ways()
    office.add(CAROL)
    office.seed(ERIN)
    office.written()

    office.work()

    assert {"Diaz": "", "Roe": "Buyer"} == titles(office)
    assert {CREATES["zoho"]: 1, CREATES["google"]: 1} == office.written()
    office.work()
    office.work()
    assert {} == office.written()
    assert 2 == office.services.hub.count(office.tenant)


def test_changes_and_deletions_travel(office: Office) -> None:
    """A title changed in Google stands in Zoho, a number changed in Zoho in Google, and who is deleted is gone."""
    office.both_ways()
    (carol,) = office.add(CAROL)
    (erin,) = office.seed(ERIN)
    office.work()
    office.written()

    office.change(carol, organizations=[{"title": "Owner"}])
    office.edit(erin, Mobile="+34 600 999 888")
    office.work()

    assert {"Diaz": "Owner", "Roe": "Buyer"} == titles(office)
    there = next(one for one in office.people().values() if one["names"][0]["familyName"] == "Roe")
    assert ["+34 911 000 111", "+34 600 999 888"] == [number["value"] for number in there["phoneNumbers"]]
    assert {"PUT /crm/v8/Contacts": 1, "POST /v1/people:batchUpdateContacts": 1} == office.written()

    office.drop(carol)
    office.work()
    assert {"Roe": "Buyer"} == titles(office)
    office.bin(erin)
    office.work()
    assert {} == titles(office)
    assert 0 == office.services.hub.count(office.tenant)


def test_half_a_character_stops_nobody(office: Office) -> None:
    """Somebody's name was cut off in Zoho where the field was full, in the middle of a picture."""
    office.both_ways()
    office.seed(ERIN, {"First_Name": "Carol \ud83d", "Last_Name": "Diaz", "Mobile": "+34 600 111 222"})

    office.work()

    assert {"Diaz", "Roe"} == {one["names"][0]["familyName"] for one in office.people().values()}
    assert ["Carol ? Diaz"] == [one.person.name for one in office.services.hub.search(office.tenant, "diaz")]
    office.written()
    office.work()
    assert {} == office.written()


def test_one_way_is_one_way(office: Office) -> None:
    """Google only receives: what is new or changed there stays there, and nobody in Zoho is touched."""
    office.choose(office.book, direction="write")
    office.add(CAROL)
    office.seed(ERIN)
    office.work()

    assert ["Roe"] == [row["Last_Name"] for row in office.rows()]
    assert {"Diaz", "Roe"} == {one["names"][0]["familyName"] for one in office.people().values()}
    office.written()
    office.work()
    assert {} == office.written()


@pytest.mark.parametrize("side", ["zoho", "google"])
def test_a_creation_nobody_answered_is_looked_for(office: Office, side: str) -> None:
    """The other side did it and the answer was lost: it stands there once."""
    office.both_ways()
    office.add(CAROL)
    office.seed(ERIN)
    stage: Any = office.zoho if side == "zoho" else office.google
    path = "POST /crm/v8/Contacts" if side == "zoho" else "POST /v1/people:batchCreateContacts"
    stage.fault(path, "drop_after", times=1)

    office.work()

    assert {"Diaz": "", "Roe": "Buyer"} == titles(office)
    assert 1 == office.written().get(CREATES[side])
    office.work()
    assert {} == office.written()


def test_without_the_consent_the_feature_is_off_by_name(services: Services, stages: Stages) -> None:
    """Zoho may not be written: Google still hears of Zoho, and the page can say what is missing."""
    with moved_in(services, *stages, features=("calls", "contacts")) as office:
        office.both_ways()
        office.add(CAROL)
        office.seed(ERIN)
        office.work()

        assert ["Roe"] == [row["Last_Name"] for row in office.rows()]
        assert 2 == len(office.people())
        missing = [item.feature.slug for item in _features(office) if not item.on]
        assert "contacts-write" in missing


def _features(office: Office) -> list[Any]:
    crm = office.services.connections.get(office.tenant, office.crm.id)
    return connect.features(office.services, office.tenant, crm)


# ---- what was lost ------------------------------------------------------------------------------------------------


def lines(office: Office) -> list[tuple[str, str, str | None, tuple[str, ...], tuple[str, ...]]]:
    found = office.services.journal.lines(office.tenant)
    return [(one.line.why, one.line.about, one.line.side, one.line.before, one.line.after) for one in found]


def take_back(office: Office) -> None:
    """Undo the latest line that can be undone."""
    kept = next(one for one in office.services.journal.lines(office.tenant) if one.undoable)
    sharing.undo(office.services, office.alice, kept.id)
    office.go_on()
    assert "undone" == next(one.state for one in office.services.journal.lines(office.tenant) if one.id == kept.id)


def test_what_is_overwritten_or_deleted_can_be_put_back(office: Office) -> None:
    """A title that Google changed stands in the journal, and undone it stands on both sides again; so does a person."""
    office.both_ways()
    office.seed(ERIN)
    office.work()
    (there,) = office.people()
    office.change(there, organizations=[{"title": "Boss"}])
    office.work()
    assert {"Roe": "Boss"} == titles(office)
    assert [("overwritten", "title", "left", ("Buyer",), ("Boss",))] == lines(office)

    take_back(office)
    assert {"Roe": "Buyer"} == titles(office)

    office.drop(there)
    office.work()
    assert {} == titles(office)
    assert ("deleted", "record", "left") == lines(office)[0][:3]
    take_back(office)
    assert {"Roe": "Buyer"} == titles(office)
    office.written()
    office.work()
    assert {} == office.written()
    with pytest.raises(Missing):
        sharing.undo(office.services, office.alice, office.services.journal.lines(office.tenant)[0].id)


@pytest.mark.parametrize(("owner", "stands"), [("left", "Chief"), ("right", "Boss"), ("newest", "Boss")])
def test_the_field_s_owner_wins_a_tie(office: Office, owner: str, stands: str) -> None:
    """Both sides changed the title, Google last."""
    office.both_ways(owner={"title": owner})
    (erin,) = office.seed(ERIN)
    office.work()
    (there,) = office.people()
    office.edit(erin, Title="Chief")
    office.google.post("clock", advance=60)
    office.change(there, organizations=[{"title": "Boss"}])

    office.work()

    assert {"Roe": stands} == titles(office)
    loser = "Chief" if stands == "Boss" else "Boss"
    assert [("both changed", (loser,), (stands,))] == [(why, was, now) for why, _, _, was, now in lines(office)]


# ---- what is held, paused and forgotten ---------------------------------------------------------------------------


def many(count: int) -> list[dict[str, Any]]:
    return [
        {"names": [{"givenName": "P", "familyName": f"N{at}"}], "phoneNumbers": [{"value": f"+34 600 222 {at:03}"}]}
        for at in range(count)
    ]


def test_a_large_disappearance_waits_for_a_word(office: Office) -> None:
    """Twenty of thirty are gone at Google: nothing is removed, here or in Zoho, until somebody says so."""
    office.both_ways()
    names = office.add(*many(30))
    office.work()
    assert 30 == len(office.rows())

    office.drop(*names[:20])
    office.work()
    held = office.chore("read.book").held
    assert (20, 30, 5) == (held["removing"], held["known"], len(held["some"]))
    assert (30, 30) == (len(office.rows()), office.services.hub.count(office.tenant))
    holding.decide(office.services, office.book, "read.book", go_on=False, actor="user:alice")
    office.work()
    assert 30 == len(office.rows())

    holding.decide(office.services, office.book, "read.book", go_on=True, actor="user:alice")
    office.go_on()
    assert (10, 10) == (len(office.rows()), office.services.hub.count(office.tenant))
    assert {} == office.chore("read.book").held == office.chore("exchange").held
    actions = [row.action for row in office.services.ledger.rows(office.tenant, limit=50)]
    assert {"sync.held", "sync.left", "sync.continued"} <= set(actions)


def test_a_pause_stops_both_ways(office: Office) -> None:
    """What happens meanwhile travels afterwards."""
    office.both_ways()
    office.work()
    office.written()
    sharing.pause(office.services, office.book, True, actor="user:a")
    office.seed(ERIN)
    office.add(CAROL)
    office.work()
    assert {} == office.written()

    sharing.pause(
        office.services, office.services.connections.get(office.tenant, office.book.id), False, actor="user:a"
    )
    office.work()
    assert {"Diaz": "", "Roe": "Buyer"} == titles(office)


def test_who_is_erased_is_in_no_pair_and_no_journal(office: Office) -> None:
    """And does not come back, though both sides have them still."""
    office.both_ways()
    office.seed(ERIN)
    office.work()
    (there,) = office.people()
    office.change(there, organizations=[{"title": "Boss"}])
    office.work()
    assert 1 == len(lines(office))

    erase(office.services, office.tenant, numbers=["+34911000111"])

    with office.services.db.tenant(office.tenant) as database:
        assert 0 == database.execute(select(func.count()).select_from(pairs)).scalar_one()
    assert [] == lines(office)
    office.written()
    office.work()
    assert {} == office.written()
    assert 0 == office.services.hub.count(office.tenant)


# ---- who takes part -----------------------------------------------------------------------------------------------


def test_who_is_left_out_stays_out_and_nobody_is_deleted_for_it(office: Office) -> None:
    """Only a label takes part: the others leave the hub, stand where they stood, and are not made a second time; who is
    new from Zoho gets the label; and who gets it again is the same person as before."""
    office.both_ways()
    group = office.label("Customers")
    labelled = {"memberships": [{"contactGroupMembership": {"contactGroupResourceName": group}}]}
    (carol,) = office.add(CAROL)
    office.work()
    sharing.choose(
        office.services,
        office.services.connections.get(office.tenant, office.book.id),
        Sharing(direction="both", only=(group,)),
        actor="user:alice",
    )
    office.seed(ERIN)
    office.written()
    office.work()

    assert {CREATES["google"]: 1} == office.written()
    assert (2, 2) == (len(office.rows()), len(office.people()))
    known = office.services.hub.links(office.tenant, office.book.id)
    (new,) = (key[1] for key in known)
    assert group in {
        one["contactGroupMembership"]["contactGroupResourceName"] for one in office.people()[new]["memberships"]
    }

    office.change(carol, **labelled)
    office.work()
    assert {} == office.written()
    assert {carol, new} == {key[1] for key in office.services.hub.links(office.tenant, office.book.id)}
    assert {"Diaz": "", "Roe": "Buyer"} == titles(office)


def test_a_lead_that_became_a_customer_is_deleted_nowhere(office: Office) -> None:
    """Also where contacts take no part: nobody deleted anybody."""
    office.both_ways(only=())
    office.choose(office.crm, only=("Leads",))
    lead = {"Last_Name": "Lead", "Phone": "+34600777888", "Company": "L"}
    (id,) = office.seed(lead, module="Leads")
    office.work()
    assert ["Lead"] == [one["names"][0]["familyName"] for one in office.people().values()]

    office.zoho.post("convert", org="alice", id=id)
    office.work()
    office.work()

    assert ["Lead"] == [one["names"][0]["familyName"] for one in office.people().values()]
    assert 1 == office.services.hub.count(office.tenant)


def test_a_lead_that_became_a_contact_keeps_its_partner(office: Office) -> None:
    """Where contacts take part: one person on each side, before and after."""
    office.both_ways()
    (id,) = office.seed({"Last_Name": "Lead", "Phone": "+34600777888", "Company": "L"}, module="Leads")
    office.work()
    (there,) = office.people()

    office.zoho.post("convert", org="alice", id=id)
    office.work()
    office.written()
    office.work()

    assert [there] == list(office.people())
    assert ["Lead"] == [row["Last_Name"] for row in office.rows()]
    assert {} == office.written()


def test_a_module_that_is_left_out_is_not_read(office: Office) -> None:
    office.seed(ERIN)
    office.seed({"Last_Name": "Lead", "Phone": "+34600777888", "Company": "L"}, module="Leads")
    office.work()
    assert 2 == office.services.hub.count(office.tenant)

    sharing.choose(office.services, office.crm, Sharing(only=("Contacts",)), actor="user:alice")
    office.edit(office.rows("Leads")[0]["id"], module="Leads", Phone="+34600777999")
    office.work()

    assert 1 == office.services.hub.count(office.tenant)
    assert [] == office.services.hub.who(office.tenant, "+34600777999")
