"""Mail beside the calls: the headers of messages exchanged with known contacts, for at most a day.

A push says that something happened, the history says what; a message with no known contact on it is read no further
and kept nowhere. Bodies are never kept: one is fetched when somebody opens it. The caller holds the `mail` lane.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from domain.errors import Malformed, NotAllowed, Trouble
from domain.mail import Message
from domain.ports import CursorLost, Mailbox, MailNews, in_batches
from integrations.google.push import read_push
from jobs import passages, privacy
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.inbox import Delivery, Inbox
from store.kept_out import covered
from store.mailbox import box
from store.tenants import User

log = structlog.get_logger()

CURSOR = "read.mail"
LOOKED = "read.mail.at"  # the cursor that keeps when that was
OVERLAP = timedelta(minutes=2)  # a message may be listed a little later than it is dated
WATCH_ALARM = timedelta(hours=48)  # of Gmail's seven days
MOST_CACHED = 100_000
EXIT = "message"  # the gate's name for an opened message (`domain.limited_use`)
HEADERS = 50  # messages a batch: Gmail advises no more, and a refused batch is asked for again as a whole


class WatchEnds(Trouble):
    """Gmail is about to stop telling us, although it is asked twice a day."""

    code = "mail.watch_ends"


def watch_mail(services: Services, tie: Tie, chore: Chore) -> None:
    """Ask Gmail to tell us of changes; the first time, remember where the mailbox stands."""
    if not services.settings.google_pubsub_topic:
        raise NotAllowed(
            "GOOGLE_PUBSUB_TOPIC is not set, so mail is looked for on the timetable.", code="mail.no_topic"
        )
    position, ends = services.mailbox(tie).watch(services.settings.google_pubsub_topic)
    if not services.connections.cursor(tie.tenant, tie.id, CURSOR):
        _stand(services, tie, position)
    services.connections.set_facts(tie.tenant, tie.id, watched_until=ends.isoformat())


def hear_mail(services: Services, tie: Tie, deliveries: list[Delivery]) -> None:
    """Pushes say only that something happened; many are one look."""
    understood: list[UUID] = []
    for delivery in deliveries:
        try:
            read_push(delivery.body)
            understood.append(delivery.id)
        except Malformed as error:
            services.inbox.failed(tie.tenant, delivery, error.code)
    if understood:
        look(services, tie)
    with services.db.tenant(tie.tenant) as database:
        Inbox.done(database, tie.tenant, understood)


def read_mail(services: Services, tie: Tie, chore: Chore) -> dict[str, int]:
    """The timetable's look, for pushes that never came."""
    return look(services, tie)


def look(services: Services, tie: Tie) -> dict[str, int]:
    """Catch up with the mailbox from where we stood; interrupted, the next look goes on where this one ended."""
    mailbox = services.mailbox(tie)
    cursor = services.connections.cursor(tie.tenant, tie.id, CURSOR)
    if not cursor:  # never looked before: begin here, old mail is nobody's business
        _stand(services, tie, mailbox.address()[1])
        return {"cached": 0, "removed": 0}
    began = services.db.now()
    counts = Counter({"cached": 0, "removed": 0})
    try:
        for news in mailbox.news(cursor):
            counts += _take(services, tie, mailbox, news)
            services.connections.set_cursor(tie.tenant, tie.id, CURSOR, news.cursor)
        services.connections.set_cursor(tie.tenant, tie.id, LOOKED, began.isoformat())
    except CursorLost:
        log.info("cursor_lost", tenant=str(tie.tenant), connection=str(tie.id))
        counts += _heal(services, tie, mailbox)
    services.connections.ok(tie.tenant, tie.id)
    _mind_the_watch(services, tie)
    told = {name: counts[name] for name in ("cached", "removed")}
    if told["cached"]:
        services.ledger.note(tie.tenant, "mail.cached", subject=f"connections:{tie.id}", messages=told["cached"])
    log.info("mail_read", tenant=str(tie.tenant), connection=str(tie.id), **told)
    return told


def _stand(services: Services, tie: Tie, position: str) -> None:
    services.connections.set_cursor(tie.tenant, tie.id, CURSOR, position)
    services.connections.set_cursor(tie.tenant, tie.id, LOOKED, services.db.now().isoformat())


