"""Who says something beside a CRM and a user's own contacts: what else Google knows, and a phone system's phonebook.

Google's other contacts and the directory of the user's organisation are features of their own, off until somebody
switches them on. They are read so that a caller has a name and are written nowhere: not into the CRM, not into a
phonebook. So provenance keeps them apart from contacts. What somebody typed in at the phone system is the tenant's own
word; it is kept apart from what the phone system hears of us, so that nobody is told what they said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain.contact import Side

GOOGLE = "google"  # who said it, where it is one of a user's own contacts
BOOK = "contacts"  # the module of those
PHONES: Side = "phonebook"  # who said it, where somebody typed it in at a phone system
TYPED_IN = "phonebook.own"  # the module of those


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One of them. `slug` is its feature, `module` its links', `side` who said it, `chore` what reads it."""

    slug: str
    module: str
    side: Side
    chore: str
    whole_each_day: bool = False  # Google may keep a deletion to itself, so everything is read and compared


OTHERS = Source(slug="other-contacts", module="otherContacts", side="google:others", chore="read.others")
DIRECTORY = Source(
    slug="directory", module="directory", side="google:directory", chore="read.directory", whole_each_day=True
)
SOURCES = (OTHERS, DIRECTORY)
_BY_MODULE: Mapping[str, Source] = {one.module: one for one in SOURCES}


def side_of(vendor: str, module: str) -> Side:
    """Who says what a record of this module says."""
    if module == TYPED_IN:
        return PHONES
    return _BY_MODULE[module].side if vendor == GOOGLE and module in _BY_MODULE else vendor


def by_slug(slug: str) -> Source | None:
    return next((one for one in SOURCES if one.slug == slug), None)


def by_chore(chore: str) -> Source:
    return next(one for one in SOURCES if one.chore == chore)
