"""What dies silently is announced before: a watch that runs out, a consent that ends, a phone system nobody hears of.

Each goes wrong without an error anywhere, so what is looked at is how much time is left, or has passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

What = Literal["watch", "consent", "silence"]
KINDS: tuple[What, ...] = get_args(What)
WATCH_LEFT = timedelta(hours=48)  # of seven days; it is renewed when half of them are over
CONSENT_LEFT = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What a connection shows: until when it is told of changes and consented to, and when it last said anything."""

    watched_until: datetime | None = None
    consented_until: datetime | None = None
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that ends at a moment, or has not been heard of since."""

    what: What
    at: datetime


def alarms(signs: Signs, now: datetime, silence: timedelta) -> list[Alarm]:
    """What has to be announced; `silence`: how long nothing may be heard."""
    found: list[Alarm] = []
    if signs.consented_until is not None and signs.consented_until - now <= CONSENT_LEFT:
        found.append(Alarm("consent", signs.consented_until))
    if signs.watched_until is not None and signs.watched_until - now <= WATCH_LEFT:
        found.append(Alarm("watch", signs.watched_until))
    if signs.heard_at is not None and now - signs.heard_at >= silence:
        found.append(Alarm("silence", signs.heard_at))
    return found
