"""What Gmail's push says: in whose mailbox something changed. Who sent it is `tokens`' business.

The history id in it is a hint, never where to read on from: pushes come late, twice and out of order, so that is the
stored cursor's place (https://developers.google.com/workspace/gmail/api/guides/push).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NamedTuple

from domain.errors import Malformed

MOST_BODY_BYTES = 65_536
MOST_DATA_CHARACTERS = 8_192
MOST_ADDRESS_CHARACTERS = 320
MOST_NAME_CHARACTERS = 512
MOST_HISTORY_DIGITS = 32  # it is a uint64 today, twenty digits


class Push(NamedTuple):
    """One push: the subscription it came through, the mailbox, and the newest history id at that moment."""

    subscription: str
    email: str
    history_id: str


def read_push(body: bytes) -> Push:
    """Understand a Pub/Sub push of Gmail's. Raises Malformed."""
    if len(body) > MOST_BODY_BYTES:
        raise Malformed("The push is too large.")
    envelope = _object(body)
    message = envelope.get("message")
    if not isinstance(message, dict):
        raise Malformed("The push carries no message.")
    news = _object(_decoded(message.get("data")))
    subscription, email = envelope.get("subscription"), news.get("emailAddress")
    if not isinstance(subscription, str) or not 0 < len(subscription) <= MOST_NAME_CHARACTERS:
        raise Malformed("The push names no subscription.")
    if not isinstance(email, str) or "@" not in email or len(email) > MOST_ADDRESS_CHARACTERS:
        raise Malformed("The push names no mailbox.")
    return Push(subscription, email, _history_id(news.get("historyId")))


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("The push is not JSON.") from None
    if not isinstance(value, dict):
        raise Malformed("The push is not a JSON object.")
    return value


def _decoded(data: Any) -> bytes:
    """Decode base64 of either alphabet, padded or not: senders and libraries disagree."""
    if not isinstance(data, str) or not 0 < len(data) <= MOST_DATA_CHARACTERS:
        raise Malformed("The push carries no data.")
    bare = data.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("The push's data is not base64.") from None


def _history_id(value: Any) -> str:
    """Accept a decimal string or a whole number: Google has sent both."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) > MOST_HISTORY_DIGITS:
        raise Malformed("The push's history id is not a whole number.")
    return text
