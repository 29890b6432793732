"""Two sides come to agree field by field; what is lost is said; and what was done once is not done again."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain.agreement import plan, settle
from domain.contact import Line, Person, Record
from domain.pairs import Pair, Seen, View
from domain.plan import Held
from domain.telling import FIELDS, MANY, Told, said
from domain.threeway import Conflict, Direction, Terms, judge
from tests.agreement_sides import MODULE, Driver, MemorySide

TAKES = {MODULE: frozenset(FIELDS)}
BOTH = Terms(left="both", right="both", owner={"title": "right"}, left_takes=TAKES, right_takes=TAKES)
ONE, TWO, THREE = (Line(raw=f"600 111 22{digit}", e164=f"+3460011122{digit}") for digit in "123")
ANN = Person(given="Ann", family="Lee", company="Lee & Co", title="Buyer", lines=(ONE,), emails=("ann@lee.example",))


def side(*people: tuple[str, Person], **more: Any) -> View:
    return View(
        records={(MODULE, name): Record(module=MODULE, remote_id=name, person=person) for name, person in people},
        **more,
    )


def pair(left: Person | None = ANN, right: Person | None = ANN) -> Pair:
    return Pair(id="p", left=Seen(key=(MODULE, "l"), mark=left), right=Seen(key=(MODULE, "r"), mark=right))


def told(agreement: Any) -> list[Any]:
    """What is to be done: (what, on which side, in which fields)."""
    return [
        (step.do, step.side or "", *((to, *sorted(change.fields)) for to, change in sorted(step.changes.items())))
        for step in agreement.steps
    ]


CALLED = replace(ANN, given="Anna")
BOSS, CHIEF = replace(ANN, title="Boss"), replace(ANN, title="Chief")
UNTITLED = replace(ANN, title="")
TABLE = {  # left now, right now, steps, (field, winner, why) of the journal
    "nobody moved": (ANN, ANN, [], []),
    "spaces and labels": (replace(ANN, given=" Ann "), replace(ANN, lines=(replace(ONE, label="x"),)), [], []),
    "left changed": (CALLED, ANN, [("update", "", ("right", "name"))], []),
    "right changed": (ANN, BOSS, [("update", "", ("left", "title"))], []),
    "each another field": (CALLED, BOSS, [("update", "", ("left", "title"), ("right", "name"))], []),
    "both the same": (BOSS, BOSS, [("mark", "")], []),
    "both, and right owns it": (BOSS, CHIEF, [("update", "", ("left", "title"))], [("title", "right", "both changed")]),
    "both, and left owns it": (
        replace(ANN, company="A"),
        replace(ANN, company="B"),
        [("update", "", ("right", "company"))],
        [("company", "left", "both changed")],
    ),
    "cleared": (UNTITLED, ANN, [("update", "", ("right", "title"))], []),
    "cleared here, changed there": (
        BOSS,
        UNTITLED,
        [("update", "", ("right", "title"))],
        [("title", "left", "a value beats none")],
    ),
    "another number on each side": (
        replace(ANN, lines=(ONE, TWO)),
        replace(ANN, lines=(ONE, THREE)),
        [("update", "", ("left", "lines"), ("right", "lines"))],
        [],
    ),
    "a number taken away": (replace(ANN, lines=()), ANN, [("update", "", ("right", "lines"))], []),
    "taken away on both sides": (replace(ANN, lines=()), replace(ANN, lines=()), [("mark", "")], []),
}


@pytest.mark.parametrize(("left", "right", "steps", "journal"), TABLE.values(), ids=TABLE)
def test_a_pair_is_compared_field_by_field(left: Person, right: Person, steps: list[Any], journal: list[Any]) -> None:
    found = plan(side(("l", left)), side(("r", right)), [pair()], BOTH)

    assert steps == told(found)
    assert journal == [(lost.field, lost.won, lost.why) for lost in found.conflicts]


def test_numbers_are_merged_one_by_one() -> None:
    """Left replaced the first by the second, right added the third and labelled the first: nothing new is lost."""
    labelled = replace(ONE, label="mobile", raw="0034600111221")
    now = {"left": replace(ANN, lines=(TWO,)), "right": replace(ANN, lines=(labelled, THREE))}
    verdict = judge(now, {"left": ANN, "right": ANN}, {"left": MODULE, "right": MODULE}, BOTH)  # type: ignore[arg-type]

    assert (TWO, THREE) == verdict.wanted["left"].lines
    assert (THREE, TWO) == verdict.wanted["right"].lines


def test_a_first_meeting_loses_nothing() -> None:
    """Empty fields are filled, numbers are added up, and where both have something the owner's stands and is named."""
    left, right = replace(ANN, company="", title="Boss"), replace(ANN, lines=(ONE, TWO), emails=())

    found = plan(side(("l", left)), side(("r", right)), [], BOTH)

    ((_, _, *changes),) = told(found)
    assert [("left", "company", "lines", "title"), ("right", "emails")] == changes
    assert [("title", ("Boss",), ("Buyer",), "right", "first meeting")] == [
        (lost.field, lost.left_value, lost.right_value, lost.won, lost.why) for lost in found.conflicts
    ]


