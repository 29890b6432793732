"""Everything personal we keep: one list for the purge, the export, the erasure, the privacy page and the README.

A sealed, blind or opaque column, a key in a Valkey or a file that is in no holding fails a test. `purge` takes from one
tenant what its profile says is due. It opens nothing: what goes is decided by times and states alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, func, or_, select, true, tuple_, update

from domain.holding import Holding
from domain.profile import Profile
from store.database import Database, TenantId
from store.hub import Hub
from store.owed import OVER
from store.tables import (
    api_keys,
    call_list_people,
    call_lists,
    calls,
    changes,
    connection_secrets,
    connections,
    cursors,
    deliveries,
    devices,
    effects,
    grants,
    journal,
    links,
    recordings,
    set_apart,
    texts,
    users,
)
from store.vault import Vault

HOLDINGS: tuple[Holding, ...] = (
    Holding(
        name="calls",
        purpose="Show who called, when and with what outcome, and log each call in the CRM once.",
        basis="contract",
        what=(
            "calls.ref",
            "calls.events",
            "calls.view",
            "calls.trace",
            "calls.customer_index",
            "calls.line_index",
            "calls.activity_id",
            "calls.said",
            "calls.filled",
            "calls.remark",
        ),
        clock="calls.started_at",
        keep="calls",
    ),
    Holding(
        name="numbers set apart",
        purpose="Know which numbers are our own, left out or blocked, and which of our own those we dial are shown.",
        basis="contract",
        what=("set_apart.number", "set_apart.fingerprint", "set_apart.reason", "set_apart.shown"),
        clock="",  # until an administrator takes them off the list
        keep="set_apart",
    ),
    Holding(
        name="numbers seen",
        purpose="Learn our own numbers: one that stands on our side of a few calls is ours.",
        basis="contract",
        what=("set_apart.number", "set_apart.fingerprint"),
        clock="set_apart.changed_at",
        keep="calls",
    ),
    Holding(
        name="recordings",
        purpose="Listen to a call again: its recording, where the tenant states a consent basis and wants it archived.",
        basis="consent",
        what=("recordings.form", "recording_chunks.sound"),  # where the vendor has it stands in the call
        clock="recordings.started_at",
        keep="recordings",
    ),
    Holding(
        name="texts",
        purpose="Show what was written and faxed to and fro with a caller, and log it in the CRM.",
        basis="contract",
        what=(
            "texts.parties_index",
            "texts.customer_index",
            "texts.messages",
            "texts.activity_id",
            "texts.said",
        ),
        clock="texts.last_at",
        keep="texts",
    ),
    Holding(
        name="call lists",
        purpose="Let a user call people one after the other: what their list is called.",
        basis="contract",
        what=("call_lists.title",),
        clock="call_lists.worked_at",
        keep="call_lists",
    ),
    Holding(
        name="people to call",
        purpose="Say who is next on a user's list, how the call went and what the user noted.",
        basis="contract",
        what=("call_list_people.number", "call_list_people.number_index", "call_list_people.note"),
        clock="call_list_people.changed_at",
        keep="call_lists",
        google=True,
    ),
    Holding(
        name="deliveries",
        purpose="Know a repeated message again, and show what could not be understood.",
        basis="contract",
        what=("deliveries.body", "deliveries.event_id"),
        clock="deliveries.received_at",
        keep="deliveries",
        google=True,
    ),
    Holding(
        name="waiting deliveries",
        purpose="Keep what an outside system told us until it is understood.",
        basis="contract",
        what=("deliveries.body", "deliveries.event_id"),
        clock="deliveries.received_at",
        keep="waiting",
        google=True,
    ),
    Holding(
        name="waiting effects",
        purpose="Keep what we owe the CRM or the phone system until it is done.",
        basis="contract",
        what=("effects.key", "effects.payload"),
        clock="effects.created_at",
        keep="waiting",
        google=True,
    ),
    Holding(
        name="effects",
        purpose="Do each write once, and find again what we wrote.",
        basis="contract",
        what=("effects.key", "effects.payload", "effects.result"),
        clock="effects.done_at",
        keep="effects",
        google=True,
    ),
    Holding(
        name="contacts",
        purpose="Say who is calling, and keep the people in CRM, Google and phone system the same.",
        basis="contract",
        what=(
            "contacts.person",
            "contact_keys.fingerprint",
            "links.remote_id",
            "links.owner",
            "links.account",
            "links.mark",
            "links.look",
            "pairs.left_id",
            "pairs.left_mark",
            "pairs.left_look",
            "pairs.right_id",
            "pairs.right_mark",
            "pairs.right_look",
        ),
        clock="",
        keep="contacts",
        google=True,
    ),
    Holding(
        name="journal",
        purpose="Show what keeping contacts in step overwrote or deleted, and take it back.",
        basis="contract",
        what=("journal.entry",),
        clock="journal.at",
        keep="journal",
        google=True,
    ),
    Holding(
        name="number rules",
        purpose="Know whose a number is that several people share, because an agent said so.",
        basis="contract",
        what=("number_rules.number", "number_rules.number_index"),
        clock="",  # a rule goes with its contact
        keep="contacts",
    ),
    Holding(
        name="mail",
        purpose="Show recent mail with a caller beside the call.",
        basis="consent",
        what=("key:mail:*",),
        clock="",  # in no table: store.mailbox makes it go
        keep="mail",
        google=True,
    ),
    Holding(
        name="mail kept out",
        purpose="Keep the mail of people and domains out of here, because the mailbox's owner said so.",
        basis="consent",
        what=("mail_blocks.whom", "mail_blocks.fingerprint"),
        clock="",  # until its owner lets them in, or the mailbox is disconnected
        keep="mail_blocks",
    ),
    Holding(
        name="users",
        purpose="Know who works here: who may sign in, whose extension rings.",
        basis="contract",
        what=(
            "users.remote_id",
            "users.login_id",
            "users.name",
            "users.email",
            "users.email_index",
            "users.extension",
            "users.extension_index",
        ),
        clock="users.seen_at",
        keep="users",
    ),
    Holding(
        name="devices",
        purpose="Ring a user on the telephone they choose.",
        basis="contract",
        what=("devices.extension", "devices.extension_index"),
        clock="devices.seen_at",
        keep="devices",
    ),
    Holding(
        name="Chat spaces",
        purpose="Tell a user in Google Chat of a call they missed: where they and the app write to each other.",
        basis="consent",
        what=("chat_spaces.space",),
        clock="",  # until the app is taken out of it, the account is disconnected, or the user goes
        keep="chat_spaces",
    ),
    Holding(
        name="API keys",
        purpose="Let the tenant's own programs in, and show which of them came when.",
        basis="contract",
        what=("api_keys.label", "api_keys.prefix", "api_keys.digest"),
        clock="api_keys.revoked_at",
        keep="api_keys",
        secret=("api_keys.prefix",),
    ),
    Holding(
        name="routing",
        purpose="Tell the phone system whom a call to each of the tenant's own numbers is for.",
        basis="contract",
        what=("routes.number", "routes.number_index", "routes.queue"),
        clock="",
        keep="routing",
    ),
    Holding(
        name="changes",
        purpose="Tell devices which calls and contacts changed and which went: our own ids, nothing else.",
        basis="contract",
        what=(),
        clock="changes.at",
        keep="changes",
    ),
    Holding(
        name="connections",
        purpose="Reach the outside systems the tenant connected, read on where we stopped, and leave a user undisturbed"
        " while their calendar says busy, as they wished.",
        basis="contract",
        what=("connections.label", "connections.account", "connections.subject", "cursors.value"),
        clock="",
        keep="connections",
        google=True,
        secret=("connections.account", "cursors.value"),
    ),
    Holding(
        name="door secrets",
        purpose="Tell a genuine message from a forged one.",
        basis="legitimate_interest",
        what=("connection_secrets.value",),
        clock="connection_secrets.not_after",
        keep="connections",
        dated=True,
        secret=("connection_secrets.value",),
    ),
    Holding(
        name="grants",
        purpose="Use the outside systems as far as somebody consented, and no further.",
        basis="consent",
        what=("grants.refresh", "grants.access"),
        clock="",
        keep="grants",
        google=True,
        secret=("grants.refresh", "grants.access"),
    ),
    Holding(
        name="consent requests",
        purpose="Recognise the administrator who comes back from a consent page.",
        basis="contract",
        what=("consent_requests.ticket",),
        clock="consent_requests.expires_at",
        keep="consent_requests",
        dated=True,
        secret=("consent_requests.ticket",),
    ),
    Holding(
        name="installs",
        purpose="Know that an organisation installed us at a marketplace, until its administrator consents.",
        basis="contract",
        what=("installs.fingerprint",),
        clock="installs.expires_at",
        keep="installs",
        dated=True,
    ),
    Holding(
        name="directory",
        purpose="Find the tenant behind a door, a sign-in, a mailbox, a Google account, a session or a frame.",
        basis="contract",
        what=("directory.fingerprint",),
        clock="directory.expires_at",
        keep="sessions",
        dated=True,
    ),
    Holding(
        name="tombstones",
        purpose="Keep a sync from bringing back somebody who asked to be forgotten.",
        basis="legal_duty",
        what=("tombstones.fingerprint",),
        clock="",
        keep="tombstones",
    ),
    Holding(
        name="tenant",
        purpose="Call the organisation by its name, and fill fields of its calls and new contacts as it chose.",
        basis="contract",
        what=("tenants.name", "tenants.fields", "tenants.newcomers", "tenants.call_records"),
        clock="",
        keep="tenant",
    ),
    Holding(
        name="queue",
        purpose="Wake a worker: ids of tenants and lanes, nothing else.",
        basis="legitimate_interest",
        what=(
            "key:rq:*",
            "key:linekeeper:rung:*",
            "key:linekeeper:gate:*",
            "key:linekeeper:gates:*",
            "key:linekeeper:units:*",
        ),
        clock="",
        keep="queue",
    ),
    Holding(
        name="files",
        purpose="Run on servers of our own where the operator has none: their files, in which content lies sealed.",
        basis="contract",
        what=(
            "file:postgres/**",  # tables, indexes and the write-ahead log
            "file:valkey-work/**",  # the doorbell's append-only file
            "file:valkey-mail/**",  # empty: cached mail is in no file
            "file:logs/*",
            "file:metrics/*",
            "file:passwords.json",  # the embedded database roles' own
            "file:keyring",  # the development key ring
            "file:crew.json",  # process numbers
            "file:house.json",  # what `linekeeper up` lends to commands beside it
            "file:*.lock",
            "file:run/**",  # sockets
            "file:scratch/**",
        ),
        clock="",
        keep="files",
        secret=("file:passwords.json", "file:keyring", "file:house.json"),
    ),
)
BY_NAME = {holding.name: holding for holding in HOLDINGS}
BATCH = 5_000  # rows a transaction: nobody waits long for a lock
EVERY_ROW = true()


@dataclass(frozen=True, slots=True)
class Rule:
    """How a table's rows become due: by a moment, among those that `only` allows."""

    table: Table
    at: ColumnElement[Any]
    only: ColumnElement[bool] = EVERY_ROW


