"""A call, from what the vendor told us to one activity in the CRM.

Deliveries become events, events fold into calls, the number index says who it is, and effects are planned: a pop
while it rings, one activity when it is over. `hear` is the first half, `act` the second; both may be told twice.
The caller holds the tenant's `calls` lane.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from domain import phone
from domain.call import CallEvent, TextEvent
from domain.errors import ConsentLost, Malformed, NotAllowed, Refused, TryLater, Unanswered, Upstream
from domain.phone import Number
from domain.ports import Activity, Ring
from jobs import recordings
from jobs.services import Services
from store.calls import Heard, Kept
from store.connections import Tie
from store.database import TenantId
from store.effects import ACTIVITIES, Effect
from store.hub import Contact, Whereabouts
from store.inbox import Delivery, Inbox
from store.tenants import Tenant, User

log = structlog.get_logger()

BATCH = 100  # deliveries a transaction; also the most records Zoho takes in one request
POP_IS_STALE = timedelta(seconds=30)  # a call that rang longer ago pops up on nobody's screen
SOON = timedelta(seconds=5)
PAUSED = timedelta(minutes=1)  # work that waits for a consent looks again this often
MODULES = ("Contacts", "Leads", "Accounts")  # which record a call belongs to when a person has several


def hear(services: Services, tenant: TenantId) -> int:
    """Understand what waits in the lane; return how many deliveries were taken."""
    waiting = services.inbox.pending(tenant, "calls", BATCH)
    by_connection: dict[UUID, list[Delivery]] = defaultdict(list)
    for delivery in waiting:
        by_connection[delivery.connection].append(delivery)
    for connection, deliveries in by_connection.items():
        tie = services.connections.get(tenant, connection)
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


def _understand(
    services: Services, tie: Tie, deliveries: Sequence[Delivery]
) -> tuple[list[CallEvent], list[UUID], list[UUID]]:
    told: list[CallEvent] = []
    understood: list[UUID] = []
    ignored: list[UUID] = []
    vendor = services.telephony[tie.vendor]
    for delivery in deliveries:
        try:
            event = vendor.parse(delivery.body, delivery.event_id)
        except Malformed as error:
            services.inbox.failed(tie.tenant, delivery, error.code)
            log.info("delivery_dead", tenant=str(tie.tenant), delivery=str(delivery.id), reason=error.code)
            continue
        if event is None or isinstance(event, TextEvent):  # texts have no story yet
            ignored.append(delivery.id)
        else:
            told.append(event)
            understood.append(delivery.id)
    return told, understood, ignored


def _take_over(services: Services, tie: Tie, deliveries: Sequence[Delivery]) -> None:
    """Understand deliveries and take over what they tell."""
    told, understood, ignored = _understand(services, tie, deliveries)
    take_over(services, tie, services.calls.hear(tie.tenant, tie.id, told), understood, ignored)


def take_over(
    services: Services,
    tie: Tie,
    heard: Sequence[Heard],
    understood: Sequence[UUID] = (),
    ignored: Sequence[UUID] = (),
) -> None:
    """Keep calls after new events: say who each is with, plan what is owed, all in one transaction.

    Whatever told of the events, a delivery or the vendor's own list: told twice, nothing changes.
    """
    tenant = services.tenants.get(tie.tenant)
    numbers = [phone.read(item.call.customer, tenant.region) for item in heard]
    crm = services.connections.first(tie.tenant, "crm")
    _match(services, tenant, heard, numbers)
    with services.db.tenant(tie.tenant) as database:
        for item, number in zip(heard, numbers, strict=True):
            if crm is not None:
                _plan(services, database, tenant, crm, item, number)
        services.calls.save(database, tie.tenant, heard, numbers)
        recorded = recordings.learn(services, database, tenant, heard)
        for item in heard:
            if item.id in recorded and crm is not None and item.before is not None and item.before.state == "ended":
                recordings.owe_update(services, database, tie.tenant, crm.id, item.id)
        for item in heard:
            if item.user is not None and item.call.agent_extension and item.before is None:
                services.tenants.learn_extension(database, tie.tenant, item.user, item.call.agent_extension)
        Inbox.done(database, tie.tenant, understood)
        Inbox.done(database, tie.tenant, ignored, "ignored", "no_use")
    for item in heard:
        log.info(
            "call_heard", tenant=str(tie.tenant), call=str(item.id), state=item.call.state, events=len(item.events)
        )


def _match(services: Services, tenant: Tenant, heard: Sequence[Heard], numbers: Sequence[Number]) -> None:
    """Say who each call is with and whose it is. A choice once made stays: the activity stands on it."""
    found = services.hub.whose(tenant.id, [number.e164 for number in numbers if number.e164])
    agents: dict[tuple[str, str], User | None] = {}
    for item, number in zip(heard, numbers, strict=True):
        who = (item.call.agent_email, item.call.agent_extension)
        if who not in agents:
            agents[who] = services.tenants.agent(tenant.id, email=who[0], extension=who[1])
        user = agents[who]
        item.user_is_new = item.user is None and user is not None
        item.user = user.id if user is not None else item.user
        if item.writer:
            continue
        if item.call.direction == "internal" or number.kind == "extension":
            item.match, item.contact = "internal", None
        elif number.kind != "number":
            item.match, item.contact = ("hidden" if number.kind == "anonymous" else "unreadable"), None
        else:
            contacts = found.get(number.e164, [])
            item.match = ("nobody", "one")[len(contacts)] if len(contacts) < 2 else "several"
            item.contact = contacts[0] if contacts else None


def _plan(services: Services, database: Connection, tenant: Tenant, crm: Tie, item: Heard, number: Number) -> None:
    """Write down what this call makes us owe."""
    if item.match == "internal":
        return
    call = item.call
    bridged = tenant.call_writer == "bridge" and item.user is not None
    fresh = item.before is None or item.before.state != call.state or item.user_is_new
    if call.state != "ended" and fresh and bridged:
        services.effects.plan(
            database,
            tenant.id,
            "pop",
            f"pop:{item.id}:{call.state}",
            connection=crm.id,
            lane="calls",
            payload={"state": call.state},
            call=item.id,
        )
    if call.state == "ended" and not item.writer:
        item.writer = "bridge" if bridged else "records"
        services.effects.plan(
            database,
            tenant.id,
            "activity.bridge" if bridged else "activity.record",
            f"activity:{item.id}",
            connection=crm.id,
            lane="calls",
            payload={},
            call=item.id,
        )


# ---- acting -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Story:
    """A call with everything an activity says about it."""

    kept: Kept
    user: User | None
    contact: Contact | None
    record: Whereabouts | None


def act(services: Services, tenant: TenantId) -> int:
    """Do what is owed in the lane; return how many effects were taken."""
    services.effects.orphans(tenant, "calls")
    waiting = services.effects.waiting(tenant, "calls", BATCH)
    by_work: dict[tuple[UUID, str], list[Effect]] = defaultdict(list)
    for effect in waiting:
        by_work[effect.connection, effect.kind].append(effect)
    work = {
        "pop": _pop,
        "activity.bridge": _bridge,
        "activity.record": _record,
        "activity.update": _amend,
        "dial": _dial,
        "recording.forget": recordings.forget_there,
    }
    for (connection, kind), batch in sorted(by_work.items(), key=lambda pair: pair[0][1] in ACTIVITIES):
        tie = services.connections.get(tenant, connection)
        try:
            work[kind](services, tie, batch)
        except (ConsentLost, NotAllowed) as error:
            services.effects.postpone(tenant, batch, error.code, PAUSED)
            services.connections.trouble(tenant, connection, error.code)
        except Unanswered as error:
            services.effects.unknown(tenant, batch, error.code)
            services.connections.trouble(tenant, connection, error.code)
        except TryLater as error:
            services.effects.again(
                tenant, batch, error.code, wait=timedelta(seconds=error.wait) if error.wait else None
            )
            services.connections.trouble(tenant, connection, error.code)
        except Refused as error:
            services.effects.drop(tenant, batch, error.code)
            services.connections.trouble(tenant, connection, error.code)
    return len(waiting)


def _record(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Write activities ourselves, up to a hundred a request; read back what is unknown before writing it again."""
    crm = services.crm(tie)
    activities = _activities(services, tie, batch)
    due = []
    for effect in batch:
        activity = activities.get(effect.id)
        if activity is None:
            services.effects.drop(tie.tenant, [effect], "call.gone", state="dropped")
        elif effect.state == "unknown" and (there := crm.find_call(activity)):
            _logged(services, tie, {effect: there}, read_back=True)
        else:
            due.append(effect)
    if not due:
        return
    services.effects.claim(tie.tenant, due)
    written = crm.log_calls([activities[effect.id] for effect in due])
    _logged(
        services,
        tie,
        {effect: result.remote_id for effect, result in zip(due, written, strict=True) if result.remote_id},
    )
    for effect, result in zip(due, written, strict=True):
        if not result.remote_id:
            services.effects.drop(tie.tenant, [effect], result.refused or "upstream.refused")
            log.warning("call_refused", tenant=str(tie.tenant), call=str(effect.call), reason=result.refused)


