"""One record for each call in a module the tenant chose, beside its activity: planned when the call is over, made once.

What stands in it is filled from the same story as the activity's fields, a little later, so that what the agent says of
the call is in it; afterwards it belongs to the people there. A record whose answer was lost is looked for by the call's
id before it is made again, and never in another module than the one it was meant for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Connection

from domain.call_record import RecordMap, wrong
from domain.deal import DEALS
from domain.errors import Malformed, Upstream
from domain.mapping import CrmField, Fault
from domain.matching import COMPANIES, Place
from domain.ports import CallRecord, CrmModule, Written, in_batches
from jobs import activities, filling, recordings, who
from jobs.activities import Story
from jobs.search_order import THE_DEALS
from jobs.services import Services
from store.calls import Heard
from store.connections import Tie
from store.effects import Effect
from store.owed import RECORD
from store.tenants import Tenant, User

log = structlog.get_logger()

OF_OWN, OF_DEALS = "own-records", "deal-records"  # the features a consent needs for it
REFUSED = "record_fields_refused"  # a fact, as `filling.REFUSED`
WAITS = timedelta(minutes=2)  # for what the agent says of the call
MOST = 100  # records a request


# ---- what was chosen ----------------------------------------------------------------------------------------------


def feature_of(module: str) -> str:
    """Which permission records in a module need."""
    return OF_DEALS if module == DEALS else OF_OWN


def needed(tenant: Tenant) -> set[str]:
    """The feature a tenant's choice needs."""
    return {feature_of(tenant.records.module)} if tenant.records.on else set()


def modules(services: Services, tie: Tie, on: Collection[str]) -> list[CrmModule]:
    """The modules a record can be made in. `on`: the features the consent carries. Raises an Upstream error."""
    found = services.crm(tie).further_modules() if OF_OWN in on else []
    own = [module for module in found if module.name != DEALS]
    return [*own, *([THE_DEALS] if OF_DEALS in on else [])]


def there(services: Services, tie: Tie, module: str) -> list[CrmField]:
    """The fields of a record in that module."""
    return services.crm(tie).record_fields(module)


def faults(tenant: Tenant, chosen: RecordMap, known: Sequence[CrmField], among: Collection[str]) -> list[Fault]:
    """Why this cannot work here."""
    return wrong(chosen, known, {"disposition": tenant.wishes.dispositions}, among)


def choose(
    services: Services, tie: Tie, user: User, chosen: RecordMap, known: Sequence[CrmField], among: Collection[str]
) -> None:
    """Keep what was chosen. `among`: the modules there are. Raises Malformed for what is on and cannot work."""
    tenant = services.tenants.get(user.tenant)
    if chosen.on and (found := faults(tenant, chosen, known, among)):
        raise Malformed(found[0].sentence, code="mapping.faulty")
    described = {one.name: one for one in known}
    rules = tuple(replace(rule, field=described.get(rule.field.name, rule.field)) for rule in chosen.fields.rules)
    target = described[chosen.link].points_to if chosen.link in described else ""
    kept = replace(chosen, link_to=target, fields=replace(chosen.fields, rules=rules))
    with services.db.tenant(user.tenant) as database:
        services.tenants.map_records(database, user.tenant, kept)
        services.ledger.write(
            database,
            user.tenant,
            "fields.mapped",
            actor=f"user:{user.id}",
            subject=f"connections:{tie.id}",
            module=chosen.module,
            on=chosen.on,
            fields=sorted({rule.field.name for rule in rules}),
        )
    services.connections.set_facts(user.tenant, tie.id, **{REFUSED: {}})


# ---- a call that is over ------------------------------------------------------------------------------------------


def plan(services: Services, database: Connection, tenant: Tenant, crm: UUID, heard: Sequence[Heard]) -> None:
    """Owe a record for each of these calls that shall have one, in the caller's transaction."""
    chosen = tenant.records
    for item in heard if chosen.on else ():
        if chosen.concerns(item.call.queue, filling.line_of(item.call)):
            services.effects.plan(
                database,
                tenant.id,
                RECORD,
                f"{RECORD}:{item.id}",
                connection=crm,
                lane="calls",
                payload={"module": chosen.module, "marker": chosen.marker},
                call=item.id,
                wait=WAITS,
            )


