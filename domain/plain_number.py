"""A number written plainly: digits, the usual marks between them, and nothing that could mean anything else.

Nearly every number of an address book is one. Of such a text all of the library's long way (might this be an inside
line, a word, a note, a carrier's code?) asks but three questions: which country, is there a trunk prefix, and do people
there have such a number. `plain` puts them to the library's own tables, in the library's own order, and says nothing as
soon as one might be answered otherwise; `domain.phone` then reads closely. Whatever `plain` does say is what a close
reading says: a test compares the two over the numbers of every region.
"""

from __future__ import annotations

import re
from functools import cache

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    PhoneMetadata,
    PhoneNumberDesc,
    region_code_for_country_code,
    region_codes_for_country_code,
)

LONGEST = 40  # characters: fifteen digits, and room between them
SHORTEST = 7  # digits: of fewer, dialled from home, who knows whether they are an inside line
PLAIN = re.compile(r"\s*\(?(\+?)([0-9 .()-]*[0-9])(?<!\.0)\s*", re.ASCII)  # a spreadsheet ends an amount in .0
MARKS = str.maketrans("", "", " .()-")
CODES = {str(code): code for code in COUNTRY_CODE_TO_REGION_CODE}  # none is the beginning of another


def plain(raw: str, region: str) -> str:
    """Say the E.164 of a valid number written plainly, as dialled from `region`; "" wherever there is any doubt.

    >>> plain("+44 (0)20 7946 0001", "US")
    '+442079460001'
    >>> plain("201", "US")
    ''
    """
    if len(raw) > LONGEST or (found := PLAIN.fullmatch(raw)) is None:
        return ""
    digits = found[2].translate(MARKS)
    if found[1]:
        code = CODES.get(digits[:2]) or CODES.get(digits[:3]) or CODES.get(digits[:1])
        return _with_code(code, digits[len(str(code)) :], region_code_for_country_code(code)) if code else ""
    tables = PhoneMetadata.metadata_for_region(region)
    if tables is None or tables.country_code is None or len(digits) < SHORTEST:
        return ""
    if digits.startswith(str(tables.country_code)) or _beginning(tables.international_prefix, digits):
        return ""  # from abroad, the plus left out? or as it is dialled from here?
    return _with_code(tables.country_code, digits, region)


def _with_code(code: int, digits: str, region: str) -> str:
    """The E.164 of `digits` in the country of `code`, as `region`, which is one of its regions, writes them."""
    tables = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if tables is None:
        return ""
    if (trunk := _beginning(tables.national_prefix_for_parsing, digits)) is not None:
        digits = digits[trunk.end() :]
        if trunk.lastindex is not None or not _fits(tables.general_desc, digits):
            return ""  # with a group it names a carrier, or more than itself changes; or the zero was no trunk prefix
    return f"+{code}{digits}" if _valid(code, digits) else ""


def _valid(code: int, digits: str) -> bool:
    """Whether one of the regions that share `code` has this number; one known by its first digits has the last word."""
    for region in region_codes_for_country_code(code):
        tables = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
        if tables is None:
            continue
        if tables.leading_digits is None:
            if _has(tables, digits):
                return True
        elif _beginning(tables.leading_digits, digits):
            return _has(tables, digits)
    return False


def _has(tables: PhoneMetadata, digits: str) -> bool:
    """Whether a region has this number for what people mostly have; the rarer kinds can wait."""
    usual = (tables.fixed_line, tables.mobile, tables.toll_free)
    return _fits(tables.general_desc, digits) and any(_fits(kind, digits) for kind in usual)


def _fits(kind: PhoneNumberDesc | None, digits: str) -> bool:
    if kind is None or not kind.national_number_pattern or len(digits) not in kind.possible_length:
        return False
    return _compiled(kind.national_number_pattern).fullmatch(digits) is not None


def _beginning(pattern: str | None, digits: str) -> re.Match[str] | None:
    return _compiled(pattern).match(digits) if pattern else None


@cache  # as many as the library's tables hold; `re` itself keeps too few for an address book of forty countries
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
