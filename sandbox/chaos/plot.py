"""What happens in the chaos, decided before it begins: who calls whom, every delivery, and what Zoho has to hold then.

The same seed is the same plot. Events are worded by the phone system's understudy; what must stand in Zoho follows
from how a call was made up, not from our code.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from integrations.telephony.standard.sandbox.world import compact, iso, whole_call
from sandbox.cast import ALICE, ALICE_LTD, BOB, CHARLIE, NEXT_DOOR, Company, Controls

CONTACTS, LEADS, STRANGERS = 160, 40, 20  # of each company: who may be at the other end
APART_SECONDS = 7  # between the starts of two calls of a company, so that a start names its call
MOST_COPIES = 5
COPIES = (60, 22, 10, 5, 3)  # of a hundred events, how many are delivered once, twice, ...
LEAST_AGO = timedelta(minutes=10)
PREFIX = {"alice": "+34600700", "charlie": "+34600800"}
AGENTS = {"alice": ((BOB, "201"), (ALICE, "202")), "charlie": ((CHARLIE, "301"),)}
WAYS = (  # direction, outcome, of a hundred calls, Call_Type in Zoho, whether somebody spoke, what its text says
    ("inbound", "answered", 50, "Inbound", True, ""),
    ("inbound", "missed", 15, "Missed", False, ""),
    ("inbound", "voicemail", 5, "Missed", False, "Left a voicemail."),
    ("outbound", "answered", 20, "Outbound", True, ""),
    ("outbound", "busy", 5, "Outbound", False, "The line was busy."),
    ("outbound", "no_answer", 5, "Outbound", False, "Nobody answered."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What Zoho has to hold of one call."""

    began: datetime
    kind: str
    seconds: int
    owner: str
    record: tuple[str, str]  # ("Who_Id", id), ("What_Id", id), or two empty words for a stranger
    words: str  # of the description, where we write it
    number: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to a company's door."""

    org: str
    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Plot:
    """Everything that is going to happen."""

    deliveries: list[Delivery]
    expected: dict[str, list[Expected]]  # by company
    people: dict[str, int]  # by company: how many there are to be recognised at least

    @classmethod
    def write(cls, zoho: Controls, calls: int, seed: int) -> Plot:
        """Put customers into both Zohos and make up calls with them."""
        dice = random.Random(seed)
        deliveries: list[Delivery] = []
        expected: dict[str, list[Expected]] = {}
        for company, many in ((ALICE_LTD, calls // 2), (NEXT_DOOR, calls - calls // 2)):
            customers = _customers(zoho, company)
            began = datetime.now(UTC).replace(microsecond=0) - LEAST_AGO - many * timedelta(seconds=APART_SECONDS)
            expected[company.org] = []
            for place in range(many):
                call = _Call.happen(company, f"{company.org}-{seed}-{place}", began, dice.choice(customers), dice)
                expected[company.org].append(call.expected)
                for id, body in call.events:
                    copies = dice.choices(range(1, MOST_COPIES + 1), COPIES)[0]
                    deliveries += [Delivery(company.org, id, body)] * copies
                began += timedelta(seconds=APART_SECONDS)
        dice.shuffle(deliveries)
        return cls(deliveries, expected, dict.fromkeys(expected, CONTACTS + LEADS))


@dataclass(frozen=True, slots=True)
class _Customer:
    number: str
    record: tuple[str, str]


def _customers(zoho: Controls, company: Company) -> list[_Customer]:
    """Seed people into a company's Zoho; some who call are nobody there."""

    def number(place: int) -> str:
        return f"{PREFIX[company.org]}{place:03d}"

    def people(first: int, many: int, **more: str) -> list[dict[str, Any]]:
        places = range(first, first + many)
        return [{"Last_Name": f"Customer {place}", "Phone": number(place), **more} for place in places]

    found = []
    for module, first, rows in (
        ("Contacts", 0, people(0, CONTACTS)),
        ("Leads", CONTACTS, people(CONTACTS, LEADS, Company="Customers & Co")),
    ):
        ids: list[str] = zoho.post("seed", org=company.org, module=module, records=rows)["ids"]
        field = "Who_Id" if module == "Contacts" else "What_Id"
        found += [_Customer(number(first + place), (field, id)) for place, id in enumerate(ids)]
    return found + [_Customer(number(CONTACTS + LEADS + place), ("", "")) for place in range(STRANGERS)]


@dataclass(frozen=True, slots=True)
class _Call:
    """A call: its events, and what has to come of them."""

    events: list[tuple[str, bytes]]
    expected: Expected

    @classmethod
    def happen(cls, company: Company, id: str, began: datetime, who: _Customer, dice: random.Random) -> _Call:
        direction, outcome, _, kind, spoke, words = dice.choices(WAYS, [way[2] for way in WAYS])[0]
        email, extension = dice.choice(AGENTS[company.org])
        inbound = direction == "inbound"
        talked = dice.randint(1, 600) if spoke else 0
        wish = {
            "call_id": id,
            "direction": direction,
            "outcome": outcome,
            "from": who.number if inbound else extension,
            "to": company.line if inbound else who.number,
            "agent": {"extension": extension, "email": email},
            "ring_seconds": dice.randint(1, 30),
            "talk_seconds": talked,
            "started_at": iso(began),
        }
        expected = Expected(
            began=began, kind=kind, seconds=talked, owner=email, record=who.record, words=words, number=who.number
        )
        return cls(list(_worded(wish)), expected)


def _worded(wish: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    _, events = whole_call(wish, datetime.now(UTC))
    for kind, at, data in events:
        yield (
            f"{wish['call_id']}-{kind.removeprefix('call.')}",
            compact({"type": kind, "timestamp": iso(at), "data": data}),
        )
