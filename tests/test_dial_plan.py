"""How numbers are spelt for a phone system, and which are never dialled by a click."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import phone
from domain.dial_plan import DialPlan, Spelt, check, heard, is_emergency, spell
from domain.errors import Forbidden, Malformed

E164, DIGITS, NATIONAL = DialPlan(), DialPlan(form="digits"), DialPlan(form="national")
OUTSIDE = DialPlan(form="national", outside="0")
GOLDEN = [  # as written, region, plan, dialled, then ask for
    ("600 111 222", "ES", E164, "+34600111222", ""),
    ("+34 600 111 222", "ES", DIGITS, "34600111222", ""),
    ("+34 600 111 222", "ES", NATIONAL, "600111222", ""),
    ("+34 600 111 222", "ES", OUTSIDE, "0600111222", ""),
    ("+44 20 7946 0001", "ES", NATIONAL, "00442079460001", ""),
    ("+44 20 7946 0001", "ES", OUTSIDE, "000442079460001", ""),
    ("020 7946 0001 ext 7", "GB", E164, "+442079460001", "7"),
    ("020 7946 0001 ext 7", "GB", DialPlan(form="national", outside="9"), "902079460001", "7"),
    ("+1 (415) 555-0100", "US", NATIONAL, "4155550100", ""),
    ("+1 416 555 0100", "US", NATIONAL, "14165550100", ""),  # Canada: the long way
    ("+34 600 111 222", "US", NATIONAL, "01134600111222", ""),
    ("+34 600 111 222", "RU", NATIONAL, "81034600111222", ""),
    ("+34 600 111 222", "AU", NATIONAL, "001134600111222", ""),
    ("+34 600 111 222", "BR", NATIONAL, "+34600111222", ""),  # which of many carriers' prefixes, nobody can say
    ("+39 06 1234 5678", "IT", NATIONAL, "0612345678", ""),
    ("201", "ES", OUTSIDE, "201", ""),  # an inside line is no line outside
    ("tel:+34600111222", "ES", E164, "+34600111222", ""),
]


@pytest.mark.parametrize(("raw", "region", "plan", "dialled", "then"), GOLDEN)
def test_a_number_is_spelt_as_the_plan_says(raw: str, region: str, plan: DialPlan, dialled: str, then: str) -> None:
    number = phone.read(raw, region)
    check(raw, number, plan, region)

    assert Spelt(dialled, then) == spell(number, plan, region)


EMERGENCY = [
    ("112", "ES", E164),
    ("1-1-2", "ES", E164),
    ("112", "US", E164),  # telephones know it everywhere
    ("911", "US", E164),
    ("911", "ES", E164),
    ("999", "GB", E164),
    ("110", "DE", E164),
    ("100", "IN", E164),
    ("0112", "DE", OUTSIDE),
    ("0 110", "DE", OUTSIDE),
    ("+34112", "ES", E164),
    ("+49 110", "DE", E164),
    ("0034112", "ES", E164),
    ("tel:112", "ES", E164),
    ("\u0661\u0661\u0662", "ES", E164),
    ("\uff11\uff11\uff12", "ES", E164),
    ("ext. 112", "ES", E164),
]


@pytest.mark.parametrize(("raw", "region", "plan"), EMERGENCY)
def test_nobody_calls_for_help_by_a_click(raw: str, region: str, plan: DialPlan) -> None:
    """However it is written; the sentence says what to do instead."""
    with pytest.raises(Forbidden, match="dialled by hand") as refused:
        check(raw, phone.read(raw, region), plan, region)

    assert "dial.emergency" == refused.value.code


@pytest.mark.parametrize(
    ("raw", "region"), [("1122", "ES"), ("201", "ES"), ("+34 911 222 333", "ES"), ("911222333", "ES"), ("999", "US")]
)
def test_what_only_looks_like_it_is_dialled(raw: str, region: str) -> None:
    assert not is_emergency(raw, E164, region)
    check(raw, phone.read(raw, region), E164, region)


@pytest.mark.parametrize("raw", ["", "anonymous", "call me", "*21*600111222#", "9" * 40, "+3491", "bob@pbx.example"])
def test_what_is_no_number_is_not_dialled(raw: str) -> None:
    with pytest.raises(Malformed):
        check(raw, phone.read(raw, "ES"), E164, "ES")


@given(st.text(max_size=40), st.sampled_from(["ES", "US", "IN", "BR", "ZZ", ""]))
def test_any_text_is_dialled_or_refused(raw: str, region: str) -> None:
    number = phone.read(raw, region)
    try:
        check(raw, number, OUTSIDE, region)
    except (Forbidden, Malformed):
        return
    spelt = spell(number, OUTSIDE, region)
    assert set(spelt.number) <= set("+0123456789")


@pytest.mark.parametrize(("raw", "region", "plan", "dialled", "then"), GOLDEN)
def test_what_was_dialled_is_known_again(raw: str, region: str, plan: DialPlan, dialled: str, then: str) -> None:
    """The phone system tells of the call in its own spelling; the person called is found all the same."""
    number = phone.read(raw, region)
    if number.kind == "number" and not (plan.form == "digits" and not plan.outside):
        assert number.e164 == phone.read(heard(dialled, plan, region), region).e164


def test_without_a_digit_for_outside_nothing_is_taken_away() -> None:
    assert "0600111222" == heard("0600111222", E164, "ES")
    assert "0999" == heard("0999", OUTSIDE, "ES")
    assert "+34600111222" == heard("034600111222", DialPlan(form="digits", outside="0"), "ES")
