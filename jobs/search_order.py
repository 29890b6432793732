"""In which order modules of the CRM are searched for a caller, and which modules are searched at all.

People and companies always are; deals and the modules an organisation made are added by an administrator. What was
added is read from the beginning, once; what was taken out is forgotten. Each change holds for calls of which we hear
from then on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from domain.deal import DEALS
from domain.errors import ConsentLost, Malformed, NotAllowed, Upstream
from domain.matching import MODULES, MOST_BESIDES, OfSeveral, Rules
from domain.ports import CrmModule
from jobs.crm_pages import FURTHER, further
from jobs.services import Services
from store.connections import Tie
from store.tenants import Tenant, User

OF_DEALS, OF_OWN = "deals", "own-modules"  # the features a consent needs for them
READS = ("read.crm", "watch.crm")  # the chores that go by what is searched
THE_DEALS = CrmModule(name=DEALS, label=DEALS, tab="Potentials")  # as an organisation has them that changed nothing
Step = Literal["up", "down", "add", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """The modules an organisation has beside people and companies, as far as its consent lets us see.

    `trouble`: the code of why they cannot be seen now.
    """

    modules: Sequence[CrmModule] = ()
    trouble: str = ""

    def get(self, name: str) -> CrmModule | None:
        return next((module for module in self.modules if module.name == name), None)


def feature_of(module: str) -> str:
    """Which permission a module needs beyond what everybody gives; "" for none."""
    return "" if module in MODULES else OF_DEALS if module == DEALS else OF_OWN


def needed(tenant: Tenant) -> set[str]:
    """The features a tenant's order needs."""
    return {feature_of(module) for module in tenant.matching.besides}


def there(services: Services, tie: Tie, on: Collection[str]) -> There:
    """Ask the CRM which modules could be searched. `on`: the features its consent carries."""
    found: list[CrmModule] = []
    trouble = ""
    if OF_OWN in on:
        try:
            found = services.crm(tie).further_modules()
        except (ConsentLost, NotAllowed, Upstream) as error:
            trouble = error.code
    own = [module for module in found if module.name != DEALS]
    deals = next((module for module in found if module.name == DEALS), None)
    if OF_DEALS in on:
        own.insert(0, deals or THE_DEALS)
    return There(modules=own, trouble=trouble)


def change(services: Services, tie: Tie, user: User, do: Step, module: str, found: There) -> None:
    """Move a module one place, add one that was found, or take one out. Raises Malformed for what cannot be."""
    before = services.tenants.get(user.tenant).matching
    rules = replace(before, order=_changed(before, do, module, found))
    services.tenants.set(user.tenant, matching=rules.as_data())
    services.ledger.note(user.tenant, "matching.rules", actor=f"user:{user.id}", **rules.as_data())
    if do == "add" and (new := found.get(module)) is not None:
        known: Mapping[str, Mapping[str, str]] = further(tie.facts)
        told = {**known, module: {"label": new.label, "tab": new.tab}}
        services.connections.set_facts(user.tenant, tie.id, **{FURTHER: told})
    if rules.besides != before.besides:
        for chore in READS:
            services.chores.hurry(user.tenant, chore, tie.id)
        services.ring(user.tenant, "contacts")


def decide_of_several(services: Services, user: User, chosen: OfSeveral) -> None:
    """Say which deal a call belongs to where a customer has several open ones."""
    rules = replace(services.tenants.get(user.tenant).matching, of_several=chosen)
    services.tenants.set(user.tenant, matching=rules.as_data())
    services.ledger.note(user.tenant, "matching.rules", actor=f"user:{user.id}", **rules.as_data())


def _changed(rules: Rules, do: Step, module: str, found: There) -> tuple[str, ...]:
    order = list(rules.order)
    if do == "add":
        known = found.get(module)
        if known is None or module in order or (module != DEALS and not known.phones):
            raise Malformed("There is no such module to add.", code="order.unknown_module")
        if len(rules.besides) >= MOST_BESIDES:
            raise Malformed(f"At most {MOST_BESIDES} modules can be added.", code="order.too_many")
        return (*order, module)
    if module not in order or (do == "drop" and module in MODULES):
        raise Malformed("This module is not in the order, or always stays in it.", code="order.unknown_module")
    place = order.index(module)
    order.remove(module)
    if do != "drop":
        order.insert(max(0, place - 1) if do == "up" else place + 1, module)
    return tuple(order)
