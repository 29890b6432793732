"""The front of a web process: uvicorn reads requests on one loop, Flask answers them.

A request is taken in whole before anybody works on it, so a slow sender stalls nobody, and what is answered waits here
for a slow reader, not in a thread. Pages and most doors are worked on by Flask, in threads. A sound knock at a phone
system's door is worked on by the loop itself, and neither Flask nor a thread is woken for it: it takes no journey but
its commit, which it shares with all who knock meanwhile (`store/ferry.py`).
"""

from __future__ import annotations

import asyncio
import io
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger()

BODY_BYTES = 256 * 1024 + 1  # one more than any door takes, so that the door itself says what is too large
AT_ONCE_BYTES = 16 * 1024  # reading a larger body would keep the others waiting
HEAD_BYTES = 64 * 1024
REQUEST_SECONDS = KEPT_SECONDS = 30  # for one to arrive; between two of them
READING_SECONDS = 30  # for a reader to take in the next piece of an answer
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
AHEAD_BYTES = 32 * 1024 * 1024  # of one answer, before its thread waits for the reader
PIECE_BYTES = 64 * 1024
MOST_UNDER_WAY = 1_000  # requests in one process; whoever comes then is told at once, and nothing is kept of it
TOO_MANY = b'{"type":"about:blank","title":"Too much at once. Send it again.","status":503,"code":"unavailable"}'
TOO_MANY_HEAD = [(b"content-type", b"application/problem+json"), (b"retry-after", b"5")]
END_SECONDS = 10  # for what is under way when the process is told to end
# What a proxy says about the caller could be said by anybody: BASE_URL names us, and nothing asks for the rest.
HEARSAY = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_")

Message = dict[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Message]]
Send = Callable[[Message], Awaitable[None]]


class Application(Protocol):
    """A WSGI application."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any], /) -> Iterable[bytes]: ...


class Thanks(Protocol):
    """The answer to a request that was worked on at once, and committed."""

    @property
    def status(self) -> int: ...
    @property
    def content_type(self) -> str: ...
    @property
    def body(self) -> bytes: ...


# Shown a POST: its path, headers and body.
AtOnce = Callable[[str, Sequence[tuple[bytes, bytes]], bytes], Awaitable[Thanks | None]]


def serve(app: Application, listening: socket.socket, *, threads: int, at_once: AtOnce) -> None:
    """Answer on this socket until SIGTERM or Ctrl-C; raises KeyboardInterrupt then, as they do."""
    server(app, threads=threads, at_once=at_once).run(sockets=[listening])


def server(app: Application, *, threads: int, at_once: AtOnce) -> uvicorn.Server:
    """A server for this application, not running yet. `at_once`: see `Front`."""
    config = uvicorn.Config(
        Front(app, threads=threads, at_once=at_once),
        http=Reader,
        ws="none",
        lifespan="off",
        loop="asyncio",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEPT_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
    )
    return uvicorn.Server(config)


class Reader(HttpToolsProtocol):
    """uvicorn's reader of requests, with limits: how large the head of one is, and how long one may take to arrive."""

    _head: int | None = 0  # bytes of a head so far; None while no head is being read
    _whole = False  # was all of the request read?
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the parent's
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")
        if self._whole:
            self._wait_no_more()
        elif self._patience is None:
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head, self._whole = 0, False

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._whole = True
        super().on_message_complete()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(REQUEST_SECONDS, self._too_slow)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        if self._head is None and not self.cycle.response_started:
            self.transport.write(TOO_SLOW)
        self.transport.close()


