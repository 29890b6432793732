"""A sync decides first and acts second; what it decided once it does not decide again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.contact import Gone, Line, Person, Record, keys
from domain.plan import REMOVE_ALWAYS, Held, Key, Link, Step, read_plan, write_plan

DORA = Person(given="Dora", family="Quince", lines=(Line(raw="600 111 222", e164="+34600111222"),))
EMIL = Person(given="Emil", family="Rowan", emails=("emil@rowan.example",))
NOBODY: Mapping[Any, Any] = {}


def record(remote_id: str, person: Person = DORA, **more: Any) -> Record:
    return Record(module="Contacts", remote_id=remote_id, person=person, **more)


def link(remote_id: str, mark: Person = DORA, contact: str = "", owner: str = "") -> Link:
    return Link(contact=contact or f"c{remote_id}", module="Contacts", remote_id=remote_id, mark=mark, owner=owner)


def linked(*links: Link) -> dict[Key, Link]:
    return {(item.module, item.remote_id): item for item in links}


def said(steps: Any) -> list[tuple[str, str]]:
    """What a plan does, and to which record or contact."""
    return [
        (step.do, step.record.remote_id if step.record else step.link.remote_id if step.link else step.contact)
        for step in steps
    ]


GONE = Gone(module="Contacts", remote_id="1")
READ = {  # told, links, whole side?, steps
    "somebody new": ([record("1")], [], False, [("adopt", "1")]),
    "as last time": ([record("1")], [link("1")], False, []),
    "another name": ([record("1", EMIL)], [link("1")], False, [("refresh", "1")]),
    "another owner": ([record("1", owner="7")], [link("1")], False, [("refresh", "1")]),
    "told to have gone": ([GONE], [link("1")], False, [("drop", "1")]),
    "gone, and never known": ([GONE], [], False, []),
    "gone and back": ([GONE, record("1")], [link("1")], False, []),
    "there and gone": ([record("1"), GONE], [link("1")], False, [("drop", "1")]),
    "not mentioned": ([], [link("1")], False, []),
    "missing from the whole side": ([record("2", EMIL)], [link("1"), link("2", EMIL)], True, [("drop", "1")]),
    "told twice": ([record("1"), record("1", EMIL)], [], False, [("adopt", "1")]),
    "two new records of one person": ([record("1"), record("2")], [], False, [("adopt", "1"), ("join", "2")]),
    "two new strangers": ([record("1"), record("2", EMIL)], [], False, [("adopt", "1"), ("adopt", "2")]),
}


@pytest.mark.parametrize(("told", "links", "complete", "steps"), READ.values(), ids=READ)
def test_what_a_side_told_us_becomes_steps(
    told: list[Record | Gone], links: list[Link], complete: bool, steps: list[tuple[str, str]]
) -> None:
    """Only what changed is a step; the last word on a record counts."""
    assert steps == said(read_plan(told, linked(*links), lambda person: None, complete=complete))


def test_a_new_record_joins_whom_we_know() -> None:
    """By number or address; the hub says who that is."""
    (step,) = read_plan([record("9")], NOBODY, lambda person: "c1" if person is DORA else None, complete=False)

    assert ("join", "c1", "9") == (step.do, step.contact, step.record.remote_id if step.record else "")


def test_new_records_of_one_person_meet_through_a_third() -> None:
    """The second knows the first's number, the third only the second's address: all three are one person."""
    both = replace(DORA, emails=EMIL.emails)

    steps = list(read_plan([record("1"), record("2", both), record("3", EMIL)], NOBODY, lambda _: None, complete=True))

    assert [("adopt", "1"), ("join", "2"), ("join", "3")] == said(steps)
    assert ["1", "1"] == [step.link.remote_id for step in steps[1:] if step.link]


WRITE = {
    "somebody new": ({"c1": DORA}, {}, [("put", "c1")]),
    "as last time": ({"c1": DORA}, {"c1": link("1", DORA, "c1")}, []),
    "changed": ({"c1": EMIL}, {"c1": link("1", DORA, "c1")}, [("put", "1")]),
    "no longer wanted": ({}, {"c1": link("1", DORA, "c1")}, [("remove", "1")]),
    "all at once": (
        {"c2": EMIL, "c1": DORA},
        {"c3": link("3", DORA, "c3")},
        [("put", "c1"), ("put", "c2"), ("remove", "3")],
    ),
}


@pytest.mark.parametrize(("wanted", "links", "steps"), WRITE.values(), ids=WRITE)
def test_a_side_we_write_to_is_told_what_differs(
    wanted: dict[str, Person], links: dict[str, Link], steps: list[tuple[str, str]]
) -> None:
    """So that it holds what we want and nothing else of ours."""
    assert steps == said(write_plan(wanted, links))


class TestTheGuard:
    """A side that is suddenly empty, or a run that removes too much, stops before its first step."""

    LINKS = linked(*(link(str(number)) for number in range(100)))
    STAY = tuple(record(str(number)) for number in range(100))

    @pytest.mark.parametrize(("staying", "removed"), [(100, 0), (70, 30)])
    def test_it_lets_the_usual_pass(self, staying: int, removed: int) -> None:
        steps = list(read_plan(self.STAY[:staying], self.LINKS, lambda _: None, complete=True))

        assert removed == len(steps)

    @pytest.mark.parametrize("staying", [69, 1, 0])
    def test_it_holds_more(self, staying: int) -> None:
        """Not one step comes out, additions included."""
        told = [record("new", EMIL), *self.STAY[:staying]]
        plan = read_plan(told, self.LINKS, lambda _: None, complete=True)

        with pytest.raises(Held) as held:
            next(plan)
        assert (100 - staying, 100) == (held.value.removing, held.value.known)

    def test_a_person_who_read_the_count_may_go_on(self) -> None:
        steps = list(read_plan([], self.LINKS, lambda _: None, complete=True, go_on=True))

        assert {"drop"} == {step.do for step in steps}
        assert 100 == len(steps)

    @pytest.mark.parametrize(("known", "held"), [(REMOVE_ALWAYS, False), (REMOVE_ALWAYS + 1, True)])
    def test_a_small_side_may_be_emptied(self, known: int, held: bool) -> None:
        links = {str(number): link(str(number)) for number in range(known)}

        if held:
            with pytest.raises(Held):
                next(write_plan({}, links))
        else:
            assert known == len(list(write_plan({}, links)))

    def test_announced_deletions_are_counted_too(self) -> None:
        told = [Gone(module="Contacts", remote_id=str(number)) for number in range(31)]

        with pytest.raises(Held):
            next(read_plan(told, self.LINKS, lambda _: None, complete=False))


# ---- a model of the hub: what plans are applied to --------------------------------------------------------------

persons = st.builds(
    Person,
    given=st.sampled_from(["", "Dora", "Emil"]),
    lines=st.lists(
        st.sampled_from([Line(raw="1", e164="+341"), Line(raw="2", e164="+342"), Line(raw="x")]), max_size=2
    ).map(tuple),
    emails=st.lists(st.sampled_from(["a@x.example", "b@x.example"]), max_size=1).map(tuple),
)
records = st.builds(
    Record,
    module=st.sampled_from(["Contacts", "Leads"]),
    remote_id=st.sampled_from("12345"),
    person=persons,
    owner=st.sampled_from(["", "7"]),
)
gone = st.builds(Gone, module=st.just("Contacts"), remote_id=st.sampled_from("12345"))


class Model:
    """Links and the contacts they belong to, kept the plainest way there is."""

    def __init__(self) -> None:
        self.links: dict[Key, Link] = {}
        self.made = 0

    def who(self, person: Person) -> str | None:
        return min((item.contact for item in self.links.values() if keys(item.mark) & keys(person)), default=None)

    def apply(self, steps: list[Step]) -> None:
        for step in steps:
            if step.do == "drop" and step.link is not None:
                del self.links[step.link.module, step.link.remote_id]
                continue
            assert step.record is not None
            contact = step.contact
            if step.do == "adopt":
                self.made += 1
                contact = f"c{self.made}"
            elif step.do == "join" and step.link is not None:
                contact = self.links[step.link.module, step.link.remote_id].contact  # adopted by this very plan
            told = step.record
            self.links[told.module, told.remote_id] = Link(
                contact=contact, module=told.module, remote_id=told.remote_id, mark=told.person, owner=told.owner
            )

    def read(self, told: list[Record | Gone], complete: bool) -> list[Step]:
        return list(read_plan(told, self.links, self.who, complete=complete))


@settings(max_examples=60, deadline=None)
@given(runs=st.lists(st.tuples(st.lists(records | gone, max_size=8), st.booleans()), max_size=4))
def test_a_plan_that_was_applied_is_empty_the_second_time(runs: list[tuple[list[Record | Gone], bool]]) -> None:
    """Whatever came before; and the links then hold exactly what the side said last."""
    model = Model()
    for told, complete in runs:
        model.apply(model.read(told, complete))

        assert [] == model.read(told, complete)
        latest = {(item.module, item.remote_id): item for item in told}
        there = {key: item.person for key, item in latest.items() if isinstance(item, Record)}
        assert there.items() <= {key: item.mark for key, item in model.links.items()}.items()
        if complete:
            assert there.keys() == model.links.keys()


@settings(max_examples=50, deadline=None)
@given(
    wanted=st.dictionaries(st.sampled_from("abcde"), persons),
    before=st.dictionaries(st.sampled_from("abcde"), persons),
)
def test_what_was_written_is_not_written_again(wanted: dict[str, Person], before: dict[str, Person]) -> None:
    """After the steps the other side holds what we want, and there is nothing left to say."""
    links = {name: link(name, person, name) for name, person in before.items()}
    for step in write_plan(wanted, links):
        if step.do == "remove":
            del links[step.contact]
        else:
            assert step.person is not None
            links[step.contact] = link(step.contact, step.person, step.contact)

    assert wanted == {name: item.mark for name, item in links.items()}
    assert [] == list(write_plan(wanted, links))
