"""Zoho's understudy keeps Zoho's rules about records: lists, batches, upsert, calls, search and COQL."""

import json
import re
from urllib.parse import urlencode

import pytest

from tests.understudies.zoho_cast import Json, Stage, call


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_list_has_a_wall_at_two_thousand_and_a_token_bound_to_its_question(stage: Stage) -> None:
    """Fields are mandatory; beyond the wall only the token goes on, for this user, this question, for a day."""
    stage.do("seed", org="Alice Ltd", module="Contacts", records=[{"Last_Name": f"No {n}"} for n in range(2_300)])
    api = stage.connect()
    path = "/crm/v8/Contacts?fields=Last_Name&sort_by=Modified_Time&sort_order=asc"

    assert (api("GET", "/crm/v8/Contacts").json or {})["details"] == {"param_name": "fields"}
    assert (api("GET", f"{path}&page=11").json or {})["code"] == "DISCRETE_PAGINATION_LIMIT_EXCEEDED"
    seen: list[str] = []
    token = None
    while token or not seen:
        answer = api("GET", f"{path}&page_token={token}" if token else path).json or {}
        seen += [row["id"] for row in answer["data"]]
        token = answer["info"]["next_page_token"]
    assert (len(seen), len(set(seen)), seen) == (2_300, 2_300, sorted(seen))

    token = (api("GET", path).json or {})["info"]["next_page_token"]
    other = api("GET", f"/crm/v8/Contacts?fields=Phone&sort_by=Modified_Time&sort_order=asc&page_token={token}")
    bob = stage.connect("bob@alice.example")
    assert (other.json or {})["code"] == "TOKEN_BOUND_DATA_MISMATCH"
    assert (bob("GET", f"{path}&page_token={token}").json or {})["code"] == "TOKEN_BOUND_DATA_MISMATCH"
    assert (api("GET", f"{path}&page=2&page_token={token}").json or {})["code"] == "AMBIGUITY_DURING_PROCESSING"
    stage.do("clock", advance=24 * 3600)
    assert (stage.connect()("GET", f"{path}&page_token={token}").json or {})["code"] == "EXPIRED_VALUE"


def test_a_list_through_a_view_has_the_views_people_and_no_order_of_ones_own(stage: Stage) -> None:
    """Looked at anew each time, for three credits, with pages and what changed; an unknown one is refused."""
    people = [{"Last_Name": f"No {n}", "Department": "Sales" if n % 2 else "Legal"} for n in range(6)]
    ids = stage.do("seed", org="Alice Ltd", module="Contacts", records=people)["ids"]
    told = {"org": "Alice Ltd", "module": "Contacts", "name": "Sales", "field": "Department", "comparator": "equal"}
    sales = stage.do("views", **told, value="Sales")["id"]
    api = stage.connect()
    (view,) = (api("GET", "/crm/v8/settings/custom_views?module=Contacts").json or {})["custom_views"]
    assert (sales, "Sales", "Sales") == (view["id"], view["name"], view["display_value"])
    assert api("GET", "/crm/v8/settings/custom_views?module=Leads").status_code == 204
    path = f"/crm/v8/Contacts?fields=Last_Name&cvid={sales}&per_page=2"
    spent = stage.world.orgs["Alice Ltd"].spent_sum

    first = api("GET", path).json or {}
    assert stage.world.orgs["Alice Ltd"].spent_sum == spent + 3
    second = api("GET", f"{path}&page_token={first['info']['next_page_token']}").json or {}
    assert [row["id"] for page in (first, second) for row in page["data"]] == [ids[5], ids[3], ids[1]]
    both = api("GET", f"{path}&sort_by=Modified_Time")
    assert (both.status_code, (both.json or {})["code"]) == (400, "AMBIGUITY_DURING_PROCESSING")
    unknown = api("GET", "/crm/v8/Contacts?fields=Last_Name&cvid=1")
    assert (unknown.status_code, (unknown.json or {})["code"]) == (400, "INVALID_DATA")
    assert (api("GET", f"/crm/v8/Leads?fields=Last_Name&cvid={sales}").json or {})["code"] == "INVALID_DATA"

    stage.do("clock", advance=60)
    for row, text in ((ids[1], "Legal"), (ids[2], "Sales")):
        stage.do("edit", org="Alice Ltd", module="Contacts", id=row, values={"Department": text})
    since = {"If-Modified-Since": "2026-03-28T12:00:30Z"}
    assert [row["id"] for row in (api("GET", path, headers=since).json or {})["data"]] == [ids[2]]


