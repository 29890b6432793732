"""Contacts added up: what the sides say of somebody becomes one contact, and the keys it is found by.

Who is new has no other side yet, so nothing is read back of them; of everybody else only what the caller does not hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, Connection, Text, Uuid, any_, bindparam, cast, delete, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.besides import side_of
from domain.contact import Merged, Person, Side, keys, merge, prefixes
from domain.deal import NOT_THEIR_WORDS
from domain.ports import in_batches
from domain.telling import number_key
from store import persons
from store.database import Database, TenantId, among, as_rows, rowset
from store.effects import Effects
from store.finding import Finding
from store.tables import connections, contact_keys, contacts, links
from store.vault import TenantVault, Vault, as_json

SPELT = "spelt"  # the kind of a key for a number that is known only as it is written
PHONEBOOK = "phonebook"  # the module of what we wrote ourselves: it says nothing of anybody
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
    contact_keys.c.contact_id == any_(bindparam("contacts", type_=ARRAY(Uuid))),  # else every key there is is read
    tuple_(contact_keys.c.kind, contact_keys.c.fingerprint, contact_keys.c.contact_id).in_(select(*_TOLD_KEY)),
)
_rows = rowset(contacts.c.id, contacts.c.person)
_put = upsert(contacts).from_select(
    ["tenant_id", "id", "person"], select(bindparam("tenant", type_=Uuid), _rows.c.id, _rows.c.person)
)
PUT_CONTACTS = _put.on_conflict_do_update(
    index_elements=["tenant_id", "id"], set_={"person": _put.excluded.person, "updated_at": func.now()}
)
Said = dict[UUID, list[tuple[Side, Person]]]  # contact -> what each side says


class Merging(Finding):
    """Add contacts up, and write down what came of it."""

    def __init__(self, db: Database, vault: Vault) -> None:
        super().__init__(db, vault)
        self._effects = Effects(db, vault)

    def remerge(
        self, database: Connection, tenant: TenantId, ids: Collection[UUID], told: Mapping[UUID, Person] | None = None
    ) -> int:
        """Add up again what the sides say of these contacts; one that no side knows any more goes. Returns how many.

        `told`: what some of their links say, by row, where the caller has just written it.
        """
        went, told = 0, told or {}
        for batch in in_batches(sorted(ids, key=attrgetter("int")), 1_000):
            said = self._said(database, tenant, batch, told)
            if gone := [contact for contact in batch if contact not in said]:
                self._leave_phonebooks(database, tenant, gone)
                database.execute(delete(contacts).where(contacts.c.tenant_id == tenant, among(contacts.c.id, gone)))
            rows = database.execute(
                select(contacts.c.id, contacts.c.person).where(
                    contacts.c.tenant_id == tenant, among(contacts.c.id, said)
                )
            ).all()
            opened = self._vault.of(tenant).opening("contacts", "person")
            self._write(database, tenant, said, {row.id: opened(row.id, row.person) for row in rows})
            went += len(gone)
        return went

    def add(
        self, database: Connection, tenant: TenantId, connection: UUID, new: Iterable[tuple[UUID, str, Person]]
    ) -> None:
        """Write down new contacts, each with what records of one side say of them: (contact, module, what it says)."""
        vendor = database.execute(
            select(connections.c.vendor).where(connections.c.tenant_id == tenant, connections.c.id == connection)
        ).scalar_one()
        said: Said = {}
        for contact, module, person in new:
            said.setdefault(contact, []).append((side_of(vendor, module), person))
        self._write(database, tenant, said, {})

    def _said(
        self, database: Connection, tenant: TenantId, batch: Collection[UUID], told: Mapping[UUID, Person]
    ) -> Said:
        said: Said = {}
        rows = database.execute(
            select(links.c.id, links.c.contact_id, links.c.module, links.c.mark, connections.c.vendor)
            .join(
                connections,
                (connections.c.tenant_id == links.c.tenant_id) & (connections.c.id == links.c.connection_id),
            )
            .where(
                links.c.tenant_id == tenant, among(links.c.contact_id, batch), links.c.module.not_in(NOT_THEIR_WORDS)
            )
        ).all()
        opened = self._vault.of(tenant).opening("links", "mark")
        for row, contact, module, mark, vendor in rows:
            person = told.get(row) or persons.read(opened(row, mark))
            said.setdefault(contact, []).append((side_of(vendor, module), person))
        return said

    def _leave_phonebooks(self, database: Connection, tenant: TenantId, gone: Sequence[UUID]) -> None:
        """Owe every phonebook that holds one of these the news; the links that say so go with the contact."""
        written = database.execute(
            select(links.c.connection_id, links.c.contact_id).where(
                links.c.tenant_id == tenant, among(links.c.contact_id, gone), links.c.module == PHONEBOOK
            )
        ).all()
        for phonebook, contact in written:
            self._effects.remove_from_phonebook(database, tenant, phonebook, contact)

    def _write(self, database: Connection, tenant: TenantId, said: Said, before: Mapping[UUID, str]) -> None:
        """Write what changed of these contacts. Keys are many and dear: only those that came or went are touched."""
        vault = self._vault.of(tenant)
        seal, rows = vault.sealing("contacts", "person"), []
        went: list[tuple[UUID, Collection[tuple[str, str]]]] = []
        came: list[tuple[UUID, Collection[tuple[str, str]]]] = []
        for contact, sides in said.items():
            view = merge(sides)
            now = as_text(view)
            if now == (was := before.get(contact, "")):
                continue
            rows.append({"id": str(contact), "person": seal(contact, now)})
            once = Person.from_data(orjson.loads(was)["person"]) if was else Person()
            if was and _traits(once) == _traits(view.person):
                continue  # another side says the same, in another order
            old, new = found_by(once) if was else frozenset(), found_by(view.person)
            went.append((contact, old - new))
            came.append((contact, new - old))
        if rows:
            database.execute(PUT_CONTACTS, {"tenant": tenant, "rows": as_rows(rows)})
        if words := _told_keys(vault, went):
            whose = [contact for contact, each in went if each]
            database.execute(DELETE_KEYS, {"tenant": tenant, "contacts": whose} | words)
        if words := _told_keys(vault, came):
            database.execute(INSERT_KEYS, {"tenant": tenant} | words)


def as_text(view: Merged) -> str:
    """A contact as it is sealed."""
    return as_json({"person": view.person.as_data(), "source": view.source})


def _traits(person: Person) -> tuple[object, ...]:
    """What `found_by` is made of."""
    numbers = {line.e164 or line.raw for line in person.lines}
    return person.given, person.family, person.company, numbers, set(person.emails)


def found_by(person: Person) -> frozenset[tuple[str, str]]:
    """Everything that leads to a person: numbers, addresses, numbers nobody can dial as they are spelt, beginnings."""
    spelt = {(SPELT, number_key(line)) for line in person.lines if not line.e164 and number_key(line)}
    return keys(person) | spelt | {("prefix", beginning) for beginning in prefixes(person)}


def _told_keys(vault: TenantVault, found: Sequence[tuple[UUID, Collection[tuple[str, str]]]]) -> dict[str, str]:
    """Keys as `INSERT_KEYS` and `DELETE_KEYS` read them: three lists of words without a comma in them."""
    all_of_them = [key for _, each in found for key in each]
    if not all_of_them:
        return {}
    return {
        "kinds": ",".join(kind for kind, _ in all_of_them),
        "prints": ",".join(map(bytes.hex, vault.fingerprints(all_of_them))),
        "whose": ",".join(",".join([str(contact)] * len(each)) for contact, each in found if each),
    }
