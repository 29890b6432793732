"""A number written plainly is understood at a glance, and never otherwise than by a close reading."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

from domain.phone import EXTENSION_DIGITS, SPELT, Number, read, read_closely
from domain.plain_number import CODES, SHORTEST, plain

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
ABROAD = (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL)
SPELLINGS = (*ABROAD, PhoneNumberFormat.NATIONAL)
USUAL = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
NOBODYS = "001"  # the library's name for the region of an international freephone number


def examples(*kinds: int) -> list[tuple[str, PhoneNumber]]:
    """One number of each kind that each region has."""
    numbers = ((region, phonenumbers.example_number_for_type(region, kind)) for region in REGIONS for kind in kinds)
    return [(region, number) for region, number in numbers if number is not None]


ANY = examples(*PhoneNumberType.values())
ANY += [
    (NOBODYS, number)
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS)
    if (number := phonenumbers.example_number_for_non_geo_entity(code)) is not None
]


def answered(raw: str, region: str) -> bool:
    """Whether a glance was enough; then a close reading must have come to the same."""
    if not plain(raw, region):
        return False
    assert read_closely(raw, region) == read(raw, region)
    return True


def variations(text: str, trunk: str) -> list[str]:
    """What a slip makes of a number: a digit more or less, a trunk zero, other marks, a spreadsheet's amount."""
    head, mark, rest = text.partition(" ")
    return [
        f"{text}0",
        text[:-1],
        f"{head}{mark}({trunk}){rest}",
        f" {text.replace(' ', '.').replace('-', ' ')}\n",
        f"{head} ({rest[:2]}) {rest[2:]}",
        f"{text}.0",
    ]


def test_at_a_glance_or_closely_is_the_same() -> None:
    """Every region's number of every kind in every spelling, as it should be and with a slip."""
    right = wrong = 0
    for region, number in ANY:
        tables = phonenumbers.PhoneMetadata.metadata_for_region(region)
        trunk = (tables and tables.national_prefix) or "0"
        for style in SPELLINGS:
            text = phonenumbers.format_number(number, style)
            right += answered(text, region)
            wrong += sum(answered(one, region) for one in variations(text, trunk))

    assert right > len(ANY)  # it was asked for something
    assert wrong > len(ANY)


@settings(max_examples=100, deadline=None)
@given(
    example=st.sampled_from(ANY),
    style=st.sampled_from(SPELLINGS),
    slips=st.lists(
        st.tuples(st.integers(0, 16), st.integers(0, 1), st.sampled_from([*"0123456789 .-()+/x#\t", "00", "(0)"])),
        max_size=3,
    ),
    region=st.sampled_from(["", "XX", NOBODYS, *REGIONS]) | st.none(),
)
def test_no_slip_parts_them(
    example: tuple[str, PhoneNumber], style: int, slips: list[tuple[int, int, str]], region: str | None
) -> None:
    """Whatever is put in, left out or mistyped, and from wherever it is read; `None` is at home."""
    home, number = example
    text = phonenumbers.format_number(number, style)
    for place, lost, put in slips:
        text = f"{text[:place]}{put}{text[place + lost :]}"

    answered(text, home if region is None else region)


@settings(max_examples=100, deadline=None)
@given(
    code=st.sampled_from([*CODES, "", "00", "0"]),
    plus=st.sampled_from(["+", ""]),
    rest=st.text("0123456789", min_size=4, max_size=13),
    region=st.sampled_from(REGIONS),
)
def test_no_digits_part_them(plus: str, code: str, rest: str, region: str) -> None:
    """Nor do digits that are nobody's example."""
    answered(f"{plus}{code}{rest}", region)


@pytest.mark.parametrize("style", ABROAD, ids=["E.164", "international"])
def test_what_people_mostly_have_needs_but_a_glance(style: int) -> None:
    """Every region's fixed line and mobile, as written for somebody abroad, from wherever it is read."""
    texts = [phonenumbers.format_number(number, style) for _, number in examples(*USUAL)]

    assert len(texts) > len(REGIONS)
    assert [] == [text for text in texts if not answered(text, "US")]


