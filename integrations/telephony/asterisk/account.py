"""What an administrator told us of a PBX, read once and checked, and the way to its manager interface."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from urllib3.util.connection import create_connection

import settings
from domain.errors import Forbidden, NotAllowed, Refused
from domain.ports import AccountField
from integrations import guard
from integrations.telephony.asterisk.ami import Lost, Session

PLAIN_PORT = 5038
CONNECT_SECONDS = 10.0
INCOMPLETE = "account.incomplete"
NONE = ("", "-")  # how a field that does not apply is left
PLACE = "{extension}"

FIELDS = (
    AccountField(
        name="host",
        label="Host of the PBX",
        hint="under TLS (AMI's tlsenable), unless the operator allowed the host; tls://... asks for it there too",
    ),
    AccountField(name="port", label="Port of the manager interface", hint="5038, or 5039 under TLS"),
    AccountField(name="username", label="Manager name", hint="its section in manager.conf, see the guide"),
    AccountField(name="secret", label="Manager secret", secret=True),
    AccountField(
        name="trunks",
        label="Trunks",
        hint="endpoints or contexts that lead outside, with commas: carrier, from-trunk",
    ),
    AccountField(
        name="dial_context", label="Context for click to dial", hint="where the number is dialled: from-internal"
    ),
    AccountField(name="agent_channel", label="How an agent is rung", hint="PJSIP/{extension}"),
    AccountField(name="region", label="Country of the PBX", hint="how national numbers are read: GB; - if unsure"),
    AccountField(
        name="ari_url",
        label="Address of the ARI, for recordings",
        hint="https://pbx.example.com:8089/ari; - for no recordings",
    ),
    AccountField(name="ari_username", label="ARI name", hint="read-only is enough; - for no recordings"),
    AccountField(name="ari_secret", label="ARI password", hint="- for no recordings", secret=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How to reach one PBX, and how to read what it says."""

    host: str
    port: int
    tls: bool
    username: str
    secret: str = field(repr=False)
    trunks: frozenset[str]
    dial_context: str = ""
    agent_channel: str = ""
    region: str = ""
    ari_url: str = ""
    ari_username: str = ""
    ari_secret: str = field(default="", repr=False)

    @property
    def recordings(self) -> str:
        """The address below which the PBX serves recordings; "" when it does not."""
        return f"{self.ari_url}/recordings/stored/" if self.ari_url else ""


Reach = Callable[[Account], socket.socket]


def read_account(filled: Mapping[str, str]) -> Account:
    """Read what was filled in. Raises NotAllowed for what nothing can be done with."""
    given = {name: "" if (text := value.strip()) in NONE else text for name, value in filled.items()}
    scheme, _, host = given.get("host", "").rpartition("://")
    port = given.get("port", "") or str(PLAIN_PORT)
    channel = given.get("agent_channel", "") or f"PJSIP/{PLACE}"
    ari = given.get("ari_url", "").rstrip("/")
    problems = [
        sentence
        for wrong, sentence in (
            (not host or scheme not in ("", "tls"), "It has no host."),
            (not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536, "Its port is no port."),
            (not given.get("username") or not given.get("secret"), "It has no manager name and secret."),
            (not _names(given.get("trunks", "")), "It names no trunk."),
            (
                channel.count(PLACE) != 1 or channel.startswith("Local/"),  # whose "answered" is not a person's
                f"How an agent is rung must be a telephone's channel and hold {PLACE} once.",
            ),
            (not re.fullmatch(r"([A-Za-z]{2})?", given.get("region", "")), "Its country is not two letters."),
        )
        if wrong
    ]
    if problems:
        raise NotAllowed(f"The account of the PBX is not complete. {problems[0]}", code=INCOMPLETE)
    return Account(
        host=host,
        port=int(port),
        tls=scheme == "tls",
        username=given["username"],
        secret=given["secret"],
        trunks=_names(given["trunks"]),
        dial_context=given.get("dial_context", ""),
        agent_channel=channel,
        region=given.get("region", "").upper(),
        ari_url=ari if not ari or ari.endswith("/ari") else f"{ari}/ari",
        ari_username=given.get("ari_username", ""),
        ari_secret=given.get("ari_secret", ""),
    )


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def reach(account: Account) -> socket.socket:
    """Connect to the PBX where a tenant may name it; the operator's own word is ALLOWED_PRIVATE_HOSTS."""
    return reach_where(settings.read().allowed_private_hosts)(account)


def reach_where(allowed_private_hosts: Collection[str], connect: guard.Connect = create_connection) -> Reach:
    """Make the way to PBXs that are public, or of these hosts."""

    def reached(account: Account) -> socket.socket:
        return guard.reach(
            account.host,
            account.port,
            timeout=CONNECT_SECONDS,
            allowed_private_hosts=allowed_private_hosts,
            tls=account.tls,
            connect=connect,
        )

    return reached


def log_in(account: Account, reach: Reach, *, events: bool) -> Session:
    """Open a session. Raises Lost when the PBX cannot be reached, Refused for an address we do not go to."""
    try:
        connected = reach(account)
    except Forbidden as error:
        raise Refused(str(error), code=error.code) from None
    except OSError:  # TLS's errors are OSErrors too
        raise Lost("The PBX cannot be reached.") from None
    session = Session(connected)
    try:
        session.login(account.username, account.secret, events=events)
    except BaseException:
        connected.close()
        raise
    return session
