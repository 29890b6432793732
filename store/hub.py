"""The hub: every person any side knows, once, found by number, by address or by the beginning of a name.

A link keeps how the record looked when last seen (its mark); a contact is the merge of its links' marks. `apply` does
what a plan says and nothing else, so running it twice changes nothing the second time.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Uuid, bindparam, delete, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.contact import Person, Record, keys, one_person
from domain.deal import OPEN
from domain.pairs import key_of
from domain.plan import CROWD, ContactId, Key, Link, Step
from domain.ports import in_batches
from store import own_ids, persons
from store.database import TenantId, among, as_rows, rowset
from store.finding import of_side
from store.merging import PHONEBOOK, Merging
from store.tables import contacts, links, tombstones

REMEMBERED = 16_384  # names of rows: those of a few thousand people, asked for again and again
SAID = ("contact_id", "owner", "account", "mark", "look", "changed_at")  # what a link learns from each reading
_KEPT = (links.c.id, links.c.module, links.c.remote_id, *(links.c[name] for name in SAID))
_rows = rowset(*_KEPT)
_put = upsert(links).from_select(
    ["tenant_id", "connection_id", *(one.name for one in _KEPT)],
    select(bindparam("tenant", type_=Uuid), bindparam("connection", type_=Uuid), *_rows.c),
)
PUT_LINKS = _put.on_conflict_do_update(
    index_elements=["tenant_id", "id"],
    set_={name: _put.excluded[name] for name in SAID} | {"seen_at": func.now()},
)


class Hub(Merging):
    """Find people, and take over what a plan says about them."""

    # -- links

    def links(self, tenant: TenantId, connection: UUID, only: Collection[Key] | None = None) -> dict[Key, Link]:
        """How the records of one side looked when last seen; `only` these, or all of them."""
        opened = self._vault.of(tenant).opening("links", "mark")
        with self._db.tenant(tenant) as database:
            rows = _links(database, tenant, connection, links.c, only)
            return {(row.module, row.remote_id): _link(row, persons.read(opened(row.id, row.mark))) for row in rows}

    @staticmethod
    def owners(database: Connection, tenant: TenantId, connection: UUID, only: Collection[Key]) -> dict[Key, Link]:
        """The same in the caller's transaction, with nothing opened: whose each of these records is."""
        shut = (links.c.module, links.c.remote_id, links.c.contact_id, links.c.owner, links.c.account)
        rows = _links(database, tenant, connection, shut, only)
        return {(row.module, row.remote_id): _link(row, Person()) for row in rows}

    def seen(self, database: Connection, tenant: TenantId, connection: UUID, records: Iterable[Record]) -> None:
        """These stand there still, in the caller's transaction."""
        rows = [row_of(connection, *key_of(record)) for record in records]
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

    def written(
        self, tenant: TenantId, connection: UUID, only: Collection[UUID] | None = None
    ) -> dict[ContactId, Link]:
        """The same for a side we write to, by contact id; `only` these contacts."""
        wanted = None if only is None else {(PHONEBOOK, str(contact)) for contact in only}
        found = self.links(tenant, connection, wanted).values()
        return {link.contact: link for link in found if link.module == PHONEBOOK}

    def own_ids(self, tenant: TenantId, ids: Iterable[str]) -> set[str]:
        """Which of these were made for contacts of this tenant, whatever has become of them."""
        vault = self._vault.of(tenant)
        told = {id: contact for id in ids if (contact := own_ids.read(id)) is not None}
        drawn = {id for id, contact in told.items() if own_ids.is_drawn(vault, contact)}
        others = {contact for id, contact in told.items() if id not in drawn}  # ids were not always drawn so
        if others:
            with self._db.tenant(tenant) as database:
                found = select(contacts.c.id).where(contacts.c.tenant_id == tenant, among(contacts.c.id, others))
                known = set(database.execute(found).scalars())
            drawn |= {id for id, contact in told.items() if contact in known}
        return drawn

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
        self, database: Connection, tenant: TenantId, connection: UUID, people: Sequence[tuple[str, Person]]
    ) -> None:
        """The side we write to holds these contacts so now."""
        records = [Record(module=PHONEBOOK, remote_id=contact, person=person) for contact, person in people]
        told = [(row_of(connection, *key_of(record)), UUID(record.remote_id), record) for record in records]
        self._put_links(database, tenant, connection, told)

    def unlink_written(
        self, database: Connection, tenant: TenantId, connection: UUID, contacts_gone: Sequence[str]
    ) -> None:
        """The side we write to no longer holds these."""
        database.execute(
            delete(links).where(
                links.c.tenant_id == tenant,
                links.c.connection_id == connection,
                links.c.module == PHONEBOOK,
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
        found: set[tuple[str, str]] = set()
        with self._db.tenant(tenant) as database:
            if not database.execute(select(exists().where(tombstones.c.tenant_id == tenant))).scalar_one():
                return found  # nobody ever asked
            told = {key for person in people for key in keys(person)}
            wanted = dict(zip(self._vault.of(tenant).fingerprints(told), told, strict=True))
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
        rows = {key_of(step.record): row_of(connection, *key_of(step.record)) for step in steps if step.record}
        fresh = [rows[key_of(step.record)] for step in steps if step.record and step.do in ("adopt", "join")]
        adopted, draw = self._taken_over(database, tenant, fresh), own_ids.drawing(self._vault.of(tenant))
        new: set[UUID] = set()
        told: dict[Key, tuple[UUID, Record]] = {}
        dropped: list[UUID] = []
        touched: set[UUID] = set()
        for step in steps:
            counts[step.do] += 1
            record, link = step.record, step.link
            if step.do in ("adopt", "join") and record is not None and key_of(record) in adopted:
                contact = adopted[key_of(record)]
            elif step.do == "adopt" and record is not None:
                contact = adopted[key_of(record)] = draw()
                new.add(contact)
            elif step.do == "join" and record is not None:
                contact = UUID(step.contact) if step.contact else adopted[_twin(step)]
            elif step.do in ("refresh", "drop") and link is not None:
                contact = UUID(link.contact)
            else:
                raise ValueError(f"not a step of a read plan: {step.do}")
            if record is not None:
                told[key_of(record)] = contact, record
            elif link is not None:
                dropped.append(row_of(connection, link.module, link.remote_id))
            touched.add(contact)
        if new:
            said = ((contact, record.module, record.person) for contact, record in told.values() if contact in new)
            self.add(database, tenant, connection, said)
        for batch in in_batches(dropped, 5_000):
            database.execute(delete(links).where(links.c.tenant_id == tenant, among(links.c.id, batch)))
        self._put_links(
            database, tenant, connection, [(rows[key], contact, record) for key, (contact, record) in told.items()]
        )
        if known := touched - new:
            said_by = {rows[key]: record.person for key, (_, record) in told.items()}
            self.remerge(database, tenant, known, said_by)
        return counts

    @staticmethod
    def _taken_over(database: Connection, tenant: TenantId, rows: Collection[UUID]) -> dict[Key, UUID]:
        """Whose the new records of a plan are already."""
        found: dict[Key, UUID] = {}
        for batch in in_batches(rows, 5_000):
            known = database.execute(
                select(links.c.module, links.c.remote_id, links.c.contact_id).where(
                    links.c.tenant_id == tenant, among(links.c.id, batch)
                )
            ).all()
            found |= {(module, remote_id): contact for module, remote_id, contact in known}
        return found

    def _put_links(
        self, database: Connection, tenant: TenantId, connection: UUID, told: Sequence[tuple[UUID, UUID, Record]]
    ) -> None:
        """Remember whose each record is and how it looks: (row, contact, record)."""
        if not told:
            return
        vault = self._vault.of(tenant)
        seal, rows = vault.sealing("links", "mark"), []
        looks = persons.looks(vault, (record.person for _, _, record in told))
        for (row, contact, record), look in zip(told, looks, strict=True):
            name = str(row)
            rows.append(
                {
                    "id": name,
                    "module": record.module,
                    "remote_id": record.remote_id,
                    "contact_id": contact,
                    "owner": record.owner,
                    "account": record.account,
                    "mark": seal(name, persons.spell(record.person)),
                    "look": look,
                    "changed_at": record.changed_at,
                }
            )
        database.execute(PUT_LINKS, {"tenant": tenant, "connection": connection, "rows": as_rows(rows)})


def _links(
    database: Connection, tenant: TenantId, connection: UUID, columns: Iterable[Any], only: Collection[Key] | None
) -> Iterator[Any]:
    statement = select(*columns).where(links.c.tenant_id == tenant, links.c.connection_id == connection)
    if only is None:
        yield from database.execution_options(yield_per=1_000).execute(statement)
        return
    for batch in in_batches(only, 1_000):
        yield from database.execute(statement.where(known_as(connection, batch))).all()


def _alone(database: Connection, tenant: TenantId) -> None:
    """Wait for whoever changes this tenant's hub, and have them wait for us until commit."""
    database.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"hub {tenant}"})


def _link(row: Any, mark: Person) -> Link:
    return Link(
        contact=str(row.contact_id),
        module=row.module,
        remote_id=row.remote_id,
        mark=mark,
        owner=row.owner,
        account=row.account,
    )


@lru_cache(maxsize=REMEMBERED)
def row_of(connection: UUID, module: str, remote_id: str) -> UUID:
    """One row for one record."""
    return uuid.uuid5(connection, f"{module}/{remote_id}")


def known_as(connection: UUID, keys: Iterable[Key]) -> ColumnElement[bool]:
    """Whether a link is of one of these records: by its row, which PostgreSQL finds also where it has yet to learn how
    many there are; by their names it would read all of a side."""
    return among(links.c.id, [row_of(connection, module, remote_id) for module, remote_id in keys])


def _twin(step: Step) -> Key:
    assert step.link is not None  # a join without a contact names the record its plan adopts
    return step.link.module, step.link.remote_id
