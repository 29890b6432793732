"""What we hold about people and until when, from the very list the purge works through."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint
from flask.typing import ResponseReturnValue

from console import words
from console.desk import desk, here, page
from console.forms import Nothing, asked
from domain.profile import Retention
from store.holdings import HOLDINGS

bp = Blueprint("holdings", __name__, url_prefix="/console/holdings")

SINCE = {
    "created": "after it was made",
    "received": "after it came in",
    "started": "after the call began",
    "ended": "after it ended",
    "done": "after it was done",
    "seen": "after it was last seen at its source",
    "fetched": "after it was read",
    "written": "after it was written",
}
WHILE = {
    "source": "as long as a connected source has it",
    "connected": "as long as the connection stands",
    "tenant": "as long as your organisation uses Linekeeper",
}
THEN = {"delete": "deleted", "empty": "emptied", "destroy_key": "its key is destroyed"}
BASES = {
    "contract": "Contract",
    "consent": "Consent",
    "legitimate_interest": "Legitimate interest",
    "legal_duty": "Legal duty",
}


@bp.get("")
def index() -> ResponseReturnValue:
    """Show every holding with what the tenant's profile promises about it."""
    asked(Nothing())
    at, services = here(), desk().services
    profile = services.profiles.get(at.tenant.profile)
    return page(
        "holdings.html",
        profile=profile,
        holdings=[(holding, until(holding.kept(profile))) for holding in HOLDINGS],
        bases=BASES,
        then=THEN,
        cached=services.mail.counts(at.tenant.id),
        oldest=services.mail.oldest_seconds(),
        mail_hours=words.lasting(services.settings.mail_cache_seconds),
    )


def until(kept: Retention) -> str:
    """How long, in words."""
    if kept.period is None:
        return WHILE.get(kept.clock, kept.clock)
    return f"{_long(kept.period)} {SINCE.get(kept.clock, kept.clock)}"


def _long(period: timedelta) -> str:
    days, rest = divmod(round(period.total_seconds()), 86_400)
    if days > 1 and not rest:
        return f"{days} days"
    return words.lasting(period.total_seconds())
