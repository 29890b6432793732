"""Somebody pressed something on a card. Each press may come twice, and what it does is done once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from domain import phone
from domain.errors import Forbidden, Malformed, Missing, NotAllowed
from integrations.google.cards import answers
from integrations.google.cards.pages import asides, calls, forms, who
from integrations.google.cards.pieces import Json
from integrations.google.cards.views import Called
from integrations.google.hosts import CALENDAR, COMPOSE
from jobs import dialling, leads, remarks, text_sending
from jobs.cards import look, triggers
from jobs.cards.reader import Reader, id_of
from store.call_book import Kept

LATER = timedelta(hours=2)  # when a call-back is proposed for: the next half hour after that
HALF_HOUR = timedelta(minutes=30)
MOST_KEY = 128


def answer(reader: Reader) -> Json:
    """Do what was pressed. Raises Missing for a button there is none of."""
    press = PRESSES.get(reader.event.told.get("do", ""))
    if press is None:
        raise Missing
    return press(reader)


def told(reader: Reader, name: str, most: int = 1_000) -> str:
    """A word of a button or a field."""
    value = reader.event.told.get(name, "").strip()
    if len(value) > most:
        raise Malformed("This is too long.", code="field.invalid")
    return value


def home(reader: Reader) -> Json:
    return triggers.home(reader)


def reopen(reader: Reader) -> Json:
    """What a host opened, once more."""
    return triggers.answer(reader, told(reader, "what"))


# ---- calling --------------------------------------------------------------------------------------------------------


def dial(reader: Reader) -> Json:
    """Ring the user's telephone, then a number: once for each button there was."""
    return ring(reader, told(reader, "number", phone.LONGEST), told(reader, "key", MOST_KEY), told(reader, "who"))


def ring(reader: Reader, number: str, key: str, name: str = "") -> Json:
    """The same for a number from elsewhere."""
    if not number or not key:
        raise Malformed("This number cannot be dialled from here.", code="dial.impossible")
    if dialling.system_of(reader.services, reader.tenant.id) is None:
        return reader.envelope.show(asides.wrong(reader.words, reader.words("dial.none")))
    asked = dialling.ask(reader.services, reader.user, number, actor=reader.actor, once=f"card {reader.user.id} {key}")
    called = Called(
        number=look.number(reader, number),
        line=asked.extension,
        then=asked.spelt.then,
        new=asked.new,
        who=name,
    )
    return reader.envelope.show(calls.called(called, reader.words))


# ---- people ---------------------------------------------------------------------------------------------------------


def person(reader: Reader) -> Json:
    """Somebody from a list: by our id, by a number or by an address."""
    contact, raw, email = told(reader, "contact"), told(reader, "number"), told(reader, "email")
    found = look.person(reader, id_of(contact)) if contact else None
    if found is None and contact and not raw:
        raise Missing
    if found is None and raw:
        return whoever(reader, raw)
    shown = found or look.stranger(reader, email=email, name=told(reader, "name"))
    return reader.envelope.show(who.person(shown, reader.words))


def find(reader: Reader) -> Json:
    """Look for somebody by name, number or address."""
    return whoever(reader, told(reader, "what", 200))


def whoever(reader: Reader, what: str) -> Json:
    """The one person that is, or all of them."""
    words = reader.words
    found = look.find(reader, what)
    if len(found) == 1:
        whole = look.person(reader, id_of(found[0].id)) if found[0].id else None
        return reader.envelope.show(who.person(whole or found[0], words))
    title = words("found", what=what[:60])
    return reader.envelope.show(who.people(found, words, title, none=words("found.none", what=what[:60]), name="found"))


# ---- notes and leads ------------------------------------------------------------------------------------------------


def note(reader: Reader) -> Json:
    """The form for a note on a call, with what was noted before."""
    kept = _own_call(reader)
    (shown,) = look.past(reader, [kept])
    chosen = kept.remark.disposition if kept.remark is not None else ""
    known = reader.tenant.wishes.dispositions
    offered = (*known, chosen) if chosen and chosen not in known else known
    return reader.envelope.show(forms.note(shown, reader.words, offered, chosen))


def keep_note(reader: Reader) -> Json:
    """Keep it; told twice, nothing changes."""
    remarks.remark(
        reader.services,
        reader.tenant,
        _own_call(reader).id,
        note=told(reader, "note", forms.MOST_NOTE),
        disposition=told(reader, "how"),
        user=reader.user,
    )
    return reader.envelope.home(reader.words("note.kept"))


def lead(reader: Reader) -> Json:
    """The form for somebody nobody knows, with what is known of them."""
    name = told(reader, "name").split()
    raw = told(reader, "number")
    return reader.envelope.show(
        forms.lead(
            reader.words,
            number=phone.shown(phone.read(raw, reader.tenant.region).e164 or raw),
            family=name[-1] if name else "",
            given=" ".join(name[:-1]),
            company="",
        )
    )


def make_lead(reader: Reader) -> Json:
    """Have the CRM make it, once for a number; what cannot be read comes back to be put right."""
    words = reader.words
    said = {name: told(reader, name) for name in ("family", "given", "company", "number")}
    read = phone.read(said["number"], reader.tenant.region)
    if read.kind != "number" or not said["family"] or max(map(len, said.values())) > forms.MOST_NAME:
        trouble = words("number.bad" if said["family"] else "field.bad")
        return reader.envelope.show(forms.lead(words, **said, trouble=trouble), place="updateCard")
    new = leads.ask_for(
        reader.services,
        reader.user,
        read.e164,
        family=said["family"],
        given=said["given"],
        company=said["company"],
    )
    return reader.envelope.home(words("lead.made" if new else "lead.there"))


