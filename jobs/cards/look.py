"""What of calls and people a card shows: read from what we keep, with as few questions as the card has parts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from domain import phone
from domain.contact import Line
from domain.remark import may_remark
from integrations.google.cards.views import Home, Number, Past, Person, Record
from jobs import crm_pages, dialling, follow_ups, passages, text_sending
from jobs.cards.reader import Reader
from jobs.services import Services
from store.call_book import Kept
from store.connections import Tie
from store.finding import Contact
from store.owed import WAITING
from store.sieve import Wanted
from store.tenants import User

EXIT = "cards"  # the gate's name for what cards show (`domain.limited_use`)
CALLS = 5  # of one person
RECENT, MISSED = 15, 10
FOUND = 20
OPEN_TASK = (*WAITING, "done")


def number(reader: Reader, raw: str, label: str = "") -> Number:
    """A number with a fresh key."""
    read = phone.read(raw, reader.tenant.region)
    shown = phone.shown(read.e164) if read.e164 else raw
    inside = f" ext {read.extension}" if read.e164 and read.extension else ""
    return Number(number=(read.e164 or raw) + inside, shown=shown + inside, key=reader.key(), label=label)


# ---- calls ----------------------------------------------------------------------------------------------------------


def home(reader: Reader, *, file: bool = False) -> Home:
    """A user's own calls, and the telephone that rings when they dial."""
    services, tenant, user = reader.services, reader.tenant, reader.user
    unanswered = [
        kept
        for outcome in ("missed", "voicemail")
        for kept in services.calls.recent(
            tenant.id, limit=MISSED, wanted=Wanted(outcome=outcome, customers=True, user=user.id)
        )
    ]
    after = follow_ups.missed(services).after(tenant.id, [kept.id for kept in unanswered])
    waiting = [kept for kept in unanswered if not any(later.spoke for later in after[kept.id])]
    waiting.sort(key=lambda kept: kept.call.started_at, reverse=True)
    told = {kept.id for kept in waiting[:MISSED]}  # none stands on a card twice
    recent = [kept for kept in services.calls.recent(tenant.id, limit=RECENT, user=user.id) if kept.id not in told]
    shown = past(reader, [*recent, *waiting])
    services.ledger.note(tenant.id, "read.calls", actor=reader.actor, count=len(shown))
    dials = dialling.system_of(services, tenant.id) is not None
    return Home(
        recent=shown[: len(recent)],
        missed=shown[len(recent) :][:MISSED],
        dials=dials,
        line=dialling.line_of(services, user) if dials else "",
        key=reader.key(),
        file=file,
    )


def past(reader: Reader, calls: Sequence[Kept]) -> list[Past]:
    """Calls as a card shows them, with one reading of the people."""
    known = {one.contact for one in calls if one.contact is not None}
    people = passages.people(reader.services, reader.tenant.id, EXIT, known, actor=reader.actor)
    return [one_past(reader, kept, people) for kept in calls]


def one_past(reader: Reader, kept: Kept, people: Mapping[UUID, Contact]) -> Past:
    """A call as a card shows it, with one of these people if it was with one."""
    call = kept.call
    contact = people.get(kept.contact) if kept.contact is not None else None
    read = phone.read(call.customer, reader.tenant.region)
    raw = kept.e164 or (call.customer if read.kind in ("number", "extension") else "")
    known = number(reader, raw) if raw else None
    return Past(
        id=str(kept.id),
        who=contact.person.name if contact is not None else "",
        direction=call.direction,
        outcome=call.outcome or "",
        at=call.started_at,
        seconds=call.talk_seconds,
        number=known,
        note=kept.remark.note if kept.remark is not None else "",
        contact=str(contact.id) if contact is not None else "",
    )


# ---- people ---------------------------------------------------------------------------------------------------------


def person(reader: Reader, contact: UUID) -> Person | None:
    """Everything of somebody we know."""
    services, tenant = reader.services, reader.tenant.id
    found = passages.people(services, tenant, EXIT, [contact], actor=reader.actor).get(contact)
    if found is None:
        return None
    services.ledger.note(tenant, "read.contact", actor=reader.actor, subject=f"contacts:{contact}")
    calls = services.calls.recent(tenant, limit=CALLS, contact=contact)
    ties = services.connections.all(tenant, kind="crm")
    made = _person(reader, found)
    return Person(
        id=made.id,
        name=made.name,
        role=made.role,
        email=made.email,
        numbers=made.numbers,
        records=_records(reader, contact, ties),
        calls=past(reader, calls),
        tasks=_tasks(services, reader, calls),
        noted=_noted(reader, calls),
        texts=writes(reader),
    )


