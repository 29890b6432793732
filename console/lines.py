"""Calls, people and mail as a page shows them: who it was, in words, with the way to their record.

Pages and the agent's panel share these, so that both say the same of the same call.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from console import words
from console.desk import Here
from console.words import Word
from domain import phone
from domain.contact import Person
from domain.deal import DEALS
from domain.matching import MODULES
from jobs import passages
from jobs.crm_pages import further, likeliest, page_of
from store.call_book import Kept
from store.connections import Tie
from store.finding import Contact, Whereabouts
from store.owed import WAITING, Owed

if TYPE_CHECKING:
    from jobs.services import Services

NOT_LOGGED = {"own": "our own number", "left_out": "left out"}
SIDES = {
    "zoho": "Zoho",
    "google": "Google",
    "google:others": "Google’s other contacts",
    "google:directory": "Google’s directory",
    "phonebook": "The telephone system’s phonebook",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A way out of the console, to a record where it is kept."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One call as a row of a list."""

    id: UUID
    direction: Word
    outcome: Word
    live: bool
    who: str  # the contact's name, else the number, else why there is neither
    company: str
    number: str  # as people read it; empty when it already stands in `who`
    contact: UUID | None
    several: bool  # others have the number too
    agent: str
    queue: str
    started_at: datetime
    answered_at: datetime | None
    talk_seconds: int
    unread: bool  # a voicemail nobody has opened
    logged: str
    trouble: str  # why it is not logged, where it should be
    failed: bool  # given up: somebody has to look
    activity: Link | None


def number(raw: str, region: str) -> str:
    """A number as people read it, or what it is instead of a number."""
    read = phone.read(raw, region)
    if read.kind == "anonymous":
        return "Number withheld"
    if read.kind == "extension":
        return f"Extension {read.extension}"
    return phone.shown(read.e164) if read.e164 else raw


def record_link(
    ties: Collection[Tie], connection: UUID, module: str, remote_id: str, text: str = "Open in {}"
) -> Link | None:
    """The page of a record in the CRM, when we know where its pages are."""
    tie = next((tie for tie in ties if tie.id == connection), None)
    address = page_of(ties, connection, module, remote_id)
    return Link(text=text.format(words.vendor(tie.vendor)), url=address) if tie is not None and address else None


def record_links(ties: Collection[Tie], places: Sequence[Whereabouts], order: Sequence[str] = MODULES) -> list[Link]:
    """The pages of a person's records, the likeliest first."""
    ordered = likeliest(places, order)
    links = [(place, record_link(ties, place.connection, place.module, place.remote_id)) for place in ordered]
    return [
        Link(text=f"{link.text} ({_called(ties, place)})", url=link.url) for place, link in links if link is not None
    ]


def _called(ties: Collection[Tie], place: Whereabouts) -> str:
    label = record_label(ties, place.module)
    return f"{label}: {place.name}" if place.name else label


def module_label(ties: Collection[Tie], module: str) -> str:
    """What people call a module."""
    told = (further(tie.facts).get(module, {}).get("label") for tie in ties if tie.kind == "crm")
    return str(next(filter(None, told), module))


def record_label(ties: Collection[Tie], module: str) -> str:
    """What a record of a module is called; of one that administrators made only the plural is known."""
    return module[:-1] if module in (*MODULES, DEALS) else module_label(ties, module)


def lines(services: Services, here: Here, calls: Sequence[Kept], ties: Collection[Tie] = ()) -> list[Line]:
    """Say of each call what a list shows, with one reading of the people and one of the users."""
    tenant = here.tenant.id
    known = {kept.contact for kept in calls if kept.contact is not None}
    people = passages.people(services, tenant, "calls", known, actor=here.actor)
    names = {user.id: user.name for user in services.tenants.users(tenant)} if calls else {}
    open_ones = [kept.id for kept in calls if kept.writer and not kept.activity]
    owed = services.effects.of_calls(tenant, open_ones)
    return [_line(here, kept, people, names, ties, owed.get(kept.id)) for kept in calls]


def _line(
    here: Here,
    kept: Kept,
    people: dict[UUID, Contact],
    names: dict[UUID, str],
    ties: Collection[Tie],
    owed: Owed | None,
) -> Line:
    call = kept.call
    contact = people.get(kept.contact) if kept.contact is not None else None
    shown = phone.shown(kept.e164) if kept.e164 else number(call.customer, here.tenant.region)
    name = contact.person.name if contact is not None else ""
    agent = names.get(kept.user, "") if kept.user is not None else ""
    inside = f"Extension {call.agent_extension}" if call.agent_extension else ""
    crm = next((tie for tie in ties if tie.kind == "crm"), None)
    logged, activity = "", None
    if call.state == "ended" and kept.writer:
        logged = "by PhoneBridge" if kept.writer == "bridge" else "not yet"
    if kept.activity and crm is not None:
        activity = record_link(ties, crm.id, "Calls", kept.activity, "In {}")
        logged = "in Zoho"
    failed = owed is not None and owed.state == "dead"
    waits = owed is not None and owed.state in WAITING
    if failed:
        logged = "failed"
    elif waits:
        logged = "waiting"
    elif kept.match in NOT_LOGGED:
        logged = NOT_LOGGED[kept.match]
    return Line(
        id=kept.id,
        direction=words.direction(call),
        outcome=words.outcome(call),
        live=call.state != "ended",
        who=name or shown,
        company=contact.person.company if contact is not None and contact.person.company != name else "",
        number=shown if name else "",
        contact=contact.id if contact is not None else None,
        several=kept.match == "several" and contact is not None,
        agent=agent or inside or call.agent_email,
        queue=call.queue,
        started_at=call.started_at,
        answered_at=call.answered_at,
        talk_seconds=call.talk_seconds,
        unread=kept.unread,
        logged=logged,
        trouble=words.reason(owed.reason) if owed is not None and (failed or waits) else "",
        failed=failed,
        activity=activity,
    )


def same_number(services: Services, here: Here, raw: str, way: str) -> list[Contact]:
    """Everybody who has this number; `way`: the exit they are shown through (`domain.limited_use`)."""
    return with_number(services, here, phone.read(raw, here.tenant.region).e164, way)


def with_number(services: Services, here: Here, e164: str, way: str) -> list[Contact]:
    """The same for a number that is understood already."""
    found = services.hub.who(here.tenant.id, e164) if e164 else []
    people = passages.people(services, here.tenant.id, way, found, actor=here.actor)
    return [people[contact] for contact in found if contact in people]


def sides(source: Sequence[str]) -> list[str]:
    """The sides a field came from, by name."""
    return [SIDES.get(side, side.capitalize()) for side in source]


def role(person: Person) -> str:
    """What somebody is, where: title and company in one line."""
    company = person.company if person.company != person.name else ""
    return ", ".join(filter(None, (person.title, company)))
