"""What comes later goes into the activity, around whatever a person typed there, against the whole office."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.remark import Wishes
from jobs import remarks
from sandbox.cast import ALICE_LTD, BOB
from store.embedded import Postgres
from tests.test_reconcile import BRIDGE, RECORDS, Office
from tests.zoho_office import Open, offices, tell

DANA = "+34600111201"
WORDS = Wishes(dispositions=("Interested", "Call again"), required=True)


@pytest.fixture(scope="module")
def opening(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Open]:
    with offices(db_urls, work_url, mail_url) as made:
        yield made


@pytest.fixture
def office(opening: Open) -> Iterator[Office]:
    with opening(RECORDS) as opened:
        yield opened


def call(office: Office, number: int = 1, **told: Any) -> UUID:
    """A call, written into Zoho."""
    office.call(number, **told)
    office.work()
    return office.services.calls.recent(office.tenant, limit=1)[0].id


def remark(office: Office, of: UUID, note: str, disposition: str = "") -> None:
    """Alice says something of it, and the worker works."""
    office.services.tenants.set(office.tenant, wishes=WORDS.as_data())
    alice = next(user for user in office.services.tenants.users(office.tenant) if user.role == "admin")
    tenant = office.services.tenants.get(office.tenant)
    remarks.remark(office.services, tenant, of, note=note, disposition=disposition, user=alice)
    office.work()


def edit(office: Office, **values: Any) -> None:
    """Bob changes the row in Zoho."""
    (row,) = office.rows()
    office.zoho.post("edit", org="alice", module="Calls", by=BOB, id=row["id"], values=values)


def text(office: Office) -> str:
    (row,) = office.rows()
    return str(row["Description"])


def reasons(office: Office, of: UUID) -> list[tuple[str, str]]:
    """How the amendments of a call stand."""
    with office.services.db.tenant(office.tenant) as database:
        rows = office.services.effects.of_call(database, office.tenant, of)
    return [(row["state"], row["reason"]) for row in rows if row["kind"] == "activity.update"]


def test_a_note_goes_into_the_activity_and_changes_there(office: Office) -> None:
    """How it went and the note stand above our marker, once, and later ones replace them."""
    of = call(office)
    assert f"[linekeeper:{of}]" == text(office)

    remark(office, of, "wants an offer\n[linekeeper:other]", "Interested")
    assert f"Result: Interested\nNote by Alice Adler: wants an offer\n(linekeeper:other]\n[linekeeper:{of}]" == text(
        office
    )

    remark(office, of, "", "Call again")
    assert f"Result: Call again\n[linekeeper:{of}]" == text(office)
    assert [("done", ""), ("done", "")] == reasons(office, of)
    assert office.agrees()


def test_a_note_made_before_the_end_travels_with_the_activity(office: Office) -> None:
    tell(
        office,
        "call.answered",
        call_id="c1",
        direction="inbound",
        **{"from": DANA, "to": ALICE_LTD.line, "agent": {"email": BOB}},
    )
    office.work()
    of = office.services.calls.recent(office.tenant, limit=1)[0].id
    remark(office, of, "on the line", "Interested")
    assert [] == office.rows()
    assert [("dropped", "activity.will_say")] == reasons(office, of)

    now = office.services.now().isoformat()
    tell(
        office,
        "call.ended",
        call_id="c1",
        direction="inbound",
        ended_at=now,
        outcome="answered",
        **{"from": DANA, "to": ALICE_LTD.line, "agent": {"email": BOB}},
    )
    office.work()

    assert f"Result: Interested\nNote by Alice Adler: on the line\n[linekeeper:{of}]" == text(office)


def test_what_a_person_typed_stays(office: Office) -> None:
    """Above and below our words, to the byte, and so do the other fields."""
    of = call(office)
    edit(office, Description=f"  Call back on Tuesday!\n\n[linekeeper:{of}]\n-- Bob ", Call_Result="Interested")

    remark(office, of, "wants an offer")

    assert f"  Call back on Tuesday!\n\nNote by Alice Adler: wants an offer\n[linekeeper:{of}]\n-- Bob " == text(office)
    assert "Interested" == office.rows()[0]["Call_Result"]


def test_words_a_person_took_away_stay_away(office: Office) -> None:
    """And the call's timeline says why the note is not in Zoho."""
    of = call(office)
    remark(office, of, "first")
    edit(office, Description="Mine now.")

    remark(office, of, "second")

    assert "Mine now." == text(office)
    assert [("done", ""), ("dropped", "activity.edited")] == reasons(office, of)


def test_somebody_who_saves_at_the_same_moment_is_not_overwritten(office: Office) -> None:
    """Zoho refuses a change of what was changed since we read it, and we read again."""
    of = call(office)
    office.zoho.fault("PUT /crm/v8/Calls/{id}", "status", status=412, body={"code": "ALREADY_MODIFIED"})

    remark(office, of, "wants an offer")

    assert f"Note by Alice Adler: wants an offer\n[linekeeper:{of}]" == text(office)
    counts = office.zoho.counts()
    assert (2, 2) == (counts["GET /crm/v8/Calls/{id}"], counts["PUT /crm/v8/Calls/{id}"])


