"""The hub: every person any side knows, once, found by number, by address or by the beginning of a name.

A link keeps how the record looked when last seen (its mark); a contact is the merge of its links' marks. `apply` does
what a plan says and nothing else, so running it twice changes nothing the second time.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Text,
    Uuid,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.besides import side_of
from domain.contact import Merged, Person, Record, keys, merge, one_person, prefixes
from domain.deal import NOT_THEIR_WORDS, OPEN
from domain.pairs import key_of
from domain.plan import CROWD, Key, Link, Step
from domain.ports import in_batches
from domain.telling import number_key, utterance
from store.database import Database, TenantId, among
from store.effects import Effects
from store.finding import Finding, of_side
from store.tables import connections, contact_keys, contacts, links, tombstones
from store.vault import TenantVault, Vault, as_json

LOOK = "look"  # the kind of a fingerprint of all a record says
SPELT = "spelt"  # the kind of a key for a number that is known only as it is written
SAID = ("contact_id", "owner", "account", "mark", "look", "changed_at")  # what a link learns from each reading
# A thousand people have fifty thousand keys: they travel as three lists of words, for a list of values is made value by
# value, which costs more than all the rest.
_told = (
    func.unnest(
        *(
            func.string_to_array(bindparam(name, type_=Text), literal(",", Text))
            for name in ("kinds", "prints", "whose")
        )
    )
    .table_valued("kind", "print", "contact", name="told")
    .render_derived()
)
_TOLD_KEY = (_told.c.kind, func.decode(_told.c.print, literal("hex", Text)), cast(_told.c.contact, Uuid))
INSERT_KEYS = (
    upsert(contact_keys)
    .from_select(
        ["tenant_id", "kind", "fingerprint", "contact_id"], select(bindparam("tenant", type_=Uuid), *_TOLD_KEY)
    )
    .on_conflict_do_nothing()
)
DELETE_KEYS = delete(contact_keys).where(
    contact_keys.c.tenant_id == bindparam("tenant", type_=Uuid),
    tuple_(contact_keys.c.kind, contact_keys.c.fingerprint, contact_keys.c.contact_id).in_(select(*_TOLD_KEY)),
)


class Hub(Finding):
    """Find people, and take over what a plan says about them."""

    def __init__(self, db: Database, vault: Vault) -> None:
        super().__init__(db, vault)
        self._effects = Effects(db, vault)

    # -- links

    def links(self, tenant: TenantId, connection: UUID, only: Collection[Key] | None = None) -> dict[Key, Link]:
        """How the records of one side looked when last seen; `only` these, or all of them."""
        vault = self._vault.of(tenant)
        statement = select(links).where(links.c.tenant_id == tenant, links.c.connection_id == connection)
        found: dict[Key, Link] = {}
        with self._db.tenant(tenant) as database:
            batches: Iterable[Any] = [None] if only is None else in_batches((key[1] for key in only), 1_000)
            for batch in batches:
                part = statement if batch is None else statement.where(among(links.c.remote_id, batch))
                for row in database.execution_options(yield_per=1_000).execute(part):
                    if only is None or (row.module, row.remote_id) in only:
                        found[row.module, row.remote_id] = _link(vault, row)
        return found

    def seen(self, database: Connection, tenant: TenantId, connection: UUID, records: Iterable[Record]) -> None:
        """These stand there still, in the caller's transaction."""
        rows = [_row_of(connection, *key_of(record)) for record in records]
        database.execute(
            update(links).where(links.c.tenant_id == tenant, among(links.c.id, rows)).values(seen_at=func.now())
        )

    def unseen(self, tenant: TenantId, connection: UUID, since: datetime, modules: Collection[str] = ()) -> list[Key]:
        """The records of a side, or of these modules of it, that were not seen since then."""
        late = (*of_side(tenant, connection, modules), links.c.seen_at < since)
        with self._db.tenant(tenant) as database:
            rows = database.execute(select(links.c.module, links.c.remote_id).where(*late))
            return [(row.module, row.remote_id) for row in rows]

    def known_keys(self, tenant: TenantId, connection: UUID, *, besides: Collection[str]) -> list[Key]:
        """The records we know of a side in other modules than these."""
        mine = (
            links.c.tenant_id == tenant,
            links.c.connection_id == connection,
            links.c.module.not_in({*besides, *OPEN}),
        )
        with self._db.tenant(tenant) as database:
            rows = database.execute(select(links.c.module, links.c.remote_id).where(*mine))
            return [(row.module, row.remote_id) for row in rows]

    def written(self, tenant: TenantId, connection: UUID) -> dict[str, Link]:
        """The same for a side we write to, by contact id."""
        return {link.contact: link for link in self.links(tenant, connection).values()}

    def forget(self, tenant: TenantId, connection: UUID, modules: Collection[str]) -> int:
        """Let go of everything these modules of a side told; return how many records that was."""
        theirs = of_side(tenant, connection, modules)
        with self._db.tenant(tenant) as database:
            _alone(database, tenant)
            whose = set(database.execute(select(links.c.contact_id).where(*theirs)).scalars())
            count = database.execute(delete(links).where(*theirs)).rowcount
            self.remerge(database, tenant, whose)
        return count

    def mark_written(
        self, database: Connection, tenant: TenantId, connection: UUID, contact: str, person: Person
    ) -> None:
        """The side we write to holds this now."""
        record = Record(module="phonebook", remote_id=contact, person=person)
        self._put_links(database, tenant, connection, [(UUID(contact), record)])

    def unlink_written(
        self, database: Connection, tenant: TenantId, connection: UUID, contacts_gone: Sequence[str]
    ) -> None:
        """The side we write to no longer holds these."""
        database.execute(
            delete(links).where(
                links.c.tenant_id == tenant,
                links.c.connection_id == connection,
                links.c.module == "phonebook",
                among(links.c.remote_id, contacts_gone),
            )
        )

    # -- applying a plan

    def same_person(self, tenant: TenantId, people: Iterable[Person]) -> Callable[[Person], str | None]:
        """What finds the contact a new record belongs to: one with the number or address whose name allows it."""
        wanted = {key for person in people for key in keys(person)}
        found: dict[tuple[str, str], list[UUID]] = {}
        for kind in ("number", "email"):
            values = [value for key_kind, value in wanted if key_kind == kind]
            for value, ids in self._by_key(tenant, kind, values).items():
                found[kind, value] = ids[:CROWD]
        known = self.people(tenant, {contact for ids in found.values() for contact in ids})

        def same(person: Person) -> str | None:
            near = sorted({contact for key in keys(person) for contact in found.get(key, ())})
            return next((str(one) for one in near if one in known and one_person(known[one].person, person)), None)

        return same

    def forgotten(self, tenant: TenantId, people: Iterable[Person]) -> set[tuple[str, str]]:
        """Which of these numbers and addresses belong to somebody who asked to be forgotten."""
        vault = self._vault.of(tenant)
        wanted = {vault.fingerprint(kind, value): (kind, value) for person in people for kind, value in keys(person)}
        found: set[tuple[str, str]] = set()
        with self._db.tenant(tenant) as database:
            for batch in in_batches(wanted, 5_000):
                rows = database.execute(
                    select(tombstones.c.fingerprint).where(
                        tombstones.c.tenant_id == tenant, among(tombstones.c.fingerprint, batch)
                    )
                )
                found |= {wanted[bytes(fingerprint)] for fingerprint in rows.scalars()}
        return found

    def apply(self, database: Connection, tenant: TenantId, connection: UUID, steps: Sequence[Step]) -> dict[str, int]:
        """Do the steps of a read plan in the caller's transaction; return how many of each kind.

        Those who change a tenant's hub wait for each other until commit, and a record that was taken over since the
        plan was made stays whose it is: a lead made from a call and the news of it adopt one contact.
        """
        _alone(database, tenant)
        counts = {"adopt": 0, "join": 0, "refresh": 0, "drop": 0}
        adopted = self._taken_over(database, tenant, connection, steps)
        new: list[UUID] = []
        told: dict[Key, tuple[UUID, Record]] = {}
        dropped: list[UUID] = []
        touched: set[UUID] = set()
        for step in steps:
            counts[step.do] += 1
            record, link = step.record, step.link
            if step.do in ("adopt", "join") and record is not None and key_of(record) in adopted:
                contact = adopted[key_of(record)]
            elif step.do == "adopt" and record is not None:
                contact = adopted[key_of(record)] = uuid.uuid4()
                new.append(contact)
            elif step.do == "join" and record is not None:
                contact = UUID(step.contact) if step.contact else adopted[_twin(step)]
            elif step.do in ("refresh", "drop") and link is not None:
                contact = UUID(link.contact)
            else:
                raise ValueError(f"not a step of a read plan: {step.do}")
            if record is not None:
                told[key_of(record)] = contact, record
            elif link is not None:
                dropped.append(_row_of(connection, link.module, link.remote_id))
            touched.add(contact)
        if new:
            database.execute(insert(contacts), [{"id": contact, "tenant_id": tenant} for contact in new])
        for batch in in_batches(dropped, 5_000):
            database.execute(delete(links).where(links.c.tenant_id == tenant, among(links.c.id, batch)))
        self._put_links(database, tenant, connection, list(told.values()))
        self.remerge(database, tenant, touched)
        return counts

    def _taken_over(
        self, database: Connection, tenant: TenantId, connection: UUID, steps: Sequence[Step]
    ) -> dict[Key, UUID]:
        """Whose the new records of a plan are already."""
        new = [step.record for step in steps if step.do in ("adopt", "join") and step.record is not None]
        found: dict[Key, UUID] = {}
        for batch in in_batches((_row_of(connection, *key_of(record)) for record in new), 5_000):
            rows = database.execute(
                select(links.c.module, links.c.remote_id, links.c.contact_id).where(
                    links.c.tenant_id == tenant, among(links.c.id, batch)
                )
            )
            found |= {(row.module, row.remote_id): row.contact_id for row in rows}
        return found

    def remerge(self, database: Connection, tenant: TenantId, ids: Collection[UUID]) -> int:
        """Add up again what the sides say of these contacts; one that no side knows any more goes. Returns how many."""
        vault, went = self._vault.of(tenant), 0
        for batch in in_batches(sorted(ids), 1_000):
            said: dict[UUID, list[tuple[str, Person]]] = {contact: [] for contact in batch}
            rows = database.execute(
                select(links, connections.c.vendor)
                .join(
                    connections,
                    (connections.c.tenant_id == links.c.tenant_id) & (connections.c.id == links.c.connection_id),
                )
                .where(
                    links.c.tenant_id == tenant,
                    among(links.c.contact_id, batch),
                    links.c.module.not_in(NOT_THEIR_WORDS),
                )
            )
            for row in rows:
                said[row.contact_id].append((side_of(row.vendor, row.module), _link(vault, row).mark))
            gone = [contact for contact, sides in said.items() if not sides]
            self._leave_phonebooks(database, tenant, gone)
            merged = {contact: merge(sides) for contact, sides in said.items() if sides}
            database.execute(delete(contacts).where(contacts.c.tenant_id == tenant, among(contacts.c.id, gone)))
            if merged:
                self._write(database, vault, merged)
            went += len(gone)
        return went

    def _leave_phonebooks(self, database: Connection, tenant: TenantId, gone: Sequence[UUID]) -> None:
        """Owe every phonebook that holds one of these the news; the links that say so go with the contact."""
        written = database.execute(
            select(links.c.connection_id, links.c.contact_id).where(
                links.c.tenant_id == tenant, among(links.c.contact_id, gone), links.c.module == "phonebook"
            )
        ).all()
        for phonebook, contact in written:
            self._effects.remove_from_phonebook(database, tenant, phonebook, contact)

    def _write(self, database: Connection, vault: TenantVault, merged: Mapping[UUID, Merged]) -> None:
        """Write what changed of these contacts. Keys are many and dear: only those that came or went are touched."""
        tenant = vault.tenant
        rows = database.execute(
            select(contacts.c.id, contacts.c.person).where(contacts.c.tenant_id == tenant, among(contacts.c.id, merged))
        )
        before = {row.id: vault.open("contacts", row.id, "person", row.person) for row in rows}
        now = {
            contact: as_json({"person": view.person.as_data(), "source": view.source})
            for contact, view in merged.items()
        }
        changed = [contact for contact, said in now.items() if said != before.get(contact)]
        if not changed:
            return
        fresh = upsert(contacts)
        database.execute(
            fresh.on_conflict_do_update(
                index_elements=["tenant_id", "id"],
                set_={"person": fresh.excluded.person, "updated_at": func.now()},
            ),
            [
                {"id": contact, "tenant_id": tenant, "person": vault.seal("contacts", contact, "person", now[contact])}
                for contact in changed
            ],
        )
        went: list[tuple[str, str, UUID]] = []
        came: list[tuple[str, str, UUID]] = []
        for contact in changed:
            said = json.loads(before[contact])["person"] if before.get(contact) else {}
            old, new = _found_by(Person.from_data(said)), _found_by(merged[contact].person)
            went += [(kind, value, contact) for kind, value in old - new]
            came += [(kind, value, contact) for kind, value in new - old]
        for statement, found in ((DELETE_KEYS, went), (INSERT_KEYS, came)):
            if found:
                database.execute(statement, {"tenant": tenant} | _told_keys(vault, found))

    def _put_links(
        self, database: Connection, tenant: TenantId, connection: UUID, told: Sequence[tuple[UUID, Record]]
    ) -> None:
        """Remember whose each record is and how it looks."""
        if not told:
            return
        vault, rows = self._vault.of(tenant), []
        for contact, record in told:
            row = _row_of(connection, record.module, record.remote_id)
            rows.append(
                {
                    "id": row,
                    "tenant_id": tenant,
                    "connection_id": connection,
                    "module": record.module,
                    "remote_id": record.remote_id,
                    "contact_id": contact,
                    "owner": record.owner,
                    "account": record.account,
                    "mark": vault.seal_json("links", row, "mark", record.person.as_data()),
                    "look": vault.fingerprint(LOOK, utterance(record.person)),
                    "changed_at": record.changed_at,
                }
            )
        statement = upsert(links)
        fresh = {name: statement.excluded[name] for name in SAID}
        conflict = statement.on_conflict_do_update(
            index_elements=["tenant_id", "id"], set_=fresh | {"seen_at": func.now()}
        )
        database.execute(conflict, rows)


