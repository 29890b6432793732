"""Leaving: whoever says that Linekeeper was removed, one teardown follows, and it follows once.

Zoho's marketplace, Google's licences and Google's word of a deleted account all lead here. What they say is about what
was consented to before they said it: a consent given since is another installation, and stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from jobs import connect
from store.connections import Tie

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()

SKEW = timedelta(seconds=5)  # between the clock that says when, and ours, which says since when


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Who says that we were removed, and the code of why the connection ended."""

    actor: str
    code: str


ZOHO = Removal(actor="zoho", code="extension.removed")
UNLICENSED = Removal(actor="google", code="google.unlicensed")
PURGED = Removal(actor="google", code="google.account_purged")


def removed(services: Services, tie: Tie, removal: Removal, *, said_at: datetime) -> bool:
    """Stop, forget, withdraw and certify, as if an administrator had disconnected; False where that is done already,
    or whoever says so spoke of an earlier consent."""
    grant = services.grants.get(tie.tenant, tie.id)
    if tie.state == "disconnected" or (grant is not None and grant.created_at > said_at + SKEW):
        return False
    ended = connect.end(services, tie, actor=removal.actor, because=removal.code) is not None
    log.info("removed", tenant=str(tie.tenant), connection=str(tie.id), code=removal.code, count=int(ended))
    return ended
