"""Telling people to a CRM or an address book, exactly once, and remembering what was answered.

An effect of kind `contact.write` is one request's worth of steps. Changes and deletions may be told twice: whoever is
told looks first. Creations nobody answered are looked for; what is not found is forgotten, and decided again, since
it has moved still. Pairs, links, journal and the effect's end are one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Connection

from domain.agreement import Step, settle
from domain.errand import Errand, Lost, told_by
from domain.errors import Missing, Trouble, TryLater, Unanswered
from domain.pairs import Pair, key_of
from domain.plan import Key, Link
from domain.plan import Step as Taken
from domain.sharing import Sharing
from domain.telling import PeopleWriter, Told
from domain.threeway import SIDES, Side, other
from jobs import lost, newcomers, passages
from jobs.both_ways import CHORE, KIND, MODULES
from jobs.outage import postpone
from jobs.services import Services
from store.connections import Tie
from store.couples import Couple
from store.database import TenantId
from store.effects import Effect
from store.journal import Line

log = structlog.get_logger()

EXIT = "contacts in step"  # the gate's name for what goes from Google into the CRM (`domain.limited_use`)
PAUSED = "sync.paused"
ENDED = "disconnected"
LOOK_AGAIN = timedelta(minutes=1)
SINKS: Mapping[Side, str] = {"left": "tenant's own CRM", "right": "this user's own contacts"}
Answers = dict[Side, Told]
Ties = Mapping[Side, Tie]


def write(services: Services, tenant: TenantId, effect: Effect) -> bool:
    """Tell what one effect owes, or find out what became of it; False when it is not done."""
    errand = Errand.from_data(effect.payload)
    ties = _ties(services, tenant, errand.crm, effect.connection)
    if ties is None:
        services.effects.drop(tenant, [effect], ENDED, state="dropped")
        return False
    if any(Sharing.from_facts(tie.facts).paused for tie in ties.values()):
        services.effects.postpone(tenant, [effect], PAUSED, LOOK_AGAIN)
        return False
    told: list[Answers] = [{} for _ in errand.steps]
    for side in SIDES:
        try:
            _tell(services, ties[side], side, effect, errand, told)
        except (TryLater, Unanswered) as error:
            postpone(services, ties[side], [effect], error, repeatable=not errand.creates)
            services.connections.trouble(tenant, ties[side].id, error.code)
            return False
        except Trouble as error:
            services.effects.drop(tenant, [effect], error.code)
            services.connections.trouble(tenant, ties[side].id, error.code)
            return False
    couple = Couple(tenant, errand.crm, effect.connection, MODULES)
    _remember(services, couple, effect, errand, told)
    return True


def go_on(services: Services, tenant: TenantId, done: Collection[Effect]) -> None:
    """When the last of an address book's errands is done, on to what moved next."""
    for book in {effect.connection for effect in done}:
        if not services.effects.open(tenant, book, KIND):
            services.chores.hurry(tenant, CHORE, book)


def _ties(services: Services, tenant: TenantId, crm: UUID, book: UUID) -> Ties | None:
    try:
        ties: Ties = {"left": services.connections.get(tenant, crm), "right": services.connections.get(tenant, book)}
    except Missing:
        return None
    return None if any(tie.state == ENDED for tie in ties.values()) else ties


def _tell(services: Services, tie: Tie, side: Side, effect: Effect, errand: Errand, told: Sequence[Answers]) -> None:
    """Tell one side its part of the steps, and take down the answers."""
    mine = [place for place, step in enumerate(errand.steps) if side in told_by(step)]
    if not mine:
        return
    carried = [str(errand.steps[place].pair or place) for place in mine if errand.steps[place].do != "delete"]
    if side == "left" and carried:
        passages.whole(services, tie.tenant, EXIT, effect.connection, len(carried))
    writer, do = services.people_writer(tie), errand.steps[mine[0]].do
    if do == "create":
        people = [person for place in mine if (person := errand.steps[place].person) is not None]
        if effect.state == "unknown":
            found = writer.find(people, effect.created_at)
            log.info("creations_looked_for", tenant=str(tie.tenant), connection=str(tie.id), read_back=len(people))
        else:
            services.effects.claim(tie.tenant, [effect])
            more = newcomers.of_contacts(services, tie, people, effect.connection) if side == "left" else ()
            found = list(writer.create(people, more))
            left_out = [name for answer in found if answer is not None for name in answer.left_out]
            newcomers.refused(services, tie, "Contacts", left_out)
        answers: list[Told | None] = list(found)
    else:
        if effect.state == "due":
            services.effects.claim(tie.tenant, [effect])
        answers = list(_change(writer, do, [errand.steps[place] for place in mine], side))
    for place, answer in zip(mine, answers, strict=True):
        if answer is not None:
            told[place][side] = answer
    if side == "left" and carried:
        passages.note_whole(services, tie.tenant, EXIT, carried, subject=f"connections:{tie.id}")
    services.connections.ok(tie.tenant, tie.id)


def _change(writer: PeopleWriter, do: str, steps: Sequence[Step], side: Side) -> list[Told]:
    changes = [step.changes[side] for step in steps]
    return writer.delete(changes) if do == "delete" else writer.update(changes)


# ---- remembering --------------------------------------------------------------------------------------------------


