"""What every request passes before Flask sees it: the planted faults, the one lock, and the book of requests.

A fault may hang or cut the connection, so it acts outside the lock and outside the framework. Batches take no lock of
their own: each of their inner requests comes through this door by itself.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flask import Flask

from .errors import GoogleError
from .faults import Fault
from .world import World

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
HTML = "<!doctype html><html><title>Error {0} (Server Error)!!1</title><p>The server encountered an error.</p></html>"
CUTTING = frozenset({"hang_before", "drop_before", "drop_after"})
PHRASES = {429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}


@dataclass(slots=True)
class Answer:
    """An HTTP answer that has not been sent yet."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def make(cls, code: int, body: bytes, mimetype: str, headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """Make one of our own."""
        return cls(
            f"{code} {PHRASES.get(code, 'Fault')}",
            [("Content-Type", mimetype), ("Content-Length", str(len(body))), *headers],
            body,
        )


class FrontDoor:
    """Wraps the app's WSGI callable."""

    def __init__(self, app: Flask, world: World) -> None:
        self._inner: WSGIApplication = app.wsgi_app
        self._routes = app.url_map.bind("stage")
        self._world = world
        self._writing: Counter[str] = Counter()  # People writes under way, by user

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = str(environ["REQUEST_METHOD"]), str(environ.get("PATH_INFO", "/"))
        keep_body(environ)
        if path.startswith("/_stage/"):
            with self._world.lock:
                answer = self._run(environ)
        else:
            answer = self._perform(environ, method, path)
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _perform(self, environ: WSGIEnvironment, method: str, path: str) -> Answer:
        template = self._template(method, path)
        with self._world.lock:
            fault = self._world.faults.take(method, path, template)
        with self._alone(environ, method, path) as alone:
            answer = self._with_fault(environ, fault, alone)
        with self._world.lock:
            self._world.requests.note(f"{method} {template}", int(answer.status[:3]), self._world.now())
        if fault and fault.action in CUTTING:
            hang_up(environ)
        return answer

    def _with_fault(self, environ: WSGIEnvironment, fault: Fault | None, alone: bool) -> Answer:
        action = fault.action if fault else ""
        if fault and action in ("slow", "hang_before"):
            fault.wait()
        if action in ("hang_before", "drop_before"):
            return Answer.make(503, b"", "text/plain")
        if fault and action == "status":
            return self._refuse(fault)
        if fault and action == "html":
            code = fault.status
            return Answer.make(code, HTML.format(code).encode(), "text/html; charset=UTF-8", fault.headers.items())
        if not alone and self._world.knobs.concurrent_mutations == "fail":
            # Documented only as "latency and failures"; 409 ABORTED is what contention looks like elsewhere at Google.
            busy = GoogleError(409, "Request contention - please retry.", "aborted", status="ABORTED")
            return Answer.make(409, World.json(busy.body).encode(), "application/json; charset=UTF-8")
        if str(environ.get("PATH_INFO")).startswith("/batch"):
            answer = self._run(environ)
        else:
            with self._world.lock:
                answer = self._run(environ)
        if fault and action == "hang_after":
            fault.wait()
        if action == "truncated":
            half = answer.body[: len(answer.body) // 2]
            kept = [(name, value) for name, value in answer.headers if name.lower() != "content-length"]
            answer = Answer(answer.status, [*kept, ("Content-Length", str(len(half)))], half)
        return answer

    def _refuse(self, fault: Fault) -> Answer:
        body: Any = fault.body
        if body is None:
            reasons = {429: "rateLimitExceeded", 403: "rateLimitExceeded"}
            domain = "usageLimits" if fault.status in reasons else "global"
            body = GoogleError(fault.status, "Planted fault.", reasons.get(fault.status, ""), domain=domain).body
        text = body if isinstance(body, str) else World.json(body)
        return Answer.make(fault.status, text.encode(), "application/json; charset=UTF-8", fault.headers.items())

    def _run(self, environ: WSGIEnvironment) -> Answer:
        answer = Answer("500 Internal Server Error", [], b"")

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
        ) -> Callable[..., object]:
            answer.status, answer.headers = status, headers
            return lambda _: None

        chunks = self._inner(environ, start)
        try:
            answer.body = b"".join(chunks)
        finally:
            if close := getattr(chunks, "close", None):
                close()
        return answer

    def _template(self, method: str, path: str) -> str:
        try:
            rule, _ = self._routes.match(path, method, return_rule=True)
        except Exception:  # Werkzeug's not found, wrong method or redirect: nothing of ours was meant
            return "(unknown)"
        return str(rule.rule).replace("<", "{").replace(">", "}")

    @contextmanager
    def _alone(self, environ: WSGIEnvironment, method: str, path: str) -> Iterator[bool]:
        """Tell whether no other People write of the same user is under way, hanging ones included."""
        with self._world.lock:
            access = self._world.bearer(str(environ.get("HTTP_AUTHORIZATION", "")))
            writes = access is not None and method != "GET" and path.startswith("/v1/")
            user = access.user if access and writes else ""
            self._writing[user] += 1
            alone = not user or self._writing[user] == 1
        try:
            yield alone
        finally:
            with self._world.lock:
                self._writing[user] -= 1


def keep_body(environ: WSGIEnvironment) -> None:
    """Read the body now, so that a slow sender never holds the lock."""
    length = str(environ.get("CONTENT_LENGTH") or "")
    stream = environ["wsgi.input"]
    body = stream.read(int(length)) if length else stream.read() if environ.get("wsgi.input_terminated") else b""
    environ["wsgi.input"] = BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def hang_up(environ: WSGIEnvironment) -> None:
    """Cut the connection, so that the client learns nothing; Werkzeug and waitress each keep the socket elsewhere."""
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    wire = environ.get("werkzeug.socket") or getattr(channel, "socket", None)
    if wire is None:  # no wire at all: a test client, or an inner request of a batch
        raise ConnectionResetError("the understudy hung up")
    try:
        wire.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was quicker
