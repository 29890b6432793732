"""Who is who on two sides: pairs of records that are one person, and records that got another name.

A pair is remembered, never guessed anew. Only records in no pair are matched, by a number or an address they share and
by a name that does not differ: two who share a switchboard must never become one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from domain.contact import Person, Record
from domain.plan import Key
from domain.telling import MANY, said
from domain.threeway import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one side told us. Not `complete`: a record that is not mentioned may be there all the same."""

    records: Mapping[Key, Record]
    gone: frozenset[Key] = frozenset()
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A record as it looked when its pair last agreed; no mark: the pair never did."""

    key: Key
    mark: Person | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The same person on both sides, or a record that stays alone: its partner was refused or is somebody else's."""

    id: str
    left: Seen | None = None
    right: Seen | None = None

    def at(self, side: Side) -> Seen | None:
        return self.left if side == "left" else self.right


def key_of(record: Record) -> Key:
    return record.module, record.remote_id


def followed(pairs: Sequence[Pair], side: Side, view: View, across: View) -> list[Pair]:
    """Follow records that got another name: the side says so, or somebody of that name and number is new there.

    The second is believed only while the partner is `across` still: else two strangers could become a pair.
    """
    known = {seen.key for pair in pairs if (seen := pair.at(side))}
    lost = {key for key in known if key not in view.records}
    if not lost:
        return list(pairs)
    fresh = [record for key, record in sorted(view.records.items()) if key not in known]
    former = {(record.module, name): record for record in fresh for name in record.formerly}
    by_trait: dict[str, list[Record]] = {}
    for record in fresh:
        for trait in traits(record.person):
            by_trait.setdefault(trait, []).append(record)
    found: list[Pair] = []
    taken: set[Key] = set()
    for pair in pairs:
        seen = pair.at(side)
        if seen is not None and seen.key in lost:
            before = Record(module=seen.key[0], remote_id=seen.key[1], person=seen.mark or Person())
            new = former.get(seen.key)
            partner = pair.right if side == "left" else pair.left
            stays = partner is not None and (partner.key in across.records or unseen(partner, across))
            if new is None and stays and not unseen(seen, view):
                new = find_partner(before, by_trait, lambda key: key not in taken, strict=True)
            if new is not None and key_of(new) not in taken:
                taken.add(key_of(new))
                seen = replace(seen, key=key_of(new))
        found.append(replace(pair, left=seen) if side == "left" else replace(pair, right=seen))
    return found


def find_partner(
    record: Record, there: Mapping[str, Sequence[Record]], free: Callable[[Key], bool], *, strict: bool
) -> Record | None:
    """The first record on the other side that is the same person."""
    shared = {key_of(one): one for trait in sorted(traits(record.person)) for one in there.get(trait, ())}
    same = [one for key, one in sorted(shared.items()) if free(key) and same_name(one, record, strict=strict)]
    return same[0] if same else None


def same_name(one: Record, two: Record, *, strict: bool = True) -> bool:
    first, second = (str(said(record.person, "name")).casefold() for record in (one, two))
    return first == second or (not strict and not (first and second))


def traits(person: Person) -> frozenset[str]:
    """What a person can be found by: numbers and addresses."""
    return frozenset().union(*(frozenset(said(person, name)) for name in MANY))


def unseen(seen: Seen, view: View) -> bool:
    """Say whether a side that was not read to its end may still have this record."""
    return seen.key not in view.records and not view.complete and seen.key not in view.gone