RULES: dict[str, Rule] = {
    "recordings": Rule(recordings, recordings.c.started_at),  # and its pieces with it
    "calls": Rule(calls, calls.c.started_at),  # not ended_at: a call whose end was lost goes too
    "numbers seen": Rule(set_apart, set_apart.c.changed_at, set_apart.c.state == "seen"),
    "texts": Rule(texts, texts.c.last_at),
    "call lists": Rule(call_lists, call_lists.c.worked_at),  # and everybody on them
    "people to call": Rule(call_list_people, call_list_people.c.changed_at),
    "waiting deliveries": Rule(deliveries, deliveries.c.received_at, deliveries.c.state == "pending"),
    "deliveries": Rule(deliveries, deliveries.c.received_at, deliveries.c.state != "pending"),
    "waiting effects": Rule(effects, effects.c.created_at, effects.c.state.not_in(OVER)),
    "effects": Rule(effects, func.coalesce(effects.c.done_at, effects.c.next_at), effects.c.state.in_(OVER)),
    "journal": Rule(journal, journal.c.at),
    "users": Rule(users, users.c.seen_at, ~users.c.active),
    "devices": Rule(devices, devices.c.seen_at),
    "API keys": Rule(api_keys, api_keys.c.revoked_at),
    "changes": Rule(changes, changes.c.at, changes.c.gone),
    "door secrets": Rule(connection_secrets, connection_secrets.c.not_after),
}


