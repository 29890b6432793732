"""A call, from what the vendor told us to one activity in the CRM.

Deliveries become events, events fold into calls, the number index says who it is, and effects are planned: a pop
while it rings, one activity when it is over. `hear` is the first half, `act` the second; both may be told twice.
The caller holds the tenant's `calls` lane.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from domain import dial_plan, phone
from domain.call import CallEvent, TextEvent, TextNews
from domain.errors import ConsentLost, Malformed, NotAllowed, Refused, TryLater, Unanswered
from domain.matching import MODULES, Trace
from jobs import (
    activities,
    amending,
    call_records,
    chat_news,
    choosing,
    correcting,
    dialling,
    follow_ups,
    leads,
    pops,
    recordings,
    relink,
    retying,
    steering,
    text_sending,
    texts,
    who,
)
from jobs.outage import postpone
from jobs.services import Services
from store.calls import Heard
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.inbox import Delivery, Inbox
from store.owed import ACTIVITIES, RECORD
from store.sieve import NO_CUSTOMER
from store.tenants import Tenant, User

log = structlog.get_logger()

BATCH = 400  # deliveries a transaction, and effects a round: a few requests of the hundred records Zoho takes
SOON = timedelta(seconds=5)
PAUSED = timedelta(minutes=1)  # work that waits for a consent looks again this often


def hear(services: Services, tenant: TenantId) -> int:
    """Understand what waits in the lane; return how many deliveries were taken."""
    by_connection: dict[UUID, list[Delivery]] = defaultdict(list)
    with services.db.reading(tenant):
        waiting = services.inbox.pending(tenant, "calls", BATCH)
        for delivery in waiting:
            by_connection[delivery.connection].append(delivery)
        ties = {connection: services.connections.get(tenant, connection) for connection in by_connection}
    for connection, deliveries in by_connection.items():
        tie = ties[connection]
        try:
            _take_over(services, tie, deliveries)
        except OperationalError:
            raise  # PostgreSQL's trouble is nobody's fault here
        except Exception:
            _one_by_one(services, tie, deliveries)
    return len(waiting)


def _one_by_one(services: Services, tie: Tie, deliveries: Sequence[Delivery]) -> None:
    """Find the delivery a batch stumbled over: it is tried again a few times and then kept dead, the rest goes on."""
    for delivery in deliveries:
        try:
            _take_over(services, tie, [delivery])
        except OperationalError:
            raise
        except Exception as error:
            # any mistake of ours ends here, named but not quoted: its words may hold what the delivery held
            services.inbox.failed(tie.tenant, delivery, "internal", wait=SOON)
            log.error("delivery_failed", tenant=str(tie.tenant), delivery=str(delivery.id), error=type(error).__name__)


@dataclass(slots=True)
class _Told:
    """What a batch of deliveries tells, and which deliveries told nothing of use."""

    calls: list[CallEvent] = field(default_factory=list)
    texts: list[TextEvent] = field(default_factory=list)
    understood: list[UUID] = field(default_factory=list)
    ignored: list[UUID] = field(default_factory=list)
    since: dict[str, datetime] = field(default_factory=dict)  # when each call's first news reached us


def _understand(services: Services, tie: Tie, deliveries: Sequence[Delivery]) -> _Told:
    told = _Told()
    vendor = services.telephony[tie.vendor]
    for delivery in deliveries:
        try:
            event = vendor.parse(delivery.body, delivery.event_id)
        except Malformed as error:
            services.inbox.failed(tie.tenant, delivery, error.code)
            log.info("delivery_dead", tenant=str(tie.tenant), delivery=str(delivery.id), reason=error.code)
            continue
        if event is None or (isinstance(event, TextNews) and event.direction == "internal"):
            told.ignored.append(delivery.id)
            continue
        if isinstance(event, TextNews):
            told.texts.append(event.dated(delivery.received_at))
        else:
            told.calls.append(event)
            first = told.since.get(event.call_ref, delivery.received_at)
            told.since[event.call_ref] = min(delivery.received_at, first)
        told.understood.append(delivery.id)
    return told


def _take_over(services: Services, tie: Tie, deliveries: Sequence[Delivery]) -> None:
    """Understand deliveries and take over what they tell."""
    told = _understand(services, tie, deliveries)
    if told.texts:  # safe to tell twice, should what follows fail
        texts.hear(services, tie, told.texts)
    heard = services.calls.hear(tie.tenant, tie.id, told.calls)
    take_over(services, tie, heard, told.understood, told.ignored, told.since)


def take_over(
    services: Services,
    tie: Tie,
    heard: Sequence[Heard],
    understood: Sequence[UUID] = (),
    ignored: Sequence[UUID] = (),
    since: Mapping[str, datetime] | None = None,
) -> None:
    """Keep calls after new events: say who each is with, plan what is owed, all in one transaction.

    Whatever told of the events, a delivery or the vendor's own list: told twice, nothing changes. `since`: when the
    news of a call reached us, where that is not now.
    """
    with services.db.reading(tie.tenant):
        tenant = services.tenants.get(tie.tenant)
        region = who.region_of(tie, tenant)
        numbers = [phone.read(_customer(item, tenant, region), region) for item in heard]
        crm = services.connections.first(tie.tenant, "crm")
        people = who.identify(services, tenant, tie, crm, heard, numbers)
        ours = who.our_side(heard, region)
        decided = services.apart.known(tenant.id, set(ours))
    ours = [number for number in ours if decided.get(number, ("own", "seen"))[1] == "seen"]
    with services.db.tenant(tie.tenant) as database:
        if crm is not None:
            _owe(services, database, tenant, crm, heard, people, since or {})
        services.calls.save(database, tie.tenant, heard, numbers)
        services.apart.saw(database, tie.tenant, ours)
        if crm is not None:
            follow_ups.plan(services, database, tenant, crm, heard, numbers)
        recorded = recordings.learn(services, database, tenant, heard)
        for item in heard:
            if item.id in recorded and crm is not None and item.before is not None and item.before.state == "ended":
                recordings.owe_update(services, database, tie.tenant, crm.id, item.id)
            if crm is not None and item.writer and _left_word(item):
                services.effects.amend_activity(database, tie.tenant, crm.id, item.id, f"voicemail:{len(item.events)}")
        _learn_lines(services, database, tie.tenant, heard)
        chat_news.plan(services, database, tie, heard)
        Inbox.done(database, tie.tenant, understood)
        Inbox.done(database, tie.tenant, ignored, "ignored", "no_use")
    for item in heard:
        log.info(
            "call_heard", tenant=str(tie.tenant), call=str(item.id), state=item.call.state, events=len(item.events)
        )


def _customer(item: Heard, tenant: Tenant, region: str) -> str:
    """The customer's number: the phone system may have digits of its own before it, dialled or shown."""
    call = item.call
    bare = dial_plan.heard if call.direction == "outbound" else dial_plan.came
    return bare(call.customer, tenant.dialling, region)


