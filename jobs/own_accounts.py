"""Google accounts that users connect for themselves: what they may allow there, who may, and when that ends.

Each is a connection with a grant and a receipt of its own. Its administrator sees that it is there and how it is, and
may end it; what it brought is its user's, who may show the mail to colleagues (`jobs.privacy`).
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from domain.consent import Feature, standing
from domain.errors import Forbidden, Missing
from domain.own_account import FACT, OWNER, SEEN_BY, OwnAccounts, holder
from domain.sharing import Sharing
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.tenants import Tenant, User

GOOGLE = "google"


def offered(services: Services, tenant: Tenant) -> list[Feature]:
    """What users may allow with an account of their own."""
    return tenant.own_accounts.offered(services.providers[GOOGLE].features)


def of(services: Services, user: User) -> list[Tie]:
    """A user's own accounts."""
    return [tie for tie in of_all(services, user.tenant) if holder(tie.facts) == user.id]


def of_all(services: Services, tenant: TenantId) -> list[Tie]:
    """Everybody's own accounts."""
    ties = services.connections.all(tenant, kind="workspace", connected=True)
    return [tie for tie in ties if holder(tie.facts) is not None]


def mine(services: Services, user: User, tie: UUID) -> Tie:
    """One account of a user's own. Raises Missing for any other."""
    found = next((one for one in of(services, user) if one.id == tie), None)
    if found is None:
        raise Missing("You have connected no such account.")
    return found


def decide(services: Services, tenant: TenantId, rules: OwnAccounts, *, actor: str) -> None:
    """Follow what an administrator decided, for whoever connects an account from now on."""
    services.tenants.set(tenant, own_accounts=rules.as_data())
    services.ledger.note(tenant, "own_accounts.rules", actor=actor, **rules.as_data())


def admit(services: Services, user: User, tie: Tie | None, granted: Collection[str], *, own: bool) -> None:
    """Say whether a consent that came back may be kept. Raises Forbidden.

    The rules are asked again here: they may have changed meanwhile, and the page that asked for consent was the
    browser's. `tie`: the connection of that account, if there is one.
    """
    connected = tie is not None and tie.state != "disconnected"
    whose = holder(tie.facts) if tie is not None and connected else None
    if not own:
        if whose is not None:
            raise Forbidden("Somebody here has connected this account for themselves.", code="own_account.taken")
        return
    if connected and whose != user.id:
        raise Forbidden("This Google account is connected here already.", code="own_account.taken")
    allowed = {feature.slug for feature in offered(services, services.tenants.get(user.tenant))}
    on = {one.feature.slug for one in standing(services.providers[GOOGLE].features, granted) if one.on}
    if not on or not on <= allowed:
        raise Forbidden("Your administrator does not let you connect that.", code="own_account.not_allowed")


def claim(services: Services, user: User, tie: Tie, *, own: bool) -> None:
    """Say whose a connection is that has just been made, or made again. Nobody else sees an own one's mail."""
    whose = {FACT: str(user.id), SEEN_BY: OWNER, **Sharing().as_facts()} if own else {FACT: ""}
    services.connections.set_facts(user.tenant, tie.id, **whose)


def left_behind(services: Services, tenant: TenantId) -> list[Tie]:
    """Accounts of users who do not work here any more."""
    here = {user.id for user in services.tenants.users(tenant) if user.active}
    return [tie for tie in of_all(services, tenant) if holder(tie.facts) not in here]
