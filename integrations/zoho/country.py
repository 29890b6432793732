"""Where an organisation is, which says how its numbers without a country code are meant.

Zoho keeps the country of an organisation only if somebody filled it in (GET /org: country_code, country; the same
form has phone and mobile). A data centre says something only where it serves one country: those in the United States
and the European Union serve many.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import phonenumbers
from phonenumbers import SUPPORTED_REGIONS

from domain import phone
from integrations.zoho.client import Body

DATA_CENTRES: Mapping[str, str] = {  # by how its addresses end
    "in": "IN",
    "com.au": "AU",
    "jp": "JP",
    "ca": "CA",
    "sa": "SA",
    "uk": "GB",
    "com.cn": "CN",
    "ae": "AE",
    "sg": "SG",
}


def country_of(org: Body, web: str) -> tuple[str, str]:
    """Return the country (ISO 3166) and what said so; ("", "") when nothing does."""
    return next(((country, told) for country, told in _told(org, web) if country in SUPPORTED_REGIONS), ("", ""))


def _told(org: Body, web: str) -> Iterator[tuple[str, str]]:
    for name in ("country_code", "country"):
        yield str(org.get(name) or "").strip().upper(), "organisation"
    for name in ("phone", "mobile"):
        number = phone.read(str(org.get(name) or ""), "ZZ")  # nowhere: only what says its own country counts
        if number.e164:
            yield str(phonenumbers.region_code_for_number(phonenumbers.parse(number.e164))), "phone"
    centre = re.fullmatch(r"https://crm\.zoho(?:cloud)?\.([a-z.]+)", web)
    if centre is not None:
        yield DATA_CENTRES.get(centre[1], ""), "data_centre"
