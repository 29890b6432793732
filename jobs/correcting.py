"""Activities put right: what somebody corrected by hand is written into the CRM, and nothing else of the activity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from domain.errors import Refused, Upstream
from domain.ports import Part
from jobs import activities
from store.call_book import Kept
from store.connections import Tie
from store.effects import Effect

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()

PARTS: tuple[Part, ...] = ("person", "course", "owner")


def correct(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Write what was put right into activities, and nothing else of them."""
    crm = services.crm(tie)
    calls = _calls(services, tie, batch)
    told = activities.of(services, tie, calls)
    subjects = activities.about(services, tie, [call.id for call in calls])
    written = services.effects.of_calls(tie.tenant, {effect.call for effect in batch if effect.call is not None})
    for position, effect in enumerate(batch):
        activity = told.get(effect.call) if effect.call is not None else None
        owed = written.get(effect.call) if effect.call is not None else None
        if activity is None or owed is None or owed.state in ("dead", "dropped"):
            services.effects.drop(
                tie.tenant, [effect], "call.gone" if activity is None else "activity.none", state="dropped"
            )
            continue
        if owed.state != "done":  # it may be written the old way still; that comes first
            services.effects.postpone(tie.tenant, [effect], "activity.waits", activities.WAITS)
            continue
        services.effects.claim(tie.tenant, [effect])
        try:
            there = owed.result or (services.bridge(tie).find_call(activity) if owed.kind == "activity.bridge" else "")
            if not there:
                services.effects.again(tie.tenant, [effect], "activity.waits")
                continue
            crm.correct_call(there, activity, [part for part in PARTS if part in effect.payload.get("parts", ())])
        except Refused as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            continue
        except Upstream:
            del batch[:position]  # what went before is settled; the rest shares this one's fate
            raise
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: there})
            if activity.fields and effect.call is not None:  # what was mapped follows, where it is ours still
                services.effects.amend_activity(database, tie.tenant, tie.id, effect.call, f"corrected:{effect.id}")
            if effect.call in subjects and "person" in effect.payload.get("parts", ()):
                activities.named_to(services, tie, [subjects[effect.call].contact], database)
        log.info("call_corrected", tenant=str(tie.tenant), call=str(effect.call))


def _calls(services: Services, tie: Tie, batch: Sequence[Effect]) -> list[Kept]:
    ids = {effect.call for effect in batch if effect.call is not None}
    return list(services.calls.some(tie.tenant, ids).values())
