"""Following up calls nobody took: a task to call back for whoever looks after the caller, closed once somebody spoke.

One task for a caller and a window, however often they called and in whatever order we hear of it. It is written only
if nobody spoke with them meanwhile, and closed when somebody did, unless a person has touched it. Whoever does this
holds the tenant's `calls` lane, so that nothing is heard between looking and writing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import Connection

from domain import phone
from domain.consent import standing
from domain.errors import Refused, Unanswered, Upstream
from domain.follow_up import FollowUps, due_on, told_at
from domain.phone import Number
from domain.ports import Task
from jobs.activities import Story, about, named_to
from jobs.outage import postpone
from jobs.services import Services
from store.calls import Heard
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.missed import CLOSE, CREATE, Missed, Owed
from store.owed import WAITING
from store.sieve import NO_CUSTOMER
from store.tenants import Tenant, User

log = structlog.get_logger()

FEATURE = "follow-ups"
WAITS = timedelta(minutes=1)  # for a call with them that is going on, or for the task to be written


def missed(services: Services) -> Missed:
    """What became of calls nobody took, of every tenant."""
    return Missed(services.db)


def decide(services: Services, tenant: TenantId, rules: FollowUps, *, actor: str) -> None:
    """Take over what an administrator decided, for calls from now on."""
    services.tenants.set(tenant, follow_ups=rules.as_data())
    services.ledger.note(tenant, "follow_ups.rules", actor=actor, **rules.as_data())


# ---- what a call makes us owe -------------------------------------------------------------------------------------


def plan(
    services: Services,
    database: Connection,
    tenant: Tenant,
    crm: Tie,
    heard: Sequence[Heard],
    numbers: Sequence[Number],
) -> None:
    """Owe a task for each caller whose call just ended unanswered, and the end of tasks for whom somebody spoke with.

    In the caller's transaction, with the calls saved already.
    """
    keys = services.vault.of(tenant.id)
    over = [
        (item, keys.fingerprint("number", number.e164))
        for item, number in zip(heard, numbers, strict=True)
        if number.e164 and item.match not in NO_CUSTOMER and item.call.state == "ended" and _is_news(item)
    ]
    over = [(item, caller) for item, caller in over if item.call.outcome in ("missed", "answered")]
    if not over:
        return
    tasks = missed(services).tasks(database, tenant.id, {caller for _, caller in over})
    for item, caller in over:
        if item.call.outcome == "answered":
            _owe_closing(services, database, tenant.id, crm, item, tasks.get(caller, ()))
    callers = [(item, caller) for item, caller in over if item.call.outcome == "missed"]
    if callers and tenant.follow_ups.on and _may_write(services, crm):
        for item, caller in sorted(callers, key=lambda pair: (pair[0].call.started_at, pair[0].call.ref)):
            if _owe_task(services, database, tenant, crm, item, caller, tasks.get(caller, ())):
                tasks = missed(services).tasks(database, tenant.id, {caller for _, caller in over})


def _is_news(item: Heard) -> bool:
    return item.before is None or item.before.state != "ended" or item.before.outcome != item.call.outcome


def _may_write(services: Services, crm: Tie) -> bool:
    """Whether the consent reaches so far. Without it nothing is owed: the calls are listed here."""
    grant = services.grants.get(crm.tenant, crm.id)
    wanted = [feature for feature in services.providers[crm.vendor].features if feature.slug == FEATURE]
    return grant is not None and any(item.on for item in standing(wanted, grant.scopes))


def _owe_task(
    services: Services,
    database: Connection,
    tenant: Tenant,
    crm: Tie,
    item: Heard,
    caller: bytes,
    tasks: Collection[Owed],
) -> bool:
    rules, call = tenant.follow_ups, item.call
    since_it_ended = services.now() - (call.ended_at or call.started_at)
    if since_it_ended >= rules.window or _covered(call.started_at, tasks, rules):
        return False
    if missed(services).reached(database, tenant.id, caller, call.started_at):
        return False
    return services.effects.plan(
        database,
        tenant.id,
        CREATE,
        f"task:{caller.hex()}:{call.started_at.isoformat()}",
        connection=crm.id,
        lane="calls",
        payload={},
        call=item.id,
        wait=max(rules.wait - since_it_ended, timedelta(0)),
    )


def _covered(called_at: datetime, tasks: Collection[Owed], rules: FollowUps) -> bool:
    """Whether a task speaks of this call too: one of the same window that is not being closed."""
    return any(not task.closing and abs(task.called_at - called_at) < rules.window for task in tasks)


def _owe_closing(
    services: Services, database: Connection, tenant: TenantId, crm: Tie, item: Heard, tasks: Collection[Owed]
) -> None:
    for task in tasks:
        if task.called_at <= item.call.started_at and (task.state == "done" or task.state in WAITING):
            _close_later(services, database, tenant, crm, task.id, task.call, item.id)


def _close_later(
    services: Services, database: Connection, tenant: TenantId, crm: Tie, task: UUID, call: UUID, reached: UUID
) -> None:
    services.effects.plan(
        database,
        tenant,
        CLOSE,
        f"{CLOSE}:{task}:{reached}",
        connection=crm.id,
        lane="calls",
        payload={},
        call=call,
    )


# ---- acting -------------------------------------------------------------------------------------------------------


def create(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Write tasks for callers nobody spoke with since; read back what is unknown before writing it again."""
    crm = services.crm(tie)
    tenant = services.tenants.get(tie.tenant)
    people = services.tenants.users(tie.tenant)
    for position, effect in enumerate(batch):
        waiting, talking = missed(services).still_open(tie.tenant, effect.call) if effect.call else ([], False)
        told = about(services, tie, {call for call in (*waiting[-1:], effect.call) if call is not None})
        first = told.get(effect.call) if effect.call is not None else None
        if first is None:
            services.effects.drop(tie.tenant, [effect], "call.gone", state="dropped")
            continue
        latest = told[waiting[-1]] if waiting else first
        task = _task(effect, latest, tenant, people, len(waiting))
        try:
            there = crm.find_task(task) if effect.state == "unknown" else ""
            if not there and talking:
                services.effects.postpone(tie.tenant, [effect], "task.talking", WAITS)
                continue
            if not there and not (waiting and tenant.follow_ups.on):
                services.effects.drop(tie.tenant, [effect], "task.reached", state="dropped")
                continue
            if not there:
                services.effects.claim(tie.tenant, [effect])
                written = crm.create_task(task)
                if not written.remote_id:
                    services.effects.drop(tie.tenant, [effect], written.refused or "upstream.refused")
                    continue
                there = written.remote_id
        except Refused as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            continue
        except Unanswered as error:
            postpone(services, tie, [effect], error)
            services.connections.trouble(tie.tenant, tie.id, error.code)
            continue
        except Upstream:
            del batch[:position]  # what went before is settled; the rest shares this one's fate
            raise
        _written(
            services, tie, effect, there, (first, latest), read_back=effect.state == "unknown", reached=not waiting
        )


