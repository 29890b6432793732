"""Vendor `standard`: a telephony vendor with a platform of its own, which signs its events as Standard Webhooks.

What we ask of it is written in `openapi.json`; `doc.md` tells its engineers how to connect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import get_args

from domain.call import CallEvent, TextNews
from domain.errors import NotAllowed
from domain.ports import AccountField, Control, Http, Knock, PhoneSystem, TelephonyVendor, Traits
from integrations.telephony.standard import signature
from integrations.telephony.standard.client import Account
from integrations.telephony.standard.schemas import read_event


class Standard:
    """How a `standard` platform is believed, read and asked."""

    slug = "standard"
    title = "Your own telephone platform"
    traits = Traits(
        dial=True,
        shows=True,
        control=frozenset(get_args(Control)),
        phonebook=True,
        calls=True,
        recordings=True,
        texts=True,
        faxes=True,
        writes=True,
    )
    account: tuple[AccountField, ...] = (
        AccountField(
            name="base_url",
            label="Address of the platform's API",
            hint="https://pbx.example.com/api: /calls, /contacts and all we ask for lie below it",
            kind="url",
        ),
        AccountField(name="api_key", label="API key", hint="sent as Authorization: Bearer ...", secret=True),
    )

    def new_secret(self) -> str:
        """Make a secret the platform signs with: `whsec_` and 32 random bytes in base64."""
        return signature.new_secret()

    def verify(self, knock: Knock, secrets: Sequence[str], now: datetime) -> str:
        """Return the `webhook-id` of a knock one of `secrets` signed in the last five minutes, else Unauthentic."""
        return signature.verify(knock.headers, knock.body, secrets, now)

    def parse(self, body: bytes, event_id: str) -> CallEvent | TextNews | None:
        """Understand a `call.*`, `message.*` or `fax.*` event; None for a type of tomorrow. Raises Malformed."""
        return read_event(body, event_id)

    def open(self, account: Mapping[str, str], http: Http) -> PhoneSystem:
        """Open the platform's API. Raises NotAllowed when no usable address and key were filled in."""
        base_url, key = account.get("base_url", "").strip().rstrip("/"), account.get("api_key", "").strip()
        if not base_url or not key or not (key.isascii() and key.isprintable()):
            raise NotAllowed("The connection has no API address and key.", code="account.incomplete")
        return Account(base_url, key, http)


VENDOR: TelephonyVendor = Standard()
