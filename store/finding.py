"""Finding people in the hub: by number, by address, by the beginning of a name, and where else they are kept.

Nothing is written here. Every look-up goes by fingerprint; what a person is called is read only once they are found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select

from domain import phone
from domain.besides import side_of
from domain.contact import LONGEST_PREFIX, Person, fold_email, merge
from domain.contact import words as words_of
from domain.deal import DEALS, NOT_THEIR_WORDS, OPEN
from domain.ports import in_batches
from store.database import Database, TenantId, among
from store.tables import connections, contact_keys, contacts, links
from store.vault import Vault


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
    open_deal: bool = False  # it is a deal of theirs
    name: str = ""  # what a deal is called
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Whom a number led to: the spellings that were looked up, and the one under which somebody was found."""

    tried: tuple[str, ...]
    under: str = ""
    contacts: tuple[UUID, ...] = ()


class Finding:
    """Find people, each as one contact."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

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
            fingerprint = self._vault.of(tenant).fingerprint("prefix", word[:LONGEST_PREFIX])
            statement = statement.where(
                contacts.c.id.in_(
                    select(contact_keys.c.contact_id).where(
                        contact_keys.c.tenant_id == tenant,
                        contact_keys.c.kind == "prefix",
                        contact_keys.c.fingerprint == fingerprint,
                    )
                )
            )
        long = [
            word for word in words if len(word) > LONGEST_PREFIX
        ]  # the index stops there; the rest is compared here
        with self._db.tenant(tenant) as database:
            if not long:
                return [self._contact(row) for row in database.execute(statement.limit(limit))]
            with database.execution_options(yield_per=limit).execute(statement) as rows:
                fitting = (one for one in map(self._contact, rows) if _begins(one.person, long))
                return list(islice(fitting, limit))

    def people(self, tenant: TenantId, ids: Collection[UUID]) -> dict[UUID, Contact]:
        if not ids:
            return {}
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(contacts).where(contacts.c.tenant_id == tenant, among(contacts.c.id, ids))
            ).all()
        return {row.id: self._contact(row) for row in rows}

    def people_without(
        self, tenant: TenantId, ids: Collection[UUID], shut: Collection[tuple[UUID, str]]
    ) -> dict[UUID, Contact]:
        """These people without what these sides of connections say; who is known nowhere else is left out."""
        vault = self._vault.of(tenant)
        said: dict[UUID, list[tuple[str, Person]]] = {}
        with self._db.tenant(tenant) as database:
            for row in database.execute(
                select(links, connections.c.vendor)
                .join(
                    connections,
                    (connections.c.tenant_id == links.c.tenant_id) & (connections.c.id == links.c.connection_id),
                )
                .where(
                    links.c.tenant_id == tenant,
                    among(links.c.contact_id, ids),
                    links.c.module.not_in(NOT_THEIR_WORDS),
                )
            ):
                side = side_of(row.vendor, row.module)
                if (row.connection_id, side) not in shut:
                    mark = Person.from_data(vault.open_json("links", row.id, "mark", row.mark) or {})
                    said.setdefault(row.contact_id, []).append((side, mark))
        merged = {contact: merge(sides) for contact, sides in said.items()}
        return {
            contact: Contact(id=contact, person=view.person, source=view.source) for contact, view in merged.items()
        }

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
                .where(links.c.tenant_id == tenant, among(links.c.contact_id, ids))
                .order_by(links.c.module, links.c.remote_id)
            ).all()
        for row in rows:
            deal = row.module in OPEN
            found.setdefault(row.contact_id, []).append(
                Whereabouts(
                    connection=row.connection_id,
                    vendor=row.vendor,
                    module=DEALS if deal else row.module,
                    remote_id=row.remote_id,
                    owner=row.owner,
                    account=row.account,
                    open_deal=deal,
                    name=self._mark(row).company if deal else "",
                    changed_at=row.changed_at,
                )
            )
        return found

    def _mark(self, row: Any) -> Person:
        vault = self._vault.of(row.tenant_id)
        return Person.from_data(vault.open_json("links", row.id, "mark", row.mark) or {})

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
                    among(links.c.remote_id, ids),
                )
            )
            return {row.remote_id: row.contact_id for row in rows}

    def count(self, tenant: TenantId) -> int:
        with self._db.tenant(tenant) as database:
            total: int = database.execute(
                select(func.count()).select_from(contacts).where(contacts.c.tenant_id == tenant)
            ).scalar_one()
        return total

    def known(self, tenant: TenantId, connection: UUID, modules: Collection[str] = ()) -> int:
        """How many records of a side, or of these modules of it, there are links to."""
        mine = of_side(tenant, connection, modules)
        with self._db.tenant(tenant) as database:
            total: int = database.execute(select(func.count()).select_from(links).where(*mine)).scalar_one()
        return total

    def by_module(self, tenant: TenantId, connection: UUID) -> dict[str, tuple[int, int]]:
        """How many records of a side are known in each module, and how many numbers lead to them."""
        mine = (links.c.tenant_id == tenant, links.c.connection_id == connection)
        own = links.c.module.not_in(OPEN)  # a customer's number leads to the customer
        people = select(links.c.module, links.c.contact_id).where(*mine, own).distinct().subquery()
        theirs = (contact_keys.c.tenant_id == tenant) & (contact_keys.c.contact_id == people.c.contact_id)
        numbers = (
            select(people.c.module, func.count())
            .join_from(people, contact_keys, theirs & (contact_keys.c.kind == "number"))
            .group_by(people.c.module)
        )
        module = case((links.c.module.in_(OPEN), DEALS), else_=links.c.module).label("kept_in")
        records = select(module, func.count(links.c.remote_id.distinct())).where(*mine).group_by(module)
        with self._db.tenant(tenant) as database:
            leading = {row[0]: row[1] for row in database.execute(numbers)}
            return {name: (many, leading.get(name, 0)) for name, many in database.execute(records)}

    def _by_key(self, tenant: TenantId, kind: str, values: Sequence[str]) -> dict[str, list[UUID]]:
        wanted = [value for value in values if value]
        prints = self._vault.of(tenant).fingerprints((kind, value) for value in wanted)
        by_fingerprint = dict(zip(prints, wanted, strict=True))
        found: dict[str, list[UUID]] = {}
        with self._db.tenant(tenant) as database:
            for batch in in_batches(by_fingerprint, 5_000):
                rows = database.execute(
                    select(contact_keys.c.fingerprint, contact_keys.c.contact_id)
                    .where(
                        contact_keys.c.tenant_id == tenant,
                        contact_keys.c.kind == kind,
                        among(contact_keys.c.fingerprint, batch),
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


def of_side(tenant: TenantId, connection: UUID, modules: Collection[str] = ()) -> tuple[ColumnElement[bool], ...]:
    """The links of a side, or of these modules of it."""
    mine = (links.c.tenant_id == tenant, links.c.connection_id == connection)
    return (*mine, links.c.module.in_(modules) if modules else links.c.module.not_in(OPEN))


def _begins(person: Person, words: Sequence[str]) -> bool:
    """Say whether for each of these words one of the person's begins so."""
    return all(any(name.startswith(word) for name in words_of(person)) for word in words)