def test_a_sweep_sees_what_changed_and_what_was_deleted_and_else_a_304(stage: Stage) -> None:
    """Times are in Alice's zone; every edit moves Modified_Time forward, even twice within a second."""
    api = stage.connect()
    made = (api("POST", "/crm/v8/Contacts", {"data": [{"Last_Name": "Ann"}, {"Last_Name": "Ben"}]}).json or {})["data"]
    ann, ben = (item["details"]["id"] for item in made)
    assert made[0]["details"]["Modified_Time"] == "2026-03-28T13:00:00+01:00"
    assert re.fullmatch(r"\d{19}", ann)
    path, since = "/crm/v8/Contacts?fields=Last_Name,Phone,Modified_Time", {"If-Modified-Since": "2026-03-28T12:00:00Z"}
    assert api("GET", path, headers=since).status_code == 304

    edits = [api("PUT", f"/crm/v8/Contacts/{ann}", {"data": [{"Phone": number}]}) for number in ("1", "2")]
    stage.do("clock", advance=24 * 3600)  # into summer time
    api = stage.connect()
    assert api("DELETE", f"/crm/v8/Contacts?ids={ben}").status_code == 200

    moved = [edit.json["data"][0]["details"]["Modified_Time"] for edit in edits if edit.json]
    assert moved == ["2026-03-28T13:00:01+01:00", "2026-03-28T13:00:02+01:00"]
    assert [row["id"] for row in (api("GET", path, headers=since).json or {})["data"]] == [ann]
    gone = (api("GET", "/crm/v8/Contacts/deleted", headers=since).json or {})["data"]
    assert [(row["id"], row["type"], row["deleted_time"]) for row in gone] == [
        (ben, "recycle", "2026-03-29T14:00:00+02:00")
    ]
    stage.do("clock", advance=61 * 24 * 3600)
    assert (stage.connect()("GET", "/crm/v8/Contacts/deleted").json or {})["data"][0]["type"] == "permanent"


def test_a_batch_answers_item_by_item_with_201_207_or_400(stage: Stage) -> None:
    """Each item says what is wrong with it and where; a null clears, a stale edit is refused."""
    api = stage.connect()
    good, bad = {"Last_Name": "Ann", "Email": "ann@x.example"}, {"First_Name": "No last name"}

    assert api("POST", "/crm/v8/Contacts", {"data": [good]}).status_code == 201
    mixed = api("POST", "/crm/v8/Contacts", {"data": [good, bad, {"Last_Name": "B", "Email": "not one"}]})
    assert (mixed.status_code, [i["code"] for i in (mixed.json or {})["data"]]) == (
        207,
        ["SUCCESS", "MANDATORY_NOT_FOUND", "INVALID_DATA"],
    )
    assert (mixed.json or {})["data"][1]["details"] == {"api_name": "Last_Name", "json_path": "$.data[1].Last_Name"}
    assert api("POST", "/crm/v8/Contacts", {"data": [bad]}).status_code == 400
    stage.do("knobs", legacy_202=True)
    assert api("POST", "/crm/v8/Contacts", {"data": [bad]}).status_code == 202
    assert (api("POST", "/crm/v8/Contacts", {"data": [good] * 101}).json or {})["code"] == "LIMIT_EXCEEDED"

    row = (mixed.json or {})["data"][0]["details"]["id"]
    stale = {"If-Unmodified-Since": "2026-03-28T11:00:00Z"}
    assert api("PUT", f"/crm/v8/Contacts/{row}", {"data": [{"Email": None}]}, headers=stale).status_code == 412
    assert api("PUT", "/crm/v8/Contacts", {"data": [{"id": int(row), "Email": None}]}).status_code == 200
    assert (api("GET", f"/crm/v8/Contacts/{row}").json or {})["data"][0]["Email"] is None


