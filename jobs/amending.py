"""What we learn of a call after its activity was written: a recording, a voicemail's words, what an agent says of it.

Only our own words are replaced; what a person typed around them stays. Words a person changed, and activities this
grant may not change at all, are left as they are, and the call's page says so.
"""

from __future__ import annotations

import structlog

from domain.errors import NotAllowed, Refused, Upstream
from domain.ports import Activity
from domain.said import words_of
from jobs import activities, filling
from jobs.services import Services
from store.call_book import Kept
from store.connections import Tie
from store.effects import Effect
from store.owed import Owed

log = structlog.get_logger()


def amend(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Say in activities what we know by now."""
    told = activities.of_effects(services, tie, batch)
    calls = services.calls.some(tie.tenant, {effect.call for effect in batch if effect.call is not None})
    written = services.effects.of_calls(tie.tenant, set(calls))
    for position, effect in enumerate(batch):
        activity = told.get(effect.id)
        kept = calls.get(effect.call) if effect.call is not None else None
        owed = written.get(kept.id) if kept is not None else None
        if activity is None or kept is None:
            services.effects.drop(tie.tenant, [effect], "call.gone", state="dropped")
        elif owed is None or owed.state not in ("done", "unknown"):  # it will be told when it is written, if it is
            services.effects.drop(tie.tenant, [effect], "activity.will_say", state="dropped")
        elif owed.state == "unknown":  # it may have been written without; reading it back comes first
            services.effects.postpone(tie.tenant, [effect], "activity.waits", activities.WAITS)
        else:
            services.effects.claim(tie.tenant, [effect])
            try:
                _one(services, tie, effect, kept, owed, activity)
            except NotAllowed:  # whoever may only create leaves what stands there as it is
                services.effects.drop(tie.tenant, [effect], "activity.create_only", state="dropped")
            except Refused as error:
                services.effects.drop(tie.tenant, [effect], error.code)
            except Upstream:
                del batch[:position]  # what went before is settled; the rest shares this one's fate
                raise


def _written_by_crm(services: Services, tie: Tie, effect: Effect, activity: Activity) -> str:
    return services.bridge(tie).find_call(activity, activities.beside(services, tie, effect))


def _one(services: Services, tie: Tie, effect: Effect, kept: Kept, owed: Owed, activity: Activity) -> None:
    bridged = owed.kind == "activity.bridge"
    there = owed.result or kept.activity or (_written_by_crm(services, tie, effect, activity) if bridged else "")
    if not there:  # the CRM's own telephony has not written it yet
        services.effects.again(tie.tenant, [effect], "activity.waits")
        return
    words = words_of(activity)
    speaks = not bridged or bool(kept.said or activity.remarks)  # a row Zoho wrote gets our words only when it must
    if speaks and words not in kept.said:
        services.calls.says(tie.tenant, {kept.id: (*kept.said, words)})
    filling.remember(services, tie, [(kept, activity)])
    ours = filling.amend(services, tie, there, kept, activity, said=kept.said if speaks else None)
    if not ours:
        services.effects.drop(tie.tenant, [effect], "activity.edited", state="dropped")
        return
    if speaks and kept.said != (words,):
        services.calls.says(tie.tenant, {kept.id: (words,)})
    filling.settled(services, tie, kept.id, activity)
    with services.db.tenant(tie.tenant) as database:
        services.effects.done(database, tie.tenant, {effect.id: there})
        if not kept.activity:
            services.calls.logged(database, tie.tenant, {kept.id: there})
    log.info("call_amended", tenant=str(tie.tenant), call=str(effect.call))
