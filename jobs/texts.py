"""Text messages, from what the vendor told us to one activity for each conversation and day; and one for each fax.

Both directions stand in it, in the order they were written, whatever order we heard of them in. What comes later is
added to our own words there; what people wrote around them stays. Pictures and files are never fetched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from sqlalchemy import Connection

from domain import conversation, phone
from domain.call import TextEvent
from domain.errors import NotAllowed, Refused
from domain.ports import Crm, Thread, in_batches
from jobs import passages, who, wording
from jobs.numbers import marks
from jobs.services import Services
from store.connections import Tie
from store.effects import Effect
from store.finding import Contact
from store.tenants import Tenant, User
from store.texts import Conversation, Parties, Texts

logger = structlog.get_logger()

EXIT = "text log"  # the gate's name for what is said here of the other side (`domain.limited_use`)
NOT_LOGGED = frozenset({"hidden", "unreadable", "own", "left_out"})
MOST = 100  # activities a request
NOT_ALLOWED = timedelta(hours=1)  # a conversation waits for the permission to write tasks, and looks again


def kept(services: Services) -> Texts:
    """The conversations of every tenant, as we keep them."""
    return Texts(services.db, services.vault)


def zone_of(tenant: Tenant) -> ZoneInfo:
    """The tenant's own clock; UTC where this machine does not know it."""
    try:
        return ZoneInfo(tenant.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


# ---- hearing ------------------------------------------------------------------------------------------------------


def hear(services: Services, tie: Tie, told: Sequence[TextEvent]) -> None:
    """Take over messages: whose they are, what is owed, in one transaction. Told twice, nothing changes."""
    tenant = services.tenants.get(tie.tenant)
    zone, region = zone_of(tenant), who.region_of(tie, tenant)
    by_day: dict[Parties, list[TextEvent]] = defaultdict(list)
    for message in told:
        raw = conversation.customer(message)
        line = conversation.ours(message)
        ours = _key(line, region) + conversation.apart(message)
        by_day[Parties(_key(raw, region), ours, conversation.day(message, zone))].append(message)
    heard = kept(services).hear(tie.tenant, tie.id, by_day)
    crm = services.connections.first(tie.tenant, "crm")
    _identify(services, tenant, crm, region, list(heard.values()))
    with services.db.tenant(tie.tenant) as database:
        for parties, one in heard.items():
            e164 = phone.read(one.customer, region).e164
            kept(services).save(database, tie.tenant, parties, one, e164=e164)
            if crm is not None and one.worded and one.match not in NOT_LOGGED:
                services.effects.log_texts(database, tie.tenant, crm.id, one.id)
    for one in heard.values():
        logger.info("texts_heard", tenant=str(tie.tenant), text=str(one.id), messages=len(one.messages))


def _key(raw: str, region: str) -> str:
    """A number as it is compared: in E.164, or as it came where it is none."""
    return phone.read(raw, region).e164 or raw.strip().casefold()


def _identify(services: Services, tenant: Tenant, crm: Tie | None, region: str, days: Sequence[Conversation]) -> None:
    """Say who each is with, and whose it is. A choice once made stays: the activity stands on it."""
    numbers = {one.id: phone.read(one.customer, region) for one in days}
    every = {number.e164 for number in numbers.values() if number.e164}
    found, apart = who.search(services, tenant, crm, every), marks(services, tenant, every)
    for one in days:
        user = _writer(services, tenant, one)
        one.user = one.user or (user.id if user is not None else None)
        number = numbers[one.id]
        if one.activity:
            continue
        if number.kind != "number":  # a short code, a name: codes to sign in with are nobody's business
            one.match, one.contact = "hidden" if number.kind == "anonymous" else "unreadable", None
            continue
        if (kind := apart.get(number.e164)) is not None:
            one.match, one.contact = "own" if kind == "own" else "left_out", None
            continue
        choice = found.trace(number, region, user.remote_id if user is not None else "").choice
        one.match, one.contact = choice.match, choice.contact


def _writer(services: Services, tenant: Tenant, one: Conversation) -> User | None:
    """Who of us wrote last, or was written to."""
    named = (message for message in reversed(one.messages) if message.agent_email or message.agent_extension)
    for message in named:
        user = services.tenants.agent(tenant.id, email=message.agent_email, extension=message.agent_extension)
        if user is not None:
            return user
    return None


# ---- acting -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """A conversation's day and what its activity shall say."""

    kept: Conversation
    thread: Thread
    contact: Contact | None


def log(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Make the CRM say what the conversations say: write new ones up to a hundred a request, add to the others."""
    crm = services.crm(tie)
    wording.learn(services, tie, batch, kept(services))
    told = days(services, tie, [effect.text for effect in batch if effect.text is not None])
    fresh: list[tuple[Effect, Day]] = []
    try:
        for effect in list(batch):
            day = told.get(effect.text) if effect.text is not None else None
            there = day.kept.activity if day is not None else ""
            if day is not None and not there and effect.state == "unknown":
                there = crm.find_texts(day.thread)
            if day is None:
                services.effects.drop(tie.tenant, [effect], "text.gone", state="dropped")
            elif there:
                _add(services, tie, crm, effect, day, there)
            else:
                fresh.append((effect, day))
                continue
            batch.remove(effect)  # settled; the rest shares the fate of what comes
        for some in in_batches(fresh, MOST):
            _write(services, tie, crm, some)
    except NotAllowed as error:  # the rest of the connection is fine
        services.effects.postpone(tie.tenant, batch, error.code, NOT_ALLOWED)


def _write(services: Services, tie: Tie, crm: Crm, fresh: Sequence[tuple[Effect, Day]]) -> None:
    """Create the activities nobody has written yet."""
    for effect, day in fresh:
        before = day.kept.said if effect.state == "unknown" else ()
        kept(services).says(tie.tenant, day.kept.id, (*before, day.thread.words))
    services.effects.claim(tie.tenant, [effect for effect, _ in fresh])
    results = crm.log_texts([day.thread for _, day in fresh])
    done = {effect: (day, one.remote_id) for (effect, day), one in zip(fresh, results, strict=True) if one.remote_id}
    with services.db.tenant(tie.tenant) as database:
        services.effects.done(database, tie.tenant, {effect.id: there for effect, (_, there) in done.items()})
        for day, there in done.values():
            kept(services).logged(database, tie.tenant, day.kept.id, there)
        if done:
            services.ledger.write(
                database,
                tie.tenant,
                "texts.logged",
                subject=f"connections:{tie.id}",
                texts=[str(day.kept.id) for day, _ in done.values()],
            )
        _named_to(services, tie, [day.contact for day, _ in done.values()], database)
    for (effect, day), one in zip(fresh, results, strict=True):
        if not one.remote_id:
            services.effects.drop(tie.tenant, [effect], one.refused or "upstream.refused")
        logger.info("texts_logged", tenant=str(tie.tenant), text=str(day.kept.id), reason=one.refused)


def _add(services: Services, tie: Tie, crm: Crm, effect: Effect, day: Day, there: str) -> None:
    """Say in an activity that stands there what was said since."""
    one, words = day.kept, day.thread.words
    if words not in one.said:
        kept(services).says(tie.tenant, one.id, (*one.said, words))
    services.effects.claim(tie.tenant, [effect])
    reason = ""
    try:
        if not crm.amend_texts(there, day.thread, said=one.said or (words,)):
            reason = "activity.edited"
    except NotAllowed:
        reason = "activity.create_only"
    except Refused as error:
        services.effects.drop(tie.tenant, [effect], error.code)
        return
    with services.db.tenant(tie.tenant) as database:
        services.effects.done(database, tie.tenant, {effect.id: there})
        kept(services).logged(database, tie.tenant, one.id, there)
        if not reason and words not in one.said:
            _named_to(services, tie, [day.contact], database)
    if reason:
        services.effects.explain(tie.tenant, effect.id, reason)
    else:
        kept(services).says(tie.tenant, one.id, (words,))
    logger.info("texts_logged", tenant=str(tie.tenant), text=str(one.id), reason=reason)


def _named_to(services: Services, tie: Tie, named: Sequence[Contact | None], database: Connection) -> None:
    """Note whom of Google's contacts the CRM was told the name of."""
    theirs = [one for one in named if one is not None]
    passages.note(services, tie.tenant, EXIT, theirs, subject=f"connections:{tie.id}", database=database)


# ---- what it says -------------------------------------------------------------------------------------------------


def days(services: Services, tie: Tie, ids: Sequence[UUID]) -> dict[UUID, Day]:
    """These days as far as they are still here, each with what its activity shall say."""
    found = kept(services).some(tie.tenant, ids)
    if not found:
        return {}
    tenant = services.tenants.get(tie.tenant)
    users = {user.id: user for user in services.tenants.users(tie.tenant)}
    contacts = {one.contact for one in found.values() if one.contact is not None}
    known = services.hub.people(tie.tenant, contacts).values()
    named = {contact.id: contact for contact in passages.allowed(services, tie.tenant, EXIT, known)}
    names = {id: contact.person.name for id, contact in named.items()}
    records = services.hub.where(tie.tenant, contacts)
    told = {}
    for one in found.values():
        there = records.get(one.contact, []) if one.contact is not None else []
        places = who.places(tie, there)
        record = tenant.matching.record(places)
        user = users.get(one.user) if one.user is not None else None
        name = (names.get(one.contact, "") if one.contact is not None else "") or _shown(one, tenant)
        told[one.id] = Day(
            one,
            Thread(
                marker=str(one.id),
                subject=_subject(one, name),
                day=one.day,
                words=conversation.words(one.messages, str(one.id), zone_of(tenant), name, speaker(users.values())),
                owner=user.remote_id if user is not None else record.owner if record is not None else "",
                record=record.key if record is not None else None,
                beside=tenant.matching.beside(record, places),
            ),
            named.get(one.contact) if one.contact is not None else None,
        )
    return told


def _subject(one: Conversation, name: str) -> str:
    first = one.messages[0]
    if not first.fax:
        return f"Text messages with {name}"
    went = f"Fax from {name}" if first.direction == "inbound" else f"Fax to {name}"
    return f"{went}, not delivered" if first.failed else went


def _shown(one: Conversation, tenant: Tenant) -> str:
    read = phone.read(one.customer, tenant.region)
    return phone.shown(read.e164) if read.e164 else one.customer or "a hidden number"


def speaker(users: Collection[User]) -> Callable[[TextEvent], str]:
    """Who of us wrote a message, by name where it says so."""
    by_email = {user.email.casefold(): user.name for user in users if user.email}
    by_extension = {user.extension: user.name for user in users if user.extension}

    def name_of(message: TextEvent) -> str:
        named = by_email.get(message.agent_email.casefold()) or by_extension.get(message.agent_extension)
        return named or "We"

    return name_of
