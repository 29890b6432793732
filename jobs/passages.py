"""The gate of Limited Use: whatever Google told us leaves through here, to somewhere that is declared, and noted.

One line lets people or messages out: `people(services, tenant, "calls", ids)`, `let_out(...)` for contacts that are at
hand, `let_out_mail(...)` for messages, `whole(...)` and `note_whole(...)` for an account's own words as they stand. The
exit's row in `domain.limited_use` says where it leads, and of which kinds nothing ever leaves there: that is left out
without a word. What came from an account whose consent is gone stays here: the contact is handed over as the other
sides know them, or not at all. A passage is a row in the tenant's ledger,
`google.passed`, with ids and counts; a refusal is `google.refused`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import Connection

from domain import limited_use
from domain.besides import GOOGLE, side_of
from domain.consent import standing
from domain.contact import Side
from domain.errors import Missing
from domain.limited_use import CONTACTS, PEOPLE, Exit, NotForThat
from domain.mail import Message
from domain.ports import in_batches
from store.database import TenantId
from store.finding import Contact

if TYPE_CHECKING:
    from jobs.services import Services

REPEAT_SECONDS = 600.0  # a page that asks again for the same people is one passage so long
BATCH = 5_000  # contacts in one look-up
REMEMBERED = 10_000  # passages of pages this process remembers
REPEATABLE = ("user",)  # sinks that ask for the same again and again; what is sent elsewhere is noted each time


def people(
    services: Services, tenant: TenantId, way: str, ids: Collection[UUID], *, actor: str = "system", subject: str = ""
) -> dict[UUID, Contact]:
    """The contacts with these ids, as far as they may leave there."""
    found = services.hub.people(tenant, ids).values()
    return {one.id: one for one in let_out(services, tenant, way, found, actor=actor, subject=subject)}


def let_out(
    services: Services,
    tenant: TenantId,
    way: str,
    contacts: Iterable[Contact],
    *,
    actor: str = "system",
    subject: str = "",
    reason: str = "",
) -> list[Contact]:
    """Hand over contacts, without what may not leave there, and note it."""
    passing = allowed(services, tenant, way, contacts, actor=actor, reason=reason)
    note(services, tenant, way, passing, actor=actor, subject=subject, reason=reason)
    return passing


def allowed(
    services: Services,
    tenant: TenantId,
    way: str,
    contacts: Iterable[Contact],
    *,
    actor: str = "system",
    reason: str = "",
    without: Collection[tuple[UUID, Side]] = (),
) -> list[Contact]:
    """The same without a note, for whoever has yet to see what really leaves; they call `note` then.

    `without`: as for `fitting`.
    """
    every = fitting(services, tenant, way, contacts, actor=actor, without=without)
    theirs = [one.id for one in every if from_google(one)]
    if not theirs:
        return every
    out = _exit(services, tenant, way, actor)
    kinds = {kind for one in every for kind in limited_use.kinds_in(one.source.values())}
    try:
        limited_use.check(out, "contacts", reason=reason, human_read=_reasons(services, tenant, out))
        why, shut = "limited_use.consent", _shut(services, tenant, kinds, standing_too=False)
    except NotForThat as refusal:
        why, shut = refusal.code, _shut(services, tenant, kinds)
        if why != "limited_use.no_reason":
            _refused(services, tenant, out, why, len(theirs), actor)
            raise
    held = _held(services, tenant, theirs, shut) if shut else set()
    if held:  # and what did not fit before must not come back with what others say
        _refused(services, tenant, out, why, len(held), actor)
        shut |= _shut(services, tenant, PEOPLE - CONTACTS - out.kinds)
    return _stripped(services, tenant, every, held, {*shut, *without})


def fitting(
    services: Services,
    tenant: TenantId,
    way: str,
    contacts: Iterable[Contact],
    *,
    actor: str = "system",
    without: Collection[tuple[UUID, Side]] = (),
) -> list[Contact]:
    """These contacts without the kinds that never leave there; who is known by nothing else is left out.

    `without`: what `untold` has left out already; it stays out.
    """
    every = list(contacts)
    known = {one.id: kinds for one in every if (kinds := limited_use.kinds_in(one.source.values()))}
    if not known:
        return every
    unfit = PEOPLE - CONTACTS - _exit(services, tenant, way, actor).kinds
    theirs = [id for id, kinds in known.items() if kinds & unfit]
    if not theirs:
        return every
    shut = _shut(services, tenant, unfit)
    return _stripped(services, tenant, every, _held(services, tenant, theirs, shut), {*shut, *without})


def untold(
    services: Services, tenant: TenantId, contacts: Iterable[Contact], without: Collection[tuple[UUID, Side]]
) -> list[Contact]:
    """These contacts without what these sides of connections say: nobody is told their own words."""
    every, sides = list(contacts), {side for _, side in without}
    theirs = [one.id for one in every if any(sides.intersection(told) for told in one.source.values())]
    return _stripped(services, tenant, every, _held(services, tenant, theirs, without), without)


def let_out_mail(
    services: Services,
    tenant: TenantId,
    way: str,
    messages: Sequence[Message],
    *,
    actor: str = "system",
    subject: str = "",
    pressed: bool = False,
) -> Sequence[Message]:
    """Hand over messages and note it. That they can be opened at all is their consent: its end destroys their key."""
    if messages:
        out = _exit(services, tenant, way, actor)
        with _refusing(services, tenant, out, len(messages), actor):
            limited_use.check(out, "mail", pressed=pressed)
        _passed(services, tenant, out, [message.id for message in messages], "messages", actor, subject)
    return messages


def note(
    services: Services,
    tenant: TenantId,
    way: str,
    contacts: Iterable[Contact],
    *,
    actor: str = "system",
    subject: str = "",
    reason: str = "",
    database: Connection | None = None,
) -> None:
    """Write down that what Google told us of these left there: one row, in the caller's transaction if there is one."""
    theirs = {one.id: one for one in contacts if from_google(one)}
    if not theirs:
        return
    out = limited_use.exit_named(way)
    if database is None and out.sink in REPEATABLE and not _noted.first_time(tenant, way, actor, theirs):
        return
    facts: dict[str, object] = {
        "exit": way,
        "sink": out.sink,
        "people": len(theirs),
        "fields": _fields(theirs.values()),
    }
    if reason:
        facts["because"] = reason
    if database is None:
        _write(services, tenant, "google.passed", actor, subject, facts)
    else:
        services.ledger.write(database, tenant, "google.passed", actor=actor, subject=subject, **facts)


