"""Telling people to a CRM or an address book, exactly once, and remembering what was answered.

An effect of kind `contact.write` is one request's worth of steps. Changes and deletions may be told twice: whoever is
told looks first. Creations nobody answered are looked for; what is not found is forgotten, and decided again, since
it has moved still. The answers to several requests are remembered together (`jobs.contact_answers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import structlog

from domain.errors import Missing, Trouble, TryLater, Unanswered
from domain.sharing import Sharing
from domain.telling import PeopleWriter
from domain.threeway import SIDES, Side
from jobs import newcomers, passages
from jobs.both_ways import CHORE, KIND, MODULES
from jobs.contact_answers import Doing, remember
from jobs.outage import postpone
from jobs.services import Services
from store.connections import Tie
from store.couples import Couple
from store.database import TenantId
from store.effects import Effect

log = structlog.get_logger()

EXIT = "contacts in step"  # the gate's name for what goes from Google into the CRM (`domain.limited_use`)
PAUSED = "sync.paused"
ENDED = "disconnected"
LOOK_AGAIN = timedelta(minutes=1)
REMEMBERED_AT_ONCE = 1_000  # people
Ties = Mapping[Side, Tie]
Writers = dict[Side, PeopleWriter]  # opened once for a batch; each of their requests asks for its token


def act(services: Services, tenant: TenantId, effects: Iterable[Effect]) -> None:
    """Tell what these owe, or find out what became of it, and remember the answers; then on to what moved next."""
    alike: dict[tuple[UUID, UUID], list[Doing]] = {}
    for effect in effects:
        doing = Doing.of(effect)
        alike.setdefault((doing.errand.crm, effect.connection), []).append(doing)
    for (crm, book), theirs in alike.items():
        couple = Couple(tenant, crm, book, MODULES)
        some = False
        for batch in _batches(theirs):
            services.effects.claim(tenant, [one.effect for one in batch if one.effect.state == "due"])
            writers: Writers = {}
            done = [
                one for together in _requests(batch) if _told(services, couple, writers, together) for one in together
            ]
            _note(services, couple, batch)
            if done:
                remember(services, couple, done)
                some = True
        if some and not services.effects.open(tenant, book, KIND):
            services.chores.hurry(tenant, CHORE, book if book != crm else None)  # an edit concerns every address book


def _batches(every: Iterable[Doing]) -> Iterator[list[Doing]]:
    """As many as are remembered at once."""
    batch: list[Doing] = []
    people = 0
    for doing in every:
        if batch and people + len(doing.told) > REMEMBERED_AT_ONCE:
            yield batch
            batch, people = [], 0
        batch.append(doing)
        people += len(doing.told)
    if batch:
        yield batch


def _requests(batch: Iterable[Doing]) -> Iterator[list[Doing]]:
    """What is asked for at once: each by itself, but whoever is looked for together with all the others."""
    lost: dict[Side | None, list[Doing]] = {}
    for doing in batch:
        if doing.effect.state == "unknown" and doing.errand.creates:
            lost.setdefault(doing.errand.steps[0].side, []).append(doing)
        else:
            yield [doing]
    yield from lost.values()


def _told(services: Services, couple: Couple, writers: Writers, together: Sequence[Doing]) -> bool:
    """Tell what these owe to whom it concerns, as far as that may be now; False when it is not done."""
    tenant, effects = couple.tenant, [one.effect for one in together]
    ties = _ties(services, couple)  # looked at before each request: who ends or pauses it is heeded at once
    if ties is None:
        services.effects.drop(tenant, effects, ENDED, state="dropped")
        return False
    if any(Sharing.from_facts(tie.facts).paused for tie in ties.values()):
        services.effects.postpone(tenant, effects, PAUSED, LOOK_AGAIN)
        return False
    for side in SIDES:
        try:
            _tell(services, ties[side], side, writers, together)
        except (TryLater, Unanswered) as error:
            postpone(services, ties[side], effects, error, repeatable=not together[0].errand.creates)
            services.connections.trouble(tenant, ties[side].id, error.code)
            return False
        except Trouble as error:
            services.effects.drop(tenant, effects, error.code)
            services.connections.trouble(tenant, ties[side].id, error.code)
            return False
    return True


def _ties(services: Services, couple: Couple) -> Ties | None:
    try:
        with services.db.reading(couple.tenant):
            ties: Ties = {side: services.connections.get(couple.tenant, couple.at(side)) for side in SIDES}
    except Missing:
        return None
    return None if any(tie.state == ENDED for tie in ties.values()) else ties


def _tell(services: Services, tie: Tie, side: Side, writers: Writers, together: Sequence[Doing]) -> None:
    """Tell one side its part of the steps, and take down the answers."""
    mine = [(one, place) for one in together for place in one.mine(side)]
    if not mine:
        return
    effect, steps = together[0].effect, [one.errand.steps[place] for one, place in mine]
    do, lost = steps[0].do, steps[0].do == "create" and effect.state == "unknown"
    people = [step.person for step in steps if step.person is not None]
    with services.db.reading(tie.tenant):
        if carried := [name for one in together for name in _carried(one, side)]:
            passages.whole(services, tie.tenant, EXIT, effect.connection, len(carried))
        writer = writers.get(side) or writers.setdefault(side, services.people_writer(tie))
        mapped = side == "left" and do == "create" and not lost
        more = newcomers.of_contacts(services, tie, people, effect.connection) if mapped else ()
    if lost:
        answers = writer.find(people, min(one.effect.created_at for one in together))
        log.info("creations_looked_for", tenant=str(tie.tenant), connection=str(tie.id), read_back=len(people))
    elif do == "create":
        answers = list(writer.create(people, more))
        left_out = [name for answer in answers if answer is not None for name in answer.left_out]
        newcomers.refused(services, tie, "Contacts", left_out)
    else:
        changes = [step.changes[side] for step in steps]
        answers = list(writer.delete(changes) if do == "delete" else writer.update(changes))
    for (one, place), answer in zip(mine, answers, strict=True):
        if answer is not None:
            one.told[place][side] = answer
    for one in together:
        one.heard.add(side)


def _note(services: Services, couple: Couple, batch: Sequence[Doing]) -> None:
    """Write down whom the CRM was told of, whatever else became of it."""
    if carried := [name for one in batch if "left" in one.heard for name in _carried(one, "left")]:
        passages.note_whole(services, couple.tenant, EXIT, carried, subject=f"connections:{couple.crm}")
    for side in SIDES:
        if any(side in one.heard for one in batch):
            services.connections.ok(couple.tenant, couple.at(side))


def _carried(doing: Doing, side: Side) -> list[str]:
    """Of whom the CRM is told what Google said of them."""
    if side == "right" or doing.errand.edit is not None:  # an edit is the tenant's own word
        return []
    steps = doing.errand.steps
    return [str(steps[place].pair or place) for place in doing.mine(side) if steps[place].do != "delete"]
