"""When a user's calendar says busy: stretches of time and nothing else of it, believed for a quarter of an hour."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

CURSOR = "busy"  # where a connection keeps them, sealed
BELIEVED = timedelta(minutes=15)
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class BusyTimes:
    """What a calendar said of the time after `read_at`. Each span begins with its first moment and ends before its
    second."""

    read_at: datetime
    spans: tuple[Span, ...] = ()

    def fresh(self, now: datetime) -> bool:
        """Whether what was read is recent enough to believe."""
        return abs(now - self.read_at) <= BELIEVED

    def at(self, now: datetime) -> bool:
        """Whether the calendar says busy. What is too old says nothing."""
        return self.fresh(now) and any(start <= now < end for start, end in self.spans)

    def as_text(self) -> str:
        """How they are kept."""
        spans = [[start.isoformat(), end.isoformat()] for start, end in self.spans]
        return json.dumps({"read_at": self.read_at.isoformat(), "spans": spans})

    @classmethod
    def from_text(cls, text: str) -> BusyTimes | None:
        """Undo `as_text`; None for what is not there or cannot be read."""
        try:
            told = json.loads(text)
            spans = tuple((moment(start), moment(end)) for start, end in told["spans"])
            return cls(read_at=moment(told["read_at"]), spans=spans)
        except (ValueError, TypeError, LookupError, RecursionError):
            return None


def moment(told: str) -> datetime:
    """Read a point in time. Raises ValueError where it could be several, TypeError for what is no text."""
    read = datetime.fromisoformat(told)
    if read.tzinfo is None:
        raise ValueError("a time without its zone")
    return read
