"""What a card shows, before it is a card: who somebody is, what was said on the telephone, what can be done now.

Plain values; whoever fills them in knows the store, whoever draws them knows Google, and neither knows the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number one can ring. `key` is good for one call: who presses twice, or whose press comes twice, rings once."""

    number: str
    shown: str
    key: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A call that was. `number` is empty for a withheld one."""

    id: str
    who: str
    direction: str
    outcome: str
    at: datetime
    seconds: int = 0
    number: Number | None = None
    note: str = ""
    contact: str = ""
    waits: bool = False  # somebody is to call back


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Where somebody stands in the CRM."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody: known, or an address or a number nobody knows yet (`id` is empty)."""

    id: str = ""
    name: str = ""
    role: str = ""
    email: str = ""
    numbers: Sequence[Number] = ()
    records: Sequence[Record] = ()
    calls: Sequence[Past] = ()  # the latest first
    tasks: Sequence[datetime] = ()  # calls that wait to be returned, by when they came
    noted: str = ""  # the call a note can be made on
    lead: bool = False  # a lead can be made
    texts: bool = False  # they can be written a text message
    writes: bool = False  # this is whoever wrote the message


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What a user finds before they looked for anything."""

    recent: Sequence[Past] = ()
    missed: Sequence[Past] = ()
    dials: bool = True  # there is a telephone system that can dial
    line: str = ""  # the telephone that rings first
    key: str = ""  # of the dialler's one call
    file: bool = False  # a file is open whose numbers could be found


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What became of a press on a number."""

    number: Number  # with a fresh key
    line: str
    then: str = ""  # an extension to ask for
    new: bool = True
    who: str = ""
