"""Who a call is with, and whose it is: the number index asked once for a whole batch."""

from __future__ import annotations

from collections.abc import Sequence

from domain.phone import Number
from jobs.services import Services
from store.calls import Heard
from store.tenants import Tenant, User


def identify(services: Services, tenant: Tenant, heard: Sequence[Heard], numbers: Sequence[Number]) -> None:
    """Say who each call is with and whose it is. A choice once made stays: the activity stands on it."""
    found = services.hub.whose(tenant.id, [number.e164 for number in numbers if number.e164])
    agents: dict[tuple[str, str], User | None] = {}
    for item, number in zip(heard, numbers, strict=True):
        who = (item.call.agent_email, item.call.agent_extension)
        if who not in agents:
            agents[who] = services.tenants.agent(tenant.id, email=who[0], extension=who[1])
        user = agents[who]
        item.user_is_new = item.user is None and user is not None
        item.user = user.id if user is not None else item.user
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
