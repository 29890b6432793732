"""Calls entered and put right by hand: events, fold and activity as of any other call, with a name in the ledger.

What somebody enters or corrects is an event of the call like those a phone system tells, and the last word of all, so a
late webhook cannot undo it. What the CRM is told is in `jobs.correcting`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from domain import phone
from domain.call import CallEvent, Direction, Outcome
from domain.errors import Malformed, Missing, NotAllowed
from domain.matching import Choice, Trace
from domain.ports import Part
from jobs import log_call, numbers
from store.call_book import Kept
from store.database import TenantId
from store.owed import CORRECT
from store.sieve import NO_CUSTOMER
from store.tenants import User

if TYPE_CHECKING:
    from jobs.services import Services

AHEAD = timedelta(minutes=5)  # a telephone's clock may be so much faster than ours
LONGEST = timedelta(hours=24)
BUSY_SECONDS = 5.0  # how long a page waits for whoever works on this tenant's calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A call as somebody enters it. `token` is the form's own: sent twice, it is one call."""

    token: UUID
    direction: Direction
    number: str
    started_at: datetime
    outcome: Outcome
    talk: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What somebody puts right; None: as it was. `contact` in a tuple, for it may become nobody."""

    outcome: Outcome | None = None
    talk: timedelta | None = None
    contact: tuple[UUID | None] | None = None
    user: UUID | None = None


def enter(services: Services, user: User, entry: Entry, *, for_whom: User | None = None) -> UUID:
    """Enter a call by hand; return its id, the same when it was entered before. Raises Malformed and NotAllowed."""
    tenant = services.tenants.get(user.tenant)
    now = services.now()
    oldest = services.profiles.get(tenant.profile).keeps("calls").due_before(now)
    if entry.started_at > now + AHEAD:
        raise Malformed("A call that has not been made yet cannot be entered.", code="call.in_future")
    if oldest is not None and entry.started_at <= oldest:
        raise Malformed("This call is older than calls are kept.", code="call.too_old")
    if not timedelta() <= entry.talk <= LONGEST:
        raise Malformed("Nobody talks for longer than a day.", code="call.too_long")
    number = phone.read(entry.number, tenant.region)
    if number.kind not in ("number", "anonymous"):
        raise Malformed("This is not a number anybody could have been called at.", code="number.invalid")
    if numbers.marks(services, tenant, {number.e164} - {""}):
        raise Malformed("This number is one of our own, or left out: it is nobody's customer.", code="number.set_apart")
    crm = services.connections.first(tenant.id, "crm")
    if crm is None:
        raise NotAllowed("There is no CRM to write the call into. Connect Zoho first.", code="crm.none")
    agent = for_whom or user
    ref = f"hand-{entry.token}"
    ours = agent.extension
    spoke = entry.outcome == "answered"
    told = CallEvent(
        id=ref,
        type="ended",
        at=entry.started_at,
        call_ref=ref,
        direction=entry.direction,
        caller=entry.number if entry.direction == "inbound" else ours,
        callee=ours if entry.direction == "inbound" else entry.number,
        agent_email=agent.email,
        agent_extension=ours,
        started_at=entry.started_at,
        answered_at=entry.started_at if spoke else None,
        ended_at=entry.started_at + (entry.talk if spoke else timedelta()),
        outcome=entry.outcome,
        by_hand=True,
    )
    with services.lanes.wait(tenant.id, "calls", BUSY_SECONDS):
        (heard,) = services.calls.hear(tenant.id, crm.id, [told])
        if heard.before is None:
            log_call.take_over(services, crm, [heard])
            _note(services, user, "call.entered", heard.id, for_whom=str(agent.id))
    services.ring(tenant.id, "calls")
    return heard.id


def put_right(services: Services, user: User, call: UUID, wanted: Correction) -> tuple[Part, ...]:
    """Correct a call that is over; return the parts that changed. Raises Missing and Malformed."""
    tenant = user.tenant
    with services.lanes.wait(tenant, "calls", BUSY_SECONDS):
        kept = services.calls.get(tenant, call)
        if kept is None:
            raise Missing("There is no such call.")
        if kept.call.state != "ended":
            raise Malformed("A call can be corrected once it is over.", code="call.live")
        if kept.match in NO_CUSTOMER:
            raise Malformed("Calls among ourselves are not logged, so there is nothing to correct.", code="call.no_log")
        tie = services.connections.get(tenant, kept.connection)
        parts: list[Part] = []
        if wanted.contact is not None and wanted.contact[0] != kept.contact:
            parts.append("person")
        course = _course(services, user, kept, wanted)
        if course is not None:
            parts.append("course")
        if wanted.user is not None and wanted.user != kept.user:
            parts.append("owner")
        if not parts:
            return ()
        if course is not None:
            log_call.take_over(services, tie, services.calls.hear(tenant, kept.connection, [course]))
        region = services.tenants.get(tenant).region
        with services.db.tenant(tenant) as database:
            if "person" in parts and wanted.contact is not None:
                services.calls.settle(database, tenant, call, _chosen(kept, wanted.contact[0], region))
            if "owner" in parts and wanted.user is not None:
                services.calls.assign(database, tenant, call, wanted.user)
            if kept.writer and (crm := services.connections.first(tenant, "crm")) is not None:
                services.effects.plan(
                    database,
                    tenant,
                    CORRECT,
                    f"{CORRECT}:{call}:{uuid4()}",
                    connection=crm.id,
                    lane="calls",
                    payload={"parts": parts},
                    call=call,
                )
            services.ledger.write(
                database, tenant, "call.corrected", actor=f"user:{user.id}", subject=f"calls:{call}", parts=parts
            )
    services.ring(tenant, "calls")
    return tuple(parts)


def _chosen(kept: Kept, contact: UUID | None, region: str) -> Trace:
    """How the call found its person: somebody said so. What was looked up before stays beside it."""
    choice = Choice(match="by_hand", contact=contact)
    if kept.trace is not None:
        return replace(kept.trace, choice=choice, before=None)
    return Trace.of(phone.read(kept.call.customer, region), region, choice)


def _course(services: Services, user: User, kept: Kept, wanted: Correction) -> CallEvent | None:
    """The event that says how the call really went; None when it is as it was."""
    outcome = wanted.outcome or kept.call.outcome or "failed"
    talk = kept.call.talk if wanted.talk is None else wanted.talk
    if not timedelta() <= talk <= LONGEST:
        raise Malformed("Nobody talks for longer than a day.", code="call.too_long")
    spoke = outcome == "answered"
    talk = talk if spoke else timedelta()
    if outcome == kept.call.outcome and round(talk.total_seconds()) == kept.call.talk_seconds:
        return None
    began = kept.call.answered_at or kept.call.started_at
    ended = began + talk if spoke else max(kept.call.ended_at or began, began)
    return CallEvent(
        id=f"hand-{uuid4()}",
        type="ended",
        at=services.now(),
        call_ref=kept.call.ref,
        direction=kept.call.direction,
        agent_email=kept.call.agent_email,
        agent_extension=kept.call.agent_extension,
        answered_at=began if spoke else None,
        ended_at=ended,
        outcome=outcome,
        by_hand=True,
    )


def _note(services: Services, user: User, action: str, call: UUID, **facts: str) -> None:
    services.ledger.note(user.tenant, action, actor=f"user:{user.id}", subject=f"calls:{call}", **facts)


def retry(services: Services, tenant: TenantId, call: UUID | None, *, actor: str) -> int:
    """Try again what was given up of one call's activity, or of every call's; return how many."""
    with services.db.tenant(tenant) as database:
        again = services.effects.retry(database, tenant, call=call)
        if again:
            services.ledger.write(
                database,
                tenant,
                "calls.retried",
                actor=actor,
                subject=f"calls:{call}" if call is not None else "",
                count=len(again),
            )
    if again:
        services.ring(tenant, "calls")
    return len(again)
