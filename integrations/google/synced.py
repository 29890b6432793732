"""A listing of people that Google reads out once and then by what changed: pages, positions, and what gets lost.

Google names the position only on the last page and forgets it seven days after the full read; what then follows,
reading everything and comparing, is the caller's decision (CursorLost).
https://developers.google.com/people/v1/contacts
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from domain.contact import Gone, Record
from domain.errors import Refused, TryLater
from domain.ports import CursorLost, Reading
from integrations.google.transport import UserHttp, execute

PAGE_SIZE = 1000  # the most Google gives
Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing. `ask` makes its request from the tokens; apart from those every page is asked for in the same words.
    `holds`: what an answer calls its people."""

    user: UserHttp
    ask: Callable[..., Any]
    holds: str
    understood: Callable[[Entry], Iterator[Record | Gone]]

    def read(self, cursor: str) -> Reading:
        """Read since `cursor`, or everything when it is empty. Raises CursorLost before the first item."""
        first = self._page(cursor)
        reading = Reading(items=iter(()), complete=not cursor)
        reading.items = self._items(reading, cursor, first)
        return reading

    def _items(self, reading: Reading, cursor: str, page: Mapping[str, Any]) -> Iterator[Record | Gone]:
        again = False
        while True:
            for entry in page.get(self.holds, ()):
                yield from self.understood(entry)
            following = page.get("nextPageToken")
            if not following:
                break
            try:
                page = self._page(cursor, following)
            except (CursorLost, Refused):  # the page token died on the way: once more from the top, telling some twice
                if again:
                    raise TryLater("Google loses its place in these contacts.") from None
                again = True
                page = self._page(cursor)
        reading.cursor = page.get("nextSyncToken", "")

    def _page(self, cursor: str, following: str = "") -> dict[str, Any]:
        tokens = {key: value for key, value in (("syncToken", cursor), ("pageToken", following)) if value}
        return execute(self.ask(pageSize=PAGE_SIZE, requestSyncToken=True, **tokens), self.user)
