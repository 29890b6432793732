"""Giving a tenant a new key while it works: everything the old one sealed is sealed again, then the old one destroyed.

Rows are taken in batches and written only if nobody changed them meanwhile; what is written during the run is sealed
with the new key anyway. Stopped half-way, the next run goes on: the envelope says which key sealed it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Table, and_, func, select, update

from store.database import Database, TenantId
from store.tables import OF_A_TENANT, tenant_keys, tenants
from store.vault import HEADER, TenantVault, Vault

BATCH = 500


def renew(db: Database, vault: Vault, tenant: TenantId) -> int:
    """Give `tenant` a new data key and destroy the old ones; return how many values were sealed again."""
    with db.tenant(tenant) as connection:
        vault.renew(connection, tenant, "data")
    return reseal(db, vault, tenant)


def reseal(db: Database, vault: Vault, tenant: TenantId) -> int:
    """Seal again whatever a retired key sealed, then destroy the retired keys; return how many values."""
    with db.tenant(tenant) as connection:
        retired = set(
            connection.execute(
                select(tenant_keys.c.id).where(
                    tenant_keys.c.tenant_id == tenant,
                    tenant_keys.c.purpose == "data",
                    tenant_keys.c.state == "retired",
                    tenant_keys.c.wrapped.is_not(None),
                )
            ).scalars()
        )
    if not retired:
        return 0
    keys, count = vault.of(tenant), 0
    for table in OF_A_TENANT:
        for column in sealed_columns(table):
            count += sum(_batches(db, keys, table, column, retired))
    with db.tenant(tenant) as connection:
        connection.execute(
            update(tenant_keys)
            .where(tenant_keys.c.tenant_id == tenant, tenant_keys.c.id.in_(retired))
            .values(wrapped=None, state="destroyed")
        )
    vault.forget(tenant)
    return count


def sealed_columns(table: Table) -> list[Column[Any]]:
    """The columns of a table that hold envelopes."""
    return [column for column in table.columns if column.info.get("kind") == "sealed"]


def _batches(db: Database, keys: TenantVault, table: Table, column: Column[Any], retired: set[int]) -> Iterator[int]:
    """Seal one column again, a batch of rows at a time, in the order of the rows' ids."""
    owner = table.c.id if table is tenants else table.c.tenant_id
    named = func.get_byte(column, 2) * 16777216 + func.get_byte(column, 3) * 65536  # the envelope's big-endian key id
    named = named + func.get_byte(column, 4) * 256 + func.get_byte(column, 5)
    stale = and_(owner == keys.tenant, func.octet_length(column) > HEADER.size, named.in_(retired))
    while True:
        with db.tenant(keys.tenant) as connection:
            rows = connection.execute(
                select(table.c.id, column.label("sealed")).where(stale).limit(BATCH).with_for_update()
            ).all()
            for row in rows:
                plain = keys.open_bytes(table.name, row.id, column.name, row.sealed)
                connection.execute(
                    update(table)
                    .where(owner == keys.tenant, table.c.id == row.id)
                    .values({column.name: keys.seal(table.name, row.id, column.name, plain)})
                )
        if not rows:
            return
        yield len(rows)
