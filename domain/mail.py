"""Mail as we show it beside calls: headers, a body while somebody reads it, and how soon both must be gone.

`buckets` is the arithmetic behind "gone within 24 hours": a message shares a key with all others of its bucket, and
the key dies MAIL_CACHE_SECONDS after the bucket began, so no message outlives that by a second.
"""

from __future__ import annotations

import email.utils
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

HOUR_SECONDS = 3600
LISTS = ("to", "labels", "references")
UNREAD = "UNREAD"  # the label of a message nobody has read


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message between a user of the tenant and a known contact. `at` is when Google received it (UTC)."""

    id: str
    thread: str
    at: datetime
    sender: str
    to: tuple[str, ...]
    subject: str
    snippet: str = ""
    body: str = ""
    unread: bool = False
    mailbox: str = ""  # our id of the connection it was read through
    labels: tuple[str, ...] = ()  # the mailbox's own ids of them
    reference: str = ""  # its Message-ID, by which an answer names it
    references: tuple[str, ...] = ()  # the Message-IDs it answers, the first one first
    answer_to: str = ""  # whom an answer should go to, where that is not the sender

    @property
    def key(self) -> str:
        """What it is called here: an id of Google's is unique in its mailbox only."""
        return f"{self.mailbox}.{self.id}" if self.mailbox else self.id

    @property
    def correspondents(self) -> frozenset[str]:
        """Every address on it, spelled the way we compare addresses."""
        found = email.utils.getaddresses([self.sender, *self.to])
        return frozenset(address.strip().casefold() for _, address in found if "@" in address)

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values, for sealing."""
        plain = {name: list(getattr(self, name)) for name in LISTS}
        return {**asdict(self), "at": self.at.isoformat(), **plain}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Message:
        """Undo `as_data`."""
        lists = {name: tuple(data.get(name, ())) for name in LISTS}
        return cls(**{**data, "at": datetime.fromisoformat(data["at"]), **lists})


def bucket_seconds(cache_seconds: int) -> int:
    """How long one key seals for: an hour at most, a twelfth of a shorter promise."""
    return max(1, min(HOUR_SECONDS, cache_seconds // 12))


def bucket_start(at: datetime, cache_seconds: int) -> datetime:
    """The beginning of the bucket `at` falls into, counted from the epoch."""
    size = bucket_seconds(cache_seconds)
    return datetime.fromtimestamp(int(at.timestamp()) // size * size, tz=at.tzinfo)


def bucket_end(start: datetime, cache_seconds: int) -> datetime:
    """When the bucket's key must be gone: counted from its beginning, so that its oldest message is on time too."""
    return start + timedelta(seconds=cache_seconds)


def known(message: Message, addresses: Iterable[str]) -> bool:
    """Is anybody on this message a contact?"""
    return not message.correspondents.isdisjoint(addresses)
