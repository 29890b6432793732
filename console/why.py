"""Why a call is with this person: what was looked up, whom it led to, what decided, and what an agent can do then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from console import lines, words
from console.desk import Here
from console.lines import Link
from domain import phone
from jobs import passages, who
from store.call_book import Kept
from store.choices import NumberRule
from store.connections import Tie

if TYPE_CHECKING:
    from jobs.services import Services

NOT_LOOKED_UP = ("internal", "hidden", "unreadable")
CROWD = 25  # people on one page; a number of more is a switchboard's


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """One of those the number leads to."""

    id: UUID
    name: str
    role: str
    records: list[Link]
    chosen: bool
    has_it: bool  # now; otherwise they had it when the call came


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """How a call found its person. `unknown`: nobody has the number, and a lead can be made of the caller."""

    told: str
    region: str
    number: str
    tried: list[str]
    matched: str
    people: list[Somebody]
    sentence: str
    order: list[str]  # in which the modules were searched
    module: str  # whose record it was by that order
    rule: NumberRule | None
    chosen_by: str
    ask: bool
    unknown: bool


def why(services: Services, at: Here, kept: Kept, ties: Sequence[Tie]) -> Why:
    """Explain a call's person, with the people who have the number now beside those who had it then."""
    trace, tenant = kept.trace, at.tenant.id
    e164 = kept.e164 or phone.read(kept.call.customer, at.tenant.region).e164
    looked_up = bool(e164) and kept.match not in NOT_LOOKED_UP
    now = services.hub.who(tenant, e164) if looked_up else []
    then = [one.contact for one in trace.found] if trace is not None else []
    ids = list(dict.fromkeys([*now, *then, *([kept.contact] if kept.contact is not None else [])]))
    known = passages.people(services, tenant, "why", ids, actor=at.actor)
    places = services.hub.where(tenant, known)
    rule = who.choices(services).of(tenant, [e164]).get(e164) if looked_up else None
    sayer = services.tenants.user(tenant, rule.user) if rule is not None and rule.user is not None else None
    crm = any(tie.kind == "crm" and tie.state != "disconnected" for tie in ties)
    people = [
        Somebody(
            id=one,
            name=known[one].person.name or "Without a name",
            role=lines.role(known[one].person),
            records=lines.record_links(ties, places.get(one, []), at.tenant.matching.order),
            chosen=one == kept.contact,
            has_it=one in now,
        )
        for one in ids
        if one in known
    ]
    return Why(
        told=trace.told if trace is not None else kept.call.customer,
        region=trace.region if trace is not None else at.tenant.region,
        number=phone.shown(e164) if looked_up else "",
        tried=[phone.shown(one) for one in trace.tried] if trace is not None else [],
        matched=phone.shown(trace.matched) if trace is not None and trace.matched != e164 else "",
        people=sorted(people, key=lambda one: (not one.chosen, not one.has_it))[:CROWD],
        order=[lines.module_label(ties, module) for module in trace.order] if trace is not None and looked_up else [],
        module=lines.module_label(ties, trace.module) if trace is not None else "",
        sentence=words.WHY.get(trace.choice.why if trace is not None else "", ""),
        rule=rule,
        chosen_by=sayer.name if sayer is not None else "",
        ask=looked_up and kept.contact is None and len(now) > 1,
        unknown=looked_up and not now and crm,
    )
