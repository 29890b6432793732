"""The hub: every person any side knows, once, found by number, by address or by the beginning of a name.

A link keeps how the record looked when last seen (its mark); a contact is the merge of its links' marks. `apply` does
what a plan says and nothing else, so running it twice changes nothing the second time.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from domain import phone
from domain.contact import Merged, Person, Record, fold_email, keys, merge, one_person, prefixes
from domain.contact import words as words_of
from domain.plan import CROWD, Key, Link, Step
from domain.ports import in_batches
from store.database import Database, TenantId
from store.effects import Effects
from store.tables import connections, contact_keys, contacts, links, tombstones
from store.vault import TenantVault, Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person in the hub and where each of their fields came from."""

    id: UUID
    person: Person
    source: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """A contact's record on one side."""

    connection: UUID
    vendor: str
    module: str
    remote_id: str
    owner: str
    account: str = ""  # the company the record belongs to there


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Whom a number led to: the spellings that were looked up, and the one under which somebody was found."""

    tried: tuple[str, ...]
    under: str = ""
    contacts: tuple[UUID, ...] = ()


class Hub:
    """Find people, and take over what a plan says about them."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault
        self._effects = Effects(db, vault)

    # -- finding

    def who(self, tenant: TenantId, e164: str) -> list[UUID]:
        """The contacts with that number, in a stable order. One index look-up, whatever the number of contacts."""
        return self.whose(tenant, [e164]).get(e164, [])

    def whose(self, tenant: TenantId, numbers: Iterable[str]) -> dict[str, list[UUID]]:
        """The same for many numbers at once; a number that nobody has is left out."""
        matched = self.match(tenant, numbers)
        return {number: list(one.contacts) for number, one in matched.items() if one.contacts}

    def match(self, tenant: TenantId, numbers: Iterable[str]) -> dict[str, Matched]:
        """How each number was looked up; one that nobody has is tried in its country's other spellings."""
        wanted = list(numbers)
        found = self._by_key(tenant, "number", wanted)
        others = {number: phone.variants(number) for number in wanted if number not in found}
        spelt = self._by_key(tenant, "number", [other for variants in others.values() for other in variants])
        matched = {}
        for number in wanted:
            under = number if number in found else next((other for other in others[number] if other in spelt), "")
            contacts = found.get(number) or spelt.get(under, [])
            tried = (number, *others.get(number, ()))
            matched[number] = Matched(tried=tried, under=under, contacts=tuple(contacts))
        return matched

    def by_email(self, tenant: TenantId, addresses: Iterable[str]) -> dict[str, list[UUID]]:
        """The contacts with each of these addresses; an unknown address is left out."""
        return self._by_key(tenant, "email", [fold_email(address) for address in addresses])

    def search(self, tenant: TenantId, beginning: str, limit: int = 50) -> list[Contact]:
        """Contacts one of whose names begins so (two letters at least), or the latest ones for an empty text."""
        words = beginning.casefold().split()
        statement = select(contacts).where(contacts.c.tenant_id == tenant)
        if not words:
            statement = statement.order_by(contacts.c.updated_at.desc(), contacts.c.id)
        for word in words:
            fingerprint = self._vault.of(tenant).fingerprint("prefix", word[:8])
            statement = statement.where(
                contacts.c.id.in_(
                    select(contact_keys.c.contact_id).where(
                        contact_keys.c.tenant_id == tenant,
                        contact_keys.c.kind == "prefix",
                        contact_keys.c.fingerprint == fingerprint,
                    )
                )
            )
        with self._db.tenant(tenant) as database:
            found = [self._contact(row) for row in database.execute(statement.limit(limit))]
        long = [word for word in words if len(word) > 8]  # the index stops at eight letters; the rest is compared here
        return [
            contact
            for contact in found
            if all(any(name.startswith(word) for name in words_of(contact.person)) for word in long)
        ]

    def people(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, Contact]:
        if not ids:
            return {}
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(contacts).where(contacts.c.tenant_id == tenant, contacts.c.id.in_(ids))
            ).all()
        return {row.id: self._contact(row) for row in rows}

    def everybody(self, tenant: TenantId, page: int = 1_000) -> Iterator[Contact]:
        """Every contact, in pages, in a stable order."""
        after = UUID(int=0)
        while True:
            with self._db.tenant(tenant) as database:
                rows = database.execute(
                    select(contacts)
                    .where(contacts.c.tenant_id == tenant, contacts.c.id > after)
                    .order_by(contacts.c.id)
                    .limit(page)
                ).all()
            yield from map(self._contact, rows)
            if len(rows) < page:
                return
            after = rows[-1].id

    def where(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, list[Whereabouts]]:
        """The records each contact has on the sides we read, in a stable order."""
        found: dict[UUID, list[Whereabouts]] = {}
        if not ids:
            return found
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(links, connections.c.vendor)
                .join(
                    connections,
                    (connections.c.tenant_id == links.c.tenant_id) & (connections.c.id == links.c.connection_id),
                )
                .where(links.c.tenant_id == tenant, links.c.contact_id.in_(ids))
                .order_by(links.c.module, links.c.remote_id)
            ).all()
        for row in rows:
            found.setdefault(row.contact_id, []).append(
                Whereabouts(
                    connection=row.connection_id,
                    vendor=row.vendor,
                    module=row.module,
                    remote_id=row.remote_id,
                    owner=row.owner,
                    account=row.account,
                )
            )
        return found

    def behind(self, tenant: TenantId, connection: UUID, module: str, ids: Collection[str]) -> dict[str, UUID]:
        """Which contact each of these records is, as far as we have read them."""
        if not ids:
            return {}
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(links.c.remote_id, links.c.contact_id).where(
                    links.c.tenant_id == tenant,
                    links.c.connection_id == connection,
                    links.c.module == module,
                    links.c.remote_id.in_(ids),
                )
            )
            return {row.remote_id: row.contact_id for row in rows}

    def count(self, tenant: TenantId) -> int:
        with self._db.tenant(tenant) as database:
            total: int = database.execute(
                select(func.count()).select_from(contacts).where(contacts.c.tenant_id == tenant)
            ).scalar_one()
        return total

    # -- links

    def links(self, tenant: TenantId, connection: UUID, only: Collection[Key] | None = None) -> dict[Key, Link]:
        """How the records of one side looked when last seen; `only` these, or all of them."""
        vault = self._vault.of(tenant)
        statement = select(links).where(links.c.tenant_id == tenant, links.c.connection_id == connection)
        found: dict[Key, Link] = {}
        with self._db.tenant(tenant) as database:
            batches: Iterable[Any] = [None] if only is None else in_batches((key[1] for key in only), 1_000)
            for batch in batches:
                part = statement if batch is None else statement.where(links.c.remote_id.in_(batch))
                for row in database.execution_options(yield_per=1_000).execute(part):
                    if only is None or (row.module, row.remote_id) in only:
                        found[row.module, row.remote_id] = _link(vault, row)
        return found

    def written(self, tenant: TenantId, connection: UUID) -> dict[str, Link]:
        """The same for a side we write to, by contact id."""
        return {link.contact: link for link in self.links(tenant, connection).values()}

    def mark_written(
        self, database: Connection, tenant: TenantId, connection: UUID, contact: str, person: Person
    ) -> None:
        """The side we write to holds this now."""
        self._put_link(
            database, tenant, connection, UUID(contact), Record(module="phonebook", remote_id=contact, person=person)
        )

    def unlink_written(
        self, database: Connection, tenant: TenantId, connection: UUID, contacts_gone: Sequence[str]
    ) -> None:
        """The side we write to no longer holds these."""
        database.execute(
            delete(links).where(
                links.c.tenant_id == tenant,
                links.c.connection_id == connection,
                links.c.module == "phonebook",
                links.c.remote_id.in_(contacts_gone),
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
                        tombstones.c.tenant_id == tenant, tombstones.c.fingerprint.in_(batch)
                    )
                )
                found |= {wanted[bytes(fingerprint)] for fingerprint in rows.scalars()}
        return found

    def apply(self, database: Connection, tenant: TenantId, connection: UUID, steps: Sequence[Step]) -> dict[str, int]:
        """Do the steps of a read plan in the caller's transaction; return how many of each kind.

        Those who change a tenant's hub wait for each other until commit, and a record that was taken over since the
        plan was made stays whose it is: a lead made from a call and the news of it adopt one contact.
        """
        database.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"hub {tenant}"})
        counts = {"adopt": 0, "join": 0, "refresh": 0, "drop": 0}
        adopted = self._taken_over(database, tenant, connection, steps)
        touched: set[UUID] = set()
        for step in steps:
            counts[step.do] += 1
            record, link = step.record, step.link
            if step.do in ("adopt", "join") and record is not None and (record.module, record.remote_id) in adopted:
                contact = adopted[record.module, record.remote_id]
                self._put_link(database, tenant, connection, contact, record)
            elif step.do == "adopt" and record is not None:
                contact = uuid.uuid4()
                adopted[record.module, record.remote_id] = contact
                database.execute(insert(contacts).values(id=contact, tenant_id=tenant))
                self._put_link(database, tenant, connection, contact, record)
            elif step.do == "join" and record is not None:
                contact = UUID(step.contact) if step.contact else adopted[_twin(step)]
                self._put_link(database, tenant, connection, contact, record)
            elif step.do == "refresh" and record is not None and link is not None:
                contact = UUID(link.contact)
                self._put_link(database, tenant, connection, contact, record)
            elif step.do == "drop" and link is not None:
                contact = UUID(link.contact)
                database.execute(
                    delete(links).where(
                        links.c.tenant_id == tenant,
                        links.c.connection_id == connection,
                        links.c.module == link.module,
                        links.c.remote_id == link.remote_id,
                    )
                )
            else:
                raise ValueError(f"not a step of a read plan: {step.do}")
            touched.add(contact)
        self.remerge(database, tenant, touched)
        return counts

    def _taken_over(
        self, database: Connection, tenant: TenantId, connection: UUID, steps: Sequence[Step]
    ) -> dict[Key, UUID]:
        """Whose the new records of a plan are already."""
        new = [step.record for step in steps if step.do in ("adopt", "join") and step.record is not None]
        found: dict[Key, UUID] = {}
        for batch in in_batches((_link_row(connection, record) for record in new), 5_000):
            rows = database.execute(
                select(links.c.module, links.c.remote_id, links.c.contact_id).where(
                    links.c.tenant_id == tenant, links.c.id.in_(batch)
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
                .where(links.c.tenant_id == tenant, links.c.contact_id.in_(batch), links.c.module != "phonebook")
            )
            for row in rows:
                said[row.contact_id].append((row.vendor, _link(vault, row).mark))
            gone = [contact for contact, sides in said.items() if not sides]
            self._leave_phonebooks(database, tenant, gone)
            merged = {contact: merge(sides) for contact, sides in said.items() if sides}
            database.execute(delete(contacts).where(contacts.c.tenant_id == tenant, contacts.c.id.in_(gone)))
            database.execute(
                delete(contact_keys).where(contact_keys.c.tenant_id == tenant, contact_keys.c.contact_id.in_(batch))
            )
            if merged:
                self._write(database, vault, merged)
            went += len(gone)
        return went

    def _leave_phonebooks(self, database: Connection, tenant: TenantId, gone: Sequence[UUID]) -> None:
        """Owe every phonebook that holds one of these the news; the links that say so go with the contact."""
        written = database.execute(
            select(links.c.connection_id, links.c.contact_id).where(
                links.c.tenant_id == tenant, links.c.contact_id.in_(gone), links.c.module == "phonebook"
            )
        ).all()
        for phonebook, contact in written:
            self._effects.remove_from_phonebook(database, tenant, phonebook, contact)

    def _write(self, database: Connection, vault: TenantVault, merged: Mapping[UUID, Merged]) -> None:
        rows = [
            {
                "id": contact,
                "tenant_id": vault.tenant,
                "person": vault.seal_json(
                    "contacts", contact, "person", {"person": view.person.as_data(), "source": view.source}
                ),
            }
            for contact, view in merged.items()
        ]
        statement = upsert(contacts)
        database.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "id"],
                set_={"person": statement.excluded.person, "updated_at": func.now()},
            ),
            rows,
        )
        found = [
            {
                "tenant_id": vault.tenant,
                "kind": kind,
                "fingerprint": vault.fingerprint(kind, value),
                "contact_id": contact,
            }
            for contact, view in merged.items()
            for kind, value in [
                *keys(view.person),
                *(("prefix", beginning) for beginning in prefixes(view.person)),
            ]
        ]
        if found:
            database.execute(insert(contact_keys), found)

    def _put_link(
        self, database: Connection, tenant: TenantId, connection: UUID, contact: UUID, record: Record
    ) -> None:
        row = _link_row(connection, record)
        values = {
            "contact_id": contact,
            "owner": record.owner,
            "account": record.account,
            "mark": self._vault.of(tenant).seal_json("links", row, "mark", record.person.as_data()),
            "seen_at": func.now(),
        }
        database.execute(
            upsert(links)
            .values(
                id=row,
                tenant_id=tenant,
                connection_id=connection,
                module=record.module,
                remote_id=record.remote_id,
                **values,
            )
            .on_conflict_do_update(index_elements=["tenant_id", "id"], set_=values)
        )

    def _by_key(self, tenant: TenantId, kind: str, values: Sequence[str]) -> dict[str, list[UUID]]:
        vault = self._vault.of(tenant)
        by_fingerprint = {vault.fingerprint(kind, value): value for value in values if value}
        found: dict[str, list[UUID]] = {}
        with self._db.tenant(tenant) as database:
            for batch in in_batches(by_fingerprint, 5_000):
                rows = database.execute(
                    select(contact_keys.c.fingerprint, contact_keys.c.contact_id)
                    .where(
                        contact_keys.c.tenant_id == tenant,
                        contact_keys.c.kind == kind,
                        contact_keys.c.fingerprint.in_(batch),
                    )
                    .order_by(contact_keys.c.contact_id)
                )
                for fingerprint, contact in rows:
                    found.setdefault(by_fingerprint[bytes(fingerprint)], []).append(contact)
        return found

    def _contact(self, row: Any) -> Contact:
        data = self._vault.of(row.tenant_id).open_json("contacts", row.id, "person", row.person) or {}
        return Contact(
            id=row.id,
            person=Person.from_data(data.get("person", {})),
            source={name: tuple(sides) for name, sides in data.get("source", {}).items()},
        )


def _link(vault: TenantVault, row: Any) -> Link:
    return Link(
        contact=str(row.contact_id),
        module=row.module,
        remote_id=row.remote_id,
        mark=Person.from_data(vault.open_json("links", row.id, "mark", row.mark) or {}),
        owner=row.owner,
        account=row.account,
    )


def _link_row(connection: UUID, record: Record) -> UUID:
    """One row for one record."""
    return uuid.uuid5(connection, f"{record.module}/{record.remote_id}")


def _twin(step: Step) -> Key:
    assert step.link is not None  # a join without a contact names the record its plan adopts
    return step.link.module, step.link.remote_id