def purge(db: Database, vault: Vault, tenant: TenantId, profile: Profile, now: datetime) -> dict[str, int]:
    """Take what is due from one tenant; return how much of each holding went. Nothing due changes nothing."""
    went = {}
    for name, rule in RULES.items():
        due = BY_NAME[name].due_before(profile, now)
        went[name] = 0 if due is None else _delete_due(db, tenant, rule, due)
    went["grants"] = _empty_grants(db, tenant)
    went["connections"] = _empty_connections(db, tenant)
    went["contacts"] = _drop_contacts(db, vault, tenant)
    return went


def _delete_due(db: Database, tenant: TenantId, rule: Rule, due: datetime) -> int:
    table, gone = rule.table, 0
    some = (
        select(table.c.tenant_id, table.c.id)
        .where(table.c.tenant_id == tenant, rule.at <= due, rule.only)
        .limit(BATCH)
        .with_for_update(skip_locked=True)  # a row that is being worked on is due next time as well
    )
    while True:
        with db.tenant(tenant) as database:
            count = database.execute(delete(table).where(tuple_(table.c.tenant_id, table.c.id).in_(some))).rowcount
        gone += count
        if count < BATCH:
            return gone


def _disconnected(tenant: TenantId) -> Any:
    return select(connections.c.id).where(connections.c.tenant_id == tenant, connections.c.state == "disconnected")


