"""Whose call it is when several have the number: each policy as a table, the same answer in any order."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import phone
from domain.contact import Line, Person, Record, one_person
from domain.matching import MODULES, POLICIES, Candidate, Choice, Found, Place, Rules, Trace, decide
from domain.plan import read_plan

DANA, EMIL, ACME, GOOGLE = (UUID(int=number) for number in (4, 3, 2, 1))
BOB, ALICE = "501", "502"


def place(remote_id: str, module: str = "Contacts", **more: str) -> Place:
    return Place(module=module, remote_id=remote_id, **more)


def somebody(contact: UUID, *places: Place) -> Candidate:
    return Candidate(contact=contact, places=places)


OF_ACME = (
    somebody(DANA, place("11", owner=BOB, account="77")),
    somebody(EMIL, place("9", owner=ALICE, account="77")),
)
STRANGERS = (somebody(DANA, place("11", owner=BOB)), somebody(EMIL, place("9", owner=ALICE)))
COMPANY = somebody(ACME, place("77", "Accounts"))
TABLE: dict[str, tuple[tuple[Candidate, ...], Rules, dict[str, Any], tuple[str, str, UUID | None]]] = {
    "nobody": ((), Rules(), {}, ("nobody", "", None)),
    "one": (STRANGERS[:1], Rules(policy="ask"), {}, ("one", "only", DANA)),
    "first: the oldest record": (STRANGERS, Rules(), {}, ("several", "first", EMIL)),
    "first: a lead after a contact": (
        (somebody(EMIL, place("1", "Leads")), STRANGERS[0]),
        Rules(),
        {},
        ("several", "first", DANA),
    ),
    "first: a lead before a contact, if the tenant says so": (
        (somebody(EMIL, place("1", "Leads")), STRANGERS[0]),
        Rules(order=("Leads", "Contacts", "Accounts")),
        {},
        ("several", "first", EMIL),
    ),
    "first: somebody with a record before somebody without": (
        (somebody(GOOGLE), STRANGERS[0]),
        Rules(),
        {},
        ("several", "first", DANA),
    ),
    "owner: the last who spoke": (STRANGERS, Rules(policy="owner"), {"last": DANA}, ("several", "last", DANA)),
    "owner: whose record the agent owns": (
        STRANGERS,
        Rules(policy="owner"),
        {"agent": BOB},
        ("several", "yours", DANA),
    ),
    "owner: the last one is somebody else now": (
        STRANGERS,
        Rules(policy="owner"),
        {"last": ACME, "agent": ALICE},
        ("several", "yours", EMIL),
    ),
    "owner: nothing tells them apart": (STRANGERS, Rules(policy="owner"), {}, ("several", "first", EMIL)),
    "account: they share one": (
        OF_ACME,
        Rules(policy="account"),
        {"companies": {"77": ACME}},
        ("account", "account", ACME),
    ),
    "account: one that the hub does not know": (OF_ACME, Rules(policy="account"), {}, ("account", "account", None)),
    "account: the company itself has the number, too": (
        (*OF_ACME, COMPANY),
        Rules(policy="account"),
        {"companies": {"77": ACME}},
        ("account", "account", ACME),
    ),
    "account: they share none": (STRANGERS, Rules(policy="account"), {}, ("several", "ask", None)),
    "ask": (STRANGERS, Rules(policy="ask"), {"last": DANA}, ("several", "ask", None)),
    "ask: a company is no rival of its own people": (
        (OF_ACME[0], COMPANY),
        Rules(policy="ask"),
        {},
        ("one", "only", DANA),
    ),
    "a rule before any policy": (OF_ACME, Rules(policy="account"), {"rule": EMIL}, ("chosen", "rule", EMIL)),
    "a rule for one who lost the number": (STRANGERS, Rules(), {"rule": ACME}, ("several", "first", EMIL)),
}


@pytest.mark.parametrize(("candidates", "rules", "known", "expected"), TABLE.values(), ids=TABLE)
def test_a_policy_decides(
    candidates: tuple[Candidate, ...], rules: Rules, known: dict[str, Any], expected: tuple[str, str, UUID | None]
) -> None:
    choice = decide(candidates, rules, **known)

    assert expected == (choice.match, choice.why, choice.contact)
    assert (("Accounts", "77") if choice.why == "account" else None) == choice.record


PLACES = st.builds(
    Place,
    module=st.sampled_from(MODULES),
    remote_id=st.integers(1, 99).map(str),
    owner=st.sampled_from(("", BOB)),
    account=st.sampled_from(("", "77")),
)
CANDIDATES = st.lists(
    st.builds(Candidate, contact=st.integers(1, 99).map(lambda n: UUID(int=n)), places=st.lists(PLACES).map(tuple)),
    unique_by=lambda one: one.contact,
    max_size=5,
)
RULES = st.builds(Rules, policy=st.sampled_from(POLICIES), order=st.permutations(MODULES).map(tuple))


@given(CANDIDATES, RULES, st.randoms())
def test_the_order_of_the_index_decides_nothing(candidates: list[Candidate], rules: Rules, chance: Any) -> None:
    """And whoever is chosen is one of them."""
    other = list(candidates)
    chance.shuffle(other)

    choice = decide(candidates, rules, agent=BOB)

    assert choice == decide(other, rules, agent=BOB)
    assert choice.contact in {None, *(one.contact for one in candidates)}


@given(RULES)
def test_rules_survive_their_column(rules: Rules) -> None:
    assert rules == Rules.from_data(rules.as_data())


@pytest.mark.parametrize("data", [{}, {"policy": "guess", "order": ["Deals"]}, {"order": ["Leads", "Leads", "Leads"]}])
def test_rules_nobody_can_follow_are_as_they_come(data: dict[str, Any]) -> None:
    assert Rules() == Rules.from_data(data)


def test_a_trace_survives_its_seal_and_forgets() -> None:
    number = phone.read("600 111 222", "ES")
    trace = Trace.of(
        number,
        "ES",
        Choice(match="chosen", why="rule", contact=EMIL),
        tried=(number.e164,),
        matched=number.e164,
        found=(Found(contact=DANA, records=(("Contacts", "11"),)), Found(contact=EMIL)),
        before=Choice(match="several", why="first", contact=DANA),
    )

    assert trace == Trace.from_data(trace.as_data())
    without = trace.forgets(frozenset({DANA}))
    assert without is not None
    assert str(DANA) not in str(without.as_data())
    assert (EMIL, None) == (without.choice.contact, without.before)
    assert without.forgets(frozenset({DANA})) is None


# ---- who is the same person ---------------------------------------------------------------------------------------

LINE = (Line.read("+34911222333"),)
SAME = {
    "the same name": (Person(given="Dana", family="Sol"), Person(given="dana", family="SOL"), True),
    "a letter for a first name": (Person(given="D.", family="Sol"), Person(given="Dana", family="Sol"), True),
    "half a name": (Person(given="Dana"), Person(given="Dana", family="Sol"), True),
    "no name": (Person(), Person(given="Dana", family="Sol"), True),
    "colleagues": (Person(given="Dana", family="Sol"), Person(given="Emil", family="Rowan"), False),
    "a family": (Person(given="Dana", family="Sol"), Person(given="Emil", family="Sol"), False),
    "somebody and the company": (Person(given="Dana", family="Sol", company="Sol SL"), Person(company="Sol SL"), False),
    "one company": (Person(company="Sol SL"), Person(company="SOL SL"), True),
    "two companies": (Person(company="Sol SL"), Person(company="Luna SL"), False),
    "one address, two names": (
        Person(given="Dana", family="Sol", emails=("d@sol.example",)),
        Person(given="Dana", family="Luna", emails=("D@sol.example",)),
        True,
    ),
}


@pytest.mark.parametrize(("one", "other", "same"), SAME.values(), ids=SAME)
def test_sharing_a_number_is_not_being_one_person(one: Person, other: Person, same: bool) -> None:
    assert same == one_person(one, other) == one_person(other, one)


def test_colleagues_stay_two_when_they_are_read_at_once() -> None:
    told = [
        Record(module="Contacts", remote_id=str(n), person=Person(given=name, family="X", lines=LINE))
        for n, name in enumerate(("Dana", "Emil", "Dana"))
    ]

    steps = read_plan(told, {}, lambda _: None, complete=True)

    assert [("adopt", "0"), ("adopt", "1"), ("join", "2")] == [
        (step.do, step.record.remote_id) for step in steps if step.record
    ]
