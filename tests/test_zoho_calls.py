"""A finished call becomes one row in Zoho, found again by its marker whatever happened to the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import NotAllowed, Refused, TryLater, Unanswered
from domain.ports import Activity, Crm, Written
from domain.statement import says_otherwise
from integrations.zoho.calls import Calls, as_row, tag
from integrations.zoho.client import ZohoClient
from integrations.zoho.crm import open_crm
from tests.zoho_double import ORIGIN, Line, Purse, answer, error
from tests.zoho_stage import EVERYTHING, HASTY, Stage, running

NINE = datetime(2026, 3, 29, 9, 15, 4, tzinfo=UTC)
CALL = Activity(
    marker="c7f1a2",
    subject="Inbound call from Ann Lee",
    direction="inbound",
    outcome="answered",
    started_at=NINE,
    talk_seconds=125,
    customer="+34600111222",
    agent="201",
)

# ---- what a call looks like there ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "outcome", "talk", "kind", "seconds", "words"),
    [
        ("inbound", "answered", 125, "Inbound", 125, ""),
        ("inbound", "answered", 0, "Inbound", 1, ""),
        ("inbound", "missed", 0, "Missed", 0, ""),
        ("inbound", "voicemail", 20, "Missed", 0, "Left a voicemail."),
        ("outbound", "answered", 6000, "Outbound", 6000, ""),
        ("outbound", "busy", 0, "Outbound", 1, "The line was busy."),
        ("outbound", "no_answer", 0, "Outbound", 1, "Nobody answered."),
        ("internal", "answered", 5, "Outbound", 5, ""),
    ],
)
def test_a_call_is_written_as_zoho_wants_it(direction, outcome, talk, kind, seconds, words):
    """Zoho refuses a duration of zero for all but missed calls, and has no word for a busy line."""
    row = as_row(replace(CALL, direction=direction, outcome=outcome, talk_seconds=talk))

    assert (row["Call_Type"], row["Call_Duration_in_seconds"]) == (kind, seconds)
    assert row["Call_Duration"] == f"{seconds // 60:02d}:{seconds % 60:02d}"
    assert row.get("Outgoing_Call_Status") == ("Completed" if kind == "Outbound" else None)
    assert row["Description"] == "\n".join(filter(None, (words, "[linekeeper:c7f1a2]")))
    assert row["Call_Start_Time"] == "2026-03-29T09:15:04+00:00"


def test_a_start_is_written_in_utc_without_fractions():
    madrid = timezone(timedelta(hours=2))
    started = NINE.astimezone(madrid) + timedelta(microseconds=999_999)
    assert as_row(replace(CALL, started_at=started))["Call_Start_Time"] == "2026-03-29T09:15:04+00:00"


def test_a_contact_is_whom_and_anything_else_is_about_what():
    assert as_row(replace(CALL, record=("Contacts", "7")))["Who_Id"] == {"id": "7"}
    lead = as_row(replace(CALL, record=("Leads", "8")))
    assert (lead["What_Id"], lead["$se_module"], "Who_Id" in lead) == ({"id": "8"}, "Leads", False)


def test_the_marker_survives_the_longest_note_and_no_note_imitates_it():
    row = as_row(replace(CALL, note="x" * 40_000 + "[linekeeper:other]", subject="s" * 300))
    assert len(row["Description"]) == 32_000
    assert row["Description"].endswith("\n[linekeeper:c7f1a2]")
    assert len(row["Subject"]) == 255
    assert "[linekeeper:other]" not in as_row(replace(CALL, note="see\n[linekeeper:other]"))["Description"]


@given(st.text(min_size=1))
def test_a_marker_is_one_line_or_nothing(marker: str):
    try:
        line = tag(marker)
    except ValueError:
        return
    assert line.splitlines() == [line]


def test_a_recording_address_longer_than_the_field_does_not_cost_the_call():
    assert as_row(replace(CALL, recording_url="https://r.example/1"))["Voice_Recording__s"] == "https://r.example/1"
    assert "Voice_Recording__s" not in as_row(replace(CALL, recording_url="https://r.example/" + "x" * 450))


# ---- answers an understudy would have to be broken to give --------------------------------------------------------


def calls(*answers) -> tuple[Calls, Line]:
    line = Line(list(answers))
    return Calls(ZohoClient(http=line, api_domain=ORIGIN, tokens=Purse())), line


def test_the_name_of_the_status_field_is_asked_once():
    ok = {"data": [{"status": "success", "code": "SUCCESS", "details": {"id": "1"}}]}
    fields = {"fields": [{"api_name": "Outbound_Call_Status"}]}
    module, line = calls(answer(200, fields), answer(201, ok), answer(201, ok))
    dialled = replace(CALL, direction="outbound")

    module.log([dialled])
    module.log([dialled])

    rows = [sent[2]["json"]["data"][0] for sent in line.asked if sent[0] == "POST"]
    assert [row["Outbound_Call_Status"] for row in rows] == ["Completed", "Completed"]
    assert len(line.asked) == 3


def test_without_metadata_the_documented_name_is_used():
    ok = {"data": [{"status": "success", "code": "SUCCESS", "details": {"id": "1"}}]}
    module, line = calls(error("OAUTH_SCOPE_MISMATCH", 401), answer(201, ok))
    assert module.log([replace(CALL, direction="outbound")]) == [Written("1")]
    assert line.asked[1][2]["json"]["data"][0]["Outgoing_Call_Status"] == "Completed"


def test_an_answer_that_leaves_a_call_out_is_no_answer():
    ok = {"data": [{"status": "success", "code": "SUCCESS", "details": {"id": "1"}}]}
    module, _ = calls(answer(201, ok))
    with pytest.raises(Unanswered):
        module.log([CALL, CALL])


def test_one_error_for_the_whole_request_is_raised():
    wrapped = {"data": [{"code": "INVALID_MODULE", "status": "error", "details": {}}]}
    module, _ = calls(answer(400, wrapped))
    with pytest.raises(Refused, match="INVALID_MODULE"):
        module.log([CALL, CALL])


def test_nothing_to_write_asks_nothing_and_too_much_is_our_mistake():
    module, line = calls()
    assert module.log([]) == []
    with pytest.raises(ValueError, match="100"):
        module.log([CALL] * 101)
    assert line.asked == []


# ---- with the understudy ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def servers() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(servers: Stage) -> Stage:
    servers.fresh()
    return servers


def found(crm: Crm, activity: Activity) -> str:
    return crm.find_calls([activity]).get(activity.marker, "")


def rows(stage: Stage) -> list:
    return stage.get("records", org="alice", module="Calls")["records"]


def test_calls_are_written_in_one_request_and_found_again(stage):
    crm, _ = stage.crm()
    bob = next(user for user in crm.users() if user.email == "bob@alice.example")
    (lead,) = stage.post("seed", org="alice", module="Leads", records=[{"Last_Name": "Lee", "Company": "Lee & Co"}])[
        "ids"
    ]
    batch = [replace(CALL, marker=f"m{number}", owner=bob.remote_id) for number in range(50)]
    batch += [
        replace(CALL, marker=f"m{number}", direction="outbound", record=("Leads", lead)) for number in range(50, 100)
    ]
    stage.delete("requests")

    written = crm.log_calls(batch)

    assert all(one.remote_id and not one.refused for one in written)
    assert stage.counts() == {"GET /crm/v8/settings/fields": 1, "POST /crm/v8/Calls": 1}
    assert len(rows(stage)) == 100
    stage.delete("requests")
    everything = {one.marker: row.remote_id for one, row in zip(batch, written, strict=True)}
    assert everything == crm.find_calls([*batch, replace(CALL, marker="never")])
    assert stage.counts() == {"POST /crm/v8/coql": 3}  # fifty starts a request
    assert found(crm, replace(batch[0], started_at=NINE + timedelta(seconds=1))) == ""


def test_each_refused_call_says_why_and_the_others_are_written(stage):
    crm, _ = stage.crm()
    batch = [CALL, replace(CALL, marker="b", subject=""), replace(CALL, marker="d")]

    written = crm.log_calls(batch)

    assert [bool(one.remote_id) for one in written] == [True, False, True]
    assert [one.refused for one in written] == ["", "MANDATORY_NOT_FOUND", ""]
    assert [one.refused for one in crm.log_calls(batch[1:2])] == ["MANDATORY_NOT_FOUND"]  # 400


def test_a_call_of_somebody_who_was_deleted_there_is_written_all_the_same(stage):
    """Without the record and the owner Zoho no longer has, and the others of its batch only once."""
    crm, _ = stage.crm()
    gone = "4150868000000999999"
    batch = [
        CALL,
        replace(CALL, marker="b", record=("Contacts", gone)),
        replace(CALL, marker="c", record=("Leads", gone)),
        replace(CALL, marker="d", owner="1"),
        replace(CALL, marker="e", owner="1", record=("Contacts", gone)),
        replace(CALL, marker="f", owner="1", subject=""),
    ]

    written = crm.log_calls(batch)

    assert [one.refused for one in written] == ["", "", "", "", "", "MANDATORY_NOT_FOUND"]
    assert sorted(row["id"] for row in rows(stage)) == sorted(one.remote_id for one in written[:5])
    assert found(crm, batch[4]) == written[4].remote_id
    assert all(row.get("Who_Id") is None and row.get("What_Id") is None for row in rows(stage))


def test_when_the_rest_of_a_batch_fails_nothing_of_it_is_simply_tried_again(stage):
    """Its first rows stand already."""
    crm, _ = stage.crm()
    batch = [CALL, replace(CALL, marker="b", record=("Contacts", "4150868000000999999"))]
    stage.fault("POST /crm/v8/Calls", "status", status=429, every=2)

    with pytest.raises(Unanswered):
        crm.log_calls(batch)
    stage.delete("faults")

    assert found(crm, batch[0])
    assert not found(crm, batch[1])


@pytest.mark.parametrize("action", ["hang_after", "drop_after", "truncated", "status_after"])
def test_a_call_whose_answer_was_lost_is_found_again(stage, action):
    """Zoho had written it: reading back finds the row, so nobody writes it twice."""
    crm, _ = stage.crm(timeout=HASTY)
    stage.fault("POST /crm/v8/Calls", action, seconds=10)

    with pytest.raises(Unanswered):
        crm.log_calls([CALL])
    stage.delete("faults")

    (row,) = rows(stage)
    assert found(crm, CALL) == row["id"]


def test_a_call_that_never_arrived_is_not_found(stage):
    crm, _ = stage.crm(timeout=HASTY)
    stage.fault("POST /crm/v8/Calls", "hang_before", seconds=10)

    with pytest.raises(Unanswered):
        crm.log_calls([CALL])
    stage.delete("faults")

    assert rows(stage) == []
    assert found(crm, CALL) == ""


def test_a_call_a_workflow_gave_to_somebody_else_is_still_found(stage):
    crm, _ = stage.crm()
    alice, bob = crm.users()
    mine = replace(CALL, owner=bob.remote_id)
    (written,) = crm.log_calls([mine])
    stage.post("edit", org="alice", module="Calls", id=written.remote_id, values={"Owner": {"id": alice.remote_id}})

    assert found(crm, mine) == written.remote_id


# ---- reading them all, putting one right --------------------------------------------------------------------------


def test_every_call_of_a_time_is_read_two_hundred_a_request(stage):
    """Ours, a person's and the telephony's, oldest first, with what tells them apart; both ends belong to it."""
    crm, _ = stage.crm()
    alice, bob = crm.users()
    crm.log_calls([replace(CALL, marker=f"m{n}", started_at=NINE + timedelta(seconds=n)) for n in range(100)])
    by_hand = {
        "Subject": "Call from 600 111 222",
        "Call_Type": "Missed",
        "Call_Duration": "00:00",
        "Call_Start_Time": "2026-03-29T11:17:00+02:00",
    }
    many = [by_hand | {"Owner": bob.email, "CTI_Entry": True, "Caller_ID": "+34600111222"}] * 150
    stage.post("seed", org="alice", module="Calls", records=[row | {"Call_Duration_in_seconds": 0} for row in many])
    stage.post("edit", org="alice", module="Calls", by=bob.email, values=by_hand)
    stage.delete("requests")

    found = list(crm.calls_logged(NINE + timedelta(seconds=1), NINE + timedelta(seconds=116)))

    assert stage.counts() == {"POST /crm/v8/coql": 2}
    assert [call.marker for call in found] == [f"m{n}" for n in range(1, 100)] + [""] * 151
    assert found == sorted(found, key=lambda call: (call.started_at, call.remote_id))
    first, theirs, written = found[0], found[99], found[-1]
    assert (first.talk_seconds, first.outcome, first.bridged) == (125, "answered", False)
    assert (first.modified_by, written.modified_by) == (alice.remote_id, bob.remote_id)
    assert (theirs.owner, theirs.direction, theirs.outcome, theirs.bridged) == (
        bob.remote_id,
        "inbound",
        "missed",
        True,
    )
    assert theirs.customer == "+34600111222 ; Call from 600 111 222"
    assert theirs.started_at == NINE + timedelta(seconds=116)
    assert [call.remote_id for call in crm.some_calls([first.remote_id, "4150868000000999999"])] == [first.remote_id]


def test_a_query_that_reaches_no_further_goes_on_where_it_ended():
    """Zoho skips ten thousand rows and no more; what is told twice at the seam comes out once."""

    def row(n: int) -> dict:
        when = (NINE + timedelta(seconds=n)).isoformat()
        return {"id": str(n), "Call_Type": "Inbound", "Call_Start_Time": when, "Created_Time": when}

    def answered(numbers: range, more: bool):
        return answer(200, {"data": [row(n) for n in numbers], "info": {"more_records": more}})

    module, line = calls(
        *(answered(range(at, at + 200), True) for at in range(0, 10_000, 200)), answered(range(9_999, 10_005), False)
    )

    assert [call.remote_id for call in module.between(NINE, NINE + timedelta(days=1))] == [
        str(n) for n in range(10_005)
    ]
    assert (NINE + timedelta(seconds=9_999)).isoformat() in line.asked[-1][2]["json"]["select_query"]


@pytest.mark.parametrize(
    ("direction", "outcome"),
    [("inbound", "answered"), ("inbound", "missed"), ("inbound", "voicemail"), ("outbound", "answered")]
    + [("outbound", outcome) for outcome in ("busy", "no_answer", "rejected", "failed", "cancelled")],
)
def test_what_was_written_is_read_back_as_the_same_call(stage, direction, outcome):
    crm, _ = stage.crm()
    call = replace(CALL, direction=direction, outcome=outcome, talk_seconds=125 if outcome == "answered" else 0)
    crm.log_calls([call])

    (there,) = crm.calls_logged(NINE, NINE)

    assert (there.marker, there.direction, there.outcome) == (call.marker, direction, outcome)
    assert not says_otherwise(there, call)


OTHER = {
    "longer": {"talk_seconds": 128},
    "earlier": {"started_at": NINE - timedelta(seconds=1)},
    "another's": {"owner": "7"},
    "nobody spoke": {"outcome": "missed", "talk_seconds": 0},
    "the other way": {"direction": "outbound"},
}


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_a_row_that_tells_another_call_is_told_so_and_put_right(stage, change):
    """The whole row is written anew, and no workflow runs."""
    crm, _ = stage.crm()
    _, bob = crm.users()
    (written,) = crm.log_calls([CALL])
    if "owner" in change:
        change = {"owner": bob.remote_id}
    right = replace(CALL, **change)
    read = lambda: next(iter(crm.some_calls([written.remote_id])))  # noqa: E731 - said once
    assert says_otherwise(read(), right)
    assert not says_otherwise(read(), replace(CALL, talk_seconds=126, customer="", note="more"))

    crm.amend_call(written.remote_id, right, whole=True)
    crm.amend_call(written.remote_id, right, whole=True)

    assert not says_otherwise(read(), right)
    assert len(rows(stage)) == 1


def test_a_recording_is_added_and_nothing_a_person_typed_is_lost(stage):
    crm, _ = stage.crm()
    (written,) = crm.log_calls([CALL])
    typed = {"Subject": "Ann about the offer", "Description": "She will call back."}
    stage.post("edit", org="alice", module="Calls", id=written.remote_id, values=typed)

    crm.amend_call(written.remote_id, replace(CALL, recording_url="https://r.example/1"))

    (row,) = rows(stage)
    assert (row["Voice_Recording__s"], row["Subject"]) == ("https://r.example/1", "Ann about the offer")
    assert row["Description"] == "She will call back."


def test_without_a_recording_nothing_is_asked(stage):
    module, line = calls()
    module.amend("1", CALL, whole=False)
    assert line.asked == []


def test_a_row_is_removed_once_and_then_it_is_gone(stage):
    """Gone already is fine; putting right what is gone is refused."""
    crm, _ = stage.crm()
    (written,) = crm.log_calls([CALL])

    crm.remove_call(written.remote_id)
    crm.remove_call(written.remote_id)

    assert rows(stage) == []
    with pytest.raises(Refused):
        crm.amend_call(written.remote_id, CALL, whole=True)


@pytest.mark.parametrize("told", [{"data": []}, {}, {"data": [{"status": "success"}] * 2}])
def test_an_answer_that_does_not_say_what_became_of_it_is_asked_again(told):
    module, _ = calls(answer(200, told))
    with pytest.raises(TryLater):
        module.remove("1")


def test_what_may_not_be_removed_is_off():
    module, _ = calls(error("NO_PERMISSION", 403))
    with pytest.raises(NotAllowed):
        module.remove("1")


def test_a_server_that_is_not_there_was_not_told_anything(stage):
    crm = open_crm(http=stage.http, api_domain="http://127.0.0.1:1", tokens=Purse(), timeout=1)
    with pytest.raises(TryLater):
        crm.log_calls([CALL])


def test_without_the_permission_calls_are_off(stage):
    crm, purse = stage.crm(scopes=tuple(scope for scope in EVERYTHING if scope != "ZohoCRM.modules.calls.CREATE"))
    with pytest.raises(NotAllowed):
        crm.log_calls([CALL])
    assert purse.renewed == 0


def test_a_token_that_died_is_renewed_once(stage):
    """The clock passes the token's hour; the caller never notices."""
    crm, purse = stage.crm()
    stage.post("clock", advance=3601)

    (written,) = crm.log_calls([CALL])

    assert written.remote_id
    assert purse.renewed == 1
    assert len(rows(stage)) == 1


