"""Other contacts and the directory: read while somebody allows it, known for look-ups and pops, written nowhere.

Each has a position of its own and is held on its own when too many vanish at once. Switched off, or no longer allowed,
what it told goes at once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from domain.besides import SOURCES, Source, by_chore
from domain.errors import Refused
from domain.ports import CursorLost
from domain.sharing import Sharing
from jobs import sync_contacts
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie

log = structlog.get_logger()

A_DAY = timedelta(days=1)
NO_DIRECTORY = "google.no_directory"
NONE = "directory"  # the fact of a connection whose account has no directory: "none"


def read(services: Services, tie: Tie, chore: Chore, *, go_on: bool = False) -> dict[str, int]:
    """Read one of them since the last position; a lost position heals by one full read and a comparison."""
    source, chosen = by_chore(chore.kind), Sharing.from_facts(tie.facts)
    if chosen.paused or source.slug in chosen.stopped:
        return {}
    there = services.beside(tie, source)
    try:
        reading = there.read(_position(services, tie, source))
    except CursorLost:
        log.info("cursor_lost", tenant=str(tie.tenant), connection=str(tie.id))
        reading = there.read("")
    except Refused as error:
        if error.code != NO_DIRECTORY:
            raise
        services.connections.set_facts(tie.tenant, tie.id, **{NONE: "none"})
        return {}
    counts = sync_contacts.take(
        services, tie, reading.items, complete=reading.complete, go_on=go_on, modules=(source.module,)
    )
    services.connections.set_cursor(tie.tenant, tie.id, source.chore, reading.cursor)
    if reading.complete:
        services.connections.set_cursor(tie.tenant, tie.id, _whole(source), services.db.now().isoformat())
    return counts


def _whole(source: Source) -> str:
    return f"{source.chore}.whole"


def _position(services: Services, tie: Tie, source: Source) -> str:
    """Where to read on, or "" where everything is due."""
    if source.whole_each_day:
        last = services.connections.cursor(tie.tenant, tie.id, _whole(source))
        if not last or services.db.now() - datetime.fromisoformat(last) >= A_DAY:
            return ""
    return services.connections.cursor(tie.tenant, tie.id, source.chore)


def settle(services: Services, tie: Tie, on: Collection[str]) -> None:
    """Follow a consent: what it carries is read from now on, what it does not (any more) is forgotten."""
    stopped = Sharing.from_facts(tie.facts).stopped
    for source in SOURCES:
        if source.slug in on and source.slug not in stopped:
            every = services.settings.contacts_sync_seconds
            services.chores.set_up(tie.tenant, tie.id, source.chore, lane="contacts", every_seconds=every)
        else:
            forget(services, tie, source)


def choose(services: Services, tie: Tie, source: Source, wanted: bool, *, actor: str) -> None:
    """Stop reading one and forget what it told, or read it again."""
    chosen = Sharing.from_facts(tie.facts)
    others = tuple(slug for slug in chosen.stopped if slug != source.slug)
    stopped = others if wanted else (*others, source.slug)
    services.connections.set_facts(tie.tenant, tie.id, **replace(chosen, stopped=stopped).as_facts())
    went = 0
    if wanted:
        every = services.settings.contacts_sync_seconds
        services.chores.set_up(tie.tenant, tie.id, source.chore, lane="contacts", every_seconds=every)
    else:
        went = forget(services, tie, source)
    services.ledger.note(
        tie.tenant,
        "contacts.source",
        actor=actor,
        subject=f"connections:{tie.id}",
        source=source.slug,
        reads=wanted,
        forgotten=went,
    )
    services.ring(tie.tenant, "contacts")


def forget(services: Services, tie: Tie, source: Source) -> int:
    """Let go of everything it told, and of where we stood; return how many people that was."""
    for chore in services.chores.all(tie.tenant):
        if chore.connection == tie.id and chore.kind == source.chore:
            services.chores.end(tie.tenant, chore)
    for name in (source.chore, _whole(source)):
        if services.connections.cursor(tie.tenant, tie.id, name):
            services.connections.set_cursor(tie.tenant, tie.id, name, "")
    went = services.hub.forget(tie.tenant, tie.id, [source.module])
    if went:
        services.chores.hurry(tie.tenant, "write.phonebook")
    return went
