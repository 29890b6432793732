"""What we ask Google with a token a host lent us for one call: the open message, an allowed file, a day in a calendar.

The token is the user's own, reaches as far as they allowed, and is kept nowhere. A silence is short: somebody waits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import time
from typing import Any
from urllib.parse import quote

import requests

from domain.errors import NotAllowed, Refused, TryLater
from domain.mail import Message
from domain.ports import CursorLost, Http
from integrations.google import letter
from integrations.google.cards.event import Message as Opened
from integrations.google.remedy import remedy

GMAIL, APIS = "https://gmail.googleapis.com", "https://www.googleapis.com"
HEADERS = ("From", "To", "Cc", "Subject", "Date")
MOST_BYTES = 2_000_000  # of a file or a message
APPOINTMENT = timedelta(minutes=15)
# Google exports these as text; of a spreadsheet the first sheet.
# https://developers.google.com/workspace/drive/api/guides/ref-export-formats
EXPORTS = {
    "application/vnd.google-apps.document": "text/plain",
    "application/vnd.google-apps.presentation": "text/plain",
    "application/vnd.google-apps.spreadsheet": "text/csv",
}
KINDS = {"DOCS": "document", "SLIDES": "presentation", "SHEETS": "spreadsheet"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """One user's token for one call."""

    http: Http
    token: str = field(repr=False)
    root: str = ""  # replaces Google's own addresses (GOOGLE_API_ROOT)
    timeout: float = 5.0

    def message(self, opened: Opened, *, whole: bool) -> Message:
        """The message somebody has open: who wrote it to whom; `whole`: with its text."""
        form = {"format": "full"} if whole else {"format": "metadata", "metadataHeaders": HEADERS}
        address = f"{self.root or GMAIL}/gmail/v1/users/me/messages/{quote(opened.id, safe='')}"
        # https://developers.google.com/workspace/add-ons/guides/alternate-runtimes#access_user_data
        return letter.read(self._json("GET", address, params=form, headers={"X-Goog-Gmail-Access-Token": opened.token}))

    def text(self, file: str, kind: str) -> tuple[str, bool]:
        """The text of a file, and whether it is a table. Raises Refused for a kind that has none."""
        if kind not in EXPORTS:
            raise Refused("This kind of file has no text.", code="file.kind")
        address = f"{self.root or APIS}/drive/v3/files/{quote(file, safe='')}/export"
        answer = self._ask("GET", address, params={"mimeType": EXPORTS[kind]})
        return answer.content[:MOST_BYTES].decode("utf-8", errors="replace"), EXPORTS[kind] == "text/csv"

    def appoint(self, key: str, *, title: str, text: str, at: datetime, zone: str) -> None:
        """Put a quarter of an hour into the user's own calendar, once for a key: the appointment's id is made of it."""
        body = {
            "id": hashlib.sha256(key.encode()).hexdigest(),  # 0-9 and a-f are letters an id may have
            "summary": title,
            "description": text,
            "start": {"dateTime": at.isoformat(timespec="seconds"), "timeZone": zone},
            "end": {"dateTime": (at + APPOINTMENT).isoformat(timespec="seconds"), "timeZone": zone},
        }
        address = f"{self.root or APIS}/calendar/v3/calendars/primary/events"
        self._ask("POST", address, json=body, fine=(409,))  # it stands there already

    def _json(self, method: str, address: str, **more: Any) -> Mapping[str, Any]:
        try:
            value = json.loads(self._ask(method, address, **more).content)
        except (ValueError, RecursionError):
            raise TryLater("Google's answer could not be read.") from None
        if not isinstance(value, dict):
            raise TryLater("Google's answer could not be read.")
        return value

    def _ask(
        self,
        method: str,
        address: str,
        *,
        headers: Mapping[str, str] | None = None,
        fine: tuple[int, ...] = (),
        **more: Any,
    ) -> requests.Response:
        """Ask once; every one of these may be asked again without harm."""

        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {self.token}"
            return request

        try:
            answer: requests.Response = self.http.request(
                method,
                address,
                headers={**(headers or {})},
                auth=sign,  # as a header, an entry in somebody's .netrc would replace it
                allow_redirects=False,
                timeout=self.timeout,
                **more,
            )
        except requests.RequestException:
            raise TryLater("Google could not be reached.") from None
        if answer.status_code < 300 or answer.status_code in fine:
            return answer
        if answer.status_code == 401:
            raise NotAllowed("Google does not take this token.")
        error = remedy(answer.status_code, answer.content, answer.headers, time(), True)
        raise TryLater(str(error)) if isinstance(error, CursorLost) else error
