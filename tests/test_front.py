"""The front of a web process, asked over real sockets: what it takes in, what it hands on, whom it keeps waiting."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from commands import front
from webhooks.telephony import NOTHING_TO_DO, Thanks

SECONDS = 20
Environ = dict[str, Any]
Start = Callable[..., Any]


async def nothing(path: str, headers: object, body: bytes) -> None:
    """Take nothing at once."""


@contextmanager
def served(
    app: front.Application, *, threads: int = 4, at_once: front.AtOnce = nothing
) -> Iterator[Callable[[], socket.socket]]:
    """Serve on a port of its own; what it gives connects to it."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = front.server(app, threads=threads, at_once=at_once)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield lambda: socket.create_connection(listening.getsockname(), SECONDS)
    finally:
        server.should_exit = True
        thread.join(SECONDS)
        listening.close()
    assert not thread.is_alive()


def asked(line: socket.socket, words: bytes) -> tuple[bytes, bytes]:
    """Send a request; return the head of the answer and its body."""
    line.sendall(words)
    return answer(line)


def answer(line: socket.socket) -> tuple[bytes, bytes]:
    heard = b""
    while b"\r\n\r\n" not in heard:
        if not (came := line.recv(65_536)):
            return heard, b""
        heard += came
    head, _, body = heard.partition(b"\r\n\r\n")
    wanted = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    while len(body) < wanted and (came := line.recv(65_536)):
        body += came
    return head, body


def say(start: Start, body: bytes, status: str = "200 OK") -> Iterable[bytes]:
    start(status, [("Content-Length", str(len(body)))])
    return [body]


def mirror(environ: Environ, start: Start) -> Iterable[bytes]:
    """Answer with what the request looked like from inside."""
    body = environ["wsgi.input"].read()
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    return say(start, json.dumps({**seen, "body": len(body), "thread": threading.current_thread().name}).encode())


def test_a_request_is_what_pep_3333_says_it_is() -> None:
    with served(mirror) as connect, connect() as line:
        head, body = asked(
            line,
            b"POST /a%20b/%C3%A9?x=%31&y HTTP/1.1\r\nHost: linekeeper.example\r\nContent-Type: text/plain\r\n"
            b"Cookie: a=1\r\nCookie: b=2\r\nAccept: x\r\nAccept: y\r\nContent-Length: 5\r\n"
            b"X_Tenant: forged\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n\r\nhello",
        )
        second = asked(line, b"GET / HTTP/1.1\r\nHost: again\r\n\r\n")[1]  # on the same line

    seen = json.loads(body)
    assert head.startswith(b"HTTP/1.1 200")
    assert b"server:" not in head.lower()
    assert {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/a b/\xc3\xa9",
        "QUERY_STRING": "x=%31&y",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "5",
        "HTTP_HOST": "linekeeper.example",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_ACCEPT": "x,y",
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "body": 5,
    }.items() <= seen.items()
    assert not [key for key in seen if "TENANT" in key or "FORWARDED" in key]
    assert ("again", False) == (json.loads(second)["HTTP_HOST"], "CONTENT_LENGTH" in json.loads(second))


@pytest.mark.parametrize(
    ("said", "length"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 5),
        (b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000, front.BODY_BYTES),
        (b"Transfer-Encoding: chunked\r\n\r\n493e0\r\n" + b"x" * 300_000 + b"\r\n0\r\n\r\n", front.BODY_BYTES),
    ],
    ids=["chunked", "too large", "too large and chunked"],
)
def test_a_body_is_taken_in_whole_or_far_enough_to_be_too_large(said: bytes, length: int) -> None:
    with served(mirror) as connect, connect() as line:
        seen = json.loads(asked(line, b"POST / HTTP/1.1\r\nHost: x\r\n" + said)[1])

    assert [length, str(length)] == [seen["body"], seen["CONTENT_LENGTH"]]
    assert "HTTP_TRANSFER_ENCODING" not in seen


