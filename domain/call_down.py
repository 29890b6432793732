"""Call-down lists: whom to call one after the other, and what becomes of each of them. Nothing is dialled here.

Somebody waits, is called, and is then reached, or waits again at the end of the list, or has been tried often enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from domain import dial_plan, phone
from domain.call import Outcome
from domain.call import State as CallState
from domain.dial_plan import DialPlan
from domain.errors import Forbidden, Malformed

State = Literal["waiting", "calling", "reached", "not_reached", "skipped"]
OVER: tuple[State, ...] = ("reached", "not_reached", "skipped")

MOST_PEOPLE = 500  # of one list
MOST_LISTS = 50  # of one user
MOST_TRIES = 9
TRIES = 3  # unless somebody says otherwise
TITLE_CHARACTERS = 80
NOTE_CHARACTERS = 1_000
EXT = " ext "
NAMED_LINES = 10  # of a long faulty text, the first faults are enough

BETWEEN = re.compile(r"[,;\t]")  # columns of a sheet: a name is no number, and is left where it was


@dataclass(frozen=True, slots=True)
class ToCall:
    """A number on a list, as it is dialled: E.164, and the inside line to ask for."""

    dialled: str

    @property
    def e164(self) -> str:
        """By what its calls are known again."""
        return self.dialled.partition(EXT)[0]


@dataclass(frozen=True, slots=True)
class Pasted:
    """What a pasted text holds: numbers, each once, and the lines nobody could be called by."""

    numbers: tuple[ToCall, ...]
    faulty: tuple[int, ...] = ()


def read(text: str, plan: DialPlan, region: str) -> Pasted:
    """Read a pasted text, a line a person; what stands around a number, a name say, is left out.

    >>> read("Dana, +34 600 111 222", DialPlan(), "ES").numbers
    (ToCall(dialled='+34600111222'),)
    """
    found: dict[str, ToCall] = {}
    faulty = []
    for place, line in enumerate(text.splitlines(), 1):
        pieces = [piece for piece in BETWEEN.split(line) if any(map(str.isdecimal, piece))]
        numbers = [to_call(piece, plan, region) for piece in pieces]
        if (line.strip() and not pieces) or None in numbers:
            faulty.append(place)
        found |= {number.e164: number for number in numbers if number is not None and number.e164 not in found}
    return Pasted(tuple(found.values()), tuple(faulty))


def to_call(raw: str, plan: DialPlan, region: str) -> ToCall | None:
    """A number of somebody outside that may be dialled with a click; None for any other text."""
    number = phone.read(raw.strip(), region)
    try:
        dial_plan.check(raw, number, plan, region)
    except (Forbidden, Malformed):
        return None
    if number.kind != "number":
        return None
    return ToCall(number.e164 + (EXT + number.extension if number.extension else ""))


def fault(pasted: Pasted) -> str:
    """What to tell about lines nobody could be called by; empty for none."""
    if not pasted.faulty:
        return ""
    named = ", ".join(map(str, pasted.faulty[:NAMED_LINES]))
    more = " and others" if len(pasted.faulty) > NAMED_LINES else ""
    where = f"Line {named} holds" if len(pasted.faulty) == 1 else f"Lines {named}{more} hold"
    return f"{where} no telephone number that can be called with a click."


def reached(calls: Iterable[tuple[CallState, Outcome | None]]) -> bool | None:
    """Whether the calls of one try reached somebody; None while that is open, and where there is no call yet."""
    told = list(calls)
    if any(outcome == "answered" for _, outcome in told):
        return True
    return None if not told or any(state != "ended" for state, _ in told) else False


def after(tries: int, most: int, *, reached: bool) -> State:
    """What somebody is after so many tries, this one included."""
    if reached:
        return "reached"
    return "waiting" if tries < most else "not_reached"
