"""Everything of one person: found by number or address wherever it lies, handed over, or erased for good.

Rows are found by fingerprint first; what has none (bodies that wait, payloads, the far legs of a call) is opened and
read. `export` hands over a tenant's or a person's data with the holding it belongs to; `erase` takes a person's rows
in the caller's transaction and leaves tombstones, so that no sync brings them back.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

import phonenumbers
from sqlalchemy import Connection, Table, and_, delete, func, not_, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert

from domain.contact import fold_email
from domain.matching import Trace
from store.database import TenantId
from store.effects import Effects
from store.holdings import HOLDINGS
from store.owed import WAITING
from store.tables import (
    OF_A_TENANT,
    call_list_people,
    call_lists,
    calls,
    connections,
    contact_keys,
    contacts,
    deliveries,
    effects,
    journal,
    links,
    mail_blocks,
    number_rules,
    pairs,
    recordings,
    set_apart,
    texts,
    tombstones,
    users,
)
from store.vault import KeyGone, Tampered, TenantVault, Vault

GAP = r"(?:[\s().\-/]|%20){0,3}"  # what people write between digits
FINDS = ("number", "email")  # the keys that say who somebody is; a prefix says what many are called
PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who it is about: numbers in E.164 and addresses, as they identify somebody to us."""

    numbers: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()

    def marks(self, vault: TenantVault) -> list[tuple[str, bytes]]:
        """(kind, fingerprint) of every number and address."""
        named = [("number", number) for number in self.numbers]
        named += [("email", fold_email(address)) for address in self.emails]
        return [(kind, vault.fingerprint(kind, value)) for kind, value in named]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """The rows that are about a person. `users` are staff: reported, not erased with the rest."""

    contacts: frozenset[UUID]
    calls: frozenset[UUID]
    texts: frozenset[UUID]
    effects: frozenset[UUID]
    deliveries: frozenset[UUID]
    users: frozenset[UUID]
    set_apart: frozenset[UUID]
    mail_blocks: frozenset[UUID]
    pairs: frozenset[UUID]
    journal: frozenset[UUID]
    call_lists: frozenset[UUID]  # whose very title names the person
    call_list_people: frozenset[UUID]


def mentions(person: Person) -> re.Pattern[str] | None:
    """Recognise a person in running text: a number however it is grouped and prefixed, an address in any capitals.

    >>> mentions(Person(numbers=("+34600111222",))).search('{"from": "0034 600-111-222"}') is not None
    True
    """
    parts = [rf"(?<![\w.+-]){re.escape(fold_email(address))}(?![\w-])" for address in person.emails]
    for number in person.numbers:
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            continue
        national = GAP.join(phonenumbers.national_significant_number(parsed))
        country = GAP.join(str(parsed.country_code))
        parts.append(rf"(?<!\d)(?:(?:\+|00|011)?{GAP}{country}{GAP}(?:\(?0\)?)?{GAP}|0)?{national}(?!\d)")
    return re.compile("|".join(parts), re.IGNORECASE) if parts else None


def find(database: Connection, vault: Vault, tenant: TenantId, person: Person) -> Footprint:
    """Find a person's rows in every table that could hold one."""
    keys = vault.of(tenant)
    marks = person.marks(keys)
    prints = [mark for _, mark in marks]
    found = database.execute(
        select(contact_keys.c.contact_id).where(
            contact_keys.c.tenant_id == tenant,
            contact_keys.c.kind.in_(FINDS),
            contact_keys.c.fingerprint.in_(prints),
        )
    )
    people = frozenset(found.scalars())
    staff = database.execute(
        select(users.c.id).where(users.c.tenant_id == tenant, users.c.email_index.in_(prints))
    ).scalars()
    workers = frozenset(staff)
    # A colleague's address is in every call they took: those calls are the customers', not theirs.
    named = mentions(Person(numbers=person.numbers) if workers else person)
    numbered = mentions(Person(numbers=person.numbers))
    theirs = frozenset(
        database.execute(
            select(calls.c.id).where(
                calls.c.tenant_id == tenant, or_(calls.c.customer_index.in_(prints), calls.c.contact_id.in_(people))
            )
        ).scalars()
    ) | _reading(database, keys, calls, ("view", "events", "said", "filled", "remark"), numbered)
    written = frozenset(
        database.execute(
            select(texts.c.id).where(
                texts.c.tenant_id == tenant, or_(texts.c.customer_index.in_(prints), texts.c.contact_id.in_(people))
            )
        ).scalars()
    ) | _reading(database, keys, texts, ("messages", "said"), numbered)
    owed = frozenset(
        database.execute(
            select(effects.c.id).where(
                effects.c.tenant_id == tenant,
                or_(
                    effects.c.call_id.in_(theirs),
                    effects.c.text_id.in_(written),
                    effects.c.contact_id.in_(people),
                ),
            )
        ).scalars()
    ) | _reading(database, keys, effects, ("payload",), named)
    return Footprint(
        contacts=people,
        calls=theirs,
        texts=written,
        effects=owed,
        deliveries=_reading(database, keys, deliveries, ("body",), named),
        users=workers,
        set_apart=_marked(database, set_apart, tenant, prints),
        mail_blocks=_marked(database, mail_blocks, tenant, prints),
        pairs=_in_step(database, tenant, people) | _reading(database, keys, pairs, ("left_mark", "right_mark"), named),
        journal=_reading(database, keys, journal, ("entry",), _either(named, _records_of(database, tenant, people))),
        call_lists=_reading(database, keys, call_lists, ("title",), named),
        call_list_people=_to_call(database, tenant, prints, people)
        | _reading(database, keys, call_list_people, ("note",), named),
    )


