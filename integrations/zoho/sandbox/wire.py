"""The wire between a request and its answer: one lock, one log line, and whatever misfortune was ordered for it."""

import json
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from integrations.zoho.sandbox.faults import Fault
from integrations.zoho.sandbox.gate import RELEASE
from integrations.zoho.sandbox.world import DataCentre

OUTBOUND = {
    "/_stage/click-to-dial",
    "/_stage/call-control",
    "/_stage/marketplace",
}  # these post to us, and we may call back meanwhile
HTML = "<html><head><title>Zoho</title></head><body><h1>Something went wrong</h1></body></html>"
REASONS = {200: "OK", 400: "BAD REQUEST", 401: "UNAUTHORIZED", 429: "TOO MANY REQUESTS", 500: "INTERNAL SERVER ERROR"}
Answer = tuple[str, list[tuple[str, str]], bytes]


class Wire:
    """WSGI around the doors of one data centre."""

    def __init__(self, app: WSGIApplication, dc: DataCentre) -> None:
        self._app = app
        self._dc = dc

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Pass one request through."""
        world, path, method = self._dc.world, environ.get("PATH_INFO", "/"), environ["REQUEST_METHOD"]
        if path.startswith("/_stage/"):
            status, headers, sent = self._ask(environ, locked=path not in OUTBOUND)
            start(status, headers)
            return [sent]
        at, requests = world.clock.now(), world.requests
        fault = world.faults.take(self._dc.server, method, path)
        answer = self._suffer(environ, fault) if fault else self._apply(environ)
        status_code = int(answer[0][:3]) if answer else 0
        requests.note(at, self._dc.server, method, path, status_code, environ.get("QUERY_STRING", ""))
        if answer is None:
            return _hang_up(environ, start)
        status, headers, sent = answer
        if fault and fault.action == "truncated":
            sent = sent[: len(sent) // 2]  # the header still promises the whole
        start(status, headers)
        return [sent]

    def _suffer(self, environ: WSGIEnvironment, fault: Fault) -> Answer | None:
        match fault.action:
            case "status":
                return _made_up(fault)
            case "html":
                return _made_up(fault, HTML)
            case "status_after":
                self._apply(environ)
                return _made_up(fault)
            case "slow":
                fault.released.wait(fault.seconds)
                return self._apply(environ)
            case "hang_before":
                fault.released.wait(fault.seconds)
                return None
            case "hang_after":
                return self._apply(environ, fault)
            case "drop_after":
                self._apply(environ)
                return None
            case _:
                return self._apply(environ)

    def _apply(self, environ: WSGIEnvironment, hang: Fault | None = None) -> Answer:
        """Let the doors answer; the request counts as in flight until the answer may leave."""
        answer = self._ask(environ, locked=True)
        try:
            if hang:
                hang.released.wait(hang.seconds)
            elif (latency := self._dc.world.knobs.latency) and not environ["PATH_INFO"].startswith("/oauth"):
                time.sleep(latency)
        finally:
            if release := environ.pop(RELEASE, None):
                with self._dc.world.lock:
                    release()
        return answer

    def _ask(self, environ: WSGIEnvironment, *, locked: bool) -> Answer:
        heard: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            heard.append((status, headers))

        if locked:
            with self._dc.world.lock:
                sent = _all(self._app(environ, start))  # type: ignore[arg-type]  # nobody here uses write()
        else:
            sent = _all(self._app(environ, start))  # type: ignore[arg-type]  # the same
        return *heard[-1], sent


def _all(parts: Iterable[bytes]) -> bytes:
    try:
        return b"".join(parts)
    finally:
        if close := getattr(parts, "close", None):
            close()


def _made_up(fault: Fault, page: str = "") -> Answer:
    status = fault.status or (500 if page else 503)
    kind = "text/html" if page or isinstance(fault.body, str) else "application/json"
    default = {"code": "INTERNAL_ERROR", "details": {}, "message": "Internal Server Error", "status": "error"}
    body = fault.body if fault.body is not None else page or default
    sent = (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(sent))), *fault.headers.items()]
    return f"{status} {REASONS.get(status, 'FAULT')}", headers, sent


def _hang_up(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    """Let the connection die: close its socket where the server shows it, else promise bytes that never come."""
    asked = environ.get("waitress.client_disconnected")
    line = environ.get("werkzeug.socket") or getattr(getattr(asked, "__self__", None), "socket", None)
    if isinstance(line, socket.socket):
        with suppress(OSError):  # the caller hung up first
            line.shutdown(socket.SHUT_RDWR)
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", "1000")])
    return [b""]
