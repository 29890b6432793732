"""X-Twilio-Signature, both ends: whether Twilio sent this form to this address, and which event it tells.

HMAC-SHA1 with the Auth Token over the address and every field, blank ones too, sorted by name
(https://www.twilio.com/docs/usage/webhooks/webhooks-security). No time is signed and no event has an id of its own:
the id is made of what the form says, so that a replay is the event we already have.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from domain.errors import Unauthentic
from domain.ports import Knock
from integrations.telephony.form import pairs

HEADER = "x-twilio-signature"
HEADER_CHARACTERS = 64  # base64 of 20 bytes is 28
DEFAULT_PORTS = {"https": 443, "http": 80}
ID_CHARACTERS = 128
ID = re.compile(rb"[!-9;-~]{1,80}")  # a SID, a number or a status: visible, and no colon of its own


def sign(secret: str, event_id: str, body: bytes, now: datetime, url: str = "") -> dict[str, str]:
    """Return the header Twilio would send with this form. No time is signed, and the form says which event it is."""
    return {HEADER: _mac(secret, url, body)}


def verify(knock: Knock, secrets: Sequence[str]) -> str:
    """Return the event's id if one of these tokens signed this form for our address, else raise Unauthentic.

    Only the header and our own address are looked at, never Host: behind a proxy that is somebody else's word.
    """
    given = knock.headers.get(HEADER, "")
    if not given:
        raise Unauthentic("The request is not signed.", code="webhook.unsigned")
    if len(given) > HEADER_CHARACTERS:
        raise Unauthentic("The signature header cannot be read.", code="webhook.bad_signature")
    matches = [
        hmac.compare_digest(_mac(secret, url, knock.body).encode(), given.encode(errors="replace"))
        for secret in secrets
        if secret  # an empty token would let anybody sign
        for url in spellings(knock.url)  # every pair, so that time tells nothing
    ]
    if not any(matches):
        raise Unauthentic("The signature does not match.", code="webhook.bad_signature")
    return event_id(knock.body)


def event_id(body: bytes) -> str:
    """Name the event a form tells, the same for every delivery of it.

    A step of a call is (CallSid, SequenceNumber), or its status where steps are not numbered; a recording's is
    (RecordingSid, RecordingStatus), a message's (MessageSid, its status); of anything else the form itself is the id.
    """
    told = dict(reversed(pairs(body)))  # of a field given twice the first, as in `parse` it does not matter
    call, step = told.get(b"CallSid", b""), told.get(b"SequenceNumber") or told.get(b"CallStatus") or b""
    if b"CallStatus" not in told and told.get(b"RecordingStatus"):
        call, step = told.get(b"RecordingSid", b""), told[b"RecordingStatus"]
    if b"CallSid" not in told and b"MessageSid" in told:
        call, step = told[b"MessageSid"], told.get(b"MessageStatus") or b"received"
    if ID.fullmatch(call) and ID.fullmatch(step) and len(call) + len(step) < ID_CHARACTERS:
        return f"{call.decode()}:{step.decode()}"
    return f"form-{hashlib.sha256(body).hexdigest()}"


def spellings(url: str) -> list[str]:
    """List the ways Twilio may have written our address: its back end is inconsistent about the port.

    https://github.com/twilio/twilio-python/blob/main/twilio/request_validator.py tries the same two.
    """
    parts = urlsplit(url)
    if not parts.hostname:
        return [url]
    bare = parts._replace(netloc=parts.netloc.rpartition(":")[0] if parts.port else parts.netloc)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 443)
    return [bare.geturl(), bare._replace(netloc=f"{bare.netloc}:{port}").geturl()]


def _mac(secret: str, url: str, body: bytes) -> str:
    fields = b"".join(name + value for name, value in sorted(set(pairs(body))))
    return base64.b64encode(hmac.digest(secret.encode(), url.encode() + fields, "sha1")).decode()
