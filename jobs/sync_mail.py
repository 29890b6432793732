"""Mail beside the calls: the headers of messages exchanged with known contacts, for at most a day.

A push says that something happened, the history says what; a message with no known contact on it is read no further
and kept nowhere. Bodies are never kept: one is fetched when somebody opens it. The caller holds the `mail` lane.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from domain.errors import Malformed, Missing, NotAllowed
from domain.mail import Message
from domain.ports import CursorLost, MailNews, in_batches
from integrations.google.push import read_push
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie
from store.inbox import Delivery, Inbox
from store.tenants import User

log = structlog.get_logger()

CURSOR = "read.mail"
HEADERS = 50  # messages a batch: Gmail advises no more, and a refused batch is asked for again as a whole


def watch_mail(services: Services, tie: Tie, chore: Chore) -> None:
    """Ask Gmail to tell us of changes; the first time, remember where the mailbox stands."""
    if not services.settings.google_pubsub_topic:
        raise NotAllowed(
            "GOOGLE_PUBSUB_TOPIC is not set, so mail is looked for on the timetable.", code="mail.no_topic"
        )
    position, ends = services.mailbox(tie).watch(services.settings.google_pubsub_topic)
    if not services.connections.cursor(tie.tenant, tie.id, CURSOR):
        services.connections.set_cursor(tie.tenant, tie.id, CURSOR, position)
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
    """Catch up with the mailbox from where we stood."""
    mailbox = services.mailbox(tie)
    own, newest = mailbox.address()
    cursor = services.connections.cursor(tie.tenant, tie.id, CURSOR)
    if not cursor:  # never looked before: begin here, old mail is nobody's business
        services.connections.set_cursor(tie.tenant, tie.id, CURSOR, newest)
        return {"cached": 0, "removed": 0}
    try:
        news = mailbox.news(cursor)
    except CursorLost:
        log.info("cursor_lost", tenant=str(tie.tenant), connection=str(tie.id))
        news = MailNews(cursor=newest)
    counts = {"cached": 0, "removed": len(news.removed)}
    for batch in in_batches(news.added, HEADERS):
        counts["cached"] += _cache(services, tie, own, mailbox.headers(batch))
    services.mail.remove(tie.tenant, news.removed)
    services.connections.set_cursor(tie.tenant, tie.id, CURSOR, news.cursor or newest)
    services.connections.ok(tie.tenant, tie.id)
    if counts["cached"]:
        services.ledger.note(tie.tenant, "mail.cached", subject=f"connections:{tie.id}", messages=counts["cached"])
    log.info("mail_read", tenant=str(tie.tenant), connection=str(tie.id), **counts)
    return counts


def _cache(services: Services, tie: Tie, own: str, messages: list[Message]) -> int:
    """Keep the headers of messages with known contacts; the rest is forgotten here."""
    addresses = {address for message in messages for address in message.correspondents} - {own.casefold()}
    known = services.hub.by_email(tie.tenant, addresses)
    kept = [
        (message, sorted({contact for address in message.correspondents for contact in known.get(address, [])}))
        for message in messages
    ]
    return services.mail.put(tie.tenant, [(message, contacts) for message, contacts in kept if contacts])


def open_message(services: Services, *, user: User, message_id: str) -> Message | None:
    """Fetch a cached message's body for somebody who opens it. What is no longer cached cannot be opened."""
    if services.mail.get(user.tenant, message_id) is None:
        return None
    for tie in services.connections.all(user.tenant, kind="workspace", connected=True):
        try:
            message = services.mailbox(tie).message(message_id)
        except (Missing, NotAllowed):
            continue
        if message is not None:
            return message
    return None