def _left_word(item: Heard) -> bool:
    """Say whether we hear only now, after the call was written, that the caller left a voicemail, or what it says."""
    before, call = item.before, item.call
    if before is None or before.state != "ended":
        return False
    return before.transcript != call.transcript or (call.outcome == "voicemail" and before.outcome != "voicemail")


def _owe(
    services: Services,
    database: Connection,
    tenant: Tenant,
    crm: Tie,
    heard: Sequence[Heard],
    people: Mapping[UUID, User],
    since: Mapping[str, datetime],
) -> None:
    """Write down what these calls make us owe: a card while one lives, one activity once it is over."""
    writers: dict[UUID, Literal["bridge", "records"]] = {}
    shared, over = [], []
    for item in heard:
        if item.match in NO_CUSTOMER or item.writer:
            continue
        if item.call.state == "ended":
            bridged = tenant.call_writer == "bridge" and item.user is not None and not _by_hand(item)
            item.writer = writers[item.id] = "bridge" if bridged else "records"
            over.append(item)
            if bridged and item.trace is not None and _zoho_may_not_know(item.trace):
                shared.append(item.id)
        elif tenant.call_writer == "bridge":
            pops.plan(services, database, tenant, crm, item, people, since.get(item.call.ref))
    services.effects.plan_activities(database, tenant.id, crm.id, writers)
    call_records.plan(services, database, tenant, crm.id, over)
    for call in shared:
        relink.owe(services, database, tenant.id, crm.id, call, "shared")


