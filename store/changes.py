"""What changed since somebody asked last: ids of calls and contacts in the order of the transactions that changed them.

A token says how far somebody has come. It is opaque, good for one tenant and one kind, and signed with the tenant's
own key. Only transactions older than every open one are told: a row that commits late is never skipped.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import BigInteger, Connection, func, select, tuple_

from domain.errors import Malformed, Trouble
from store.database import Database, TenantId
from store.tables import changes
from store.vault import TenantVault, Vault

Kind = Literal["calls", "contacts"]
GOOD_FOR = timedelta(days=29)  # what went is remembered for thirty (policies/, retention.changes)
PLACE = struct.Struct(">Qq16s")  # when it was made, transaction, row
SIGNATURE_BYTES = 16
START = (0, UUID(int=0))
LOOKED_AT_ONE_BY_ONE = 20_000  # changes; with more, looking at everybody is no more work


class TooOld(Trouble):
    """What went since then is not remembered any more: read everything once, without a token."""

    code = "token.too_old"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A page of what changed; ask again with `token`, at once when there is `more`."""

    changed: list[UUID]
    gone: list[UUID]
    token: str
    more: bool


class Changes:
    """Read on where somebody stopped."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def since(self, tenant: TenantId, kind: Kind, token: str, *, limit: int, now: datetime) -> News:
        """What changed since `token`, or everything for "". Raises Malformed and TooOld."""
        vault = self._vault.of(tenant)
        made, transaction, row = _opened(vault, kind, token, now) if token else (int(now.timestamp()), *START)
        with self._db.tenant(tenant) as database:
            oldest, newest = under_way(database)
            if transaction >= newest:  # this database has never been there: it was restored from a backup
                raise TooOld
            rows = database.execute(
                select(changes.c.id, changes.c.transaction, changes.c.gone)
                .where(
                    changes.c.tenant_id == tenant,
                    changes.c.kind == kind,
                    tuple_(changes.c.transaction, changes.c.id) > tuple_(transaction, row),
                    changes.c.transaction < oldest,
                )
                .order_by(changes.c.transaction, changes.c.id)
                .limit(limit + 1)
            ).all()
        page = rows[:limit]
        last = (page[-1].transaction, page[-1].id) if page else (transaction, row)
        more = len(rows) > limit
        made = made if more else int(now.timestamp())  # half-way it is as old as where the reading began
        return News(
            changed=[one.id for one in page if not one.gone],
            gone=[one.id for one in page if one.gone and token],  # who begins has nothing to remove
            token=_sealed(vault, kind, made, *last),
            more=more,
        )

    def after(self, tenant: TenantId, kind: Kind, mark: str) -> tuple[list[UUID] | None, str]:
        """What changed since `mark` was given, and the mark to ask with next; None: everything has to be looked at.

        For readers of our own, whom it does not harm to look at something twice: nothing that commits late is waited
        for, it is told once more.
        """
        with self._db.tenant(tenant) as database:
            oldest, newest = under_way(database)
            if not mark.isdecimal() or int(mark) > newest:  # none yet, or of a database that went on further than this
                return None, str(oldest)
            news = (changes.c.tenant_id == tenant, changes.c.kind == kind, changes.c.transaction >= int(mark))
            found = database.execute(
                select(changes.c.id).where(*news, ~changes.c.gone).limit(LOOKED_AT_ONE_BY_ONE + 1)
            ).scalars()
            ids = list(found)
        return (None if len(ids) > LOOKED_AT_ONE_BY_ONE else ids), str(oldest)


def under_way(database: Connection) -> tuple[int, int]:
    """The oldest transaction that is still open, and the one that will come next."""
    snapshot = func.txid_current_snapshot()
    oldest, newest = (bound(snapshot, type_=BigInteger) for bound in (func.txid_snapshot_xmin, func.txid_snapshot_xmax))
    first, last = database.execute(select(oldest, newest)).one()
    return first, last


def _sealed(vault: TenantVault, kind: Kind, made: int, transaction: int, row: UUID) -> str:
    place = PLACE.pack(made, transaction, row.bytes)
    return base64.urlsafe_b64encode(place + _signature(vault, kind, place)).rstrip(b"=").decode()


def _opened(vault: TenantVault, kind: Kind, token: str, now: datetime) -> tuple[int, int, UUID]:
    try:
        told = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        told = b""
    place, signature = told[: PLACE.size], told[PLACE.size :]
    if len(place) < PLACE.size or not hmac.compare_digest(signature, _signature(vault, kind, place)):
        raise Malformed("This token was not made for this.", code="token.invalid")
    made, transaction, row = PLACE.unpack(place)
    if now.timestamp() - made > GOOD_FOR.total_seconds():
        raise TooOld
    return made, transaction, UUID(bytes=row)


def _signature(vault: TenantVault, kind: Kind, place: bytes) -> bytes:
    return vault.fingerprint(f"changes.{kind}", place.hex())[:SIGNATURE_BYTES]
