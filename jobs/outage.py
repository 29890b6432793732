"""What we owe while the other side does not answer: it waits, and the waiting is none of its tries.

An outage may last longer than an effect is tried; whoever went to look whether it is over shall not pay for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from domain.errors import NotNow, TryLater, Unanswered
from jobs.services import Services
from store.connections import Tie
from store.effects import Effect


def postpone(
    services: Services,
    tie: Tie,
    batch: Sequence[Effect],
    error: TryLater | Unanswered,
    *,
    repeatable: bool = False,
) -> None:
    """Have effects wait after this error. `repeatable`: doing them twice does no harm, so nothing is read back."""
    tenant, effects = tie.tenant, services.effects
    if isinstance(error, NotNow):
        effects.postpone(tenant, batch, error.code, timedelta(seconds=error.wait))
        return
    silent = services.standing(tie)
    if isinstance(error, Unanswered) and not repeatable:
        effects.unknown(tenant, batch, error.code, counted=not silent.silent_since)
    elif silent.silent_since:
        pause = datetime.fromtimestamp(silent.look_at / 1000, UTC) - services.now()
        effects.postpone(tenant, batch, error.code, max(pause, timedelta(seconds=1)))
    else:
        told = getattr(error, "wait", 0.0)
        effects.again(tenant, batch, error.code, wait=timedelta(seconds=told) if told else None)
