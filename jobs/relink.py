"""An activity tied to another record: because somebody said whose the number is, or the CRM picked one by itself.

Only the tie is changed, never a word that stands in the activity, and never a tie that a person made to something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Connection

from domain.errors import NotAllowed, Refused, Upstream
from domain.matching import COMPANIES, Key
from jobs import who
from jobs.activities import Story, activity_of, stories
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.owed import Owed

log = structlog.get_logger()

WAITS = timedelta(minutes=1)  # for the activity itself


def owe(services: Services, database: Connection, tenant: TenantId, crm: UUID, call: UUID, why: object) -> bool:
    """Owe an activity the tie to the record its call belongs to now. `why`: what changed it, once for each."""
    return services.effects.plan(
        database,
        tenant,
        "activity.link",
        f"activity.link:{call}:{why}",
        connection=crm,
        lane="calls",
        payload={},
        call=call,
    )


def link(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Tie activities to the records their calls belong to now. Each says the same however often it is told."""
    crm = services.crm(tie)
    told = stories(services, tie, batch)
    among = _shared(services, tie, list(told.values()))
    written = services.effects.of_calls(tie.tenant, {effect.call for effect in batch if effect.call is not None})
    for position, effect in enumerate(batch):
        story = told.get(effect.id)
        owed = written.get(effect.call) if effect.call is not None else None
        gone = owed is None or owed.state in ("dropped", "dead")
        if story is None or owed is None or gone or (owed.state == "due" and owed.kind == "activity.record"):
            services.effects.drop(tie.tenant, [effect], "link.not_needed", state="dropped")  # or it is written with it
            continue
        if owed.state != "done":  # it may have been written with the former tie; reading it back comes first
            services.effects.postpone(tie.tenant, [effect], "activity.waits", WAITS)
            continue
        services.effects.claim(tie.tenant, [effect])
        try:
            there = _there(services, tie, story, owed)
            record = story.record.key if story.record is not None else None
            if not there:  # the CRM's own telephony has not written it yet
                services.effects.again(tie.tenant, [effect], "activity.waits")
                continue
            tied = crm.link_call(there, record, among[story.kept.id], story.beside)
        except (Refused, NotAllowed) as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            continue
        except Upstream:
            del batch[:position]  # what went before is settled; the rest shares this one's fate
            raise
        if not tied:
            services.effects.drop(tie.tenant, [effect], "link.by_hand", state="dropped")
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: there})
            if not story.kept.activity:
                services.calls.logged(database, tie.tenant, {story.kept.id: there})
        log.info("call_linked", tenant=str(tie.tenant), call=str(effect.call))


def _there(services: Services, tie: Tie, story: Story, owed: Owed) -> str:
    """Where the activity stands; one that the CRM's telephony wrote has to be found."""
    known = owed.result or story.kept.activity
    return known or (services.bridge(tie).find_call(activity_of(story)) if owed.kind == "activity.bridge" else "")


def _shared(services: Services, tie: Tie, told: Sequence[Story]) -> dict[UUID, set[Key]]:
    """The records each call may have been tied to by us, or by the CRM going by the number: then, and as of now."""
    found = {
        story.kept.id: {one.contact for one in story.kept.trace.found} if story.kept.trace else set() for story in told
    }
    there = services.hub.where(tie.tenant, set().union(*found.values()))
    among: dict[UUID, set[Key]] = {}
    for story in told:
        trace = story.kept.trace
        now = {place for contact in found[story.kept.id] for place in who.places(tie, there.get(contact, []))}
        among[story.kept.id] = {place.key for place in now} | {(COMPANIES, place.account) for place in now}
        if trace is not None:
            among[story.kept.id] |= {key for one in trace.found for key in one.records}
            among[story.kept.id] |= {c.record for c in (trace.choice, trace.before) if c is not None and c.record}
    return among
