"""What a request costs of the units Google gives a mailbox for a minute, and waiting for new ones instead of a refusal.

The costs are those of projects made since May 2026 (https://developers.google.com/workspace/gmail/api/reference/quota);
older ones pay less. A batch costs what its parts cost. Whoever is waited for may use the last units, others may not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from domain.errors import NotNow
from domain.ports import Http
from domain.urgency import is_urgent

DEAR = 20  # what a request costs that the table does not know
COSTS: tuple[tuple[str, str, int], ...] = (  # method, path below the user, units; the first that fits
    ("GET", r"/profile", 1),
    ("GET", r"/labels(/[^/]+)?", 1),
    ("GET", r"/history", 2),
    ("GET", r"/messages", 5),
    ("GET", r"/messages/[^/]+(/attachments/[^/]+)?", 20),
    ("POST", r"/messages/[^/]+/modify", 5),
    ("POST", r"/messages/send", 100),
    ("POST", r"/watch", 100),
    ("POST", r"/stop", 50),
)
TABLE = tuple((method, re.compile(path), units) for method, path, units in COSTS)
USER = re.compile(r"/gmail/v1/users/[^/]+(/[^?\s]*)")
PART = re.compile(rb"^(GET|POST) (\S+)", re.MULTILINE)
KEPT = 1_000  # of a minute's units, for what somebody waits for

Take = Callable[[int, int], float]  # (units, how many must be left) -> seconds to wait; 0: they are taken


def units(method: str, url: str, body: Any) -> int:
    """Count what a request costs; 0 for one that is not Gmail's."""
    if "/batch/gmail/" in url:
        raw = body.encode() if isinstance(body, str) else body or b""
        return sum(units(part[0].decode(), part[1].decode(), None) for part in PART.findall(raw))
    path = USER.search(url)
    if path is None:
        return 0
    return next((cost for verb, known, cost in TABLE if verb == method and known.fullmatch(path[1])), DEAR)


@dataclass(frozen=True, slots=True)
class Budgeted:
    """An `Http` that takes units before it sends. Raises NotNow, and what the way itself raises."""

    http: Http
    take: Take

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Send a request whose units there are."""
        cost = units(method, url, options.get("data"))
        wait = self.take(cost, 0 if is_urgent() else KEPT) if cost else 0.0
        if wait:
            raise NotNow(
                f"Google allows this mailbox no more requests for now. It goes on in {max(1, round(wait))} s.",
                code="mail.budget",
                wait=wait,
            )
        return self.http.request(method, url, **options)