class Front:
    """ASGI outside, WSGI inside."""

    def __init__(self, app: Application, *, threads: int, at_once: AtOnce) -> None:
        """`at_once` is shown every small POST: it takes what needs no journey but a commit, and leaves the rest."""
        self._app = app
        self._take = at_once
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self._under_way = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._under_way >= MOST_UNDER_WAY:
            await send_all(send, 503, TOO_MANY_HEAD, TOO_MANY)
            return
        self._under_way += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await whole_body(receive)
        if body is None:
            return
        plain = scope["method"] == "POST" and len(body) <= AT_ONCE_BYTES
        if not (plain and await self._at_once(scope, body, send)):
            await self._by_thread(environ_of(scope, body), receive, send)

    async def _at_once(self, scope: Message, body: bytes, send: Send) -> bool:
        """Answer when it is committed; False when it was left to a thread."""
        try:
            told = await self._take(scope["path"], scope["headers"], body)
        except Exception as error:
            log.error("not_at_once", error=type(error).__name__)  # a mistake of ours; the thread will say what it is
            return False
        if told is None:
            return False
        await send_all(send, told.status, [(b"content-type", told.content_type.encode())], told.body)
        return True

    async def _by_thread(self, environ: dict[str, Any], receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        answer = Answer(loop)
        work = loop.run_in_executor(self._threads, answer.make, self._app, environ)
        gone: asyncio.Task[Message] | None = None
        try:
            while message := await answer.next():
                async with asyncio.timeout(READING_SECONDS):
                    await send(message)
                answer.sent(message)
                if gone is None and message.get("more_body"):
                    gone = loop.create_task(receive())
                if gone is not None and gone.done():
                    break  # nobody reads on
        except TimeoutError:
            pass  # nor here; uvicorn hangs up where an answer is left unfinished
        finally:
            answer.leave()
            if gone is not None:
                gone.cancel()
        await work


class Told:
    """What an application said of an answer before its first word."""

    status: int = 500
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def of(self, app: Application, environ: dict[str, Any]) -> Iterable[bytes]:
        """Ask an application; its answer is closed when it was read or is left."""
        answer = app(environ, self._start)
        try:
            yield from answer
        finally:
            if close := getattr(answer, "close", None):
                close()

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        self.status = int(status[:3])
        self.headers = tuple((name.lower().encode("latin1"), value.encode("latin1")) for name, value in headers)


class Answer:
    """An answer on its way from the thread that makes it to the loop that sends it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._room = threading.Condition()
        self._ahead = 0  # bytes made and not sent
        self._left = False

    def make(self, app: Application, environ: dict[str, Any]) -> None:
        """In the thread: have it made, in pieces worth a journey each."""
        told, piece, began = Told(), bytearray(), False
        try:
            for words in told.of(app, environ):
                piece += words
                if len(piece) >= PIECE_BYTES:
                    if not began:
                        self._put(start_of(told.status, told.headers))
                        began = True
                    self._put({"type": "http.response.body", "body": bytes(piece), "more_body": True})
                    piece.clear()
            if not began:
                self._put(start_of(told.status, told.headers))
            self._put({"type": "http.response.body", "body": bytes(piece)})
        except Left:
            pass
        finally:
            self._loop.call_soon_threadsafe(self._messages.put_nowait, None)

    def _put(self, message: Message) -> None:
        with self._room:
            self._room.wait_for(lambda: self._left or self._ahead < AHEAD_BYTES)
            if self._left:
                raise Left
            self._ahead += len(message.get("body", b""))
        self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    async def next(self) -> Message | None:
        """On the loop: what to send next; None after the last."""
        return await self._messages.get()

    def sent(self, message: Message) -> None:
        with self._room:
            self._ahead -= len(message.get("body", b""))
            self._room.notify()

    def leave(self) -> None:
        """Whatever is still being made is for nobody."""
        with self._room:
            self._left = True
            self._room.notify()


class Left(Exception):
    """Nobody waits for this answer any more."""


async def whole_body(receive: Receive) -> bytes | None:
    """Take in a request's body, or as much of it as shows that it is too large; None when the sender left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) > BODY_BYTES:
            return bytes(body[:BODY_BYTES])


def environ_of(scope: Message, body: bytes) -> dict[str, Any]:
    """A request as PEP 3333 wants it; its length is what came."""
    host, port = scope["server"] or ("", 0)
    environ = {
        **ALWAYS,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin1"),
        "QUERY_STRING": scope["query_string"].decode("latin1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope["client"] or ("",))[0],
        "wsgi.input": io.BytesIO(body),
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            continue  # it would pass for the header with a hyphen
        key = name.decode("latin1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        said = value.decode("latin1")
        if key in environ:
            said = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{said}"
        environ[key] = said
    for key in [key for key in environ if key.startswith(HEARSAY)]:
        del environ[key]
    if body or "CONTENT_LENGTH" in environ:
        environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ


def start_of(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


async def send_all(send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    await send(start_of(status, (*headers, (b"content-length", b"%d" % len(body)))))
    await send({"type": "http.response.body", "body": body})


ALWAYS: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",  # whoever speaks TLS stands before us
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}