def create(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Make the records, up to a hundred a request; look for what is unknown before it is made again."""
    chosen = services.tenants.get(tie.tenant).records
    found = _there(services, tie, [one for one in batch if one.state == "unknown"])
    told = activities.stories(services, tie, batch)
    _made(services, tie, {one: Written(remote_id=row) for one, row in found.items()}, told)
    left = [one for one in batch if one not in found]
    meant = {"module": chosen.module, "marker": chosen.marker}
    due = [one for one in left if chosen.on and one.payload == meant]
    services.effects.drop(tie.tenant, [one for one in left if one not in due], "record.not_wanted", state="dropped")
    services.effects.drop(tie.tenant, [one for one in due if one.id not in told], "call.gone", state="dropped")
    due = [one for one in due if one.id in told]
    batch[:] = due
    for some in in_batches(due, MOST):
        stories = {one.id: told[one.id] for one in some}
        records = _records(services, tie, chosen, stories)
        services.effects.claim(tie.tenant, some)
        try:
            answers = services.crm(tie).create_records(chosen.module, chosen.marker, [records[one.id] for one in some])
        except Upstream:
            batch[:] = due[due.index(some[0]) :]  # what went before is settled; the rest shares this one's fate
            raise
        _made(services, tie, dict(zip(some, answers, strict=True)), stories)


def _there(services: Services, tie: Tie, doubtful: Sequence[Effect]) -> dict[Effect, str]:
    """Which of these records stand already, each looked for where it was meant to be."""
    found: dict[Effect, str] = {}
    places: dict[tuple[str, str], list[Effect]] = {}
    for one in doubtful:
        places.setdefault((one.payload["module"], one.payload["marker"]), []).append(one)
    for (module, marker), some in places.items():
        rows = services.crm(tie).find_records(module, marker, [str(one.call) for one in some])
        found |= {one: rows[str(one.call)] for one in some if str(one.call) in rows}
    return found


def _made(services: Services, tie: Tie, results: Mapping[Effect, Written], stories: Mapping[UUID, Story]) -> None:
    """Settle what the CRM answered, with one row in the ledger for all of it."""
    made = {one.id: result.remote_id for one, result in results.items() if result.remote_id}
    if made:
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, made)
            services.ledger.write(
                database,
                tie.tenant,
                "records.made",
                subject=f"connections:{tie.id}",
                calls=[str(one.call) for one in results if one.id in made],
            )
            named = [stories[one].contact for one in made if one in stories]
            activities.named_to(services, tie, named, database)
            services.connections.went_well(database, tie.tenant, tie.id)
        log.info("records_made", tenant=str(tie.tenant), connection=str(tie.id), count=len(made))
    filling.refused(services, tie, {name: code for one in results.values() for name, code in one.left_out}, REFUSED)
    for one, result in results.items():
        if not result.remote_id:
            services.effects.drop(tie.tenant, [one], f"zoho.{(result.refused or 'unknown').lower()}")
            log.warning("record_refused", tenant=str(tie.tenant), call=str(one.call), reason=result.refused)


def _records(services: Services, tie: Tie, chosen: RecordMap, stories: Mapping[UUID, Story]) -> dict[UUID, CallRecord]:
    """What each record says, and to whom it is linked."""
    urls = recordings.crm_links(services, tie, [story.kept for story in stories.values()])
    people = {story.kept.contact for story in stories.values() if story.kept.contact is not None}
    where = services.hub.where(tie.tenant, people) if chosen.link else {}
    made = {}
    for effect, story in stories.items():
        fields = filling.filled(replace(story, fields=chosen.fields), urls.get(story.kept.id, "")).values
        contact = story.kept.contact
        places = who.places(tie, where.get(contact, ())) if contact is not None else ()
        linked = _linked(chosen.link_to, places)
        made[effect] = CallRecord(
            marker=str(story.kept.id),
            owner=story.user.remote_id if story.user is not None else "",
            fields=fields,
            links={chosen.link: linked} if chosen.link and linked else {},
        )
    return made


def _linked(module: str, places: Sequence[Place]) -> str:
    """The person's record in that module, the oldest; of a person also their company, and their open deal."""
    ids = [place.remote_id for place in places if place.module == module]
    if module == COMPANIES:
        ids += [place.account for place in places if place.account]
    return min(ids, key=lambda one: (len(one), one), default="")
