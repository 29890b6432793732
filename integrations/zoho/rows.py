"""A person as a row of Contacts or Leads: which column a number or an address goes to, and what finds no room.

Zoho has a column for each of a few numbers and two addresses, so a number keeps the column it has, a new one takes the
column of its label or the next that is free, and what is left over is named instead of dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from domain.contact import Line, Person, fold_email
from domain.telling import Field, number_key
from integrations.zoho.client import Body
from integrations.zoho.people import EMAILS, FIELDS, LINES

TAKES: Mapping[str, frozenset[Field]] = {  # a contact's company is a record of its own: Account_Name points to it
    "Contacts": frozenset({"name", "title", "lines", "emails"}),
    "Leads": frozenset({"name", "company", "title", "lines", "emails"}),
}
LONGEST: Mapping[str, int] = {  # https://www.zoho.com/crm/developer/docs/api/v8/modules-fields.html
    "First_Name": 40,
    "Last_Name": 80,
    "Title": 100,
    "Designation": 100,
    "Company": 200,
    "Email": 100,
    "Secondary_Email": 100,
} | dict.fromkeys(LINES, 30)
FAX = "Fax"  # nobody talks there, so only a fax number goes there
LABELS: Mapping[str, str] = {label: column for column, label in LINES.items()} | {
    "main": "Phone",
    "workMobile": "Mobile",
    "workFax": FAX,
    "homeFax": FAX,
}
NUMBERS: Mapping[str, tuple[str, ...]] = {
    module: tuple(column for column in LINES if column in FIELDS[module]) for module in TAKES
}
WHOLE = re.compile(r"\+[0-9][0-9 ().-]*")
NO_DIGIT = re.compile(r"[^0-9]")
COLUMNS = frozenset(LONGEST)  # everything we ever write


def draw(
    module: str,
    person: Person,
    fields: Iterable[Field],
    row: Mapping[str, Any],
    region: str,
    own: Iterable[str] = (),
) -> Body:
    """Write `fields` of a person over a row as it stands; only the columns that change come back, None clears one.

    An empty `row` is a new record, where every column that stays empty is left out. `own`: phone columns the
    organisation added; they are never written, and a number that stands in one needs no second place.
    """
    wanted = frozenset(fields) & TAKES.get(module, frozenset())
    drawn: Body = {}
    if "name" in wanted:
        drawn |= _name(person)
    if "company" in wanted:
        drawn["Company"] = person.company or (None if row else _called(person))
    if "title" in wanted:
        drawn["Designation" if module == "Leads" else "Title"] = person.title or None
    if "lines" in wanted:
        numbers = {number_key(line): (_spell(line, region), line.label) for line in person.lines if number_key(line)}
        keys = {column: _key(row, column, region) for column in NUMBERS[module]}
        placed = {_key(row, column, region) for column in own} - set(keys.values())
        drawn |= _laid_out({key: number for key, number in numbers.items() if key not in placed}, keys)
    if "emails" in wanted:
        addresses = {fold_email(address): (address, "") for address in person.emails if fold_email(address)}
        drawn |= _laid_out(addresses, {column: fold_email(str(row.get(column) or "")) for column in EMAILS})
    return {
        column: fitting
        for column, value in drawn.items()
        if ((fitting := value and value[: LONGEST[column]]) or None) != (row.get(column) or None)
    }


def _key(row: Mapping[str, Any], column: str, region: str) -> str:
    written = row.get(column)
    return number_key(Line.read(str(written), region=region)) if written else ""


def _name(person: Person) -> Body:
    """Zoho insists on a last name, so whoever has only one name, a company or a number has that for it."""
    if person.family:
        return {"First_Name": person.given or None, "Last_Name": person.family}
    return {"First_Name": None, "Last_Name": _called(person)}


def _called(person: Person) -> str:
    spelt = (*person.emails, *(line.raw for line in person.lines))
    return person.name or next((text for text in spelt if text), "")


def _spell(line: Line, region: str) -> str:
    """Write a number as its person did, unless that is too long here or would mean another number."""
    if line.raw and len(line.raw) <= LONGEST["Phone"] and _means(line, region):
        return line.raw
    return (f"{line.e164} x{line.extension}" if line.extension else line.e164) or line.raw


def _means(line: Line, region: str) -> bool:
    """Whether a number reads here as it was meant; with its country and nothing beside, it does so everywhere."""
    return whole(line) or Line.read(line.raw, region=region).e164 == line.e164


def whole(line: Line) -> bool:
    """Whether a number is written with its country, and with nothing but what people put between digits."""
    if line.extension or not WHOLE.fullmatch(line.raw):
        return False
    return f"+{NO_DIGIT.sub('', line.raw)}" == line.e164


def _laid_out(wanted: Mapping[str, tuple[str, str]], there: Mapping[str, str]) -> Body:
    """Give each value its column: the one it has, the one of its label, the next free one; None for one too many."""
    drawn: Body = {column: None for column, key in there.items() if key and key not in wanted}
    free = [column for column, key in there.items() if not key or key not in wanted]
    placed = set(there.values())
    for key, (value, label) in wanted.items():
        if key in placed:
            continue
        liked = LABELS.get(label, "")
        likely = (liked, *free) if liked in free else free
        for column in likely:
            if (column == FAX) == (liked == FAX) and len(value) <= LONGEST[column]:
                free.remove(column)
                drawn[column] = value
                break
    return drawn