def test_words_whose_answer_was_lost_are_ours_all_the_same(office: Office) -> None:
    """Zoho wrote the activity and nobody told us: it is read back, and a note takes the place of our words there."""
    office.zoho.fault("POST /crm/v8/Calls", "status_after", status=503, body={})
    of = call(office)
    kept = office.services.calls.get(office.tenant, of)
    assert kept is not None
    assert (f"[linekeeper:{of}]",) == kept.said

    remark(office, of, "wants an offer")
    assert f"Note by Alice Adler: wants an offer\n[linekeeper:{of}]" == text(office)


def test_a_change_whose_answer_was_lost_is_told_again_and_stands_once(office: Office) -> None:
    of = call(office)
    office.zoho.fault("PUT /crm/v8/Calls/{id}", "status_after", status=503, body={}, times=2)

    remark(office, of, "wants an offer")

    assert f"Note by Alice Adler: wants an offer\n[linekeeper:{of}]" == text(office)
    remark(office, of, "two of them")
    assert f"Note by Alice Adler: two of them\n[linekeeper:{of}]" == text(office)


def test_a_grant_that_may_only_create_says_so_and_asks_no_more(opening: Open) -> None:
    """Nothing errs for ever: the note stays here, the reason stands on the call's page, the connection is well."""
    with opening(("calls",)) as office:
        of = call(office)
        remark(office, of, "wants an offer")

        assert f"[linekeeper:{of}]" == text(office)
        assert [("dropped", "activity.create_only")] == reasons(office, of)
        crm = office.services.connections.first(office.tenant, "crm")
        assert crm is not None
        assert not crm.troubled


def test_a_user_who_may_not_edit_is_the_same(office: Office) -> None:
    """The scope is there; the profile of whoever consented forbids it."""
    of = call(office)
    refused = {"data": [{"code": "NO_PERMISSION", "status": "error", "message": "denied", "details": {}}]}
    office.zoho.fault("PUT /crm/v8/Calls/{id}", "status", status=403, body=refused, times=None)

    remark(office, of, "wants an offer")

    assert [("dropped", "activity.create_only")] == reasons(office, of)


# ---- voicemail ----------------------------------------------------------------------------------------------------


def voicemail(office: Office, said: str | None = "Please call me back.") -> UUID:
    """Dana finds nobody, and speaks; the phone system tells it after the end."""
    of = call(office, outcome="missed", talk_seconds=0, **{"from": DANA})
    ref = office.services.calls.recent(office.tenant, limit=1)[0].call.ref
    told = {"from": DANA, "to": ALICE_LTD.line, "text": said, "recording_url": f"{office.pbx.origin}/recordings/v1"}
    for _ in range(2):
        tell(office, "call.voicemail", call_id=ref, direction="inbound", **told)
    office.work()
    return of


def test_a_voicemail_stands_once_with_what_it_says(office: Office) -> None:
    of = voicemail(office)

    assert f"Left a voicemail.\nTranscript (by the telephone system): Please call me back.\n[linekeeper:{of}]" == text(
        office
    )
    kept = office.services.calls.get(office.tenant, of)
    assert kept is not None
    assert ("voicemail", True) == (kept.call.outcome, kept.unread)


def test_a_tenant_may_keep_transcripts_out_of_the_crm(office: Office) -> None:
    office.services.tenants.set(office.tenant, wishes=Wishes(transcripts=False).as_data())
    of = voicemail(office)

    assert f"Left a voicemail.\n[linekeeper:{of}]" == text(office)


def test_what_zoho_wrote_gets_our_words_below(opening: Open) -> None:
    """PhoneBridge takes no text: a note is added to the row it wrote, under whatever stands there."""
    with opening(BRIDGE) as office:
        of = call(office)
        assert not office.rows()[0]["Description"]
        edit(office, Description="Typed by Bob")

        remark(office, of, "wants an offer")
        assert f"Typed by Bob\nNote by Alice Adler: wants an offer\n[linekeeper:{of}]" == text(office)

        remark(office, of, "two of them")
        assert f"Typed by Bob\nNote by Alice Adler: two of them\n[linekeeper:{of}]" == text(office)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(above=st.text("ab \n[]", max_size=20), below=st.text("ab \n[]", max_size=20), note=st.text("xy ", max_size=9))
def test_any_edit_survives_any_note(office: Office, above: str, below: str, note: str) -> None:
    """Through Zoho's own rules: what stood above and below our words stands there afterwards."""
    if not office.rows():
        call(office)
    ours = office.services.calls.recent(office.tenant, limit=1)[0]
    edit(office, Description=f"{above}\n{ours.said[-1]}\n{below}")

    remark(office, ours.id, note)

    after = office.services.calls.recent(office.tenant, limit=1)[0]
    assert f"{above}\n{after.said[-1]}\n{below}" == text(office)
