"""Alice's people in two places: her Zoho and her Google contacts on loopback, and the worker between them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from sqlalchemy import update

from domain.sharing import Sharing
from jobs import both_ways, connect, worker
from jobs.erase import erase_tenant
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.tables import effects
from store.tenants import User
from tests import google_stage, house, zoho_stage

READING = ("calls", "contacts", "accounts", "contacts-write")
CREATES = {"zoho": "POST /crm/v8/Contacts", "google": "POST /v1/people:batchCreateContacts"}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Office:
    """Hands at both sides, and the worker between them."""

    services: Services
    zoho: zoho_stage.Stage
    google: google_stage.Stage
    alice: User
    crm: Tie
    book: Tie

    @property
    def tenant(self) -> TenantId:
        return self.alice.tenant

    # -- at Zoho and at Google

    def seed(self, *rows: Row, module: str = "Contacts") -> list[str]:
        return list(self.zoho.post("seed", org="alice", module=module, records=list(rows))["ids"])

    def rows(self, module: str = "Contacts") -> list[Row]:
        return list(self.zoho.get("records", org="alice", module=module)["records"])

    def edit(self, id: str, module: str = "Contacts", **values: Any) -> None:
        self.zoho.post("edit", org="alice", module=module, id=id, values=values)

    def bin(self, id: str, module: str = "Contacts") -> None:
        self.zoho.post("delete", org="alice", module=module, id=id)

    def add(self, *people: Row) -> list[str]:
        return list(self.google.post("contacts", user=google_stage.ALICE, contacts=list(people))["resourceNames"])

    def change(self, name: str, **person: Any) -> None:
        self.google.post("contacts/edit", user=google_stage.ALICE, resourceName=name, person=person)

    def drop(self, *names: str) -> None:
        self.google.post("contacts/delete", user=google_stage.ALICE, resourceNames=list(names))

    def people(self) -> dict[str, Row]:
        """What stands at Google, by name."""
        told = self.google.get("contacts", user=google_stage.ALICE)["contacts"]
        return {entry["resourceName"]: entry for entry in told}

    def label(self, name: str) -> str:
        """Make a label, as somebody at Google's screen does."""
        purse = self.google.purse(google_stage.AUTH + "contacts")
        told = requests.post(
            f"{self.google.origin}/v1/contactGroups",
            json={"contactGroup": {"name": name}},
            headers={"Authorization": f"Bearer {purse()}"},
            timeout=30,
        )
        return str(told.json()["resourceName"])

    # -- here

    def choose(self, tie: Tie, **chosen: Any) -> None:
        """Say which way changes travel."""
        now = Sharing.from_facts(self.services.connections.get(self.tenant, tie.id).facts)
        self.services.connections.set_facts(self.tenant, tie.id, **replace(now, **chosen).as_facts())

    def both_ways(self, **chosen: Any) -> None:
        self.choose(self.crm, direction="both")
        self.choose(self.book, direction="both", **chosen)

    def chore(self, kind: str) -> Chore:
        return next(chore for chore in self.services.chores.all(self.tenant) if chore.kind == kind)

    def work(self) -> None:
        """Read both sides, and go on until nothing is due."""
        for kind in ("read.crm", "read.book", both_ways.CHORE):
            self.services.chores.hurry(self.tenant, kind)
        self.go_on()

    def go_on(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            worker.visit(self.services, self.tenant, "contacts", seconds=60)
            if not self.services.effects.open(self.tenant, self.book.id, both_ways.KIND):
                return
            assert time.monotonic() < deadline, "work does not end"
            with self.services.db.tenant(self.tenant) as database:
                due = update(effects).where(effects.c.tenant_id == self.tenant)
                database.execute(due.values(next_at=effects.c.created_at))

    def written(self) -> dict[str, int]:
        """How many requests that write have come to each side since the last time this was asked."""
        asked = {
            "zoho": {name: many for name, many in self.zoho.counts().items() if "/oauth/" not in name},
            "google": {name: many for name, many in self.google.counts().items() if "/token" not in name},
        }
        self.zoho.delete("requests")
        self.google.delete("requests")
        return {
            name: many
            for counts in asked.values()
            for name, many in counts.items()
            if any(verb in name for verb in ("POST ", "PUT ", "DELETE ", "PATCH "))
        }


@contextmanager
def outside() -> Iterator[tuple[zoho_stage.Stage, google_stage.Stage]]:
    """Both understudies, each on loopback."""
    with zoho_stage.running() as zoho, google_stage.running() as google:
        yield zoho, google


def environment(zoho: zoho_stage.Stage, google: google_stage.Stage) -> dict[str, str]:
    """What a house is told whose outside world these are."""
    return {
        "BASE_URL": "http://127.0.0.1:8000",
        "ZOHO_CLIENT_ID": zoho_stage.CLIENT,
        **{f"ZOHO_CLIENT_SECRET_{code.upper()}": secret for code, secret in zoho_stage.SECRETS.items()},
        "ZOHO_SERVERINFO_URL": f"{zoho.us}/oauth/serverinfo",
        "GOOGLE_CLIENT_ID": google_stage.CLIENT,
        "GOOGLE_CLIENT_SECRET": google_stage.SECRET,
        "GOOGLE_AUTH_URI": f"{google.origin}/o/oauth2/v2/auth",
        "GOOGLE_TOKEN_URI": f"{google.origin}/token",
        "GOOGLE_REVOKE_URI": f"{google.origin}/revoke",
        "GOOGLE_CERTS_URI": f"{google.origin}/oauth2/v3/certs",
        "GOOGLE_API_ROOT": google.origin,
    }


@contextmanager
def tools(
    db_urls: Postgres, work_url: str, mail_url: str, zoho: zoho_stage.Stage, google: google_stage.Stage
) -> Iterator[Services]:
    """Every tool, with the outside world on loopback."""
    with house.services(db_urls, work_url, mail_url, **environment(zoho, google)) as opened:
        yield opened


@contextmanager
def moved_in(
    services: Services,
    zoho: zoho_stage.Stage,
    google: google_stage.Stage,
    *,
    features: Sequence[str] = READING,
    at_google: Sequence[str] = ("contacts", "contacts-write"),
) -> Iterator[Office]:
    """Install from Zoho's marketplace, and connect Alice's Google contacts; nothing is read yet."""
    zoho.fresh()
    google.fresh()
    asked = connect.begin(services, provider="zoho", purpose="install", browser="b", features=features)
    back = house.decide(zoho, asked, user=zoho_stage.ALICE)
    done = connect.complete(services, provider="zoho", query=back, browser="b", user=None)
    alice = done.user
    asked = connect.begin(services, provider="google", purpose="connect", browser="b", features=at_google, user=alice)
    wish = parse_qs(urlsplit(asked).query)
    form = {"user": google_stage.ALICE, "scope": wish["scope"][0].split()}
    address = f"{google.origin}/o/oauth2/v2/auth/decide"
    decided = requests.post(address, params=wish, data=form, allow_redirects=False, timeout=30)
    query = parse_qs(urlsplit(decided.headers["Location"]).query, keep_blank_values=True)
    book = connect.complete(services, provider="google", query=query, browser="b", user=alice)
    assert done.connection is not None
    assert book.connection is not None
    find = services.connections.get
    yield Office(
        services, zoho, google, alice, find(alice.tenant, done.connection), find(alice.tenant, book.connection)
    )
    erase_tenant(services, alice.tenant)
