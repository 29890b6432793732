"""Which of our numbers a callee sees when one of us dials from a screen: the rule that fits most closely.

Pure. A phone system that is told nothing shows what it always shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import phonenumbers

PREFIX = re.compile(r"\+[1-9][0-9]{0,13}")
COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When one of our numbers is shown."""

    to: str = ""  # "": anywhere; "DE": to that country; "+4930": to numbers that begin so
    user: str = ""  # whose calls; "": everybody's

    def as_data(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Rule:
        return cls(to=data.get("to", ""), user=data.get("user", ""))

    def fits(self, number: str, country: str, user: str) -> bool:
        goes = number.startswith(self.to) if self.to.startswith("+") else self.to in ("", country)
        return goes and self.user in ("", user)

    @property
    def closeness(self) -> tuple[bool, int]:
        """A person's own rule before everybody's, a longer prefix before a shorter one, and that before a country."""
        return bool(self.user), len(self.to) if self.to.startswith("+") else len(self.to) // 2


def chosen(rules: Iterable[tuple[str, Rule]], number: str, user: str) -> str:
    """The number of ours to show when `user` dials `number`, both in E.164; "" where no rule says.

    >>> chosen([("+34911222333", Rule()), ("+493012345678", Rule(to="DE"))], "+4915112345678", "bob")
    '+493012345678'
    """
    parsed = phonenumbers.parse(number)
    code = parsed.country_code or 0
    country = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(code)
    fitting = [(rule.closeness, ours) for ours, rule in rules if rule.fits(number, country, user)]
    return max(fitting)[1] if fitting else ""


def destination(raw: str) -> str | None:
    """Read where a rule holds, as an administrator writes it: nothing, a country's two letters, +49 30; None: neither.

    >>> destination("+49 (30)"), destination("de"), destination("Berlin")
    ('+4930', 'DE', None)
    """
    bare = re.sub(r"[\s().*/-]", "", raw).upper()
    if COUNTRY.fullmatch(bare):
        return bare if phonenumbers.country_code_for_region(bare) else None
    return bare if not bare or PREFIX.fullmatch(bare) else None
