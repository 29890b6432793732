"""Telephone numbers: one spelling for each, and an honest word for what is not one.

Numbers in a CRM are free text. `read` keeps the raw text beside what it means; nothing is silently dropped.
The library's "is possible" decides what is accepted: "is valid" refuses real numbers its tables do not know yet. What
is possible only within a town ("local only") is not enough: its E.164 would be somebody else's number, or nobody's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import phonenumbers

Kind = Literal["number", "extension", "anonymous", "unknown"]
HIDDEN = frozenset({"", "anonymous", "restricted", "private", "unavailable", "unknown", "withheld"})
MEXICO = 52  # a 1 stood before a mobile's ten digits until 2019; address books and vendors still write it
EXTENSION_DIGITS = 6  # a run of at most this many digits that cannot be a number is an inside line


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written and as meant. `e164` is empty unless `kind` is "number"."""

    raw: str
    kind: Kind
    e164: str = ""
    extension: str = ""


@lru_cache(maxsize=65_536)
def read(raw: str, region: str = "US") -> Number:
    """Understand `raw` as dialled from `region` (ISO 3166 alpha-2); never raises.

    >>> read("020 7946 0001", "GB").e164
    '+442079460001'
    >>> read("201", "US").kind
    'extension'
    """
    text = raw.strip()[:64]
    if text.casefold() in HIDDEN:
        return Number(raw, "anonymous")
    if text.startswith(("*", "#")):  # a service code, whatever digits follow
        return Number(raw, "unknown")
    text = text.removeprefix("tel:").removeprefix("sip:").split("@")[0]
    bare = "".join(character for character in text if character.isdigit())
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return Number(raw, "extension", extension=bare) if 0 < len(bare) <= EXTENSION_DIGITS else Number(raw, "unknown")
    if parsed.country_code == MEXICO and re.fullmatch("1[0-9]{10}", national := str(parsed.national_number)):
        parsed.national_number = int(national[1:])
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return Number(raw, "extension", extension=bare) if 0 < len(bare) <= EXTENSION_DIGITS else Number(raw, "unknown")
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return Number(raw, "number", e164=e164, extension=parsed.extension or "")


def shown(e164: str) -> str:
    """Write an E.164 number the way people read it; anything else comes back as it was."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(e164), phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        return e164
