"""What of a mailbox others see: whose mail stays out of here altogether, and whether colleagues see the rest.

Both are the word of the user who connected the mailbox. What is kept out is not cached, and goes at once where it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

from domain.contact import fold_email
from domain.errors import Malformed, Missing
from domain.mail import ADDRESS, Message
from domain.own_account import OWNER, SEEN_BY, holder
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.kept_out import KeptOut, covered
from store.mailbox import box
from store.tenants import User

DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
MOST_CACHED = 100_000


def kept_out(services: Services) -> KeptOut:
    """The lists of every mailbox."""
    return KeptOut(services.db, services.vault)


def own(services: Services, user: User) -> list[Tie]:
    """The mailboxes a user connected themselves."""
    ties = services.connections.all(user.tenant, kind="workspace", connected=True)
    return [tie for tie in ties if _owner(services, tie) == user.id]


def mailboxes(services: Services, tenant: TenantId) -> list[Tie]:
    """Those of a tenant whose consent stands."""
    ties = services.connections.all(tenant, kind="workspace", connected=True)
    return [tie for tie in ties if tie.state == "active"]


def keep_out(services: Services, user: User, mailbox: UUID, whom: str) -> None:
    """Keep a person or a domain out of here. Raises Missing for another's mailbox, Malformed."""
    tie, wanted = _mine(services, user, mailbox), fold_email(whom).removeprefix("@")
    if not (ADDRESS.fullmatch(wanted) or DOMAIN.fullmatch(wanted)) or len(wanted) > 320:
        raise Malformed("Write an address, or a domain such as example.com.", code="field.invalid")
    with services.db.tenant(user.tenant) as database:
        if kept_out(services).add(database, user.tenant, tie.id, wanted):
            subject = f"connections:{tie.id}"
            services.ledger.write(database, user.tenant, "mail.kept_out", actor=f"user:{user.id}", subject=subject)
    blocks = kept_out(services).of(user.tenant, tie.id)
    cached = services.mail.of_contact(user.tenant, box(tie.id.hex), MOST_CACHED)
    gone = [message.key for message in cached if covered(blocks, message.correspondents)]
    services.mail.remove(user.tenant, gone)


def let_in(services: Services, user: User, mailbox: UUID, row: UUID) -> None:
    """Let somebody in again, from the next message on. Raises Missing."""
    tie = _mine(services, user, mailbox)
    with services.db.tenant(user.tenant) as database:
        if not kept_out(services).remove(database, user.tenant, tie.id, row):
            raise Missing("Nobody like that is kept out.")
        subject = f"connections:{tie.id}"
        services.ledger.write(database, user.tenant, "mail.let_in", actor=f"user:{user.id}", subject=subject)


def show_to(services: Services, user: User, mailbox: UUID, *, owner_only: bool) -> None:
    """Say whether colleagues see what is cached of a mailbox. Raises Missing."""
    tie, seen_by = _mine(services, user, mailbox), OWNER if owner_only else ""
    services.connections.set_facts(user.tenant, tie.id, **{SEEN_BY: seen_by})
    services.ledger.note(
        user.tenant, "mail.seen_by", actor=f"user:{user.id}", subject=f"connections:{tie.id}", owner_only=owner_only
    )


def visible(services: Services, user: User, messages: Iterable[Message]) -> list[Message]:
    """Those of these messages that a user may see: of their own mailboxes, and of those that colleagues show."""
    return shown(services, user.tenant, messages, user=user.id)


def shown(
    services: Services, tenant: TenantId, messages: Iterable[Message], *, user: UUID | None = None
) -> list[Message]:
    """The same; without a `user`: what everybody in the organisation may see."""
    found = list(messages)
    private = [
        tie
        for tie in (services.connections.all(tenant, kind="workspace") if found else ())
        if tie.facts.get(SEEN_BY) == OWNER
    ]
    hidden = {tie.id.hex for tie in private if user is None or _owner(services, tie) != user}
    return [message for message in found if message.mailbox not in hidden]


def _mine(services: Services, user: User, mailbox: UUID) -> Tie:
    tie = next((tie for tie in own(services, user) if tie.id == mailbox), None)
    if tie is None:
        raise Missing("You have no such mailbox.")
    return tie


def _owner(services: Services, tie: Tie) -> UUID | None:
    if (user := holder(tie.facts)) is not None:
        return user
    grant = services.grants.get(tie.tenant, tie.id)
    return grant.granted_by if grant is not None else None
