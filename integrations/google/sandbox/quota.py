"""What a call costs and when there were too many: leaky buckets that refill evenly over a minute of the stage's clock.

Numbers from https://developers.google.com/workspace/gmail/api/reference/quota (before and after 2026-05-01); the People
limits are not published and are knobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from .errors import GoogleError, error_info
from .knobs import Knobs

PROJECT_UNITS_PER_MINUTE = 1_200_000
USER_UNITS_PER_MINUTE = {"old": 15_000, "new": 6_000}
MINUTE = 60.0


@dataclass(slots=True)
class Bucket:
    """How much is left of a limit per minute."""

    left: float
    at: float

    def take(self, units: float, limit: float, now: float) -> float:
        """Take units and return 0, or take nothing and return the seconds until there would be enough."""
        self.left = min(limit, self.left + max(0.0, now - self.at) * limit / MINUTE)
        self.at = now
        if self.left >= units:
            self.left -= units
            return 0.0
        return (units - self.left) * MINUTE / limit


@dataclass(frozen=True, slots=True)
class Cost:
    """The Gmail units of a method, under the older and the newer table."""

    old: int
    new: int


class Quotas:
    """Every bucket of every project and user."""

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._buckets: dict[tuple[str, ...], tuple[float, Bucket]] = {}

    def reset(self) -> None:
        """Fill every bucket."""
        self._buckets.clear()

    def charge_gmail(self, project: str, user: str, cost: Cost, now: float) -> None:
        """Charge a Gmail call, or refuse it the way the knob says."""
        table: Literal["new", "old", "off"] = self._knobs.gmail_quota
        if table == "off":
            return
        units = cost.new if table == "new" else cost.old
        wait = self._take(("gmail", table, project, user), units, USER_UNITS_PER_MINUTE[table], now)
        if wait:
            raise self._too_fast(now + wait)
        if self._take(("gmail", project), units, PROJECT_UNITS_PER_MINUTE, now):
            raise GoogleError(403, "Rate Limit Exceeded", "rateLimitExceeded", domain="usageLimits")

    def charge_critical_read(self, project: str, user: str, now: float) -> None:
        """Charge a People read or update against the user's critical reads."""
        limit = self._knobs.critical_reads_per_minute
        if limit and self._take(("critical", project, user), 1, limit, now):
            raise people_exhausted("critical_read_requests", "CriticalReadsPerMinutePerProjectPerUser", limit)

    def charge_full_sync(self, project: str, user: str, now: float) -> None:
        """Charge the first page of a full sync, which has a fixed quota of its own."""
        limit = self._knobs.full_syncs_per_minute
        if limit and self._take(("full", project, user), 1, limit, now):
            raise people_exhausted("full_sync_requests", "FullSyncsPerMinutePerProjectPerUser", limit)

    def _take(self, key: tuple[str, ...], units: float, limit: float, now: float) -> float:
        known = self._buckets.get(key)
        if known is None or known[0] != limit:  # a turned knob starts a full bucket of the new size
            known = self._buckets[key] = (limit, Bucket(limit, now))
        return known[1].take(units, limit, now)

    def _too_fast(self, until: float) -> GoogleError:
        if self._knobs.gmail_quota_answer == "403":
            return GoogleError(403, "User Rate Limit Exceeded", "userRateLimitExceeded", domain="usageLimits")
        moment = datetime.fromtimestamp(until, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return GoogleError(
            429, f"User-rate limit exceeded.  Retry after {moment}", "rateLimitExceeded", domain="usageLimits"
        )


def people_exhausted(metric: str, limit_name: str, limit: int) -> GoogleError:
    """Say which People quota ran out, with the detail clients are meant to match on."""
    service = "people.googleapis.com"
    info = error_info(
        "RATE_LIMIT_EXCEEDED",
        service,
        quota_metric=f"{service}/{metric}",
        quota_limit=limit_name,
        quota_limit_value=str(limit),
    )
    info["domain"] = "googleapis.com"
    message = f"Quota exceeded for quota metric '{service}/{metric}' and limit '{limit_name}' of service '{service}'."
    return GoogleError(429, message, "rateLimitExceeded", details=[info])
