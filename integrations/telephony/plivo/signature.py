"""X-Plivo-Signature-V3, both ends: whether Plivo sent this form to this address, and which event it tells.

HMAC-SHA256 with an Auth Token over the address, its query and every field sorted, and a nonce, as Plivo's own library
does it (https://github.com/plivo/plivo-python/blob/master/plivo/utils/signature_v3.py; where prose differs, the library
is right). The older V2 covers no field and is not believed. No time is signed and no event has an id of its own: the id
is made of what the form says, so that a replay is the event we already have.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from domain.errors import Unauthentic
from domain.ports import Knock
from integrations.telephony.form import pairs

# V3 is made with the token of the (sub)account that owns the number, Ma-V3 always with the main account's.
HEADERS = ("x-plivo-signature-v3", "x-plivo-signature-ma-v3")
NONCE = "x-plivo-signature-v3-nonce"
HEADER_CHARACTERS = 1024
SIGNATURES_COMPARED = 5  # one for each active token
ID_CHARACTERS = 128
ID = re.compile(r"[!-9;-~]{1,40}")  # a UUID or the name of an event: visible, and no colon of its own


def sign(secret: str, event_id: str, body: bytes, now: datetime, url: str = "") -> dict[str, str]:
    """Return the headers Plivo would send with this form. No time is signed, and the form says which event it is."""
    nonce = str(randomness.randbelow(10**20)).zfill(20)
    return {HEADERS[0]: _mac(secret, signed_text(url, body, nonce)), NONCE: nonce}


def verify(knock: Knock, secrets: Sequence[str]) -> str:
    """Return the event's id if one of these tokens signed this form for our address, else raise Unauthentic."""
    nonce = knock.headers.get(NONCE, "")
    listed = [knock.headers[name] for name in HEADERS if knock.headers.get(name)]
    if not nonce or not listed:
        raise Unauthentic("The request is not signed.", code="webhook.unsigned")
    if max(map(len, (nonce, *listed))) > HEADER_CHARACTERS:
        raise Unauthentic("The signature headers cannot be read.", code="webhook.bad_signature")
    text = signed_text(knock.url, knock.body, nonce)
    expected = [_mac(secret, text).encode() for secret in secrets if secret]  # an empty token is anybody's
    matches = [
        hmac.compare_digest(mac, given.encode(errors="replace"))  # every pair, so that time tells nothing
        for mac in expected
        for header in listed
        for given in header.split(",")[:SIGNATURES_COMPARED]
    ]
    if not any(matches):
        raise Unauthentic("The signature does not match.", code="webhook.bad_signature")
    return event_id(knock.body)


def event_id(body: bytes) -> str:
    """Name the event a form tells, the same for every delivery of it.

    A step is (CallUUID, Event), and of a leg dialled from it that leg too; a recording is its id, a message its own
    and its status; of anything else the form itself is the id.
    """
    told = fold_names({name.decode(errors="replace"): value.decode(errors="replace") for name, value in pairs(body)})
    parts = [told.get("calluuid", ""), told.get("event") or told.get("callstatus", "")]
    if told.get("dialbleguuid"):
        parts.append(told["dialbleguuid"])
    if told.get("recordingid"):
        parts = ["recording", told["recordingid"]]
    if told.get("messageuuid") and not told.get("calluuid"):
        parts = ["message", told["messageuuid"], told.get("status") or "received"]
    if all(map(ID.fullmatch, parts)) and sum(map(len, parts)) + len(parts) <= ID_CHARACTERS:
        return ":".join(parts)
    return f"form-{hashlib.sha256(body).hexdigest()}"


def fold_names(form: Mapping[str, str]) -> dict[str, str]:
    """Spell every field one way: XML callbacks say `RecordingID`, those of the API `recording_id`."""
    return {name.replace("_", "").lower(): value for name, value in form.items()}


def signed_text(url: str, body: bytes, nonce: str) -> bytes:
    """Write down what Plivo signs for a POST."""
    parts = urlsplit(url)
    fields = sorted(pairs(body))
    query = b"&".join(name + b"=" + value for name, value in sorted(pairs(parts.query.encode())))
    text = parts._replace(query="", fragment="").geturl().encode()
    if query or fields:
        text += b"?" + query
    if query and fields:
        text += b"."
    return text + b"".join(name + value for name, value in fields) + b"." + nonce.encode(errors="replace")


def _mac(secret: str, text: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha256")).decode()
