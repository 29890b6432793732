"""Accounts that users connect for themselves: what their administrator lets them allow, and whose such an account is.

Its mail is shown to its user alone until they say otherwise. Other connections are the whole organisation's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.consent import Feature

FACT = "own"  # where a connection's facts keep the id of its user
MAIL = ("mailbox", "send-mail", "label-mail")
BUSY = "busy"
CONTACTS = "contacts"
SEEN_BY = "mail_seen_by"  # the fact of a connection: everybody (or nothing), owner
OWNER = "owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAccounts:
    """What an administrator decided. `contacts`: what users' own address books say names callers for everybody."""

    connect: bool = True
    contacts: bool = False

    def as_data(self) -> dict[str, Any]:
        return {"connect": self.connect, "contacts": self.contacts}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> OwnAccounts:
        """Undo `as_data`; what is missing is as it is by default."""
        return cls(connect=data.get("connect") is not False, contacts=data.get("contacts") is True)

    def offered(self, features: Iterable[Feature]) -> list[Feature]:
        """What a user may allow with an account of their own; nothing where they may connect none."""
        slugs = (*MAIL, BUSY, *((CONTACTS,) if self.contacts else ())) if self.connect else ()
        return [feature for feature in features if feature.slug in slugs]


def holder(facts: Mapping[str, Any]) -> UUID | None:
    """Whose own account a connection is; None: it is the organisation's."""
    told = facts.get(FACT)
    return UUID(told) if told else None
