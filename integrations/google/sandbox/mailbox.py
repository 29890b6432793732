"""A Gmail mailbox: messages, threads, labels and the history of every change to them.

Ids behave as they do in life: message ids are hex, history ids are unsigned 64-bit numbers that grow with gaps (here
they start above 2^63, where a signed BIGINT breaks), and history forgets.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .errors import GoogleError, bad, not_found
from .mime import Mail, draw_headers, draw_payload, padded
from .query import HIDDEN, Query

FIRST_HISTORY_ID = 2**63 + 4_096
FIRST_MESSAGE_NUMBER = 0x1990_0000_0000_0000
CATEGORIES = ("PERSONAL", "SOCIAL", "PROMOTIONS", "UPDATES", "FORUMS")
SYSTEM_LABELS = (
    *("INBOX", "SENT", "DRAFT", "SPAM", "TRASH", "UNREAD", "STARRED", "IMPORTANT", "CHAT"),
    *(f"CATEGORY_{name}" for name in CATEGORIES),
)
FIXED_LABELS = frozenset({"SENT", "DRAFT", "CHAT"})  # nobody may put these on or take them off

Kind: TypeAlias = Literal["messageAdded", "messageDeleted", "labelAdded", "labelRemoved"]


@dataclass(slots=True)
class Message:
    """A message as it lies in one mailbox."""

    id: str
    thread_id: str
    mail: Mail
    labels: list[str]
    date_ms: int
    history_id: int

    def reference(self, *, with_labels: bool = False) -> dict[str, Any]:
        """Name the message as lists do."""
        return {"id": self.id, "threadId": self.thread_id} | ({"labelIds": self.labels} if with_labels else {})

    def draw(self, form: str, headers: Iterable[str]) -> dict[str, Any]:
        """Draw it in one of Gmail's four formats."""
        drawn: dict[str, Any] = self.reference(with_labels=True) | {
            "snippet": self.mail.snippet,
            "historyId": str(self.history_id),
            "internalDate": str(self.date_ms),
            "sizeEstimate": len(self.mail.raw),
        }
        if form == "raw":
            drawn["raw"] = padded(self.mail.raw)
        elif form == "full":
            drawn["payload"] = draw_payload(self.mail.parsed, self.id)
        elif form == "metadata":
            shown = draw_headers(self.mail.parsed, frozenset(headers))
            drawn["payload"] = {"mimeType": self.mail.parsed.get_content_type(), "headers": shown}
        return drawn


@dataclass(frozen=True, slots=True)
class Change:
    """One row of history; the message may be gone by the time somebody reads it."""

    id: int
    at: float
    kind: Kind
    message_id: str
    thread_id: str
    labels: tuple[str, ...]  # on the message afterwards
    moved: tuple[str, ...] = ()  # put on or taken off

    def draw(self) -> dict[str, Any]:
        """Draw it as history.list does."""
        name = {
            "messageAdded": "messagesAdded",
            "messageDeleted": "messagesDeleted",
            "labelAdded": "labelsAdded",
            "labelRemoved": "labelsRemoved",
        }[self.kind]
        message = {"id": self.message_id, "threadId": self.thread_id}
        entry: dict[str, Any] = {"message": message | {"labelIds": list(self.labels)}}
        if self.moved:
            entry["labelIds"] = list(self.moved)
        return {"id": str(self.id), "messages": [message], name: [entry]}


@dataclass(slots=True)
class Label:
    """A label the user made."""

    id: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    def draw(self) -> dict[str, Any]:
        """Draw it as lists do."""
        shown = {"messageListVisibility": "show", "labelListVisibility": "labelShow"}
        return {"id": self.id, "name": self.name, "type": "user"} | shown | self.settings


