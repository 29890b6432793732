"""What the tests of forgetting share: tools as a story takes them, and a tenant with something of every kind in it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from sqlalchemy import insert, select, update

from domain.call import CallEvent
from domain.contact import Line, Person, Record
from domain.phone import read
from domain.plan import Step
from domain.profile import Profiles
from jobs.services import Services
from settings import Settings
from store import tables
from store.calls import Calls
from store.certificates import Certificates
from store.connections import Connections
from store.database import Database, TenantId
from store.directory import Directory
from store.effects import Effects
from store.hub import Hub
from store.inbox import Inbox
from store.installs import Installs
from store.ledger import Ledger
from store.mailbox import MailCache
from store.tenants import Tenants
from store.vault import Vault

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
DORA = "+34600111222"
EMIL = "+34600333444"
MAIN_LINE = "+34911000111"  # of the company both work for


@dataclass(kw_only=True)
class Tools:
    """The part of Services that forgetting uses."""

    settings: Settings
    db: Database
    vault: Vault
    ledger: Ledger
    tenants: Tenants
    connections: Connections
    hub: Hub
    calls: Calls
    inbox: Inbox
    effects: Effects
    directory: Directory
    installs: Installs
    mail: MailCache
    certificates: Certificates
    profiles: Profiles


def tools(db: Database, vault: Vault, mail_url: str) -> Services:
    ledger = Ledger(db)
    made = Tools(
        settings=Settings(),
        db=db,
        vault=vault,
        ledger=ledger,
        tenants=Tenants(db, vault),
        connections=Connections(db, vault),
        hub=Hub(db, vault),
        calls=Calls(db, vault),
        inbox=Inbox(db, vault),
        effects=Effects(db, vault),
        directory=Directory(db, vault),
        installs=Installs(db, vault),
        mail=MailCache(db, vault, mail_url, cache_seconds=86_400),
        certificates=Certificates(db, vault, ledger),
        profiles=Profiles(),
    )
    return cast(Services, made)  # the stories touch nothing else of it


def call(
    services: Services, tenant: TenantId, connection: UUID, number: str, at: datetime = NOON, to: str = ""
) -> UUID:
    """Keep a missed call from a number (or to one), with its activity owed; return its id."""
    ref = uuid.uuid4().hex
    event = CallEvent(
        id=ref, type="ended", at=at, call_ref=ref, caller=number, callee=to or MAIN_LINE, direction="inbound"
    )
    heard = services.calls.hear(tenant, connection, [event])
    with services.db.tenant(tenant) as database:
        services.calls.save(database, tenant, heard, [read(number, "ES")])
        services.effects.plan(
            database,
            tenant,
            "activity.record",
            f"activity:{heard[0].id}",
            connection=connection,
            lane="calls",
            call=heard[0].id,
            payload={"customer": number},
        )
    return heard[0].id


def contact(
    services: Services, tenant: TenantId, connection: UUID, name: str, numbers: list[str], email: str, remote: str
) -> UUID:
    """Take over a person from one side; return the contact's id."""
    person = Person(given=name, lines=tuple(Line.read(number) for number in numbers), emails=(email,))
    record = Record(module="Contacts", remote_id=remote, person=person)
    step = Step(do="adopt", record=record)
    if known := services.hub.by_email(tenant, [email]):
        step = Step(do="join", contact=str(known[email][0]), record=record)
    with services.db.tenant(tenant) as database:
        services.hub.apply(database, tenant, connection, [step])
    return services.hub.by_email(tenant, [email])[email][0]


def delivery(services: Services, tenant: TenantId, connection: UUID, body: str, state: str = "dead") -> UUID:
    """A delivery nobody could understand, or one that waits."""
    event = uuid.uuid4().hex
    services.inbox.write_once(tenant, connection, event, kind="telephony", lane="calls", body=body.encode())
    with services.db.tenant(tenant) as database:
        where = (tables.deliveries.c.tenant_id == tenant, tables.deliveries.c.event_id == event)
        database.execute(update(tables.deliveries).where(*where).values(state=state))
        found: UUID = database.execute(select(tables.deliveries.c.id).where(*where)).scalar_one()
    return found


def age(services: Services, tenant: TenantId, table: str, row: UUID, **columns: datetime) -> UUID:
    """Make a row as old as the test wants it."""
    made = tables.metadata.tables[table]
    with services.db.tenant(tenant) as database:
        database.execute(update(made).where(made.c.tenant_id == tenant, made.c.id == row).values(**columns))
    return row


def ids(services: Services, tenant: TenantId, table: str) -> set[UUID]:
    made = tables.metadata.tables[table]
    with services.db.tenant(tenant) as database:
        return set(database.execute(select(made.c.id).where(made.c.tenant_id == tenant)).scalars())


def grant(services: Services, tenant: TenantId, connection: UUID, state: str) -> UUID:
    """A consent with its tokens."""
    row = uuid.uuid4()
    keys = services.vault.of(tenant)
    with services.db.tenant(tenant) as database:
        database.execute(
            insert(tables.grants).values(
                id=row,
                tenant_id=tenant,
                connection_id=connection,
                state=state,
                scopes=["a"],
                policy_version="strict 1",
                refresh=keys.seal("grants", row, "refresh", "refresh-canary"),
                access=keys.seal("grants", row, "access", "access-canary"),
            )
        )
    return row
