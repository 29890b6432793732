"""The understudy's own clock, and the one spelling of time Zoho accepts: ISO 8601 with an offset and no fractions.

Nothing sleeps here: the stage turns the clock, and everything that expires looks at it.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

ISO_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:?\d\d)")


class Clock:
    """Real time plus however far the stage has turned it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ahead = 0.0

    def now(self) -> float:
        """Say the time, in seconds since 1970."""
        return self._now() + self._ahead

    def second(self) -> datetime:
        """Say the time as Zoho stores it: UTC, whole seconds."""
        return at(self.now())

    def advance(self, seconds: float) -> None:
        """Turn the clock."""
        self._ahead += seconds

    def reset(self) -> None:
        """Go back to real time."""
        self._ahead = 0.0


def at(epoch: float) -> datetime:
    """Turn seconds since 1970 into a whole UTC second."""
    return datetime.fromtimestamp(int(epoch), UTC)


def parse_time(text: object) -> datetime | None:
    """Read a time as Zoho does, or None when it is not spelt that way."""
    if not isinstance(text, str) or not ISO_SECONDS.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:  # the 30th of February
        return None


def show_time(moment: datetime, zone: ZoneInfo) -> str:
    """Write a time in the asking user's zone, as every Zoho answer does."""
    return moment.astimezone(zone).isoformat(timespec="seconds")


def later(moment: datetime, seconds: float) -> datetime:
    """Add seconds to a moment."""
    return moment + timedelta(seconds=seconds)