def _empty_grants(db: Database, tenant: TenantId) -> int:
    """Tokens of a consent that ended go; who consented to what stays a fact without them."""
    ended = or_(grants.c.state != "active", grants.c.connection_id.in_(_disconnected(tenant)))
    filled = or_(grants.c.refresh.is_not(None), grants.c.access.is_not(None))
    with db.tenant(tenant) as database:
        return database.execute(
            update(grants).where(grants.c.tenant_id == tenant, ended, filled).values(refresh=None, access=None)
        ).rowcount


def _empty_connections(db: Database, tenant: TenantId) -> int:
    """What is needed to reach a disconnected side goes, and its label, which may be an address.

    The fingerprint of its account stays until the tenant goes, so that a reconnect cannot swap accounts.
    """
    filled = or_(connections.c.label.is_not(None), connections.c.account.is_not(None))
    over = and_(connections.c.tenant_id == tenant, connections.c.state == "disconnected")
    with db.tenant(tenant) as database:
        count = database.execute(update(connections).where(over, filled).values(label=None, account=None)).rowcount
        for table in (connection_secrets, cursors):
            count += database.execute(
                delete(table).where(table.c.tenant_id == tenant, table.c.connection_id.in_(_disconnected(tenant)))
            ).rowcount
    return count


def _drop_contacts(db: Database, vault: Vault, tenant: TenantId) -> int:
    """What disconnected sides said of people goes; somebody whom no connected side knows goes altogether."""
    hub, gone = Hub(db, vault), 0
    said = (links.c.tenant_id == tenant, links.c.connection_id.in_(_disconnected(tenant)))
    while True:
        with db.tenant(tenant) as database:
            ids = set(database.execute(select(links.c.contact_id).where(*said).distinct().limit(1_000)).scalars())
            if not ids:
                return gone
            database.execute(delete(links).where(*said, links.c.contact_id.in_(ids)))
            gone += hub.remerge(database, tenant, ids)
