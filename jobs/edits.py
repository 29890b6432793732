"""A contact that was edited on a device: each record of theirs that may be written is told what is news to it.

Records are written as by every other change (`jobs.contact_writes`): somebody who was faster is never overwritten, the
edit is compared with what they wrote. What else keeps the contact hears of it by the next exchange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy import Connection

from domain.agreement import Step
from domain.contact import Record
from domain.edit import Edit
from domain.errand import Errand
from domain.errors import Missing
from domain.own_account import holder
from domain.sharing import Sharing
from domain.telling import Change, Field
from domain.threeway import Side
from jobs import both_ways
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId

READ_ONLY = "read only"  # why nothing of a field can be written: no record of theirs may be


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What became of an edit: the fields that are on their way, and for each of the others why it is not."""

    taken: Sequence[Field] = ()
    kept: Mapping[Field, str] = field(default_factory=dict)


def edit(services: Services, tenant: TenantId, contact: UUID, wish: Edit, *, actor: str) -> Edited:
    """Owe every record of a contact that may be written what is news to it. Raises Missing for one that is gone."""
    places = services.hub.where(tenant, [contact]).get(contact, ())
    if not places:
        raise Missing("There is no such contact.")
    ties = {tie.id: tie for tie in services.connections.all(tenant, connected=True)}
    kept: dict[Field, str] = dict.fromkeys(wish.fields, READ_ONLY)
    taken: set[Field] = set()
    errands: list[tuple[Tie, Errand]] = []
    for place in places:
        tie, key = ties.get(place.connection), (place.module, place.remote_id)
        if tie is None or not _written(services, tie):
            continue
        takes = services.people_writer(tie).limits.takes.get(place.module)
        link = services.hub.links(tenant, tie.id, {key}).get(key)
        if takes is None or link is None:
            continue
        mine = replace(wish, takes=takes)
        lost = mine.lost(mine.against(link.mark, place.module))
        kept |= {name: why for name, why in lost.items() if name in kept}
        taken |= (wish.fields & takes) - lost.keys()  # or it says so already
        record = Record(module=place.module, remote_id=place.remote_id, person=link.mark)
        if (step := _step("left" if tie.kind == "crm" else "right", record, mine)) is not None:
            errands.append((tie, Errand(crm=tie.id, steps=[step], edit=mine)))
    if errands:
        _owe(services, tenant, contact, errands, actor)
    return Edited(taken=sorted(taken), kept={name: why for name, why in kept.items() if name not in taken})


def again(services: Services, database: Connection, tenant: TenantId, errand: Errand, there: Record) -> None:
    """Somebody was faster: owe what of the edit is news to what they wrote, in the caller's transaction.

    The device was told that all of it is on its way, so the ledger says which fields keep their word instead.
    """
    if errand.edit is None:
        return
    if kept := errand.edit.lost(errand.edit.against(there.person, there.module)):
        services.ledger.write(
            database,
            tenant,
            "contacts.edit_kept",
            subject=f"connections:{errand.crm}",
            fields=dict(sorted(kept.items())),
        )
    side: Side = "left" if errand.steps[0].left is not None else "right"
    if (step := _step(side, there, errand.edit)) is not None:
        anew = replace(errand, steps=[step]).as_data()
        services.effects.plan_each(database, tenant, both_ways.KIND, [anew], connection=errand.crm, lane="contacts")


def _written(services: Services, tie: Tie) -> bool:
    """Whether the records of a connection may be written: an administrator chose so, and the consent allows it."""
    if tie.kind not in ("crm", "workspace") or tie.state != "active" or holder(tie.facts) is not None:
        return False
    chosen = Sharing.from_facts(tie.facts)
    return chosen.writes and not chosen.paused and both_ways.writes(services, tie)


def _step(side: Side, there: Record, wish: Edit) -> Step | None:
    """What a record has to be told; None when nothing is news to it."""
    verdict = wish.against(there.person, there.module)
    fields = frozenset(verdict.fields["left"]) & wish.fields
    if not fields:
        return None
    change = Change(
        module=there.module, remote_id=there.remote_id, was=there.person, wanted=verdict.wanted["left"], fields=fields
    )
    left, right = (there, None) if side == "left" else (None, there)
    return Step(do="update", changes={side: change}, left=left, right=right)


def _owe(
    services: Services, tenant: TenantId, contact: UUID, errands: Sequence[tuple[Tie, Errand]], actor: str
) -> None:
    with services.db.tenant(tenant) as database:
        for tie, errand in errands:
            services.effects.plan_each(
                database, tenant, both_ways.KIND, [errand.as_data()], connection=tie.id, lane="contacts"
            )
        services.ledger.write(
            database,
            tenant,
            "contacts.edited",
            actor=actor,
            subject=f"contacts:{contact}",
            records=len(errands),
            fields=sorted(
                {
                    name
                    for _, errand in errands
                    for step in errand.steps
                    for one in step.changes.values()
                    for name in one.fields
                }
            ),
        )
    services.ring(tenant, "contacts")
