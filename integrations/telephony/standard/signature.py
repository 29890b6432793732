"""Standard Webhooks, both ends: who signed this knock, and how a knock is signed.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: `v1` is HMAC-SHA256 over
`id.timestamp.body`. Stricter than the reference library, which floors fractional times, knows one secret only and
lets ValueError out for a header it cannot split. Whether an id was seen before is the inbox's business.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.errors import Unauthentic

TOLERANCE_SECONDS = 300
SIGNATURES_COMPARED = 5
HEADER_CHARACTERS = 4096  # room for dozens of signatures; a longer list is an attempt to make us work
PREFIX = "whsec_"
KEY_BYTES = range(24, 65)  # what the specification allows; an empty key would let anybody sign
NEW_KEY_BYTES = 32
ID = re.compile(r"[!-\-/-~]{1,128}")  # visible ASCII without a dot: the dot separates what is signed
TIME = re.compile(r"[0-9]{1,12}")  # whole seconds and nothing a number parser is kind to


def new_secret() -> str:
    """Make a secret in the written form both sides keep."""
    return PREFIX + base64.b64encode(randomness.token_bytes(NEW_KEY_BYTES)).decode()


def sign(secret: str, event_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers of a knock as the vendor would send it. Raises ValueError for a secret of another format."""
    key = _key(secret)
    if key is None:
        raise ValueError("not a whsec_ secret of 24 to 64 bytes")
    stamp = str(int(now.timestamp()))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + _mac(key, event_id, stamp, body),
    }


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> str:
    """Return the event's id if any of `secrets` signed it within five minutes of `now`, else raise Unauthentic.

    The age is judged last, so that "webhook.stale" is only ever said of a knock that was once genuine.
    """
    event_id, stamp, listed = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (event_id and stamp and listed):
        raise Unauthentic("The request is not signed.", code="webhook.unsigned")
    if len(listed) > HEADER_CHARACTERS or not ID.fullmatch(event_id) or not TIME.fullmatch(stamp):
        raise Unauthentic("The signature headers cannot be read.", code="webhook.bad_signature")
    offered = [given.removeprefix("v1,") for given in listed.split(" ") if given.startswith("v1,")]
    expected = [_mac(key, event_id, stamp, body).encode() for key in map(_key, secrets) if key is not None]
    matches = [
        hmac.compare_digest(mac, given.encode(errors="replace"))  # every pair, so that time tells nothing
        for mac in expected
        for given in offered[:SIGNATURES_COMPARED]
    ]
    if not any(matches):
        raise Unauthentic("The signature does not match.", code="webhook.bad_signature")
    if abs(now.timestamp() - int(stamp)) > TOLERANCE_SECONDS:
        raise Unauthentic("The request is more than five minutes old or ahead.", code="webhook.stale")
    return event_id


def _mac(key: bytes, event_id: str, stamp: str, body: bytes) -> str:
    return base64.b64encode(hmac.digest(key, f"{event_id}.{stamp}.".encode() + body, "sha256")).decode()


def _key(secret: str) -> bytes | None:
    """Read a secret; None for one that is not in the agreed format (nothing was ever signed with it)."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) in KEY_BYTES else None