def test_who_does_not_finish_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a head closes the line, half a body is told so, and neither takes a thread from anybody."""
    monkeypatch.setattr(front, "REQUEST_SECONDS", 0.2)
    with served(mirror, threads=1) as connect, connect() as silent, connect() as half, connect() as slow:
        half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel")
        with connect() as other:
            assert asked(other, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0].startswith(b"HTTP/1.1 200")

        assert [b"", b""] == [line.recv(1) for line in (silent, half)]
        assert answer(slow)[0].startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % place for place in range(20_000)),
        b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000,
        b"GET /" + b"y" * 200_000,
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n",
    ],
    ids=["many headers", "a long header", "a long address", "no request", "two lengths", "no length"],
)
def test_a_head_that_is_none_is_refused(head: bytes) -> None:
    with served(mirror) as connect:
        with connect() as line, suppress(ConnectionError):  # it may hang up while we are still talking
            line.sendall(head)
            assert answer(line)[0][:12] in (b"HTTP/1.1 400", b"")
        with connect() as line:
            assert asked(line, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0].startswith(b"HTTP/1.1 200")


def test_what_is_taken_at_once_is_answered_when_it_is_committed() -> None:
    """It is worked on by the loop, which meanwhile answers others; what is not done there is asked of a thread."""
    committed, came = asyncio.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def at_once(path: str, headers: object, body: bytes) -> Thanks | None:
        if path != "/at/once" or body == b"no":
            return None
        if body == b"odd":
            raise KeyError(path)
        loops.append(asyncio.get_running_loop())
        came.set()
        await committed.wait()
        return NOTHING_TO_DO

    knock = b"POST /at%2Fonce HTTP/1.1\r\nHost: x\r\nContent-Length: "
    with served(mirror, at_once=at_once) as connect, connect() as good, connect() as other:
        good.sendall(knock + b"2\r\n\r\nhi")
        assert came.wait(SECONDS)
        assert asked(other, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")[0].startswith(b"HTTP/1.1 200")
        left = [asked(other, knock + body)[1] for body in (b"2\r\n\r\nno", b"3\r\n\r\nodd")]
        good.setblocking(False)
        with pytest.raises(BlockingIOError):
            good.recv(1)
        good.settimeout(SECONDS)
        loops[0].call_soon_threadsafe(committed.set)
        head, body = answer(good)

    assert [(2, "web"), (3, "web")] == [(seen["body"], seen["thread"][:3]) for seen in map(json.loads, left)]
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-type: text/xml" in head
    assert body == b"<Response/>"
    assert 1 == len(loops)


def test_a_large_body_keeps_nobody_waiting() -> None:
    shown: list[bytes] = []

    async def at_once(path: str, headers: object, body: bytes) -> None:
        shown.append(body)

    large = b"x" * (front.AT_ONCE_BYTES + 1)
    with served(mirror, at_once=at_once) as connect, connect() as line:
        asked(line, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(large) + large)
        asked(line, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        asked(line, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nsmall")

    assert [b"small"] == shown


def test_a_flood_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many requests under way and no more; the next is answered at once, and when they are done all is well."""
    monkeypatch.setattr(front, "MOST_UNDER_WAY", 2)
    under_way, go_on = threading.Semaphore(0), threading.Event()

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        under_way.release()
        assert go_on.wait(SECONDS)
        return mirror(environ, start)

    knock = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with served(app) as connect, connect() as one, connect() as two, connect() as three:
        for line in (one, two):
            line.sendall(knock)
            assert under_way.acquire(timeout=SECONDS)
        head, body = asked(three, knock)
        go_on.set()
        heads = [answer(line)[0] for line in (one, two)]
        while (last := asked(three, knock)[0]).startswith(b"HTTP/1.1 503"):
            pass  # an answer is read a moment before its request is over
        heads.append(last)

    assert head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 5" in head
    assert "unavailable" == json.loads(body)["code"]
    assert [b"HTTP/1.1 200"] * 3 == [head[:12] for head in heads]


def test_a_long_answer_waits_for_its_reader_and_ends_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread makes a little ahead and no more; when the reader leaves, what it made is closed and it is free."""
    monkeypatch.setattr(front, "AHEAD_BYTES", 4 * front.PIECE_BYTES)
    made, closed = [0], threading.Event()

    def sound() -> Iterator[bytes]:
        try:
            for _ in range(10_000):
                made[0] += 1
                yield b"x" * front.PIECE_BYTES
        finally:
            closed.set()

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/short":
            return mirror(environ, start)
        start("200 OK", [("Content-Type", "audio/wav")])
        return sound()

    with served(app, threads=1) as connect:
        with connect() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert line.recv(65_536).startswith(b"HTTP/1.1 200")
        assert closed.wait(SECONDS)
        with connect() as other:
            assert asked(other, b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n")[0].startswith(b"HTTP/1.1 200")
    assert made[0] < 1_000


def test_a_reader_that_stops_reading_keeps_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays connected and takes nothing more in: what is made for it ends all the same."""
    monkeypatch.setattr(front, "AHEAD_BYTES", 4 * front.PIECE_BYTES)
    monkeypatch.setattr(front, "READING_SECONDS", 0.2)
    closed = threading.Event()

    def sound() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * front.PIECE_BYTES
        finally:
            closed.set()

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/short":
            return mirror(environ, start)
        start("200 OK", [("Content-Type", "audio/wav")])
        return sound()

    with served(app, threads=1) as connect, connect() as line, connect() as other:
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert closed.wait(SECONDS)
        assert asked(other, b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n")[0].startswith(b"HTTP/1.1 200")


def test_every_byte_of_a_long_answer_arrives() -> None:
    pieces = [bytes([place]) * 50_000 for place in range(60)]

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        start("206 Partial Content", [("Content-Length", str(sum(map(len, pieces))))])
        return iter(pieces)

    with served(app) as connect, connect() as line:
        head, body = asked(line, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        nothing = asked(line, b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"" == line.recv(1)

    assert head.startswith(b"HTTP/1.1 206")
    assert b"".join(pieces) == body
    assert nothing[0].startswith(b"HTTP/1.1 206")
    assert b"" == nothing[1]


def test_an_application_that_fails_is_answered_for() -> None:
    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        raise RuntimeError("what nobody may read")

    with served(app) as connect:
        for path in (b"/", b"/swift"):
            with connect() as line:
                head, body = asked(line, b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % path)
            assert head.startswith(b"HTTP/1.1 500")
            assert b"nobody" not in body
