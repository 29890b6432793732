"""Events that come as web forms: strict reading for what we believe, byte-true reading for what was signed.

A form has several readings (a field twice, a broken escape, bytes in no known charset); one that does is `Malformed`.
Which fields there are is each vendor's own business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from marshmallow import Schema, ValidationError

from domain.errors import Malformed

FORM_BYTES = 64 * 1024
FORM_FIELDS = 200
NAME_CHARACTERS = 128
BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
LINK = r"https?://[^\s\x00-\x1f\x7f]{1,2040}"  # it ends up in people's browsers, hence no javascript:


def pairs(body: bytes) -> list[tuple[bytes, bytes]]:
    """Split a form into names and values, blank ones too, as bytes: what is signed must not be bent into text.

    Never raises; names and values that could not be read come out as they are. Two spellings of one form (`+` or `%20`
    for a blank) are one: fields are what vendors sign.
    """
    split = (part.partition(b"=") for part in body.split(b"&") if part)
    return [(_plain(name), _plain(value)) for name, _, value in split]


def read_form(body: bytes) -> dict[str, str]:
    """Read a form that has one meaning only. Blank fields are left out: vendors send many. Raises Malformed."""
    if len(body) > FORM_BYTES or BROKEN_ESCAPE.search(body):
        raise _no_form("The form is too long or an escape in it is broken.")
    try:
        told = [(name.decode(), value.decode()) for name, value in pairs(body)]
    except UnicodeDecodeError:
        raise _no_form("The form is not UTF-8.") from None
    if any(part and b"=" not in part for part in body.split(b"&")):
        raise _no_form("The body is not a form.")
    if not 0 < len(told) <= FORM_FIELDS or not all(0 < len(name) <= NAME_CHARACTERS for name, _ in told):
        raise _no_form("The form has no fields, too many, or one without a usable name.")
    found = dict(told)
    if len(found) != len(told):
        raise _no_form("A field of the form is given twice.")
    if any("\x00" in text for pair in told for text in pair):
        raise _no_form("The form holds characters that are not text.")
    return {name: value for name, value in found.items() if value}


def load(schema: Schema, value: Any) -> dict[str, Any]:
    """Load `value`. Raises Malformed, which names the fields and never what stood in them."""
    try:
        loaded: dict[str, Any] = schema.load(value)
    except ValidationError as error:
        names = ", ".join(sorted(_names(error.messages_dict)))
        raise Malformed(f"Missing or not as agreed: {names}.", code="field.invalid") from None
    return loaded


def _names(faults: Mapping[Any, Any]) -> Iterator[str]:
    for name in faults:
        yield "(all of it)" if name == "_schema" else str(name)


def _plain(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _no_form(why: str) -> Malformed:
    return Malformed(why, code="body.not_form")