def whole(services: Services, tenant: TenantId, way: str, account: UUID, count: int, *, actor: str = "system") -> None:
    """Ask whether what one account told us may leave there as it stands. Raises NotForThat, and writes it down."""
    out = _exit(services, tenant, way, actor)
    with _refusing(services, tenant, out, count, actor):
        limited_use.check(out, "contacts")
        if (account, GOOGLE) in _shut(services, tenant, CONTACTS, standing_too=False):
            raise NotForThat("The consent it came under has ended.", code="limited_use.consent")


def note_whole(
    services: Services, tenant: TenantId, way: str, ids: Collection[object], *, actor: str = "system", subject: str = ""
) -> None:
    """Write down that it left, of so many people."""
    _passed(services, tenant, limited_use.exit_named(way), ids, "people", actor, subject)


def from_google(contact: Contact) -> bool:
    """Is anything of this contact Google's word?"""
    return bool(limited_use.kinds_in(contact.source.values()))


def _fields(contacts: Iterable[Contact]) -> int:
    return sum(bool(limited_use.kinds_in([sides])) for one in contacts for sides in one.source.values())


def _exit(services: Services, tenant: TenantId, way: str, actor: str) -> Exit:
    try:
        return limited_use.exit_named(way)
    except Missing as undeclared:
        _write(services, tenant, "google.refused", actor, "", {"exit": "undeclared", "reason": undeclared.code})
        raise NotForThat(str(undeclared), code=undeclared.code) from None


