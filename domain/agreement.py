"""Two sides in agreement: what each has to be told, decided before anything is told, and what is remembered after.

`plan` is pure. It compares what both sides hold now with how each looked when they last agreed (its mark), and yields
one step for each pair of records that moved. `settle` reads the answers: a pair's marks move only when all of its step
was done, so that whatever was lost on the way is planned again, and what arrived is no news the next time: our own
write coming back changes nothing. Etags and clocks decide nothing here; both are known to lie.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from domain.contact import Person, Record
from domain.pairs import Pair, Seen, View, find_partner, followed, key_of, same_name, traits, unseen
from domain.plan import REMOVE_ALWAYS, Held, Key
from domain.telling import Change, Field, Told, agree
from domain.threeway import SIDES, Conflict, Side, Terms, Why, judge, other, shown, taken_over

LONG_AGO = datetime.min.replace(tzinfo=UTC)  # when somebody changed who does not say when


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one pair needs. create and delete: on `side`; update: either side or both; mark: remember how both look now;
    part: forget the pair. `left` and `right` are the records this was decided on."""

    do: Literal["create", "update", "delete", "mark", "part"]
    pair: str = ""  # empty: a new one
    side: Side | None = None
    left: Record | None = None
    right: Record | None = None
    person: Person | None = None  # whom to create
    changes: Mapping[Side, Change] = field(default_factory=dict)

    def at(self, side: Side) -> Record | None:
        return self.left if side == "left" else self.right


@dataclass(slots=True, kw_only=True)
class Agreement:
    """Steps to do, conflicts for the journal, and whom a person has to look at; the last stay until somebody does."""

    steps: list[Step] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    waiting: list[Conflict] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a step came to: the pair as it is remembered from now on (None: not at all), and the journal's lines."""

    pair: Pair | None
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class Size:
    """How many people a side has, how many of them are in a pair, and of those how many lost their partner."""

    people: int
    paired: int
    bereft: int = 0


def plan(
    left: View,
    right: View,
    pairs: Sequence[Pair],
    terms: Terms,
    *,
    go_on: bool = False,
    sizes: Mapping[Side, Size] | None = None,
) -> Agreement:
    """Decide what brings both sides to agree. Raises Held before the first step if that removes too much.

    `go_on`: a person has read the count and said yes. `sizes`: of both sides, where the views show only a part.
    """
    views: dict[Side, View] = {"left": left, "right": right}
    remembered = {pair.id: pair for pair in pairs}
    for side in SIDES:
        pairs = followed(pairs, side, views[side], views[other(side)])
        known = len([pair for pair in pairs if pair.at(side)])
        whole = sizes[side] if sizes else Size(len(views[side].records), known)
        if not go_on and views[side].complete and known > 1 and whole.paired > 1 and not whole.people:
            raise Held(whole.paired, whole.paired)  # yesterday it had people: that is never believed without asking
    found = Agreement()
    for pair in pairs:
        _decide(pair, views, terms, found, moved=_keys(pair) != _keys(remembered[pair.id]))
    paired = {side: {seen.key for pair in pairs if (seen := pair.at(side))} for side in SIDES}
    _newcomers(views, paired, terms, found)
    for side in SIDES:
        removing = sum(step.do == "delete" and step.side == side for step in found.steps)
        known = len(paired[side])
        if sizes:  # what is decided now is a part of what will be
            known = sizes[side].paired
            removing = max(removing, sizes[side].bereft if terms.flows(side) else 0)
        if not go_on and removing > max(REMOVE_ALWAYS, known * terms.remove_at_most):
            raise Held(removing, known)
    return found


def settle(step: Step, told: Mapping[Side, Told], before: Pair | None, *, taken: bool = False) -> Settled:
    """Read the answers to a step. A side that did not answer is missing from `told`. `taken`: the record a creation was
    joined to has another partner already."""
    if step.do == "part":
        return Settled(pair=None)
    if step.do == "mark":
        return Settled(pair=_pair(step, step.left, step.right))
    if step.side is not None:
        answer = told.get(step.side)
        if answer is None or answer.do == "changed":
            return Settled(pair=before)
        return _created(step, step.side, answer, taken=taken) if step.do == "create" else _deleted(step, answer)
    answers = {side: told.get(side) for side in step.changes}
    if any(answer is None or answer.do in ("changed", "gone") for answer in answers.values()):
        return Settled(pair=before)  # looked at again the next time, when we know how it stands
    now = {side: step.at(side) for side in SIDES}
    conflicts: list[Conflict] = []
    for side, answer in answers.items():
        if answer is not None and answer.record is not None:
            now[side] = _news_of(answer.record, step.at(side), step.changes[side].fields)
            conflicts += [_about(step, "no room", won=None, field=name) for name in answer.short]
        elif answer is not None:
            conflicts.append(_about(step, "refused", reason=answer.refused))
    return Settled(pair=_pair(step, now["left"], now["right"]), conflicts=tuple(conflicts))


