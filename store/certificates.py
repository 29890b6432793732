"""Certificates of forgetting: what was purged, erased or disconnected, how much, when and under which policy, signed.

A certificate is issued in the transaction that forgets, beside its row in the ledger, and cannot be changed afterwards.
It holds counts and ids, nothing of what is gone. Anybody with the public key in it can check the signature; `verify`
also insists that the key is this deployment's.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, func, insert, select

from store.database import Database, TenantId
from store.ledger import Ledger
from store.tables import certificates
from store.vault import Vault

Kind = Literal["purge", "erase", "disconnect"]
FORMAT = "linekeeper certificate 1"
BESIDE = frozenset({"public_key", "signature", "at_provider"})  # what a document says beside what is signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate as it was issued."""

    id: UUID
    tenant: TenantId
    kind: str
    profile: str
    counts: Mapping[str, int]
    at: datetime
    signature: bytes

    def statement(self) -> dict[str, Any]:
        """What is signed."""
        return {
            "format": FORMAT,
            "id": str(self.id),
            "tenant": str(self.tenant),
            "kind": self.kind,
            "profile": self.profile,
            "counts": dict(self.counts),
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
        }


def _canonical(statement: Mapping[str, Any]) -> bytes:
    """One spelling for one statement: sorted, without spaces, in ASCII."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


class Certificates:
    """Issue them, list them, check them."""

    def __init__(self, db: Database, vault: Vault, ledger: Ledger) -> None:
        self._db = db
        self._vault = vault
        self._ledger = ledger

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._vault.derive("certificates"))

    @property
    def public_key(self) -> str:
        """What a certificate is checked with, in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def issue(
        self,
        connection: Connection,
        tenant: TenantId,
        kind: Kind,
        *,
        profile: str,
        counts: Mapping[str, int],
        actor: str = "system",
    ) -> Certificate:
        """Issue one in the caller's transaction, with its row in the ledger. Issue late: the ledger is a queue."""
        at = connection.execute(select(func.clock_timestamp())).scalar_one()
        blank = Certificate(
            id=uuid.uuid4(), tenant=tenant, kind=kind, profile=profile, counts=dict(counts), at=at, signature=b""
        )
        signature = self._key.sign(_canonical(blank.statement()))
        connection.execute(
            insert(certificates).values(
                id=blank.id,
                tenant_id=tenant,
                kind=kind,
                profile=profile,
                counts=dict(counts),
                at=at,
                signature=signature,
            )
        )
        self._ledger.write(
            connection,
            tenant,
            f"certificate.{kind}",
            actor=actor,
            subject=f"certificates:{blank.id}",
            counts=dict(counts),
        )
        return Certificate(
            id=blank.id, tenant=tenant, kind=kind, profile=profile, counts=blank.counts, at=at, signature=signature
        )

    def get(self, tenant: TenantId, certificate: UUID) -> Certificate | None:
        with self._db.tenant(tenant) as connection:
            row = connection.execute(
                select(certificates).where(certificates.c.tenant_id == tenant, certificates.c.id == certificate)
            ).one_or_none()
        return None if row is None else _certificate(row)

    def all(self, tenant: TenantId, limit: int = 50) -> list[Certificate]:
        """The latest, newest first."""
        statement = (
            select(certificates)
            .where(certificates.c.tenant_id == tenant)
            .order_by(certificates.c.at.desc())
            .limit(limit)
        )
        with self._db.tenant(tenant) as connection:
            return [_certificate(row) for row in connection.execute(statement)]

    def document(self, certificate: Certificate) -> dict[str, Any]:
        """The certificate as JSON, to be handed over and checked anywhere."""
        return {
            **certificate.statement(),
            "public_key": self.public_key,
            "signature": base64.b64encode(certificate.signature).decode(),
        }

    def verify(self, document: Mapping[str, Any]) -> bool:
        """Was this document issued by this deployment, and is it unchanged?"""
        return document.get("public_key") == self.public_key and signed(document)


def signed(document: Mapping[str, Any]) -> bool:
    """Does the signature in a document fit its content and the public key in it? Needs no database and no secret."""
    statement = {name: value for name, value in document.items() if name not in BESIDE}
    if statement.get("format") != FORMAT:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(document["public_key"], validate=True))
        key.verify(base64.b64decode(document["signature"], validate=True), _canonical(statement))
    except (InvalidSignature, KeyError, TypeError, ValueError, binascii.Error):
        return False
    return True


def _certificate(row: Any) -> Certificate:
    return Certificate(
        id=row.id,
        tenant=row.tenant_id,
        kind=row.kind,
        profile=row.profile,
        counts=row.counts,
        at=row.at,
        signature=bytes(row.signature),
    )
