"""What can be said of a person who is new in the CRM, in a mapping of further fields (`domain.mapping`).

Numbers and addresses that count as the person's own have fields of their own already: in a field of kind `phone` they
would be read back as one more number of theirs, so none is filled from here.
"""

from __future__ import annotations

from collections.abc import Mapping

from domain.contact import Line, Person
from domain.mapping import KINDS, Topic
from domain.template import Name, Value

GOOGLE, CALL = "Google Contacts", "Call"  # where somebody new comes from
FAX = frozenset({"fax", "workFax", "homeFax"})
MOBILE = frozenset({"mobile", "workMobile"})
NAMES: Mapping[str, Name] = {
    "name": Name(sentence="The whole name, or what else they are known by", always=True),
    "given": Name(sentence="The first name"),
    "family": Name(sentence="The last name"),
    "title": Name(sentence="What they are in their company"),
    "company": Name(sentence="The company"),
    "email": Name(sentence="Their address, the first of several"),
    "phone": Name(sentence="Their number, the first that is no fax"),
    "mobile": Name(sentence="Their mobile number"),
    "label": Name(sentence="What their number is called there: work, mobile, home …"),
    "source": Name(sentence="Where they come from: Google Contacts or Call", always=True, among=(GOOGLE, CALL)),
    "owner_email": Name(sentence="The address of whose contacts they come from, or of who asked for the lead"),
}
FITTING = {"email": ("email", "owner_email")}


def _topic(one: str) -> Topic:
    kinds = KINDS - {"phone"}
    return Topic(one=one, many=f"{one}s", names=NAMES, fitting=FITTING, kinds=kinds, example="company")


TOPICS: Mapping[str, Topic] = {"Contacts": _topic("contact"), "Leads": _topic("lead")}  # by the CRM's module


def values(person: Person, *, source: str, owner: str) -> dict[str, Value]:
    """What each name says of a person. `owner`: an address."""
    line = next((one for one in person.lines if one.label not in FAX and _spelt(one)), Line())
    mobile = next((one for one in person.lines if one.label in MOBILE), Line())
    email = next(iter(person.emails), "")
    return {
        "name": person.name or email or _spelt(line) or "Somebody",
        "given": person.given,
        "family": person.family,
        "title": person.title,
        "company": person.company,
        "email": email,
        "phone": _spelt(line),
        "mobile": _spelt(mobile),
        "label": line.label,
        "source": source,
        "owner_email": owner,
    }


def _spelt(line: Line) -> str:
    return line.e164 or line.raw