def _take(services: Services, tie: Tie, mailbox: Mailbox, news: MailNews) -> Counter[str]:
    """Take over a part of the history."""
    services.mail.remove(tie.tenant, [key(tie, id) for id in news.removed])
    known = services.mail.some(tie.tenant, [key(tie, id) for id in news.labels])
    services.mail.renew(
        tie.tenant,
        [message.labelled(news.labels[message.id]) for message in known.values()],
    )
    back = [id for id in news.restored if key(tie, id) not in known and id not in news.added]
    return Counter(removed=len(news.removed), cached=_read(services, tie, mailbox, [*news.added, *back]))


def _read(services: Services, tie: Tie, mailbox: Mailbox, ids: Sequence[str]) -> int:
    cached = 0
    for batch in in_batches(ids, HEADERS):
        cached += _cache(services, tie, mailbox.headers(batch))
    return cached


def _cache(services: Services, tie: Tie, messages: list[Message]) -> int:
    """Keep the headers of messages with known contacts; the rest is forgotten here."""
    own = tie.label.strip().casefold()
    addresses = {address for message in messages for address in message.correspondents} - {own}
    known = services.hub.by_email(tie.tenant, addresses)
    blocks = privacy.kept_out(services).of(tie.tenant, tie.id)
    kept: list[tuple[Message, list[UUID | str]]] = []
    for message in messages:
        contacts = sorted({contact for address in message.correspondents for contact in known.get(address, [])})
        if contacts and not covered(blocks, message.correspondents):
            kept.append((replace(message, mailbox=tie.id.hex), [*contacts, box(tie.id.hex)]))
    return services.mail.put(tie.tenant, kept)


def _heal(services: Services, tie: Tie, mailbox: Mailbox) -> Counter[str]:
    """Read again what the lost part of the history was about: what came since the last look, and what went.

    Not further back than messages are kept: what is older would be gone by now. Where the mailbox stands is asked
    first, so that what comes meanwhile is in the history that follows; what is cached already is not read again.
    """
    _, newest = mailbox.address()
    edge = services.db.now() - timedelta(seconds=services.mail.cache_seconds)
    looked = services.connections.cursor(tie.tenant, tie.id, LOOKED)
    since = max(edge, datetime.fromisoformat(looked) - OVERLAP) if looked else edge
    there = {key(tie, id) for id in mailbox.since(edge)}
    cached = services.mail.of_contact(tie.tenant, box(tie.id.hex), limit=MOST_CACHED)
    gone = [message.key for message in cached if message.at >= edge and message.key not in there]
    counts = Counter(removed=services.mail.remove(tie.tenant, gone))
    known = {message.key for message in cached}
    missed = [id for id in reversed(mailbox.since(since)) if key(tie, id) not in known]
    for batch in in_batches(missed, HEADERS):
        messages = mailbox.headers(batch)
        counts["cached"] += _cache(services, tie, messages)
        if messages:  # so far it is healed, whatever comes between
            last = max(message.at for message in messages)
            services.connections.set_cursor(tie.tenant, tie.id, LOOKED, last.isoformat())
    _stand(services, tie, newest)
    services.ledger.note(tie.tenant, "mail.healed", subject=f"connections:{tie.id}", messages=len(missed))
    return counts


def key(tie: Tie, id: str) -> str:
    """What a message of this mailbox is called here."""
    return f"{tie.id.hex}.{id}"


def _mind_the_watch(services: Services, tie: Tie) -> None:
    """Say so, and ask again at once, when Gmail is about to stop telling us: it was to be asked twice a day."""
    until = tie.facts.get("watched_until")
    if not until or datetime.fromisoformat(until) - services.db.now() > WATCH_ALARM:
        return
    services.connections.trouble(tie.tenant, tie.id, WatchEnds.code)
    services.chores.hurry(tie.tenant, "watch.mail", tie.id)
    log.warning("watch_ends", tenant=str(tie.tenant), connection=str(tie.id), until=until)


def open_message(services: Services, *, user: User, message_id: str) -> Message | None:
    """Fetch a cached message's body for somebody who opens it. What is no longer cached cannot be opened."""
    cached = services.mail.get(user.tenant, message_id)
    tie = mailbox_of(services, user.tenant, cached) if cached is not None else None
    if cached is None or tie is None or not privacy.visible(services, user, [cached]):
        return None
    whole = services.mailbox(tie).message(cached.id)
    if whole is None:
        return None
    passages.let_out_mail(services, user.tenant, EXIT, [whole], actor=f"user:{user.id}")
    return replace(whole, mailbox=cached.mailbox)


def mailbox_of(services: Services, tenant: TenantId, message: Message) -> Tie | None:
    """The connection a message was read through, while there is one."""
    ties = services.connections.all(tenant, kind="workspace", connected=True)
    return next((tie for tie in ties if tie.id.hex == message.mailbox), None)
