"""Changes travel both ways: what moved in the CRM and in an address book is agreed, and each side is owed the news.

The chore `exchange` of each address book decides on what moved, a thousand records at a time, and writes down what has
to be told as effects; `jobs.contact_writes` tells them and remembers what was answered. Whatever was lost on the way
has moved still and is decided again, so a run may be killed anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from domain import sharing
from domain.agreement import Agreement, Step, plan, settle
from domain.consent import standing
from domain.errand import Errand, bundled, conflicts_of, told_by
from domain.pairs import Pair, key_of
from domain.plan import NAMED, Held, Key
from domain.sharing import WRITING, Sharing
from domain.telling import Limits
from domain.threeway import SIDES, Side, Terms
from integrations.zoho.rows import TAKES
from jobs import lost
from jobs.services import Services
from store.chores import Chore
from store.connections import Tie
from store.couples import Couple
from store.moved import Moved

log = structlog.get_logger()

CHORE, KIND = "exchange", "contact.write"
MARK = "exchange"  # the cursor that says since when everybody is at rest who has not stirred
AT_ONCE = 1_000  # records decided together
MODULES = tuple(TAKES)  # where the CRM keeps people somebody may write


def writes(services: Services, tie: Tie) -> bool:
    """Say whether the consent of a connection lets us write people there."""
    grant = services.grants.get(tie.tenant, tie.id)
    features = services.providers[tie.vendor].features
    return grant is not None and any(
        item.on and item.feature.slug == WRITING for item in standing(features, grant.scopes)
    )


def couple_of(services: Services, book: Tie) -> tuple[Couple, Tie] | None:
    """The CRM an address book agrees with, where the tenant has one."""
    crm = services.connections.first(book.tenant, "crm")
    return None if crm is None else (Couple(book.tenant, crm.id, book.id, MODULES), crm)


def terms_of(services: Services, crm: Tie, book: Tie) -> tuple[Terms | None, dict[Side, Limits]]:
    """What the tenant chose for these two, as far as their consents reach."""
    ties: dict[Side, Tie] = {"left": crm, "right": book}
    chosen = {side: Sharing.from_facts(tie.facts) for side, tie in ties.items()}
    limits = {
        side: services.people_writer(tie).limits
        for side, tie in ties.items()
        if tie.state == "active" and sharing.receives(chosen["left"], chosen["right"], side) and writes(services, tie)
    }
    most = services.tenants.get(book.tenant).contacts.percent / 100
    return sharing.terms(chosen["left"], chosen["right"], limits, most), limits


def exchange(services: Services, book: Tie, chore: Chore, *, go_on: bool = False) -> dict[str, int]:
    """Decide on what moved since both sides last agreed, and owe each side what it has to be told. Raises Held."""
    found = couple_of(services, book)
    if found is None:
        return {}
    couple, crm = found
    terms, limits = terms_of(services, crm, book)
    if terms is None or not _both_read(services, crm, book):
        return {}
    mark = services.connections.cursor(book.tenant, book.id, MARK)
    if services.effects.open(book.tenant, book.id, KIND):
        return _progress(chore, services.pairs.left_to_do(couple, mark))  # whoever does the last of them comes back
    moved = services.pairs.moved(couple, AT_ONCE, mark)
    if moved.empty:
        services.connections.set_cursor(book.tenant, book.id, MARK, moved.mark)
        return _progress(chore, 0)
    # both sides are counted only if anybody may have to go: that is as much work as there are people
    sizes = services.pairs.sizes(couple) if moved.removes or not moved.whole else None
    try:
        agreed = plan(moved.views["left"], moved.views["right"], moved.pairs, terms, go_on=go_on, sizes=sizes)
    except Held as held:
        some = services.pairs.bereft(couple, NAMED)
        raise Held(held.removing, held.known, [str(contact) for contact in some]) from None
    steps = [step for step in agreed.steps if _moved(step, moved)]
    counts, settled = _owe(services, couple, replace(agreed, steps=steps), moved, limits)
    services.chores.hurry(book.tenant, CHORE, book.id)
    log.info("contacts_agreed", tenant=str(book.tenant), connection=str(book.id), counts=counts)
    return _progress(chore, moved.many - settled if moved.whole else services.pairs.left_to_do(couple, mark))


def _both_read(services: Services, crm: Tie, book: Tie) -> bool:
    """Nothing is decided before both sides were read to their end once: else everybody would be new."""
    cursor = services.connections.cursor
    return bool(cursor(crm.tenant, crm.id, "read.crm") and cursor(book.tenant, book.id, "read.book"))


def _progress(chore: Chore, left: int) -> dict[str, int]:
    """How far this exchange has come since something first moved."""
    most = max(left, int(chore.progress.get("done", 0)) + int(chore.progress.get("left", 0)))
    goes_on = {"may_remove": chore.may_remove} if left and chore.may_remove else {}  # the next part is the same run
    return {"done": most - left, "left": left} | goes_on


def _moved(step: Step, moved: Moved) -> bool:
    return any((record := step.at(side)) and key_of(record) in moved.moved[side] for side in SIDES) or (
        step.do == "part"  # neither record is there, and only a pair that moved parts
    )


def _owe(
    services: Services, couple: Couple, agreed: Agreement, moved: Moved, limits: Mapping[Side, Limits]
) -> tuple[dict[str, int], int]:
    """Remember what is settled already, and write down what has to be told, in one transaction.

    Returns how many steps of each kind there are, and of how many that moved nothing is left to do.
    """
    tenant, steps = couple.tenant, agreed.steps
    about = conflicts_of(steps, agreed.conflicts)
    lost_by = {id(step): one for step, one in zip(steps, about, strict=True)}
    told = [step for step in steps if told_by(step)]
    settled = [step for step in steps if not told_by(step)]
    waiting = _waiting(agreed, moved)
    with services.db.tenant(tenant) as database:
        services.pairs.part(database, couple, [step.pair for step in settled if step.do == "part"])
        pairs = [settle(step, {}, None).pair for step in settled]
        services.pairs.put(
            database, couple, [_named(pair, step) for pair, step in zip(pairs, settled, strict=True) if pair]
        )
        services.journal.write(
            database, tenant, couple.crm, couple.book, lost.of_steps(settled, [lost_by[id(step)] for step in settled])
        )
        services.pairs.wait(database, couple, waiting)
        errands = [
            Errand(crm=couple.crm, steps=batch, lost=[lost_by[id(step)] for step in batch]).as_data()
            for batch in bundled(told, limits)
        ]
        services.effects.plan_each(database, tenant, KIND, errands, connection=couple.book, lane="contacts")
    alone = {(side, key_of(record)) for step in settled for side in SIDES if (record := step.at(side))}
    over = sum(bool(step.pair) for step in settled) + len(alone & set(moved.alone)) + len(waiting)
    return dict(Counter(step.do for step in steps)), over


def _named(pair: Pair, step: Step) -> Pair:
    return replace(pair, id=step.pair)


def _waiting(agreed: Agreement, moved: Moved) -> dict[tuple[Side, Key], tuple[str, Any]]:
    """Who stays alone for now, and why: a person has to look, or nothing travels from there."""
    met = {(side, key_of(record)) for step in agreed.steps for side in SIDES if (record := step.at(side))}
    reasons = {(side, key): one.why for one in agreed.waiting for side in SIDES if (key := getattr(one, side))}
    return {
        (side, key): (reasons.get((side, key), "one way"), moved.views[side].records[key].person)
        for side, key in moved.alone
        if (side, key) not in met and key in moved.views[side].records
    }
