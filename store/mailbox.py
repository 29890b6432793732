"""Cached mail: in the memory of one Valkey, sealed under two keys, and gone on time whatever else goes wrong.

A message is sealed with HKDF(hour key, its mailbox's mail key). The hour key lives in PostgreSQL, in an unlogged
partition that is dropped on time; the ciphertext lives in a Valkey that writes nothing to a disk, with an absolute
expiry that putting the message again does not extend. So neither store alone can bring a message back. A lost server,
a lost key or a destroyed one is a miss: the message is read from Google again, or is not shown.

    blob: i64 bucket start (seconds, in the clear: the sweep reads it) | u32 mail key id | 12-byte nonce | AES-256-GCM
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import redis
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from redis.backoff import NoBackoff
from redis.retry import Retry

from domain.errors import Trouble
from domain.mail import Message, bucket_start
from domain.ports import in_batches
from store.database import Database, TenantId
from store.mailkeys import MailKeys
from store.vault import Key, KeyGone, Tampered, Vault, of_mailbox

HEADER = struct.Struct(">qI")
NONCE_BYTES = 12
SOCKET_SECONDS = 2.0
BATCH = 500  # keys in one round trip
SWEEP_EVERY = 10  # purges; between two sweeps Valkey's own expiry does the work
LOST = (redis.RedisError, OSError)

BOX = "box-"  # before a mailbox's id: the list of all that is cached of it
Where = str | UUID  # a contact, or `box` of a mailbox


class Persistent(Trouble):
    """The Valkey for cached mail writes to a disk or to a replica, or cannot show that it does not."""

    code = "mail.persistent"


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did: hour keys destroyed, messages swept up behind them, age of the oldest key left (seconds)."""

    buckets: int
    leftovers: int
    oldest: float


