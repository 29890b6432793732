"""The hour keys of cached mail: made when the first message of a bucket comes, destroyed on time by dropping a table.

Each key is alone in an unlogged partition, which is in no WAL and no base backup (`pg_dump` leaves it out when told
`--no-unlogged-table-data`). They are never remembered in a
process. What time it is decides the latest clock ever seen; a clock that was set back makes everything go at once,
because then nobody can say how old anything is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from domain.mail import bucket_end
from store.database import Database, TenantId
from store.tables import clock_marks, connections, mail_keys, tenant_keys
from store.vault import Vault, of_mailbox

KEY_BYTES = 32
MARK = "mail"
ALL_OF_THEM = datetime(9999, 1, 1, tzinfo=UTC)
FIND = text("SELECT linekeeper_mail_key(:bucket, :seconds, :fresh)")
DROP = text("SELECT linekeeper_mail_keys_drop(:before)")
# Taken before the function reads, as the function itself takes it after: two makers of a key would otherwise each hold
# a read lock on the parent table that the other one's new partition has to wait for.
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('linekeeper mail keys'))")
PARTITION_SECONDS = 1  # a partition holds one key, so buckets of another length (a changed setting) never overlap it


def period_seconds(cache_seconds: int) -> float:
    """How often the purge runs, so that the promise has room for one that runs late."""
    return max(1.0, min(30.0, cache_seconds / 20))


class MailKeys:
    """Make, find and destroy the keys of buckets, which are named by their first second."""

    def __init__(self, db: Database, *, cache_seconds: int, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._period = timedelta(seconds=period_seconds(cache_seconds))

    # -- time

    def _marked(self) -> datetime | None:
        with self._db.anyone() as connection:
            return connection.execute(select(clock_marks.c.at).where(clock_marks.c.name == MARK)).scalar_one_or_none()

    def now(self) -> datetime:
        """The latest moment any clock of ours ever showed."""
        told, mark = self._clock(), self._marked()
        if mark is None or told > mark + min(self._period, timedelta(seconds=5)):
            statement = insert(clock_marks).values(name=MARK, at=told)
            later = func.greatest(clock_marks.c.at, statement.excluded.at)
            with self._db.anyone() as connection:
                connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"at": later}))
        return told if mark is None else max(told, mark)

    def deadline(self, bucket: int) -> datetime:
        """When a bucket has to be gone: two purge periods ahead of the promise, room for a purge that is late."""
        start = datetime.fromtimestamp(bucket, UTC)
        return bucket_end(start, self._cache_seconds) - 2 * self._period

    def oldest_seconds(self) -> float:
        with self._db.anyone() as connection:
            oldest = connection.execute(select(func.min(mail_keys.c.bucket))).scalar_one()
        return 0.0 if oldest is None else max(0.0, (self.now() - oldest).total_seconds())

    # -- keys

    def make(self, bucket: int) -> bytes:
        """The key of a bucket, made if it is not there."""
        if found := self.of({bucket}):
            return found[bucket]
        start = datetime.fromtimestamp(bucket, UTC)
        with self._db.anyone() as connection:
            connection.execute(ONE_AT_A_TIME)
            values = {"bucket": start, "seconds": PARTITION_SECONDS, "fresh": os.urandom(KEY_BYTES)}
            return bytes(connection.execute(FIND, values).scalar_one())

    def of(self, buckets: Collection[int]) -> dict[int, bytes]:
        """The keys of these buckets, as far as they are still there."""
        if not buckets:
            return {}
        starts = [datetime.fromtimestamp(bucket, UTC) for bucket in buckets]
        with self._db.anyone() as connection:
            rows = connection.execute(select(mail_keys).where(mail_keys.c.bucket.in_(starts)))
            return {int(row.bucket.timestamp()): bytes(row.key) for row in rows}

    def drop(self) -> tuple[int, bool]:
        """Destroy the keys that are due; return how many went, and whether a clock set back made all of them go."""
        told, mark = self._clock(), self._marked()
        if mark is not None and told < mark - self._period:
            with self._db.anyone() as connection:  # together: the mark goes back only when no key is left to prolong
                gone: int = connection.execute(DROP, {"before": ALL_OF_THEM}).scalar_one()
                connection.execute(clock_marks.update().where(clock_marks.c.name == MARK).values(at=told))
            return gone, True
        due = self.now() + 2 * self._period - timedelta(seconds=self._cache_seconds)
        with self._db.anyone() as connection:
            just_after = due + timedelta(microseconds=1)  # due at this very moment counts; the function says "before"
            gone = connection.execute(DROP, {"before": just_after}).scalar_one()
        return gone, False

    def mend(self, vault: Vault, tenant: TenantId) -> bool:
        """Give a tenant that has its data key, but no mail key, a new one; and each of its mailboxes that may be read
        one of its own."""
        active = select(tenant_keys.c.purpose).where(tenant_keys.c.tenant_id == tenant, tenant_keys.c.state == "active")
        boxes = select(connections.c.id).where(
            connections.c.tenant_id == tenant, connections.c.kind == "workspace", connections.c.state == "active"
        )
        with self._db.tenant(tenant) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"mail key {tenant}"})
            have = set(connection.execute(active).scalars())
            wanted = {"mail", *(of_mailbox(box.hex) for box in connection.execute(boxes).scalars())}
            lacking = sorted(wanted - have) if "data" in have else []
            for purpose in lacking:
                vault.renew(connection, tenant, purpose)
            return bool(lacking)
