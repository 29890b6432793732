"""How a number is spelt for a tenant's phone system: one rule a tenant, pure, and shown before anything rings.

A phone system dials what its own plan knows: some want E.164, some what people dial at home, many an extra digit
for a line outside. Inside lines are dialled as they are. Emergency numbers are never dialled by a click: the call
would leave from a desk nobody may be sitting at, and nobody hears that it did.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import phonenumbers
from phonenumbers import PhoneNumberFormat

from domain import phone
from domain.errors import Forbidden, Malformed
from domain.phone import Number

Form = Literal["e164", "digits", "national"]
FORMS: tuple[Form, ...] = get_args(Form)
OUTSIDE = re.compile(r"[0-9]{0,4}")  # an outside line's digits
NORTH_AMERICA = 1
# Telephones know these two for emergency numbers wherever they are (3GPP TS 22.101, 10.1.1), and exchanges follow them.
EVERYWHERE = frozenset({"112", "911"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DialPlan:
    """What a phone system wants to be told."""

    form: Form = "e164"
    outside: str = ""  # dialled first for a line outside, never for an inside one
    before: str = ""  # what the phone system puts before the numbers of callers from outside

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> DialPlan:
        """Undo `as_data`; nothing means E.164."""
        return cls(form=data.get("form", "e164"), outside=data.get("outside", ""), before=data.get("before", ""))


@dataclass(frozen=True, slots=True)
class Spelt:
    """What is dialled, and which inside line to ask for when somebody answers: no vendor can be told that."""

    number: str
    then: str = ""


def spell(number: Number, plan: DialPlan, region: str) -> Spelt:
    """Spell a number as the plan says, for a phone system in `region`.

    >>> spell(phone.read("020 7946 0001 ext 7", "GB"), DialPlan(form="national", outside="9"), "GB")
    Spelt(number='902079460001', then='7')
    """
    if number.kind == "extension":
        return Spelt(number.extension)
    parsed = phonenumbers.parse(number.e164)
    return Spelt(plan.outside + _formed(parsed, plan.form, region), number.extension)


def check(raw: str, number: Number, plan: DialPlan, region: str) -> None:
    """Refuse what no click may dial. Raises Forbidden for an emergency number, Malformed for what is no number."""
    if is_emergency(raw, plan, region):
        raise Forbidden("An emergency number is dialled by hand, at the telephone it is for.", code="dial.emergency")
    abroad = number.kind == "extension" and "+" in raw  # a few digits behind a plus are nobody's, here or there
    if number.kind not in ("number", "extension") or abroad:
        raise Malformed("This number cannot be dialled from here.", code="dial.impossible")


def is_emergency(raw: str, plan: DialPlan, region: str) -> bool:
    """Whether this calls for help in `region`: as it stands, behind the digit for outside, or behind its country code.

    >>> is_emergency("0 112", DialPlan(outside="0"), "DE")
    True
    """
    digits = _digits(raw)
    code = str(phonenumbers.country_code_for_region(region))
    behind = [plan.outside, *((code,) if "+" in raw else (f"00{code}", f"011{code}"))]
    spellings = {digits, *(digits.removeprefix(prefix) for prefix in behind if prefix)}
    return any(one in EVERYWHERE or phonenumbers.is_emergency_number(one, region) for one in spellings if one)


def heard(raw: str, plan: DialPlan, region: str) -> str:
    """A number as people know it, from one the phone system says it dialled: without the digit for a line outside."""
    if not plan.outside or not raw.startswith(plan.outside):
        return raw
    bare = raw.removeprefix(plan.outside)
    if plan.form == "digits" and phone.read(f"+{bare}", region).kind == "number":
        return f"+{bare}"
    return bare if phone.read(bare, region).kind == "number" else raw


def came(raw: str, plan: DialPlan, region: str) -> str:
    """A caller's number as people know it: without what the phone system puts before it.

    >>> came("90600111222", DialPlan(before="90"), "ES")
    '600111222'
    """
    return heard(raw, DialPlan(form=plan.form, outside=plan.before), region)


def _formed(parsed: phonenumbers.PhoneNumber, form: Form, region: str) -> str:
    e164 = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    if form == "e164":
        return e164
    if form == "digits":
        return e164.removeprefix("+")
    if phonenumbers.country_code_for_region(region) == parsed.country_code:
        here = phonenumbers.region_code_for_number(parsed) == region  # Canada from the United States is not at home
        if here or parsed.country_code != NORTH_AMERICA:
            return _digits(phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))
    abroad = phonenumbers.format_out_of_country_calling_number(parsed, region)
    return e164 if abroad.startswith("+") else _digits(abroad)  # a country with several prefixes has none of its own


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(one)) for one in text if one.isdecimal())