def _bridge(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Tell the CRM's telephony screen that calls are over; it writes the activity itself."""
    bridge = services.bridge(tie)
    activities = _activities(services, tie, batch)
    for position, effect in enumerate(batch):
        activity = activities.get(effect.id)
        if activity is None:
            services.effects.drop(tie.tenant, [effect], "call.gone", state="dropped")
            continue
        try:
            there = bridge.find_call(activity) if effect.state == "unknown" else ""
            if not there:
                services.effects.claim(tie.tenant, [effect])
                bridge.finish(activity)
            _logged(services, tie, {effect: there}, read_back=bool(there))
        except Refused as error:
            services.effects.drop(tie.tenant, [effect], error.code)
        except Unanswered as error:
            services.effects.unknown(tie.tenant, [effect], error.code)
            services.connections.trouble(tie.tenant, tie.id, error.code)
        except Upstream:
            del batch[:position]  # what went before is settled; the rest shares this one's fate
            raise


def _logged(services: Services, tie: Tie, results: Mapping[Effect, str], *, read_back: bool = False) -> None:
    """The CRM has these: commit it, with a row in the ledger for the whole batch."""
    if not results:
        return
    with services.db.tenant(tie.tenant) as database:
        services.effects.done(database, tie.tenant, {effect.id: there for effect, there in results.items()})
        for effect, there in results.items():
            if effect.call is not None and there:
                services.calls.logged(database, tie.tenant, effect.call, there)
        services.ledger.write(
            database,
            tie.tenant,
            "calls.logged",
            subject=f"connections:{tie.id}",
            calls=[str(effect.call) for effect in results],
            read_back=read_back,
        )
    services.connections.ok(tie.tenant, tie.id)
    for effect in results:
        log.info("call_logged", tenant=str(tie.tenant), call=str(effect.call), read_back=read_back)


def _pop(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Show ringing calls on screens; a pop that is late, or fails, is not worth repeating."""
    bridge = services.bridge(tie)
    stories = _stories(services, tie, batch)
    for effect in batch:
        story = stories.get(effect.id)
        late = services.now() - effect.created_at > POP_IS_STALE
        if late or effect.state == "unknown" or story is None or story.user is None:
            services.effects.drop(tie.tenant, [effect], "pop.stale", state="dropped")
            continue
        call = story.kept.call
        services.effects.claim(tie.tenant, [effect])
        try:
            bridge.ring(
                Ring(
                    call=str(story.kept.id),
                    direction=call.direction,
                    state="ringing" if effect.payload.get("state") == "ringing" else "answered",
                    customer=call.customer,
                    agent=_agent_line(story),
                    owner_login=story.user.login_id,
                )
            )
        except Upstream as error:
            services.effects.drop(tie.tenant, [effect], error.code, state="dropped")
            services.connections.trouble(tie.tenant, tie.id, error.code)
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: ""})


def _dial(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Ring an agent and then a number. Never repeated by itself: a second ring would be a second call."""
    system = services.phone_system(tie)
    for effect in batch:
        if effect.state == "unknown" or services.now() - effect.created_at > POP_IS_STALE:
            services.effects.drop(tie.tenant, [effect], "dial.stale", state="dropped")
            continue
        services.effects.claim(tie.tenant, [effect])
        wanted = effect.payload
        try:
            ref = system.dial(
                agent_extension=wanted.get("extension", ""),
                agent_email=wanted.get("email", ""),
                number=wanted["number"],
            )
        except Upstream as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            services.connections.trouble(tie.tenant, tie.id, error.code)
            _say_dial_failed(services, tie.tenant, wanted)
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: ref})


