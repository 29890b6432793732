"""One shape for every refusal: problem+json (RFC 9457) with a stable code, and nothing of what was sent."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, json, request
from prometheus_client import Counter
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from domain.errors import Forbidden, Malformed, Missing, Trouble, TryLater, Unauthentic, Upstream

log = structlog.get_logger()

STATUS: dict[type[Trouble], int] = {
    Unauthentic: 401,
    Malformed: 400,
    Forbidden: 403,
    Missing: 404,
    TryLater: 503,
    Upstream: 502,
    Trouble: 400,
}
UNAUTHENTIC = "This request could not be authenticated."  # one sentence for every reason, so that none can be guessed
RETRY_SECONDS = 5
REFUSED = Counter("linekeeper_refused_total", "Requests refused, by code", ["code"])
MACHINES = ("/webhooks/", "/recordings/", "/api/", "/addon/", "/healthz", "/readyz", "/metrics", "/openapi.json")


def problem(status: int, code: str, title: str, **headers: str) -> Response:
    """Make the answer to a request that is refused."""
    REFUSED.labels(code=code).inc()
    body = {"type": "about:blank", "title": title, "status": status, "code": code}
    return Response(json.dumps(body), status, headers, content_type="application/problem+json")


def of(trouble: Trouble) -> Response:
    """The answer a named trouble deserves."""
    status = next(STATUS[kind] for kind in type(trouble).__mro__ if kind in STATUS)
    if isinstance(trouble, Unauthentic):
        return problem(401, "unauthentic", UNAUTHENTIC)
    retry = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    return problem(status, trouble.code, str(trouble), **retry)


def for_machines() -> bool:
    """Is this one of the doors, rather than a page somebody looks at?"""
    return request.path.startswith(MACHINES)


def init_app(app: Flask) -> None:
    """Answer for every door; pages of the console have their own way of saying no."""

    @app.errorhandler(Trouble)
    def named(error: Trouble) -> Response:
        return of(error)

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Any:
        if not for_machines():
            return error
        status = error.code or 500
        title = {413: "The body is larger than this door takes.", 404: "There is nothing here."}.get(
            status, HTTPStatus(status).phrase
        )
        allowed = getattr(error, "valid_methods", None)
        headers = {"Allow": ", ".join(sorted(allowed))} if status == 405 and allowed else {}
        return problem(status, f"http.{status}", title, **headers)

    @app.errorhandler(OperationalError)
    @app.errorhandler(PoolTimeout)
    def database(error: Exception) -> Response:
        log.error("database_unavailable", error=type(error).__name__)
        return problem(
            503,
            "unavailable",
            "We cannot write this down right now. Send it again.",
            **{"Retry-After": str(RETRY_SECONDS)},
        )