def _alone(database: Connection, tenant: TenantId) -> None:
    """Wait for whoever changes this tenant's hub, and have them wait for us until commit."""
    database.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"hub {tenant}"})


def _link(vault: TenantVault, row: Any) -> Link:
    return Link(
        contact=str(row.contact_id),
        module=row.module,
        remote_id=row.remote_id,
        mark=Person.from_data(vault.open_json("links", row.id, "mark", row.mark) or {}),
        owner=row.owner,
        account=row.account,
    )


def _row_of(connection: UUID, module: str, remote_id: str) -> UUID:
    """One row for one record."""
    return uuid.uuid5(connection, f"{module}/{remote_id}")


def _found_by(person: Person) -> frozenset[tuple[str, str]]:
    """Everything that leads to a person: numbers, addresses, numbers nobody can dial as they are spelt, beginnings."""
    spelt = {(SPELT, number_key(line)) for line in person.lines if not line.e164 and number_key(line)}
    return keys(person) | spelt | {("prefix", beginning) for beginning in prefixes(person)}


def _told_keys(vault: TenantVault, found: Sequence[tuple[str, str, UUID]]) -> dict[str, str]:
    """Keys as `INSERT_KEYS` and `DELETE_KEYS` read them: three lists of words without a comma in them."""
    prints = vault.fingerprints((kind, value) for kind, value, _ in found)
    return {
        "kinds": ",".join(kind for kind, _, _ in found),
        "prints": ",".join(map(bytes.hex, prints)),
        "whose": ",".join(str(contact) for _, _, contact in found),
    }


def _twin(step: Step) -> Key:
    assert step.link is not None  # a join without a contact names the record its plan adopts
    return step.link.module, step.link.remote_id