def _say_dial_failed(services: Services, tenant: TenantId, wanted: Mapping[str, str]) -> None:
    """Tell the agent's screen in the CRM that nothing will ring."""
    crm = services.connections.first(tenant, "crm")
    if crm is None or not wanted.get("login"):
        return
    try:
        services.bridge(crm).dial_failed(
            reason="notavailable", agent=wanted.get("extension", ""), number=wanted["number"], login=wanted["login"]
        )
    except Upstream as error:
        log.info("dial_failed_unsaid", tenant=str(tenant), reason=error.code)


# ---- what an activity says -----------------------------------------------------------------------------------------


def _activities(services: Services, tie: Tie, batch: Sequence[Effect]) -> dict[UUID, Activity]:
    """The activity of each effect; a call that is gone (erased) has none."""
    stories = _stories(services, tie, batch)
    links = recordings.crm_links(services, tie, [story.kept for story in stories.values()])
    return {effect: _activity(story, links.get(story.kept.id, "")) for effect, story in stories.items()}


def activities(services: Services, tie: Tie, kept: Collection[Kept]) -> dict[UUID, Activity]:
    """What each call's activity in that CRM would say now."""
    links = recordings.crm_links(services, tie, kept)
    return {call: _activity(story, links.get(call, "")) for call, story in _about(services, tie, kept).items()}


