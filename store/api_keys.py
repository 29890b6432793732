"""Keys of a tenant's own programs. Shown once when they are made; what stays is a digest, and how each begins.

Whose key it is says the directory; what it may do is asked here each time, so that a revoked key is none at once.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, or_, select, update

from domain.api_key import SCOPES, Scope
from domain.errors import Malformed, Missing, Unauthentic
from store.database import Database, TenantId
from store.directory import Directory
from store.tables import api_keys, tenants
from store.vault import Vault

MARK = "lk_"  # what a scanner for leaked secrets recognises
PREFIX_CHARACTERS = 11
KEY_CHARACTERS = 128
SEEN_EVERY_SECONDS = 60  # a busy key is noted once a minute, not once a request


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it can be shown: never the key."""

    id: UUID
    tenant: TenantId
    label: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_by: UUID | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class ApiKeys:
    """Make, recognise, list and revoke."""

    def __init__(self, db: Database, vault: Vault, directory: Directory) -> None:
        self._db = db
        self._vault = vault
        self._directory = directory

    def create(
        self, tenant: TenantId, *, label: str, scopes: Sequence[str], created_by: UUID | None = None
    ) -> tuple[ApiKey, str]:
        """Make a key; return it and, this once, its value. Raises Malformed for a key that could do nothing."""
        wanted = tuple(scope for scope in SCOPES if scope in scopes)
        if not wanted or set(scopes) - set(wanted):
            raise Malformed("A key is for one or more of: " + ", ".join(SCOPES) + ".", code="key.scopes")
        row, value = uuid.uuid4(), MARK + secrets.token_urlsafe(32)
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as database:
            database.execute(
                insert(api_keys).values(
                    id=row,
                    tenant_id=tenant,
                    label=vault.seal("api_keys", row, "label", label),
                    prefix=value[:PREFIX_CHARACTERS],
                    digest=vault.fingerprint("api_key", value),
                    scopes=list(wanted),
                    created_by=created_by,
                )
            )
        self._directory.put("api_key", value, tenant)  # it opens nothing before it can be told apart
        return self.get(tenant, row), value

    def find(self, value: str) -> ApiKey:
        """The key somebody knocks with. Raises Unauthentic for one that is none, or not any more."""
        entry = self._directory.find("api_key", value) if len(value) <= KEY_CHARACTERS else None
        if entry is None or not value.startswith(MARK):
            raise Unauthentic
        digest = self._vault.of(entry.tenant).fingerprint("api_key", value)
        with self._db.tenant(entry.tenant) as database:
            row = database.execute(
                select(api_keys)
                .join(tenants, tenants.c.id == api_keys.c.tenant_id)
                .where(
                    api_keys.c.tenant_id == entry.tenant,
                    api_keys.c.digest == digest,
                    api_keys.c.revoked_at.is_(None),
                    tenants.c.state == "active",
                )
            ).one_or_none()
            if row is None:
                raise Unauthentic
            long_ago = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, SEEN_EVERY_SECONDS)
            database.execute(
                update(api_keys)
                .where(
                    api_keys.c.tenant_id == entry.tenant,
                    api_keys.c.id == row.id,
                    or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < long_ago),
                )
                .values(last_used_at=func.now())
            )
        return self._key(row)

    def get(self, tenant: TenantId, key: UUID) -> ApiKey:
        """Raise Missing for a key that is not there or not this tenant's."""
        with self._db.tenant(tenant) as database:
            row = database.execute(
                select(api_keys).where(api_keys.c.tenant_id == tenant, api_keys.c.id == key)
            ).one_or_none()
        if row is None:
            raise Missing("There is no such key.")
        return self._key(row)

    def all(self, tenant: TenantId) -> list[ApiKey]:
        """Every key there was, the newest first."""
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(api_keys).where(api_keys.c.tenant_id == tenant).order_by(api_keys.c.created_at.desc())
            ).all()
        return [self._key(row) for row in rows]

    def revoke(self, tenant: TenantId, key: UUID) -> bool:
        """Make a key worthless at once; say whether it was good. Raises Missing."""
        self.get(tenant, key)
        with self._db.tenant(tenant) as database:
            return bool(
                database.execute(
                    update(api_keys)
                    .where(api_keys.c.tenant_id == tenant, api_keys.c.id == key, api_keys.c.revoked_at.is_(None))
                    .values(revoked_at=func.now())
                ).rowcount
            )

    def _key(self, row: Any) -> ApiKey:
        return ApiKey(
            id=row.id,
            tenant=row.tenant_id,
            label=self._vault.of(row.tenant_id).open("api_keys", row.id, "label", row.label),
            prefix=row.prefix,
            scopes=tuple(row.scopes),
            created_by=row.created_by,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            revoked_at=row.revoked_at,
        )
