"""What is written down at a door and done there: if doing it fails, the tenant's lane does it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from store.connections import Tie
from store.database import TenantId
from store.inbox import Lane

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()


def at_once(
    services: Services, tenant: TenantId, tie: UUID, event: str, do: Callable[[Tie], None], *, lane: Lane = "contacts"
) -> None:
    """Do what the delivery `event` of a connection asks for; its sender need not send it twice."""
    try:
        do(services.connections.get(tenant, tie))
    except Exception as error:
        log.error("signal_waits", tenant=str(tenant), connection=str(tie), error=type(error).__name__)
        services.ring(tenant, lane)
        return
    services.inbox.finished(tenant, tie, event)
