"""A note on a record in Zoho, written because somebody pressed the button for it, and found again by our marker.

Everybody's notes are an administrator's to list, but those of one record are anybody's who sees it:
https://www.zoho.com/crm/developer/docs/api/v8/get-notes.html, create-notes.html. How long a title may be is not
documented; it is kept to what Zoho's own screen takes.
"""

from __future__ import annotations

from domain.ports import Note, Written
from domain.said import tag
from integrations.zoho.client import CRM, Body, ZohoClient, info_of, rows_of
from integrations.zoho.creating import create

TITLE_LENGTH = 120
PAGE = 200
PAGES = 10  # of a record's notes, among which ours is looked for


class Notes:
    """The notes of one organisation's records."""

    def __init__(self, client: ZohoClient) -> None:
        self._client = client

    def add(self, note: Note) -> Written:
        """Write a note; no workflow runs. Raises Unanswered when nobody knows."""
        return create(self._client, "Notes", [_row(note)], [])[0]

    def find(self, note: Note) -> str:
        """Return the id of the note that carries the marker, else ""."""
        module, remote_id = note.record
        for page in range(1, PAGES + 1):
            params = {"fields": "Note_Title,Note_Content", "page": str(page), "per_page": str(PAGE)}
            answer = self._client.read(f"{CRM}/{module}/{remote_id}/Notes", params)
            for row in rows_of(answer, "data"):
                if tag(note.marker) in str(row.get("Note_Content") or "").splitlines():
                    return str(row.get("id"))
            if not answer or not info_of(answer).get("more_records"):
                break
        return ""


def _row(note: Note) -> Body:
    module, remote_id = note.record
    return {
        "Note_Title": note.title[:TITLE_LENGTH],
        "Note_Content": note.text,
        "Parent_Id": {"module": {"api_name": module}, "id": remote_id},
    }
