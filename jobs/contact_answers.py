"""Remembering what was answered when people were told to a CRM or an address book.

Pairs, links, journal and the effects' end are one transaction, of several requests: the answers to ten of them are
remembered for hardly more than those to one. What we wrote is known then, and is no news when it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import structlog
from sqlalchemy import Connection

from domain.agreement import Step, settle
from domain.errand import Errand, Lost, told_by
from domain.pairs import Pair, key_of
from domain.plan import Key, Link
from domain.plan import Step as Taken
from domain.telling import Told
from domain.threeway import SIDES, Side, other
from jobs import edits, lost
from jobs.services import Services
from store.couples import Couple
from store.effects import Effect
from store.journal import Line

log = structlog.get_logger()

SINKS: Mapping[Side, str] = {"left": "tenant's own CRM", "right": "this user's own contacts"}
Answers = dict[Side, Told]


@dataclass(frozen=True, slots=True, eq=False)
class Doing:
    """An effect on its way: what it has to tell, and what each side answered to each step."""

    effect: Effect
    errand: Errand
    told: Sequence[Answers]
    heard: set[Side] = field(default_factory=set)  # who answered at all

    @classmethod
    def of(cls, effect: Effect) -> Doing:
        errand = Errand.from_data(effect.payload)
        return cls(effect, errand, [{} for _ in errand.steps])

    def mine(self, side: Side) -> list[int]:
        """The places of the steps one side has to be told."""
        return [place for place, step in enumerate(self.errand.steps) if side in told_by(step)]


def remember(services: Services, couple: Couple, done: Sequence[Doing]) -> None:
    """Take down what was answered, of many requests in one transaction."""
    tenant = couple.tenant
    with services.db.tenant(tenant) as database:
        there = services.effects.stand(database, tenant, [one.effect.id for one in done])
        done = [one for one in done if one.effect.id in there]  # in the others somebody was erased
        steps = [step for one in done for step in one.errand.steps]
        told = [answers for one in done for answers in one.told]
        taken = {side: _taken(services, database, couple, side, steps, told) for side in SIDES}
        _settle(services, database, couple, [one for one in done if one.errand.paired])
        for one in done:
            if one.errand.undo is not None:
                turned = any(answer.do in ("written", "joined") for answers in one.told for answer in answers.values())
                services.journal.turn(database, tenant, one.errand.undo, "undone" if turned else "open", ("asked",))
            if one.errand.edit is not None:
                _edited(services, database, couple, one)
        for side, news in taken.items():
            if news:
                services.hub.apply(database, tenant, couple.at(side), news)
        services.effects.done(database, tenant, {one.effect.id: "" for one in done})
        for side in SIDES:
            if counts := Counter(answers[side].do for answers in told if side in answers):
                services.ledger.write(
                    database,
                    tenant,
                    "contacts.exchanged",
                    subject=f"connections:{couple.at(side)}",
                    sink=SINKS[side],
                    counts=dict(counts),
                    read_back=any(one.effect.state == "unknown" for one in done),
                )
    many = Counter(f"{side} {answer.do}" for answers in told for side, answer in answers.items())
    log.info("contacts_told", tenant=str(tenant), connection=str(couple.book), counts=dict(many))


def _settle(services: Services, database: Connection, couple: Couple, done: Sequence[Doing]) -> None:
    """Move the marks of the pairs whose step was done, and write down what it cost."""
    every = [
        (step, answers, about)
        for one in done
        for step, answers, about in zip(
            one.errand.steps, one.told, one.errand.lost or repeat((), len(one.told)), strict=True
        )
        if answers  # else nobody answered
    ]
    before = services.pairs.get(database, couple, [step.pair for step, _, _ in every])
    partners = _partners(services, database, couple, [(step, answers) for step, answers, _ in every])
    agreed: dict[str, Pair] = {}
    journal: list[Line] = []
    parted: list[str] = []
    for place, (step, answers, about) in enumerate(every):
        if step.pair and step.pair not in before:
            continue  # the pair was forgotten meanwhile
        met = _met(step, answers)
        taken = met is not None and met in partners
        if met is not None:
            partners.add(met)
        known = before.get(step.pair)
        settled = settle(step, answers, known, taken=taken)
        if settled.pair is None:
            parted.append(step.pair)
        elif settled.pair != known:
            agreed[step.pair or f"new {place}"] = settled.pair
        if settled.pair is None or settled.pair != known or settled.conflicts:
            journal += _cost(step, answers, (*about, *settled.conflicts))
    services.pairs.part(database, couple, parted)
    services.pairs.put(database, couple, list(agreed.values()))
    services.journal.write(database, couple.tenant, couple.crm, couple.book, journal)


def _edited(services: Services, database: Connection, couple: Couple, one: Doing) -> None:
    """Write down what an edit overwrote; where somebody was faster, it is compared with what they wrote."""
    for step, answers in zip(one.errand.steps, one.told, strict=True):
        services.journal.write(database, couple.tenant, couple.crm, couple.book, _cost(step, answers, ()))
        for answer in answers.values():
            if answer.do == "changed" and answer.record is not None:
                edits.again(services, database, couple.tenant, one.errand, answer.record)


def _partners(
    services: Services, database: Connection, couple: Couple, every: Sequence[tuple[Step, Answers]]
) -> set[tuple[Side, Key]]:
    """Which of the records we created, or met while creating, belong to somebody else already."""
    met = {one for step, answers in every if (one := _met(step, answers)) is not None}
    found: set[tuple[Side, Key]] = set()
    for side in SIDES:
        keys = {key for at, key in met if at == side}
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
    services: Services,
    database: Connection,
    couple: Couple,
    side: Side,
    steps: Sequence[Step],
    told: Sequence[Answers],
) -> list[Taken]:
    """What the hub learns from the answers of one side: what we wrote is known, and is no news when it is read."""
    mine = [(step, answers[side]) for step, answers in zip(steps, told, strict=True) if side in answers]
    asked = {key_of(record) for step, _ in mine if (record := step.at(side))}
    named = asked | {key_of(answer.record) for _, answer in mine if answer.record}
    if not named:
        return []
    here = services.hub.owners(database, couple.tenant, couple.at(side), named)
    across = {key_of(record) for step, _ in mine if (record := step.at(other(side)))}
    there = services.hub.owners(database, couple.tenant, couple.at(other(side)), across) if across else {}
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