GONE = {  # left now, right now, terms, steps, journal
    "deleted": (None, ANN, BOTH, [("delete", "right", ("right",))], []),
    "deleted on both sides": (None, None, BOTH, [("part", "")], []),
    "deleted here, changed there": (None, BOSS, BOTH, [("create", "left")], ["changed after it was deleted"]),
    "changed where we only listen": (
        None,
        BOSS,
        replace(BOTH, left="read"),
        [("mark", "")],
        ["changed after it was deleted"],
    ),
    "deleted where we only write": (None, ANN, replace(BOTH, left="write"), [("create", "left")], ["put back"]),
    "a module nobody may write": (None, ANN, replace(BOTH, right_takes={}), [("create", "left")], ["put back"]),
    "nothing flows": (None, ANN, Terms(), [("part", "")], []),
}


@pytest.mark.parametrize(("left", "right", "terms", "steps", "journal"), GONE.values(), ids=GONE)
def test_a_record_that_went(
    left: Person | None, right: Person | None, terms: Terms, steps: list[Any], journal: list[str]
) -> None:
    """A deletion travels unless somebody changed the other record; then it stays and the journal says so."""
    others = [(f"x{number}", replace(CALLED, lines=(), emails=(f"{number}@x.example",))) for number in range(3)]
    pairs = [
        Pair(id=name, left=Seen(key=(MODULE, name), mark=person), right=Seen(key=(MODULE, name), mark=person))
        for name, person in others
    ]
    views = [side(*others, *([(name, now)] if now else [])) for name, now in (("l", left), ("r", right))]

    found = plan(*views, [pair(), *pairs], terms)

    assert steps == told(found)
    assert journal == [lost.why for lost in found.conflicts]


WAYS: dict[str, tuple[Direction, Direction, list[Any], list[str]]] = {
    "both": ("both", "both", [("update", "", ("left", "title"), ("right", "name"))], []),
    "left to right": ("read", "both", [("update", "", ("right", "name"))], ["one way"]),
    "right to left": ("both", "read", [("update", "", ("left", "title"))], ["one way"]),
    "right only receives": ("both", "write", [("update", "", ("right", "name"))], ["one way"]),
    "we only listen": ("read", "read", [("mark", "")], ["one way", "one way"]),
}


@pytest.mark.parametrize(("left", "right", "steps", "journal"), WAYS.values(), ids=WAYS)
def test_changes_travel_where_they_may(left: Direction, right: Direction, steps: list[Any], journal: list[str]) -> None:
    """Left changed the name, right the title; what may not travel stays where it is, and the journal says why."""
    found = plan(side(("l", CALLED)), side(("r", BOSS)), [pair()], replace(BOTH, left=left, right=right))

    assert steps == told(found)
    assert journal == [lost.why for lost in found.conflicts]


def test_today_nothing_is_written() -> None:
    """A tenant who chose nothing: every side is only read."""
    strangers = side(("l", ANN), ("l2", replace(ANN, given="Bea", lines=(TWO,), emails=())))

    found = plan(strangers, side(("r", BOSS)), [], Terms(left_takes=TAKES, right_takes=TAKES))

    assert [("mark", "")] == told(found)


WHO = {  # left, right, steps, whom a person must look at
    "nobody like that": (ANN, CALLED, [("create", "right"), ("create", "left")], [], {"right": ((TWO,), ())}),
    "another name, same number": (ANN, CALLED, [], ["alike", "alike"], {}),
    "no name, same number": (replace(ANN, given="", family=""), ANN, [("update", "", ("left", "name"))], [], {}),
    "capitals": (ANN, replace(ANN, family="LEE"), [("update", "", ("right", "name"))], [], {}),
}