def _zoho_may_not_know(trace: Trace) -> bool:
    """PhoneBridge picks a person by itself, by the number: one of several, and never a deal or a machine."""
    several = len(trace.found) > 1 and trace.choice.why != "ask"
    return several or trace.module not in ("", *MODULES)


def _by_hand(item: Heard) -> bool:
    """Somebody entered the whole call, and it is long over."""
    return any(event.by_hand and event.call_ref == event.id for event in item.events)


def _learn_lines(services: Services, database: Connection, tenant: TenantId, heard: Sequence[Heard]) -> None:
    """Remember which inside lines rang whom; the last of them is where they are rung."""
    lines: dict[UUID, dict[str, None]] = defaultdict(dict)
    for item in heard:
        if item.user is not None and item.call.agent_extension and item.before is None:
            lines[item.user].pop(item.call.agent_extension, None)
            lines[item.user][item.call.agent_extension] = None
    for user, extensions in lines.items():
        services.tenants.learn_extension(database, tenant, user, list(extensions)[-1])
        for extension in extensions:
            services.devices.learn(database, tenant, user, extension)


def _turn(kind: str) -> int:
    """What somebody waits for at a screen goes first; ties and tasks, which need the activity, last."""
    if kind in ("pop", "dial", "control", text_sending.KIND):
        return 0
    if kind == chat_news.KIND:
        return 4
    late = kind.startswith("task.") or kind in ("activity.link", retying.LINK, RECORD)
    return 2 if kind in ACTIVITIES else 3 if late else 1


# ---- acting -----------------------------------------------------------------------------------------------------


def act(services: Services, tenant: TenantId) -> int:
    """Do what is owed in the lane; return how many effects were taken."""
    services.effects.orphans(tenant, "calls")
    waiting = services.effects.waiting(tenant, "calls", BATCH)
    by_work: dict[tuple[UUID, str], list[Effect]] = defaultdict(list)
    for effect in waiting:
        by_work[effect.connection, effect.kind].append(effect)
    work = {
        "pop": pops.pop,
        "activity.bridge": activities.bridge,
        "activity.record": activities.record,
        "activity.update": amending.amend,
        "text.log": texts.log,
        text_sending.KIND: text_sending.send,
        chat_news.KIND: chat_news.tell,
        retying.LINK: retying.link,
        "activity.link": relink.link,
        "match.apply": choosing.apply,
        "lead.create": leads.create,
        RECORD: call_records.create,
        "activity.correct": correcting.correct,
        "dial": dialling.dial,
        "control": steering.steer,
        "task.create": follow_ups.create,
        "task.close": follow_ups.close,
        "recording.forget": recordings.forget_there,
    }
    for (connection, kind), batch in sorted(by_work.items(), key=lambda pair: _turn(pair[0][1])):
        tie = services.connections.get(tenant, connection)
        try:
            work[kind](services, tie, batch)
        except (ConsentLost, NotAllowed) as error:
            services.effects.postpone(tenant, batch, error.code, PAUSED)
            services.connections.trouble(tenant, connection, error.code)
        except (TryLater, Unanswered) as error:
            postpone(services, tie, batch, error)
            services.connections.trouble(tenant, connection, error.code)
        except Refused as error:
            services.effects.drop(tenant, batch, error.code)
            services.connections.trouble(tenant, connection, error.code)
    return len(waiting)
