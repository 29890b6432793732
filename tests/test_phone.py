"""A telephone number has one spelling, and what is not one gets an honest word."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.phone import Number, read, shown, variants

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
    [
        ("+1 415-555-2671 ext. 12", "+14155552671", "12"),
        ("tel:+1-201-555-0123;ext=4", "+12015550123", "4"),
        ("415 555 2671 x12", "+14155552671", "12"),
        ("415 555 2671 #12", "+14155552671", "12"),
        ("+49 30 123456 Durchwahl 12", "+4930123456", "12"),
        ("sip:+34600111222;ext=4@pbx.alice.example", "+34600111222", "4"),
    ],
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
        ("x123456", "DE", "extension", "123456"),  # marked as one: not Germany's 123456
        ("12345", "AT", "extension", "12345"),  # Vienna's 2345 is written 01 2345 there
        ("٢٠١", "SA", "extension", "201"),
        ("sip:1234@pbx.alice.example", "US", "extension", "1234"),
        ("112", "DE", "extension", "112"),  # a few digits: never a contact, whoever answers
        ("+49 116117", "US", "unknown", ""),  # a short code from nowhere but Germany
        ("＊67", "US", "unknown", ""),
        ("sip:anonymous@anonymous.invalid", "US", "anonymous", ""),  # RFC 3323
        ("sip:bob2671@alice.example", "US", "unknown", ""),
        ("bob2671@alice.example", "US", "unknown", ""),  # an e-mail address in the wrong field
        ("sip:192.0.2.7", "US", "unknown", ""),
        ("2345678 CEL", "US", "unknown", ""),  # spells +1 234-567-8235, who is somebody else
        ("98123-4567", "BR", "unknown", ""),  # a town's own digits, "possible" in Brazil all the same
        ("4.42079E+11", "DE", "unknown", ""),  # a spreadsheet kept six digits of twelve
        ("000-000-0000", "US", "unknown", ""),  # typed where a form insisted, by many
        ("+86282452253", "US", "unknown", ""),  # spells UNAVAILABLE, and is possible in Chengdu
        ("Tel. " * 100 + "+34600111222", "US", "unknown", ""),  # a number cut short would be another's
    ],
)
def test_what_is_no_number_says_what_it_is(raw: str, region: str, kind: str, extension: str) -> None:
    """An inside line, somebody who hides, or nothing we can dial: never an E.164 number."""
    assert Number(raw, kind, extension=extension) == read(raw, region)  # type: ignore[arg-type]  # a row of the table


@settings(max_examples=60, deadline=None)
@given(raw=st.text(max_size=90), region=st.sampled_from(["US", "ES", "GB", "AR", "XX", ""]))
def test_no_text_is_too_strange(raw: str, region: str) -> None:
    """It never raises, keeps the raw text, and gives E.164 exactly where it says "number"."""
    number = read(raw, region)

    assert raw == number.raw
    assert ("number" == number.kind) == number.e164.startswith("+")


@settings(max_examples=80, deadline=None)
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


@pytest.mark.parametrize(
    ("old", "region", "now"),
    [
        ("(11) 8123-4567", "BR", "+5511981234567"),
        ("+551181234567", "US", "+5511981234567"),
        ("+55 11 2345-6789", "US", "+551123456789"),  # a fixed line has no ninth digit
        ("044 33 1234 5678", "MX", "+523312345678"),
        ("+52 01 33 1234 5678", "US", "+523312345678"),
        ("+54 9 11 15-2345-6789", "US", "+5491123456789"),
        ("+57 1 234 5678", "US", "+576012345678"),
        ("95 12 34 56", "BJ", "+2290195123456"),
        ("+39 6 1234 5678", "US", "+390612345678"),
        ("+34 (0) 600 111 222", "US", "+34600111222"),
    ],
)
def test_an_old_spelling_becomes_the_one_in_force(old: str, region: str, now: str) -> None:
    """A card nobody has touched for years has the same key as the call that comes in today."""
    assert now == read(old, region).e164 == read(now, "US").e164


@pytest.mark.parametrize(
    ("written", "region", "first"),
    [
        ("0161 496 0000 / 0161 496 0001", "GB", "+441614960000"),
        ("600 111 222\n600 111 333", "ES", "+34600111222"),
        ("07700 900123 (mobile)", "GB", "+447700900123"),
        ("089 123456 Bob", "DE", "+4989123456"),  # by the keypad Bob is 262, and the number would still be "valid"
    ],
)
def test_a_note_or_a_second_number_spoils_nothing(written: str, region: str, first: str) -> None:
    """The first number counts; what stands behind it stays in the raw text."""
    assert Number(written, "number", e164=first) == read(written, region)


@pytest.mark.parametrize(
    ("e164", "others"),
    [
        ("+5511981234567", ("+551181234567",)),  # Brazil before the ninth digit
        ("+551178123456", ("+5511978123456",)),  # mobile or trunked radio: the digits do not say
        ("+551123456789", ()),
        ("+523312345678", ("+5213312345678",)),  # Mexico until 2019
        ("+5491123456789", ("+541123456789",)),
        ("+541123456789", ("+5491123456789",)),
        ("+34600111222", ()),
        ("", ()),
    ],
)
def test_other_spellings_of_the_same_subscriber_are_known(e164: str, others: tuple[str, ...]) -> None:
    """Where no rule can choose, a look-up may try them all; each leads back."""
    assert others == variants(e164)
    assert all(e164 in variants(other) for other in others)


@settings(max_examples=100, deadline=None)
@given(
    code=st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)),
    rest=st.from_regex("[0-9]{5,13}", fullmatch=True),
)
def test_reading_what_was_read_changes_nothing(code: int, rest: str) -> None:
    """One spelling means one: whatever digits came in, from wherever it is read again, shown or not."""
    first = read(f"+{code}{rest}", "US")
    if first.kind != "number":
        return

    assert first.e164 == read(first.e164, "GB").e164 == read(shown(first.e164), "ES").e164
