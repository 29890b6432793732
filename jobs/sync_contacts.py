"""Contacts in step: read each side since we last looked, let the plan decide, take it over, tell the phone system.

Every function is one chore or one delivery of the tenant's `contacts` lane, whose caller holds it. A plan that would
remove too much raises Held: nothing is removed and the chore says so until a person continues it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection

from domain.besides import BOOK
from domain.contact import Gone, Record, keys
from domain.deal import DEALS
from domain.errors import Malformed, NotAllowed, Trouble, TryLater, Unanswered
from domain.matching import MODULES
from domain.pairs import key_of
from domain.plan import Key, Step, read_plan
from domain.ports import Crm, CursorLost, in_batches
from domain.sharing import Sharing
from integrations.zoho.notifications import read_notification
from jobs import both_ways, contact_writes, deals, first_load, sheet_log
from jobs.outage import postpone
from jobs.services import Services
from jobs.views import Viewed, views_of
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.inbox import Delivery, Inbox

log = structlog.get_logger()

NOTHING: Mapping[str, int] = {"adopt": 0, "join": 0, "refresh": 0, "drop": 0}
READING = "read.crm.reading"  # the cursor that keeps how numbers were read, and from which columns
AT_ONCE = 1_000  # records held in memory
CONVERTED = "Contacts"  # where a lead goes on that became a customer
OWED_AT_ONCE = 20  # effects, each with a hundred or two


def read_crm(services: Services, tie: Tie, chore: Chore, *, go_on: bool = False) -> dict[str, Any]:
    """Read what changed in the CRM since the last sweep, deletions too; the first time everything.

    A large CRM writes it into files then: while it does, this is due again soon and says how many records that are.
    """
    if Sharing.from_facts(tie.facts).paused:
        return {}
    crm = services.crm(tie)
    cursor = services.connections.cursor(tie.tenant, tie.id, "read.crm")
    reading = crm.reading()
    known = reading == services.connections.cursor(tie.tenant, tie.id, READING)  # a new column is in nobody's changes
    since = datetime.fromisoformat(cursor) if cursor and known else None
    modules = _modules(crm, tie)
    viewed = Viewed(services, tie, crm, modules, afresh=not known)
    whole = tuple(module for module in modules if module not in viewed.views)
    load = first_load.look(services, tie, crm.exports, whole, reading) if since is None and whole else None
    if load and load.waiting:
        services.connections.ok(tie.tenant, tie.id)
        return {"again_in": first_load.LOOK_AGAIN, "exporting": load.records}
    started = load.began if load else services.db.now()
    told: Iterable[Record | Gone] = chain.from_iterable(
        _everyone(services, tie, crm, load, module, since) for module in whole
    )
    if since is None:
        left_out = services.hub.known_keys(tie.tenant, tie.id, besides=modules)
        told = chain((Gone(module=module, remote_id=id, apart=True) for module, id in left_out), told)
    else:
        gone = (_of(crm, module, crm.people_gone, since) for module in whole)
        told = chain(told, chain.from_iterable(gone))
    complete = since is None and bool(whole)
    missed = whole if complete and viewed.views else ()  # who is in no view is told, not missed
    told = chain(told, viewed.told())
    counts = take(services, tie, told, complete=complete, go_on=go_on, modules=missed, began=started)
    deals.read(services, tie, crm)
    if load:
        first_load.done(services, tie)
    services.connections.set_cursor(tie.tenant, tie.id, READING, reading)
    services.connections.set_cursor(tie.tenant, tie.id, "read.crm", started.isoformat())
    viewed.keep()
    return counts


def _everyone(
    services: Services, tie: Tie, crm: Crm, load: first_load.Load | None, module: str, since: datetime | None
) -> Iterator[Record | Gone]:
    """Read a module from its files where it has any, else page by page."""
    listed = partial(_of, crm, module, crm.people, since)
    return first_load.people(services, tie, crm, load, module, listed) if load else listed()


def _modules(crm: Crm, tie: Tie) -> tuple[str, ...]:
    """The modules that take part."""
    only = Sharing.from_facts(tie.facts).only  # of people and companies; what was added to the search order takes part
    return tuple(module for module in crm.modules if not only or module in only or module not in MODULES)


def _of(
    crm: Crm, module: str, read: Callable[[str, datetime | None], Iterator[Record | Gone]], since: datetime | None
) -> Iterator[Record | Gone]:
    """Read a module; one that the consent may leave out, and does, has nothing."""
    try:
        yield from read(module, since)
    except NotAllowed:
        if module not in crm.spare:
            raise


def read_book(services: Services, tie: Tie, chore: Chore, *, go_on: bool = False) -> dict[str, int]:
    """Read a user's contacts since the last position; a lost position heals by one full read and a comparison."""
    if Sharing.from_facts(tie.facts).paused:
        return {}
    book = services.address_book(tie)
    cursor = services.connections.cursor(tie.tenant, tie.id, "read.book")
    try:
        reading = book.read(cursor)
    except CursorLost:
        log.info("cursor_lost", tenant=str(tie.tenant), connection=str(tie.id))
        reading = book.read("")
    counts = take(services, tie, reading.items, complete=reading.complete, go_on=go_on, modules=(BOOK,))
    services.connections.set_cursor(tie.tenant, tie.id, "read.book", reading.cursor)
    return counts


