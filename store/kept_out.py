"""People and domains whose mail stays out of here: each mailbox has its own list, which only its owner sees."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from store.database import Database, TenantId
from store.tables import mail_blocks
from store.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """An address or a domain, without capitals."""

    id: UUID
    whom: str
    created_at: datetime

    def covers(self, address: str) -> bool:
        """Whether mail with this address is kept out: it is the address, or one of the domain or below it."""
        if "@" in self.whom:
            return address == self.whom
        domain = address.rpartition("@")[2]
        return domain == self.whom or domain.endswith(f".{self.whom}")


class KeptOut:
    """Add to a mailbox's list, take off it, ask it."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def of(self, tenant: TenantId, mailbox: UUID) -> list[Block]:
        """A mailbox's list, the latest first."""
        vault = self._vault.of(tenant)
        wanted = select(mail_blocks).where(mail_blocks.c.tenant_id == tenant, mail_blocks.c.connection_id == mailbox)
        with self._db.tenant(tenant) as database:
            rows = database.execute(wanted.order_by(mail_blocks.c.created_at.desc(), mail_blocks.c.id)).all()
        return [
            Block(id=row.id, whom=vault.open("mail_blocks", row.id, "whom", row.whom), created_at=row.created_at)
            for row in rows
        ]

    def add(self, database: Connection, tenant: TenantId, mailbox: UUID, whom: str) -> bool:
        """Keep somebody out, in the caller's transaction; False where they are out already."""
        vault, row = self._vault.of(tenant), uuid.uuid4()
        made = database.execute(
            insert(mail_blocks)
            .values(
                id=row,
                tenant_id=tenant,
                connection_id=mailbox,
                whom=vault.seal("mail_blocks", row, "whom", whom),
                fingerprint=vault.fingerprint("email" if "@" in whom else "domain", whom),
            )
            .on_conflict_do_nothing()
            .returning(mail_blocks.c.id)
        )
        return made.scalar_one_or_none() is not None

    def remove(self, database: Connection, tenant: TenantId, mailbox: UUID, row: UUID) -> bool:
        """Let somebody in again, in the caller's transaction; False where they were not out."""
        where = (mail_blocks.c.tenant_id == tenant, mail_blocks.c.connection_id == mailbox, mail_blocks.c.id == row)
        return bool(database.execute(delete(mail_blocks).where(*where)).rowcount)


def covered(blocks: Iterable[Block], addresses: Iterable[str]) -> bool:
    """Whether one of these addresses is kept out."""
    every = list(addresses)
    return any(block.covers(address) for block in blocks for address in every)