def _to_call(
    database: Connection, tenant: TenantId, prints: Collection[bytes], people: frozenset[UUID]
) -> frozenset[UUID]:
    """Where somebody stands on a list of people to call: by number, as a contact, or by a number only they have."""
    theirs = select(contact_keys.c.fingerprint).where(
        contact_keys.c.tenant_id == tenant, contact_keys.c.kind == "number", contact_keys.c.contact_id.in_(people)
    )
    others = select(contact_keys.c.fingerprint).where(
        contact_keys.c.tenant_id == tenant,
        contact_keys.c.fingerprint.in_(theirs),
        contact_keys.c.contact_id.not_in(people),
    )
    number = call_list_people.c.number_index
    wanted = or_(
        number.in_(prints),
        call_list_people.c.contact_id.in_(people),
        and_(number.in_(theirs), number.not_in(others)),
    )
    found = select(call_list_people.c.id).where(call_list_people.c.tenant_id == tenant, wanted)
    return frozenset(database.execute(found).scalars())


def _records_of(database: Connection, tenant: TenantId, people: frozenset[UUID]) -> re.Pattern[str] | None:
    """Recognise the names these contacts' records have elsewhere, as an entry of the journal has them."""
    mine = select(links.c.module, links.c.remote_id).where(links.c.tenant_id == tenant, links.c.contact_id.in_(people))
    names = [rf'"{re.escape(row.module)}", ?"{re.escape(row.remote_id)}"' for row in database.execute(mine)]
    return re.compile("|".join(names)) if names else None


def _either(one: re.Pattern[str] | None, other: re.Pattern[str] | None) -> re.Pattern[str] | None:
    parts = [f"(?:{pattern.pattern})" for pattern in (one, other) if pattern is not None]
    return re.compile("|".join(parts), re.IGNORECASE) if parts else None


def _in_step(database: Connection, tenant: TenantId, people: frozenset[UUID]) -> frozenset[UUID]:
    """The pairs one of these contacts' records is in."""
    either = or_(
        and_(pairs.c.left_module == links.c.module, pairs.c.left_id == links.c.remote_id),
        and_(pairs.c.right_module == links.c.module, pairs.c.right_id == links.c.remote_id),
    )
    joined = select(pairs.c.id).join(links, and_(links.c.tenant_id == pairs.c.tenant_id, either))
    return frozenset(
        database.execute(joined.where(pairs.c.tenant_id == tenant, links.c.contact_id.in_(people))).scalars()
    )


def _marked(database: Connection, table: Table, tenant: TenantId, prints: Collection[bytes]) -> frozenset[UUID]:
    """The rows that carry one of these fingerprints."""
    wanted = select(table.c.id).where(table.c.tenant_id == tenant, table.c.fingerprint.in_(prints))
    return frozenset(database.execute(wanted).scalars())


def _reading(
    database: Connection, keys: TenantVault, table: Table, fields: Sequence[str], named: re.Pattern[str] | None
) -> frozenset[UUID]:
    """Open these cells of every row that has one, and say which rows name the person."""
    if named is None:
        return frozenset()
    cells = [table.c[field] for field in fields]
    statement = select(table.c.id, *cells).where(
        table.c.tenant_id == keys.tenant, or_(*(cell.is_not(None) for cell in cells))
    )
    found = set()
    for row in database.execute(statement.execution_options(yield_per=PAGE)):
        for field in fields:
            text = _opened(keys, table.name, row.id, field, getattr(row, field))
            if named.search(text) or ("%" in text and named.search(unquote_plus(text))):
                found.add(row.id)
                break
    return frozenset(found)


def _opened(keys: TenantVault, table: str, row: UUID, field: str, sealed: bytes | None) -> str:
    """Open a cell; what cannot be opened any more names nobody."""
    return "" if sealed is None else _opened_bytes(keys, table, row, field, sealed).decode(errors="replace")


