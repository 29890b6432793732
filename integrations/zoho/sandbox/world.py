"""The one world behind both data centres: its clock, its people, and everything they have done since the last reset."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from integrations.zoho.sandbox.bridge import Bridge
from integrations.zoho.sandbox.channels import Notifier
from integrations.zoho.sandbox.clock import Clock
from integrations.zoho.sandbox.exports import Exports
from integrations.zoho.sandbox.faults import Faults, RequestLog
from integrations.zoho.sandbox.idtoken import Signer
from integrations.zoho.sandbox.orgs import Client, Knobs, Org, User
from integrations.zoho.sandbox.tokens import Tokens

FIRST_PREFIX = 4_150_868  # ids of the first organisation begin with these digits
FIRST_ZGID = 20_071_000_001
FIRST_ZUID = 60_001_000_001


@dataclass(frozen=True, slots=True)
class DataCentre:
    """One of Zoho's data centres: accounts and API on one address."""

    code: str  # us, eu
    server: str  # zoho-us, zoho-eu
    origin: str
    world: "World"


class World:
    """All state; `lock` is held by whoever reads or changes it."""

    def __init__(self, origins: Mapping[str, str], now: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self.clock = Clock(now)
        self.signer = Signer()
        self.centres = {
            server.removeprefix("zoho-"): DataCentre(server.removeprefix("zoho-"), server, origin.rstrip("/"), self)
            for server, origin in origins.items()
        }
        self._fresh()

    def _fresh(self) -> None:
        self.knobs = Knobs()
        self.clients: dict[str, Client] = {}
        self.orgs: dict[str, Org] = {}
        self.tokens = Tokens(self.clock)
        self.faults = Faults()
        self.requests = RequestLog()
        self.notifier = Notifier(self.clock, self.knobs)
        self.bridge = Bridge()
        self.exports = Exports()
        self.in_flight: Counter[tuple[str, str, bool]] = Counter()  # (org, client, heavy)
        self._made = 0

    def reset(self) -> None:
        """Forget everything and everybody, and let go of what hangs."""
        self.faults.clear()
        self.notifier.close()
        self.clock.reset()
        self._fresh()

    def add_org(self, name: str, dc: str, company_name: str, zone: ZoneInfo, **rest: str) -> Org:
        """Open an organisation."""
        number = len(self.orgs)
        org = Org(
            name=name,
            dc=dc,
            zgid=rest.get("zgid") or str(FIRST_ZGID + number),
            company_name=company_name,
            zone=zone,
            edition=rest.get("edition") or "Enterprise",
            phonebridge=rest.get("phonebridge") or "available",
            country=rest.get("country") or "",
            phone=rest.get("phone") or "",
            prefix=str(FIRST_PREFIX + number),
            opened_at=self.clock.second(),
        )
        self.orgs[name] = org
        return org

    def add_user(
        self, org: Org, email: str, full_name: str, zone: ZoneInfo, *, admin: bool, **rest: str | None
    ) -> User:
        """Give an organisation a user."""
        self._made += 1
        user = User(
            id=rest.get("id") or org.new_id(),
            zuid=rest.get("zuid") or str(FIRST_ZUID + self._made),
            email=email,
            full_name=full_name,
            admin=admin,
            zone=zone,
            phone=rest.get("phone"),
            org=org.name,
        )
        org.users[user.id] = user
        return user

    def users(self) -> list[User]:
        """List everybody, in every data centre."""
        return [user for org in self.orgs.values() for user in org.users.values()]

    def user(self, email: str) -> User | None:
        """Find a person by address, whatever data centre they live in."""
        return next((user for user in self.users() if user.email.lower() == email.lower()), None)
