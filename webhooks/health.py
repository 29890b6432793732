"""For whoever keeps us running: are we alive, are we ready, how are we doing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from flask import Response
from flask_smorest import Blueprint
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from prometheus_client import REGISTRY as OWN
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from domain.alarm import KINDS
from domain.pop import BUDGET_MS
from jobs.services import Services
from store import budget
from webhooks.doorkeeper import doorkeeper
from webhooks.problem import problem

MEASURED = timedelta(hours=1)  # so far back the metrics look when they say how fast pops are

bp = Blueprint("health", __name__, description="Health and metrics")


@bp.get("/healthz")
@bp.doc(summary="The process answers", responses={"200": {"description": "ok"}})
def alive() -> Response:
    """Say that this process answers; nothing else is asked."""
    return Response("ok\n", 200, content_type="text/plain")


@bp.get("/readyz")
@bp.doc(
    summary="Deliveries can be written down",
    responses={"200": {"description": "ok"}, "503": {"description": "PostgreSQL cannot be reached"}},
)
def ready() -> Response:
    """Say whether a delivery could be written down now. A silent bell only makes work later, so it does not count."""
    services = doorkeeper().services
    try:
        with services.db.anyone() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return problem(503, "unavailable", "PostgreSQL cannot be reached.", **{"Retry-After": "5"})
    return Response("ok\n" if services.bell.alive() else "ok, doorbell silent\n", 200, content_type="text/plain")


@bp.get("/metrics")
@bp.doc(summary="Prometheus metrics, without any personal data", responses={"200": {"description": "metrics"}})
def metrics() -> Response:
    """Counters of every web process, and what PostgreSQL and the mail cache say now."""
    several = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(several)  # type: ignore[no-untyped-call]  # the library's own gap
    else:
        several = OWN
    now = CollectorRegistry()
    now.register(_Now(doorkeeper().services))
    return Response(generate_latest(several) + generate_latest(now), 200, content_type=CONTENT_TYPE_LATEST)


class _Now(Collector):
    """What is true at the moment somebody asks, the same whichever process answers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """Read it all afresh."""
        lanes = GaugeMetricFamily("linekeeper_lanes_waiting", "Tenants' lanes with work due", labels=["lane"])
        for lane, many in Counter(lane for _, lane in self._services.lanes.with_work()).items():
            lanes.add_metric([lane], many)
        yield lanes
        silent = GaugeMetricFamily(
            "linekeeper_circuits_open", "Connections whose other side does not answer", labels=["vendor"]
        )
        for vendor, many in Counter(name.partition(":")[0] for name in self._services.gates.silent()).items():
            silent.add_metric([vendor], many)
        yield silent
        yield from self._pops()
        oldest = self._services.mail.oldest_seconds() or 0.0
        yield GaugeMetricFamily("linekeeper_mail_oldest_seconds", "Age of the oldest cached message", value=oldest)
        alarms = GaugeMetricFamily("linekeeper_alarms", "Connections that fall silent, or have", labels=["kind"])
        announced = self._services.connections.announced()
        for what in KINDS:
            alarms.add_metric([what], announced.get(what, 0))
        yield alarms
        waiting = self._services.installs.waiting()
        yield GaugeMetricFamily("linekeeper_installs_waiting", "Installed, and nobody consented yet", value=waiting)

    def _pops(self) -> Iterator[Metric]:
        """How long cards took in the last hour, for each tenant that had one; nothing is said of the others."""
        p95 = GaugeMetricFamily(
            "linekeeper_pop_p95_seconds", "From the news of a call to its card in the CRM, last hour", labels=["tenant"]
        )
        many = GaugeMetricFamily("linekeeper_pops", "Cards that went out in the last hour", labels=["tenant"])
        since = self._services.db.now() - MEASURED
        for tenant, (count, seconds) in budget.every_tenant(self._services.db, since).items():
            p95.add_metric([str(tenant)], seconds)
            many.add_metric([str(tenant)], count)
        yield from (p95, many)
        yield GaugeMetricFamily(
            "linekeeper_pop_budget_seconds", "What 95 of 100 cards may take", value=BUDGET_MS / 1000
        )
