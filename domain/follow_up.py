"""Following up a call nobody took: what the tenant decided, and what the task for it says. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MOST_HOURS = 168
MOST_MINUTES = 720


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUps:
    """What a tenant decided about calls nobody took.

    `hours`: for so long one caller makes one task, which is due then; 0: no tasks. `minutes`: so long people have to
    call back by themselves before it is written. `fallback`: one of our users, whose it is when it is nobody's.
    """

    hours: int = 24
    minutes: int = 5
    fallback: str = ""

    @property
    def on(self) -> bool:
        return self.hours > 0

    @property
    def window(self) -> timedelta:
        return timedelta(hours=self.hours)

    @property
    def wait(self) -> timedelta:
        return timedelta(minutes=self.minutes)

    def as_data(self) -> dict[str, Any]:
        return {"hours": self.hours, "minutes": self.minutes, "fallback": self.fallback}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> FollowUps:
        """Undo `as_data`; what is missing or out of bounds is as it is by default."""
        hours, minutes, fallback = data.get("hours"), data.get("minutes"), data.get("fallback")
        return cls(
            hours=hours if isinstance(hours, int) and 0 <= hours <= MOST_HOURS else 24,
            minutes=minutes if isinstance(minutes, int) and 0 <= minutes <= MOST_MINUTES else 5,
            fallback=fallback if isinstance(fallback, str) else "",
        )


def due_on(called_at: datetime, rules: FollowUps, time_zone: str) -> date:
    """The day the task is due, where the tenant is."""
    return (called_at + rules.window).astimezone(zone(time_zone)).date()


def told_at(called_at: datetime, time_zone: str) -> str:
    """When somebody called, as the task says it: `2026-03-29 11:15 (Europe/Madrid)`."""
    there = zone(time_zone)
    return f"{called_at.astimezone(there):%Y-%m-%d %H:%M} ({there.key})"


def zone(name: str) -> ZoneInfo:
    """The time zone of that name; UTC where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
