"""Mail as we show it beside calls: headers, a body while somebody reads it, and how soon both must be gone.

`buckets` is the arithmetic behind "gone within 24 hours": a message shares a key with all others of its bucket, and
the key dies MAIL_CACHE_SECONDS after the bucket began, so no message outlives that by a second.
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

HOUR_SECONDS = 3600
LISTS = ("to", "labels", "references")
WAITING = "letter-"  # before the mark of what is not sent yet; no id of Google's looks like that
ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")
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

    def labelled(self, labels: Sequence[str]) -> Message:
        """The same message with other labels."""
        return replace(self, labels=tuple(labels), unread=UNREAD in labels)

    @property
    def correspondents(self) -> frozenset[str]:
        """Every address on it, spelled the way we compare addresses."""
        found = email.utils.getaddresses([self.sender, *self.to])
        return frozenset(address.strip().casefold() for _, address in found if "@" in address)

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values, for sealing."""
        plain = {name: list(getattr(self, name)) for name in LISTS}
        return {**asdict(self), "at": self.at.isoformat(), **plain}

    @property
    def written_by(self) -> str:
        """The sender's name, for lists."""
        return name_of(self.sender)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Message:
        """Undo `as_data`."""
        lists = {name: tuple(data.get(name, ())) for name in LISTS}
        return cls(**{**data, "at": datetime.fromisoformat(data["at"]), **lists})


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a user wrote and nobody has sent yet. `mark` is ours: it finds the message again."""

    mark: str
    to: str
    subject: str
    text: str
    thread: str = ""
    references: tuple[str, ...] = ()  # the Message-IDs it answers, the latest last

    def as_message(self, mailbox: str, at: datetime) -> Message:
        """How it waits among cached mail, under the same keys and the same end."""
        return Message(
            id=f"{WAITING}{self.mark}",
            thread=self.thread,
            at=at,
            sender="",
            to=(self.to,),
            subject=self.subject,
            body=self.text,
            mailbox=mailbox,
            references=self.references,
        )

    @classmethod
    def of_message(cls, waiting: Message) -> Letter:
        """Undo `as_message`."""
        return cls(
            mark=waiting.id.removeprefix(WAITING),
            to=waiting.to[0],
            subject=waiting.subject,
            text=waiting.body,
            thread=waiting.thread,
            references=waiting.references,
        )


def address_of(shown: str) -> str:
    """The bare address of somebody as a header shows them; "" for none that could be written to, or for several.

    Python's own reading of what is not one address differs from release to release (CVE-2023-27043).

    >>> address_of('"Dana Dune" <dana@sol.example>')
    'dana@sol.example'
    """
    found = [] if any(end in shown for end in "\r\n") else email.utils.getaddresses([shown])
    return found[0][1] if len(found) == 1 and ADDRESS.fullmatch(found[0][1]) else ""


def name_of(shown: str) -> str:
    """What somebody calls themselves in a header; their address where it says no more."""
    name, address = email.utils.parseaddr(shown)
    return (name or address) if "@" in address else shown


def threads(messages: Iterable[Message]) -> list[list[Message]]:
    """Put messages into their threads: of the thread that was written to last first, each its newest first."""
    found: dict[tuple[str, str], list[Message]] = {}
    for message in sorted(messages, key=lambda one: one.at, reverse=True):
        found.setdefault((message.mailbox, message.thread or message.id), []).append(message)
    return list(found.values())


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
