"""Tasks in Zoho: written whole, found by our line, and closed only while nobody has touched them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from domain.errors import Unanswered
from domain.ports import Task, Written
from integrations.zoho.client import ZohoClient
from integrations.zoho.tasks import Tasks, as_row
from tests.zoho_double import ORIGIN, Line, Purse, answer
from tests.zoho_stage import Stage, running

NOW = datetime.now(UTC)
TASK = Task(marker="c7f1a2", subject="Call back Dana", text="Nobody answered Dana.", due=date(2026, 3, 30), since=NOW)
MADE = "2026-03-29T11:15:04+02:00"


@pytest.fixture(scope="module")
def servers() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(servers: Stage) -> Stage:
    servers.fresh()
    return servers


def rows(stage: Stage) -> list[dict]:
    return stage.get("records", org="alice", module="Tasks")["records"]


def test_a_task_is_written_found_and_closed(stage: Stage) -> None:
    """Closing twice is fine; a task that is not there, or is gone, is not closed."""
    crm, _ = stage.crm()
    assert "" == crm.find_task(TASK)

    written = crm.create_task(replace(TASK, owner=crm.me().remote_id))

    [row] = rows(stage)
    assert (row["id"], "2026-03-30", "Not Started") == (written.remote_id, row["Due_Date"], row["Status"])
    assert (row["id"], "") == (crm.find_task(TASK), crm.find_task(replace(TASK, marker="another")))
    assert [True, True] == [crm.close_task(row["id"]), crm.close_task(row["id"])]
    assert ["Completed"] == [row["Status"] for row in rows(stage)]
    stage.post("delete", org="alice", module="Tasks", id=row["id"])
    assert not crm.close_task(row["id"])


def test_a_refusal_is_named(stage: Stage) -> None:
    crm, _ = stage.crm()

    assert Written(refused="INVALID_DATA") == crm.create_task(replace(TASK, owner="999"))
    assert [] == rows(stage)


def tasks(*answers: object) -> tuple[Tasks, Line]:
    line = Line([answer(*told) for told in answers])  # type: ignore[misc]
    return Tasks(ZohoClient(http=line, api_domain=ORIGIN, tokens=Purse())), line


@pytest.mark.parametrize(
    ("row", "closes"),
    [
        ({"Status": "Not Started", "Created_Time": MADE, "Modified_Time": MADE}, True),
        ({"Status": "Not Started", "Created_Time": MADE, "Modified_Time": "2026-03-29T09:15:34Z"}, True),
        ({"Status": "Not Started", "Created_Time": MADE, "Modified_Time": "2026-03-29T09:15:35Z"}, False),
        ({"Status": "Waiting for input", "Created_Time": MADE, "Modified_Time": MADE}, False),
        ({"Status": "Not Started", "Created_Time": MADE}, False),
        ({"Status": "Not Started", "Created_Time": "yesterday", "Modified_Time": 7}, False),
    ],
    ids=["untouched", "by a workflow at once", "later", "another status", "no times", "times nobody can read"],
)
def test_what_may_be_closed(row: dict[str, object], closes: bool) -> None:
    """What we cannot read as untouched is somebody's."""
    done = {"data": [{"status": "success", "code": "SUCCESS", "details": {"id": "7"}}]}
    desk, line = tasks((200, {"data": [row]}), *([(200, done)] if closes else []))

    assert closes == desk.close("7")
    assert [] == line.answers


@pytest.mark.parametrize("told", [{"data": [{}]}, {"data": [{"status": "success"}]}, {"data": "soon"}, {}], ids=str)
def test_an_answer_that_says_nothing_is_no_answer(told: object) -> None:
    """Then the task is looked for before another is written."""
    desk, _ = tasks((201, told))

    with pytest.raises(Unanswered):
        desk.create(TASK)


def test_no_text_can_imitate_our_line() -> None:
    """And however long the text is, the line is there."""
    row = as_row(replace(TASK, subject="x" * 300, text="[linekeeper:other]\n" + "y" * 40_000))

    lines = row["Description"].splitlines()
    assert (255, 32_000) == (len(row["Subject"]), len(row["Description"]))
    assert ["[linekeeper:c7f1a2]"] == [line for line in lines if line.startswith("[linekeeper:")]
