"""A conversation by text message: a customer's number, our line, one day of the tenant's own clock. A fax stands alone.

Pure and order-free: messages may come doubled and late, and the day reads the same. Nothing is stored or sent here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields, replace
from datetime import date, datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

from domain import undelivered
from domain.call import Stage, TextEvent
from domain.said import MOST_CHARACTERS, marked

ROOM = MOST_CHARACTERS - 2_000  # for the messages of a day in an activity; the rest is for people
MEDIA = {1: "(a picture or file)"}
STAGES: tuple[Stage, ...] = get_args(Stage)


def as_data(message: TextEvent) -> dict[str, Any]:
    """Plain JSON values, for sealing."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(message).items()
        if value not in ("", (), False)
    }


def from_data(data: dict[str, Any]) -> TextEvent:
    """Undo `as_data`; a field that a later version added is left at its default."""
    known = {field.name for field in fields(TextEvent)}
    values = {name: value for name, value in data.items() if name in known}
    return TextEvent(**values | {"at": datetime.fromisoformat(data["at"]), "media": tuple(data.get("media", ()))})


def customer(message: TextEvent) -> str:
    """The number at the far end."""
    return message.sender if message.direction == "inbound" else message.receiver


def ours(message: TextEvent) -> str:
    """Our line, or whoever answers it where the line has no number."""
    line = message.receiver if message.direction == "inbound" else message.sender
    return line or message.agent_extension or message.agent_email


def apart(message: TextEvent) -> str:
    """What keeps a fax from being part of a conversation: its own id; "" for a text."""
    return f"fax {message.message_ref}" if message.fax else ""


def described(message: TextEvent) -> str:
    """A fax in words.

    >>> described(TextEvent(id="", at=datetime.min, message_ref="f", direction="outbound", sender="", receiver="",
    ...     fax=True, pages=3, failed="the line was busy"))
    'a fax of 3 pages, not delivered: the line was busy'
    """
    pages = f" of {message.pages} page{'' if message.pages == 1 else 's'}" if message.pages else ""
    return f"a fax{pages}" + (f", not delivered: {message.failed}" if message.failed else "")


def day(message: TextEvent, zone: ZoneInfo) -> date:
    return message.at.astimezone(zone).date()


def together(*told: Iterable[TextEvent]) -> tuple[TextEvent, ...]:
    """Each message once, in the order they were written. Of two accounts of one message the earliest stays, with what
    only the later one says, and as far as either saw it come.
    """
    every = sorted((message for some in told for message in some), key=lambda one: (one.at, one.id))
    once: dict[tuple[str, str], TextEvent] = {}
    for message in every:
        first = once.setdefault(key(message), message)
        once[key(message)] = _completed(first, message)
    return tuple(sorted(once.values(), key=lambda one: (one.at, one.message_ref, one.direction)))


def key(message: TextEvent) -> tuple[str, str]:
    """What makes two accounts those of one message."""
    return message.direction, message.message_ref


def _completed(first: TextEvent, later: TextEvent) -> TextEvent:
    further = max(first, later, key=lambda one: STAGES.index(one.stage))  # the first of two that are as far
    return replace(
        first,
        text=first.text or later.text,
        media=first.media or later.media,
        unsaid=first.unsaid and later.unsaid,
        agent_email=first.agent_email or later.agent_email,
        agent_extension=first.agent_extension or later.agent_extension,
        stage=further.stage,
        failed=further.failed,
    )


def news(before: Sequence[TextEvent], told: Sequence[TextEvent]) -> list[TextEvent]:
    """What there is to take over of messages: that one of ours went wrong is news only where we know the message.

    What other programs could not even send was never part of a conversation.
    """
    known = {key(message) for message in (*before, *(one for one in told if one.stage != "failed"))}
    return [message for message in told if message.stage != "failed" or key(message) in known]


def worded(messages: Iterable[TextEvent]) -> list[TextEvent]:
    """What of messages can be read in an activity: not how far one has come that did not go wrong."""
    return [replace(message, stage="") for message in messages]


def words(
    messages: Sequence[TextEvent], marker: str, zone: ZoneInfo, customer_name: str, name_of: Callable[[TextEvent], str]
) -> str:
    """What an activity says of a conversation's day: a line for each message, the latest ones where there are many."""
    lines: list[str] = []
    room = ROOM
    for message in reversed(messages):
        line = _line(message, zone, customer_name if message.direction == "inbound" else name_of(message))
        room -= len(line) + 1
        if room < 0:
            lines.append(f"(Before: {len(messages) - len(lines)} more.)")
            break
        lines.append(line)
    return marked(lines[::-1], marker)


def _line(message: TextEvent, zone: ZoneInfo, who: str) -> str:
    if message.fax:
        return f"{message.at.astimezone(zone):%H:%M} {who}: {described(message)}"
    count = len(message.media)
    media = MEDIA.get(count, f"({count} pictures or files)") if count else ""
    said = " ".join(filter(None, (message.text, media))) or "(no words)"
    lost = f" (not delivered: {undelivered.why(message.failed)})" if message.failed else ""
    return f"{message.at.astimezone(zone):%H:%M} {who}: {said}{lost}"
