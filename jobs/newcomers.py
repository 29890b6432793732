"""What somebody new in the CRM gets beyond their own details: chosen by the tenant, checked, looked at on real people.

It is written once, when a contact or a lead is made, and belongs to the people there from then on: no later change
of ours touches it, so the two sides never argue about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any
from uuid import UUID

from domain import besides, newcomer
from domain.contact import Person
from domain.errors import Malformed
from domain.limited_use import kinds_in
from domain.mapping import CrmField, Fault, FieldMap, Filled, faults, fill
from domain.newcomer import CALL, GOOGLE, TOPICS
from jobs import filling, passages
from jobs.both_ways import CHORE
from jobs.services import Services
from store.connections import Tie
from store.finding import Contact, Whereabouts
from store.tenants import User

EXIT = "newcomers"  # the gate's name for the people a mapping is looked at on (`domain.limited_use`)
LOOKED_AT = 20  # people
AMONG = 200  # the latest of the hub, some of whom are nobody we would write
REFUSED = {"Contacts": "contact_fields_refused", "Leads": "lead_fields_refused"}  # facts, as `filling.REFUSED`


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A real person as they would be written if they were new: each field with its value, and what is wrong with it."""

    contact: Contact
    rows: Sequence[tuple[CrmField, Any, str]]

    @property
    def problems(self) -> int:
        return sum(1 for _, _, problem in self.rows if problem)


# ---- what was chosen ----------------------------------------------------------------------------------------------


def there(services: Services, tie: Tie, module: str) -> list[CrmField]:
    """The fields of somebody in that module."""
    return services.crm(tie).person_fields(module)


def wrong(module: str, chosen: FieldMap, known: Sequence[CrmField]) -> list[Fault]:
    """Why this mapping cannot work here."""
    return faults(chosen, known, {}, TOPICS[module])


def choose(services: Services, tie: Tie, user: User, module: str, chosen: FieldMap, known: Sequence[CrmField]) -> None:
    """Keep a mapping. Raises Malformed for one that is on and cannot work."""
    if chosen.on and (found := wrong(module, chosen, known)):
        raise Malformed(found[0].sentence, code="mapping.faulty")
    again = chosen.on and module == "Contacts"  # who was refused for want of it is tried once more
    described = {one.name: one for one in known}
    rules = tuple(replace(rule, field=described.get(rule.field.name, rule.field)) for rule in chosen.rules)
    with services.db.tenant(user.tenant) as database:
        services.tenants.map_newcomers(database, user.tenant, module, replace(chosen, rules=rules))
        services.ledger.write(
            database,
            user.tenant,
            "fields.mapped",
            actor=f"user:{user.id}",
            subject=f"connections:{tie.id}",
            module=module,
            on=chosen.on,
            fields=sorted({rule.field.name for rule in rules}),
        )
        if again:
            services.pairs.try_again(database, user.tenant, tie.id)
    services.connections.set_facts(user.tenant, tie.id, **{REFUSED[module]: {}})
    if again:
        services.chores.hurry(user.tenant, CHORE)


# ---- somebody who is written --------------------------------------------------------------------------------------


def of_contacts(services: Services, tie: Tie, people: Sequence[Person], book: UUID) -> list[Mapping[str, Any]]:
    """The further fields of each of these, who come from an address book; nothing at all without a mapping."""
    chosen = _in_use(services, tie, "Contacts")
    if chosen is None:
        return []
    owner = services.connections.get(tie.tenant, book).label
    return [_filled("Contacts", chosen, person, owner).values for person in people]


def of_lead(services: Services, tie: Tie, person: Person, owner: str) -> Mapping[str, Any]:
    """The further fields of a lead that is made of a call. `owner`: the CRM's id of who asked for it."""
    chosen = _in_use(services, tie, "Leads")
    if chosen is None:
        return {}
    user = services.tenants.user_by_remote(tie.tenant, owner) if owner else None
    return _filled("Leads", chosen, person, user.email if user is not None else "").values


def refused(services: Services, tie: Tie, module: str, left_out: Iterable[tuple[str, str]]) -> None:
    """Say on the connection which fields the CRM refused: people were written without them."""
    filling.refused(services, tie, dict(left_out), REFUSED[module])


def _in_use(services: Services, tie: Tie, module: str) -> FieldMap | None:
    chosen = services.tenants.get(tie.tenant).newcomers.get(module)
    return chosen if chosen is not None and chosen.on and chosen.rules else None


def _filled(module: str, chosen: FieldMap, person: Person, owner: str) -> Filled:
    said = newcomer.values(person, source=CALL if module == "Leads" else GOOGLE, owner=owner)
    return fill(chosen, "", said, UTC, TOPICS[module])


# ---- looking at it ------------------------------------------------------------------------------------------------


def samples(services: Services, tie: Tie, user: User, module: str, chosen: FieldMap) -> list[Sample]:
    """The latest people as they would be written if they were new: those of Google for contacts, leads for leads.

    Who looks at it stands for who would ask for a lead.
    """
    recent = services.hub.search(tie.tenant, "", limit=AMONG)
    places = services.hub.where(tie.tenant, [one.id for one in recent])
    fitting = [one for one in recent if _fits(module, one, places.get(one.id, ()))] or recent
    people = passages.let_out(services, tie.tenant, EXIT, fitting[:LOOKED_AT], actor=f"user:{user.id}")
    books = {tie.id: tie.label for tie in services.connections.all(tie.tenant) if tie.vendor == besides.GOOGLE}
    found = []
    for one in people:
        whose = [books[place.connection] for place in places.get(one.id, ()) if place.connection in books]
        owner = whose[0] if whose and module == "Contacts" else user.email
        found.append(_sample(module, chosen, one, owner))
    return found


def _fits(module: str, contact: Contact, places: Iterable[Whereabouts]) -> bool:
    if module == "Leads":
        return any(place.module == module for place in places)
    return "contacts" in kinds_in(contact.source.values())


def _sample(module: str, chosen: FieldMap, contact: Contact, owner: str) -> Sample:
    found = _filled(module, chosen, contact.person, owner)
    rows = [
        (rule.field, found.values.get(rule.field.name), found.problems.get(rule.field.name, ""))
        for rule in chosen.of("")
    ]
    return Sample(contact=contact, rows=rows)
