"""Whose call it is when a number leads to several people: the tenant's rules, one choice, and its trace.

`decide` is pure and its choice is the same every time: nobody's luck, and nobody's order of insertion, is in it. A call
has one choice and so one activity; where the tenant wants to be asked, the choice is nobody until somebody answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from uuid import UUID

from domain.phone import Number

Policy = Literal["first", "owner", "account", "ask"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
MODULES = ("Contacts", "Leads", "Accounts")  # where a CRM keeps people and companies; the order is the tenant's
COMPANIES, PEOPLE = "Accounts", "Contacts"
MOST_BESIDES = 10  # modules a tenant adds to those
MODULE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")  # as programs call it; it is put into addresses and queries
OfSeveral = Literal["none", "latest"]
OF_SEVERAL: tuple[OfSeveral, ...] = get_args(OfSeveral)  # which of several open deals of one customer has the call
Key = tuple[str, str]  # (module, remote id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A record in the CRM: who owns it there, and the company it belongs to.

    `open_deal`: it is a deal of somebody's, found through them.
    """

    module: str
    remote_id: str
    owner: str = ""
    account: str = ""
    open_deal: bool = False
    changed_at: datetime | None = None

    @property
    def key(self) -> Key:
        return self.module, self.remote_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Somebody who has the number, with their records in the CRM."""

    contact: UUID
    places: tuple[Place, ...] = ()

    @property
    def is_company(self) -> bool:
        return bool(self.own) and all(place.module == COMPANIES for place in self.own)

    @property
    def own(self) -> tuple[Place, ...]:
        """Their records without their deals."""
        return tuple(place for place in self.places if not place.open_deal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a tenant decided: whom a shared number belongs to, and which of a person's records comes first."""

    policy: Policy = "first"
    order: tuple[str, ...] = MODULES  # with the deals and the modules of their own that a tenant added
    of_several: OfSeveral = "none"

    @property
    def besides(self) -> tuple[str, ...]:
        """What a tenant added to where people and companies are kept."""
        return tuple(module for module in self.order if module not in MODULES)

    def record(self, places: Sequence[Place]) -> Place | None:
        """The record a call with somebody belongs to: by the order of modules, then the oldest there."""
        deals = sorted((place for place in places if place.open_deal), key=_latest)
        none = len(deals) > 1 and self.of_several == "none"
        left_out = {place.key for place in (deals if none else deals[1:])}
        fitting = (place for place in places if place.module in self.order and place.key not in left_out)
        return min(fitting, key=self._place, default=None)

    @staticmethod
    def beside(record: Place | None, places: Sequence[Place]) -> Key | None:
        """The person a call is tied to beside the deal of theirs that it belongs to."""
        if record is None or not record.open_deal:
            return None
        people = (place.key for place in places if place.module == PEOPLE)
        return min(people, key=lambda key: (len(key[1]), key[1]), default=None)

    def ranked(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The likeliest first, the same every time."""
        return sorted(candidates, key=self._rank)

    def _place(self, place: Place) -> tuple[int, int, str]:
        return self.order.index(place.module), len(place.remote_id), place.remote_id  # ids are numbers that grow

    def _rank(self, candidate: Candidate) -> tuple[tuple[int, int, str], str]:
        best = self.record(candidate.places)
        return (len(self.order), 0, "") if best is None else self._place(best), str(candidate.contact)

    def as_data(self) -> dict[str, Any]:
        return {"policy": self.policy, "order": list(self.order), "of_several": self.of_several}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Rules:
        """Undo `as_data`; what is not there, or cannot be understood, is as it comes."""
        policy = next((known for known in POLICIES if known == data.get("policy")), cls().policy)
        order = tuple(data.get("order") or ())
        several = next((known for known in OF_SEVERAL if known == data.get("of_several")), cls().of_several)
        return cls(policy=policy, order=order if _possible(order) else MODULES, of_several=several)


def _latest(deal: Place) -> tuple[float, int, str]:
    """The one changed last first, the same every time."""
    changed = deal.changed_at or datetime.min.replace(tzinfo=UTC)
    return -changed.timestamp(), len(deal.remote_id), deal.remote_id


def _possible(order: Sequence[str]) -> bool:
    """Every module once, none of the usual ones missing, and all with names that can be asked for."""
    known = len({*order}) == len(order) <= len(MODULES) + MOST_BESIDES and {*order} >= {*MODULES}
    return known and all(MODULE_NAME.fullmatch(module) for module in order)


# ---- the choice ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who a call is with. `match`: what the number led to; `why`: what decided; `record`: one nobody in the hub has."""

    match: str  # one, several, chosen, account, nobody, hidden, unreadable, internal, own, left_out, by_hand
    why: str = ""  # only, rule, last, yours, account, first, ask; empty where there was nothing to decide
    contact: UUID | None = None
    record: Key | None = None

    def as_data(self) -> dict[str, Any]:
        told = {"match": self.match, "why": self.why, "contact": self.contact and str(self.contact)}
        return {name: value for name, value in (told | {"record": self.record}).items() if value}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Choice:
        contact, record = data.get("contact"), data.get("record")
        return cls(
            match=data["match"],
            why=data.get("why", ""),
            contact=UUID(contact) if contact else None,
            record=(record[0], record[1]) if record else None,
        )


def decide(
    candidates: Sequence[Candidate],
    rules: Rules,
    *,
    rule: UUID | None = None,
    last: UUID | None = None,
    agent: str = "",
    companies: Mapping[str, UUID] | None = None,
) -> Choice:
    """Say who a number's call is with.

    `rule`: whom somebody here chose for this number; `last`: with whom its last spoken call was; `agent`: the CRM's id
    of the user on this call; `companies`: which contact each company's record is.
    """
    if not candidates:
        return Choice(match="nobody")
    if any(one.contact == rule for one in candidates):
        return Choice(match="chosen", why="rule", contact=rule)
    if rules.policy == "account" and len(candidates) > 1 and (account := _common_account(candidates)):
        return Choice(
            match="account",
            why="account",
            contact=(companies or {}).get(account),
            record=(COMPANIES, account),
        )
    rivals = rules.ranked(_without_their_companies(candidates))
    if len(rivals) == 1:
        return Choice(match="one", why="only", contact=rivals[0].contact)
    if rules.policy in ("account", "ask"):
        return Choice(match="several", why="ask")
    if rules.policy == "owner":
        if any(one.contact == last for one in rivals):
            return Choice(match="several", why="last", contact=last)
        mine = [one for one in rivals if agent and any(place.owner == agent for place in one.places)]
        if len(mine) == 1:
            return Choice(match="several", why="yours", contact=mine[0].contact)
    return Choice(match="several", why="first", contact=rivals[0].contact)


def _common_account(candidates: Sequence[Candidate]) -> str:
    """The one company they all belong to, or are."""
    theirs = [
        {place.remote_id if place.module == COMPANIES else place.account for place in one.own} - {""}
        for one in candidates
    ]
    common = set.intersection(*theirs)
    return common.pop() if len(common) == 1 else ""


def _without_their_companies(candidates: Sequence[Candidate]) -> list[Candidate]:
    """A company is no rival of its own people: whoever has its number beside it answers for it."""
    employers = {place.account for one in candidates if not one.is_company for place in one.own} - {""}
    return [one for one in candidates if not (one.is_company and {place.remote_id for place in one.own} <= employers)]


# ---- why this person ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Somebody the number led to, and their records as they were then."""

    contact: UUID
    records: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """How a call found its person. Kept sealed with the call; people are named by our ids and the CRM's."""

    told: str  # the number as the vendor told it
    region: str  # it was read as dialled there
    e164: str = ""
    tried: tuple[str, ...] = ()  # what was looked up, in this order
    matched: str = ""  # which of these led to somebody
    found: tuple[Found, ...] = ()
    choice: Choice
    before: Choice | None = None  # what was decided without the rule that somebody here made for this number
    order: tuple[str, ...] = ()  # in which the modules were searched
    module: str = ""  # whose record the call belongs to by that order

    @classmethod
    def of(cls, number: Number, region: str, choice: Choice, **looked_up: Any) -> Trace:
        return cls(told=number.raw, region=region, e164=number.e164, choice=choice, **looked_up)

    def forgets(self, contacts: frozenset[UUID]) -> Trace | None:
        """The trace without these people; None where it does not name them."""
        found = tuple(one for one in self.found if one.contact not in contacts)
        before = None if self.before is not None and self.before.contact in contacts else self.before
        if found == self.found and before == self.before and self.choice.contact not in contacts:
            return None
        choice = self.choice if self.choice.contact not in contacts else Choice(match="nobody")
        return replace(self, found=found, choice=choice, before=before)

    def as_data(self) -> dict[str, Any]:
        """Plain JSON values, for sealing."""
        data: dict[str, Any] = {
            "told": self.told,
            "region": self.region,
            "e164": self.e164,
            "tried": list(self.tried),
            "matched": self.matched,
            "found": [[str(one.contact), [list(key) for key in one.records]] for one in self.found],
            "choice": self.choice.as_data(),
            "order": list(self.order),
            "module": self.module,
        }
        return data if self.before is None else data | {"before": self.before.as_data()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Trace:
        """Undo `as_data`."""
        before = data.get("before")
        return cls(
            told=data["told"],
            region=data["region"],
            e164=data["e164"],
            tried=tuple(data["tried"]),
            matched=data["matched"],
            found=tuple(
                Found(contact=UUID(contact), records=tuple((module, remote_id) for module, remote_id in records))
                for contact, records in data["found"]
            ),
            choice=Choice.from_data(data["choice"]),
            before=Choice.from_data(before) if before else None,
            order=tuple(data.get("order", ())),
            module=data.get("module", ""),
        )
