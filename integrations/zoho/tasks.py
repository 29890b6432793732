"""A task in Zoho's Tasks module: to call somebody back. Found again by our marker, closed only while it is untouched.

Tasks have no upsert either (https://www.zoho.com/crm/developer/docs/api/v8/upsert-records.html). An administrator can
name further states of a task; "Completed" is the one that Zoho itself understands as closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from domain.errors import Unanswered
from domain.ports import Task, Written
from domain.said import marked, tag
from integrations.zoho.calls import SUBJECT_LENGTH
from integrations.zoho.client import CRM, Body, ZohoClient, code_of, literal, refusal, rows_of, stamp
from integrations.zoho.tying import belongs_to

OPEN, CLOSED = "Not Started", "Completed"
FIELDS = "Status,Created_Time,Modified_Time"
SETTLES = timedelta(seconds=30)  # workflows of the organisation may change a task right after it was created
CLOCKS = timedelta(minutes=10)  # Zoho's clock and ours need not agree


class Tasks:
    """The Tasks module of one organisation."""

    def __init__(self, client: ZohoClient) -> None:
        self._client = client

    def create(self, task: Task) -> Written:
        """Create a task. Raises Unanswered when nobody knows."""
        data = {"data": [as_row(task)], "trigger": ["workflow"]}
        answer = self._client.write("POST", f"{CRM}/Tasks", json=data, items="data")
        told = _only(answer)
        details = told.get("details")
        if told.get("status") == "success" and isinstance(details, Mapping) and details.get("id"):
            return Written(remote_id=str(details["id"]))
        if (code := code_of(told)) == "UNKNOWN":
            raise Unanswered("Zoho did not say what became of the task.")
        return Written(refused=code)

    def find(self, task: Task) -> str:
        """Return the id of the task that carries the marker, else "".

        A description cannot be asked for, so all that were created since are looked through: seconds' worth, as a rule.
        """
        since = literal(stamp(task.since - CLOCKS))
        for row in self._client.query("id, Description", "Tasks", f"Created_Time >= {since} order by id asc"):
            if tag(task.marker) in str(row.get("Description") or "").splitlines():
                return str(row.get("id"))
        return ""

    def close(self, remote_id: str) -> bool:
        """Complete a task that stands as it was created. One that is completed already is fine."""
        rows = rows_of(self._client.read(f"{CRM}/Tasks/{remote_id}", {"fields": FIELDS}), "data")
        if not rows:
            return False
        if rows[0].get("Status") == CLOSED:
            return True
        if _touched(rows[0]):
            return False
        data = {"data": [{"id": remote_id, "Status": CLOSED}], "trigger": ["workflow"]}
        told = _only(self._client.write("PUT", f"{CRM}/Tasks", json=data, repeatable=True, items="data"))
        if told.get("status") != "success":
            raise refusal(code_of(told))
        return True


def as_row(task: Task) -> Body:
    """Write a task as Zoho's Tasks module wants it."""
    row: Body = {
        "Subject": task.subject[:SUBJECT_LENGTH],
        "Due_Date": task.due.isoformat(),
        "Status": OPEN,
        "Priority": "High",
        "Description": marked([task.text], task.marker),
    }
    if task.owner:
        row["Owner"] = {"id": task.owner}
    return row | belongs_to(task.record, task.beside)


def _touched(row: Body) -> bool:
    """Whether somebody changed it. What cannot be read as untouched is theirs."""
    try:
        created, modified = (datetime.fromisoformat(str(row[name])) for name in ("Created_Time", "Modified_Time"))
        return row.get("Status") != OPEN or modified - created > SETTLES
    except (KeyError, ValueError, TypeError):
        return True


def _only(answer: Body) -> Body:
    """What became of the one record; an error for the whole request has the same shape."""
    told: Any = answer.get("data")
    if isinstance(told, list) and len(told) == 1 and isinstance(told[0], dict):
        return told[0]
    return answer
