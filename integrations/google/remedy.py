"""What to do about Google's refusals: status and reason in, one of `domain.errors` out.

The table is Gmail's and People's error pages (https://developers.google.com/workspace/gmail/api/guides/handle-errors);
a reason is looked for in every place the two put it. Of Google's text only the reason's name reaches the message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from domain.errors import NotAllowed, Refused, TryLater, Unanswered
from domain.ports import CursorLost

BUSY = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "quotaExceeded"})
PRECONDITION = frozenset({"failedPrecondition", "FAILED_PRECONDITION"})
# What a 403 says of our project or our consent, and not of the one thing that was asked for.
OURS = ("accessNotConfigured", "SERVICE_DISABLED", "insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
DAILY = "dailyLimitExceeded"
DAILY_WAIT_SECONDS = 3600.0  # it ends at midnight in California; asking once an hour is polite
MOST_WAIT_SECONDS = 86_400.0
NAME = re.compile(r"[A-Za-z_]{1,64}")
RETRY_AFTER = re.compile(r"Retry after (\d{4}-\d\d-\d\dT[\d:.]+Z)", re.IGNORECASE)


class NotThere(Refused):
    """What the call named is not there, or not any more."""


class Taken(Refused):
    """There is something of that name, or somebody else is writing at the same moment."""


class Stale(Refused):
    """The call was made on a state that is not the present one: read again before asking again."""


def is_ours(error: NotAllowed) -> bool:
    """Say whether it is all of our project or consent that was not allowed, by the reasons Google gave."""
    return any(reason in str(error) for reason in OURS)


def remedy(status: int, content: bytes, headers: Mapping[str, str], now: float, repeatable: bool) -> Exception:
    """Name the remedy for an answer that is not a success (401 is the transport's own business)."""
    reasons = frozenset(_reasons(content))
    what = f"Google answered {status}" + "".join(f", {reason}" for reason in sorted(reasons)) + "."
    if "EXPIRED_SYNC_TOKEN" in reasons or status == 410:  # 400 in live traffic, 410 in Google's samples
        return CursorLost(what)
    if status in (408, 429) or (status == 403 and reasons & BUSY):
        return TryLater(what, wait=_wait(content, headers, now))
    if status == 403 and DAILY in reasons:
        return TryLater(what, wait=DAILY_WAIT_SECONDS)
    if status == 403:  # insufficientPermissions, domainPolicy, accessNotConfigured, ...
        return NotAllowed(what)
    if status == 404:
        return NotThere(what)
    if status == 409:
        return Taken(what)
    if status in (500, 502, 504) and not repeatable:  # it may have been done before the answer was lost
        return Unanswered(what)
    if status >= 500:
        return TryLater(what, wait=_wait(content, headers, now))
    return Stale(what) if status == 400 and reasons & PRECONDITION else Refused(what)


def _reasons(content: bytes) -> Iterator[str]:
    """Yield every reason in Google's envelope: `errors[].reason` (Gmail), `details[].reason` (ErrorInfo), `status`."""
    try:
        error = json.loads(content)["error"]
        entries = [*error.get("errors", ()), *error.get("details", ())]
        if error.get("status") == "FAILED_PRECONDITION":  # all that newer answers say of a stale etag
            entries.append({"reason": "FAILED_PRECONDITION"})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return
    for entry in entries:
        reason: Any = entry.get("reason") if isinstance(entry, dict) else None
        if isinstance(reason, str) and NAME.fullmatch(reason):
            yield reason


def _wait(content: bytes, headers: Mapping[str, str], now: float) -> float:
    """How many seconds Google asked us to wait, by header or, in Gmail's case, in the text; 0 if it did not say."""
    asked = next((value for key, value in headers.items() if key.lower() == "retry-after"), "")
    until: float | None = None
    try:
        if asked.strip().isdigit():
            until = now + int(asked)
        elif asked:
            until = parsedate_to_datetime(asked).timestamp()
        elif said := RETRY_AFTER.search(content[:4096].decode(errors="replace")):
            until = datetime.fromisoformat(said[1].removesuffix("Z")).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(until - now, 0.0), MOST_WAIT_SECONDS) if until is not None else 0.0
