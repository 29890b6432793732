"""A lead made from a call with somebody unknown: asked for by an agent, made once however many ask.

One row a number is owed, so that two clicks and two agents are one lead. Before anything is written the CRM is asked
whether somebody has the number already; that somebody is taken over instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import structlog

from domain.contact import Line, Person, Record
from domain.errors import FieldRefused, Forbidden, Malformed, Missing, NotAllowed, Refused, Unanswered, Upstream
from domain.ports import Crm, NewLead
from jobs import choosing, newcomers, retying, sync_contacts, views
from jobs.outage import postpone
from jobs.services import Services
from store.connections import Tie
from store.effects import Effect
from store.tenants import User

log = structlog.get_logger()

FIELDS = ("family", "given", "company")


def ask(services: Services, user: User, call: UUID, *, family: str, given: str = "", company: str = "") -> bool:
    """Owe the CRM a lead for the caller; False when somebody has the number already, or was asked for.

    Raises Missing, Malformed for a call without a number or a CRM, Forbidden for somebody who was erased.
    """
    kept = services.calls.get(user.tenant, call)
    if kept is None:
        raise Missing("There is no such call.")
    return ask_for(services, user, kept.e164, call=call, family=family, given=given, company=company)


def ask_for(
    services: Services,
    user: User,
    number: str,
    *,
    call: UUID | None = None,
    family: str,
    given: str = "",
    company: str = "",
) -> bool:
    """The same for a number in E.164, whether it was ever called or not."""
    tenant = user.tenant
    crm = services.connections.first(tenant, "crm")
    if not number or crm is None:
        raise Malformed("A lead needs a number, and a CRM to make it in.", code="lead.impossible")
    if services.hub.who(tenant, number):
        return False
    if services.hub.forgotten(tenant, [Person(lines=(Line(e164=number),))]):
        raise Forbidden("Somebody with this number asked to be forgotten.", code="lead.forgotten")
    key = f"lead.create:{services.vault.of(tenant).fingerprint('number', number).hex()}"
    said = {"number": number, "family": family, "given": given, "company": company, "owner": user.remote_id}
    with services.db.tenant(tenant) as database:
        new = services.effects.plan(
            database, tenant, "lead.create", key, connection=crm.id, lane="calls", payload=said, call=call
        ) or services.effects.renew(database, tenant, key, payload=said, call=call)
        if new:
            subject = f"calls:{call}" if call is not None else f"connections:{crm.id}"
            services.ledger.write(database, tenant, "lead.asked", actor=f"user:{user.id}", subject=subject)
    services.ring(tenant, "calls")
    return new


def create(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Make leads, each after looking whether somebody has the number; the calls of the number are theirs at once."""
    crm = services.crm(tie)
    for position, effect in enumerate(batch):
        number = effect.payload["number"]
        try:
            record = _found(services, tie, crm, number)
            found = record is not None
            if record is None:
                services.effects.claim(tie.tenant, [effect])
                record = _made(services, tie, crm, effect)
        except (Refused, NotAllowed) as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            log.info("lead_refused", tenant=str(tie.tenant), reason=error.code)
            continue
        except Unanswered as error:
            postpone(services, tie, [effect], error)
            services.connections.trouble(tie.tenant, tie.id, error.code)
            continue
        except Upstream:
            del batch[:position]  # what went before is settled; the rest shares this one's fate
            raise
        sync_contacts.take(services, tie, [record], complete=False, go_on=True)
        changes = choosing.revise(services, tie.tenant, number)
        with services.db.tenant(tie.tenant) as database:
            choosing.keep(services, database, tie.tenant, changes, effect.id)
            retying.settle(services, database, tie.tenant, number, effect.id)
            services.effects.done(database, tie.tenant, {effect.id: record.remote_id})
            services.ledger.write(
                database,
                tie.tenant,
                "lead.found" if found else "lead.made",
                subject=f"calls:{effect.call}" if effect.call else f"connections:{tie.id}",
                calls=len(changes),
            )
        log.info("lead_made", tenant=str(tie.tenant), call=str(effect.call), read_back=found)


def _made(services: Services, tie: Tie, crm: Crm, effect: Effect) -> Record:
    """Write the lead and read it, so that it stands in the hub as it stands there."""
    said = effect.payload
    told = {name: said.get(name, "") for name in FIELDS}
    line = Line(raw=said["number"], e164=said["number"], label="work")
    person, owner = Person(**told, lines=(line,)), said.get("owner", "")
    more = newcomers.of_lead(services, tie, person, owner)
    remote_id = _write(services, tie, crm, NewLead(number=said["number"], owner=owner, fields=more, **told))
    written = Record(module="Leads", remote_id=remote_id, person=person, owner=owner)
    if views.left_out(services, tie, [("Leads", remote_id)]):  # the next reading says whether its view shows it
        return written
    return _read(crm, [("Leads", remote_id)]) or written


def _write(services: Services, tie: Tie, crm: Crm, lead: NewLead) -> str:
    """Write it without what the CRM refuses of the mapped fields."""
    left_out: dict[str, str] = {}
    while True:
        try:
            remote_id = crm.create_lead(lead)
        except FieldRefused as error:
            left_out[error.field] = error.code
            rest = {name: value for name, value in lead.fields.items() if name != error.field}
            lead = replace(lead, fields=rest)
        else:
            newcomers.refused(services, tie, "Leads", left_out.items())
            return remote_id


def _found(services: Services, tie: Tie, crm: Crm, number: str) -> Record | None:
    """Who has the number there already. Raises Refused where only somebody has it whom no view shows."""
    places = crm.find_people(number)
    hidden = views.left_out(services, tie, places)
    record = _read(crm, [place for place in places if place not in hidden])
    if record is None and hidden:
        raise Refused("Somebody who is left out has this number.", code="lead.left_out")
    return record


def _read(crm: Crm, places: Sequence[tuple[str, str]]) -> Record | None:
    """The first of these records that is still one: a lead that became a contact is none."""
    for module, remote_id in places:
        for item in crm.some_people(module, [remote_id]):
            if isinstance(item, Record):
                return item
    return None
