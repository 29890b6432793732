"""What Zoho's marketplace says of our extensions: installed, updated, removed; and whether that is to be believed.

An extension of CRM runs our own install actions (`manifest.install_actions`), which bring our secret in a header. Desk
calls an address of its manifest, with a HASH: HMAC-SHA256 over the body with the manifest's secret. How Desk writes
that hash for a callback is documented only by likeness to another call, so both usual spellings are accepted, and so is
the secret in the address itself.
https://help.zoho.com/portal/en/kb/zoho-crm-platform/extensions-for-zoho-crm/developer-guide/automation/articles/install-actions
https://help.zoho.com/portal/en/kb/zoho-crm-platform/extensions-for-zoho-desk/platform-event-callbacks/articles/platform-event-callbacks
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qsl

from domain.errors import Malformed
from domain.ports import Knock

SECRET_HEADER, HASH_HEADER = "x-linekeeper-secret", "hash"
LIKE_MILLISECONDS = 100_000_000_000  # seconds of the year 5138: whatever is above is counted in thousandths
MOST_FIELDS = 50
ORGANISATION = re.compile(r"(?:org)?([0-9]{1,20})")

Package = Literal["crm", "desk"]
What = Literal["installed", "updated", "removed"]
EVENTS: Mapping[str, What] = {  # ours, and Desk's
    "installed": "installed",
    "updated": "updated",
    "removed": "removed",
    "onInstall": "installed",
    "onUpdate": "updated",
    "onUninstall": "removed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleNews:
    """Something happened to one of our extensions in one organisation. `at`: when, if it was said."""

    package: Package
    what: What
    organisation: str
    at: datetime | None = None


def believed(came: Knock, door: str, secret: str) -> bool:
    """Say whether whoever knocked knows the secret, by header, hash or address. Nobody does while there is none."""
    right = hmac.digest(secret.encode(), came.body, hashlib.sha256)
    hashed = came.headers.get(HASH_HEADER, "").strip()
    proofs = (
        (came.headers.get(SECRET_HEADER, ""), secret),
        (door, secret),
        (hashed.lower(), right.hex()),
        (hashed, base64.b64encode(right).decode()),
    )
    known = [hmac.compare_digest(told.encode(), wanted.encode()) for told, wanted in proofs]
    return bool(secret) and any(known)


def read_lifecycle(body: bytes) -> LifecycleNews | None:
    """Understand it; None for an event of Desk's that is none of our business. Raises Malformed."""
    told = _fields(body)
    event = told.get("event")
    if not isinstance(event, str):
        raise Malformed("This does not say what happened.")
    found = ORGANISATION.fullmatch(_said(told, "organizationId", "orgId"))
    if found is None:
        raise Malformed("This names no organisation.")
    if event not in EVENTS:
        return None
    what, package = EVENTS[event], "desk" if event.startswith("on") else "crm"
    if what == "installed" and _said(told, "isInstall").lower() == "false":
        what = "updated"  # the action on installation runs after every upgrade too
    return LifecycleNews(package=package, what=what, organisation=found[1], at=_moment(_said(told, "at")))  # type: ignore[arg-type]  # one of two words


def _fields(body: bytes) -> Mapping[str, Any]:
    """The fields of a JSON object, or of a form: what Deluge sends depends on how it is told to."""
    try:
        if body.lstrip()[:1] == b"{":
            told = json.loads(body)
        else:
            told = dict(parse_qsl(body.decode(), max_num_fields=MOST_FIELDS, strict_parsing=True))
    except (ValueError, RecursionError):
        raise Malformed("This is neither JSON nor a form.") from None
    return told if isinstance(told, dict) else {}


def _said(told: Mapping[str, Any], *names: str) -> str:
    """The first of these that is a text, a number or a truth value; Deluge writes each as any of them."""
    for name in names:
        value = told.get(name)
        if isinstance(value, str | int):
            return str(value).strip()
    return ""


def _moment(value: str) -> datetime | None:
    """A moment in seconds or thousandths since 1970; anything else is none."""
    if not (value.isascii() and value.isdecimal() and len(value) <= 15):
        return None
    number = int(value)
    try:
        return datetime.fromtimestamp(number / 1000 if number > LIKE_MILLISECONDS else number, UTC)
    except (ValueError, OverflowError):  # after the year 9999
        return None
