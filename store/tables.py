"""Every table, and for each column what kind of thing it holds.

sealed: customer content, AES-256-GCM under the tenant's key · blind: a keyed fingerprint, for look-ups · opaque:
another system's id · word: one of a closed list of ours · the rest are times, counts and our own ids.
A sealed, blind or opaque column belongs to a Holding (`store.holdings`), and a test fails on one that does not.
Names in the first rows are read by the migrations too; row-level security is switched on there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _sealed(name: str) -> Column[Any]:
    return Column(name, LargeBinary, info={"kind": "sealed"})


def _blind(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, LargeBinary, nullable=nullable, info={"kind": "blind"})


def _opaque(name: str, default: str | None = "") -> Column[Any]:
    return Column(name, Text, nullable=False, server_default=default, info={"kind": "opaque"})


def _word(name: str, default: str | None = None) -> Column[Any]:
    return Column(name, Text, nullable=False, server_default=default, info={"kind": "word"})


def _when(name: str, *, nullable: bool = True) -> Column[Any]:
    now = text("now()") if not nullable else None
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=now)


def _count(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False, server_default="0")


def _facts(name: str) -> Column[Any]:
    """Plain JSON of ours: counts, codes, settings. Never customer content."""
    return Column(name, JSONB, nullable=False, server_default=text("'{}'::jsonb"))


def _moved() -> Column[Any]:
    """The transaction in which something last moved; kept by triggers."""
    return Column("moved_in", BigInteger, nullable=False, server_default=text("txid_current()"))


def _of_tenant() -> Column[Any]:
    return Column("tenant_id", Uuid, nullable=False)


def _row() -> Column[Any]:
    return Column("id", Uuid, nullable=False)


# ---- without a tenant: what is read before we know whose it is ------------------------------------------

deployment = Table(  # one row: the key of what belongs to no tenant, wrapped by the key ring
    "deployment",
    metadata,
    Column("id", SmallInteger, primary_key=True),
    _word("kid"),
    Column("wrapped", LargeBinary, nullable=False),
    _when("created_at", nullable=False),
)

directory = Table(  # "whose knock is this?": a fingerprint of a door, an organisation, a mailbox, a session
    "directory",
    metadata,
    _word("kind"),
    _blind("fingerprint", nullable=False),
    _of_tenant(),
    Column("connection_id", Uuid),
    Column("user_id", Uuid),
    _when("expires_at"),
    PrimaryKeyConstraint("kind", "fingerprint"),
    Index(None, "tenant_id"),
)

consent_requests = Table(  # an administrator is at a provider's consent page; ten minutes, used once
    "consent_requests",
    metadata,
    Column("state", LargeBinary, primary_key=True),  # SHA-256 of what travels
    Column("browser", LargeBinary, nullable=False),  # SHA-256 of the cookie that started it
    _word("provider"),
    Column("tenant_id", Uuid),
    Column("connection_id", Uuid),
    _sealed("ticket"),
    _when("expires_at", nullable=False),
)

installs = Table(  # an organisation installed us at a marketplace; its consent is awaited
    "installs",
    metadata,
    _word("vendor"),
    _blind("fingerprint", nullable=False),
    _when("heard_at", nullable=False),
    _when("expires_at", nullable=False),
    PrimaryKeyConstraint("vendor", "fingerprint"),
)

mail_keys = Table(  # hourly mail keys: partitioned, every partition UNLOGGED, dropped on time (see the migration)
    "mail_keys",
    metadata,
    Column("bucket", DateTime(timezone=True), primary_key=True),
    Column("key", LargeBinary, nullable=False),
    postgresql_partition_by="RANGE (bucket)",
)

clock_marks = Table(  # the latest moment ever seen, so that a clock set back gives nothing a longer life
    "clock_marks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
)

# ---- a tenant and who works in it -----------------------------------------------------------------------

tenants = Table(
    "tenants",
    metadata,
    Column("id", Uuid, primary_key=True),
    _sealed("name"),
    _word("state", "active"),
    _word("profile", "strict"),
    _word("region", "US"),
    _word("time_zone", "UTC"),
    _word("call_writer", "records"),  # who writes the activity: "bridge" (the CRM itself) or "records" (we do)
    _facts("pops"),  # when calls come up on screens (domain.pop.PopRules)
    _facts("follow_ups"),  # what becomes of calls nobody took (domain.follow_up.FollowUps)
    _facts("matching"),  # whose a shared number is, and which record comes first (domain.matching.Rules)
    _facts("contacts"),  # how much one run may remove without asking (domain.sharing.Limit)
    _facts("wishes"),  # what is asked after a call and told of it (domain.remark.Wishes)
    _facts("recordings"),  # on which basis recordings are fetched, whether they are archived (domain.recording.Rules)
    _facts("own_accounts"),  # whether users connect accounts of their own (domain.own_account.OwnAccounts)
    _facts("dialling"),  # how numbers are spelt for the phone system (domain.dial_plan.DialPlan)
    _facts("barring"),  # how long prefixes in `set_apart` are, what becomes of hidden callers (domain.barring.Barring)
    _sealed("fields"),  # what goes into which field of an activity, as people wrote it (domain.mapping.FieldMap)
    _sealed("newcomers"),  # the same for new people in the CRM, by module
    _sealed("call_records"),  # the same for the record of a call in a further module (domain.call_record.RecordMap)
    _when("created_at", nullable=False),
)

tenant_keys = Table(
    "tenant_keys",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    _of_tenant(),
    _word("purpose"),
    _word("kid"),
    Column("wrapped", LargeBinary),  # NULL: destroyed
    _word("state", "active"),
    _when("created_at", nullable=False),
    Index("one_active_key", "tenant_id", "purpose", unique=True, postgresql_where=text("state = 'active'")),
)

users = Table(
    "users",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid),
    _opaque("remote_id"),
    _opaque("login_id"),
    _sealed("name"),
    _sealed("email"),
    _blind("email_index"),
    _sealed("extension"),
    _blind("extension_index"),
    _word("role", "agent"),
    _facts("pops"),  # when calls come up on this user's screen, where the tenant lets them say so (domain.pop.Wish)
    Column("active", Boolean, nullable=False, server_default=text("true")),
    _when("seen_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "connection_id", "remote_id"),
    Index(None, "tenant_id", "email_index"),
)

devices = Table(  # the inside lines that ring one user; a call shows them, the user says which one is dialled from
    "devices",
    metadata,
    _row(),
    _of_tenant(),
    Column("user_id", Uuid, nullable=False),
    _sealed("extension"),
    _blind("extension_index", nullable=False),
    Column("chosen", Boolean, nullable=False, server_default=text("false")),
    _when("seen_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "user_id", "extension_index"),
    Index("one_chosen_device", "tenant_id", "user_id", unique=True, postgresql_where=text("chosen")),
    Index(None, "tenant_id", "extension_index"),
)

api_keys = Table(  # what a tenant's own programs knock with; a digest is kept, never the key
    "api_keys",
    metadata,
    _row(),
    _of_tenant(),
    _sealed("label"),
    _opaque("prefix"),  # the beginning people tell keys apart by
    _blind("digest", nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_by", Uuid),
    _when("created_at", nullable=False),
    _when("last_used_at"),
    _when("revoked_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "digest"),
)

routes = Table(  # who a call to one of the tenant's own numbers is for when nobody owns the caller
    "routes",
    metadata,
    _row(),
    _of_tenant(),
    _sealed("number"),
    _blind("number_index", nullable=False),
    Column("user_id", Uuid),
    _sealed("queue"),
    _when("created_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "number_index"),
)

connections = Table(
    "connections",
    metadata,
    _row(),
    _of_tenant(),
    _word("kind"),  # crm, workspace, telephony
    _word("vendor"),
    _word("state", "active"),  # active, needs_consent, disconnected
    _word("reason", ""),  # an error code while the state is not active
    _sealed("label"),
    _sealed("account"),  # what the administrator filled in, addresses and keys alike
    _blind("subject"),  # whose account it is, so that a reconnect cannot swap accounts
    _facts("facts"),
    _when("created_at", nullable=False),
    _when("last_ok_at"),
    _when("last_trouble_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
)

connection_secrets = Table(  # door secrets; two are valid while one replaces the other
    "connection_secrets",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    _word("purpose"),
    _sealed("value"),
    _when("created_at", nullable=False),
    _when("not_after"),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index(None, "tenant_id", "connection_id", "purpose"),
)

grants = Table(
    "grants",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    _word("state", "active"),  # active, dead, revoked
    Column("scopes", ARRAY(Text), nullable=False),
    _word("policy_version"),
    _sealed("refresh"),
    _sealed("access"),
    _when("access_until"),
    _when("refresh_until"),
    _facts("extra"),  # location, home and api origin of the provider
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("version", BigInteger, nullable=False, server_default="0"),
    _when("lease_until"),
    Column("granted_by", Uuid),
    _when("created_at", nullable=False),
    _when("ended_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("one_active_grant", "tenant_id", "connection_id", unique=True, postgresql_where=text("state = 'active'")),
)

# ---- what flows -----------------------------------------------------------------------------------------

deliveries = Table(
    "deliveries",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    _opaque("event_id"),
    _word("kind"),  # telephony, crm, mail
    _word("lane"),
    _sealed("body"),  # NULL once understood
    _word("state", "pending"),  # pending, done, ignored, dead
    _word("reason", ""),
    _count("attempts"),
    _when("received_at", nullable=False),
    _when("next_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("connection_id", "event_id"),
    Index("deliveries_waiting", "tenant_id", "lane", "next_at", postgresql_where=text("state = 'pending'")),
    Index(None, "tenant_id", "received_at"),
)

calls = Table(
    "calls",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    _opaque("ref"),
    _word("direction"),
    _word("state"),
    _word("outcome", ""),
    _sealed("events"),  # what the vendor told us, understood; the call is their fold
    _sealed("view"),  # the fold: numbers, agent, queue, recording
    _sealed("trace"),  # what was looked up, whom it led to, who was chosen and why (domain.matching.Trace)
    _blind("customer_index"),
    _blind("line_index"),  # of the inside line it was taken on
    Column("contact_id", Uuid),
    Column("user_id", Uuid),
    _facts("seats"),  # at whose phones it is now: our users' ids, each with "ringing" or "answered"
    Column("screen_id", Uuid),  # whose screen in the CRM has its card: only there can it be ended
    _word("match", ""),  # what the number led to: domain.matching.Choice.match; or own, left_out, by_hand
    _word("writer", ""),  # bridge or records: decided once, when the activity is planned
    _opaque("activity_id"),
    _sealed("said"),  # our words in the activity's text, as they stand there or may
    _sealed("filled"),  # what we put into mapped fields of the activity, or may have (domain.mapping)
    _sealed("remark"),  # what an agent says of it: a note, how it went
    _count("remarks"),  # how often that changed
    _when("opened_at"),  # a voicemail was read or heard
    Column("opened_by", Uuid),
    _when("started_at", nullable=False),
    _when("answered_at"),
    _when("ended_at"),
    _count("talk_seconds"),
    _when("updated_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "connection_id", "ref"),
    Index(None, "tenant_id", "started_at"),
    Index(None, "tenant_id", "customer_index"),
    Index(None, "tenant_id", "line_index"),
    Index("calls_live", "tenant_id", "started_at", postgresql_where=text("state <> 'ended'")),
)

set_apart = Table(  # numbers that are never a customer's
    "set_apart",
    metadata,
    _row(),
    _of_tenant(),
    _word("kind"),  # own, left_out, blocked
    _word("source"),  # seen (on our side of calls), user (of somebody who works here), told (by an administrator)
    _word("state", "active"),  # seen (too seldom to tell), active, refused (an administrator said it is not so)
    _sealed("number"),  # or a range of them, or the word for those who hide theirs (domain.barring)
    _blind("fingerprint", nullable=False),
    _sealed("reason"),  # in an administrator's words
    _sealed("shown"),  # when we show it to those we dial (domain.caller_id.Rule), where it is our own
    _count("seen"),
    _when("changed_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "fingerprint"),
)

mail_blocks = Table(  # people and domains whose mail a mailbox's owner keeps out
    "mail_blocks",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    _sealed("whom"),
    _blind("fingerprint", nullable=False),
    _when("created_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "connection_id", "fingerprint"),
)

chat_spaces = Table(  # where a user and the app write to each other in Google Chat; one row a user, with the user's id
    "chat_spaces",
    metadata,
    _row(),
    _of_tenant(),
    _sealed("space"),
    _word("language", ""),  # in which the user reads there
    Column("wanted", Boolean, nullable=False, server_default=text("true")),  # they want to be told of missed calls
    _when("learned_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "id"], ["users.tenant_id", "users.id"], ondelete="CASCADE"),
)

callbacks = Table(  # calls somebody wants to return; one row a call, with the call's id
    "callbacks",
    metadata,
    _row(),
    _of_tenant(),
    Column("user_id", Uuid),  # who should; nobody: whoever comes first
    _word("state", "open"),  # open, done
    Column("created_by", Uuid),
    Column("done_by", Uuid),
    _when("created_at", nullable=False),
    _when("done_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "id"], ["calls.tenant_id", "calls.id"], ondelete="CASCADE"),
    Index("callbacks_open", "tenant_id", "user_id", postgresql_where=text("state = 'open'")),
)

recordings = Table(  # one row for a call that was recorded, with the call's id; its address is in the call
    "recordings",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    _word("basis"),  # on which it may be fetched, as the tenant's rules were when it came; "none": it may not
    _word("state", "there"),  # there (at the vendor), archived (with us, sealed), lost, deleted
    _word("reason", ""),  # an error code, when it was lost
    _opaque("form"),  # of the archived sound: its media type as the vendor named it
    _count("length"),  # of the archived sound, in bytes
    _count("revision"),  # links made before a revocation carry a smaller one
    _count("attempts"),
    _facts("heard"),  # who listens, and since when: a listen is one row in the ledger, however many requests it takes
    _when("started_at", nullable=False),  # the call's
    _when("changed_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "id"], ["calls.tenant_id", "calls.id"], ondelete="CASCADE"),
    Index("recordings_there", "tenant_id", "connection_id", postgresql_where=text("state = 'there'")),
    Index(None, "tenant_id", "started_at"),
)

recording_chunks = Table(  # an archived sound, piece by piece; each opens only as that piece of that recording
    "recording_chunks",
    metadata,
    _row(),
    _of_tenant(),
    Column("recording_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("sound", LargeBinary, nullable=False, info={"kind": "sealed", "bytes": True}),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "recording_id", "number"),
    ForeignKeyConstraint(["tenant_id", "recording_id"], ["recordings.tenant_id", "recordings.id"], ondelete="CASCADE"),
)

call_lists = Table(  # a user's own list of people to call one after the other
    "call_lists",
    metadata,
    _row(),
    _of_tenant(),
    Column("user_id", Uuid, nullable=False),
    _sealed("title"),
    _count("most_tries"),
    _count("turn"),  # how often somebody pressed something: a press of an older page does nothing
    _when("made_at", nullable=False),
    _when("worked_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "user_id"], ["users.tenant_id", "users.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "user_id"),
)
call_list_people = Table(
    "call_list_people",
    metadata,
    _row(),
    _of_tenant(),
    Column("list_id", Uuid, nullable=False),
    _count("place"),  # whose turn it is: the smallest of those who wait
    _sealed("number"),
    _blind("number_index", nullable=False),
    Column("contact_id", Uuid),
    Column("picked", Boolean, nullable=False),  # from the contacts: gone from there, gone from here
    _sealed("note"),
    _word("state", "waiting"),  # domain.call_down.State
    _count("tries"),
    Column("call_id", Uuid),  # by which the last try was judged
    _when("dialled_at"),
    _when("changed_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "list_id"], ["call_lists.tenant_id", "call_lists.id"], ondelete="CASCADE"),
    UniqueConstraint("tenant_id", "list_id", "number_index"),
)
texts = Table(  # one row for a conversation's day: a customer's number, our line, and what went to and fro
    "texts",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    Column("day", Date, nullable=False),  # of the tenant's own clock
    _blind("parties_index", nullable=False),  # both numbers: whose conversation it is
    _blind("customer_index"),
    _sealed("messages"),
    Column("contact_id", Uuid),
    Column("user_id", Uuid),
    _word("match", ""),
    _opaque("activity_id"),
    _sealed("said"),
    _count("received"),
    _count("sent"),
    _when("last_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "connection_id", "parties_index", "day"),
    Index(None, "tenant_id", "last_at"),
    Index(None, "tenant_id", "customer_index"),
)

effects = Table(
    "effects",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    _word("kind"),
    _opaque("key"),  # what may be done once: unique for the tenant
    _word("lane"),
    Column("call_id", Uuid),
    Column("text_id", Uuid),
    Column("contact_id", Uuid),
    _sealed("payload"),
    _word("state", "due"),  # due, claimed, unknown, done, dropped, dead
    _word("reason", ""),
    _opaque("result"),
    _count("attempts"),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    _count("reopened"),  # how often it was found missing over there and planned again
    _when("created_at", nullable=False),
    _when("next_at", nullable=False),
    _when("done_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "key"),
    Index(
        "one_writer_per_call",
        "tenant_id",
        "call_id",
        unique=True,
        postgresql_where=text("kind IN ('activity.bridge', 'activity.record')"),
    ),
    Index(
        "effects_waiting",
        "tenant_id",
        "lane",
        "next_at",
        postgresql_where=text("state IN ('due', 'claimed', 'unknown')"),
    ),
    Index(
        "effects_tasks",
        "tenant_id",
        "call_id",
        postgresql_where=text("kind IN ('task.create', 'task.close')"),
    ),
)

chores = Table(  # what the timetable does again and again for one connection
    "chores",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid),
    _word("kind"),
    _word("lane"),
    Column("every_seconds", Integer, nullable=False),
    _when("due_at", nullable=False),
    _when("last_ok_at"),
    _word("reason", ""),
    _count("failures"),
    _facts("progress"),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "connection_id", "kind"),
    Index("chores_waiting", "due_at"),
)

cursors = Table(  # how far we have read somewhere
    "cursors",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    _word("name"),
    _sealed("value"),
    _when("updated_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "connection_id", "name"),
)

# ---- people ---------------------------------------------------------------------------------------------

contacts = Table(
    "contacts",
    metadata,
    _row(),
    _of_tenant(),
    _sealed("person"),  # the merged view with its sources
    _when("created_at", nullable=False),
    _when("updated_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
)

contact_keys = Table(  # how a contact is found: by number, by address, by the beginning of a name
    "contact_keys",
    metadata,
    _of_tenant(),
    _word("kind"),
    _blind("fingerprint", nullable=False),
    Column("contact_id", Uuid, nullable=False),
    PrimaryKeyConstraint("tenant_id", "kind", "fingerprint", "contact_id"),
    ForeignKeyConstraint(["tenant_id", "contact_id"], ["contacts.tenant_id", "contacts.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "contact_id"),
)

links = Table(
    "links",
    metadata,
    _row(),
    _of_tenant(),
    Column("connection_id", Uuid, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    _word("module"),
    _opaque("remote_id"),
    _opaque("owner"),
    _opaque("account"),  # the company the record belongs to
    _sealed("mark"),  # how the record looked when last seen
    _blind("look"),  # the same as one value, so that what moved is found without opening anything
    _when("changed_at"),  # by the other side's clock
    _when("seen_at", nullable=False),
    _moved(),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("links_in_order", "tenant_id", "moved_in"),
    UniqueConstraint("tenant_id", "connection_id", "module", "remote_id"),
    ForeignKeyConstraint(["tenant_id", "contact_id"], ["contacts.tenant_id", "contacts.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "contact_id"),
)

pairs = (
    Table(  # a record of the CRM and one of an address book that are one person, and how each looked when they agreed
        "pairs",
        metadata,
        _row(),
        _of_tenant(),
        Column("crm_id", Uuid, nullable=False),  # connections
        Column("book_id", Uuid, nullable=False),
        _word(
            "state", ""
        ),  # why this record has no partner and waits for a person; "apart": it is left out of the sync
        _word("left_module", ""),
        _opaque("left_id"),
        _sealed("left_mark"),
        _blind("left_look"),
        _word("right_module", ""),
        _opaque("right_id"),
        _sealed("right_mark"),
        _blind("right_look"),
        _when("agreed_at", nullable=False),
        _moved(),
        PrimaryKeyConstraint("tenant_id", "id"),
        Index("pairs_in_order", "tenant_id", "moved_in"),
        Index("pairs_set_aside", "tenant_id", "state", postgresql_where=text("state <> ''")),
        Index(
            "one_left_partner",
            "tenant_id",
            "left_id",
            "left_module",
            "book_id",
            unique=True,
            postgresql_where=text("left_id <> ''"),
        ),
        Index(
            "one_right_partner",
            "tenant_id",
            "right_id",
            "right_module",
            "book_id",
            unique=True,
            postgresql_where=text("right_id <> ''"),
        ),
    )
)

journal = Table(  # what was overwritten or deleted in somebody else's records, and where two sides disagreed
    "journal",
    metadata,
    _row(),
    _of_tenant(),
    Column("crm_id", Uuid, nullable=False),
    Column("book_id", Uuid, nullable=False),
    _word("why"),
    _word("field"),
    _word("side", ""),  # where a value was lost: left (the CRM), right; empty: nothing was
    _word("state", "open"),  # open, asked (its undoing is under way), undone
    _sealed("entry"),  # both records' names, what stood where, and what it takes to undo it
    Column("undone_by", Uuid),
    _when("at", nullable=False),
    _when("undone_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index(None, "tenant_id", "at"),
)

number_rules = Table(  # whose a shared number is, because somebody here said so
    "number_rules",
    metadata,
    _row(),
    _of_tenant(),
    _blind("number_index", nullable=False),
    _sealed("number"),
    Column("contact_id", Uuid, nullable=False),
    Column("user_id", Uuid),
    _when("chosen_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "number_index"),
    ForeignKeyConstraint(["tenant_id", "contact_id"], ["contacts.tenant_id", "contacts.id"], ondelete="CASCADE"),
    Index(None, "tenant_id", "contact_id"),
)

tombstones = Table(  # somebody asked to be forgotten: a sync does not bring them back
    "tombstones",
    metadata,
    _of_tenant(),
    _word("kind"),
    _blind("fingerprint", nullable=False),
    _when("created_at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "kind", "fingerprint"),
)

changes = Table(  # when a call or a contact was last changed, written by triggers, so that devices can ask what is new
    "changes",
    metadata,
    _row(),  # the call's or the contact's
    _of_tenant(),
    _word("kind"),  # calls, contacts
    Column("transaction", BigInteger, nullable=False, server_default=text("txid_current()")),
    Column("gone", Boolean, nullable=False, server_default=text("false")),
    _when("at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("changes_in_order", "tenant_id", "kind", "transaction", "id"),
)

# ---- proof ----------------------------------------------------------------------------------------------

ledger = Table(
    "ledger",
    metadata,
    _of_tenant(),
    Column("seq", BigInteger, nullable=False),
    _when("at", nullable=False),
    _word("actor"),  # system, user:<our id>, door:<connection id>
    _word("action"),
    _word("subject", ""),  # <table>:<our id>
    _facts("facts"),
    Column("previous", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant_id", "seq"),
)

ledger_heads = Table(  # where a chain begins once its oldest rows have had their time
    "ledger_heads",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

certificates = Table(
    "certificates",
    metadata,
    _row(),
    _of_tenant(),
    _word("kind"),  # purge, erase, disconnect
    _word("profile"),
    _facts("counts"),
    Column("signature", LargeBinary, nullable=False),
    _when("at", nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
)

for _table in metadata.tables.values():  # closed lists are the application's business; an endless word is a mistake
    for _column in _table.columns:
        if _column.info.get("kind") == "word":
            _table.append_constraint(CheckConstraint(f"length({_column.name}) <= 200", name=f"{_column.name}_length"))

WITHOUT_TENANT = frozenset({"deployment", "directory", "consent_requests", "installs", "mail_keys", "clock_marks"})
OF_A_TENANT = tuple(table for table in metadata.sorted_tables if table.name not in WITHOUT_TENANT)