@pytest.mark.parametrize(("left", "right", "steps", "waiting", "instead"), WHO.values(), ids=WHO)
def test_who_is_who(left: Person, right: Person, steps: Any, waiting: list[str], instead: Any) -> None:
    """Only a shared number or address and a name that does not differ make one person of two records."""
    if instead:
        lines, emails = instead["right"]
        right = replace(right, lines=lines, emails=emails)
    found = plan(side(("l", left)), side(("r", right)), [], BOTH)

    assert steps == told(found)
    assert waiting == [lost.why for lost in found.waiting]


def test_the_same_person_twice_on_one_side_is_created_once() -> None:
    """And somebody without number or address never: nobody could find them again after a lost answer."""
    found = plan(side(("l1", ANN), ("l2", ANN), ("l3", Person(given="Zed"))), side(), [], BOTH)

    assert [("create", "right")] == told(found)
    assert ["twice", "nothing to know them by"] == [lost.why for lost in found.waiting]


def test_a_renamed_record_stays_with_its_pair() -> None:
    """Whether the side says what it was called or not; and the new name is remembered though nothing else changed."""
    renamed = Record(module=MODULE, remote_id="new", person=CALLED, formerly=("l",))
    for record in (renamed, Record(module=MODULE, remote_id="new", person=ANN)):
        found = plan(View(records={(MODULE, "new"): record}), side(("r", ANN)), [pair()], BOTH)
        (step,) = found.steps
        assert ("p", "new") == (step.pair, step.left.remote_id if step.left else "")
        assert step.do in ("update", "mark")
    lost_page = View(records={(MODULE, "new"): renamed}, complete=False)
    assert [("update", "", ("right", "name"))] == told(plan(lost_page, side(("r", ANN)), [pair()], BOTH))


def test_two_strangers_do_not_inherit_a_pair() -> None:
    """Both records of a pair went, and somebody alike is new on either side: they meet for the first time."""
    left, right = replace(ANN, title="Boss"), replace(ANN, emails=("ann@home.example",))

    found = plan(side(("l2", left)), side(("r2", right)), [pair()], BOTH)

    assert [("part", ""), ("update", "", ("left", "emails", "title"), ("right", "emails"))] == told(found)
    assert ["first meeting"] == [lost.why for lost in found.conflicts]


def test_a_page_that_was_lost_deletes_and_doubles_nobody() -> None:
    """Not mentioned is not gone; and somebody new waits until the other side was read to its end."""
    new = ("l2", replace(ANN, given="Bea", lines=(TWO,), emails=()))

    assert [] == told(plan(side(("l", ANN), new), side(complete=False), [pair()], BOTH))
    whole = plan(side(("l", ANN), new), side(("r", ANN)), [pair()], BOTH)
    assert [("create", "right")] == told(whole)
    never_compared = Pair(id="p", left=Seen(key=(MODULE, "l")), right=Seen(key=(MODULE, "r")))
    assert [] == told(plan(side(("l", ANN)), side(complete=False), [never_compared], BOTH))
    named = plan(side(("l", ANN)), side(complete=False, gone=frozenset({(MODULE, "r")})), [pair()], BOTH)
    assert [("delete", "left", ("left",))] == told(named)


def many(size: int) -> tuple[list[tuple[str, Person]], list[Pair]]:
    people = [(f"n{number}", replace(ANN, emails=(f"{number}@x.example",))) for number in range(size)]
    seen = [Pair(id=n, left=Seen(key=(MODULE, n), mark=p), right=Seen(key=(MODULE, n), mark=p)) for n, p in people]
    return people, seen


@pytest.mark.parametrize(("size", "left", "held"), [(2, 0, True), (50, 34, True), (50, 35, False), (12, 2, False)])
def test_a_side_that_loses_too_much_is_asked_about(size: int, left: int, held: bool) -> None:
    """Suddenly empty, or more than ten and more than three in ten: nothing is done until a person says so."""
    people, pairs = many(size)
    views = side(*people[:left]), side(*people)
    if held:
        with pytest.raises(Held):
            plan(*views, pairs, BOTH)
    assert size - left == len(plan(*views, pairs, BOTH, go_on=True).steps)


