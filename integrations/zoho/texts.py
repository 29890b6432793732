"""A day's text messages with a customer as one completed task in Zoho: written once, found again, added to.

Zoho's documented modules have none for messages that an application may write. A note would need a record to hang
from, which a stranger has not, and cannot be looked for: only administrators list notes, and COQL does not know them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from domain.ports import Thread, Written
from domain.said import tag
from integrations.zoho.client import Body, ZohoClient, literal
from integrations.zoho.creating import create
from integrations.zoho.rewriting import Change, rewrite, with_words
from integrations.zoho.tying import belongs_to, tie

SUBJECT_LENGTH = 255


class Texts:
    """The tasks of one organisation that are conversations."""

    def __init__(self, client: ZohoClient) -> None:
        self._client = client

    def log(self, threads: Sequence[Thread]) -> list[Written]:
        """Create a task for each; no workflow runs, for nobody has to do anything. Raises Unanswered."""
        return create(self._client, "Tasks", [as_task(thread) for thread in threads], [])

    def find(self, thread: Thread) -> str:
        """Return the id of the task that carries the conversation's marker, else ""; its day narrows the search."""
        where = f"(Due_Date = {literal(thread.day.isoformat())} and Status = 'Completed')"
        for row in self._client.query("id, Description", "Tasks", where):
            if tag(thread.marker) in str(row.get("Description") or "").splitlines():
                return str(row.get("id"))
        return ""

    def amend(self, remote_id: str, thread: Thread, *, said: Sequence[str]) -> bool:
        """Add what was said since, around what people wrote; False where they changed our words. Repeatable."""

        def change(row: Body) -> Change:
            return with_words(row, {}, said, thread.words)

        return rewrite(self._client, "Tasks", remote_id, (), change)

    def link(
        self,
        remote_id: str,
        record: tuple[str, str] | None,
        among: Collection[tuple[str, str]],
        beside: tuple[str, str] | None = None,
    ) -> bool:
        """Tie a task to another record; False when a person has tied it to something of theirs."""
        return tie(self._client, "Tasks", remote_id, record, among, beside)


def as_task(thread: Thread) -> Body:
    """Write a conversation as Zoho's Tasks module wants it: done on the day it took place."""
    row: Body = {
        "Subject": thread.subject[:SUBJECT_LENGTH],
        "Due_Date": thread.day.isoformat(),
        "Status": "Completed",
        "Description": thread.words,
    }
    if thread.owner:
        row["Owner"] = {"id": thread.owner}
    return row | belongs_to(thread.record, thread.beside)