@pytest.mark.parametrize(
    ("raw", "region", "e164"),
    [
        ("+34 600 111 222", "US", "+34600111222"),
        ("  +34600111222\n", "", "+34600111222"),
        ("+1 (415) 555-2671", "GB", "+14155552671"),
        ("+1 416-555-0123", "US", "+14165550123"),  # Toronto shares its code with twenty-four other regions
        ("+44 (0)20 7946 0001", "US", "+442079460001"),
        ("+39 06 1234 5678", "US", "+390612345678"),  # Italy's zero belongs to the number
        ("020 7946 0001", "GB", "+442079460001"),
        ("(415) 555-2671", "US", "+14155552671"),
        ("416 555 0123", "CA", "+14165550123"),
        ("600.11.12.22", "ES", "+34600111222"),
        ("(11) 91234-5678", "BR", "+5511912345678"),
    ],
)
def test_a_plain_number_is_understood_at_a_glance(raw: str, region: str, e164: str) -> None:
    """The ways an address book is full of: read so, and meant so."""
    assert e164 == plain(raw, region)
    assert Number(raw, "number", e164=e164) == read(raw, region) == read_closely(raw, region)


@pytest.mark.parametrize(
    ("raw", "region"),
    [
        ("201", "ES"),
        ("12345", "AT"),  # has room in the plan, and is an inside line
        ("x4411", "GB"),
        ("+34 600 111 222 x4", "US"),
        ("+34600111222/600111333", "US"),
        ("+34600111222.0", "US"),  # a spreadsheet's
        ("34600111222", "ES"),  # the plus left out?
        ("1 415 555 2671", "US"),  # the plus left out, or as it is dialled from here?
        ("00 34 600 111 222", "ES"),
        ("015304680591", "IL"),  # 015 dials abroad, here to Greece (30), with too few digits after it
        ("+0034600111222", "ES"),
        ("600 111 222", "XX"),
        ("600 111 222", ""),
        ("+34 6001112221", "US"),  # a digit too many
        ("+15550100000", "US"),  # the test range: possible, never valid
        ("+551181234567", "US"),  # Brazil before the ninth digit
        ("0 15 11 91234 5678", "BR"),  # by a carrier of one's choice
        ("014 22176410", "BO"),  # as well
        ("01671 250330", "IM"),  # dialled from an island next door
        ("+49 4930 123456", "US"),  # has the beginning of a town's number, and is none
        ("011 15-2345-6789", "AR"),
        ("+３４ 600 111 222", "US"),
        ("+34\u00a0600\u00a0111\u00a0222", "US"),
        (f"+34{' ' * 200}600111222", "US"),
        ("()", "US"),
        ("", "US"),
    ],
)
def test_where_there_is_doubt_a_glance_says_nothing(raw: str, region: str) -> None:
    """What it means takes a close reading, if it means anything."""
    assert "" == plain(raw, region)


def test_what_the_glance_takes_for_granted_holds() -> None:
    """No country's code begins another's, no inside line is long enough, no word is spelt as a number, and where a
    region's mobiles look like its fixed lines (the library then looks once) they are as long, too."""
    everywhere = [phonenumbers.PhoneMetadata.metadata_for_region(region) for region in REGIONS]
    assert [] == [(one, other) for one in CODES for other in CODES if one != other and other.startswith(one)]
    assert SHORTEST > EXTENSION_DIGITS
    assert {"unknown"} == {read(word, region).kind for word in SPELT for region in ("US", "LS", "CN")}
    assert [] == [
        tables.id
        for tables in everywhere
        if tables and tables.same_mobile_and_fixed_line_pattern and tables.fixed_line and tables.mobile
        if tables.fixed_line.possible_length != tables.mobile.possible_length
    ]