def _written(
    services: Services,
    tie: Tie,
    effect: Effect,
    there: str,
    about_calls: tuple[Story, Story],
    *,
    read_back: bool,
    reached: bool,
) -> None:
    """The task stands: commit it. If somebody spoke with them while nobody knew, it is owed its end at once."""
    call, named = about_calls[0].kept, about_calls[1].contact
    with services.db.tenant(tie.tenant) as database:
        services.effects.done(database, tie.tenant, {effect.id: there})
        services.ledger.write(
            database, tie.tenant, "task.created", subject=f"calls:{call.id}", read_back=read_back, task=str(effect.id)
        )
        named_to(services, tie, [named], database)
        if reached:
            _close_later(services, database, tie.tenant, tie, effect.id, call.id, call.id)
    services.connections.ok(tie.tenant, tie.id)
    log.info("task_created", tenant=str(tie.tenant), call=str(call.id), read_back=read_back)


def close(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Close tasks for callers somebody spoke with; one a person has touched is theirs."""
    crm = services.crm(tie)
    tasks = missed(services).of_calls(tie.tenant, {effect.call for effect in batch if effect.call is not None})
    for position, effect in enumerate(batch):
        task = tasks.get(effect.call) if effect.call is not None else None
        if task is None or task.state in ("dropped", "dead"):
            services.effects.drop(tie.tenant, [effect], "task.none", state="dropped")
            continue
        if task.state != "done":
            services.effects.postpone(tie.tenant, [effect], "task.waits", WAITS)
            continue
        if missed(services).still_open(tie.tenant, task.call)[0]:  # they called again, after that talk, in vain
            services.effects.drop(tie.tenant, [effect], "task.called_again", state="dropped")
            continue
        services.effects.claim(tie.tenant, [effect])
        try:
            closed = crm.close_task(task.task)
        except Refused as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            continue
        except Upstream:
            del batch[:position]  # what went before is settled; the rest shares this one's fate
            raise
        if not closed:
            services.effects.drop(tie.tenant, [effect], "task.touched", state="dropped")
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: task.task})
            services.ledger.write(database, tie.tenant, "task.closed", subject=f"calls:{task.call}", task=str(task.id))
        log.info("task_closed", tenant=str(tie.tenant), call=str(task.call))


# ---- what it says -------------------------------------------------------------------------------------------------


def _task(effect: Effect, story: Story, tenant: Tenant, people: Sequence[User], times: int) -> Task:
    """The task: about the caller's latest call, due at the end of the window that began with the first."""
    call = story.kept.call
    number = phone.shown(story.kept.e164 or call.customer)
    name = story.contact.person.name if story.contact is not None else ""
    lines = [
        f"Nobody answered {name or 'this caller'} at {told_at(call.started_at, tenant.time_zone)}.",
        f"Number: {number}",
        f"Queue: {call.queue}" if call.queue else "",
        f"Calls since somebody last spoke with them: {times}" if times > 1 else "",
    ]
    return Task(
        marker=str(effect.call),
        subject=f"Call back {name or number}",
        text="\n".join(filter(None, lines)),
        due=due_on(effect.created_at, tenant.follow_ups, tenant.time_zone),
        since=effect.created_at,
        owner=_owner(story, tenant, people),
        record=(story.record.module, story.record.remote_id) if story.record is not None else None,
        beside=story.beside,
    )


def _owner(story: Story, tenant: Tenant, people: Sequence[User]) -> str:
    """Whose task it is: whoever owns the record, else who was called, else whom the tenant named. Who left has none."""
    working = [user for user in people if user.active and user.remote_id]
    whose = (
        [user for user in working if story.record is not None and user.remote_id == story.record.owner]
        or [user for user in working if user.id == story.kept.user]
        or [user for user in working if str(user.id) == tenant.follow_ups.fallback]
    )
    return whose[0].remote_id if whose else ""
