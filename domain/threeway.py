"""One pair of records, field by field: who changed since both were last seen, and what each side then has to be told.

A field of one value is decided as a whole, numbers and addresses value by value. Compared is what is meant (`said`);
spelling, label and extension stay as each side has them. Nothing that is lost is lost unsaid: it becomes a `Conflict`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from domain.contact import Person, fold_email
from domain.plan import REMOVE_AT_MOST, Key
from domain.telling import FIELDS, MANY, Field, number_key, said

Side = Literal["left", "right"]
Direction = Literal["read", "write", "both"]
Owner = Literal["left", "right", "newest"]
Why = Literal[
    "both changed",  # on both sides, differently: the owner's value stands
    "first meeting",  # they never agreed before and differ: the owner's value stands
    "a value beats none",  # one side cleared what the other side changed
    "one way",  # the side it would go to is not written, or the side it comes from not listened to
    "not kept there",  # that side has no such field, or none that can be written
    "no room",  # it was written, and not all of it fitted
    "refused",  # the side will not take it
    "changed after it was deleted",  # so it stays
    "put back",  # deleted on a side that only receives
    "alike",  # same number or address, another name: a person must say whether these are one
    "twice",  # the side has this person more than once
    "nothing to know them by",  # neither number nor address: nobody could find them again
]
Value = TypeVar("Value")
SIDES: tuple[Side, Side] = ("left", "right")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the tenant chose. read: we only listen; write: it only receives; both. A field's owner wins a tie."""

    left: Direction = "read"
    right: Direction = "read"
    owner: Mapping[Field, Owner] = field(default_factory=dict)  # a field nobody chose for belongs to the left
    left_takes: Mapping[str, frozenset[Field]] = field(default_factory=dict)  # by module; see `Limits.takes`
    right_takes: Mapping[str, frozenset[Field]] = field(default_factory=dict)
    remove_at_most: float = REMOVE_AT_MOST  # of a side's people in one run

    def flows(self, to: Side) -> bool:
        """Say whether changes travel to that side."""
        target, source = (self.left, self.right) if to == "left" else (self.right, self.left)
        return target in ("write", "both") and source in ("read", "both")

    def owns(self, name: Field, newest: Side) -> Side:
        """Whose value of a field wins a tie; `newest`: the record that was changed last."""
        owner = self.owner.get(name, "left")
        return newest if owner == "newest" else owner

    def takes(self, to: Side, module: str) -> frozenset[Field]:
        """The fields that can be written there."""
        return (self.left_takes if to == "left" else self.right_takes).get(module, frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A line of the journal: what stood where, which side's value stands now, and why."""

    why: Why
    field: Field | Literal["record"] = "record"
    left: Key | None = None
    right: Key | None = None
    left_value: tuple[str, ...] = ()
    right_value: tuple[str, ...] = ()
    won: Side | None = None  # None: each keeps its own
    reason: str = ""  # the side's own word for a refusal


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What one pair comes to: what each side shall say, in which fields that is news there, and what was lost."""

    wanted: dict[Side, Person]
    fields: dict[Side, set[Field]] = field(default_factory=lambda: {"left": set(), "right": set()})
    conflicts: list[Conflict] = field(default_factory=list)


def other(side: Side) -> Side:
    return "right" if side == "left" else "left"


def shown(person: Person, name: Field | Literal["record"]) -> tuple[str, ...]:
    """A field's values as a person reads them."""
    if name == "record":
        return tuple(value for each in FIELDS for value in shown(person, each))
    if name == "lines":
        return tuple(filter(None, (line.raw or line.e164 for line in person.lines)))
    if name == "emails":
        return person.emails
    text = " ".join(filter(None, (person.given, person.family))) if name == "name" else str(getattr(person, name))
    return (text,) if text else ()


def judge(
    now: Mapping[Side, Person],
    marks: Mapping[Side, Person | None],
    modules: Mapping[Side, str],
    terms: Terms,
    newest: Side = "left",
) -> Verdict:
    """Compare both sides with their marks; a pair without marks meets for the first time and loses no value.

    `newest`: whose record was changed last, for fields that belong to whoever that is.
    """
    verdict = Verdict(wanted=dict(now))
    first = None in marks.values()
    base = {side: Person() if first else marks[side] or Person() for side in SIDES}
    for name in FIELDS:
        if name in MANY:
            _many(name, now, base, modules, terms, verdict)
        else:
            _single(name, now, base, modules, terms, verdict, first=first, owner=terms.owns(name, newest))
    return verdict


def _single(
    name: Field,
    now: Mapping[Side, Person],
    base: Mapping[Side, Person],
    modules: Mapping[Side, str],
    terms: Terms,
    verdict: Verdict,
    *,
    first: bool,
    owner: Side,
) -> None:
    if said(now["left"], name) == said(now["right"], name):
        return
    changed = [side for side in SIDES if said(now[side], name) != said(base[side], name)]
    if not changed:
        return  # a difference both have lived with
    why: Why | None = None
    if len(changed) == 1:
        winner = changed[0]
    elif len(filled := [side for side in SIDES if said(now[side], name)]) == 1:
        winner, why = filled[0], "a value beats none"
    else:
        winner, why = owner, "first meeting" if first else "both changed"
    to = other(winner)
    if hindrance := _hindrance(name, to, modules, terms):
        verdict.conflicts.append(_lost(hindrance, name, now, None))
        return
    _tell(verdict, to, name, taken_over(name, verdict.wanted[to], now[winner]))
    if why is not None:
        verdict.conflicts.append(_lost(why, name, now, winner))


def _many(
    name: Field,
    now: Mapping[Side, Person],
    base: Mapping[Side, Person],
    modules: Mapping[Side, str],
    terms: Terms,
    verdict: Verdict,
) -> None:
    have = {side: frozenset(said(now[side], name)) for side in SIDES}
    had = {side: frozenset(said(base[side], name)) for side in SIDES}
    added = {side: have[side] - had[side] for side in SIDES}
    for to in SIDES:
        source = other(to)
        removed = (had[source] - have[source]) - added[to]  # what was added here stays
        news, old = added[source] - have[to], removed & have[to]
        if not news and not old:
            continue
        if hindrance := _hindrance(name, to, modules, terms):
            verdict.conflicts.append(_lost(hindrance, name, now, None))
        else:
            _tell(verdict, to, name, _with_values(name, verdict.wanted[to], old, now[source], news))


def _hindrance(name: Field, to: Side, modules: Mapping[Side, str], terms: Terms) -> Why | None:
    if not terms.flows(to):
        return "one way"
    return None if name in terms.takes(to, modules[to]) else "not kept there"


def _tell(verdict: Verdict, to: Side, name: Field, wanted: Person) -> None:
    verdict.wanted[to] = wanted
    verdict.fields[to].add(name)


def taken_over(name: Field, person: Person, source: Person) -> Person:
    """A person with one field as another says it."""
    parts = ("given", "family") if name == "name" else (name,)
    taken: dict[str, Any] = {part: getattr(source, part) for part in parts}
    return replace(person, **taken)


def _with_values(name: Field, person: Person, old: frozenset[str], source: Person, news: frozenset[str]) -> Person:
    """Take `old` values away and put `news` from the other side behind what stays."""
    if name == "emails":
        return replace(person, emails=_values(fold_email, person.emails, old, source.emails, news))
    return replace(person, lines=_values(number_key, person.lines, old, source.lines, news))


def _values(
    key: Callable[[Value], str],
    there: Iterable[Value],
    old: frozenset[str],
    source: Iterable[Value],
    news: frozenset[str],
) -> tuple[Value, ...]:
    stays: list[Value] = [value for value in there if key(value) not in old]
    once: dict[str, Value] = {key(value): value for value in source if key(value) in news}
    return (*stays, *once.values())


def _lost(why: Why, name: Field, now: Mapping[Side, Person], won: Side | None) -> Conflict:
    return Conflict(
        why=why, field=name, left_value=shown(now["left"], name), right_value=shown(now["right"], name), won=won
    )
