"""What a Gmail message says: its author's words and nothing that could act in the page that shows them."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.google.letter import MOST_BODY_BYTES, plain, read


def part(kind: str, text: str | bytes = "", *parts: Any, charset: str = "utf-8", **more: Any) -> dict[str, Any]:
    octets = text if isinstance(text, bytes) else text.encode()
    header = {"name": "Content-Type", "value": f'{kind}; charset="{charset}"'}
    data = base64.urlsafe_b64encode(octets).decode()
    return {"mimeType": kind, "headers": [header], "body": {"data": data}, "parts": list(parts), **more}


def body(payload: dict[str, Any]) -> str:
    return read({"id": "1", "payload": payload}).body


PLAIN, HTML = part("text/plain", "plain words"), part("text/html", "<p>rich <b>words</b></p>")
FILE = part("text/plain", "a file", filename="a.txt")
BODIES: list[tuple[str, dict[str, Any], str]] = [
    ("plain", PLAIN, "plain words"),
    ("html", HTML, "rich words"),
    ("plain first", part("multipart/alternative", "", PLAIN, HTML), "plain words"),
    ("html first", part("multipart/alternative", "", HTML, PLAIN), "plain words"),
    ("empty plain", part("multipart/alternative", "", part("text/plain", " "), HTML), "rich words"),
    ("with a file", part("multipart/mixed", "", part("multipart/alternative", "", PLAIN, HTML), FILE), "plain words"),
    ("a signature", part("multipart/mixed", "", PLAIN, part("text/plain", "--\nCarol")), "plain words\n--\nCarol"),
    ("only a file", FILE, ""),
    ("nothing", {}, ""),
    ("latin", part("text/plain", "Díaz".encode("latin-1"), charset="iso-8859-1"), "Díaz"),
    ("japanese", part("text/plain", "電話".encode("iso-2022-jp"), charset="iso-2022-jp"), "電話"),
    ("an alphabet nobody knows", part("text/plain", "Díaz".encode("latin-1"), charset="klingon"), "Díaz"),
    ("control characters", part("text/plain", "a\x00b\x1b[31mc\r\nd"), "ab[31mc\nd"),
    ("not base64", {"mimeType": "text/plain", "body": {"data": "é"}}, ""),
]


@pytest.mark.parametrize(("payload", "expected"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_a_body_is_what_its_author_wrote(payload: dict[str, Any], expected: str) -> None:
    """Plain text before HTML, files never, any alphabet."""
    assert expected == body(payload)


def test_a_body_is_cut_at_two_hundred_thousand_bytes() -> None:
    """In the middle of no character."""
    text = body(part("text/plain", "€" * 100_000))
    assert len(text.encode()) <= MOST_BODY_BYTES < len(text.encode()) + 3
    assert set(text) == {"€"}


def test_parts_within_parts_end_somewhere() -> None:
    """A thousand boxes in boxes are not opened."""
    payload = PLAIN
    for _ in range(1_000):
        payload = part("multipart/mixed", "", payload)
    assert body(payload) == ""


def test_a_long_text_that_came_apart_is_fetched_unless_too_long() -> None:
    """Gmail leaves the data of a long part to a second call."""
    fetched: list[str] = []

    def fetch(attachment: str) -> str:
        fetched.append(attachment)
        return base64.urlsafe_b64encode(b"long words").decode()

    for size, expected in ((50_000, "long words"), (5_000_000, "")):
        payload = {"mimeType": "text/plain", "body": {"attachmentId": str(size), "size": size}}
        assert expected == read({"id": "1", "payload": payload}, fetch).body
    assert fetched == ["50000"]


HEADERS: list[tuple[str, str, str]] = [
    ("plain", "carol@shop.example", "carol@shop.example"),
    ("named", "Carol Díaz <carol@shop.example>", '"Carol Díaz" <carol@shop.example>'),
    ("encoded", "=?utf-8?b?RMOtYXo=?= <carol@shop.example>", '"Díaz" <carol@shop.example>'),
    ("a lie in the name", '"bob@alice.example" <eve@next-door.example>', '"bob@alice.example" <eve@next-door.example>'),
    ("quotes", r'"a \"b\" c" <eve@next-door.example>', r'"a \"b\" c" <eve@next-door.example>'),
    (
        "an encoded comma",
        "=?utf-8?q?bob=40alice.example=2C_eve?= <e@x.example>",
        '"bob@alice.example, eve" <e@x.example>',
    ),
    ("an alphabet nobody knows", "=?klingon?b?RMOtYXo=?= <e@x.example>", '"=?klingon?b?RMOtYXo=?=" <e@x.example>'),
    ("nobody", "", ""),
]


@pytest.mark.parametrize(("value", "expected"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS])
def test_a_sender_is_one_address_whatever_its_name_says(value: str, expected: str) -> None:
    """A name in an address's shape never becomes a correspondent."""
    message = read({"id": "1", "payload": {"headers": [{"name": "FROM", "value": value}]}})
    assert expected == message.sender
    bare = expected.rpartition("<")[2].rstrip(">")
    assert message.correspondents == ({bare} if bare else set())


PAGES: dict[str, tuple[str, str]] = {
    "entities": ("<p>3 &lt; 4 &amp; 5&nbsp;&euro;</p>", "3 < 4 & 5 €"),
    "lines": ("a<br>b<div>c</div><p>d</p>", "a\nb\nc\n\nd"),
    "script": ("a<SCRIPT>alert('</p>')</script>b", "ab"),
    "script that never ends": ("a<script>alert(1)", "a"),
    "style and title": ("<title>t</title><style>p{color:red}</style>a", "a"),
    "a comment": ("a<!-- <b>secret</b> -->b", "ab"),
    "quoted greater than": ("a<a title=\"x > y\" href='>'>b</a>c", "abc"),
    "a lonely less than": ("1 < 2 <3", "1 < 2 <3"),
    "tag cut short": ("a<b href=", "a"),
    "escaped markup stays text": ("&lt;script&gt;alert(1)&lt;/script&gt;", "<script>alert(1)</script>"),
    "head left open": ("<html><head><meta charset=utf-8><body>a", "a"),
}


@pytest.mark.parametrize(("html", "expected"), PAGES.values(), ids=PAGES)
def test_of_html_only_what_is_seen_remains(html: str, expected: str) -> None:
    """Words and line breaks; no tag, no target, no script."""
    assert expected == plain(html)


@given(st.text(alphabet="<>/!-=\"' absciptyle&;#", max_size=300))
def test_any_html_is_survived(html: str) -> None:
    """However broken, it ends as text without control characters."""
    assert "\x00" not in plain(html)


HOSTILE = ["<", "<!", "<a ", "<!--", "<script>", "<a b='", "</", "<svg>", "<?", "<b a=x ", "&#", "<a = ", "<a>", "&amp"]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_html_takes_time_in_proportion(piece: str) -> None:
    """A hundred thousand characters in well under a second; the library's own parser took minutes."""
    started = time.process_time()
    plain(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 2
