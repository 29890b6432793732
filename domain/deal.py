"""A deal as far as calls go by it: whose it is, whether it is open, and when it changed last.

A deal has no telephone number as a rule. It is found through its customer: the person, or the company, it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

DEALS = "Deals"
# The module of a customer's record -> what the link from them to their deal is kept under.
KEPT_AS: Mapping[str, str] = {
    "Contacts": "open deal",
    "Accounts": "open deal of the company",
}
OPEN = frozenset(KEPT_AS.values())
NOT_THEIR_WORDS = (*sorted(OPEN), "phonebook")  # links whose marks say nothing of who somebody is


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A deal in the CRM."""

    remote_id: str
    name: str = ""
    contact: str = ""  # the other side's id of the person it is about
    account: str = ""  # and of the company
    owner: str = ""
    open: bool = True
    changed_at: datetime | None = None