def _stories(services: Services, tie: Tie, batch: Sequence[Effect]) -> dict[UUID, _Story]:
    """What each effect's call is about, read for the whole batch at once."""
    kept = services.calls.some(tie.tenant, {effect.call for effect in batch if effect.call is not None})
    stories = _about(services, tie, kept.values())
    return {effect.id: stories[effect.call] for effect in batch if effect.call is not None and effect.call in stories}


def _about(services: Services, tie: Tie, kept: Collection[Kept]) -> dict[UUID, _Story]:
    users = {user.id: user for user in services.tenants.users(tie.tenant)} if kept else {}
    ids = {call.contact for call in kept if call.contact is not None}
    contacts = services.hub.people(tie.tenant, ids)
    records = services.hub.where(tie.tenant, ids)
    stories: dict[UUID, _Story] = {}
    for call in kept:
        user = users.get(call.user) if call.user is not None else None
        contact = contacts.get(call.contact) if call.contact is not None else None
        there = records.get(call.contact, []) if call.contact is not None else []
        stories[call.id] = _Story(call, user, contact, _first_record(tie, there))
    return stories


def _first_record(tie: Tie, there: Sequence[Whereabouts]) -> Whereabouts | None:
    """The record of this CRM that a call belongs to: a contact before a lead, then the lowest id."""
    mine = [record for record in there if record.connection == tie.id and record.module in MODULES]
    return min(mine, key=lambda record: (MODULES.index(record.module), record.remote_id), default=None)


def _activity(story: _Story, link: str) -> Activity:
    call, record, user = story.kept.call, story.record, story.user
    return Activity(
        marker=str(story.kept.id),
        subject=_subject(story),
        direction=call.direction,
        outcome=call.outcome or "failed",
        started_at=call.started_at,
        talk_seconds=call.talk_seconds,
        customer=call.customer,
        agent=_agent_line(story),
        owner=user.remote_id if user is not None else record.owner if record is not None else "",
        owner_login=user.login_id if user is not None else "",
        record=(record.module, record.remote_id) if record is not None else None,
        recording_url=link,
        note=f"Queue: {call.queue}" if call.queue else "",
    )


def _agent_line(story: _Story) -> str:
    call = story.kept.call
    return call.agent_extension or (call.callee if call.direction == "inbound" else call.caller)


def _subject(story: _Story) -> str:
    call = story.kept.call
    name = story.contact.person.name if story.contact is not None else ""
    if not name:
        read = phone.read(call.customer)
        name = "a hidden number" if read.kind == "anonymous" else phone.shown(read.e164 or call.customer)
    if call.direction == "outbound":
        return f"Call to {name}"
    return f"Missed call from {name}" if call.outcome == "missed" else f"Call from {name}"


# ---- what was learned later --------------------------------------------------------------------------------------


def _amend(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Give activities the link to a recording we heard of when they were written already."""
    crm = services.crm(tie)
    activities = _activities(services, tie, batch)
    written = services.effects.of_calls(tie.tenant, {effect.call for effect in batch if effect.call is not None})
    for position, effect in enumerate(batch):
        activity = activities.get(effect.id)
        owed = written.get(effect.call) if effect.call is not None else None
        if activity is None or not activity.recording_url or owed is None or owed.state not in ("done", "unknown"):
            services.effects.drop(
                tie.tenant, [effect], "recording.no_link", state="dropped"
            )  # or it will carry the link
            continue
        if owed.state == "unknown":  # it may have been written without the link; reading it back comes first
            services.effects.postpone(tie.tenant, [effect], "activity.waits", PAUSED)
            continue
        services.effects.claim(tie.tenant, [effect])
        try:
            there = owed.result or (services.bridge(tie).find_call(activity) if owed.kind == "activity.bridge" else "")
            if not there:  # the CRM's own telephony has not written it yet
                services.effects.again(tie.tenant, [effect], "activity.waits")
                continue
            crm.amend_call(there, activity)
        except Refused as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            continue
        except Upstream:
            del batch[:position]  # what went before is settled; the rest shares this one's fate
            raise
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: there})
        log.info("call_amended", tenant=str(tie.tenant), call=str(effect.call))