def writes(reader: Reader) -> bool:
    """Whether text messages can be sent from here."""
    return text_sending.system_of(reader.services, reader.tenant.id) is not None


def stranger(reader: Reader, *, raw: str = "", email: str = "", name: str = "") -> Person:
    """Somebody nobody knows: their number or address, and what was said with that number."""
    services, tenant = reader.services, reader.tenant
    read = phone.read(raw, tenant.region)
    ids = services.calls.of_number(tenant.id, read.e164) if read.e164 else []
    calls = sorted(services.calls.some(tenant.id, ids).values(), key=lambda kept: kept.call.started_at, reverse=True)
    return Person(
        name=name,
        email=email,
        numbers=(number(reader, raw),) if raw else (),
        calls=past(reader, calls[:CALLS]),
        tasks=_tasks(services, reader, calls[:CALLS]),
        noted=_noted(reader, calls[:CALLS]),
        lead=services.connections.first(tenant.id, "crm") is not None,
        texts=read.kind == "number" and writes(reader),
    )


def some(reader: Reader, contacts: Collection[UUID]) -> list[Person]:
    """Several people, without their calls."""
    found = passages.people(reader.services, reader.tenant.id, EXIT, contacts, actor=reader.actor)
    reader.services.ledger.note(reader.tenant.id, "read.contacts", actor=reader.actor, count=len(found))
    return [_person(reader, found[contact]) for contact in contacts if contact in found]


def colleague(reader: Reader, user: User) -> Person:
    """Somebody who works here: their inside line, and nothing to be sold to them."""
    line = (number(reader, user.extension),) if user.extension else ()
    return Person(name=user.name, role=reader.tenant.name, email=user.email, numbers=line)


def find(reader: Reader, what: str) -> list[Person]:
    """People by number, by address, or by the beginning of a name; a number nobody has is somebody too."""
    services, tenant = reader.services, reader.tenant
    if "@" in what:
        return some(reader, [one for many in services.hub.by_email(tenant.id, [what]).values() for one in many])
    read = phone.read(what, tenant.region)
    if read.kind == "number":
        return some(reader, services.hub.who(tenant.id, read.e164)[:FOUND]) or [stranger(reader, raw=what)]
    named = services.hub.search(tenant.id, what, limit=FOUND)
    return some(reader, [one.id for one in passages.let_out(services, tenant.id, EXIT, named, actor=reader.actor)])


def _person(reader: Reader, found: Contact) -> Person:
    of = found.person
    company = of.company if of.company != of.name else ""
    return Person(
        id=str(found.id),
        name=of.name,
        role=", ".join(filter(None, (of.title, company))),
        email=of.emails[0] if of.emails else "",
        numbers=[number(reader, _dialled(line), line.label) for line in of.lines if line.e164 or line.raw],
    )


def _dialled(line: Line) -> str:
    return (f"{line.e164} ext {line.extension}" if line.extension else line.e164) if line.e164 else line.raw


def _records(reader: Reader, contact: UUID, ties: Sequence[Tie]) -> list[Record]:
    places = reader.services.hub.where(reader.tenant.id, [contact]).get(contact, [])
    records = []
    for place in crm_pages.likeliest(places, reader.tenant.matching.order):
        url = crm_pages.page_of(ties, place.connection, place.module, place.remote_id)
        if url:
            title = reader.services.title(place.vendor)
            records.append(Record(text=reader.words("open.in", where=title), url=url))
    return records


def _noted(reader: Reader, calls: Sequence[Kept]) -> str:
    """The latest of these calls this user may remark on."""
    return next((str(kept.id) for kept in calls if remarkable(reader, kept)), "")


def remarkable(reader: Reader, kept: Kept) -> bool:
    """As in the console: one's own calls, and every call for an administrator."""
    return may_remark(admin=reader.user.role == "admin", took_part=kept.user == reader.user.id)


def _tasks(services: Services, reader: Reader, calls: Sequence[Kept]) -> list[datetime]:
    """Calls that wait to be returned: put on the list by somebody, or a task of ours that is still open."""
    tenant, ids = reader.tenant.id, [kept.id for kept in calls]
    owed = follow_ups.missed(services).of_calls(tenant, ids)
    listed = {one.call for one in services.callbacks.open(tenant) if one.call in ids} if ids else set()
    open_ = {call for call, task in owed.items() if task.state in OPEN_TASK and not task.closing}
    return sorted(kept.call.started_at for kept in calls if kept.id in listed | open_)
