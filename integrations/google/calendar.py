"""Google Calendar: when a user's own calendar says busy, and nothing about what it is they do.

One calendar is asked for, the user's primary one, and its answer is taken under whatever name it has there: Google may
answer with the address it stands for. https://developers.google.com/workspace/calendar/api/v3/reference/freebusy/query
"""

from __future__ import annotations

from datetime import datetime

from domain.busy import Span, moment
from domain.errors import TryLater
from integrations.google.discovery import leaf
from integrations.google.transport import UserHttp, execute

PRIMARY = "primary"
UNREADABLE = "Google did not say when this calendar is busy."
MOST_SPANS = 200  # of the short time we ask about; more is no answer to that


class GoogleCalendar:
    """One Google user's own calendar."""

    def __init__(self, user: UserHttp, root: str = "") -> None:
        self._user = user
        self._freebusy = leaf(root, "calendar", "v3", "freebusy")

    def busy(self, since: datetime, until: datetime) -> tuple[Span, ...]:
        """When it says busy between these two moments. Raises TryLater where Google could not tell."""
        asked = {"timeMin": since.isoformat(), "timeMax": until.isoformat(), "items": [{"id": PRIMARY}]}
        told = execute(self._freebusy.query(body=asked, fields="calendars"), self._user, repeatable=True)
        try:
            (found,) = told["calendars"].values()
            if found.get("errors"):
                raise TryLater(UNREADABLE)
            spans = [(moment(one["start"]), moment(one["end"])) for one in found.get("busy") or ()]
        except (LookupError, ValueError, TypeError, AttributeError):
            raise TryLater(UNREADABLE) from None
        if len(spans) > MOST_SPANS:
            raise TryLater(UNREADABLE)
        return tuple((max(start, since), min(end, until)) for start, end in spans if start < until and since < end)
