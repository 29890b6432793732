"""Cached mail: readable while it may be, and gone on time whatever else happens."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from domain.mail import Message
from store.database import Database, TenantId
from store.embedded import Embedded
from store.mailbox import MailCache, Persistent
from store.mailkeys import period_seconds
from store.vault import KeyGone, Vault

DAY = 86_400
MINUTE = timedelta(minutes=1)
BOB = str(uuid.UUID(int=7))
DORA = str(uuid.UUID(int=8))


class Clock:
    """Both servers' clocks, to be turned. It starts where an earlier test's mark cannot reach."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock(db: Database) -> Iterator[Clock]:
    """Noon, with no memory of another test's time or keys."""
    clear(db)
    yield Clock(datetime(2026, 3, 29, 12, 0, tzinfo=UTC))
    clear(db)


def clear(db: Database) -> None:
    with db.anyone() as connection:
        connection.exec_driver_sql("SELECT linekeeper_mail_keys_drop('9999-01-01')")
        connection.exec_driver_sql("DELETE FROM clock_marks")


@pytest.fixture
def raw(mail_url: str) -> Iterator[Any]:
    """The Valkey itself, emptied."""
    client = redis.Redis.from_url(mail_url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def cache(db: Database, vault: Vault, mail_url: str, clock: Clock, raw: Any) -> Iterator[MailCache]:
    cache = MailCache(db, vault, mail_url, cache_seconds=DAY, clock=clock)
    yield cache
    cache.close()


def message(id: str = "m1", subject: str = "About the quince order", minute: int = 0, body: str = "") -> Message:
    return Message(
        id=id,
        thread="t1",
        at=datetime(2026, 3, 29, 9, minute, tzinfo=UTC),
        sender="Dora <dora@quince.example>",
        to=("bob@alice.example",),
        subject=subject,
        body=body,
    )


def test_what_was_put_is_read_by_contact_newest_first(cache: MailCache, tenant: TenantId) -> None:
    """A message belongs to every contact on it, and its own id finds it too."""
    assert cache.put(tenant, [(message("m1", minute=1), [BOB, DORA]), (message("m2", minute=2), [DORA])]) == 2

    assert [found.id for found in cache.of_contact(tenant, DORA, 10)] == ["m2", "m1"]
    assert [found.id for found in cache.of_contact(tenant, DORA, 1)] == ["m2"]
    assert [message("m1", minute=1)] == cache.of_contact(tenant, uuid.UUID(BOB), 10)
    assert message("m1", minute=1) == cache.get(tenant, "m1")
    assert cache.get(tenant, "m3") is None
    assert cache.counts(tenant) == {"messages": 2, "contacts": 2}


def test_nothing_of_a_message_is_readable_in_the_valkey(cache: MailCache, tenant: TenantId, raw: Any) -> None:
    """Neither its content nor its id; every key has an end."""
    cache.put(tenant, [(message(), [DORA])])

    keys = raw.keys("*")
    assert len(keys) == 2
    held = b"".join(keys) + b"".join(raw.get(key) for key in keys if b":m:" in key)
    assert [secret for secret in (b"quince", b"dora", b"m1", b"t1") if secret in held] == []
    assert [key for key in keys if raw.pttl(key) <= 0] == []


def test_a_neighbour_cannot_read_it_even_with_the_bytes(
    cache: MailCache, tenant: TenantId, neighbour: TenantId, raw: Any, vault: Vault
) -> None:
    """A copied value opens under no other tenant's name."""
    cache.put(tenant, [(message(), [DORA])])
    (key,) = raw.keys("*:m:*")
    raw.set(f"mail:{neighbour}:m:{vault.of(neighbour).fingerprint('message', 'm1').hex()}", raw.get(key), px=60_000)

    assert cache.get(tenant, "m1") is not None
    assert cache.get(neighbour, "m1") is None
    assert cache.of_contact(neighbour, DORA, 10) == []


def test_the_minute_before_and_the_minute_after(cache: MailCache, tenant: TenantId, clock: Clock, raw: Any) -> None:
    """A day after its bucket began, less the margin, a message is gone, and the key that opened it."""
    start = clock.now
    clock.now = start + 59 * MINUTE  # the end of the bucket: the key still counts from its beginning
    cache.put(tenant, [(message(), [DORA])])
    gone = cache.gone_at(tenant, "m1")
    assert gone == start + timedelta(seconds=DAY - 60)
    kept = {key: raw.get(key) for key in raw.keys("*:m:*")}

    clock.now = gone - MINUTE
    assert cache.purge().buckets == 0
    assert message() == cache.get(tenant, "m1")

    clock.now = gone
    assert cache.get(tenant, "m1") is None  # before any purge
    purged = cache.purge()
    assert (purged.buckets, purged.oldest) == (1, 0.0)
    assert cache.of_contact(tenant, DORA, 10) == []

    for key, blob in kept.items():  # somebody kept a copy
        raw.set(key, blob, px=60_000)
    assert cache.get(tenant, "m1") is None
    clock.now = start + 60 * MINUTE  # and turns the clocks back
    assert cache.get(tenant, "m1") is None


def test_the_expiry_is_valkeys_own_and_never_extended(
    cache: MailCache, tenant: TenantId, clock: Clock, raw: Any
) -> None:
    """Putting a message again changes its content, not its end."""
    cache.put(tenant, [(message(), [DORA])])
    (key,) = raw.keys("*:m:*")
    first, gone = raw.pttl(key), cache.gone_at(tenant, "m1")
    assert DAY - 61 <= first / 1000 <= DAY - 59

    clock.now += timedelta(hours=5)
    cache.put(tenant, [(message(body="Two crates."), [DORA])])

    assert cache.get(tenant, "m1").body == "Two crates."  # type: ignore[union-attr]  # it is there
    assert gone == cache.gone_at(tenant, "m1")
    assert raw.pttl(key) <= first - 5 * 3_600_000 + 1_000


def test_a_clock_set_back_makes_everything_go(cache: MailCache, tenant: TenantId, clock: Clock, raw: Any) -> None:
    """Nobody can say how old anything is then, so nothing is kept; afterwards the cache works as before."""
    cache.put(tenant, [(message(), [DORA])])
    assert cache.purge().buckets == 0
    assert cache.get(tenant, "m1") is not None

    clock.now -= timedelta(hours=3)
    purged = cache.purge()

    assert (purged.buckets, purged.leftovers) == (1, 1)
    assert raw.keys("*:m:*") == []
    assert cache.get(tenant, "m1") is None
    assert cache.put(tenant, [(message("m2"), [DORA])]) == 1
    assert [found.id for found in cache.of_contact(tenant, DORA, 10)] == ["m2"]
    assert cache.purge().buckets == 0


def test_a_persistent_valkey_is_refused_by_name(
    servers: Embedded, work_url: str, db: Database, vault: Vault, tenant: TenantId
) -> None:
    """Mail never reaches a Valkey that writes to a disk: not at start, and not after somebody changed it."""
    cache = MailCache(db, vault, work_url, cache_seconds=DAY)
    with pytest.raises(Persistent) as refused:
        cache.put(tenant, [(message(), [DORA])])
    assert refused.value.code == "mail.persistent"
    assert cache.counts(tenant) == {"messages": 0, "contacts": 0}
    cache.close()


def test_persistence_switched_on_later_stops_the_next_batch(cache: MailCache, tenant: TenantId, raw: Any) -> None:
    cache.put(tenant, [(message(), [DORA])])
    raw.config_set("save", "3600 1")
    try:
        with pytest.raises(Persistent):
            cache.put(tenant, [(message("m2"), [DORA])])
    finally:
        raw.config_set("save", "")
    assert cache.get(tenant, "m2") is None
    assert cache.put(tenant, [(message("m2"), [DORA])]) == 1


def test_disconnecting_destroys_the_key_first(cache: MailCache, tenant: TenantId, raw: Any, vault: Vault) -> None:
    """What was cached is unreadable from then on, a kept copy too; a later connection caches afresh."""
    cache.put(tenant, [(message(), [DORA])])
    before = vault.active(tenant, "mail")
    (key,) = raw.keys("*:m:*")
    blob = raw.get(key)

    assert cache.disconnect(tenant) == 1

    assert raw.keys(f"mail:{tenant}:*") == []
    with pytest.raises(KeyGone):
        vault.by_id(tenant, before.id)
    raw.set(key, blob, px=60_000)
    assert cache.get(tenant, "m1") is None
    assert cache.put(tenant, [(message("m2"), [DORA])]) == 1
    assert cache.get(tenant, "m2") is not None


def test_a_disconnect_that_died_half_way_is_mended(
    cache: MailCache, tenant: TenantId, vault: Vault, db: Database
) -> None:
    """Without its mail key a tenant has no cache; that is a miss, not an error, and the purge puts it right."""
    with db.tenant(tenant) as connection:
        vault.destroy(connection, tenant, ("mail",))
    assert cache.put(tenant, [(message(), [DORA])]) == 0

    assert cache.mend(tenant)
    assert not cache.mend(tenant)
    assert cache.put(tenant, [(message(), [DORA])]) == 1


def test_disconnecting_under_reading_is_never_an_error(cache: MailCache, tenant: TenantId, neighbour: TenantId) -> None:
    """Readers and writers at work see misses; the neighbour's mail stays."""
    cache.put(neighbour, [(message("n1"), [DORA])])
    faults: list[BaseException] = []
    stop = threading.Event()

    def work(deed: Any) -> None:
        while not stop.is_set():
            try:
                deed()
            except BaseException as fault:
                faults.append(fault)

    deeds = [
        lambda: cache.of_contact(tenant, DORA, 5),
        lambda: cache.get(tenant, "m1"),
        lambda: cache.put(tenant, [(message("m1"), [DORA])]),
    ]
    threads = [threading.Thread(target=work, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for _ in range(15):
        cache.disconnect(tenant)
    stop.set()
    for thread in threads:
        thread.join()
    cache.disconnect(tenant)

    assert faults == []
    assert cache.get(tenant, "m1") is None
    assert cache.get(neighbour, "n1") is not None


def test_makers_of_one_hour_key_agree_and_do_not_lock_each_other_out(
    cache: MailCache, tenant: TenantId, clock: Clock, db: Database
) -> None:
    """Many processes start an hour at once: one key, no deadlock, all messages readable."""
    faults: list[BaseException] = []

    def put(worker: int) -> None:
        try:
            for hour in range(4):
                cache.put(tenant, [(message(f"w{worker}-{hour}"), [DORA])])
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=put, args=(worker,)) for worker in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert len(cache.of_contact(tenant, DORA, 100)) == 20


def test_the_sweep_takes_what_has_no_end_no_key_or_is_past_due(
    cache: MailCache, tenant: TenantId, clock: Clock, raw: Any
) -> None:
    """And leaves what may stay, and the lists name only what is there."""
    cache.put(tenant, [(message("stays"), [DORA]), (message("endless"), [DORA])])
    _, second = names(cache, tenant, "stays", "endless")
    raw.persist(second)
    raw.set(f"mail:{tenant}:m:{'00' * 32}", b"\0" * 60, px=60_000)  # a bucket of 1970
    raw.set(f"mail:{tenant}:m:{'01' * 32}", b"?", px=60_000)

    assert cache.purge().leftovers == 3

    assert [found.id for found in cache.of_contact(tenant, DORA, 10)] == ["stays"]
    assert raw.zcard(f"mail:{tenant}:c:{DORA}") == 1


def names(cache: MailCache, tenant: TenantId, *ids: str) -> list[str]:
    return [f"mail:{tenant}:m:{cache._fingerprint(tenant, id).hex()}" for id in ids]


def test_removing_and_forgetting(cache: MailCache, tenant: TenantId) -> None:
    """One message, one contact's messages, a whole tenant's."""
    cache.put(tenant, [(message(f"m{number}", minute=number), [DORA if number % 2 else BOB]) for number in range(6)])

    assert cache.remove(tenant, ["m1", "never"]) == 1
    assert [found.id for found in cache.of_contact(tenant, DORA, 10)] == ["m5", "m3"]
    assert cache.forget_contact(tenant, DORA) == 2
    assert cache.get(tenant, "m3") is None
    assert cache.forget_tenant(tenant) == 3
    assert cache.counts(tenant) == {"messages": 0, "contacts": 0}


def test_a_server_that_is_gone_is_a_miss(tmp_path: Path, db: Database, vault: Vault, tenant: TenantId) -> None:
    """Reading, writing, purging and disconnecting go on without it."""
    cache = MailCache(db, vault, f"unix://{tmp_path}/nobody.sock", cache_seconds=DAY)

    assert cache.put(tenant, [(message(), [DORA])]) == 0
    assert cache.get(tenant, "m1") is None
    assert cache.of_contact(tenant, DORA, 10) == []
    assert cache.disconnect(tenant) == 0
    assert cache.purge().leftovers == 0
    assert not cache.alive()
    cache.close()


def test_a_server_restarted_has_forgotten_and_works_on(
    tmp_path: Path, db: Database, vault: Vault, tenant: TenantId, clock: Clock
) -> None:
    """Its memory was all there was."""
    with Embedded(tmp_path / "var", say=lambda _: None) as embedded:
        cache = MailCache(db, vault, embedded.valkey("mail").url, cache_seconds=DAY, clock=clock)
        cache.put(tenant, [(message(), [DORA])])
        assert cache.get(tenant, "m1") is not None

        embedded.restart("mail")

        assert cache.get(tenant, "m1") is None
        assert cache.put(tenant, [(message(), [DORA])]) == 1
        assert cache.get(tenant, "m1") is not None
        cache.close()


def test_a_lost_hour_key_is_a_miss(cache: MailCache, tenant: TenantId, db: Database) -> None:
    """PostgreSQL empties unlogged tables after a crash."""
    cache.put(tenant, [(message(), [DORA])])
    assert cache.get(tenant, "m1") is not None
    with db.anyone() as connection:
        connection.exec_driver_sql("SELECT linekeeper_mail_keys_drop('9999-01-01')")

    assert cache.get(tenant, "m1") is None
    assert cache.put(tenant, [(message(), [DORA])]) == 1
    assert cache.get(tenant, "m1") is not None


def test_another_promise_later_makes_buckets_of_another_length(
    cache: MailCache, db: Database, vault: Vault, mail_url: str, tenant: TenantId, clock: Clock
) -> None:
    """An operator who shortens MAIL_CACHE_SECONDS keeps a working cache, and the shorter promise holds for all."""
    clock.now += 20 * MINUTE
    cache.put(tenant, [(message("old"), [DORA])])
    shorter = MailCache(db, vault, mail_url, cache_seconds=3_600, clock=clock)
    assert shorter.put(tenant, [(message("new"), [DORA])]) == 1
    assert shorter.get(tenant, "new") is not None

    clock.now += 40 * MINUTE
    assert shorter.get(tenant, "old") is None
    assert shorter.purge().buckets == 1
    assert shorter.get(tenant, "new") is not None
    shorter.close()


@pytest.mark.parametrize("seconds", [1, 3, 12, 60, 600, 3_600, DAY])
def test_no_promise_is_outlived(
    seconds: int, db: Database, vault: Vault, mail_url: str, tenant: TenantId, clock: Clock
) -> None:
    """Whatever the promise: when it ends nothing can be read and no key is left, even if a purge came a period late."""
    cache = MailCache(db, vault, mail_url, cache_seconds=seconds, clock=clock)
    kept = cache.put(tenant, [(message(), [DORA])])
    assert kept == (seconds > 2)  # shorter than two purges can promise: nothing is cached at all
    assert (cache.get(tenant, "m1") is not None) == bool(kept)

    clock.now += timedelta(seconds=seconds - min(period_seconds(seconds), seconds))
    cache.purge()

    assert cache.get(tenant, "m1") is None
    assert cache.oldest_seconds() == 0.0
    cache.close()
