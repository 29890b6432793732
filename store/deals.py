"""Open deals, each as a link from its customer: whoever has the customer's number leads to it.

A deal says nothing of who a person is, so what is kept here is no part of anybody (`store.hub`). It goes with its
customer, and with its connection; only its name is customer content, and sealed.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert

from domain.contact import Person
from domain.deal import KEPT_AS, OPEN, Deal
from domain.ports import in_batches
from store.database import Database, TenantId, among
from store.tables import links
from store.vault import TenantVault, Vault

FRESH = ("contact_id", "owner", "account", "mark", "changed_at")
Customers = Mapping[tuple[str, str], UUID]  # a record of a person or a company -> which contact that is


class OpenDeals:
    """Keep the open deals of those we know."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def keep(self, tenant: TenantId, connection: UUID, deals: Sequence[Deal], customers: Customers) -> int:
        """Take over what these deals are now; return how many links there are to them. One that is closed goes."""
        vault = self._vault.of(tenant)
        rows = [
            _row(vault, tenant, connection, KEPT_AS[module], deal, customers[module, remote_id])
            for deal in deals
            if deal.open
            for module, remote_id in (("Contacts", deal.contact), ("Accounts", deal.account))
            if (module, remote_id) in customers
        ]
        with self._db.tenant(tenant) as database:
            kept = {row["id"] for row in rows}
            told = {_id(connection, kind, deal.remote_id) for deal in deals for kind in OPEN} - kept
            for batch in in_batches(sorted(told), 1_000):
                database.execute(delete(links).where(links.c.tenant_id == tenant, among(links.c.id, batch)))
            if rows:
                statement = insert(links)
                fresh = {name: statement.excluded[name] for name in FRESH} | {"seen_at": func.now()}
                database.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "id"], set_=fresh), rows)
        return len(rows)

    def drop(self, tenant: TenantId, connection: UUID, ids: Collection[str]) -> None:
        """These are there no more."""
        gone = [_id(connection, kind, remote_id) for remote_id in ids for kind in OPEN]
        with self._db.tenant(tenant) as database:
            for batch in in_batches(gone, 1_000):
                database.execute(delete(links).where(links.c.tenant_id == tenant, among(links.c.id, batch)))

    def drop_unseen(self, tenant: TenantId, connection: UUID, since: datetime | None = None) -> int:
        """Forget those that were not told of since then, or all of them."""
        mine = (links.c.tenant_id == tenant, links.c.connection_id == connection, links.c.module.in_(OPEN))
        late = (links.c.seen_at < since,) if since is not None else ()
        with self._db.tenant(tenant) as database:
            return database.execute(delete(links).where(*mine, *late)).rowcount


def _id(connection: UUID, kind: str, remote_id: str) -> UUID:
    return uuid.uuid5(connection, f"{kind}/{remote_id}")


def _row(
    vault: TenantVault, tenant: TenantId, connection: UUID, kind: str, deal: Deal, contact: UUID
) -> dict[str, Any]:
    row = _id(connection, kind, deal.remote_id)
    return {
        "id": row,
        "tenant_id": tenant,
        "connection_id": connection,
        "module": kind,
        "remote_id": deal.remote_id,
        "contact_id": contact,
        "owner": deal.owner,
        "account": deal.account,
        "mark": vault.seal_json("links", row, "mark", Person(company=deal.name).as_data()),
        "changed_at": deal.changed_at,
    }