def hear_crm(services: Services, tie: Tie, deliveries: list[Delivery]) -> None:
    """A notification names records: re-read them and take over what they say now."""
    if Sharing.from_facts(tie.facts).paused:  # the sweep after the pause reads all of it
        with services.db.tenant(tie.tenant) as database:
            Inbox.done(database, tie.tenant, [delivery.id for delivery in deliveries])
        return
    crm = services.crm(tie)
    named: dict[str, set[str]] = {}
    viewed = views_of(tie, _modules(crm, tie))
    understood: list[UUID] = []
    for delivery in deliveries:
        try:
            notification = read_notification(delivery.body)
        except Malformed as error:
            services.inbox.failed(tie.tenant, delivery, error.code)
            continue
        understood.append(delivery.id)
        if notification.module in viewed:  # who it names may be in no view: the sweep asks the view
            services.chores.hurry(tie.tenant, "read.crm", tie.id)
        elif notification.module in _modules(crm, tie):
            named.setdefault(notification.module, set()).update(notification.ids)
    told = [
        item
        for module, ids in named.items()
        for batch in in_batches(sorted(ids), 100)
        for item in crm.some_people(module, batch)
        if not (isinstance(item, Gone) and item.converted and CONVERTED in viewed)  # the sweep sees both of them
    ]
    take(services, tie, told, complete=False, go_on=True)  # each of these was named by the CRM itself
    deals.hear(services, tie, crm, named.get(DEALS, ()))
    with services.db.tenant(tie.tenant) as database:
        Inbox.done(database, tie.tenant, understood)


def take(
    services: Services,
    tie: Tie,
    told: Iterable[Record | Gone],
    *,
    complete: bool,
    go_on: bool,
    modules: Collection[str] = (),
    began: datetime | None = None,
) -> dict[str, int]:
    """Take over what a side tells, a thousand records at a time; what is gone goes last, and only if so many may.

    `complete`: it is the whole side as it was when that `began`, so what has not been seen since then is gone.
    `modules`: the side is these, if it has more. Raises Held, with nothing removed.
    """
    began = (began or services.db.now()) if complete else None
    counts, many = Counter(NOTHING), 0
    gone: dict[Key, Gone] = {}
    apart: list[Gone] = []
    for batch in in_batches(told, AT_ONCE):
        latest = {(item.module, item.remote_id): item for item in batch}
        records = [item for item in latest.values() if isinstance(item, Record)]
        for key, item in latest.items():
            if isinstance(item, Gone) and item.apart:
                apart.append(item)
            elif isinstance(item, Gone):
                gone[key] = item
            else:
                gone.pop(key, None)
        counts.update(_take_over(services, tie, records, seen=complete))
        many += len(batch)
        counts.update(_let_go(services, tie, apart, go_on=True))
        apart.clear()
    if began is not None:
        unseen = services.hub.unseen(tie.tenant, tie.id, began, modules)
        gone |= {key: Gone(module=key[0], remote_id=key[1]) for key in unseen}
    stays = _left_behind(services, tie, gone)
    counts.update(_let_go(services, tie, [replace(gone.pop(key), apart=True) for key in stays], go_on=True))
    counts.update(_let_go(services, tie, list(gone.values()), go_on=go_on, modules=modules))
    if any(counts.values()):
        services.chores.hurry(tie.tenant, "write.phonebook")
        services.chores.hurry(tie.tenant, both_ways.CHORE, None if tie.kind == "crm" else tie.id)
    services.connections.ok(tie.tenant, tie.id)
    if many or any(counts.values()):
        log.info("contacts_read", tenant=str(tie.tenant), connection=str(tie.id), told=many, **counts)
    return dict(counts)


def _left_behind(services: Services, tie: Tie, gone: Mapping[Key, Gone]) -> list[Key]:
    """The converted leads whose contacts take no part by choice: nobody deleted them, so their partners are left alone.

    Where every contact takes part theirs is read as well, if not now then by the next sweep, and the pair follows it.
    """
    converted = [key for key, item in gone.items() if item.converted]
    if not converted or not _partly(tie):
        return []
    links = services.hub.links(tie.tenant, tie.id, converted)
    known = services.hub.where(tie.tenant, [UUID(link.contact) for link in links.values()])
    followed = {
        str(contact)
        for contact, places in known.items()
        if any((place.connection, place.module) == (tie.id, CONVERTED) for place in places)
    }
    return [key for key, link in links.items() if link.contact not in followed]


def _partly(tie: Tie) -> bool:
    """Whether not everybody takes part whom a lead may become."""
    chosen = Sharing.from_facts(tie.facts)
    return (bool(chosen.only) and CONVERTED not in chosen.only) or CONVERTED in chosen.views