def _opened_bytes(keys: TenantVault, table: str, row: UUID, field: str, sealed: bytes) -> bytes:
    try:
        return keys.open_bytes(table, row, field, sealed)
    except (KeyGone, Tampered):
        return b""


def erase(
    database: Connection, vault: Vault, plan: Effects, tenant: TenantId, person: Person
) -> tuple[Footprint, dict[str, int]]:
    """Erase a person's rows in the caller's transaction; return what was found and how much of each kind went.

    Every phone system the tenant has is owed the removal, whether or not we ever heard that it holds the person.
    """
    bury(database, vault, tenant, person)
    found = find(database, vault, tenant, person)
    keys = database.execute(
        select(contact_keys.c.kind, contact_keys.c.fingerprint).where(
            contact_keys.c.tenant_id == tenant,
            contact_keys.c.contact_id.in_(found.contacts),
            contact_keys.c.kind.in_(FINDS),
        )
    ).all()
    phonebooks = database.execute(
        select(connections.c.id).where(
            connections.c.tenant_id == tenant,
            connections.c.kind == "telephony",
            connections.c.state != "disconnected",
        )
    ).scalars()
    heard = _recorded(database, vault.of(tenant), found.calls)
    counts = {"users kept": len(found.users), "phonebook removals": 0, "recording deletions": 0}
    for phonebook in list(phonebooks):
        for contact in sorted(found.contacts):
            counts["phonebook removals"] += plan.remove_from_phonebook(database, tenant, phonebook, contact)
    linked = select(func.count()).where(links.c.tenant_id == tenant, links.c.contact_id.in_(found.contacts))
    counts["links"] = database.execute(linked).scalar_one()
    owed = (effects.c.kind == "recording.forget", effects.c.state.in_(WAITING))  # the vendor's side is not erased yet
    counts["number_rules"] = database.execute(
        delete(number_rules).where(
            number_rules.c.tenant_id == tenant,
            or_(
                number_rules.c.contact_id.in_(found.contacts),
                number_rules.c.number_index.in_([mark for _, mark in person.marks(vault.of(tenant))]),
            ),
        )
    ).rowcount
    for table, ids, spare in (
        (effects, found.effects, not_(and_(*owed))),
        (deliveries, found.deliveries, true()),
        (recordings, found.calls, true()),  # their sound goes with them
        (calls, found.calls, true()),  # and with them that somebody wanted to return them
        (texts, found.texts, true()),
        (set_apart, found.set_apart, true()),
        (mail_blocks, found.mail_blocks, true()),
        (pairs, found.pairs, true()),
        (journal, found.journal, true()),
        (call_list_people, found.call_list_people, true()),
        (call_lists, found.call_lists, true()),
        (contacts, found.contacts, true()),  # their keys and links go with them
    ):
        where = (table.c.tenant_id == tenant, table.c.id.in_(ids), spare)
        counts[table.name] = database.execute(delete(table).where(*where)).rowcount
    counts["traces"] = _forget_in_traces(database, vault.of(tenant), found.contacts)
    for phone_system, call, url in heard:
        counts["recording deletions"] += plan.forget_recording(database, tenant, phone_system, call, url, of=None)
    theirs = _shared_by_nobody(database, tenant, {(row.kind, bytes(row.fingerprint)) for row in keys})
    _write_tombstones(database, tenant, theirs)
    counts["tombstones"] = len(theirs | set(person.marks(vault.of(tenant))))
    return found, counts


def _forget_in_traces(database: Connection, keys: TenantVault, people: frozenset[UUID]) -> int:
    """Leave these people out of why other calls, of a number they shared, found whom they found; return how many."""
    if not people:
        return 0
    rows = database.execute(
        select(calls.c.id, calls.c.trace)
        .where(calls.c.tenant_id == keys.tenant, calls.c.trace.is_not(None))
        .execution_options(yield_per=PAGE)
    )
    without: dict[UUID, Trace] = {}
    for row in rows:
        text = _opened(keys, "calls", row.id, "trace", row.trace)
        trace = Trace.from_data(json.loads(text)).forgets(people) if text else None
        if trace is not None:
            without[row.id] = trace
    for call, trace in without.items():
        sealed = keys.seal_json("calls", call, "trace", trace.as_data())
        database.execute(update(calls).where(calls.c.tenant_id == keys.tenant, calls.c.id == call).values(trace=sealed))
    return len(without)


def _recorded(database: Connection, keys: TenantVault, ids: Collection[UUID]) -> list[tuple[UUID, UUID, str]]:
    """(phone system, call, address) of the recordings a vendor that is still connected may have of these calls."""
    rows = database.execute(
        select(calls.c.id, calls.c.connection_id, calls.c.view)
        .join(
            connections,
            and_(connections.c.tenant_id == calls.c.tenant_id, connections.c.id == calls.c.connection_id),
        )
        .where(calls.c.tenant_id == keys.tenant, calls.c.id.in_(ids), connections.c.state != "disconnected")
    ).all()
    told = [(row, json.loads(_opened(keys, "calls", row.id, "view", row.view) or "{}")) for row in rows]
    return [(row.connection_id, row.id, view["recording_url"]) for row, view in told if view.get("recording_url")]


