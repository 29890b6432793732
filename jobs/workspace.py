"""Which Google account is which of our users: said by the user, in a browser signed in at both, and taken back there.

An address would not do: whoever runs a CRM may write anybody's into it. Google's own name of the account, proved by
its consent page, belongs to the user who came back from there; the first tenant to name it keeps it.
"""

from __future__ import annotations

from typing import Literal

import structlog

from domain.errors import Forbidden
from jobs import chat_spaces
from jobs.services import Services
from store.directory import Entry
from store.tenants import Tenant, User

log = structlog.get_logger()

KIND: Literal["workspace"] = "workspace"  # what the directory calls such an account


def link(services: Services, user: User, subject: str) -> None:
    """This Google account is this user's. Raises Forbidden for one that is somebody's in another organisation."""
    entry = services.directory.find(KIND, _named(subject))
    if entry is not None and entry.tenant != user.tenant:
        raise Forbidden("This Google account works in another organisation here.", code="workspace.taken")
    services.directory.put(KIND, _named(subject), user.tenant, user=user.id)
    services.ledger.note(user.tenant, "workspace.linked", actor=f"user:{user.id}", subject=f"users:{user.id}")


def learn(services: Services, user: User, subject: str) -> None:
    """The same where a user connected their Google account for something else; nothing where it is somebody's."""
    if services.directory.find(KIND, _named(subject)) is None:
        link(services, user, subject)


def unlink(services: Services, user: User) -> int:
    """None of the user's Google accounts is known any more; return how many there were."""
    count = services.directory.strike_user(KIND, user.tenant, user.id)
    chat_spaces.spaces(services).forget(user.tenant, user.id)
    if count:
        services.ledger.note(user.tenant, "workspace.unlinked", actor=f"user:{user.id}", subject=f"users:{user.id}")
    return count


def linked(services: Services, user: User) -> int:
    """How many Google accounts are this user's."""
    return services.directory.users(KIND, user.tenant, user.id)


def whose(services: Services, subject: str) -> tuple[Tenant, User] | None:
    """Which of our users a Google account is, if they still work here."""
    entry: Entry | None = services.directory.find(KIND, _named(subject))
    if entry is None or entry.user is None:
        return None
    user = services.tenants.user(entry.tenant, entry.user)
    if user is None or not user.active:
        return None
    tenant = services.tenants.get(entry.tenant)
    return (tenant, user) if tenant.state == "active" else None


def _named(subject: str) -> str:
    return f"google:{subject}"
