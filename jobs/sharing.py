"""What an administrator decides about contacts in step, and what follows from it at once.

A choice is a fact of its connection. Whoever waited for a reason that may be gone is looked at again, and the exchange
of every address book is on the timetable from then on. Taking back what was overwritten is a write like any other.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from domain.agreement import Step
from domain.besides import SOURCES
from domain.contact import Person, Record, fold_email
from domain.errand import Errand
from domain.errors import Forbidden, Missing
from domain.own_account import holder
from domain.sharing import Sharing
from domain.telling import MANY, Change, Field, number_key
from domain.threeway import Side, taken_over
from jobs import both_ways, read_phonebook, views
from jobs.services import Services
from store.connections import Tie
from store.journal import Kept
from store.tenants import User

READS: Mapping[str, str] = {
    "crm": "read.crm",
    "workspace": "read.book",
    "telephony": read_phonebook.CHORE,
}


def choose(services: Services, tie: Tie, chosen: Sharing, *, actor: str) -> None:
    """Follow this choice from now on."""
    tenant, before = tie.tenant, Sharing.from_facts(tie.facts)
    services.connections.set_facts(tenant, tie.id, **chosen.as_facts())
    with services.db.tenant(tenant) as database:
        services.pairs.call_up_all(database, tenant)
        services.ledger.write(
            database,
            tenant,
            "contacts.chosen",
            actor=actor,
            subject=f"connections:{tie.id}",
            direction=chosen.direction,
            owner=dict(chosen.owner),
            labels=len(chosen.only),
            views=len(chosen.views),
            paused=chosen.paused,
        )
    if (chosen.only, chosen.views) != (before.only, before.views):
        # read from the beginning: who takes part now may have been there for years
        services.connections.set_cursor(tenant, tie.id, READS[tie.kind], "")
        views.begin_anew(services, tie, {*before.views, *chosen.views})
        services.chores.hurry(tenant, READS[tie.kind], tie.id)
    every = services.settings.contacts_sync_seconds
    for book in services.connections.all(tenant, kind="workspace", connected=True):
        if holder(book.facts) is not None:  # what a user connected for themselves is read, and agreed with nobody
            continue
        services.chores.set_up(tenant, book.id, both_ways.CHORE, lane="contacts", every_seconds=every)
    services.ring(tenant, "contacts")


def pause(services: Services, tie: Tie, paused: bool, *, actor: str) -> None:
    """Stop reading and writing a connection's contacts, or go on where it stopped."""
    now = Sharing.from_facts(services.connections.get(tie.tenant, tie.id).facts)
    if now.paused == paused:
        return
    choose(services, tie, replace(now, paused=paused), actor=actor)
    if not paused:
        services.effects.wake(tie.tenant, tie.id)
        for kind in (READS[tie.kind], *(source.chore for source in SOURCES), "write.phonebook"):
            services.chores.hurry(tie.tenant, kind, tie.id)


# ---- taking back --------------------------------------------------------------------------------------------------


def undo(services: Services, user: User, line: UUID) -> None:
    """Owe the side that lost a value the value back. Raises Missing, or Forbidden where it cannot be."""
    tenant = user.tenant
    kept = services.journal.get(tenant, line)
    if kept is None or not kept.undoable or kept.line.side is None:
        raise Missing("There is nothing to take back.")
    side = kept.line.side
    tie = services.connections.get(tenant, kept.crm if side == "left" else kept.book)
    if tie.state != "active" or not both_ways.writes(services, tie):
        raise Forbidden(
            "The permission to write there is missing, so nothing can be put back.", code="undo.not_allowed"
        )
    step = _step(services, kept, tie, side)
    with services.db.tenant(tenant) as database:
        if not services.journal.turn(database, tenant, kept.id, "asked", ("open",)):
            raise Missing("There is nothing to take back.")
        services.journal.asked_by(database, tenant, kept.id, user.id)
        services.effects.plan(
            database,
            tenant,
            both_ways.KIND,
            f"{both_ways.KIND}:undo:{uuid.uuid4()}",
            connection=kept.book,
            lane="contacts",
            payload=Errand(crm=kept.crm, steps=[step], undo=kept.id).as_data(),
        )
        services.ledger.write(
            database,
            tenant,
            "contacts.undone",
            actor=f"user:{user.id}",
            subject=f"journal:{kept.id}",
            why=kept.line.why,
        )
    services.ring(tenant, "contacts")


def _step(services: Services, kept: Kept, tie: Tie, side: Side) -> Step:
    """What it takes: the field as it was, over the record as it is now; or the whole person anew."""
    lost = kept.line.lost or Person()
    if kept.line.about == "record":
        return Step(do="create", side=side, person=lost)
    key = kept.line.keys[side]
    link = services.hub.links(tie.tenant, tie.id, {key}).get(key)
    if link is None:
        raise Missing("The record is not there any more.")
    name: Field = kept.line.about  # type: ignore[assignment]  # a line is about a field or the whole record
    now = Record(module=key[0], remote_id=key[1], person=link.mark)
    wanted = _added(name, link.mark, lost) if name in MANY else taken_over(name, link.mark, lost)
    change = Change(module=key[0], remote_id=key[1], was=link.mark, wanted=wanted, fields=frozenset({name}))
    return Step(
        do="update",
        changes={side: change},
        left=now if side == "left" else None,
        right=now if side == "right" else None,
    )


def _added(name: Field, now: Person, lost: Person) -> Person:
    """What stands there, and what was lost behind it."""
    if name == "emails":
        known = set(map(fold_email, now.emails))
        return replace(now, emails=(*now.emails, *(one for one in lost.emails if fold_email(one) not in known)))
    numbers = set(map(number_key, now.lines))
    return replace(now, lines=(*now.lines, *(one for one in lost.lines if number_key(one) not in numbers)))
