"""A holding: a kind of personal data we keep, why, on which basis, where it lies, and from which moment it counts down.

The list itself is `store.holdings.HOLDINGS`; the purge, the export, the privacy page and the README read the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.profile import Profile, Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One kind of personal data. `what` names its places: "table.column", "key:<pattern>", "file:<glob>"."""

    name: str
    purpose: str
    basis: str
    what: tuple[str, ...]
    clock: str  # the column its time counts from; "" when it lasts as long as something else does
    keep: str  # the class in the profile's retention
    google: bool = False  # may hold data that came from Google, so Limited Use binds it
    dated: bool = False  # the clock column says when it ends: the period was added when it was written
    secret: tuple[str, ...] = ()  # columns that open doors: erased like the rest, never exported

    def kept(self, profile: Profile) -> Retention:
        """What the profile promises about it."""
        return profile.keeps(self.keep)

    def due_before(self, profile: Profile, now: datetime) -> datetime | None:
        """What its clock column puts at or before this moment has to go; None while there is no such moment."""
        return now if self.dated else self.kept(profile).due_before(now)

    def columns(self) -> frozenset[str]:
        """The database columns among its places."""
        return frozenset(place for place in self.what if not place.startswith(("key:", "file:")))
