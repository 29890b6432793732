"""Zoho's understudy writes a module into a file: in its own time, within its limits, for a day."""

import csv
import io
import zipfile

import pytest

from tests.understudies.zoho_cast import SCOPES, Api, Json, Stage

READ = "/crm/bulk/v8/read"
BULK = f"{SCOPES},ZohoCRM.bulk.READ"


@pytest.fixture
def stage() -> Stage:
    return Stage()


def asked(module: object = "Contacts", **query: object) -> Json:
    return {"query": {"module": {"api_name": module}, **query}, "file_type": "csv"}


def begin(api: Api, **query: object) -> str:
    answer = api("POST", READ, asked(**query))
    assert answer.status_code == 201
    (item,) = (answer.json or {})["data"]
    assert (item["code"], item["details"]["state"]) == ("ADDED_SUCCESSFULLY", "ADDED")
    return str(item["details"]["id"])


def look(api: Api, job: str) -> Json:
    told: Json = (api("GET", f"{READ}/{job}").json or {})["data"][0]
    return told


def rows(api: Api, job: str) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(api("GET", f"{READ}/{job}/result").data)) as archive:
        (name,) = archive.namelist()
        return list(csv.reader(io.StringIO(archive.read(name).decode())))


def test_a_job_takes_its_time_and_shows_what_stood_there_when_it_was_made(stage: Stage) -> None:
    stage.do("knobs", bulk_looks=3)
    (account,) = stage.do("seed", org="Alice Ltd", module="Accounts", records=[{"Account_Name": "Lee, Co"}])["ids"]
    ann = {"Last_Name": "Lee", "Account_Name": {"id": account}}
    (row,) = stage.do("seed", org="Alice Ltd", module="Contacts", records=[ann])["ids"]
    api = stage.connect(scope=BULK)
    job = begin(api, fields=["Last_Name", "Phone", "Account_Name", "Account_Name.Account_Name"])
    stage.do("seed", org="Alice Ltd", module="Contacts", records=[{"Last_Name": "Late"}])

    assert (api("GET", f"{READ}/{job}/result").json or {})["code"] == "INVALID_DATA"
    states = [look(api, job) for _ in range(3)]

    assert [told["state"] for told in states] == ["QUEUED", "IN PROGRESS", "COMPLETED"]
    assert states[-1]["result"] | {"download_url": f"{READ}/{job}/result"} == states[-1]["result"]
    assert (states[-1]["result"]["count"], states[-1]["result"]["more_records"]) == (1, False)
    header = ["Id", "Last_Name", "Phone", "Account_Name", "Account_Name.Account_Name"]
    assert rows(api, job) == [header, [row, "Lee", "", account, "Lee, Co"]]


def test_many_rows_are_several_jobs(stage: Stage) -> None:
    """Each next one is asked for by the word the last came with, or by its number."""
    stage.do("knobs", bulk_rows=2, bulk_looks=0)
    stage.do("seed", org="Alice Ltd", module="Contacts", records=[{"Last_Name": f"P{n}"} for n in range(5)])
    api = stage.connect(scope=BULK)

    first = begin(api, fields=["Last_Name"])
    result = look(api, first)["result"]
    second = begin(api, fields=["Last_Name"], page_token=result["next_page_token"])
    third = begin(api, fields=["Last_Name"], page=3)

    assert result["more_records"] is True
    assert look(api, third)["result"]["more_records"] is False
    assert [[line[1] for line in rows(api, job)[1:]] for job in (first, second, third)] == [
        ["P0", "P1"],
        ["P2", "P3"],
        ["P4"],
    ]


def test_it_keeps_zohos_rules(stage: Stage) -> None:
    """Both scopes, a module and fields there are, fifty credits, ten downloads a minute, and a day."""
    stage.do("knobs", bulk_looks=0)
    api = stage.connect(scope=BULK)
    job = begin(api, fields=["Last_Name"])

    def code(answer: object) -> tuple[int, str]:
        return answer.status_code, (answer.json or {})["code"]  # type: ignore[attr-defined]

    assert code(stage.connect()("POST", READ, asked())) == (401, "OAUTH_SCOPE_MISMATCH")
    only = stage.connect(scope="ZohoCRM.bulk.READ")
    assert code(only("POST", READ, asked())) == code(only("GET", f"{READ}/{job}")) == (401, "OAUTH_SCOPE_MISMATCH")
    assert (
        code(api("POST", READ, asked("Nobody"))) == code(api("POST", READ, asked("Notes"))) == (400, "INVALID_MODULE")
    )
    for wrong in ({"fields": ["Nothing"]}, {"fields": ["Account_Name.Nothing"]}, {"page_token": "x"}, {"page": 0}):
        assert code(api("POST", READ, asked(**wrong))) == (400, "INVALID_DATA")

    assert [api("GET", f"{READ}/{job}/result").status_code for _ in range(11)] == [200] * 10 + [429]
    stage.do("clock", advance=60)
    assert api("GET", f"{READ}/{job}/result").status_code == 200
    stage.do("clock", advance=24 * 3600)
    api = stage.connect(scope=BULK)
    assert code(api("GET", f"{READ}/{job}")) == (404, "RESOURCE_NOT_FOUND")

    stage.do("knobs", credits=100)
    assert [api("POST", READ, asked()).status_code for _ in range(2)] == [201, 429]  # one was spent on that last look


def test_a_job_can_fail_and_can_take_long(stage: Stage) -> None:
    stage.do("knobs", bulk_looks=0, bulk_seconds=60, bulk_fails=True)
    api = stage.connect(scope=BULK)
    job = begin(api, fields=["Last_Name"])

    assert look(api, job)["state"] == "QUEUED"
    stage.do("clock", advance=60)
    told = look(api, job)
    assert (told["state"], "result" in told) == ("FAILURE", False)