class Mailbox:
    """One user's mail."""

    def __init__(self, owner: str, now: Callable[[], float], changed: Callable[[list[Change]], None]) -> None:
        self.owner, self._now, self._changed = owner, now, changed
        self.messages: dict[str, Message] = {}
        self.labels: dict[str, Label] = {}
        self.history_id = FIRST_HISTORY_ID
        self._history: list[Change] = []
        self._forgotten = FIRST_HISTORY_ID - 1  # the last history id that can no longer be asked for
        self._numbers = 0
        self._labels_made = 0
        self._by_message_id: dict[str, list[Message]] = {}

    def arrive(self, raw: bytes, labels: Iterable[str], date: float | None = None, thread_id: str = "") -> Message:
        """Take a message in and thread it, into the asked thread only if it belongs there."""
        mail = Mail(raw)
        self._numbers += 1
        own_id = f"{FIRST_MESSAGE_NUMBER + self._numbers * 0x1_0001:016x}"
        date_ms = int((self._now() if date is None else date) * 1000)
        thread = self._thread_of(mail, thread_id) or own_id
        message = Message(own_id, thread, mail, list(dict.fromkeys(labels)), date_ms, 0)
        self.messages[message.id] = message
        self._by_message_id.setdefault(mail.message_id, []).append(message)
        self._record(message, [("messageAdded", ())])
        return message

    def message(self, message_id: str) -> Message:
        """Find a message."""
        found = self.messages.get(message_id)
        if found is None:
            raise not_found()
        return found

    def thread(self, thread_id: str) -> list[Message]:
        """Find a thread, oldest message first."""
        found = [message for message in self.messages.values() if message.thread_id == thread_id]
        if not found:
            raise not_found()
        return sorted(found, key=lambda message: message.date_ms)

    def relabel(self, message: Message, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Put labels on and take labels off; what changes nothing leaves no history."""
        off = tuple(label for label in dict.fromkeys(remove) if label in message.labels)
        on = tuple(label for label in dict.fromkeys(add) if label not in message.labels)
        message.labels = [label for label in message.labels if label not in off] + list(on)
        moves: list[tuple[Kind, tuple[str, ...]]] = [("labelAdded", on), ("labelRemoved", off)]
        self._record(message, [(kind, labels) for kind, labels in moves if labels])

    def delete(self, message: Message) -> None:
        """Delete a message for good."""
        del self.messages[message.id]
        self._by_message_id[message.mail.message_id].remove(message)
        self._record(message, [("messageDeleted", ())])

    def check_labels(self, labels: Iterable[str], *, changing: bool = False) -> None:
        """Refuse labels that do not exist or, when changing them, that nobody may change."""
        for label in labels:
            if (label not in SYSTEM_LABELS and label not in self.labels) or (changing and label in FIXED_LABELS):
                raise bad(f"Invalid label: {label}")

    def make_label(self, name: str, settings: dict[str, Any]) -> Label:
        """Make a label, unless there is one of that name."""
        self.check_label_name(name)
        self._labels_made += 1
        label = Label(f"Label_{self._labels_made}", name, settings)
        self.labels[label.id] = label
        return label

    def check_label_name(self, name: str, but: str = "") -> None:
        """Refuse an empty name and one that is taken."""
        if not name:
            raise bad("Invalid label name")
        taken = {label.name.lower() for label in self.labels.values() if label.id != but}
        if name.lower() in taken or name.upper() in SYSTEM_LABELS:
            raise GoogleError(409, "Label name exists or conflicts", "aborted", status="ABORTED")

    def search(self, text: str, labels: Iterable[str], *, hidden: bool) -> list[Message]:
        """List the messages a search finds, newest first; spam and trash only when asked for."""
        names = {label.name.lower().replace(" ", "-"): label.id for label in self.labels.values()}
        query, wanted = Query(text, self._now(), names), set(labels)
        reach = hidden or query.reaches_hidden or bool(wanted & HIDDEN)
        found = (
            message
            for message in self.messages.values()
            if wanted.issubset(message.labels)
            and (reach or not HIDDEN.intersection(message.labels))
            and query.matches(message)
        )
        return sorted(found, key=lambda message: (message.date_ms, message.id), reverse=True)

    def history(self, start: int, retention: float) -> list[Change]:
        """List what changed after a history id, or say that it is too long ago (404)."""
        edge = self._now() - retention
        if gone := bisect_left(self._history, edge, key=lambda change: change.at):
            self._forgotten = self._history[gone - 1].id
            del self._history[:gone]
        if not self._forgotten <= start <= self.history_id:
            raise not_found()
        return self._history[bisect_right(self._history, start, key=lambda change: change.id) :]

    def _record(self, message: Message, moves: list[tuple[Kind, tuple[str, ...]]]) -> None:
        rows = []
        for kind, moved in moves:
            self.history_id += 1 + self.history_id % 7  # increasing, with gaps
            labels = tuple(message.labels)
            rows.append(Change(self.history_id, self._now(), kind, message.id, message.thread_id, labels, moved))
        if rows:
            self._history += rows
            message.history_id = self.history_id
            self._changed(rows)

    def _thread_of(self, mail: Mail, asked: str) -> str | None:
        """Follow References and In-Reply-To within the same subject, as Gmail threads."""
        for ancestor in mail.ancestors:
            for message in self._by_message_id.get(ancestor, ()):
                if message.mail.topic == mail.topic and asked in ("", message.thread_id):
                    return message.thread_id
        return None
