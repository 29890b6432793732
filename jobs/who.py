"""Who a call is with and why, whose it is, at whose phones it is: the number index asked once for a whole batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain import phone
from domain.matching import COMPANIES, Candidate, Choice, Found, Place, Rules, Trace, decide
from domain.phone import Number
from domain.seats import Seat, seats
from jobs.numbers import marks
from jobs.services import Services
from store.calls import Heard
from store.choices import Choices, NumberRule
from store.connections import Tie
from store.finding import Matched, Whereabouts
from store.tenants import Tenant, User

REGION = "region"  # the fact of a connection: the country its numbers are read as dialled in


def choices(services: Services) -> Choices:
    """Whose shared numbers are, as people here have said."""
    return Choices(services.db, services.vault)


def region_of(tie: Tie, tenant: Tenant) -> str:
    """Where a phone system's numbers without a country are dialled: its own country, else the tenant's."""
    return str(tie.facts.get(REGION) or tenant.region)


def places(tie: Tie | None, there: Sequence[Whereabouts]) -> tuple[Place, ...]:
    """Somebody's records in the CRM."""
    return tuple(
        Place(
            module=record.module,
            remote_id=record.remote_id,
            owner=record.owner,
            account=record.account,
            open_deal=record.open_deal,
            changed_at=record.changed_at,
        )
        for record in there
        if tie is not None and record.connection == tie.id
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is known of a batch's numbers, read at once."""

    rules: Rules
    matched: Mapping[str, Matched]
    places: Mapping[UUID, tuple[Place, ...]]
    chosen: Mapping[str, NumberRule]
    last: Mapping[str, UUID]
    companies: Mapping[str, UUID]

    def trace(self, number: Number, region: str, agent: str) -> Trace:
        """Decide whose call it is, and keep why. `agent`: the CRM's id of the user on it."""
        one = self.matched[number.e164]
        candidates = [Candidate(contact=contact, places=self.places.get(contact, ())) for contact in one.contacts]
        known = {"last": self.last.get(number.e164), "agent": agent, "companies": self.companies}
        choice = before = decide(candidates, self.rules, **known)  # type: ignore[arg-type]  # each is of its own type
        if (rule := self.chosen.get(number.e164)) is not None:
            choice = decide(candidates, self.rules, rule=rule.contact, **known)  # type: ignore[arg-type]
        record = self.rules.record(self.places.get(choice.contact, ())) if choice.contact is not None else None
        return Trace.of(
            number,
            region,
            choice,
            tried=one.tried,
            matched=one.under,
            found=tuple(Found(contact=each.contact, records=tuple(p.key for p in each.places)) for each in candidates),
            before=before if choice.why == "rule" else None,
            order=self.rules.order,
            module=record.module if record is not None else choice.record[0] if choice.record is not None else "",
        )


def search(services: Services, tenant: Tenant, crm: Tie | None, numbers: Collection[str]) -> Search:
    """Look these numbers up, and what else decides between several people where there are several."""
    matched = services.hub.match(tenant.id, numbers)
    everybody = {contact for one in matched.values() for contact in one.contacts}
    there = services.hub.where(tenant.id, everybody)
    known = {contact: places(crm, records) for contact, records in there.items()}
    shared = [number for number, one in matched.items() if len(one.contacts) > 1]
    rules, companies, last = tenant.matching, dict[str, UUID](), dict[str, UUID]()
    if shared and rules.policy == "account" and crm is not None:
        theirs = {
            place.account for number in shared for one in matched[number].contacts for place in known.get(one, ())
        }
        companies = services.hub.behind(tenant.id, crm.id, COMPANIES, theirs - {""})
        companies |= {p.remote_id: one for one, records in known.items() for p in records if p.module == COMPANIES}
    if rules.policy == "owner":
        last = services.calls.last_with(tenant.id, shared)
    return Search(
        rules=rules,
        matched=matched,
        places=known,
        chosen=choices(services).of(tenant.id, [number for number, one in matched.items() if one.contacts]),
        last=last,
        companies=companies,
    )


def our_side(heard: Sequence[Heard], region: str) -> list[str]:
    """The numbers on our side of calls we hear of for the first time: where they came in, or went out from."""
    told = []
    for item in heard:
        call = item.call
        if item.before is None and call.direction != "internal" and not any(one.by_hand for one in item.events):
            number = phone.read(call.callee if call.direction == "inbound" else call.caller, region)
            if number.kind == "number" and number.e164 != phone.read(call.customer, region).e164:
                told.append(number.e164)
    return told


def identify(
    services: Services, tenant: Tenant, tie: Tie, crm: Tie | None, heard: Sequence[Heard], numbers: Sequence[Number]
) -> dict[UUID, User]:
    """Say who each call is with and whose it is; return the agents. A choice once made stays: the activity stands on
    it."""
    region = region_of(tie, tenant)
    found = search(services, tenant, crm, {number.e164 for number in numbers if number.e164})
    apart = marks(services, tenant, {number.e164 for number in numbers if number.e164})
    rung = [seats(item.events) if item.call.state != "ended" else () for item in heard]
    agents = services.tenants.agents(
        tenant.id,
        {(item.call.agent_email, item.call.agent_extension) for item in heard}
        | {(seat.email, seat.extension) for there in rung for seat in there},
    )
    for item, number, there in zip(heard, numbers, rung, strict=True):
        user = agents[item.call.agent_email, item.call.agent_extension]
        spoke_since = item.before is not None and item.call.spoke and not item.before.spoke
        if not item.writer or item.user is None or spoke_since:  # whose activity it is stays, whoever takes over later
            item.user = user.id if user is not None else item.user
        _seat(item, there, agents)
        if item.writer or item.match == "by_hand":
            continue
        if item.call.direction == "internal" or number.kind == "extension":
            item.settle(Trace.of(number, region, Choice(match="internal")))
        elif (kind := apart.get(number.e164)) is not None:
            item.settle(Trace.of(number, region, Choice(match="own" if kind == "own" else "left_out")))
        elif number.kind != "number":
            unnamed = "left_out" if tenant.barring.hidden else "hidden"
            match = unnamed if number.kind == "anonymous" else "unreadable"
            item.settle(Trace.of(number, region, Choice(match=match)))
        else:
            item.settle(found.trace(number, region, user.remote_id if user is not None else ""))
    return {user.id: user for user in agents.values() if user is not None}


def _seat(item: Heard, rung: Sequence[Seat], agents: Mapping[tuple[str, str], User | None]) -> None:
    """Say at whose phones the call is. One agent may have been named in two ways."""
    strangers = set()
    for seat in rung:
        user = agents[seat.email, seat.extension]
        if user is not None:
            item.seats.setdefault(user.id, seat.state)
        else:
            strangers.add((seat.email, seat.extension))
    item.phones = len(item.seats) + len(strangers)