def bury(database: Connection, vault: Vault, tenant: TenantId, person: Person) -> None:
    """Leave tombstones: what a sync reads from now on does not bring the person back."""
    _write_tombstones(database, tenant, person.marks(vault.of(tenant)))


def _shared_by_nobody(
    database: Connection, tenant: TenantId, keys: Collection[tuple[str, bytes]]
) -> set[tuple[str, bytes]]:
    """An erased contact's other numbers and addresses lead to them too, unless a colleague has the same."""
    shared = select(contact_keys.c.fingerprint).where(
        contact_keys.c.tenant_id == tenant, contact_keys.c.fingerprint.in_([mark for _, mark in keys])
    )
    still = {bytes(mark) for mark in database.execute(shared).scalars()}
    return {key for key in keys if key[1] not in still}


def _write_tombstones(database: Connection, tenant: TenantId, marks: Iterable[tuple[str, bytes]]) -> None:
    rows = [{"tenant_id": tenant, "kind": kind, "fingerprint": mark} for kind, mark in marks]
    if rows:
        database.execute(insert(tombstones).values(rows).on_conflict_do_nothing())


# ---- handing over -----------------------------------------------------------------------------------------------


def export(
    database: Connection, vault: Vault, tenant: TenantId, only: Footprint | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (holding, row) of a tenant's data, or of one person's, unsealed. What opens a door is left out."""
    secret = {place for holding in HOLDINGS for place in holding.secret}
    keys = vault.of(tenant)
    for table in OF_A_TENANT:
        holding = _holding_of(table)
        where = _which(table, tenant, only)
        if holding is None or where is None:
            continue
        statement = select(table).where(*where)
        for row in database.execute(statement.execution_options(yield_per=PAGE)).mappings():
            yield holding, _plain(keys, table, row, secret)


def _holding_of(table: Table) -> str | None:
    """The holding most of a table belongs to; None for a table of nothing but fingerprints and our own facts."""
    told = {
        f"{table.name}.{column.name}" for column in table.columns if column.info.get("kind") in ("sealed", "opaque")
    }
    best = max(HOLDINGS, key=lambda holding: len(holding.columns() & told))
    return best.name if told & best.columns() else None


def _which(table: Table, tenant: TenantId, only: Footprint | None) -> tuple[Any, ...] | None:
    """The rows of a table that are wanted; None for a table that says nothing of a person."""
    owner = table.c.id if table.name == "tenants" else table.c.tenant_id
    if only is None:
        return (owner == tenant,)
    by_id = {"contacts": only.contacts, "calls": only.calls, "effects": only.effects, "deliveries": only.deliveries}
    by_id |= {"recordings": only.calls, "callbacks": only.calls, "set_apart": only.set_apart, "texts": only.texts}
    by_id |= {"mail_blocks": only.mail_blocks}
    by_id |= {"pairs": only.pairs, "journal": only.journal, "call_list_people": only.call_list_people}
    if table.name in by_id:
        return (owner == tenant, table.c.id.in_(by_id[table.name]))
    if table.name in ("links", "number_rules"):
        return (owner == tenant, table.c.contact_id.in_(only.contacts))
    if table.name == "recording_chunks":
        return (owner == tenant, table.c.recording_id.in_(only.calls))
    if table.name in ("users", "chat_spaces"):
        return (owner == tenant, table.c.id.in_(only.users))
    if table.name == "call_lists":
        return (owner == tenant, or_(table.c.id.in_(only.call_lists), table.c.user_id.in_(only.users)))
    if table.name == "devices":
        return (owner == tenant, table.c.user_id.in_(only.users))
    return None


def _plain(keys: TenantVault, table: Table, row: Any, secret: Collection[str]) -> dict[str, Any]:
    """A row as a person can read it: sealed cells opened, fingerprints and secrets left out."""
    plain: dict[str, Any] = {"table": table.name}
    for column in table.columns:
        value, kind = row[column.name], column.info.get("kind")
        if kind == "blind" or f"{table.name}.{column.name}" in secret or value is None:
            continue
        if column.info.get("bytes"):
            value = base64.b64encode(_opened_bytes(keys, table.name, row["id"], column.name, value)).decode()
        elif kind == "sealed":
            value = _told(_opened(keys, table.name, row["id"], column.name, value))
        if isinstance(value, datetime):
            value = value.isoformat()
        plain[column.name] = str(value) if isinstance(value, UUID) else value
    return plain


def _told(text: str) -> Any:
    """JSON as what it says, anything else as the text it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text
