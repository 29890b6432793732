"""Choosing what goes into which field of an activity: checked against the CRM's own fields, looked at on real calls.

Nothing is used before somebody switches it on, and nothing that cannot work is kept. What was chosen holds for calls
from now on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from domain.errors import Malformed
from domain.mapping import CrmField, Fault, FieldMap, faults
from jobs import activities, filling, passages, recordings
from jobs.services import Services
from store.call_book import Kept
from store.connections import Tie
from store.sieve import NO_CUSTOMER
from store.tenants import Tenant, User

EXIT = "mapping"  # the gate's name for the calls a mapping is looked at on (`domain.limited_use`)
LOOKED_AT = 20  # calls
AMONG = 100  # the latest calls, some of which are with nobody outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A real call as it would be written: each field with its value, and what is wrong with it."""

    kept: Kept
    subject: str
    rows: Sequence[tuple[CrmField, Any, str]]

    @property
    def problems(self) -> int:
        return sum(1 for _, _, problem in self.rows if problem)


def there(services: Services, tie: Tie, tenant: Tenant) -> list[CrmField]:
    """The fields of a call in the CRM. Where its own telephony writes the activity, the subject is its word."""
    bridged, known = tenant.call_writer == "bridge", services.crm(tie).call_fields()
    return [replace(one, ours=True) if bridged and one.name == "Subject" else one for one in known]


def wrong(tenant: Tenant, chosen: FieldMap, known: Sequence[CrmField]) -> list[Fault]:
    """Why this mapping cannot work here."""
    return faults(chosen, known, {"disposition": tenant.wishes.dispositions})


def choose(services: Services, tie: Tie, user: User, chosen: FieldMap, known: Sequence[CrmField]) -> None:
    """Keep a mapping. Raises Malformed for one that is on and cannot work."""
    tenant = services.tenants.get(user.tenant)
    if chosen.on and (found := wrong(tenant, chosen, known)):
        raise Malformed(found[0].sentence, code="mapping.faulty")
    described = {one.name: one for one in known}
    rules = tuple(replace(rule, field=described.get(rule.field.name, rule.field)) for rule in chosen.rules)
    with services.db.tenant(user.tenant) as database:
        services.tenants.map_fields(database, user.tenant, replace(chosen, rules=rules))
        services.ledger.write(
            database,
            user.tenant,
            "fields.mapped",
            actor=f"user:{user.id}",
            subject=f"connections:{tie.id}",
            on=chosen.on,
            fields=sorted({rule.field.name for rule in rules}),
        )
    services.connections.set_facts(user.tenant, tie.id, **{filling.REFUSED: {}})


def samples(services: Services, tie: Tie, chosen: FieldMap, *, actor: str) -> list[Sample]:
    """The latest calls as they would be written."""
    recent = services.calls.recent(tie.tenant, limit=AMONG)
    calls = [kept for kept in recent if kept.call.state == "ended" and kept.match not in NO_CUSTOMER][:LOOKED_AT]
    stories = activities.about(services, tie, [kept.id for kept in calls])
    people = passages.people(services, tie.tenant, EXIT, {kept.contact for kept in calls if kept.contact}, actor=actor)
    links = recordings.crm_links(services, tie, calls)
    told = [(stories[kept.id], people.get(kept.contact) if kept.contact else None) for kept in calls]
    return [_sample(replace(story, contact=contact), chosen, links) for story, contact in told]


def _sample(story: activities.Story, chosen: FieldMap, links: Mapping[Any, str]) -> Sample:
    link = links.get(story.kept.id, "")
    found = filling.filled(replace(story, fields=chosen), link)
    rows = [
        (rule.field, found.values.get(rule.field.name), found.problems.get(rule.field.name, ""))
        for rule in chosen.of(story.kept.call.queue, filling.line_of(story.kept.call))
    ]
    return Sample(kept=story.kept, subject=activities.activity_of(story, link).subject, rows=rows)
