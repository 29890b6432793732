"""What the understudies of vendors that post signed forms have in common: a memory, a director's side, and faults.

Nothing of ours is imported, and nothing here knows a vendor: how one words, signs and answers is its own understudy's.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, abort, g, jsonify, request
from flask.typing import ResponseReturnValue

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TONE = b"\xff\xfb\x90\xc4" + bytes(412)  # the head of an MPEG audio frame and silence

Json = dict[str, Any]


class World:
    """All that an understudy remembers. One lock guards it; nothing is sent while it is held."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.clock, self.lock = now, threading.RLock()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            self.ahead = 0.0
            self.accounts: dict[str, Json] = {}
            self.requests: list[Json] = []
            self.faults: list[Json] = []

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock() + self.ahead, UTC)

    def account(self, id: Any) -> Json:
        with self.lock:
            if id not in self.accounts:
                abort(404, "no such account")
            return self.accounts[id]


@dataclass(frozen=True)
class Play:
    """How one vendor's calls and messages happen on its stage, and how they are posted."""

    account: str  # the field that names an account
    call: tuple[str, str]  # of a leg's row the field that names it, and how the director is told of it
    fresh: Callable[[], Json]  # what a new account has
    play: Callable[[Json, Json, datetime, str], tuple[Json, list[Json]]]
    text: Callable[[Json, Json, datetime, str], list[Json]]
    post: Callable[[World, Json, str, Json, str], int]


def stage(app: Flask, world: World, origin: str, how: Play) -> None:
    """What the director of the play uses: accounts, what happens, faults, the clock, a look behind the scene."""

    def tell(account: Json, wish: Json, told: list[Json]) -> list[int]:
        dice = random.Random(wish.get("shuffle"))
        line = [form for form in told if dice.random() >= wish.get("drop", 0)] * wish.get("copies", 1)
        if wish.get("shuffle") is not None:
            dice.shuffle(line)
        return [how.post(world, account, account["door_url"], form, "") for form in line]

    @app.post("/_stage/accounts")
    def accounts() -> ResponseReturnValue:
        wish: Json = request.get_json()
        with world.lock:
            world.accounts[wish[how.account]] = how.fresh() | wish
        return jsonify({how.account: wish[how.account]}), 201

    @app.post("/_stage/call")
    def call() -> ResponseReturnValue:
        wish: Json = request.get_json()
        account = world.account(wish[how.account])
        with world.lock:
            root, told = how.play(account, wish, world.now(), origin or request.host_url.rstrip("/"))
        field, name = how.call
        return jsonify({name: root[field], "statuses": tell(account, wish, told)})

    @app.post("/_stage/text")
    def text() -> ResponseReturnValue:
        wish: Json = request.get_json()
        account = world.account(wish[how.account])
        with world.lock:
            told = how.text(account, wish, world.now(), origin or request.host_url.rstrip("/"))
        return jsonify(statuses=tell(account, wish, told))

    @app.post("/_stage/next")
    def next_one() -> ResponseReturnValue:
        wish: Json = request.get_json()
        world.account(wish[how.account])["next"] = wish.get("outcome", "answered")
        return "", 204

    @app.post("/_stage/next_text")
    def next_text() -> ResponseReturnValue:
        wish: Json = request.get_json()
        world.account(wish[how.account])["next_text"] = wish
        return "", 204

    @app.post("/_stage/send")
    def send() -> ResponseReturnValue:
        wish: Json = request.get_json()
        account, times, tamper = world.account(wish[how.account]), wish.get("times", 1), wish.get("tamper", "")
        posted = [how.post(world, account, account["door_url"], wish["form"], tamper) for _ in range(times)]
        return jsonify(statuses=posted)

    @app.post("/_stage/retry")
    def retry() -> ResponseReturnValue:
        account = world.account(request.get_json()[how.account])
        with world.lock:
            owed, account["owed"] = account["owed"], []
        return jsonify(statuses=[how.post(world, account, url, form, "") for url, form in owed])

    @app.get("/_stage/<any(cdr, deliveries, recordings, messages):what>")
    def show(what: str) -> ResponseReturnValue:
        kept = world.account(request.args.get(how.account))[what]
        return jsonify({what: list(kept.values()) if isinstance(kept, dict) else kept})

    _props(app, world)


