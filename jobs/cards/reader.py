"""Whose card it is: the user and their tenant, their language and clock, and the keys their buttons get."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.contact import fold_email
from domain.errors import Missing
from integrations.google.cards.answers import Envelope
from integrations.google.cards.event import Event
from integrations.google.cards.words import Words
from integrations.google.lent import Lent
from jobs.services import Services
from store.tenants import Tenant, User

BUDGET_SECONDS = 0.7  # a card is made by then, or its bones are: 800 milliseconds with the way there and back
PATIENCE_SECONDS = 6.0  # for who asked again, knowing that it takes long


def fresh() -> str:
    """A key for one button on one card."""
    return secrets.token_urlsafe(9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One user in front of one card."""

    services: Services
    tenant: Tenant
    user: User
    event: Event
    envelope: Envelope
    words: Words
    mine: frozenset[str] = frozenset()  # the user's own addresses, folded
    key: Callable[[], str] = field(default=fresh)

    @property
    def actor(self) -> str:
        return f"user:{self.user.id}"

    @property
    def patience(self) -> float:
        """How long they wait, in seconds."""
        return PATIENCE_SECONDS if self.event.told.get("again") else BUDGET_SECONDS

    @property
    def lent(self) -> Lent:
        """Google, with the token this event brought."""
        return self.services.lent(self.event.token, self.patience)

    @property
    def again(self) -> dict[str, str]:
        """What a button says that asks for the same card once more."""
        asked = self.event.again if self.event.told.get("do") else {"do": "open", "what": self.event.kind}
        return {**asked, "again": "1"}


def reading(services: Services, tenant: Tenant, user: User, event: Event, door: str, email: str = "") -> Reader:
    """Put a user in front of a card; `email`: what Google calls them, which may be another address than ours."""
    chat = event.chat
    pressed = event.kind == "press"
    viewer = f"users/{chat.user}" if chat is not None and not chat.alone else ""
    return Reader(
        services=services,
        tenant=tenant,
        user=user,
        event=event,
        envelope=Envelope(
            door=door, pressed=pressed, chat=chat is not None, again=bool(event.told.get("again")), viewer=viewer
        ),
        words=Words.of(event.locale, zone(event.zone, tenant.time_zone), services.now()),
        mine=frozenset({fold_email(user.email), fold_email(email)}),
    )


def id_of(text: str) -> UUID:
    """An id of ours that came back with a button. Raises Missing."""
    try:
        return UUID(text)
    except ValueError:
        raise Missing from None


def zone(*names: str) -> tzinfo:
    """The first of these that is a zone; UTC where none is."""
    for name in names:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")