def _news_of(record: Record, decided_on: Record | None, fields: frozenset[Field]) -> Record:
    """A record as answered, but only in the fields we wrote: what else is new in it has yet to be compared."""
    if decided_on is None:
        return record
    person = decided_on.person
    for name in fields:
        person = taken_over(name, person, record.person)
    return replace(record, person=person)


def _created(step: Step, side: Side, answer: Told, *, taken: bool) -> Settled:
    new = answer.record
    if answer.do == "refused" or new is None or taken:
        why: Why = "twice" if taken else "refused"
        alone = {other(side): step.at(other(side)), side: None}
        lost = _about(step, why, reason=answer.refused)
        return Settled(pair=_pair(step, alone["left"], alone["right"]), conflicts=(lost,))
    both = {other(side): step.at(other(side)), side: new}
    pair = _pair(step, both["left"], both["right"])
    if answer.do == "joined":  # the two have yet to be compared
        left, right = (replace(seen, mark=None) if seen else None for seen in (pair.left, pair.right))
        pair = replace(pair, left=left, right=right)
    met = replace(step, left=both["left"], right=both["right"])  # the journal names the new record too
    return Settled(pair=pair, conflicts=tuple(_about(met, "no room", field=name) for name in answer.short))


def _deleted(step: Step, answer: Told) -> Settled:
    if answer.do == "gone":
        return Settled(pair=None)
    return Settled(pair=_pair(step, step.left, step.right), conflicts=(_about(step, "refused", reason=answer.refused),))


def _pair(step: Step, left: Record | None, right: Record | None) -> Pair:
    return Pair(id=step.pair, left=_seen(left), right=_seen(right))


def _seen(record: Record | None) -> Seen | None:
    return Seen(key=key_of(record), mark=record.person) if record is not None else None


def _decide(pair: Pair, views: Mapping[Side, View], terms: Terms, found: Agreement, *, moved: bool) -> None:
    """Add what one known pair needs."""
    if any(seen.mark is None and unseen(seen, views[side]) for side in SIDES if (seen := pair.at(side))):
        return  # they have never been compared, and now one of them was not read
    now = {side: _now(pair.at(side), views[side]) for side in SIDES}
    left, right = now["left"], now["right"]
    missing = [side for side in SIDES if now[side] is None]
    step = Step(do="mark", pair=pair.id, left=left, right=right)
    if left is None and right is None:
        found.steps.append(replace(step, do="part"))
    elif missing:
        _one_left(pair, missing[0], step, views, terms, found)
    elif left is not None and right is not None:
        _compare(pair, left, right, step, terms, found, moved=moved)


def _compare(
    pair: Pair, left: Record, right: Record, step: Step, terms: Terms, found: Agreement, *, moved: bool = False
) -> None:
    marks: dict[Side, Person | None] = {side: seen.mark if (seen := pair.at(side)) else None for side in SIDES}
    if (
        not moved
        and all(mark is not None for mark in marks.values())
        and all(agree(record.person, marks[side] or Person()) for side, record in _sides(left, right))
    ):
        return  # nobody moved, whatever the etags say
    verdict = judge(
        {"left": left.person, "right": right.person},
        marks,
        {"left": left.module, "right": right.module},
        terms,
        "right" if (right.changed_at or LONG_AGO) > (left.changed_at or LONG_AGO) else "left",
    )
    changes = {
        side: Change(
            module=record.module,
            remote_id=record.remote_id,
            was=record.person,
            wanted=verdict.wanted[side],
            fields=frozenset(verdict.fields[side]),
        )
        for side, record in _sides(left, right)
        if verdict.fields[side]
    }
    found.conflicts += [replace(lost, left=key_of(left), right=key_of(right)) for lost in verdict.conflicts]
    found.steps.append(replace(step, do="update" if changes else "mark", changes=changes))


def _keys(pair: Pair) -> list[Key | None]:
    return [seen.key if (seen := pair.at(side)) else None for side in SIDES]


def _sides(left: Record, right: Record) -> Iterator[tuple[Side, Record]]:
    yield "left", left
    yield "right", right


