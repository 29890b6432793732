"""The shape of a Person: which fields there are, what Google fills in by itself, and what a mask lets through.

Field lists from the discovery document people.v1 (revision 20251117).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from .errors import bad

Person = dict[str, Any]


def names(text: str) -> frozenset[str]:
    """Read a list of field names."""
    return frozenset(text.split())


WRITABLE = names(
    "addresses biographies birthdays calendarUrls clientData emailAddresses events externalIds genders imClients "
    "interests locales locations memberships miscKeywords names nicknames occupations organizations phoneNumbers "
    "relations sipAddresses urls userDefined"
)
READABLE = WRITABLE | names("ageRanges coverPhotos metadata photos skills")
OTHER_READABLE = names("emailAddresses metadata names phoneNumbers photos")
SINGLETONS = ("biographies", "birthdays", "genders", "names")
# Part of the schema but set by Google alone or long retired: accepted in a body and ignored.
IGNORED = names(
    "ageRange ageRanges braggingRights coverPhotos etag fileAses metadata photos relationshipInterests "
    "relationshipStatuses residences resourceName skills taglines"
)
FORMATTED_TYPES = {
    "homeFax": "Home Fax",
    "workFax": "Work Fax",
    "workMobile": "Work Mobile",
    "googleVoice": "Google Voice",
}
MY_CONTACTS = "contactGroups/myContacts"
INTERNATIONAL = re.compile(r"^\+[\d\s().\-/]+$")


def read_mask(text: str, parameter: str, allowed: Collection[str] = READABLE) -> tuple[str, ...]:
    """Read a required field mask; `requestMask.includeField` style paths may start with `person.`."""
    paths = [path.strip().removeprefix("person.") for path in text.split(",") if path.strip()]
    if not paths:
        raise bad(f"{parameter} mask is required. Please specify one or more valid paths.")
    for path in paths:
        if path not in allowed:
            raise bad(f'Invalid {parameter} mask path: "{path}". Valid paths are documented in the reference.')
    return tuple(dict.fromkeys(paths))


def check(person: Any) -> Person:
    """Refuse a Person that Google would not store."""
    if not isinstance(person, dict):
        raise bad("Invalid value at 'person': expected an object.")
    for name, values in person.items():
        if name not in WRITABLE and name not in IGNORED:
            raise bad(f"Invalid JSON payload received. Unknown name \"{name}\" at 'person': Cannot find field.")
        if name in WRITABLE and not (isinstance(values, list) and all(isinstance(value, dict) for value in values)):
            raise bad(f"Invalid value at 'person.{name}': expected a list of objects.")
    if many := [name for name in SINGLETONS if len(person.get(name, ())) > 1]:
        raise bad(f"Request contains more than one value for the singleton field(s): {', '.join(many)}.")
    return person


def complete(person: Person, source: dict[str, str], fields: Collection[str] = WRITABLE) -> Person:
    """Take the writable fields and fill in what Google computes; values share their metadata and are never changed."""
    first, other = {"primary": True, "sourcePrimary": True, "source": source}, {"source": source}
    done: Person = {}
    for name, values in person.items():
        if name in fields and values:
            fill = FILL.get(name, dict)
            filled = [fill(value) for value in values]
            for value in filled:
                value["metadata"] = other
            filled[0]["metadata"] = first
            done[name] = filled
    return done


def fill_name(value: dict[str, Any]) -> dict[str, Any]:
    """Compute display names, and split a name given in one piece."""
    given, family = value.get("givenName", ""), value.get("familyName", "")
    whole = value.get("unstructuredName", "")
    if whole and not (given or family):
        given, _, family = whole.rpartition(" ") if " " in whole else (whole, "", "")
    parts = (value.get("honorificPrefix", ""), given, value.get("middleName", ""), family)
    shown = " ".join(part for part in (*parts, value.get("honorificSuffix", "")) if part)
    filled = {
        "displayName": shown,
        "displayNameLastFirst": f"{family}, {given}" if family and given else shown,
        "unstructuredName": shown,
        "givenName": given,
        "familyName": family,
    }
    return value | {name: part for name, part in filled.items() if part}


def fill_phone(value: dict[str, Any]) -> dict[str, Any]:
    """Add the E.164 form where the number is written internationally; otherwise Google may leave it out, and we do."""
    number = str(value.get("value", "")).strip()
    digits = re.sub(r"\D", "", number)
    known = {name: kept for name, kept in value.items() if name != "canonicalForm"}
    if INTERNATIONAL.match(number) and 7 <= len(digits) <= 15:
        known["canonicalForm"] = f"+{digits}"
    return fill_type(known)


def fill_type(value: dict[str, Any]) -> dict[str, Any]:
    """Add the label people see for a type."""
    kind = value.get("type")
    return value | ({"formattedType": FORMATTED_TYPES.get(kind, kind[:1].upper() + kind[1:])} if kind else {})


def fill_membership(value: dict[str, Any]) -> dict[str, Any]:
    """Add the deprecated bare id beside a group's resource name."""
    group = str(value.get("contactGroupMembership", {}).get("contactGroupResourceName", ""))
    if not group:
        return dict(value)
    return {
        "contactGroupMembership": {
            "contactGroupId": group.partition("/")[2],
            "contactGroupResourceName": group,
        }
    }


FILL: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "names": fill_name,
    "phoneNumbers": fill_phone,
    "emailAddresses": fill_type,
    "memberships": fill_membership,
}


def groups_of(person: Person) -> list[str]:
    """Name the contact groups a person is in."""
    return [
        str(entry["contactGroupMembership"].get("contactGroupResourceName", ""))
        for entry in person.get("memberships", ())
        if isinstance(entry.get("contactGroupMembership"), dict)
    ]


def searchable(person: Person) -> list[str]:
    """List, in lower case, what searchContacts matches prefixes of."""
    name = [entry.get("displayName", "") for entry in person.get("names", ())]
    nick = [entry.get("value", "") for entry in person.get("nicknames", ())]
    mail = [entry.get("value", "") for entry in person.get("emailAddresses", ())]
    phones = [
        text
        for entry in person.get("phoneNumbers", ())
        for text in (entry.get("value", ""), entry.get("canonicalForm", ""))
    ]
    firm = [entry.get(part, "") for entry in person.get("organizations", ()) for part in ("name", "title")]
    return [f" {text.lower()}" for text in (*name, *nick, *mail, *phones, *firm) if text]