def test_upsert_finds_people_by_email_and_is_not_for_calls(stage: Stage) -> None:
    """It says what it did and by which field; without a match it inserts."""
    api = stage.connect()
    sent = {"data": [{"Last_Name": "Ann", "Email": "ann@x.example", "Phone": "600 111 222"}]}
    first = (api("POST", "/crm/v8/Contacts/upsert", sent).json or {})["data"][0]
    sent["data"][0] |= {"Email": "ANN@x.example", "Phone": "600 111 333"}
    second = (api("POST", "/crm/v8/Contacts/upsert", sent).json or {})["data"][0]

    assert (first["action"], first["duplicate_field"]) == ("insert", None)
    assert (second["action"], second["duplicate_field"]) == ("update", "Email")
    assert first["details"]["id"] == second["details"]["id"]
    by_phone = {"data": [{"Last_Name": "Ann", "Phone": "600 111 333"}], "duplicate_check_fields": ["Phone"]}
    assert (api("POST", "/crm/v8/Contacts/upsert", by_phone).json or {})["data"][0]["duplicate_field"] == "Phone"
    refused = api("POST", "/crm/v8/Calls/upsert", {"data": [call()]})
    assert (refused.status_code, (refused.json or {})["code"]) == (400, "NOT_SUPPORTED")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(call(), "SUCCESS", id="whole"),
        pytest.param(call(Call_Type=None), "MANDATORY_NOT_FOUND", id="no type"),
        pytest.param(call(Call_Duration=None), "MANDATORY_NOT_FOUND", id="no duration"),
        pytest.param(call(Call_Start_Time="2026-03-28T12:00:00.5+00:00"), "INVALID_DATA", id="fraction of a second"),
        pytest.param(call(Call_Type="Incoming"), "INVALID_DATA", id="unknown type"),
        pytest.param(call(Call_Duration="00:00", Call_Duration_in_seconds=0), "DEPENDENT_MISMATCH", id="zero"),
        pytest.param(
            call(Call_Type="Missed", Call_Duration="00:00", Call_Duration_in_seconds=0), "SUCCESS", id="missed"
        ),
        pytest.param(call(Who_Id={"id": "LEAD"}), "INVALID_DATA", id="who is not a contact"),
        pytest.param(call(What_Id={"id": "LEAD"}), "DEPENDENT_FIELD_MISSING", id="what without module"),
        pytest.param(call(What_Id={"id": "LEAD"}, **{"$se_module": "Leads"}), "SUCCESS", id="a lead's call"),
        pytest.param(call(Owner={"id": "1"}), "INVALID_DATA", id="owner nobody knows"),
    ],
)
def test_a_call_is_written_by_the_rules_of_its_module(stage: Stage, sent: Json, code: str) -> None:
    """What Zoho refuses about a call, and what it takes."""
    (lead,) = stage.do("seed", org="Alice Ltd", module="Leads", records=[{"Last_Name": "L", "Company": "C"}])["ids"]
    body = json.loads(json.dumps({"data": [sent]}).replace("LEAD", lead))

    answer = stage.connect()("POST", "/crm/v8/Calls", body)

    assert (answer.json or {})["data"][0]["code"] == code


def test_times_are_shown_in_the_readers_zone(stage: Stage) -> None:
    """The same row, two readers; New York is hours behind Madrid, but sees nothing of it anyway."""
    api, charlie = stage.connect(), stage.connect("charlie@next.example", dc="us")
    api("POST", "/crm/v8/Calls", {"data": [call()]})
    listing = "/crm/v8/Calls?fields=Call_Start_Time"

    assert (api("GET", listing).json or {})["data"][0]["Call_Start_Time"] == "2026-03-28T13:00:00+01:00"
    assert charlie("GET", listing).status_code == 204
    users = (charlie("GET", "/crm/v8/users?type=CurrentUser").json or {})["users"]
    assert [(user["email"], user["time_zone"]) for user in users] == [("charlie@next.example", "America/New_York")]


