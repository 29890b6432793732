"""A person as Google writes one down: what to send so that named fields change and nothing else of a contact is lost.

A field in an update mask is replaced as a whole (https://developers.google.com/people/api/rest/v1/people/updateContact),
so each is made from what stands there: a middle name's prefix, a department and the label of a number stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from domain.contact import Line, Person, fold_email
from domain.telling import Field, number_key
from integrations.google.people import line_of, primary

Entry = Mapping[str, Any]
MASKS: Mapping[Field, str] = {
    "name": "names",
    "company": "organizations",
    "title": "organizations",
    "lines": "phoneNumbers",
    "emails": "emailAddresses",
}
FILLED_IN = frozenset({"metadata", "formattedType", "canonicalForm"})  # by Google; a value is sent without them
PARTS_OF_A_NAME = ("honorificPrefix", "honorificSuffix")  # what stays when somebody is called otherwise


def mask_of(fields: Iterable[Field]) -> str:
    """The update mask for these fields, in a stable order."""
    return ",".join(sorted({MASKS[name] for name in fields}))


def draw(person: Person, fields: Iterable[Field], entry: Entry, region: str) -> dict[str, Any]:
    """Write `fields` of a person over the contact as it stands; an empty `entry` is a new contact."""
    wanted = frozenset(fields)
    drawn: dict[str, Any] = {}
    if "name" in wanted:
        drawn["names"] = _names(person, entry.get("names", ()))
    if wanted & {"company", "title"}:
        drawn["organizations"] = _organizations(person, wanted, entry.get("organizations", ()))
    if "lines" in wanted:
        drawn["phoneNumbers"] = _kept_and_new(
            entry.get("phoneNumbers", ()),
            lambda value: number_key(line_of({"value": "", **value}, region)),
            {number_key(line): _labelled(spell(line, region), line.label) for line in person.lines if number_key(line)},
        )
    if "emails" in wanted:
        drawn["emailAddresses"] = _kept_and_new(
            entry.get("emailAddresses", ()),
            lambda value: fold_email(str(value.get("value", ""))),
            {fold_email(address): {"value": address} for address in person.emails if fold_email(address)},
        )
    return drawn


def spell(line: Line, region: str) -> str:
    """Write a number as its person did, or in full where that would mean another number in this region."""
    if not line.e164 or Line.read(line.raw, region=region).e164 == line.e164:
        return line.raw
    return f"{line.e164} x{line.extension}" if line.extension else line.e164


def _names(person: Person, there: Sequence[Entry]) -> list[dict[str, Any]]:
    stays = {part: value for part in PARTS_OF_A_NAME if (value := primary(there).get(part))}
    called = {"givenName": person.given, "familyName": person.family}
    return [stays | {part: name for part, name in called.items() if name}] if any(called.values()) else []


def _organizations(person: Person, wanted: frozenset[Field], there: Sequence[Entry]) -> list[dict[str, Any]]:
    """Change the organisation Google shows first, or be the first."""
    first = primary(there)
    work = _sent(first)
    for field, part, value in (("company", "name", person.company), ("title", "title", person.title)):
        if field in wanted:
            work[part] = value
    work = {part: value for part, value in work.items() if value}
    return ([work] if work else []) + [_sent(other) for other in there if other is not first]


def _kept_and_new(
    there: Sequence[Entry], key: Callable[[Entry], str], wanted: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """What stands there and is wanted stays as it is spelt and labelled; the rest of what is wanted comes after it."""
    known = {key(value) for value in there}
    kept = [_sent(value) for value in there if key(value) in wanted]
    return kept + [value for name, value in wanted.items() if name not in known]


def _labelled(number: str, label: str) -> dict[str, Any]:
    return {"value": number, "type": label} if label else {"value": number}


def _sent(value: Entry) -> dict[str, Any]:
    return {part: what for part, what in value.items() if part not in FILLED_IN}
