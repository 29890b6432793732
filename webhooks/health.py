"""For whoever keeps us running: are we alive, are we ready, how are we doing."""

from __future__ import annotations

import os

from flask import Response
from flask_smorest import Blueprint
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest, multiprocess
from prometheus_client import REGISTRY as OWN
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from webhooks.doorkeeper import doorkeeper
from webhooks.problem import problem

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
    services = doorkeeper().services
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own gap
    now = CollectorRegistry()
    lanes = Gauge("linekeeper_lanes_waiting", "Tenants' lanes with work due", ["lane"], registry=now)
    for _, lane in services.lanes.with_work():
        lanes.labels(lane=lane).inc()
    oldest = Gauge("linekeeper_mail_oldest_seconds", "Age of the oldest cached message", registry=now)
    oldest.set(services.mail.oldest_seconds() or 0.0)
    counted = generate_latest(registry if os.environ.get("PROMETHEUS_MULTIPROC_DIR") else OWN)
    return Response(counted + generate_latest(now), 200, content_type=CONTENT_TYPE_LATEST)
