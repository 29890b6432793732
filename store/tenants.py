"""Tenants, and the people who work in them: who may sign in, whose extension rings, who owns a record.

Creating a tenant creates its keys in the same transaction. Names, addresses and extensions are sealed; they are found
by fingerprint.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain import matching
from domain.barring import Barring
from domain.call_record import RecordMap
from domain.contact import fold_email
from domain.dial_plan import DialPlan
from domain.errors import Missing
from domain.follow_up import FollowUps
from domain.mapping import FieldMap
from domain.own_account import OwnAccounts
from domain.pop import PopRules, Wish
from domain.ports import CrmUser, Organisation
from domain.recording import Rules
from domain.remark import Wishes
from domain.sharing import Limit
from store.database import Database, TenantId, among
from store.tables import devices, tenants, users
from store.vault import Vault

Role = Literal["admin", "agent"]
GET = select(tenants).where(tenants.c.id == bindparam("tenant"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A customer organisation."""

    id: TenantId
    name: str
    state: str
    profile: str
    region: str  # ISO 3166: how numbers without a country are read
    time_zone: str
    call_writer: Literal["bridge", "records"]
    recordings: Rules
    dialling: DialPlan
    barring: Barring
    pops: PopRules
    follow_ups: FollowUps
    matching: matching.Rules
    wishes: Wishes
    contacts: Limit
    own_accounts: OwnAccounts
    fields: FieldMap
    newcomers: Mapping[str, FieldMap]  # by the CRM's module
    records: RecordMap


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who works in a tenant."""

    id: UUID
    tenant: TenantId
    name: str
    email: str
    role: Role
    remote_id: str
    login_id: str
    extension: str
    active: bool
    pops: Wish


class Tenants:
    """Tenants and their users."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def create(self, organisation: Organisation, *, profile: str) -> TenantId:
        """Found a tenant with keys of its own; return its id."""
        tenant = uuid.uuid4()
        with self._db.tenant(tenant) as connection:
            connection.execute(
                insert(tenants).values(
                    id=tenant,
                    profile=profile,
                    region=organisation.country or "US",
                    time_zone=organisation.time_zone,
                )
            )
            self._vault.create(connection, tenant)
        name = self._vault.of(tenant).seal("tenants", tenant, "name", organisation.name)
        with self._db.tenant(tenant) as connection:
            connection.execute(update(tenants).where(tenants.c.id == tenant).values(name=name))
        return tenant

    def get(self, tenant: TenantId) -> Tenant:
        """Raise Missing for a tenant that is not there."""
        with self._db.tenant(tenant) as connection:
            row = connection.execute(GET, {"tenant": tenant}).one_or_none()
        if row is None:
            raise Missing("There is no such tenant.")
        return Tenant(
            id=row.id,
            name=self._vault.of(tenant).open("tenants", tenant, "name", row.name),
            state=row.state,
            profile=row.profile,
            region=row.region,
            time_zone=row.time_zone,
            call_writer=row.call_writer,
            recordings=Rules.from_data(row.recordings),
            dialling=DialPlan.from_data(row.dialling),
            barring=Barring.from_data(row.barring),
            pops=PopRules.from_data(row.pops),
            follow_ups=FollowUps.from_data(row.follow_ups),
            matching=matching.Rules.from_data(row.matching),
            wishes=Wishes.from_data(row.wishes),
            contacts=Limit.from_data(row.contacts),
            own_accounts=OwnAccounts.from_data(row.own_accounts),
            fields=FieldMap.from_data(self._vault.of(tenant).open_json("tenants", tenant, "fields", row.fields)),
            newcomers=self._newcomers(tenant, row.newcomers),
            records=RecordMap.from_data(
                self._vault.of(tenant).open_json("tenants", tenant, "call_records", row.call_records)
            ),
        )

    def set(self, tenant: TenantId, **values: Any) -> None:
        """Change settings (profile, region, time_zone, call_writer, state; rules as their data)."""
        with self._db.tenant(tenant) as connection:
            connection.execute(update(tenants).where(tenants.c.id == tenant).values(**values))

    def map_fields(self, database: Connection, tenant: TenantId, chosen: FieldMap) -> None:
        """Keep what goes into which field of an activity, in the caller's transaction."""
        sealed = self._vault.of(tenant).seal_json("tenants", tenant, "fields", chosen.as_data())
        database.execute(update(tenants).where(tenants.c.id == tenant).values(fields=sealed))

    def map_newcomers(self, database: Connection, tenant: TenantId, module: str, chosen: FieldMap) -> None:
        """Keep what goes into which field of somebody new in this module, in the caller's transaction."""
        row = select(tenants.c.newcomers).where(tenants.c.id == tenant).with_for_update()
        known = self._newcomers(tenant, database.execute(row).scalar_one())
        data = {name: one.as_data() for name, one in {**known, module: chosen}.items()}
        sealed = self._vault.of(tenant).seal_json("tenants", tenant, "newcomers", data)
        database.execute(update(tenants).where(tenants.c.id == tenant).values(newcomers=sealed))

    def map_records(self, database: Connection, tenant: TenantId, chosen: RecordMap) -> None:
        """Keep what a record of a call gets, in the caller's transaction."""
        sealed = self._vault.of(tenant).seal_json("tenants", tenant, "call_records", chosen.as_data())
        database.execute(update(tenants).where(tenants.c.id == tenant).values(call_records=sealed))

    def _newcomers(self, tenant: TenantId, sealed: bytes | None) -> dict[str, FieldMap]:
        data = self._vault.of(tenant).open_json("tenants", tenant, "newcomers", sealed) or {}
        return {module: FieldMap.from_data(one) for module, one in data.items()}

    # -- users

    def learn_users(self, tenant: TenantId, connection_id: UUID, people: Iterable[CrmUser]) -> int:
        """Take over the CRM's users; one who is gone there stays known here as inactive. Returns how many."""
        vault = self._vault.of(tenant)
        count = 0
        with self._db.tenant(tenant) as connection:
            known = dict(
                connection.execute(
                    select(users.c.remote_id, users.c.id).where(
                        users.c.tenant_id == tenant, users.c.connection_id == connection_id
                    )
                ).all()
            )
            for person in people:
                row = known.pop(person.remote_id, None) or uuid.uuid4()
                values: dict[str, Any] = {
                    "login_id": person.login_id,
                    "name": vault.seal("users", row, "name", person.name),
                    "email": vault.seal("users", row, "email", person.email),
                    "email_index": vault.fingerprint("email", fold_email(person.email)),
                    "role": "admin" if person.admin else "agent",
                    "active": person.active,
                    "seen_at": func.now(),
                }
                connection.execute(
                    upsert(users)
                    .values(id=row, tenant_id=tenant, connection_id=connection_id, remote_id=person.remote_id, **values)
                    .on_conflict_do_update(index_elements=["tenant_id", "id"], set_=values)
                )
                count += 1
            if known:
                connection.execute(
                    update(users)
                    .where(users.c.tenant_id == tenant, users.c.id.in_(known.values()))
                    .values(active=False)
                )
        return count

    def users(self, tenant: TenantId) -> list[User]:
        with self._db.tenant(tenant) as connection:
            rows = connection.execute(select(users).where(users.c.tenant_id == tenant)).all()
        return sorted((self._user(row) for row in rows), key=lambda user: (user.name, str(user.id)))

    def user(self, tenant: TenantId, user: UUID) -> User | None:
        with self._db.tenant(tenant) as connection:
            row = connection.execute(select(users).where(users.c.tenant_id == tenant, users.c.id == user)).one_or_none()
        return None if row is None else self._user(row)

    def user_by_login(self, tenant: TenantId, login_id: str) -> User | None:
        return self._one(tenant, users.c.login_id == login_id)

    def user_by_remote(self, tenant: TenantId, remote_id: str) -> User | None:
        return self._one(tenant, users.c.remote_id == remote_id)

    def agent(self, tenant: TenantId, *, email: str = "", extension: str = "") -> User | None:
        """Find who a call belongs to: by e-mail without regard to capitals, else by extension."""
        return self.agents(tenant, [(email, extension)])[email, extension]

    def agents(self, tenant: TenantId, named: Collection[tuple[str, str]]) -> dict[tuple[str, str], User | None]:
        """The same for many, each an e-mail and an extension: two questions at most, however many they are."""
        vault = self._vault.of(tenant)
        emails = {email: vault.fingerprint("email", fold_email(email)) for email, _ in named if email}
        lines = {line: vault.fingerprint("extension", line) for _, line in named if line}
        at_work = select(users).where(users.c.tenant_id == tenant, users.c.active)
        with self._db.tenant(tenant) as connection:
            told = or_(among(users.c.email_index, emails.values()), among(users.c.extension_index, lines.values()))
            rows = connection.execute(at_work.where(told)).all() if emails or lines else []
            known = {row.extension_index: row for row in rows} | {row.email_index: row for row in rows}
            if rest := set(lines.values()) - known.keys():  # nobody's own line: whoever was last rung there
                there = and_(users.c.tenant_id == devices.c.tenant_id, users.c.id == devices.c.user_id)
                theirs = (devices.c.tenant_id == tenant, among(devices.c.extension_index, rest))
                rung = select(devices.c.extension_index.label("line"), users).join(users, there).where(*theirs)
                known |= {row.line: row for row in connection.execute(rung.order_by(devices.c.seen_at))}
        people = {mark: self._user(row) for mark, row in known.items() if mark is not None and row.active}
        return {
            (email, line): people.get(emails.get(email, b"")) or people.get(lines.get(line, b""))
            for email, line in named
        }

    def set_wish(self, connection: Connection, tenant: TenantId, user: UUID, wish: Wish) -> None:
        """Remember when a user wants calls to come up on their screen."""
        connection.execute(
            update(users).where(users.c.tenant_id == tenant, users.c.id == user).values(pops=wish.as_data())
        )

    def learn_extension(self, connection: Connection, tenant: TenantId, user: UUID, extension: str) -> None:
        """Remember which inside line rings a user."""
        vault = self._vault.of(tenant)
        connection.execute(
            update(users)
            .where(users.c.tenant_id == tenant, users.c.id == user)
            .values(
                extension=vault.seal("users", user, "extension", extension),
                extension_index=vault.fingerprint("extension", extension),
            )
        )

    def _one(self, tenant: TenantId, condition: Any) -> User | None:
        with self._db.tenant(tenant) as connection:
            row = connection.execute(
                select(users).where(users.c.tenant_id == tenant, users.c.active, condition).limit(1)
            ).one_or_none()
        return None if row is None else self._user(row)

    def _user(self, row: Any) -> User:
        vault = self._vault.of(row.tenant_id)
        return User(
            id=row.id,
            tenant=row.tenant_id,
            name=vault.open("users", row.id, "name", row.name),
            email=vault.open("users", row.id, "email", row.email),
            role=row.role,
            remote_id=row.remote_id,
            login_id=row.login_id,
            extension=vault.open("users", row.id, "extension", row.extension),
            active=row.active,
            pops=Wish.from_data(row.pops),
        )