class MailCache:
    """Put messages in, read them by contact, make them go."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        url: str,
        *,
        cache_seconds: int,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """`clock` stands in for the servers' clocks in a test."""
        self._db = db
        self._vault = vault
        self._redis: Any = redis.Redis.from_url(  # its types cover the asynchronous client too and say little of ours
            url,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 1),  # once more on a new socket: a pooled one may belong to a server that is gone
        )
        self._keys = MailKeys(db, cache_seconds=cache_seconds, clock=clock or self._latest)
        self._sweeps = SWEEP_EVERY  # the first purge of a process sweeps
        self.cache_seconds = cache_seconds

    # -- time

    def _valkey_time(self) -> datetime:
        seconds, micros = self._redis.time()
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)

    def _latest(self) -> datetime:
        """The later of both servers' clocks, so that one of them being slow prolongs nothing."""
        moment = self._db.now()
        with suppress(*LOST):
            moment = max(moment, self._valkey_time())
        return moment

    # -- writing

    def refuse_persistent(self) -> None:
        """Raise Persistent unless this Valkey keeps everything in memory and copies it to nobody."""
        try:
            config = self._redis.config_get("save", "appendonly")
            replication = self._redis.info("replication")
        except redis.ResponseError:
            raise Persistent(
                "MAIL_REDIS_URL does not let us ask whether it writes to a disk. Allow CONFIG GET and INFO to its user."
            ) from None
        if config.get("save") != "" or config.get("appendonly") != "no":
            raise Persistent('MAIL_REDIS_URL writes to a disk. Run it with save "" and appendonly no.')
        if replication.get("role") != "master" or replication.get("connected_slaves") != 0:
            raise Persistent("MAIL_REDIS_URL has a replica, which may write to a disk. Run it alone.")

    def put(self, tenant: TenantId, messages: Iterable[tuple[Message, Sequence[Where]]]) -> int:
        """Cache messages, each with the contacts it belongs to; return how many.

        A message that is cached already gets its new content and keeps its expiry. Raises Persistent.
        """
        count = 0
        for batch in in_batches(messages, BATCH):
            with suppress(*LOST, KeyGone):
                count += self._put(tenant, batch)
        return count

    def renew(self, tenant: TenantId, messages: Iterable[Message]) -> int:
        """Give messages that are cached their new content, and cache none that is not; return how many."""
        count = 0
        for batch in in_batches(messages, BATCH):
            with suppress(*LOST, KeyGone):
                count += self._put(tenant, [(message, ()) for message in batch], new=False)
        return count

    def _put(self, tenant: TenantId, batch: Sequence[tuple[Message, Sequence[Where]]], *, new: bool = True) -> int:
        self.refuse_persistent()
        boxes = {message.mailbox for message, _ in batch}
        active = {box: key for box in boxes if (key := self._active(tenant, box)) is not None}
        if not active:
            return 0
        now = self._keys.now()
        behind = now - self._valkey_time()  # expiry is told in Valkey's own time
        prints = [self._fingerprint(tenant, message.key) for message, _ in batch]
        ask = self._redis.pipeline(transaction=False)
        for fingerprint in prints:
            ask.getrange(_message(tenant, fingerprint), 0, HEADER.size - 1)
        current = int(bucket_start(now, self.cache_seconds).timestamp())
        heads = [_bucket(head) for head in ask.execute()]
        there = [head is not None and self._keys.deadline(head) > now for head in heads]
        buckets = [head if known and head is not None else current for head, known in zip(heads, there, strict=True)]
        hours = self._keys.of(set(buckets) - {current}) | {current: self._keys.make(current)}
        write = self._redis.pipeline(transaction=True)
        count = 0
        for (message, contacts), fingerprint, bucket, known in zip(batch, prints, buckets, there, strict=True):
            key = active.get(message.mailbox)
            if key is None or bucket not in hours or self._keys.deadline(bucket) <= now or not (new or known):
                continue  # a key of it went this very moment, or the promise is too short to keep anything
            until = int((self._keys.deadline(bucket) - behind).timestamp() * 1000)
            cipher = _cipher(tenant, hours[bucket], key, bucket, fingerprint)
            header, nonce = HEADER.pack(bucket, key.id), os.urandom(NONCE_BYTES)
            plain = json.dumps(message.as_data(), ensure_ascii=False, separators=(",", ":")).encode()
            sealed = header + nonce + cipher.encrypt(nonce, plain, header + tenant.bytes + fingerprint)
            write.set(_message(tenant, fingerprint), sealed, pxat=until)
            for contact in contacts:
                name = _contact(tenant, contact)
                write.zadd(name, {fingerprint: message.at.timestamp()})
                write.pexpireat(name, until, nx=True)
                write.pexpireat(name, until, gt=True)
            count += 1
        write.execute()
        return count

    # -- reading

    def of_contact(self, tenant: TenantId, contact: Where, limit: int = 20) -> list[Message]:
        """The cached messages with a contact, newest first."""
        name = _contact(tenant, contact)
        found: list[Message] = []
        with suppress(*LOST):
            prints = self._redis.zrevrange(name, 0, -1)
            for batch in in_batches(prints, max(limit, 20)):
                opened = self._open(tenant, batch)
                if gone := [fingerprint for fingerprint in batch if fingerprint not in opened]:
                    self._redis.zrem(name, *gone)
                found += [opened[fingerprint][0] for fingerprint in batch if fingerprint in opened]
                if len(found) >= limit:
                    break
        return found[:limit]

    def get(self, tenant: TenantId, key: str) -> Message | None:
        found = self._one(tenant, key)
        return None if found is None else found[0]

    def gone_at(self, tenant: TenantId, key: str) -> datetime | None:
        """When a cached message goes, at the latest."""
        found = self._one(tenant, key)
        return None if found is None else found[1]

    def some(self, tenant: TenantId, keys: Sequence[str]) -> dict[str, Message]:
        """Those of these messages that are cached, by key."""
        prints = {self._fingerprint(tenant, key): key for key in keys}
        with suppress(*LOST):
            opened = self._open(tenant, list(prints))
            return {prints[fingerprint]: message for fingerprint, (message, _) in opened.items()}
        return {}

    def _one(self, tenant: TenantId, key: str) -> tuple[Message, datetime] | None:
        fingerprint = self._fingerprint(tenant, key)
        with suppress(*LOST):
            return self._open(tenant, [fingerprint]).get(fingerprint)
        return None

    def _open(self, tenant: TenantId, prints: Sequence[bytes]) -> dict[bytes, tuple[Message, datetime]]:
        """Open what can be opened; the rest was never there."""
        blobs = self._redis.mget([_message(tenant, fingerprint) for fingerprint in prints]) if prints else []
        sealed = {
            fingerprint: blob
            for fingerprint, blob in zip(prints, blobs, strict=True)
            if blob is not None and len(blob) > HEADER.size + NONCE_BYTES
        }
        if not sealed:
            return {}
        heads = {fingerprint: HEADER.unpack_from(blob) for fingerprint, blob in sealed.items()}
        now = self._keys.now()
        hours = self._keys.of({bucket for bucket, _ in heads.values() if self._keys.deadline(bucket) > now})
        keys = dict(self._by_id(tenant, {key_id for _, key_id in heads.values()}))
        found = {}
        for fingerprint, blob in sealed.items():
            bucket, key_id = heads[fingerprint]
            if bucket not in hours or key_id not in keys:
                continue
            header, nonce = blob[: HEADER.size], blob[HEADER.size : HEADER.size + NONCE_BYTES]
            cipher = _cipher(tenant, hours[bucket], keys[key_id], bucket, fingerprint)
            with suppress(InvalidTag):
                plain = cipher.decrypt(nonce, blob[HEADER.size + NONCE_BYTES :], header + tenant.bytes + fingerprint)
                found[fingerprint] = Message.from_data(json.loads(plain)), self._keys.deadline(bucket)
        return found

    # -- going

    def remove(self, tenant: TenantId, keys: Collection[str]) -> int:
        """They are gone at Google, so they are gone here."""
        names = [_message(tenant, self._fingerprint(tenant, key)) for key in keys]
        return self._delete(names)

    def forget_contact(self, tenant: TenantId, contact: Where) -> int:
        """Delete every message with a contact, and the list of them."""
        name = _contact(tenant, contact)
        with suppress(*LOST):
            prints = self._redis.zrange(name, 0, -1)
            gone = self._delete(_message(tenant, fingerprint) for fingerprint in prints)
            self._redis.delete(name)
            return gone
        return 0

    def forget_tenant(self, tenant: TenantId) -> int:
        """Delete every cached message of a tenant; return how many there were."""
        gone = self._delete(self._scan(f"mail:{tenant}:m:*"))
        self._delete(self._scan(f"mail:{tenant}:c:*"))
        return gone

    def disconnect_box(self, tenant: TenantId, mailbox: UUID) -> int:
        """Make what is cached of one mailbox unreadable at once, then delete it; return how many messages there were.

        It gets another key only while it is connected (`mend`): whoever still reads it caches nothing after its end.
        """
        with self._db.tenant(tenant) as connection:
            self._vault.destroy(connection, tenant, (of_mailbox(mailbox.hex),))
        self.forget_contact(tenant, outbox(mailbox.hex))
        return self.forget_contact(tenant, box(mailbox.hex))

    def disconnect(self, tenant: TenantId) -> int:
        """Make a tenant's cached mail unreadable at once, then delete it; return how many messages there were.

        The keys go first and are committed: from then on nobody opens a message, whether the Valkey answers or not.
        """
        try:
            with self._db.tenant(tenant) as connection:
                self._vault.destroy(connection, tenant, ("mail",))
            return self.forget_tenant(tenant)
        finally:
            self.mend(tenant)

    def mend(self, tenant: TenantId) -> bool:
        """Give a tenant, and each mailbox it may read, a mail key where one is missing: it was connected just now, or a
        disconnect died half-way. Say whether that was needed."""
        return self._keys.mend(self._vault, tenant)

    def purge(self) -> Purged:
        """Destroy the hour keys that are due and sweep up what should have expired. Safe to tell at any time."""
        buckets, set_back = self._keys.drop()
        self._sweeps += 1
        leftovers = 0
        if set_back or self._sweeps >= SWEEP_EVERY:
            self._sweeps = 0
            leftovers = self._sweep(everything=set_back)
        return Purged(buckets, leftovers, self.oldest_seconds())

    def _sweep(self, *, everything: bool) -> int:
        """Delete messages past due, without an expiry or without an hour key, and empty the lists that named them."""
        gone = 0
        with suppress(*LOST):
            for batch in in_batches(self._scan("mail:*:m:*"), BATCH):
                gone += self._delete(batch if everything else self._due(batch))
            for name in self._scan("mail:*:c:*"):
                tenant = UUID(name.decode().split(":")[1])
                for prints in in_batches(self._redis.zrange(name, 0, -1), BATCH):
                    ask = self._redis.pipeline(transaction=False)
                    for fingerprint in prints:
                        ask.exists(_message(tenant, fingerprint))
                    lost = [mark for mark, there in zip(prints, ask.execute(), strict=True) if not there]
                    if lost:
                        self._redis.zrem(name, *lost)
        return gone

    def _due(self, names: Sequence[bytes]) -> list[bytes]:
        now = self._keys.now()
        ask = self._redis.pipeline(transaction=False)
        for name in names:
            ask.getrange(name, 0, HEADER.size - 1)
            ask.pttl(name)
        answers = ask.execute()
        buckets = {name: _bucket(head) for name, head in zip(names, answers[::2], strict=True)}
        endless = {name for name, left in zip(names, answers[1::2], strict=True) if left == -1}
        alive = self._keys.of({bucket for bucket in buckets.values() if bucket is not None})  # a key precedes its mail
        return [
            name
            for name, bucket in buckets.items()
            if name in endless or bucket not in alive or self._keys.deadline(bucket) <= now
        ]

    # -- telling

    def oldest_seconds(self) -> float:
        """No cached message is older than this: the age of the oldest hour key, 0 when there is none."""
        return self._keys.oldest_seconds()

    def counts(self, tenant: TenantId) -> dict[str, int]:
        """How many messages are cached, and for how many contacts."""
        found = {"messages": 0, "contacts": 0}
        with suppress(*LOST):
            found["messages"] = sum(1 for _ in self._scan(f"mail:{tenant}:m:*"))
            found["contacts"] = sum(1 for name in self._scan(f"mail:{tenant}:c:*") if BOX.encode() not in name)
        return found

    def alive(self) -> bool:
        with suppress(*LOST):
            return bool(self._redis.ping())
        return False

    def close(self) -> None:
        self._redis.close()

    # -- keys and names

    def _active(self, tenant: TenantId, mailbox: str) -> Key | None:
        """The key that seals what comes from a mailbox now; none where it is not connected (any more)."""
        for last in (False, True):
            try:
                return self._vault.active(tenant, of_mailbox(mailbox))
            except Tampered as error:
                if error.code != "vault.no_such_key":
                    raise
            if not last and mailbox:
                self.mend(tenant)
        return None

    def _by_id(self, tenant: TenantId, ids: Iterable[int]) -> Iterator[tuple[int, Key]]:
        for key_id in ids:
            with suppress(KeyGone, Tampered):
                yield key_id, self._vault.by_id(tenant, key_id)

    def _fingerprint(self, tenant: TenantId, key: str) -> bytes:
        return self._vault.of(tenant).fingerprint("message", key)

    def _scan(self, pattern: str) -> Iterator[bytes]:
        yield from self._redis.scan_iter(pattern, count=1_000)

    def _delete(self, names: Iterable[str | bytes]) -> int:
        gone = 0
        with suppress(*LOST):
            for batch in in_batches(names, BATCH):
                gone += int(self._redis.unlink(*batch))
        return gone


def _cipher(tenant: TenantId, hour: bytes, key: Key, bucket: int, fingerprint: bytes) -> AESGCM:
    """The key of one message in one bucket: whoever lacks the hour's key or the tenant's cannot make it."""
    info = b"|".join((b"linekeeper mail", tenant.bytes, struct.pack(">q", bucket), fingerprint))
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(hour + key.secret))


def box(mailbox: UUID | str) -> str:
    """Where everything of one mailbox is listed."""
    return f"{BOX}{mailbox}"


def outbox(mailbox: str) -> str:
    """Where letters from a mailbox are listed that are not sent yet."""
    return f"{BOX}out-{mailbox}"


def letters_to(contact: UUID) -> str:
    """Where letters to a contact are listed that are not sent yet."""
    return f"{BOX}to-{contact}"


def _message(tenant: TenantId, fingerprint: bytes) -> str:
    return f"mail:{tenant}:m:{fingerprint.hex()}"


def _contact(tenant: TenantId, contact: Where) -> str:
    return f"mail:{tenant}:c:{contact}"


def _bucket(head: bytes) -> int | None:
    return HEADER.unpack(head)[0] if len(head) == HEADER.size else None
