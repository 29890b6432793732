"""A message as it is written into the CRM when somebody presses the button for that: a note, word for word."""

from __future__ import annotations

from datetime import tzinfo

from domain.mail import Message
from domain.ports import Note
from domain.said import marked

LONGEST = 30_000  # characters of a message; a note takes 32,000
REST = "(The rest stands in the mailbox.)"


def note_of(message: Message, record: tuple[str, str], marker: str, zone: tzinfo) -> Note:
    """Say what is written, and where."""
    text = (message.body or message.snippet).strip()
    words = (
        f"From: {message.sender}",
        f"To: {', '.join(message.to)}",
        f"Received: {message.at.astimezone(zone):%Y-%m-%d %H:%M %Z}",
        text[:LONGEST],
        REST if len(text) > LONGEST else "",
    )
    return Note(marker=marker, record=record, title=message.subject or "(no subject)", text=marked(words, marker))