def test_marks_move_only_when_all_of_a_step_was_done() -> None:
    """One side written and the other not: the pair stays as it was, and the rest is planned again."""
    before = pair()
    (step,) = plan(side(("l", CALLED)), side(("r", BOSS)), [before], BOTH).steps
    merged = replace(CALLED, title="Boss")
    right = Told(do="written", remote_id="r", record=Record(module=MODULE, remote_id="r", person=merged))
    left = Told(do="written", remote_id="l", record=Record(module=MODULE, remote_id="l", person=merged))

    assert before == settle(step, {"right": right}, before).pair
    assert before == settle(step, {"right": right, "left": Told(do="changed", record=left.record)}, before).pair
    (again,) = plan(side(("l", CALLED)), side(("r", merged)), [before], BOTH).steps
    assert ["left"] == list(again.changes)
    done = settle(step, {"right": right, "left": left}, before).pair
    assert done == pair(merged, merged)
    assert [] == plan(side(("l", merged)), side(("r", merged)), [done] if done else [], BOTH).steps


def test_what_else_changed_meanwhile_is_still_news() -> None:
    """We wrote the name, and the answer shows a title we did not know: the next run compares it."""
    (step,) = plan(side(("l", CALLED)), side(("r", ANN)), [pair()], BOTH).steps
    there = replace(CALLED, title="Boss")
    answer = Told(do="written", remote_id="r", record=Record(module=MODULE, remote_id="r", person=there))

    after = settle(step, {"right": answer}, pair()).pair

    assert after is not None
    assert [("update", "", ("left", "title"))] == told(plan(side(("l", CALLED)), side(("r", there)), [after], BOTH))


def test_what_a_side_will_not_take_is_said_once() -> None:
    """A refusal and what found no room are lines of the journal, and the pair rests until somebody changes it."""
    (step,) = plan(side(("l", BOSS)), side(("r", ANN)), [pair()], BOTH).steps
    refused = settle(step, {"right": Told(do="refused", remote_id="r", refused="zoho.invalid_data")}, pair())
    assert [("refused", "zoho.invalid_data")] == [(lost.why, lost.reason) for lost in refused.conflicts]
    assert refused.pair is not None
    assert [] == plan(side(("l", BOSS)), side(("r", ANN)), [refused.pair], BOTH).steps

    (create,) = plan(side(("l", ANN)), side(), [], BOTH).steps
    alone = settle(create, {"right": Told(do="refused", refused="zoho.mandatory_not_found")}, None).pair
    assert alone is not None
    assert [] == plan(side(("l", ANN)), side(), [alone], BOTH).steps
    assert [("create", "right")] == told(plan(side(("l", BOSS)), side(), [alone], BOTH))


def test_whom_the_side_had_already_is_compared_next() -> None:
    """A duplicate it named is joined; if that record has a partner already, ours stays alone and a person is told."""
    (step,) = plan(side(("l", ANN)), side(), [], BOTH).steps
    twin = Told(do="joined", remote_id="r", record=Record(module=MODULE, remote_id="r", person=CALLED))

    joined = settle(step, {"right": twin}, None).pair
    assert joined is not None
    assert [("update", "", ("right", "name"))] == told(plan(side(("l", ANN)), side(("r", CALLED)), [joined], BOTH))
    alone = settle(step, {"right": twin}, None, taken=True)
    assert (None, ["twice"]) == (alone.pair and alone.pair.right, [lost.why for lost in alone.conflicts])


# ---- two sides that misbehave -------------------------------------------------------------------------------------

NAMES = st.sampled_from([("Ann", "Lee"), ("Ben", "Moss"), ("Cat", ""), ("", "")])
TEXTS = st.sampled_from(["", "one", "two", "three"])
NUMBERS = st.lists(st.sampled_from("0123456789"), min_size=1, max_size=3, unique=True).map(
    lambda digits: tuple(Line(raw=f"60011122{digit}", e164=f"+3460011122{digit}") for digit in digits)
)
ADDRESSES = st.lists(st.sampled_from(["a@x.example", "b@x.example", "c@x.example"]), max_size=2, unique=True).map(tuple)
PEOPLE = st.builds(
    lambda name, company, title, lines, emails: Person(
        given=name[0], family=name[1], company=company, title=title, lines=lines, emails=emails
    ),
    NAMES,
    TEXTS,
    TEXTS,
    NUMBERS,
    ADDRESSES,
)
SIDE = st.sampled_from(["left", "right"])
DIRECTIONS = st.sampled_from(["both", "both", "both", "read", "write"])


