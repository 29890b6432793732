"""The phonebook of a `standard` platform as it is read: all of it, one answer, entry by entry.

People type these entries in, and platforms keep what they were given, so nothing in one entry may cost the others: what
cannot be read says so, and the rest is read. What we put there ourselves stands among them; who reads knows which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import requests
from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.validate import Length

from domain.contact import Line, Person
from domain.errors import Malformed, NotAllowed, Refused, TryLater
from domain.ports import Card, Http
from integrations.telephony.edge import bad_response, send, trouble_in
from integrations.telephony.standard.schemas import (
    EMAIL_CHARACTERS,
    ID_CHARACTERS,
    NUMBER_CHARACTERS,
    Text,
    strict_json,
)

NONE = (404, 405, 501)  # a platform that only lets us write
MOST_BYTES = 32 * 1024 * 1024  # a hundred thousand people, ours among them
CHUNK_BYTES = 65_536
SECONDS = (10.0, 120.0)  # of silence on the line, and for all of it
NAME_CHARACTERS = 512
EACH = 100  # numbers, and addresses, of one entry


class NumberData(Schema):
    class Meta:
        unknown = EXCLUDE

    number = Text(required=True, validate=Length(max=NUMBER_CHARACTERS))
    label = Text(allow_none=True, validate=Length(max=NUMBER_CHARACTERS))
    extension = Text(allow_none=True, validate=Length(max=NUMBER_CHARACTERS))


class EntryData(Schema):
    """An entry, but for its id."""

    class Meta:
        unknown = EXCLUDE

    name = Text(allow_none=True, validate=Length(max=NAME_CHARACTERS))
    company = Text(allow_none=True, validate=Length(max=NAME_CHARACTERS))
    numbers = fields.List(fields.Nested(NumberData), allow_none=True, validate=Length(max=EACH))
    emails = fields.List(Text(validate=Length(max=EMAIL_CHARACTERS)), allow_none=True, validate=Length(max=EACH))


ENTRY = EntryData()


def cards(http: Http, url: str, headers: Mapping[str, str], region: str) -> Iterator[Card]:
    """Ask for the phonebook now; its entries are read as they are wanted. Raises Refused for one that is too large."""
    wanted = {**headers, "Accept": "application/json", "Accept-Encoding": "identity"}
    response = send(http, "GET", url, headers=wanted, stream=True, timeout=SECONDS)
    with response:
        if response.status_code in NONE:
            raise NotAllowed("The platform lets nobody read its phonebook.", code="phonebook.none")
        if trouble := trouble_in(response.status_code, response.headers):
            raise trouble
        try:
            answer = strict_json(_whole(response))
        except Malformed:
            raise bad_response() from None
    if not isinstance(answer, dict) or not isinstance(answer.get("contacts"), list):
        raise bad_response()
    return _each(answer["contacts"], region)


def _whole(response: requests.Response) -> bytes:
    content = bytearray()
    try:
        for chunk in response.iter_content(CHUNK_BYTES):
            content += chunk
            if len(content) > MOST_BYTES:
                raise Refused("The phonebook is longer than 32 MiB.", code="phonebook.too_large")
    except requests.RequestException:
        raise TryLater("The phonebook broke off.", code="upstream.unreachable") from None
    return bytes(content)


def _each(entries: list[Any], region: str) -> Iterator[Card]:
    """Yield each entry; of several with one id the first counts, and the others cannot be told apart."""
    known: set[str] = set()
    for entry in entries:
        told = entry.get("id") if isinstance(entry, dict) else None
        id = told if isinstance(told, str) and len(told) <= ID_CHARACTERS and told not in known else ""
        known.add(id)
        yield Card(id, partial(understood, entry, region))


def understood(entry: Any, region: str) -> Person | None:
    """Read whom an entry names; None for one that says nothing we can read."""
    try:
        data: dict[str, Any] = ENTRY.load(entry)
    except ValidationError:
        return None
    name, company = ((data.get(part) or "").strip() for part in ("name", "company"))
    person = Person(
        family="" if name.casefold() == company.casefold() else name,  # nobody took it apart, and we know no better
        company=company,
        lines=tuple(_line(told, region) for told in data.get("numbers") or () if told["number"].strip()),
        emails=tuple(address.strip() for address in data.get("emails") or () if address.strip()),
    )
    return person if person != Person() else None


def _line(told: Mapping[str, Any], region: str) -> Line:
    """Read one number; an extension that has a place of its own there wins over one written behind the number."""
    line = Line.read(told["number"].strip(), (told.get("label") or "").strip(), region)
    extension = (told.get("extension") or "").strip()
    return Line(raw=line.raw, e164=line.e164, extension=extension or line.extension, label=line.label)
