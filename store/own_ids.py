"""Ids of contacts, which whoever holds the tenant's key knows for its own.

A phone system shows us its phonebook, and what we once put there stands in it under our contacts' ids, also when the
contact, its link or the whole connection has gone since. That must not come back as somebody else's word, so an id says
by itself that it is ours: its last four bytes are a keyed fingerprint of the others. To everybody else it is drawn.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from uuid import UUID

from store.vault import TenantVault

KIND = "contact id"
DRAWN = 12  # bytes, of sixteen


def drawing(vault: TenantVault) -> Callable[[], UUID]:
    """What draws ids for a tenant's new contacts."""
    fingerprint = vault.fingerprinting(KIND)

    def draw() -> UUID:
        drawn = UUID(bytes=secrets.token_bytes(16), version=4).bytes[:DRAWN]
        return UUID(bytes=drawn + fingerprint(drawn.hex())[: 16 - DRAWN])

    return draw


def read(id: str) -> UUID | None:
    """The contact's id that this is spelt as, if it is one at all."""
    try:
        found = UUID(id)
    except ValueError:
        return None
    return found if found.variant == uuid.RFC_4122 and found.version == 4 else None


def is_drawn(vault: TenantVault, id: UUID) -> bool:
    """Say whether this id was drawn for a contact of this tenant, whatever has become of them."""
    drawn = id.bytes[:DRAWN]
    return id.bytes[DRAWN:] == vault.fingerprint(KIND, drawn.hex())[: 16 - DRAWN]
