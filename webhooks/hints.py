"""Two questions a phone system asks while a caller waits: who is it, and who should answer?

The caller never waits for us: within a time the operator set (HINT_MILLISECONDS) there is an answer, and when ours is
late or broken it is 200 with an empty hint and `because`, so that a dialplan needs no second way. Only a key that is
none and a question that is none are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from time import perf_counter
from typing import Any, TypeVar

import structlog
from flask import Flask, Response, current_app, json, request
from flask_smorest import Blueprint
from prometheus_client import Histogram

from domain.errors import Forbidden, Malformed, Unauthentic
from jobs import hints, passages
from jobs.hints import Caller, Way
from jobs.services import Services
from store.api_keys import ApiKey
from store.database import TenantId
from webhooks.bearer import REFUSALS, SECURITY, knocking
from webhooks.doorkeeper import doorkeeper

log = structlog.get_logger()

EXTENSION = "linekeeper.hints"
ANSWERERS = 8  # threads of a process that look up; when all are stuck, everybody gets an empty hint in time
CHARACTERS = 64
SECONDS = Histogram("linekeeper_hint_seconds", "How long a phone system waited for a hint", ["hint", "because"])

T = TypeVar("T", Caller, Way)

bp = Blueprint("hints", __name__, url_prefix="/api/v1", description="Hints for phone systems")


class Answerers:
    """Threads that look up, made when somebody asks first: a process may fork before that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, look: Callable[[], Any]) -> Future[Any]:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(ANSWERERS, "hints")
        return self._pool.submit(look)


def init_app(app: Flask) -> None:
    """Keep threads for hints apart from those that serve the other doors."""
    app.extensions[EXTENSION] = Answerers()


def _number(name: str, required: bool) -> dict[str, Any]:
    schema = {"type": "string", "maxLength": CHARACTERS}
    return {"in": "query", "name": name, "required": required, "schema": schema}


FORM = {"in": "query", "name": "form", "required": False, "schema": {"type": "string", "enum": ["json", "text"]}}


def _answers(what: str) -> dict[str, Any]:
    forms = {"application/json": {"schema": {"type": "object"}}, "text/plain": {"schema": {"type": "string"}}}
    return {
        "200": {"description": f"{what}; empty, with the reason in `because`, when there is none", "content": forms},
        "400": {"description": "Not a number somebody could ask about"},
        **REFUSALS,
    }


@bp.get("/lookup")
@bp.doc(
    summary="Who has this number?",
    security=SECURITY,
    parameters=[_number("number", True), FORM],
    responses=_answers("The caller's name"),
)
def lookup() -> Response:
    """Say who calls, for a telephone's display. `form=text`: the name alone, or nothing."""
    number, text = _asked("number"), _as_text()

    def look(services: Services, tenant: TenantId) -> Caller:
        return hints.caller(services, tenant, number)

    found = _in_time("lookup", look, Caller)
    return _said(found, found.name or found.company, text)


@bp.get("/route")
@bp.doc(
    summary="Whose telephone should ring?",
    security=SECURITY,
    parameters=[_number("number", True), _number("line", False), FORM],
    responses=_answers("Extension and e-mail of who should answer, or a queue, or `reject` as the action"),
)
def route() -> Response:
    """Say who should answer a call on one of the tenant's lines. `form=text`: one of the three alone, or nothing."""
    number, line, text = _asked("number"), _asked("line", ""), _as_text()

    def look(services: Services, tenant: TenantId) -> Way:
        return hints.way(services, tenant, number, line)

    found = _in_time("route", look, Way)
    return _said(found, found.action or found.extension or found.queue, text)


def _asked(name: str, default: str | None = None) -> str:
    values = request.args.getlist(name)
    if len(values) > 1 or (not values and default is None) or len(values and values[0]) > CHARACTERS:
        raise Malformed(f"Ask with one {name} of at most {CHARACTERS} characters.", code="field.invalid")
    return values[0] if values else default or ""


def _as_text() -> bool:
    form = _asked("form", "json")
    if form not in ("json", "text"):
        raise Malformed("The form is json or text.", code="field.invalid")
    return form == "text"


def _in_time(hint: str, look: Callable[[Services, TenantId], T], empty: Callable[..., T]) -> T:
    """Ask in another thread and wait only so long; every fault of ours is an empty hint."""
    services = doorkeeper().services
    came = request._get_current_object()  # type: ignore[attr-defined]  # the other thread has no request of its own

    answerers: Answerers = current_app.extensions[EXTENSION]

    def ask() -> T:
        key = knocking(services, "hints", came)
        found = look(services, key.tenant)
        if isinstance(found, Caller) and found.because in ("one", "chosen", "several"):  # nobody waits for the ledger
            answerers.submit(lambda: _noted(services, key, found))
        return found

    began = perf_counter()
    waited = answerers.submit(ask)
    try:
        found: T = waited.result(services.settings.hint_milliseconds / 1000)
    except Late:
        waited.cancel()
        found = empty(because="timeout")
    except (Unauthentic, Forbidden, Malformed):
        raise
    except Exception as error:
        log.error("hint_failed", error=type(error).__name__)
        found = empty(because="unavailable")
    SECONDS.labels(hint=hint, because=found.because).observe(perf_counter() - began)
    return found


def _noted(services: Services, key: ApiKey, found: Caller) -> None:
    """Write down that a telephone was told who calls, and whether Google had told us."""
    actor = f"key:{key.id}"
    services.ledger.note(key.tenant, "read.contact", actor=actor, count=1, because=found.because)
    if found.name or found.company:
        passages.note(services, key.tenant, hints.EXIT, found.told, actor=actor)


def _said(found: Caller | Way, short: str, text: bool) -> Response:
    """The hint as JSON, or as the one line a dialplan can use (Asterisk: ${CURL(...)})."""
    if text:
        one_line = " ".join("".join(" " if ord(each) < 32 else each for each in short).split())
        return Response(one_line, 200, content_type="text/plain; charset=utf-8")
    return Response(json.dumps(found.as_data()), 200, content_type="application/json")
