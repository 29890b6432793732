"""Vendor `twilio`: a Twilio account whose calls, recordings and click-to-dial come through Programmable Voice.

`schemas.py` knows how its callbacks and lists are spelled, `signature.py` how they are signed; `doc.md` tells an
administrator what to set where.
"""

from __future__ import annotations

import re
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.call import CallEvent, TextNews
from domain.errors import NotAllowed
from domain.ports import AccountField, Http, Knock, PhoneSystem, TelephonyVendor, Traits
from integrations.telephony.twilio import signature
from integrations.telephony.twilio.client import Account
from integrations.telephony.twilio.schemas import read_event

API_URL = "https://api.twilio.com"
AGENT_ADDRESS = "client:{extension}"
ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}")


class Twilio:
    """How Twilio is believed, read and asked."""

    slug = "twilio"
    title = "Twilio"
    traits = Traits(
        dial=True,
        shows=True,
        control=frozenset({"hangup", "transfer", "pause", "resume"}),  # the rest is for conferences
        calls=True,
        recordings=True,
        texts=True,
        writes=True,
        senders=True,
        words=True,
        answered_in_xml=True,
        secret_field="auth_token",  # noqa: S106 - the field's name
    )
    account: tuple[AccountField, ...] = (
        AccountField(name="account_sid", label="Account SID", hint="AC and 32 hexadecimal digits"),
        AccountField(
            name="auth_token",
            label="Primary Auth Token",
            hint="signs what Twilio sends us; a secondary token does so only once it is promoted",
            secret=True,
        ),
        AccountField(
            name="caller_id", label="Number to call from", hint="+14155550100: a Twilio number or a verified caller ID"
        ),
        AccountField(
            name="agent_address",
            optional=True,
            label="How an agent's telephone is reached",
            hint="client:{extension}, sip:{extension}@alice.sip.twilio.com, or {extension} where that is a number",
        ),
        AccountField(name="api_url", optional=True, label="Address of Twilio's API", hint=API_URL, kind="url"),
    )

    def new_secret(self) -> str:
        """Make something in the form of an Auth Token. Twilio signs with its own: see `traits.secret_field`."""
        return randomness.token_hex(16)

    def verify(self, knock: Knock, secrets: Sequence[str], now: datetime) -> str:
        """Return the id of the event in a knock that one of these Auth Tokens signed, else raise Unauthentic."""
        return signature.verify(knock, secrets)

    def parse(self, body: bytes, event_id: str) -> CallEvent | TextNews | None:
        """Understand a status, recording or message callback; None for others and for no news. Raises Malformed."""
        return read_event(body, event_id)

    def open(self, account: Mapping[str, str], http: Http) -> PhoneSystem:
        """Open the account. Raises NotAllowed when its SID, token or number cannot be used."""
        told = {name: value.strip() for name, value in account.items()}
        sid, token = told.get("account_sid", ""), told.get("auth_token", "")
        if not ACCOUNT_SID.fullmatch(sid) or not token or not (token.isascii() and token.isprintable()):
            raise NotAllowed("The connection has no usable Account SID and Auth Token.", code="account.incomplete")
        return Account(
            sid=sid,
            token=token,
            caller_id=told.get("caller_id", ""),
            agent_address=told.get("agent_address") or AGENT_ADDRESS,
            api_url=(told.get("api_url") or API_URL).rstrip("/"),
            door_url=told.get("door_url", ""),  # where calls dialled by us are to be reported, once there is a door
            http=http,
        )


VENDOR: TelephonyVendor = Twilio()
