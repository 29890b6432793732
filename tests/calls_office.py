"""Alice's tenant with Zoho's understudy behind it, whose phone system says exactly what a test wants, when it wants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update

from domain.call import CallEvent
from integrations.zoho.bridge import call_id
from jobs import connect, log_call
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.tables import effects
from store.tenants import User
from tests import house
from tests.zoho_stage import ALICE, BOB, CLIENT, SECRETS, Stage

RECORDS = ("calls", "repair", "follow-ups")  # without PhoneBridge we write the activities
BRIDGE = ("calls", "repair", "follow-ups", "phonebridge")
DANA, LINE = "+34600111222", "+34911222333"
EXTENSIONS = {ALICE: "202", BOB: "201"}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Office:
    """A tenant with two agents, Alice and Bob, and hands at both ends."""

    services: Services
    zoho: Stage
    tenant: TenantId
    tie: Tie
    began: datetime  # a few minutes ago, where calls begin

    def user(self, email: str) -> User:
        return next(user for user in self.services.tenants.users(self.tenant) if user.email == email)

    def event(self, ref: str, kind: str, second: float, agent: str = "", leg: str = "", **more: Any) -> CallEvent:
        """One event of a call with Dana, `second` seconds after the office's clock began."""
        parties = (DANA, LINE) if more.get("direction", "inbound") == "inbound" else (LINE, DANA)
        told = {"caller": parties[0], "callee": parties[1]} | more
        return CallEvent(
            id=f"{ref}-{kind}-{second}-{agent}-{leg}",
            type=kind,  # type: ignore[arg-type]  # one of the five
            at=self.began + timedelta(seconds=second),
            call_ref=ref,
            leg_ref=leg,
            agent_email=agent,
            agent_extension=EXTENSIONS.get(agent, ""),
            **told,
        )

    def missed(self, ref: str, second: float, **more: Any) -> list[CallEvent]:
        return [
            self.event(ref, "ringing", second, BOB, **more),
            self.event(ref, "ended", second + 20, BOB, outcome="missed", **more),
        ]

    def spoken(self, ref: str, second: float, agent: str = BOB, **more: Any) -> list[CallEvent]:
        return [
            self.event(ref, "ringing", second, agent, **more),
            self.event(ref, "answered", second + 5, agent, **more),
            self.event(ref, "ended", second + 35, agent, outcome="answered", **more),
        ]

    def hear(self, *events: CallEvent) -> None:
        """Have the phone system say this, in one go."""
        log_call.take_over(self.services, self.tie, self.services.calls.hear(self.tenant, self.tie.id, events))

    def act(self) -> None:
        """Do what is due now."""
        log_call.act(self.services, self.tenant)

    def work(self) -> None:
        """Do everything that is owed, as if its time had come."""
        deadline = time.monotonic() + 60
        while any(state in ("due", "unknown", "claimed") for _, state in self.services.effects.counts(self.tenant)):
            assert time.monotonic() < deadline, "work does not end"
            with self.services.db.tenant(self.tenant) as database:
                past = self.services.now() - timedelta(days=1)
                database.execute(update(effects).where(effects.c.tenant_id == self.tenant).values(next_at=past))
            self.act()

    def call(self, ref: str) -> UUID:
        return next(kept.id for kept in self.services.calls.recent(self.tenant, limit=500) if kept.call.ref == ref)

    def owed(self, kind: str) -> list[Any]:
        with self.services.db.tenant(self.tenant) as database:
            found = select(effects).where(effects.c.tenant_id == self.tenant, effects.c.kind == kind)
            return [*database.execute(found.order_by(effects.c.created_at))]

    def rows(self, module: str) -> list[Row]:
        """What stands in Zoho."""
        found: list[Row] = self.zoho.get("records", org="alice", module=module)["records"]
        return found

    def cards(self) -> list[tuple[str, str]]:
        """What Zoho's call bar was told: (whose screen, state)."""
        names = {user.login_id: user.email for user in self.services.tenants.users(self.tenant)}
        said = self.zoho.get("callnotify", org="alice")["accepted"]
        return [(names[form["zohouser"]], form["state"]) for form in said if form["type"] in ("received", "dialed")]

    def zoho_id(self, ref: str) -> str:
        """The id PhoneBridge knows a call by."""
        return call_id(str(self.call(ref)))

    def on_panel(self, email: str) -> list[str]:
        """Which calls are at somebody's phone: (reference, state) as one word."""
        user = self.user(email).id
        live = self.services.calls.live(self.tenant, user, self.services.now() - timedelta(hours=4))
        return [f"{kept.call.ref} {kept.seats[user]}" for kept in live]


@contextmanager
def tools(db_urls: Postgres, work_url: str, mail_url: str, zoho: Stage) -> Iterator[Services]:
    """Every tool, with Zoho's understudy for Zoho."""
    told = {
        "ZOHO_CLIENT_ID": CLIENT,
        **{f"ZOHO_CLIENT_SECRET_{code.upper()}": secret for code, secret in SECRETS.items()},
        "ZOHO_SERVERINFO_URL": f"{zoho.us}/oauth/serverinfo",
    }
    with house.services(db_urls, work_url, mail_url, **told) as opened:
        yield opened


@contextmanager
def opened(services: Services, zoho: Stage, features: tuple[str, ...]) -> Iterator[Office]:
    """Install from Zoho's marketplace, connect a phone system that says nothing by itself, and seat two agents."""
    zoho.fresh()
    origin = services.settings.origin
    zoho.post("clients", client_id=CLIENT, secrets=SECRETS, redirect_uris=[f"{origin}/oauth/zoho/callback"])
    browser = uuid4().hex
    asked = connect.begin(services, provider="zoho", purpose="install", browser=browser, features=features)
    back = house.decide(zoho, asked, user=ALICE)
    alice = connect.complete(services, provider="zoho", query=back, browser=browser, user=None).user
    door = connect.add_phone_system(services, user=alice, vendor="standard", account={})
    began = services.now() - timedelta(minutes=4)
    tie = services.connections.get(alice.tenant, door.tie)
    yield Office(services, zoho, alice.tenant, tie, began)
    house.moved_out(services)
