"""What a call's mapped fields come to, and what becomes of one that the CRM refuses: the call is written without it.

The tenant's mapping (`domain.mapping`) decides; a person's name reaches it as far as it may go into the CRM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from domain import mapping, phone
from domain.call import Call
from domain.errors import FieldRefused
from domain.mapping import Filled
from domain.ports import Activity
from domain.template import DIRECTIONS, RESULTS, Value

if TYPE_CHECKING:
    from jobs.activities import Story
    from jobs.services import Services
    from store.call_book import Kept
    from store.connections import Tie

log = structlog.get_logger()

REFUSED = "fields_refused"  # the fact of a CRM connection: which mapped fields it refused last, each with its code
REMEMBERED = 3  # values that may stand in a field


def filled(story: Story, link: str) -> Filled:
    """What the tenant's mapping makes of a call. `link`: to its recording."""
    call, zone = story.kept.call, ZoneInfo(story.zone)
    return mapping.fill(story.fields, call.queue, values(story, link), zone, line=line_of(call))


def line_of(call: Call) -> str:
    """The number of ours a call came in on or went out from."""
    return call.callee if call.direction == "inbound" else call.caller


def values(story: Story, link: str) -> dict[str, Value]:
    """What each name of `domain.template` says of a call."""
    call, remark = story.kept.call, story.kept.remark
    number = phone.shown(story.kept.e164 or call.customer)
    name = story.contact.person.name if story.contact is not None else ""
    waited = call.answered_at - call.started_at if call.answered_at is not None else None
    return {
        "caller": name or ("A hidden number" if story.kept.match == "hidden" else number) or "Somebody",
        "number": story.kept.e164 or call.customer,
        "line": line_of(call),
        "direction": DIRECTIONS[call.direction],
        "result": RESULTS[call.outcome or "failed"],
        "queue": call.queue,
        "agent": story.user.name if story.user is not None else "",
        "agent_email": story.user.email if story.user is not None else call.agent_email,
        "extension": call.agent_extension,
        "started": call.started_at,
        "answered": call.answered_at,
        "ended": call.ended_at,
        "seconds": call.talk_seconds,
        "minutes": -(-call.talk_seconds // 60),
        "waited": round(waited.total_seconds()) if waited is not None else None,
        "disposition": remark.disposition if remark is not None else "",
        "note": remark.note if remark is not None else "",
        "recording": link,
        "call_id": call.ref,
    }


def remember(services: Services, tie: Tie, told: Iterable[tuple[Kept, Activity]]) -> None:
    """Keep what we are about to put into each field: only that may be changed later."""
    wanted = {kept.id: _with(kept.filled, activity.fields) for kept, activity in told if activity.fields}
    services.calls.fills(tie.tenant, wanted)


def _with(before: Mapping[str, tuple[Any, ...]], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    added = {name: [value, *(old for old in before.get(name, ()) if old != value)] for name, value in now.items()}
    return {name: list(told)[:REMEMBERED] for name, told in ({**before, **added}).items()}


def amend(services: Services, tie: Tie, remote_id: str, kept: Kept, activity: Activity, **how: Any) -> bool:
    """Have the CRM say what we know by now, without what it refuses of the mapped fields (`Crm.amend_call`)."""
    crm, left_out = services.crm(tie), dict[str, str]()
    while True:
        try:
            ours = crm.amend_call(remote_id, activity, wrote=kept.filled, **how)
        except FieldRefused as error:
            if error.field not in activity.fields:
                raise
            left_out[error.field] = error.code
            rest = {name: value for name, value in activity.fields.items() if name != error.field}
            activity = replace(activity, fields=rest)
        else:
            refused(services, tie, left_out)
            return ours


def refused(services: Services, tie: Tie, left_out: Mapping[str, str], fact: str = REFUSED) -> None:
    """Say on the connection which fields the CRM refused: calls, or people, were written without them."""
    if not left_out:
        return
    known = services.connections.get(tie.tenant, tie.id).facts.get(fact) or {}
    now = {**known, **{name: code.removeprefix("zoho.").upper() for name, code in left_out.items()}}
    if now != known:
        services.connections.set_facts(tie.tenant, tie.id, **{fact: now})
        services.ledger.note(tie.tenant, "fields.refused", subject=f"connections:{tie.id}", fields=sorted(now))
    log.warning("field_refused", tenant=str(tie.tenant), connection=str(tie.id), count=len(left_out))


def settled(services: Services, tie: Tie, call: UUID, activity: Activity) -> None:
    """The activity says this now, and nothing we put there before."""
    if activity.fields:
        services.calls.fills(tie.tenant, {call: {name: [value] for name, value in activity.fields.items()}})
