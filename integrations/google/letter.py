"""What a Gmail message says: Gmail's JSON in, a `Message` of plain text out.

A body is the text its author wrote; only if there is none, the text of its HTML. No markup, link target, picture or
script survives, so that nothing a stranger sent can act in the page that shows it. Attached files are not looked at.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message as Headers
from email.utils import getaddresses, quote
from html import unescape
from typing import Any

from domain.mail import UNREAD, Message

MOST_BODY_BYTES = 200_000
MOST_PART_BYTES = 1_000_000  # a longer text part is not fetched, nor is more of it read
MOST_PARTS_DEEP = 20
MOST_REFERENCES = 50
MARK = re.compile(r"<[^<>\s]{1,250}>")  # a Message-ID, https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4
UNSEEN = frozenset({"script", "style", "title", "template", "noscript", "svg", "iframe"})
BREAKS = frozenset(
    {"br", "p", "div", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "hr"}
)
OPENING = re.compile(r"<!--|<(/?)([a-zA-Z][a-zA-Z0-9]*)|<[!?/]")
STOP = re.compile(r""">|=\s*["']""")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def read(raw: Mapping[str, Any], fetch: Callable[[str], str] = lambda attachment: "") -> Message:
    """Understand what `messages.get` answered; `fetch` brings the data of a text part that came without it."""
    payload = raw.get("payload", {})
    headers = [(header.get("name", "").casefold(), header.get("value", "")) for header in payload.get("headers", ())]
    return Message(
        id=raw["id"],
        thread=raw.get("threadId", ""),
        at=datetime.fromtimestamp(int(raw.get("internalDate", 0)) / 1000, UTC),
        sender=next(iter(_people(headers, "from")), ""),
        to=(*_people(headers, "to"), *_people(headers, "cc")),
        subject=next((_decoded(value) for name, value in headers if name == "subject"), ""),
        snippet=_shown(raw.get("snippet", "")).strip(),  # Gmail escapes it for HTML
        body=_cut("\n".join(_texts(payload, fetch, MOST_PARTS_DEEP)).strip()),
        unread=UNREAD in raw.get("labelIds", ()),
        labels=tuple(raw.get("labelIds", ())),
        reference=next(_marks(headers, "message-id"), ""),
        references=tuple(_marks(headers, "references"))[-MOST_REFERENCES:],
        answer_to=next(_people(headers, "reply-to"), ""),
    )


def _people(headers: list[tuple[str, str]], which: str) -> Iterator[str]:
    """Yield each address on a header as `"Name" <address>`, taken apart before names are decoded: a comma in one is not
    another address."""
    for name, address in getaddresses([value for key, value in headers if key == which]):
        if address:
            yield f'"{quote(shown)}" <{address}>' if (shown := _decoded(name)) else address


def _marks(headers: list[tuple[str, str]], which: str) -> Iterator[str]:
    """Yield the Message-IDs on a header."""
    return (mark for name, value in headers if name == which for mark in MARK.findall(value))


def _decoded(text: str) -> str:
    """Decode `=?utf-8?...?=` words; what cannot be decoded is shown as it came."""
    with suppress(HeaderParseError, LookupError, ValueError):
        text = str(make_header(decode_header(text)))
    return " ".join(CONTROL.sub(" ", text).split())


def _texts(part: Mapping[str, Any], fetch: Callable[[str], str], deep: int) -> Iterator[str]:
    """Yield the texts of a part: of alternatives the plain one, else the first; of others each in its order."""
    kind = part.get("mimeType", "").casefold()
    if part.get("filename") or not deep:
        return
    if kind.startswith("multipart/"):
        children = part.get("parts", ())
        if kind == "multipart/alternative":
            children = sorted(children, key=lambda child: child.get("mimeType", "").casefold() != "text/plain")
            texts = (list(_texts(child, fetch, deep - 1)) for child in children)
            yield from next((found for found in texts if any(found)), ())
            return
        for child in children:
            yield from _texts(child, fetch, deep - 1)
    elif kind in ("text/plain", "text/html"):
        text = _text(part, fetch)
        yield (plain(text) if kind == "text/html" else CONTROL.sub("", text.replace("\r\n", "\n"))).strip()


def _text(part: Mapping[str, Any], fetch: Callable[[str], str]) -> str:
    body = part.get("body", {})
    data = body.get("data", "")
    if not data and body.get("attachmentId") and int(body.get("size", 0)) <= MOST_PART_BYTES:
        data = fetch(body["attachmentId"])
    bare = data[: MOST_PART_BYTES * 4 // 3].rstrip("=")
    try:
        octets = base64.urlsafe_b64decode(bare[: len(bare) - (len(bare) % 4 == 1)] + "=" * (-len(bare) % 4))
    except (binascii.Error, ValueError):
        return ""
    with suppress(UnicodeDecodeError, LookupError):
        return octets.decode(_charset(part) if b"\x1b" in octets else "utf-8")  # escapes: one of Japan's alphabets
    try:
        return octets.decode(_charset(part), errors="replace")
    except LookupError:
        return octets.decode("latin-1")


def _charset(part: Mapping[str, Any]) -> str:
    """The alphabet a part says it is written in."""
    headers = Headers()
    for header in part.get("headers", ()):
        if header.get("name", "").casefold() == "content-type":
            headers["Content-Type"] = CONTROL.sub(" ", header.get("value", "")).replace("\n", " ")
            break
    return str(headers.get_content_charset("utf-8"))


def plain(html: str) -> str:
    """Return the text of `html` as a reader would see it, in time proportional to its length.

    The standard library's HTMLParser takes minutes for a megabyte of "<a <a <a", and anybody may send us that.

    >>> plain("<p>Hello <b>Bob</b></p><script>alert(1)</script>&lt;3")
    'Hello Bob\\n<3'
    """
    seen: list[str] = []
    at = 0
    while (start := html.find("<", at)) >= 0:
        seen.append(_shown(html[at:start]))
        opening = OPENING.match(html, start)
        if opening is None:  # a lonely "less than"
            seen.append("<")
            at = start + 1
            continue
        at = _after_comment(html, opening.end()) if opening[0] == "<!--" else _after_tag(html, opening.end())
        name = (opening[2] or "").lower()
        if name in BREAKS:
            seen.append("\n")
        elif name in UNSEEN and not opening[1]:
            closing = re.compile(f"</{name}", re.IGNORECASE).search(html, at)
            at = closing.start() if closing else len(html)
    seen.append(_shown(html[at:]))
    lines = (" ".join(line.split()) for line in "".join(seen).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _shown(text: str) -> str:
    return re.sub(r"\s+", " ", CONTROL.sub("", unescape(text)))


def _after_comment(html: str, at: int) -> int:
    end = html.find("-->", at)
    return len(html) if end < 0 else end + 3


def _after_tag(html: str, at: int) -> int:
    """Where the tag ends; a ">" inside a quoted value does not end it."""
    while stop := STOP.search(html, at):
        if stop[0] == ">":
            return stop.end()
        end = html.find(stop[0][-1], stop.end())
        at = stop.end() if end < 0 else end + 1
    return len(html)


def _cut(text: str) -> str:
    return text.encode(errors="replace")[:MOST_BODY_BYTES].decode(errors="ignore")
