"""The vault: nothing a customer told us lies open at rest.

AES-256-GCM under a key of the tenant's own, which is wrapped by the key ring. What is sealed is bound to its place
(tenant, table, row, field), so a copied cell opens nowhere else. Look-ups go through keyed fingerprints, never through
plain text. A destroyed key is gone, and with it everything it sealed. There is no unencrypted mode.

Envelope: 01 format | 01 AES-256-GCM | u32 key id | 12-byte nonce | ciphertext and tag; the header is authenticated.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple
from uuid import UUID

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from sqlalchemy import ColumnElement, Connection, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from domain.errors import Trouble
from store.database import Database, TenantId
from store.tables import deployment, tenant_keys

Purpose = Literal["data", "index", "mail"]
PURPOSES: tuple[Purpose, ...] = ("data", "index", "mail")
BOX = "mail."  # before a mailbox's id: the purpose of the key that is half of what opens its messages
HEADER = struct.Struct(">BBI")
FORMAT = AES_256_GCM = 1
NONCE_BYTES = 12  # random; at most 2^32 seals under one key (NIST SP 800-38D), which no tenant's rows come near
START = HEADER.size + NONCE_BYTES  # of what is sealed
REMEMBERED = 16_384  # fingerprints, of all tenants together: those of a few hundred people, in some megabytes
REMEMBER_SECONDS = 60.0  # unwrapped keys other than mail's; a destroyed one is gone from every process by then
NO_TENANT = UUID(int=0)
LARGEST_KEY_ID = 2**31 - 1  # of the column; an envelope that names a larger one was tampered with


class Tampered(Trouble):
    """A sealed value could not be opened: it was changed, moved, or its key is not here."""

    code = "vault.tampered"


class KeyGone(Trouble):
    """The key was destroyed, and with it everything it sealed."""

    code = "vault.key_gone"


class Place(NamedTuple):
    """Where a sealed value belongs; it opens nowhere else."""

    table: str
    row: str
    field: str


class KeyRing:
    """The operator's keys. The first one wraps; the others still unwrap. They never seal anything but keys."""

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        self._keys = dict(keys)
        self.first = keys[0][0]

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    def ids(self) -> list[str]:
        return list(self._keys)

    def wrap(self, key: bytes, about: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._keys[self.first]).encrypt(nonce, key, about + self.first.encode())

    def unwrap(self, wrapped: bytes, kid: str, about: bytes) -> bytes:
        """Raise Tampered when `kid` is not on the ring or did not wrap this."""
        if kid not in self._keys:
            raise Tampered(f"Key {kid!r} is not on the key ring. Add it to KEYRING.", code="vault.no_such_key")
        try:
            return AESGCM(self._keys[kid]).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], about + kid.encode())
        except InvalidTag:
            raise Tampered(f"Key {kid!r} on the key ring is not the one that was used.") from None


@dataclass(frozen=True, slots=True)
class Key:
    """An unwrapped key and the number it is known by."""

    id: int
    secret: bytes
    cipher: AESGCM = field(init=False, compare=False)  # made once: its key schedule costs as much as a short value
    mac: HMAC = field(init=False, compare=False)  # keyed once, and copied for each value

    def __post_init__(self) -> None:
        object.__setattr__(self, "cipher", AESGCM(self.secret))
        object.__setattr__(self, "mac", HMAC(self.secret, SHA256()))

    def fingerprint(self, kind: str, value: str) -> bytes:
        """HMAC-SHA-256 of a kind and a value."""
        mac = self.mac.copy()
        mac.update(f"{kind}\0{value}".encode("utf-8", "replace"))
        return mac.finalize()

    def __repr__(self) -> str:
        return f"Key({self.id})"


def _around(tenant: TenantId, table: str, field: str, header: bytes) -> tuple[bytes, bytes]:
    """What the seal is bound to before and after the row's name, each part with its length: no two read alike."""
    start = b"\0\0\0\x0alinekeeper" + len(header).to_bytes(4, "big") + header + b"\0\0\0\x10" + tenant.bytes
    return start + _measured(table.encode()), _measured(field.encode())