def _remember(services: Services, couple: Couple, effect: Effect, errand: Errand, told: Sequence[Answers]) -> None:
    tenant = couple.tenant
    taken = {side: _taken(services, couple, side, errand.steps, told) for side in SIDES}
    counts = Counter(f"{side} {answer.do}" for answers in told for side, answer in answers.items())
    with services.db.tenant(tenant) as database:
        if not services.effects.stands(database, tenant, effect.id):
            return  # somebody in it was erased meanwhile: nothing of it is kept
        if errand.undo is None:
            _settle(services, database, couple, errand, told)
        else:
            done = any(answer.do in ("written", "joined") for answers in told for answer in answers.values())
            services.journal.turn(database, tenant, errand.undo, "undone" if done else "open", ("asked",))
        for side, steps in taken.items():
            if steps:
                services.hub.apply(database, tenant, couple.at(side), steps)
        services.effects.done(database, tenant, {effect.id: ""})
        for side in SIDES:
            if any(side in answers for answers in told):
                services.ledger.write(
                    database,
                    tenant,
                    "contacts.exchanged",
                    subject=f"connections:{couple.at(side)}",
                    sink=SINKS[side],
                    counts=dict(Counter(answers[side].do for answers in told if side in answers)),
                    read_back=effect.state == "unknown",
                )
    log.info("contacts_told", tenant=str(tenant), connection=str(couple.book), counts=dict(counts))


def _settle(services: Services, database: Connection, couple: Couple, errand: Errand, told: Sequence[Answers]) -> None:
    """Move the marks of the pairs whose step was done, and write down what it cost."""
    before = services.pairs.get(database, couple, [step.pair for step in errand.steps])
    partners = _partners(services, database, couple, errand, told)
    agreed: dict[str, Pair] = {}
    journal: list[Line] = []
    parted: list[str] = []
    for place, (step, answers) in enumerate(zip(errand.steps, told, strict=True)):
        if not answers or (step.pair and step.pair not in before):
            continue  # nobody answered, or the pair was forgotten meanwhile
        met = _met(step, answers)
        taken = met is not None and met in partners
        if met is not None:
            partners.add(met)
        known = before.get(step.pair)
        settled = settle(step, answers, known, taken=taken)
        about = errand.lost[place] if errand.lost else ()
        if settled.pair is None:
            parted.append(step.pair)
        elif settled.pair != known:
            agreed[step.pair or f"new {place}"] = replace(settled.pair, id=step.pair)
        if settled.pair is None or settled.pair != known or settled.conflicts:
            journal += _cost(step, answers, (*about, *settled.conflicts))
    services.pairs.part(database, couple, parted)
    services.pairs.put(database, couple, list(agreed.values()))
    services.journal.write(database, couple.tenant, couple.crm, couple.book, journal)


def _partners(
    services: Services, database: Connection, couple: Couple, errand: Errand, told: Sequence[Answers]
) -> set[tuple[Side, Key]]:
    """Which of the records we created, or met while creating, belong to somebody else already."""
    found: set[tuple[Side, Key]] = set()
    for side in SIDES:
        keys = {
            met[1]
            for step, answers in zip(errand.steps, told, strict=True)
            if (met := _met(step, answers)) is not None and met[0] == side
        }
        found |= {(side, key) for key in services.pairs.partnered(database, couple, side, keys)}
    return found


def _met(step: Step, answers: Answers) -> tuple[Side, Key] | None:
    """The record a creation led to."""
    if step.do != "create" or step.side is None:
        return None
    answer = answers.get(step.side)
    return (step.side, key_of(answer.record)) if answer is not None and answer.record is not None else None


def _cost(step: Step, answers: Answers, conflicts: Lost) -> list[Line]:
    lines = [
        line
        for side, answer in answers.items()
        if answer.do in ("written", "gone")
        for line in lost.of_told(step, side, answer.record.person if answer.record else None, conflicts)
    ]
    return [*lines, *lost.of_ties(step, conflicts, lines)]


def _taken(
    services: Services, couple: Couple, side: Side, steps: Sequence[Step], told: Sequence[Answers]
) -> list[Taken]:
    """What the hub learns from the answers of one side: what we wrote is known, and is no news when it is read."""
    mine = [(step, answers[side]) for step, answers in zip(steps, told, strict=True) if side in answers]
    asked = {key_of(record) for step, _ in mine if (record := step.at(side))}
    named = asked | {key_of(answer.record) for _, answer in mine if answer.record}
    if not named:
        return []
    here = services.hub.owners(couple.tenant, couple.at(side), named)
    across = {key_of(record) for step, _ in mine if (record := step.at(other(side)))}
    there = services.hub.owners(couple.tenant, couple.at(other(side)), across) if across else {}
    found: dict[Key, Taken] = {}
    for step, answer in mine:
        was, partner = step.at(side), step.at(other(side))
        old = here.get(key_of(was)) if was else None
        if answer.record is not None:
            key = key_of(answer.record)
            beside = old or (there.get(key_of(partner)) if partner else None)
            found[key] = _told_of(answer, here.get(key), beside)
        if old is not None and (answer.do == "gone" or (answer.record and key_of(answer.record) != key_of(was))):  # type: ignore[arg-type]  # there is an old link of it
            found[old.module, old.remote_id] = Taken(do="drop", contact=old.contact, link=old)
    return list(found.values())


def _told_of(answer: Told, known: Link | None, beside: Link | None) -> Taken:
    if known is not None:
        return Taken(do="refresh", contact=known.contact, record=answer.record, link=known)
    if beside is not None:
        return Taken(do="join", contact=beside.contact, record=answer.record)
    return Taken(do="adopt", record=answer.record)
