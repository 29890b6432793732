"""The Workspace Marketplace: who installed an application for whom, and the licences its server may ask about.

https://developers.google.com/workspace/marketplace/example-calls-marketplace-api. An administrator installs for the
whole domain or for some users; a user installs for themselves, and keeps that when the administrator removes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Shelf:
    """Who has one application."""

    domains: dict[str, frozenset[str]] = field(default_factory=dict)  # -> the scopes their administrator granted
    units: dict[str, frozenset[str]] = field(default_factory=dict)  # users for whom an administrator did
    individuals: set[str] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)

    def granted(self, email: str) -> frozenset[str]:
        """What an administrator granted for a user."""
        domain = email.partition("@")[2]
        return self.domains.get(domain, frozenset()) | self.units.get(email, frozenset())

    def user(self, email: str) -> tuple[bool, str]:
        """`enabled` and `state` of a user's licence."""
        domain = email.partition("@")[2]
        if email in self.expired:
            return True, "EXPIRED"
        if domain in self.domains or email in self.units or email in self.individuals:
            return True, "ACTIVE"
        if any(other.endswith(f"@{domain}") for other in self.units):
            return False, "ACTIVE"  # as the guide has it for somebody outside the unit
        return False, "UNLICENSED"

    def customer(self, domain: str) -> str:
        """`state` of a domain's licence."""
        somewhere = domain in self.domains or any(user.endswith(f"@{domain}") for user in self.units)
        return "ACTIVE" if somewhere or domain in self.individuals else "UNLICENSED"


@dataclass(slots=True)
class Marketplace:
    """Every application by its id."""

    shelves: dict[str, Shelf] = field(default_factory=dict)

    def granted(self, email: str) -> frozenset[str]:
        """What administrators granted for a user, to whatever application: the stage has one."""
        return frozenset().union(*(shelf.granted(email) for shelf in self.shelves.values()))
