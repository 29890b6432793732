"""Who a call is with, whose it is, and at whose phones it is: the number index asked once for a whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from domain.phone import Number
from domain.seats import seats
from jobs.services import Services
from store.calls import Heard
from store.tenants import Tenant, User

Agents = Callable[[str, str], User | None]


def identify(services: Services, tenant: Tenant, heard: Sequence[Heard], numbers: Sequence[Number]) -> dict[UUID, User]:
    """Say who each call is with and whose it is; return the agents. A choice once made stays: the activity stands on
    it."""
    found = services.hub.whose(tenant.id, [number.e164 for number in numbers if number.e164])
    agents: dict[tuple[str, str], User | None] = {}

    def agent(email: str, extension: str) -> User | None:
        if (email, extension) not in agents:
            agents[email, extension] = services.tenants.agent(tenant.id, email=email, extension=extension)
        return agents[email, extension]

    for item, number in zip(heard, numbers, strict=True):
        user = agent(item.call.agent_email, item.call.agent_extension)
        item.user = user.id if user is not None else item.user
        _seat(item, agent)
        if item.writer:
            continue
        if item.call.direction == "internal" or number.kind == "extension":
            item.match, item.contact = "internal", None
        elif number.kind != "number":
            item.match, item.contact = ("hidden" if number.kind == "anonymous" else "unreadable"), None
        else:
            contacts = found.get(number.e164, [])
            item.match = ("nobody", "one")[len(contacts)] if len(contacts) < 2 else "several"
            item.contact = contacts[0] if contacts else None
    return {user.id: user for user in agents.values() if user is not None}


def _seat(item: Heard, agent: Agents) -> None:
    """Say at whose phones the call is. One agent may have been named in two ways."""
    strangers = set()
    for seat in seats(item.events):
        user = agent(seat.email, seat.extension)
        if user is not None:
            item.seats.setdefault(user.id, seat.state)
        else:
            strangers.add((seat.email, seat.extension))
    item.phones = len(item.seats) + len(strangers)