def _measured(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def _about(tenant: TenantId, place: Place, header: bytes) -> bytes:
    """Everything the seal is bound to."""
    before, after = _around(tenant, place.table, place.field, header)
    return before + _measured(place.row.encode()) + after


def as_json(value: Any) -> str:
    """The one text of a value that is sealed: equal values, equal texts."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # half a character, cut off where a field was full, or a number beyond every register
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()


def seal_with(key: Key, tenant: TenantId, place: Place, plain: bytes) -> bytes:
    header = HEADER.pack(FORMAT, AES_256_GCM, key.id)
    nonce = os.urandom(NONCE_BYTES)
    return header + nonce + key.cipher.encrypt(nonce, plain, _about(tenant, place, header))


def open_with(find: Callable[[int], Key], tenant: TenantId, place: Place, sealed: bytes) -> bytes:
    """Open an envelope with the one key it names. Every fault gives the same Tampered."""
    key = find(_key_named(sealed))
    return _opened(key, sealed, _about(tenant, place, sealed[: HEADER.size]))


def _key_named(sealed: bytes) -> int:
    """The number of the key an envelope names."""
    if len(sealed) < START + 16:
        raise Tampered
    form, algorithm, key_id = HEADER.unpack_from(sealed)
    if (form, algorithm) != (FORMAT, AES_256_GCM):
        raise Tampered
    return int(key_id)


def _opened(key: Key, sealed: bytes, about: bytes) -> bytes:
    try:
        return key.cipher.decrypt(sealed[HEADER.size : START], sealed[START:], about)
    except InvalidTag:
        raise Tampered from None


def of_mailbox(mailbox: str) -> str:
    """The purpose of one mailbox's key, so that destroying it takes nobody else's mail along."""
    return f"{BOX}{mailbox}" if mailbox else "mail"


class TenantVault:
    """One tenant's keys: seals, opens and fingerprints for that tenant alone."""

    def __init__(self, vault: Vault, tenant: TenantId) -> None:
        self._vault = vault
        self.tenant = tenant

    def seal(self, table: str, row: UUID | str, field: str, plain: str | bytes) -> bytes:
        data = plain.encode() if isinstance(plain, str) else plain
        return seal_with(self._vault.active(self.tenant, "data"), self.tenant, Place(table, str(row), field), data)

    def seal_json(self, table: str, row: UUID | str, field: str, value: Any) -> bytes:
        return self.seal(table, row, field, as_json(value))

    def open(self, table: str, row: UUID | str, field: str, sealed: bytes | None) -> str:
        """Open a sealed text; an empty cell opens as an empty text."""
        if sealed is None:
            return ""
        return self.open_bytes(table, row, field, sealed).decode()

    def open_bytes(self, table: str, row: UUID | str, field: str, sealed: bytes) -> bytes:
        place = Place(table, str(row), field)
        return open_with(lambda key: self._vault.by_id(self.tenant, key), self.tenant, place, bytes(sealed))

    def open_json(self, table: str, row: UUID | str, field: str, sealed: bytes | None) -> Any:
        text = self.open(table, row, field, sealed)
        return json.loads(text) if text else None

    def sealing(self, table: str, field: str) -> Callable[[UUID | str, str], bytes]:
        """What seals this field of row after row: key and place are looked up once, for a batch."""
        key = self._vault.active(self.tenant, "data")
        header = HEADER.pack(FORMAT, AES_256_GCM, key.id)
        before, after = _around(self.tenant, table, field, header)

        def seal(row: UUID | str, plain: str) -> bytes:
            nonce = os.urandom(NONCE_BYTES)
            about = before + _measured(str(row).encode()) + after
            return header + nonce + key.cipher.encrypt(nonce, plain.encode(), about)

        return seal

    def opening(self, table: str, field: str) -> Callable[[UUID | str, bytes | None], str]:
        """What opens this field of row after row; an empty cell opens as an empty text."""
        keys: dict[bytes, tuple[Key, bytes, bytes]] = {}

        def open(row: UUID | str, sealed: bytes | None) -> str:
            if sealed is None:
                return ""
            header = sealed[: HEADER.size]
            if header not in keys:
                key = self._vault.by_id(self.tenant, _key_named(sealed))
                keys[header] = key, *_around(self.tenant, table, field, header)
            key, before, after = keys[header]
            return _opened(key, sealed, before + _measured(str(row).encode()) + after).decode()

        return open

    def fingerprint(self, kind: str, value: str) -> bytes:
        """A keyed fingerprint of `value`: equal for equal values, telling nothing without the tenant's key."""
        return self._vault.active(self.tenant, "index").fingerprint(kind, value)

    def fingerprints(self, told: Iterable[tuple[str, str]]) -> list[bytes]:
        """The fingerprints of many (kind, value), in their order."""
        return self._vault.fingerprints(self._vault.active(self.tenant, "index"), told)

    def fingerprinting(self, kind: str) -> Callable[[str], bytes]:
        """What fingerprints long values of a kind, one by one; none of them is remembered."""
        return partial(self._vault.active(self.tenant, "index").fingerprint, kind)


class Vault:
    """Every tenant's keys, behind the key ring."""

    def __init__(self, db: Database, ring: KeyRing, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self.ring = ring
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[TenantId, str | int], tuple[float, Key]] = {}
        self._lately: dict[tuple[int, str, str], bytes] = {}  # fingerprints, of whoever was busy
        self._own: Key | None = None

    def of(self, tenant: TenantId) -> TenantVault:
        return TenantVault(self, tenant)

    def fingerprints(self, key: Key, told: Iterable[tuple[str, str]]) -> list[bytes]:
        """The fingerprints of many (kind, value), in their order; what is told again before long is reckoned once.

        A number is looked for before it is written down, and people share the beginnings of their names.
        """
        if len(self._lately) > REMEMBERED:
            self._lately.clear()
        lately, found = self._lately, []
        for kind, value in told:
            known = lately.get((key.id, kind, value))
            if known is None:
                known = lately[key.id, kind, value] = key.fingerprint(kind, value)
            found.append(known)
        return found

    # -- what belongs to no tenant

    def _deployment_key(self) -> Key:
        if self._own is None:
            with self._db.anyone() as connection:
                row = connection.execute(select(deployment)).one_or_none()
                if row is None:
                    wrapped = self.ring.wrap(os.urandom(32), b"deployment")
                    connection.execute(
                        upsert(deployment).values(id=1, kid=self.ring.first, wrapped=wrapped).on_conflict_do_nothing()
                    )
                    row = connection.execute(select(deployment)).one()
            self._own = Key(0, self.ring.unwrap(bytes(row.wrapped), row.kid, b"deployment"))
        return self._own

    def seal_own(self, place: Place, plain: str) -> bytes:
        """Seal what belongs to no tenant yet (a consent in progress)."""
        return seal_with(self._deployment_key(), NO_TENANT, place, plain.encode())

    def open_own(self, place: Place, sealed: bytes) -> str:
        return open_with(lambda _: self._deployment_key(), NO_TENANT, place, bytes(sealed)).decode()

    def own_fingerprint(self, kind: str, value: str) -> bytes:
        """A fingerprint for the directory: read before the tenant is known."""
        return self._deployment_key().fingerprint(kind, value)

    def derive(self, use: str) -> bytes:
        """A secret of ours for one use (signing cookies, certificates), the same in every process."""
        return hmac.digest(self._deployment_key().secret, b"derive\0" + use.encode(), hashlib.sha256)

    # -- a tenant's keys

    def create(self, connection: Connection, tenant: TenantId) -> None:
        """Give a new tenant its keys, in the transaction that creates the tenant."""
        self._add(connection, tenant, *PURPOSES)

    def _add(self, connection: Connection, tenant: TenantId, *purposes: str) -> None:
        rows = [
            {
                "tenant_id": tenant,
                "purpose": purpose,
                "kid": self.ring.first,
                "wrapped": self.ring.wrap(os.urandom(32), self._key_about(tenant, purpose)),
            }
            for purpose in purposes
        ]
        connection.execute(insert(tenant_keys).values(rows))

    def active(self, tenant: TenantId, purpose: str) -> Key:
        """The key that seals now. A mail key is read afresh each time: destroying it works at once, everywhere."""
        return self._find(tenant, purpose)

    def at_hand(self, tenant: TenantId, purpose: str) -> bool:
        """Is the key that seals now remembered, so that using it makes no journey?"""
        known = self._known.get((tenant, purpose))
        return known is not None and known[0] > self._clock()

    def by_id(self, tenant: TenantId, key_id: int) -> Key:
        """The key an envelope names; KeyGone when it was destroyed."""
        if key_id > LARGEST_KEY_ID:
            raise Tampered
        return self._find(tenant, key_id)

    def _find(self, tenant: TenantId, which: str | int) -> Key:
        now = self._clock()
        known = self._known.get((tenant, which))
        if known is not None and known[0] > now:
            return known[1]
        condition = (
            (tenant_keys.c.id == which)
            if isinstance(which, int)
            else (tenant_keys.c.purpose == which) & (tenant_keys.c.state == "active")
        )
        with self._db.tenant(tenant) as connection:
            row = connection.execute(
                select(tenant_keys).where(tenant_keys.c.tenant_id == tenant, condition)
            ).one_or_none()
        if row is None and isinstance(which, int):
            raise Tampered  # an envelope names a key that never was: like every other fault of an envelope
        if row is None:
            raise Tampered("This tenant has no such key.", code="vault.no_such_key")
        if row.wrapped is None:
            raise KeyGone
        key = Key(row.id, self.ring.unwrap(bytes(row.wrapped), row.kid, self._key_about(tenant, row.purpose)))
        if not row.purpose.startswith("mail"):
            with self._lock:
                if len(self._known) > 10_000:
                    self._known.clear()
                self._known[tenant, which] = self._known[tenant, row.id] = (now + REMEMBER_SECONDS, key)
        return key

    @staticmethod
    def _key_about(tenant: TenantId, purpose: str) -> bytes:
        return b"tenant key\0" + tenant.bytes + purpose.encode()

    def forget(self, tenant: TenantId) -> None:
        """Drop what this process remembers of a tenant's keys."""
        with self._lock:
            for known in [known for known in self._known if known[0] == tenant]:
                del self._known[known]

    def destroy(self, connection: Connection, tenant: TenantId, purposes: Sequence[str] = PURPOSES) -> int:
        """Destroy a tenant's keys for good; what they sealed is unreadable from the commit on.

        "mail" is the tenant's and every mailbox's; `of_mailbox` names one.
        """
        meant: ColumnElement[bool] = tenant_keys.c.purpose.in_(purposes)
        if "mail" in purposes:
            meant |= tenant_keys.c.purpose.startswith(BOX, autoescape=True)
        gone = connection.execute(
            update(tenant_keys)
            .where(
                tenant_keys.c.tenant_id == tenant,
                meant,
                tenant_keys.c.wrapped.is_not(None),
            )
            .values(wrapped=None, state="destroyed")
        ).rowcount
        self.forget(tenant)
        return gone

    def renew(self, connection: Connection, tenant: TenantId, purpose: str) -> None:
        """Retire the active key and make a new one; what the old one sealed still opens until it is destroyed."""
        connection.execute(
            update(tenant_keys)
            .where(tenant_keys.c.tenant_id == tenant, tenant_keys.c.purpose == purpose, tenant_keys.c.state == "active")
            .values(state="retired")
        )
        self._add(connection, tenant, purpose)
        self.forget(tenant)

    def rewrap(self) -> int:
        """Wrap every key that an older ring key wrapped with the first one; return how many were."""
        count = 0
        with self._db.anyone() as connection:
            row = connection.execute(select(deployment).where(deployment.c.kid != self.ring.first)).one_or_none()
            if row is not None:
                key = self.ring.unwrap(bytes(row.wrapped), row.kid, b"deployment")
                values = {"kid": self.ring.first, "wrapped": self.ring.wrap(key, b"deployment")}
                count += connection.execute(update(deployment).values(values)).rowcount
        for tenant in self._db.tenants():
            with self._db.tenant(tenant) as connection:
                stale = connection.execute(
                    select(tenant_keys)
                    .where(tenant_keys.c.kid != self.ring.first, tenant_keys.c.wrapped.is_not(None))
                    .with_for_update()
                ).all()
                for row in stale:
                    about = self._key_about(tenant, row.purpose)
                    wrapped = self.ring.wrap(self.ring.unwrap(bytes(row.wrapped), row.kid, about), about)
                    values = {"kid": self.ring.first, "wrapped": wrapped}
                    count += connection.execute(
                        update(tenant_keys).where(tenant_keys.c.id == row.id).values(values)
                    ).rowcount
        return count
