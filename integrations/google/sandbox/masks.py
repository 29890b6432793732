"""Partial responses: the `fields` parameter, which cuts an answer down to what was asked for.

`a,b/c,d(e,f/g),*` as in https://developers.google.com/workspace/gmail/api/guides/performance#partial. A name the answer
does not have selects nothing here; Google, which knows its schemas, answers 400 to a name it never uses.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import GoogleError

TOKEN = re.compile(r"[A-Za-z0-9_\-*]+|[/(),]|\S")
Mask = dict[str, Any]


def parse(text: str) -> Mask:
    """Read a selection into a tree; a leaf is an empty tree and means everything below."""
    tokens = TOKEN.findall(text)
    mask, end = _list(tokens, 0, text)
    if end != len(tokens):
        raise _invalid(text)
    return mask


def _list(tokens: list[str], at: int, text: str) -> tuple[Mask, int]:
    mask: Mask = {}
    while True:
        name, below, at = _path(tokens, at, text)
        mask[name] = _merge(mask[name], below) if name in mask else below
        if at >= len(tokens) or tokens[at] != ",":
            return mask, at
        at += 1


def _path(tokens: list[str], at: int, text: str) -> tuple[str, Mask, int]:
    if at >= len(tokens) or tokens[at] in "/(),":
        raise _invalid(text)
    name, at = tokens[at], at + 1
    if at < len(tokens) and tokens[at] == "/":
        child, below, at = _path(tokens, at + 1, text)
        return name, {child: below}, at
    if at < len(tokens) and tokens[at] == "(":
        inside, at = _list(tokens, at + 1, text)
        if at >= len(tokens) or tokens[at] != ")":
            raise _invalid(text)
        return name, inside, at + 1
    return name, {}, at


def _merge(one: Mask, other: Mask) -> Mask:
    if not one or not other:
        return {}
    merged = dict(one)
    for name, below in other.items():
        merged[name] = _merge(one[name], below) if name in one else below
    return merged


def select(value: Any, mask: Mask) -> Any:
    """Cut a JSON value down to a mask; lists are looked through."""
    if not mask:
        return value
    if isinstance(value, list):
        return [select(item, mask) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, item in value.items():
        below = mask.get(name, mask.get("*"))
        if below is not None:
            kept[name] = select(item, below)
    return kept


def _invalid(text: str) -> GoogleError:
    return GoogleError(400, f"Invalid field selection {text}", "invalidParameter")