class TwoSides(RuleBasedStateMachine):
    """Whatever people and networks do: after quiet runs both sides agree or the journal says why, and all is still."""

    def __init__(self) -> None:
        super().__init__()
        self.taken_away: set[str] = set()

    @initialize(left=DIRECTIONS, right=DIRECTIONS, books=st.lists(st.lists(PEOPLE, max_size=6), min_size=2, max_size=2))
    def meet(self, left: Direction, right: Direction, books: list[list[Person]]) -> None:
        crm = MemorySide("r", takes=("name", "title", "lines", "emails"), most_numbers=4)
        book = MemorySide("l")
        takes = {"left_takes": book.limits.takes, "right_takes": crm.limits.takes}
        self.driver = Driver(book, crm, Terms(left=left, right=right, owner={"title": "right"}, **takes))
        for there, people in zip((book, crm), books, strict=True):
            for person in people:
                there.add(person)

    def teardown(self) -> None:
        if hasattr(self, "driver"):
            self.quiet_days()

    def _pick(self, where: Any, which: int) -> tuple[MemorySide, str]:
        there = self.driver.sides[where]
        return there, sorted(there.people)[which % len(there.people)]

    @rule(where=SIDE, people=st.lists(PEOPLE, min_size=1, max_size=5))
    def add(self, where: Any, people: list[Person]) -> None:
        for person in people:
            self.driver.sides[where].add(person)

    @rule(where=SIDE, which=st.integers(0, 99), name=st.sampled_from(FIELDS), person=PEOPLE)
    def edit(self, where: Any, which: int, name: Any, person: Person) -> None:
        if self.driver.sides[where].people:
            there, key = self._pick(where, which)
            before = there.people[key]
            parts: Any = ("given", "family") if name == "name" else (name,)
            there.people[key] = replace(before, **{part: getattr(person, part) for part in parts})
            if name in MANY:
                self.taken_away |= {str(value) for value in said(before, name)}

    @rule(where=SIDE, which=st.integers(0, 99))
    def remove(self, where: Any, which: int) -> None:
        if self.driver.sides[where].people:
            there, key = self._pick(where, which)
            gone = there.people.pop(key)
            self.taken_away |= {str(value) for name in MANY for value in said(gone, name)}

    @rule(where=SIDE, which=st.integers(0, 99))
    def rename(self, where: Any, which: int) -> None:
        if self.driver.sides[where].people:
            there, key = self._pick(where, which)
            there.rename(key)

    @rule(seed=st.integers(0, 10_000))
    def bad_day(self, seed: int) -> None:
        for number, there in enumerate(self.driver.sides.values()):
            there.luck = Random(seed + number)
        self.driver.run()
        for there in self.driver.sides.values():
            there.luck = None

    @precondition(lambda self: hasattr(self, "driver"))
    @rule()
    def quiet_days(self) -> None:
        before = self.driver.numbers()
        for _ in range(4):
            self.driver.run()

        still = self.driver.decide()
        assert [] == still.steps, still.steps
        assert [] == still.conflicts
        self._agreed()
        kept = self.driver.numbers() | self._journalled()
        assert before - self.taken_away <= kept

    def _journalled(self) -> set[str]:
        return {
            str(value)
            for lost in self.driver.journal
            for text in (*lost.left_value, *lost.right_value)
            for value in (text.casefold(), f"+34{text};")
        }

    def _agreed(self) -> None:
        """Each pair says the same in every field, or the journal has a line on that field of that pair."""
        people = {name: there.people for name, there in self.driver.sides.items()}
        keys: dict[str, list[str]] = {"left": [], "right": []}
        for one in self.driver.pairs.values():
            seen = {"left": one.left, "right": one.right}
            for name, at in seen.items():
                if at is not None:
                    keys[name].append(at.key[1])
            if one.left is None or one.right is None:
                continue
            left, right = people["left"][one.left.key[1]], people["right"][one.right.key[1]]
            for name in FIELDS:
                if said(left, name) != said(right, name):
                    assert any(self._is_about(lost, one, name) for lost in self.driver.journal), (name, left, right)
        for name, found in keys.items():
            assert len(found) == len(set(found)), f"somebody on the {name} has two partners"
        for lost in self.driver.waiting:
            assert lost.why in ("alike", "twice", "nothing to know them by")

    def _is_about(self, lost: Conflict, one: Pair, name: str) -> bool:
        """A line names the records as they were called then."""
        mine = set()
        for at, there in ((one.left, self.driver.sides["left"]), (one.right, self.driver.sides["right"])):
            if at is not None:
                mine |= {at.key[1], *there.formerly.get(at.key[1], ())}
        told_of = {key[1] for key in (lost.left, lost.right) if key is not None}
        return bool(mine & told_of) and lost.field in (name, "record")


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
