"""What a sync has to do, decided before anything is done.

`read_plan` compares what a side just told us with the links we remember and yields steps; `write_plan` does the same
for a side we write to. Both are pure, so a table can test them, and both yield nothing when nothing changed.
A side that is suddenly empty, or a plan that removes too much, raises `Held` before its first step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from domain.contact import Gone, Person, Record, keys, one_person
from domain.errors import Trouble

ContactId = str
Key = tuple[str, str]  # (module, remote id)
CROWD = 50  # a number that so many have says nothing of who anybody is
REMOVE_AT_MOST = 0.3  # of a side's records in one run; more asks a person first
NAMED = 5  # people somebody who is asked is shown
REMOVE_ALWAYS = 10  # so many may go without asking, however small the side is


class Held(Trouble):
    """This run would remove more than it may without being told to; nothing was changed."""

    code = "sync.held"

    def __init__(self, removing: int, known: int, some: Sequence[ContactId] = ()) -> None:
        super().__init__(f"This run would remove {removing} of {known} contacts. Nothing was removed.")
        self.removing = removing
        self.known = known
        self.some = tuple(some)  # of those it is about, so that a person can tell what happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A pair seen before: our contact, their record, and how the record looked then."""

    contact: ContactId
    module: str
    remote_id: str
    mark: Person
    owner: str = ""
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do. adopt: a new contact; join: a link to a known one; refresh: the record changed; drop: it went;
    put and remove: what a side we write to has to be told."""

    do: Literal["adopt", "join", "refresh", "drop", "put", "remove"]
    contact: ContactId = ""
    record: Record | None = None
    link: Link | None = None
    person: Person | None = None


def read_plan(
    told: Iterable[Record | Gone],
    links: Mapping[Key, Link],
    same_person: Callable[[Person], ContactId | None],
    *,
    complete: bool,
    go_on: bool = False,
    known: int | None = None,
    at_most: float = REMOVE_AT_MOST,
) -> Iterator[Step]:
    """Yield what `told` changes. `complete`: it is the whole side, so what is missing from it is gone.

    `known`: how many records the side has, where `links` are a part of them; `at_most`: the part that may go unasked.
    `same_person` finds the contact a new record belongs to (by number or address, and name). `go_on`: a person has
    read the count and said yes, so nothing is held.
    """
    latest: dict[Key, Record | Gone] = {(item.module, item.remote_id): item for item in told}
    gone = {key for key, item in latest.items() if isinstance(item, Gone) and key in links}
    if complete:
        gone |= links.keys() - {key for key, item in latest.items() if isinstance(item, Record)}
    _guard(gone, links, go_on, known, at_most)
    fresh: dict[tuple[str, str], list[tuple[Record, Person]]] = {}  # whom this very plan adopts: new records may meet
    for key, item in latest.items():
        if isinstance(item, Gone):
            continue
        link = links.get(key)
        if link is not None:
            if (link.mark, link.owner, link.account) != (item.person, item.owner, item.account):
                yield Step(do="refresh", contact=link.contact, record=item, link=link)
        elif contact := same_person(item.person):
            yield Step(do="join", contact=contact, record=item)
        else:
            names = keys(item.person)
            met = (pair for name in sorted(names) for pair in fresh.get(name, ()))
            twin = next((record for record, person in met if one_person(person, item.person)), None)
            yield Step(do="adopt", record=item) if twin is None else Step(do="join", record=item, link=_of(twin))
            for name in names:
                if len(near := fresh.setdefault(name, [])) < CROWD:
                    near.append((twin or item, item.person))
    for key in sorted(gone):
        yield Step(do="drop", contact=links[key].contact, link=links[key])


def write_plan(
    wanted: Mapping[ContactId, Person],
    links: Mapping[ContactId, Link],
    *,
    go_on: bool = False,
    known: int | None = None,
) -> Iterator[Step]:
    """Yield what a side we write to has to be told so that it holds `wanted` and nothing else of ours.

    `known`: how many of ours it holds, where `links` are a part of them.
    """
    gone = links.keys() - wanted.keys()
    _guard(gone, links, go_on, known)
    for contact, person in sorted(wanted.items()):
        link = links.get(contact)
        if link is None or link.mark != person:
            yield Step(do="put", contact=contact, person=person, link=link)
    for contact in sorted(gone):
        yield Step(do="remove", contact=contact, link=links[contact])


def _guard(
    gone: Collection[Any],
    links: Mapping[Any, Link],
    go_on: bool,
    known: int | None = None,
    at_most: float = REMOVE_AT_MOST,
) -> None:
    whole = len(links) if known is None else known
    if not go_on and len(gone) > max(REMOVE_ALWAYS, whole * at_most):
        raise Held(len(gone), whole, [links[key].contact for key in sorted(gone)[:NAMED]])


def _of(record: Record) -> Link:
    """Point at a record that this plan adopts: its contact has no id yet."""
    return Link(contact="", module=record.module, remote_id=record.remote_id, mark=record.person)