def _props(app: Flask, world: World) -> None:
    """What belongs to no account."""

    @app.route("/_stage/requests", methods=["GET", "DELETE"])
    def requests() -> ResponseReturnValue:
        with world.lock:
            seen = list(world.requests)
            if request.method == "DELETE":
                world.requests.clear()
        return jsonify(last=seen)

    @app.route("/_stage/faults", methods=["POST", "DELETE"])
    def faults() -> ResponseReturnValue:
        with world.lock:
            if request.method == "DELETE":
                world.faults.clear()
            else:
                world.faults.append({"times": 1} | request.get_json())
        return "", 204

    @app.post("/_stage/clock")
    def clock() -> ResponseReturnValue:
        with world.lock:
            world.ahead += float(request.get_json()["advance"])
        return jsonify(now=world.now().timestamp())

    @app.post("/_stage/reset")
    def reset() -> ResponseReturnValue:
        world.reset()
        return "", 204


def faulty(app: Flask, world: World, failure: Callable[[int], Json], noted: Callable[[], Json]) -> None:
    """Let the API misbehave as it was told to, and remember what it was asked."""

    @app.before_request
    def misbehave() -> ResponseReturnValue | None:
        line = f"{request.method} {request.path}"
        if request.path.startswith("/_stage/"):
            return None
        with world.lock:
            fault = next((one for one in world.faults if line.startswith(one["match"]) and one["times"] > 0), None)
            if fault:
                fault["times"] -= 1
        g.fault = fault or {}
        if g.fault.get("action") == "slow":
            time.sleep(g.fault.get("seconds", 1))
        if g.fault.get("action") == "html":
            return "<!doctype html><title>Maintenance</title>", int(g.fault.get("status", 200))
        if g.fault.get("action") == "status":
            headers = {"Retry-After": str(g.fault["retry_after"])} if "retry_after" in g.fault else {}
            status = int(g.fault.get("status", 503))
            return jsonify(failure(status)), status, headers
        return None

    @app.after_request
    def remember(response: Response) -> Response:
        if not request.path.startswith("/_stage/"):
            with world.lock:
                line = f"{request.method} {request.path}"
                world.requests.append({"line": line, "status": response.status_code} | noted())
            if g.get("fault", {}).get("action") == "drop_after":
                return Response(cut_off(), response.status_code, {"Content-Length": "1000"})
        return response


def cut_off() -> Iterator[bytes]:
    """Begin an answer and lose the connection."""
    yield b"{"
    raise ConnectionAbortedError("the fault asked for this")


def caller(world: World, id: str) -> Json:
    """The account that asks, if its key is right."""
    given = request.authorization
    with world.lock:
        account = world.accounts.get(id)
        if account is None or given is None or (given.username, given.password) != (id, account["token"]):
            abort(401, "Authenticate")
        return account


def later(world: World, account: Json, line: list[tuple[str, Json]], how: Callable[..., int]) -> None:
    """Post after we have answered, as vendors do; nothing where nobody asked to be told."""
    told = [(url, form) for url, form in line if url]
    threading.Thread(target=lambda: [how(world, account, url, form) for url, form in told], daemon=True).start()


def deliver(
    world: World, account: Json, url: str, form: Json, sent: Json, headers: Mapping[str, str], note: Json, tamper: str
) -> int:
    """Post a form to a door on this machine, note what became of it, and owe it where the door did not take it."""
    parts, status = urlsplit(url), 0
    if parts.scheme == "http" and parts.hostname in LOOPBACK:  # an understudy never reaches out of the machine
        connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=15)
        try:
            connection.request("POST", parts.path or "/", urlencode(sent), dict(headers))
            status = connection.getresponse().status
        except (OSError, HTTPException):
            status = 0
        finally:
            connection.close()
    with world.lock:
        account["deliveries"].append(note | {"status": status})
        if not tamper and not 200 <= status < 300:
            account["owed"].append((url, form))
    return status
