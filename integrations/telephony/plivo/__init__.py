"""Vendor `plivo`: a Plivo account whose calls, recordings and click-to-dial come through its Voice API.

`schemas.py` knows how its callbacks and lists are spelled, `signature.py` how they are signed; `doc.md` tells an
administrator what to set where.
"""

from __future__ import annotations

import re
import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from domain.call import CallEvent, TextNews
from domain.errors import NotAllowed
from domain.ports import AccountField, Http, Knock, PhoneSystem, TelephonyVendor, Traits
from integrations.telephony.plivo import signature
from integrations.telephony.plivo.client import Account
from integrations.telephony.plivo.schemas import read_event

API_URL = "https://api.plivo.com"
AGENT_ADDRESS = "sip:{extension}@phone.plivo.com"
AUTH_ID = re.compile(r"[MS]A[A-Z0-9]{18}")


class Plivo:
    """How Plivo is believed, read and asked."""

    slug = "plivo"
    title = "Plivo"
    traits = Traits(
        dial=True,
        shows=True,
        control=frozenset({"hangup", "dtmf", "transfer"}),
        calls=True,
        recordings=True,
        texts=True,
        writes=True,
        senders=True,
        answered_in_xml=True,
        secret_field="auth_token",  # noqa: S106 - the field's name
    )
    account: tuple[AccountField, ...] = (
        AccountField(name="auth_id", label="Auth ID", hint="MA or SA and 18 letters and digits"),
        AccountField(
            name="auth_token", label="Auth Token", hint="of the main account: signs what Plivo sends us", secret=True
        ),
        AccountField(name="caller_id", label="Number to call from", hint="+14155550100: a number of this account"),
        AccountField(
            name="agent_address",
            optional=True,
            label="How an agent's telephone is reached",
            hint="sip:{extension}@phone.plivo.com, or {extension} where that is a number",
        ),
        AccountField(
            name="answer_url",
            optional=True,
            label="Address of your Plivo XML that connects an agent",
            hint="is asked with number=... or agent=...; answers <Response><Dial>...</Dial></Response>",
            kind="url",
        ),
        AccountField(
            name="time_zone",
            optional=True,
            label="Time zone of the Plivo account",
            hint="Europe/Madrid; as its settings page says",
        ),
        AccountField(name="api_url", optional=True, label="Address of Plivo's API", hint=API_URL, kind="url"),
    )

    def new_secret(self) -> str:
        """Make something in the form of an Auth Token. Plivo signs with its own: see `traits.secret_field`."""
        return randomness.token_urlsafe(30)

    def verify(self, knock: Knock, secrets: Sequence[str], now: datetime) -> str:
        """Return the id of the event in a knock that one of these Auth Tokens signed, else raise Unauthentic."""
        return signature.verify(knock, secrets)

    def parse(self, body: bytes, event_id: str) -> CallEvent | TextNews | None:
        """Understand a ring, hangup, dial, recording or message callback; None for any other. Raises Malformed."""
        return read_event(body, event_id)

    def open(self, account: Mapping[str, str], http: Http) -> PhoneSystem:
        """Open the account. Raises NotAllowed when its Auth ID, token or time zone cannot be used."""
        told = {name: value.strip() for name, value in account.items()}
        auth_id, token = told.get("auth_id", ""), told.get("auth_token", "")
        if not AUTH_ID.fullmatch(auth_id) or not token or not (token.isascii() and token.isprintable()):
            raise NotAllowed("The connection has no usable Auth ID and Auth Token.", code="account.incomplete")
        try:
            zone = ZoneInfo(told.get("time_zone") or "UTC")
        except (ValueError, OSError, LookupError):  # not a zone's name, or a folder of zones
            raise NotAllowed("There is no such time zone.", code="account.incomplete") from None
        return Account(
            auth_id=auth_id,
            token=token,
            caller_id=told.get("caller_id", ""),
            agent_address=told.get("agent_address") or AGENT_ADDRESS,
            answer_url=told.get("answer_url", ""),
            zone=zone,
            api_url=(told.get("api_url") or API_URL).rstrip("/"),
            door_url=told.get("door_url", ""),  # where calls dialled by us are to be reported, once there is a door
            http=http,
        )


VENDOR: TelephonyVendor = Plivo()
