"""The way of calls through the house in people's own names, and one call's whole timeline from the door to the CRM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from domain.call import CallEvent
from domain.contact import fold_email
from domain.journey import Name, Step, journey, line, moment, sentence
from store.call_book import Kept
from store.database import TenantId
from store.tenants import User

if TYPE_CHECKING:
    from jobs.services import Services


def names(users: Iterable[User], told: Iterable[CallEvent] = ()) -> Name:
    """Say what our people are called whom a phone system knows by extension or address; `told` may name both."""
    known: dict[str, str] = {}
    for user in users:
        for place in (user.extension, fold_email(user.email)):
            if place and user.name:
                known.setdefault(place, user.name)
    for event in told:
        if event.agent_extension and (name := known.get(fold_email(event.agent_email))):
            known.setdefault(event.agent_extension, name)
    return lambda who: known.get(who) or known.get(fold_email(who)) or who


def lines(told: Mapping[UUID, Sequence[CallEvent]], users: Iterable[User]) -> dict[UUID, str]:
    """One line for each call whose way is worth one."""
    people = list(users)
    return {call: line(journey(events), names(people, events)) for call, events in told.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One moment of a call's timeline. `about`: an event's type, a step's words or an effect's kind."""

    at: datetime
    where: Literal["door", "call", "effect"]
    about: str
    state: str = ""
    reason: str = ""
    late: float = 0.0  # seconds between what happened and our hearing of it


def of_call(services: Services, tenant: TenantId, call: Kept) -> tuple[tuple[Step, ...], Name]:
    """The steps of one call, and what its people are called."""
    told = services.calls.told(tenant, [call.id]).get(call.id, ())
    return (journey(told) if told else ()), names(services.tenants.users(tenant), told)


def timeline(services: Services, tenant: TenantId, call: Kept, name: Name | None = None) -> list[Mark]:
    """Everything about one call in the order it happened: what came in at the door, the call, what we owed and did.

    Without `name` people are called what the phone system calls them. A delivery is known for as long as it is kept.
    """
    told = services.calls.told(tenant, [call.id]).get(call.id, ())
    happened = {event.id: event for event in told}
    marks = []
    for row in services.inbox.of_events(tenant, call.connection, happened):
        event = happened[row.event_id]
        late = max(0.0, (row.received_at - moment(event)).total_seconds())
        marks.append(Mark(at=row.received_at, where="door", about=event.type, state=row.state, late=late))
    if told:
        marks += [
            Mark(at=step.at, where="call", about=sentence(step, name or (lambda who: who))) for step in journey(told)
        ]
    with services.db.tenant(tenant) as database:
        for owed in services.effects.of_call(database, tenant, call.id):
            about: str = owed["kind"]
            marks.append(Mark(at=owed["created_at"], where="effect", about=about, state="planned"))
            if owed["done_at"] is not None or owed["attempts"] or owed["state"] not in ("due", "done"):
                marks.append(
                    Mark(
                        at=owed["done_at"] or owed["next_at"],
                        where="effect",
                        about=about,
                        state=owed["state"],
                        reason=owed["reason"] if owed["state"] != "done" else "",
                    )
                )
    order = {"call": 0, "door": 1, "effect": 2}
    return sorted(marks, key=lambda mark: (mark.at, order[mark.where]))