def _one_left(pair: Pair, gone: Side, step: Step, views: Mapping[Side, View], terms: Terms, found: Agreement) -> None:
    """One record of a pair is not there: it was deleted, or never had a partner."""
    here = other(gone)
    record, seen = step.at(here), pair.at(here)
    if record is None or seen is None:
        return
    changed = seen.mark is None or not agree(record.person, seen.mark)
    create = replace(step, do="create", side=gone, person=record.person)
    can_return = terms.flows(gone) and views[gone].complete
    if pair.at(gone) is None:  # alone on purpose, until it says something else
        if changed:
            found.steps.append(create if can_return else step)
    elif terms.flows(here) and terms.takes(here, record.module):
        if not changed:
            deletion = Change(module=record.module, remote_id=record.remote_id, was=record.person)
            found.steps.append(replace(step, do="delete", side=here, changes={here: deletion}))
        else:
            found.steps.append(create if can_return else step)
            found.conflicts.append(_about(step, "changed after it was deleted", won=here))
    elif terms.flows(gone):
        if can_return:
            found.steps.append(create)
            found.conflicts.append(_about(step, "put back", won=here))
    else:
        found.steps.append(replace(step, do="part"))


def _newcomers(views: Mapping[Side, View], paired: Mapping[Side, set[Key]], terms: Terms, found: Agreement) -> None:
    """Pair records that nobody knows yet: same number or address and no other name. The rest is new on the other side.

    A name that differs is a question for people: two who share a switchboard must never become one.
    """
    fresh = {
        side: {key: record for key, record in views[side].records.items() if key not in paired[side]} for side in SIDES
    }
    by_trait: dict[Side, dict[str, list[Record]]] = {side: {} for side in SIDES}
    for side in SIDES:
        for _, record in sorted(views[side].records.items()):
            for trait in traits(record.person):
                by_trait[side].setdefault(trait, []).append(record)
    met: dict[Side, set[Key]] = {"left": set(), "right": set()}

    def free(key: Key) -> bool:
        return key in fresh["right"] and key not in met["right"]

    for strict in (True, False):  # people of the same name first, then those who have none
        for key, record in sorted(fresh["left"].items()):
            partner = None if key in met["left"] else find_partner(record, by_trait["right"], free, strict=strict)
            if partner is None:
                continue
            met["left"].add(key)
            met["right"].add(key_of(partner))
            pair = Pair(id="", left=Seen(key=key), right=Seen(key=key_of(partner)))
            step = Step(do="mark", left=record, right=partner)
            _compare(pair, record, partner, step, terms, found)
    for side in SIDES:
        to = other(side)
        alone = {key: record for key, record in sorted(fresh[side].items()) if key not in met[side]}
        strangers = fresh[to].keys() - met[to]
        for record in alone.values():
            if not terms.flows(to):
                continue
            ours, theirs = (record, None) if side == "left" else (None, record)
            step = Step(do="create", side=to, person=record.person, left=ours, right=theirs)
            if hindrance := _hindrance(record, side, by_trait, strangers, alone):
                found.waiting.append(_about(step, hindrance))
            elif views[to].complete:  # else this person may be on a page we have not seen
                found.steps.append(step)


def _hindrance(
    record: Record,
    side: Side,
    by_trait: Mapping[Side, Mapping[str, Sequence[Record]]],
    strangers: Collection[Key],
    alone: Mapping[Key, Record],
) -> Why | None:
    """Why somebody new is not created on the other side, if they are not."""
    found_by = traits(record.person)
    if not found_by:
        return "nothing to know them by"
    there = [one for trait in found_by for one in by_trait[other(side)].get(trait, ())]
    here = [one for trait in found_by for one in by_trait[side].get(trait, ()) if key_of(one) in alone]
    if any(same_name(one, record) for one in there) or any(
        key_of(one) < key_of(record) and same_name(one, record) for one in here
    ):
        return "twice"
    return "alike" if any(key_of(one) in strangers for one in there) else None


def _now(seen: Seen | None, view: View) -> Record | None:
    """A record as it stands: as told, gone, or as last seen when the side was not read to its end."""
    if seen is None:
        return None
    if unseen(seen, view):
        return Record(module=seen.key[0], remote_id=seen.key[1], person=seen.mark or Person())
    return view.records.get(seen.key)


def _about(
    step: Step, why: Why, *, won: Side | None = None, reason: str = "", field: Field | Literal["record"] = "record"
) -> Conflict:
    values = {side: shown(record.person, field) if (record := step.at(side)) else () for side in SIDES}
    return Conflict(
        why=why,
        field=field,
        left=key_of(step.left) if step.left else None,
        right=key_of(step.right) if step.right else None,
        left_value=values["left"],
        right_value=values["right"],
        won=won,
        reason=reason,
    )