def _reasons(services: Services, tenant: TenantId, out: Exit) -> tuple[str, ...]:
    """For what the tenant's profile lets staff read what Google told us; looked up only where staff would."""
    if not limited_use.sink(out.sink).reason_asked:
        return ()
    return services.profiles.get(services.tenants.get(tenant).profile).google.human_read


def _shut(
    services: Services, tenant: TenantId, kinds: Collection[str], *, standing_too: bool = True
) -> set[tuple[UUID, Side]]:
    """The tenant's Google accounts and what they say of these kinds; `standing_too=False`: only where the consent that
    carried it is gone."""
    features = services.providers[GOOGLE].features
    found: set[tuple[UUID, Side]] = set()
    for tie, scopes in services.grants.standing(tenant, GOOGLE).items():
        on = {one.feature.slug for one in standing(features, scopes) if one.on}
        gone = [slug for slug in kinds if standing_too or not limited_use.allows(slug, on)]
        found |= {(tie, limited_use.kind(slug).side) for slug in gone}
    return found


def _held(
    services: Services, tenant: TenantId, ids: Collection[UUID], shut: Collection[tuple[UUID, Side]]
) -> set[UUID]:
    """Those among them of whom one of these told us."""
    return {
        one
        for batch in in_batches(ids, BATCH)
        for one, places in services.hub.where(tenant, batch).items()
        if any((place.connection, side_of(place.vendor, place.module)) in shut for place in places)
    }


def _stripped(
    services: Services,
    tenant: TenantId,
    every: list[Contact],
    held: Collection[UUID],
    shut: Collection[tuple[UUID, Side]],
) -> list[Contact]:
    """The held ones as everybody else knows them, the others as they are."""
    if not held:
        return every
    known: dict[UUID, Contact] = {}
    for batch in in_batches(held, BATCH):
        known |= services.hub.people_without(tenant, batch, shut)
    return [known.get(one.id, one) for one in every if one.id in known or one.id not in held]


@contextmanager
def _refusing(services: Services, tenant: TenantId, out: Exit, count: int, actor: str) -> Iterator[None]:
    """Write down a refusal on its way."""
    try:
        yield
    except NotForThat as refusal:
        _refused(services, tenant, out, refusal.code, count, actor)
        raise


def _passed(
    services: Services, tenant: TenantId, out: Exit, ids: Collection[object], what: str, actor: str, subject: str
) -> None:
    """Write down that so many left, unless it was written down lately for who asks again and again."""
    if out.sink not in REPEATABLE or _noted.first_time(tenant, out.slug, actor, ids):
        facts = {"exit": out.slug, "sink": out.sink, what: len(ids)}
        _write(services, tenant, "google.passed", actor, subject, facts)


def _refused(services: Services, tenant: TenantId, out: Exit, code: str, count: int, actor: str) -> None:
    if _noted.first_time(tenant, f"{out.slug} {code}", actor, [count]):
        facts = {"exit": out.slug, "sink": out.sink, "reason": code, "count": count}
        _write(services, tenant, "google.refused", actor, "", facts)


def _write(
    services: Services, tenant: TenantId, action: str, actor: str, subject: str, facts: Mapping[str, object]
) -> None:
    """Add a row now, also while whoever asks only has a look (`Database.reading`)."""
    with services.db.apart(tenant) as database:
        services.ledger.write(database, tenant, action, actor=actor, subject=subject, **facts)


class _Noted:
    """Which passages this process noted lately: fingerprints and times, nothing of anybody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, float] = OrderedDict()

    def first_time(self, tenant: TenantId, way: str, actor: str, ids: Iterable[object]) -> bool:
        """Say whether nobody noted it within REPEAT_SECONDS, and remember it."""
        told = "|".join([str(tenant), way, actor, *sorted(map(str, ids))])
        key, now = sha256(told.encode()).digest(), monotonic()
        with self._lock:
            if self._known.get(key, float("-inf")) > now - REPEAT_SECONDS:
                return False
            self._known[key] = now
            self._known.move_to_end(key)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return True


_noted = _Noted()
