"""Going through a list of people to call: who is next, dialling them once, and what came of it.

How a try went is read from the book of calls whenever the list is looked at, so that nothing has to watch it meanwhile;
what the user says by hand counts as well. Who was picked from the contacts leaves the list when the contacts lose them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from domain import call_down, phone
from domain.call_down import EXT, MOST_LISTS, MOST_PEOPLE, ToCall
from domain.errors import Malformed, Missing, Trouble
from jobs import dialling, passages
from store.call_lists import Callee, CallList, CallLists
from store.finding import Contact
from store.tenants import Tenant, User

if TYPE_CHECKING:
    from jobs.services import Services

EXIT = "call list"  # the gate's name for it (`domain.limited_use`)
FOUND = 50
FAILED = ("dead", "dropped")  # of what we owe the phone system: nothing will ring

Said = Literal["reached", "not_reached", "skip", "nothing_rang", "again"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Somebody on a list, and who that is as far as we know."""

    callee: Callee
    contact: Contact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A list as it stands. `unrung`: why the one who is called was not; empty where they may have been."""

    listing: CallList
    people: Sequence[Named]
    unrung: str = ""

    @property
    def current(self) -> Named | None:
        """Who is called now, else whose turn it is."""
        waiting = (one for one in self.people if one.callee.state == "waiting")
        return next((one for one in self.people if one.callee.state == "calling"), next(waiting, None))

    @property
    def last(self) -> Named | None:
        """Who was dialled last and is called no more."""
        over = [
            (one.callee.dialled_at, place)
            for place, one in enumerate(self.people)
            if one.callee.dialled_at is not None and one.callee.state != "calling"
        ]
        return self.people[max(over)[1]] if over else None


def kept(services: Services) -> CallLists:
    """The lists of every tenant, as we keep them."""
    return CallLists(services.db, services.vault)


def own(services: Services, user: User, listing: UUID) -> CallList:
    """A list of this user's own. Raises Missing: whose it is otherwise is nobody's business."""
    found = kept(services).get(user.tenant, user.id, listing)
    if found is None:
        raise Missing("There is no such list.")
    return found


# ---- putting people on it -------------------------------------------------------------------------------------------


def make(services: Services, user: User, title: str, most_tries: int, numbers: Sequence[ToCall], *, actor: str) -> UUID:
    """Begin a list. Raises Malformed for too many lists or people."""
    if len(kept(services).all(user.tenant, user.id)) >= MOST_LISTS:
        raise Malformed(f"You have {MOST_LISTS} lists. Delete one first.", code="call_list.too_many")
    _room(0, numbers)
    with services.db.tenant(user.tenant) as database:
        row = kept(services).make(database, user.tenant, user.id, title, most_tries)
        many = kept(services).add(database, user.tenant, row, [(number, None) for number in numbers])
        services.ledger.write(
            database, user.tenant, "call_list.made", actor=actor, subject=f"call_lists:{row}", people=many
        )
    return row


def add(
    services: Services, user: User, listing: CallList, numbers: Sequence[tuple[ToCall, UUID | None]], *, actor: str
) -> int:
    """Put people at the end; who is on it already stays where they are. Raises Malformed for too many."""
    _room(listing.people, numbers)
    with services.db.tenant(user.tenant) as database:
        many = kept(services).add(database, user.tenant, listing.id, numbers)
        services.ledger.write(
            database, user.tenant, "call_list.filled", actor=actor, subject=f"call_lists:{listing.id}", people=many
        )
    return many


def _room(there: int, more: Collection[object]) -> None:
    if there + len(more) > MOST_PEOPLE:
        raise Malformed(f"At most {MOST_PEOPLE} people stand on one list.", code="call_list.full")


def find(services: Services, user: User, wanted: str, *, actor: str) -> list[Contact]:
    """Whom to put on a list: by number, else by the beginnings of names."""
    tenant = services.tenants.get(user.tenant)
    number = phone.read(wanted, tenant.region)
    if number.kind == "number":
        by_number = services.hub.who(tenant.id, number.e164)[:FOUND]
        return list(passages.people(services, tenant.id, EXIT, by_number, actor=actor).values())
    return passages.let_out(services, tenant.id, EXIT, services.hub.search(tenant.id, wanted, limit=FOUND), actor=actor)


def lines(contact: Contact, tenant: Tenant) -> list[ToCall]:
    """The numbers of a contact that can be called with a click."""
    written = [line.e164 + (f"{EXT}{line.extension}" if line.extension else "") for line in contact.person.lines]
    told = [call_down.to_call(one, tenant.dialling, tenant.region) for one in written if one]
    return list(dict.fromkeys(number for number in told if number is not None))


def picked(
    services: Services, user: User, chosen: Sequence[tuple[UUID, str]], *, actor: str
) -> list[tuple[ToCall, UUID | None]]:
    """Who was ticked, as they go on a list. Raises Missing for anybody, or any number, that is not theirs."""
    people = passages.people(services, user.tenant, EXIT, {contact for contact, _ in chosen}, actor=actor)
    tenant = services.tenants.get(user.tenant)
    told: list[tuple[ToCall, UUID | None]] = []
    for contact, e164 in chosen:
        theirs = lines(people[contact], tenant) if contact in people else []
        number = next((one for one in theirs if one.e164 == e164), None)
        if number is None:
            raise Missing("Somebody you chose is not there (any more). Look for them again.")
        told.append((number, contact))
    return told


# ---- looking at it --------------------------------------------------------------------------------------------------


def look(services: Services, user: User, listing: UUID, *, actor: str) -> Look:
    """A list as it stands, with what the book of calls says of the one who is called. Raises Missing."""
    one, unrung = _settled(services, user, own(services, user, listing))
    people = _named(services, user, one, actor)
    return Look(listing=one, people=people, unrung=unrung)


def turn(services: Services, user: User, listing: UUID) -> int:
    """Which turn the list is in, once the book of calls has been asked. Raises Missing."""
    return _settled(services, user, own(services, user, listing))[0].turn


def _settled(services: Services, user: User, one: CallList) -> tuple[CallList, str]:
    """Judge the try that is under way, where it is over; and say why nothing rang, where we know that."""
    if not one.states.get("calling"):
        return one, ""
    store = kept(services)
    calling = next((who for who in store.people(user.tenant, one.id) if who.state == "calling"), None)
    if calling is None:
        return own(services, user, one.id), ""
    heard = store.calls_of(user.tenant, user.id, calling.id)
    reached = call_down.reached((state, outcome) for _, state, outcome in heard)
    if reached is None:
        standing = services.effects.standing(user.tenant, dialling.key_of(services, user.tenant, _once(one, one.turn)))
        failed = not heard and standing is not None and standing[0] in FAILED
        return one, standing[1] if failed and standing is not None else ""
    state = call_down.after(calling.tries, one.most_tries, reached=reached)
    store.judge(user.tenant, one, calling, state, tries=calling.tries, call=heard[-1][0])
    return own(services, user, one.id), ""


def _named(services: Services, user: User, one: CallList, actor: str) -> list[Named]:
    """Everybody on it with their contact: the one who was picked, else the only one who has the number."""
    store = kept(services)
    found = store.people(user.tenant, one.id)
    having = services.hub.whose(user.tenant, {who.number.e164 for who in found})
    ids = {who.contact for who in found if who.contact is not None} | {id for ids in having.values() for id in ids}
    people = passages.people(services, user.tenant, EXIT, ids, actor=actor, subject=f"call_lists:{one.id}")
    told, gone = [], []
    for who in found:
        same = [people[id] for id in having.get(who.number.e164, []) if id in people]
        contact = people.get(who.contact) if who.contact is not None else None
        contact = contact or (same[0] if len(same) == 1 else None)
        if who.picked and not any(_has(one, who.number) for one in (*same, *filter(None, [contact]))):
            gone.append(who.id)
        else:
            told.append(Named(callee=who, contact=contact))
    if gone:
        store.remove(user.tenant, one.id, gone)
    return told


def _has(contact: Contact, number: ToCall) -> bool:
    return any(line.e164 == number.e164 for line in contact.person.lines)


# ---- going through it -----------------------------------------------------------------------------------------------


def dial(services: Services, user: User, one: CallList, callee: UUID, *, actor: str) -> bool:
    """Ring the user and then whose turn it is, once; False where another press was first. Raises what `ask` raises.

    The claim is committed before anything is asked for: what breaks in between rings nobody, never twice.
    """
    who = _on(services, user, one, callee)
    store = kept(services)
    if not store.claim(user.tenant, one, callee):
        return False
    try:
        dialling.ask(services, user, who.number.dialled, actor=actor, once=_once(one, one.turn + 1))
    except Trouble:
        store.unclaim(user.tenant, own(services, user, one.id), callee)
        raise
    return True


def _once(one: CallList, turn: int) -> str:
    """The name under which a press dials once: no two presses of a list share a turn."""
    return f"call list {one.id} {turn}"


def say(services: Services, user: User, one: CallList, callee: UUID, said: Said) -> bool:
    """Do as the user says; False where the list has turned since, or somebody is not in that state (any more)."""
    store, who = kept(services), _on(services, user, one, callee)
    if said == "nothing_rang":
        return who.state == "calling" and store.unclaim(user.tenant, one, callee)
    if said == "again":
        return who.state in call_down.OVER and store.judge(user.tenant, one, who, "waiting", tries=0)
    if said == "skip":
        return who.state == "waiting" and store.judge(user.tenant, one, who, "skipped", tries=who.tries)
    if who.state not in ("waiting", "calling"):
        return False
    tries = who.tries + (who.state == "waiting")  # dialled by hand, on some other telephone
    heard = store.calls_of(user.tenant, user.id, callee) if who.state == "calling" else []
    state = call_down.after(tries, one.most_tries, reached=said == "reached")
    return store.judge(user.tenant, one, who, state, tries=tries, call=heard[-1][0] if heard else None)


def note(services: Services, user: User, one: CallList, callee: UUID, text: str) -> None:
    """Keep what the user noted of somebody. Raises Missing."""
    if not kept(services).note(user.tenant, one.id, callee, text):
        raise Missing("Nobody such is on this list (any more).")


def remove(services: Services, user: User, one: CallList, callee: UUID, *, actor: str) -> None:
    """Take somebody off the list. Raises Missing."""
    if not kept(services).remove(user.tenant, one.id, [callee]):
        raise Missing("Nobody such is on this list (any more).")
    services.ledger.note(user.tenant, "call_list.shortened", actor=actor, subject=f"call_lists:{one.id}", people=1)


def _on(services: Services, user: User, one: CallList, callee: UUID) -> Callee:
    """Somebody on the list. Raises Missing."""
    found = next((who for who in kept(services).people(user.tenant, one.id) if who.id == callee), None)
    if found is None:
        raise Missing("Nobody such is on this list (any more).")
    return found


def delete(services: Services, user: User, listing: UUID, *, actor: str) -> None:
    """Forget a list of one's own, or an administrator anybody's. Raises Missing."""
    only = None if user.role == "admin" else user.id
    with services.db.tenant(user.tenant) as database:
        if not kept(services).delete(database, user.tenant, listing, user=only):
            raise Missing("There is no such list.")
        services.ledger.write(database, user.tenant, "call_list.deleted", actor=actor, subject=f"call_lists:{listing}")
