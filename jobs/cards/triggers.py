"""A host opened something: its homepage, a message, a meeting, a file, a message somebody writes."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Sequence
from dataclasses import replace

from domain import spotting
from domain.contact import fold_email
from domain.errors import Missing, NotAllowed
from domain.mail import Message
from integrations.google.cards import answers
from integrations.google.cards.pages import calls, forms, who
from integrations.google.cards.pieces import Json
from integrations.google.cards.views import Person
from integrations.google.hosts import MESSAGE, MESSAGE_TEXT
from integrations.google.lent import EXPORTS, KINDS
from jobs.cards import look
from jobs.cards.reader import Reader, id_of

SPOTTED = 5  # numbers of an open message
FILE_NUMBERS = 20
MOST_PEOPLE = 50  # on a message or in a meeting, who are looked up
WITH_FILES = frozenset({"DRIVE", "DOCS", "SHEETS", "SLIDES"})


def answer(reader: Reader, kind: str) -> Json:
    """Answer by what was opened. Raises Missing for what cannot be, and what Google says."""
    known: dict[str, Callable[[Reader], Json]] = {
        "home": home,
        "message": message,
        "meeting": meeting,
        "file": file,
        "compose": compose,
    }
    if kind not in known:
        raise Missing
    return known[kind](reader)


def home(reader: Reader) -> Json:
    """The dialler; in an editor also a way to find the numbers of the file that is open."""
    file = reader.event.host in WITH_FILES and (reader.event.host != "DRIVE" or reader.event.file is not None)
    return reader.envelope.show(calls.home(look.home(reader, file=file), reader.words))


# ---- the open message -----------------------------------------------------------------------------------------------


def message(reader: Reader) -> Json:
    """Who is on the open message. Nothing of it is kept."""
    opened = reader.event.message
    if opened is None:
        return home(reader)
    if not reader.event.may(MESSAGE, MESSAGE_TEXT):
        return answers.permission([MESSAGE])
    try:
        read = reader.lent.message(opened, whole=reader.event.scopes is not None and reader.event.may(MESSAGE_TEXT))
    except NotAllowed:
        return answers.permission([MESSAGE])
    numbers = spotting.spot(read.body, reader.tenant.region, SPOTTED) if read.body else []
    return _some(reader, _on_message(reader, read, numbers), "people.here")


def _on_message(reader: Reader, read: Message, numbers: Sequence[str]) -> list[Person]:
    """Whoever wrote it first, then the others; the reader themself is left out. Numbers in its text are the sender's
    where nobody else is known to have them."""
    sender = [fold_email(address) for _, address in email.utils.getaddresses([read.sender])]
    named = email.utils.getaddresses([read.sender, *read.to])
    addresses = {fold_email(address): name for name, address in named if "@" in address}
    found = _by_address(reader, addresses)
    return [
        _with_numbers(reader, replace(one, writes=True), numbers) if address in sender else one
        for address, one in found
    ]


def _with_numbers(reader: Reader, one: Person, numbers: Sequence[str]) -> Person:
    theirs = {known.number for known in one.numbers}
    others = reader.services.hub.whose(reader.tenant.id, numbers)
    new = [look.number(reader, each) for each in numbers if each not in theirs and each not in others]
    return replace(one, numbers=(*one.numbers, *new))


def _by_address(reader: Reader, addresses: dict[str, str]) -> list[tuple[str, Person]]:
    """Everybody with one of these addresses, known or not, in their order, each once; not the reader."""
    services, tenant = reader.services, reader.tenant
    wanted = [address for address in addresses if address not in reader.mine][:MOST_PEOPLE]
    whose = services.hub.by_email(tenant.id, wanted)
    known = {one.id: one for one in look.some(reader, {ids[0] for ids in whose.values()})}
    colleagues = {fold_email(user.email): user for user in services.tenants.users(tenant.id) if user.active}
    leads = services.connections.first(tenant.id, "crm") is not None
    found: dict[str, tuple[str, Person]] = {}
    for address in wanted:
        contact = known.get(str(whose[address][0])) if address in whose else None
        colleague = colleagues.get(address) if contact is None else None
        if contact is not None:
            found.setdefault(contact.id, (address, contact))
        elif colleague is not None:
            found[address] = (address, look.colleague(reader, colleague))
        else:
            found[address] = (address, Person(email=address, name=addresses[address], lead=leads))
    return list(found.values())


def _some(reader: Reader, people: Sequence[Person], title: str) -> Json:
    """One person whole, several as a list."""
    words = reader.words
    if len(people) == 1:
        (one,) = people
        whole = look.person(reader, id_of(one.id)) if one.id else None
        extra = [number for number in one.numbers if not one.id or number.number not in _numbers(whole)]
        shown = replace(whole, numbers=(*whole.numbers, *extra)) if whole is not None else one
        return reader.envelope.show(who.person(shown, words))
    return reader.envelope.show(who.people(people, words, words(title), none=words("people.none")))


def _numbers(person: Person | None) -> set[str]:
    return {number.number for number in person.numbers} if person is not None else set()


# ---- meetings, files, a message being written -----------------------------------------------------------------------


def meeting(reader: Reader) -> Json:
    """Who takes part, each callable."""
    people = [one for _, one in _by_address(reader, dict.fromkeys(reader.event.people, ""))]
    return _some(reader, people, "people.meeting")


def file(reader: Reader) -> Json:
    """The numbers of a file we were allowed to see, each with whose it is; before that, a way to allow it."""
    opened, words = reader.event.file, reader.words
    if opened is None or not opened.granted:
        return home(reader)
    kind = opened.kind or f"application/vnd.google-apps.{KINDS.get(reader.event.host, '')}"
    if kind not in EXPORTS:
        return reader.envelope.show(who.numbers([], words, words("file"), none=words("file.not"), name="numbers"))
    text, table = reader.lent.text(opened.id, kind)
    found = spotting.spot(spotting.cells(text) if table else text, reader.tenant.region, FILE_NUMBERS)
    whose = reader.services.hub.whose(reader.tenant.id, found)
    people = {one.id: one for one in look.some(reader, {ids[0] for ids in whose.values()})}
    names = {e164: people[str(ids[0])].name for e164, ids in whose.items() if str(ids[0]) in people}
    rows = [(look.number(reader, e164), names.get(e164, "")) for e164 in found]
    return reader.envelope.show(who.numbers(rows, words, words("file"), none=words("file.none"), name="numbers"))


def compose(reader: Reader) -> Json:
    """Which call to tell of in the message somebody writes."""
    recent = reader.services.calls.recent(reader.tenant.id, limit=forms.MOST_CALLS, user=reader.user.id)
    shown = look.past(reader, [kept for kept in recent if kept.call.state == "ended"])
    reader.services.ledger.note(reader.tenant.id, "read.calls", actor=reader.actor, count=len(shown))
    return reader.envelope.show(forms.summary(shown, reader.words))