def _take_over(services: Services, tie: Tie, records: list[Record], *, seen: bool) -> dict[str, int]:
    """Plan and apply, in one transaction: whoever is new, and whoever says something else."""
    hub, tenant = services.hub, tie.tenant
    if not records:
        return {}
    links = hub.links(tenant, tie.id, {key_of(record) for record in records})
    new = [record.person for record in records if key_of(record) not in links]
    forgotten = hub.forgotten(tenant, new)
    kept = [record for record in records if not (keys(record.person) & forgotten)] if forgotten else records
    renamed = {(record.module, old): key_of(record) for record in records for old in record.formerly}
    steps = list(read_plan(kept, links, hub.same_person(tenant, new), complete=False, go_on=True))
    known = [record for record in kept if key_of(record) in links]
    with services.db.tenant(tenant) as database:
        services.pairs.renamed(database, tenant, tie.id, renamed)
        back = [key_of(record) for record in records if key_of(record) not in links]
        services.pairs.set_apart(database, tenant, tie.id, back, apart=False)
        if seen and known:
            hub.seen(database, tenant, tie.id, known)
        return _apply(services, database, tie, steps)


def _let_go(
    services: Services, tie: Tie, gone: list[Gone], *, go_on: bool, modules: Collection[str] = ()
) -> dict[str, int]:
    """What a side no longer has goes here too, unless that is too much at once."""
    hub, tenant = services.hub, tie.tenant
    links = hub.links(tenant, tie.id, {(item.module, item.remote_id) for item in gone}) if gone else {}
    if not links:
        return {}
    steps = read_plan(
        gone,
        links,
        lambda _: None,
        complete=False,
        go_on=go_on,
        known=hub.known(tenant, tie.id, modules),
        at_most=services.tenants.get(tenant).contacts.percent / 100,
    )
    counts: Counter[str] = Counter()
    for batch in in_batches(steps, AT_ONCE):
        with services.db.tenant(tenant) as database:
            apart = {(item.module, item.remote_id) for item in gone if item.apart}
            services.pairs.set_apart(database, tenant, tie.id, apart, apart=True)
            counts.update(_apply(services, database, tie, batch))
    return dict(counts)


def _apply(services: Services, database: Connection, tie: Tie, steps: list[Step]) -> dict[str, int]:
    if not steps:
        return {}
    counts = services.hub.apply(database, tie.tenant, tie.id, steps)
    services.ledger.write(
        database, tie.tenant, "contacts.read", subject=f"connections:{tie.id}", source=tie.vendor, counts=counts
    )
    return counts


def act(services: Services, tenant: TenantId) -> int:
    """Do the writes that are owed: people travel, and those who were erased leave the phonebook."""
    services.effects.orphans(tenant, "contacts")
    waiting = services.effects.waiting(tenant, "contacts", limit=OWED_AT_ONCE)
    sheet_log.act(services, tenant, [effect for effect in waiting if effect.kind == sheet_log.KIND])
    contact_writes.act(services, tenant, [effect for effect in waiting if effect.kind == both_ways.KIND])
    for effect in waiting:
        if effect.kind in (sheet_log.KIND, both_ways.KIND):
            continue
        tie = services.connections.get(tenant, effect.connection)
        try:
            services.effects.claim(tenant, [effect])
            services.phone_system(tie).put_contacts([], effect.payload["removed"])  # safe to tell twice
        except (TryLater, Unanswered) as error:
            postpone(services, tie, [effect], error, repeatable=True)
        except Trouble as error:
            services.effects.drop(tenant, [effect], error.code)
        else:
            with services.db.tenant(tenant) as database:
                services.effects.done(database, tenant, {effect.id: ""})
    return len(waiting)


def watch_crm(services: Services, tie: Tie, chore: Chore) -> None:
    """Ask the CRM to tell us of changes, at a door of this connection, well before the last asking ends."""
    door = services.connections.cursor(tie.tenant, tie.id, "watch.door")
    if not door:
        door = services.directory.new("door", tie.tenant, connection=tie.id)
        services.connections.set_cursor(tie.tenant, tie.id, "watch.door", door)
    token = services.connections.cursor(tie.tenant, tie.id, "watch.token")
    if not token:
        token = services.vault.of(tie.tenant).fingerprint("watch", door).hex()[:40]
        services.connections.set_cursor(tie.tenant, tie.id, "watch.token", token)
    channel = str(tie.id.int % 10**15 + 1)  # a number of ours, the same for ever
    ends = services.crm(tie).watch(
        url=f"{services.settings.origin}/webhooks/zoho/notifications/{door}",
        token=token,
        channel=channel,
        until=datetime.now(UTC) + timedelta(days=7),
    )
    services.connections.set_cursor(tie.tenant, tie.id, "watch.channel", channel)
    services.connections.set_facts(tie.tenant, tie.id, watched_until=ends.isoformat())
