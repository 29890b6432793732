"""The desk every page works at: the services, the stories told elsewhere, and who is sitting at it.

A story a page starts (consent, disconnecting, opening a message) is told in `jobs`; pages know it by these shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol
from uuid import UUID

from flask import current_app, g, render_template

from console.words import Times
from domain.consent import Standing
from domain.mail import Message
from store.connections import Tie
from store.tenants import Tenant, User

if TYPE_CHECKING:
    from jobs.services import Services

EXTENSION = "linekeeper.console"


class Completed(Protocol):
    """A consent that came back."""

    @property
    def purpose(self) -> str: ...
    @property
    def user(self) -> User | None: ...
    @property
    def connection(self) -> UUID | None: ...
    @property
    def onward(self) -> str: ...


class NewDoor(Protocol):
    """A telephone system's own address at ours, and the secret it signs with; both are shown once."""

    @property
    def tie(self) -> UUID: ...
    @property
    def url(self) -> str: ...
    @property
    def secret(self) -> str: ...


class Connect(Protocol):
    """The stories of connecting and disconnecting (`jobs.connect`)."""

    def begin(
        self,
        services: Services,
        *,
        provider: str,
        purpose: Literal["install", "sign_in", "connect", "own", "link"],
        browser: str,
        features: Sequence[str] = (),
        user: User | None = None,
        connection: UUID | None = None,
    ) -> str: ...

    def complete(
        self,
        services: Services,
        *,
        provider: str,
        query: Mapping[str, Sequence[str]],
        browser: str,
        user: User | None,
    ) -> Completed: ...

    def features(self, services: Services, tenant: UUID, tie: Tie) -> list[Standing]: ...

    def add_phone_system(
        self, services: Services, *, user: User, vendor: str, account: Mapping[str, str]
    ) -> NewDoor: ...

    def rotate_secret(self, services: Services, *, user: User, tie: UUID) -> str: ...

    def disconnect(self, services: Services, *, user: User, tie: UUID) -> dict[str, Any]: ...


class OpenMessage(Protocol):
    """Read one message with its body, in the name of a user (`jobs.sync_mail.open_message`)."""

    def __call__(self, services: Services, *, user: User, message_id: str) -> Message | None: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What pages work with."""

    services: Services
    connect: Connect
    open_message: OpenMessage


@dataclass(frozen=True, slots=True)
class Here:
    """Who is at the desk, in which tenant, and what time it is there."""

    user: User
    tenant: Tenant
    times: Times

    @property
    def admin(self) -> bool:
        return self.user.role == "admin"

    @property
    def actor(self) -> str:
        return f"user:{self.user.id}"


def desk() -> Desk:
    found: Desk = current_app.extensions[EXTENSION]
    return found


def here() -> Here:
    """Who asked for this page. The gate has let nobody in without a session."""
    found: Here = g.here
    return found


def page(template: str, **content: Any) -> str:
    """Render a page with what every page shows."""
    return render_template(template, here=g.get("here"), **content)


def read(action: str, subject: str = "", **facts: Any) -> None:
    """Note in the ledger that customer data was read: ids and counts only."""
    at = here()
    desk().services.ledger.note(at.tenant.id, action, actor=at.actor, subject=subject, **facts)
