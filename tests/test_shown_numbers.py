"""Which of our numbers a callee sees, and which ranges of callers are nobody's customers."""

from __future__ import annotations

import pytest

from domain import barring, phone
from domain.barring import Barring
from domain.caller_id import Rule, chosen, destination
from domain.dial_plan import DialPlan, came

MADRID, BERLIN, MUNICH, BOBS = "+34911222333", "+493012345678", "+498912345678", "+34600000201"
RULES = [
    (MADRID, Rule()),
    (BERLIN, Rule(to="DE")),
    (MUNICH, Rule(to="+4989")),
    (BOBS, Rule(user="bob")),
    (BERLIN, Rule(to="DE", user="bob")),
]


@pytest.mark.parametrize(
    ("number", "user", "expected"),
    [
        ("+442079460001", "eve", MADRID),
        ("+4915112345678", "eve", BERLIN),
        ("+498955512345", "eve", MUNICH),
        ("+442079460001", "bob", BOBS),
        ("+498955512345", "bob", BERLIN),  # his own word on Germany before everybody's on Munich
    ],
)
def test_the_closest_rule_holds(number: str, user: str, expected: str) -> None:
    assert expected == chosen(RULES, number, user) == chosen(RULES[::-1], number, user)


def test_without_a_fitting_rule_nothing_is_said() -> None:
    assert ("", "") == (chosen([], MADRID, "bob"), chosen([(BERLIN, Rule(to="DE"))], MADRID, "bob"))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("", ""), (" de ", "DE"), ("+49 (30)", "+4930"), ("+4930*", "+4930"), ("QQ", None), ("0049", None), ("+0", None)],
)
def test_a_destination_as_people_write_it(raw: str, expected: str | None) -> None:
    assert expected == destination(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("+34 80*", "+3480*"), ("Anonymous", "anonymous"), ("+1*", None), ("0800*", None), ("*", None), ("+34 80", None)],
)
def test_a_range_as_people_write_it(raw: str, expected: str | None) -> None:
    assert expected == barring.written(raw)


def test_a_number_is_compared_only_with_ranges_there_are() -> None:
    told = Barring.of([("+3480*", "blocked"), ("+34801*", "left_out"), (MADRID, "own"), ("anonymous", "left_out")])

    assert ["+34801*", "+3480*"] == told.ranges("+34801234567")
    assert ((6, 5), "left_out") == (told.lengths, told.hidden)
    assert told == Barring.from_data(told.as_data())
    assert [] == Barring().ranges(MADRID)


@pytest.mark.parametrize(
    ("raw", "before", "expected"),
    [
        ("90600111222", "90", "+34600111222"),
        ("9000442079460001", "90", "+442079460001"),
        ("0044 20 7946 0001", "", "+442079460001"),
        ("900123456", "90", "+34900123456"),  # a number by itself: what is left of it would be none
    ],
)
def test_what_a_phone_system_puts_before_a_callers_number_is_taken_off(raw: str, before: str, expected: str) -> None:
    assert expected == phone.read(came(raw, DialPlan(before=before), "ES"), "ES").e164
