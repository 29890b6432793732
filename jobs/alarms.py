"""Tell of connections that fall silent, or are about to: administrators on the overview, operators by a metric.

Looked at by the timetable. What was announced is a fact of its connection, so it is announced once, and once when over.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from domain.alarm import Alarm, Signs, alarms
from jobs.services import Services
from store.connections import Tie

log = structlog.get_logger()

FACT = "alarms"  # of a connection: what was announced, and the moment it is about


def of(services: Services, tie: Tie) -> list[Alarm]:
    """What there is to announce of a connection now."""
    if tie.state != "active":
        return []  # that it needs consent again is said already
    watched, grant = tie.facts.get("watched_until"), services.grants.get(tie.tenant, tie.id)
    heard = services.inbox.heard_at(tie.tenant, tie.id) or tie.created_at if tie.kind == "telephony" else None
    signs = Signs(
        watched_until=datetime.fromisoformat(watched) if watched else None,
        consented_until=grant.refresh_until if grant is not None else None,
        heard_at=heard,
    )
    return alarms(signs, services.db.now(), timedelta(hours=services.settings.alarm_silence_hours))


def look(services: Services) -> None:
    """Announce what is new, and what is over."""
    for tenant in services.db.tenants():
        for tie in services.connections.all(tenant, connected=True):
            now: dict[str, str] = {one.what: one.at.isoformat() for one in of(services, tie)}
            before: dict[str, str] = tie.facts.get(FACT, {})
            if now == before:
                continue
            services.connections.set_facts(tenant, tie.id, **{FACT: now})
            for what in sorted(now.keys() - before.keys()):
                services.ledger.note(tenant, "alarm.raised", subject=f"connections:{tie.id}", what=what, at=now[what])
                log.warning("alarm", tenant=str(tenant), connection=str(tie.id), code=f"alarm.{what}")
            for what in sorted(before.keys() - now.keys()):
                services.ledger.note(tenant, "alarm.over", subject=f"connections:{tie.id}", what=what)
                log.info("alarm_over", tenant=str(tenant), connection=str(tie.id), code=f"alarm.{what}")
