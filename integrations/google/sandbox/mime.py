"""Mail as bytes and as Gmail shows it: writing a message, reading its headers and words, drawing its `payload` tree."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from email.policy import default as MODERN
from email.utils import format_datetime, getaddresses
from functools import cached_property
from html import escape, unescape
from typing import Any

from .tokens import b64, unb64

SNIPPET_LENGTH = 200
WORD = re.compile(r"\w+")
TAG = re.compile(r"<[^>]+>")
REPLY_PREFIX = re.compile(r"^\s*((re|fwd?|aw|rv)\s*:\s*)+", re.IGNORECASE)


def words(text: str) -> list[str]:
    """Split text into the whole, case-folded words that search compares."""
    return WORD.findall(text.casefold())


def write(
    *,
    sender: str,
    to: str,
    subject: str,
    text: str,
    date: datetime,
    html: str = "",
    headers: Mapping[str, str] | None = None,
    attachments: Sequence[Mapping[str, str]] = (),
) -> bytes:
    """Write a message; attachments carry `filename`, `mimeType` and base64 `data`."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = format_datetime(date.astimezone(UTC))
    for name, value in (headers or {}).items():
        message[name] = value
    if "Message-ID" not in message:
        message["Message-ID"] = new_message_id()
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    for attachment in attachments:
        kind, _, subtype = attachment.get("mimeType", "application/octet-stream").partition("/")
        data = unb64(attachment.get("data", ""))
        message.add_attachment(data, maintype=kind, subtype=subtype, filename=attachment["filename"])
    return message.as_bytes()


def new_message_id() -> str:
    """Invent a Message-ID as Gmail would."""
    return f"<CA+{secrets.token_urlsafe(24)}@mail.gmail.com>"


class Mail:
    """A message as it lies on the wire, read no further than somebody asks."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @cached_property
    def parsed(self) -> EmailMessage:
        """Parse it."""
        parsed = message_from_bytes(self.raw, policy=MODERN)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def header(self, name: str) -> str:
        """Read one header, unfolded and decoded, or nothing."""
        return str(self.parsed.get(name, ""))

    def addresses(self, *names: str) -> list[str]:
        """List the bare addresses in the named headers, lower-cased."""
        values = [str(value) for name in names for value in self.parsed.get_all(name, [])]
        return [address.lower() for _, address in getaddresses(values) if address]

    @cached_property
    def message_id(self) -> str:
        """Name the message as other mail refers to it."""
        return self.header("Message-ID").strip()

    @cached_property
    def ancestors(self) -> frozenset[str]:
        """Name every message this one says it follows."""
        return frozenset(f"{self.header('References')} {self.header('In-Reply-To')}".split())

    @cached_property
    def topic(self) -> str:
        """Give the subject without its Re: and Fwd:, for threading."""
        return " ".join(REPLY_PREFIX.sub("", self.header("Subject")).casefold().split())

    @cached_property
    def text(self) -> str:
        """Give the words a person would read."""
        body = self.parsed.get_body(preferencelist=("plain", "html"))
        if body is None:
            return ""
        content = str(body.get_content())
        return unescape(TAG.sub(" ", content)) if body.get_content_subtype() == "html" else content

    @cached_property
    def snippet(self) -> str:
        """Give the first words, with HTML entities as Gmail does."""
        return escape(" ".join(self.text.split())[:SNIPPET_LENGTH])

    @cached_property
    def all_words(self) -> list[str]:
        """List the words a bare search term looks among."""
        headers = " ".join(self.header(name) for name in ("Subject", "From", "To", "Cc"))
        return words(f"{headers} {self.text}")

    @cached_property
    def filenames(self) -> list[str]:
        """Name the attachments."""
        return [name for _, part in leaves(self.parsed) if (name := part.get_filename())]


def leaves(message: EmailMessage, prefix: str = "") -> Iterator[tuple[str, EmailMessage]]:
    """Walk a message's parts with Gmail's part ids: "" for the root, then "0", "1", "1.0" and so on."""
    yield prefix, message
    if message.get_content_maintype() == "multipart":
        for index, part in enumerate(message.iter_parts()):
            if isinstance(part, EmailMessage):
                yield from leaves(part, f"{prefix}.{index}" if prefix else str(index))


def content(part: EmailMessage) -> bytes:
    """Give a part's decoded bytes."""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def draw_headers(message: EmailMessage, only: Collection[str] = ()) -> list[dict[str, str]]:
    """List headers as name and value, all of them or only some."""
    wanted = {name.lower() for name in only}
    return [
        {"name": name, "value": str(value)} for name, value in message.items() if not wanted or name.lower() in wanted
    ]


def draw_payload(message: EmailMessage, message_id: str, part_id: str = "") -> dict[str, Any]:
    """Draw a message as the tree of `format=full`."""
    filename = message.get_filename() or ""
    drawn: dict[str, Any] = {
        "partId": part_id,
        "mimeType": message.get_content_type(),
        "filename": filename,
        "headers": draw_headers(message),
        "body": {"size": 0},
    }
    if message.get_content_maintype() == "multipart":
        drawn["parts"] = [
            draw_payload(part, message_id, f"{part_id}.{index}" if part_id else str(index))
            for index, part in enumerate(message.iter_parts())
            if isinstance(part, EmailMessage)
        ]
        return drawn
    data = content(message)
    if filename:
        drawn["body"] = {"attachmentId": write_attachment_id(message_id, part_id), "size": len(data)}
    else:
        drawn["body"] = {"size": len(data), "data": padded(data)}
    return drawn


def padded(data: bytes) -> str:
    """Encode as base64url with padding, as Gmail writes bodies."""
    text = b64(data)
    return text + "=" * (-len(text) % 4)


def write_attachment_id(message_id: str, part_id: str) -> str:
    """Invent an attachment id; it is another one each time a message is read, so nobody can rely on keeping it."""
    return f"ANGjdJ{b64(f'{secrets.token_hex(8)}:{message_id}:{part_id}'.encode())}"


def find_attachment(mail: Mail, message_id: str, attachment_id: str) -> bytes | None:
    """Find the bytes an attachment id of this message stands for."""
    try:
        _, owner, part_id = unb64(attachment_id.removeprefix("ANGjdJ")).decode().split(":")
    except ValueError:
        return None
    if owner != message_id:
        return None
    return next((content(part) for found, part in leaves(mail.parsed) if found == part_id), None)