# ---- text messages --------------------------------------------------------------------------------------------------


def text(reader: Reader) -> Json:
    """The form for a text message."""
    return reader.envelope.show(
        forms.text(reader.words, who=told(reader, "who"), number=told(reader, "number"), key=reader.key())
    )


def send_text(reader: Reader) -> Json:
    """Have it sent, once for each form there was; an empty one comes back to be written."""
    words, number, key = reader.words, told(reader, "number", phone.LONGEST), told(reader, "key", MOST_KEY)
    said = told(reader, "text", forms.MOST_TEXT)
    if not said or not key:
        again = {"who": told(reader, "who"), "number": number, "key": key or reader.key()}
        return reader.envelope.show(forms.text(words, **again, trouble=words("field.bad")), place="updateCard")
    text_sending.ask(reader.services, reader.user, number, said, actor=reader.actor, once=f"card {key}")
    return reader.envelope.home(words("text.sent"))


# ---- call-backs -----------------------------------------------------------------------------------------------------


def later(reader: Reader) -> Json:
    """The form for a call-back, for a while from now."""
    at = reader.words.now + LATER
    at += HALF_HOUR - timedelta(minutes=at.minute % 30, seconds=at.second, microseconds=at.microsecond)
    form = forms.later(reader.words, who=told(reader, "who"), number=told(reader, "number"), at=at, key=reader.key())
    return reader.envelope.show(form)


def keep_later(reader: Reader) -> Json:
    """Put it into the user's calendar, and their last call with that number on the list of call-backs."""
    words, at = reader.words, reader.event.moment("at")
    who, number, key = told(reader, "who"), told(reader, "number"), told(reader, "key", MOST_KEY)
    title = told(reader, "title", 2 * forms.MOST_NAME) or words("later.title", who=who)
    if at is None or not key or at.replace(tzinfo=words.zone) <= words.now:
        proposed = (at or (words.now + LATER)).replace(tzinfo=words.zone)
        again = {"who": who, "number": number, "at": proposed, "key": key or reader.key(), "title": title}
        form = forms.later(words, **again, trouble=words("when.bad"))  # type: ignore[arg-type]  # each is of its own type
        return reader.envelope.show(form, place="updateCard")
    if not reader.event.may(CALENDAR):
        return answers.permission([CALENDAR])
    read = phone.read(number, reader.tenant.region)
    shown = phone.shown(read.e164) if read.e164 else number
    try:
        reader.lent.appoint(
            f"{reader.user.id} {key}",
            title=title,
            text=words("later.told", number=shown) if shown else "",
            at=at,
            zone=str(words.zone),
        )
    except NotAllowed:
        return answers.permission([CALENDAR])
    _list(reader, read.e164)
    return reader.envelope.home(words("later.kept"))


def _list(reader: Reader, e164: str) -> None:
    """Their last call with this number is to be returned by this user."""
    services, tenant = reader.services, reader.tenant.id
    known = services.calls.some(tenant, services.calls.of_number(tenant, e164)) if e164 else {}
    last = max(known.values(), key=lambda kept: kept.call.started_at, default=None)
    before = services.callbacks.get(tenant, last.id) if last is not None else None
    if last is None or (before is not None and before.state == "open" and before.user == reader.user.id):
        return
    with services.db.tenant(tenant) as database:
        services.callbacks.put(database, tenant, last.id, user=reader.user.id, by=reader.user.id)
        services.ledger.write(
            database,
            tenant,
            "callback.asked",
            actor=reader.actor,
            subject=f"calls:{last.id}",
            user=str(reader.user.id),
        )


# ---- messages and files ---------------------------------------------------------------------------------------------


def insert(reader: Reader) -> Json:
    """Write a call's summary into the message somebody writes."""
    (shown,) = look.past(reader, [_call(reader)])
    if not reader.event.may(COMPOSE):
        return answers.permission([COMPOSE])
    return answers.insert(forms.summary_text(shown, reader.words))


def ask_for_file(reader: Reader) -> Json:
    """Have the host ask whether we may see the file that is open."""
    file = reader.event.file
    if reader.event.host not in triggers.WITH_FILES:
        raise Missing
    return answers.ask_for_file(reader.event.host, file.id if file is not None else "")


def _call(reader: Reader) -> Kept:
    """The call a button names."""
    kept = reader.services.calls.get(reader.tenant.id, id_of(told(reader, "call")))
    if kept is None or kept.match == "left_out":
        raise Missing
    return kept


def _own_call(reader: Reader) -> Kept:
    """One this user may remark on."""
    kept = _call(reader)
    if not look.remarkable(reader, kept):
        raise Forbidden("You may remark on calls of your own.", code="call.not_yours")
    return kept


PRESSES: dict[str, Callable[[Reader], Json]] = {
    "home": home,
    "open": reopen,
    "dial": dial,
    "person": person,
    "find": find,
    "note": note,
    "note.keep": keep_note,
    "lead": lead,
    "lead.make": make_lead,
    "later": later,
    "later.keep": keep_later,
    "text": text,
    "text.send": send_text,
    "insert": insert,
    "file.ask": ask_for_file,
}
