"""Dialling for an agent: once, now, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog

from domain.errors import Upstream
from domain.urgency import urgently
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect

log = structlog.get_logger()

CLICK_IS_STALE = timedelta(seconds=30)  # whoever clicked longer ago has turned to something else


@urgently()
def dial(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Ring an agent and then a number. Never repeated by itself: a second ring would be a second call."""
    system = services.phone_system(tie)
    for effect in batch:
        if effect.state == "unknown" or services.now() - effect.created_at > CLICK_IS_STALE:
            services.effects.drop(tie.tenant, [effect], "dial.stale", state="dropped")
            continue
        services.effects.claim(tie.tenant, [effect])
        wanted = effect.payload
        try:
            ref = system.dial(
                agent_extension=wanted.get("extension", ""),
                agent_email=wanted.get("email", ""),
                number=wanted["number"],
            )
        except Upstream as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            services.connections.trouble(tie.tenant, tie.id, error.code)
            _say_dial_failed(services, tie.tenant, wanted)
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: ref})


def _say_dial_failed(services: Services, tenant: TenantId, wanted: Mapping[str, str]) -> None:
    """Tell the agent's screen in the CRM that nothing will ring."""
    crm = services.connections.first(tenant, "crm")
    if crm is None or not wanted.get("login"):
        return
    try:
        services.bridge(crm).dial_failed(
            reason="notavailable", agent=wanted.get("extension", ""), number=wanted["number"], login=wanted["login"]
        )
    except Upstream as error:
        log.info("dial_failed_unsaid", tenant=str(tenant), reason=error.code)
