"""A telephone number has one spelling, and what is not one gets an honest word."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.phone import Number, read, shown

NUMBERS = [  # reference/telephony.md, 6.4, and what a CRM holds on an ordinary day
    ("020 7946 0001", "GB", "+442079460001"),
    ("+44 (0)20 7946 0001", "US", "+442079460001"),
    ("00442079460001", "GB", "+442079460001"),
    ("442079460001", "GB", "+442079460001"),
    ("٠٢٠ ٧٩٤٦ ٠٠٠١", "GB", "+442079460001"),
    ("020 7946 0001", "GB", "+442079460001"),  # full-width digits
    ("600 111 222", "ES", "+34600111222"),
    ("+34 600-11.12/22", "US", "+34600111222"),
    ("tel:+34600111222", "US", "+34600111222"),
    ("sip:+34600111222@pbx.alice.example", "US", "+34600111222"),
    ("1-800-FLOWERS", "US", "+18003569377"),  # letters are converted
    ("+5213312345678", "US", "+523312345678"),  # a Mexican mobile as it was written until 2019
    ("011 15-2345-6789", "AR", "+5491123456789"),
    ("+15550100000", "US", "+15550100000"),  # the test range: possible, never valid
    ("  +34600111222  ", "US", "+34600111222"),
]


@pytest.mark.parametrize(("raw", "region", "e164"), NUMBERS, ids=[raw for raw, _, _ in NUMBERS])
def test_a_number_has_one_spelling(raw: str, region: str, e164: str) -> None:
    """However it was written, from wherever it is dialled; the raw text is kept beside it."""
    assert Number(raw, "number", e164=e164) == read(raw, region)


@pytest.mark.parametrize(
    ("raw", "e164", "extension"),
    [("+1 415-555-2671 ext. 12", "+14155552671", "12"), ("tel:+1-201-555-0123;ext=4", "+12015550123", "4")],
)
def test_an_extension_is_kept_apart(raw: str, e164: str, extension: str) -> None:
    """Two people behind one number are one number."""
    assert Number(raw, "number", e164=e164, extension=extension) == read(raw, "US")


@pytest.mark.parametrize(
    ("raw", "region", "kind", "extension"),
    [
        ("201", "US", "extension", "201"),
        ("201", "ES", "extension", "201"),
        ("x4411", "GB", "extension", "4411"),
        ("4411", "GB", "extension", "4411"),  # "possible" there, but only from within a town
        ("201", "DE", "extension", "201"),
        ("555 1234", "US", "unknown", ""),
        ("anonymous", "US", "anonymous", ""),
        ("Restricted", "US", "anonymous", ""),
        ("", "US", "anonymous", ""),
        ("   ", "US", "anonymous", ""),
        ("#31#0612345678", "FR", "unknown", ""),
        ("*67", "US", "unknown", ""),
        ("+266696687", "US", "unknown", ""),  # spells ANONYMOUS: parses, and is no number
        ("00442079460001", "US", "unknown", ""),  # the United States dial 011
        ("442079460001", "US", "unknown", ""),  # a vendor who leaves the plus out adds it before it comes here
        ("+", "US", "unknown", ""),
        ("9" * 40, "US", "unknown", ""),
        ("Reception", "US", "unknown", ""),
    ],
)
def test_what_is_no_number_says_what_it_is(raw: str, region: str, kind: str, extension: str) -> None:
    """An inside line, somebody who hides, or nothing we can dial: never an E.164 number."""
    assert Number(raw, kind, extension=extension) == read(raw, region)  # type: ignore[arg-type]  # a row of the table


@settings(max_examples=150, deadline=None)
@given(raw=st.text(max_size=90), region=st.sampled_from(["US", "ES", "GB", "AR", "XX", ""]))
def test_no_text_is_too_strange(raw: str, region: str) -> None:
    """It never raises, keeps the raw text, and gives E.164 exactly where it says "number"."""
    number = read(raw, region)

    assert raw == number.raw
    assert ("number" == number.kind) == number.e164.startswith("+")


@settings(max_examples=200, deadline=None)
@given(
    region=st.sampled_from(["US", "GB", "ES", "DE", "FR", "AR", "IN", "JP"]),
    style=st.sampled_from(
        [
            phonenumbers.PhoneNumberFormat.E164,
            phonenumbers.PhoneNumberFormat.INTERNATIONAL,
            phonenumbers.PhoneNumberFormat.NATIONAL,
            phonenumbers.PhoneNumberFormat.RFC3966,
        ]
    ),
    kind=st.sampled_from([phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE]),
)
def test_every_usual_spelling_means_the_same(region: str, style: int, kind: int) -> None:
    """National, international, E.164 or a tel: address; reading what was read changes nothing."""
    example = phonenumbers.example_number_for_type(region, kind)
    assert example is not None
    e164 = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)

    assert e164 == read(phonenumbers.format_number(example, style), region).e164
    assert e164 == read(e164, "US").e164 == read(shown(e164), "US").e164


def test_what_is_no_number_is_shown_as_it_is() -> None:
    """A page never fails over what somebody typed into a CRM."""
    assert "+34 600 11 12 22" == shown("+34600111222")
    assert "Reception" == shown("Reception")