def test_search_lags_behind_and_coql_does_not(stage: Stage) -> None:
    """A contact made a moment ago is a 204 to search and a row to COQL; spelling matters only when asked for."""
    stage.do("knobs", search_lag=30)
    api = stage.connect()
    api("POST", "/crm/v8/Contacts", {"data": [{"Last_Name": "Ann (Lee)", "Phone": "+34 600-111-222"}]})
    plain, spelt = (f"/crm/v8/Contacts/search?{urlencode({'phone': p})}" for p in ("+34600111222", "+34 600-111-222"))
    query = "select Last_Name from Contacts where Phone = '+34 600-111-222'"

    assert (api("GET", plain).status_code, len(api.rows(query))) == (204, 1)
    stage.do("clock", advance=30)
    assert (api("GET", plain).json or {})["data"][0]["Last_Name"] == "Ann (Lee)"
    stage.do("knobs", search_phone="raw")
    assert [api("GET", path).status_code for path in (plain, spelt)] == [204, 200]
    criteria = urlencode({"criteria": r"((Last_Name:starts_with:Ann \(L)and(Phone:equals:600))"})
    assert api("GET", f"/crm/v8/Contacts/search?{criteria}").status_code == 200
    assert (api("GET", f"/crm/v8/Contacts/actions/count?{criteria}").json or {})["count"] == 1
    nothing = api("GET", "/crm/v8/Contacts/search")
    assert (nothing.json or {})["details"] == {"param_names": ["criteria", "email", "phone", "word"]}


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("Last_Name = 'O''Hara'", ["O'Hara"]),
        ("Last_Name like 'O%' or Phone is null", ["O'Hara", "Zed"]),
        ("(Last_Name != 'Zed' and Phone is not null) and Email in ('a@x.example', 'b@x.example')", ["Ann"]),
        ("Modified_Time between '2026-03-28T12:00:00+00:00' and '2026-03-28T13:00:00+01:00'", ["Ann", "O'Hara", "Zed"]),
        ("Modified_Time > '2026-03-28T12:00:00+00:00'", []),
        ("Account_Name.Account_Name = 'Acme'", ["Ann"]),
        ("id not in (1, 2) and Last_Name not like '%a%'", ["Zed"]),
    ],
)
def test_coql_understands_conditions(stage: Stage, where: str, found: list[str]) -> None:
    """Comparison, patterns, lists, ranges, nulls, lookups, and a doubled quote inside a literal."""
    (acme,) = stage.do("seed", org="Alice Ltd", module="Accounts", records=[{"Account_Name": "Acme"}])["ids"]
    ann = {"Last_Name": "Ann", "Phone": "1", "Email": "a@x.example", "Account_Name": {"id": acme}}
    people = [ann, {"Last_Name": "O'Hara", "Phone": "2"}, {"Last_Name": "Zed"}]
    stage.do("seed", org="Alice Ltd", module="Contacts", records=people)

    rows = stage.connect().rows(f"select Last_Name from Contacts where {where} order by Last_Name asc limit 0, 200")

    assert [row["Last_Name"] for row in rows] == found


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("select id from Contacts", "SYNTAX_ERROR"),
        ("select id from Contacts where id is not null and Phone is null and Email is null", "SYNTAX_ERROR"),
        ("select Shoe_Size from Contacts where id is not null", "INVALID_QUERY"),
        ("select id from Contacts where Description like '%x%'", "INVALID_QUERY"),
        ("select id from Contacts where id is not null limit 0, 201", "LIMIT_EXCEEDED"),
        ("select id from Shoes where id is not null", "INVALID_MODULE"),
    ],
)
def test_coql_refuses_what_it_cannot_do(stage: Stage, query: str, code: str) -> None:
    """A missing where, three conditions on one level, unknown or long-text columns, too many rows."""
    answer = stage.connect()("POST", "/crm/v8/coql", {"select_query": query})

    assert (answer.status_code, (answer.json or {})["code"]) == (400, code)