# ---- put right by hand ----------------------------------------------------------------------------------------------


def test_only_what_somebody_put_right_is_written(stage):
    """How it went and whose it is; the description is a person's, and so is a subject they wrote."""
    crm, _ = stage.crm()
    _, bob = crm.users()
    (written,) = crm.log_calls([replace(CALL, subject="Missed call from Ann Lee", outcome="missed", talk_seconds=0)])
    right = replace(CALL, subject="Call from Ann Lee", owner=bob.remote_id)
    stage.post("edit", org="alice", module="Calls", id=written.remote_id, values={"Description": "She will call back."})

    crm.correct_call(written.remote_id, right, ["course", "owner"])
    crm.correct_call(written.remote_id, right, ["course", "owner"])
    (row,) = rows(stage)
    assert ("Inbound", 125, bob.remote_id) == (
        row["Call_Type"],
        row["Call_Duration_in_seconds"],
        row["Owner"]["id"],
    )
    assert ("Call from Ann Lee", "She will call back.") == (row["Subject"], row["Description"])

    stage.post("edit", org="alice", module="Calls", id=written.remote_id, values={"Subject": "Ann about the offer"})
    crm.correct_call(written.remote_id, replace(right, talk_seconds=60), ["course"])
    (row,) = rows(stage)
    assert ("Ann about the offer", 60) == (row["Subject"], row["Call_Duration_in_seconds"])


def test_a_call_moves_from_one_person_to_another(stage):
    """From a contact to a lead to nobody: it belongs to one at a time."""
    crm, _ = stage.crm()
    (contact,) = stage.post("seed", org="alice", module="Contacts", records=[{"Last_Name": "Lee"}])["ids"]
    (lead,) = stage.post("seed", org="alice", module="Leads", records=[{"Last_Name": "Luz", "Company": "Luz"}])["ids"]
    (written,) = crm.log_calls([replace(CALL, record=("Contacts", contact))])

    def belongs() -> tuple[str, str]:
        (row,) = rows(stage)
        return tuple((row.get(name) or {}).get("id", "") for name in ("Who_Id", "What_Id"))

    assert (contact, "") == belongs()
    crm.correct_call(written.remote_id, replace(CALL, record=("Leads", lead)), ["person"])
    assert ("", lead) == belongs()
    crm.correct_call(written.remote_id, CALL, ["person"])
    assert ("", "") == belongs()
    with pytest.raises(Refused):
        crm.correct_call("999", CALL, ["person"])
