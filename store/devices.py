"""Which inside lines ring a user, learned from their calls, and the one they want to be rung on."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.errors import Missing
from store.database import Database, TenantId
from store.tables import devices
from store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An inside line of a user."""

    extension: str
    chosen: bool
    seen_at: datetime


class Devices:
    """Learn them, list them, choose one."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def learn(self, database: Connection, tenant: TenantId, user: UUID, extension: str) -> None:
        """A call rang this user there."""
        vault = self._vault.of(tenant)
        row = uuid.uuid5(user, extension)  # one row for one line of one user
        database.execute(
            upsert(devices)
            .values(
                id=row,
                tenant_id=tenant,
                user_id=user,
                extension=vault.seal("devices", row, "extension", extension),
                extension_index=vault.fingerprint("extension", extension),
            )
            .on_conflict_do_update(index_elements=["tenant_id", "id"], set_={"seen_at": func.now()})
        )

    def of(self, tenant: TenantId, user: UUID) -> list[Device]:
        """A user's lines: the chosen one first, then the one seen last."""
        vault = self._vault.of(tenant)
        with self._db.tenant(tenant) as database:
            rows = database.execute(
                select(devices)
                .where(devices.c.tenant_id == tenant, devices.c.user_id == user)
                .order_by(devices.c.chosen.desc(), devices.c.seen_at.desc(), devices.c.id)
            ).all()
        return [
            Device(
                extension=vault.open("devices", row.id, "extension", row.extension),
                chosen=row.chosen,
                seen_at=row.seen_at,
            )
            for row in rows
        ]

    def choose(self, tenant: TenantId, user: UUID, extension: str) -> None:
        """Ring this user there from now on; "": where the last call rang. Raises Missing for no line of theirs."""
        mine = (devices.c.tenant_id == tenant, devices.c.user_id == user)
        index = self._vault.of(tenant).fingerprint("extension", extension)
        with self._db.tenant(tenant) as database:
            database.execute(update(devices).where(*mine, devices.c.chosen).values(chosen=False))
            if not extension:
                return
            known = update(devices).where(*mine, devices.c.extension_index == index).values(chosen=True)
            if not database.execute(known).rowcount:
                raise Missing("This is not a line of yours.")
