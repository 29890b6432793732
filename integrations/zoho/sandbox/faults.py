"""Misfortune on request: which call it hits, how often, and what the caller sees. And the memory of what was asked.

`POST /_stage/faults {"match": "POST /crm/v8/Calls", "times": 1, "action": "hang_after", "seconds": 30}`; the actions:

| action | what happens |
|---|---|
| `status` | refused with `status` and `body`, nothing is applied |
| `status_after` | applied, then answered with `status` and `body` all the same |
| `html` | a page where JSON was expected (500 unless `status` says otherwise), nothing is applied |
| `slow` | waits `seconds`, then everything as usual |
| `hang_before` | nothing is applied; after `seconds` the connection dies |
| `hang_after` | applied; the answer comes after `seconds` |
| `drop_after` | applied, then the connection dies |
| `truncated` | applied, but half of the answer is missing |
"""

import re
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

ACTIONS = {"status", "status_after", "html", "slow", "hang_before", "hang_after", "drop_after", "truncated"}
REMEMBERED = 1_000
LONG_NUMBER = re.compile(r"/\d{10,}(?=/|$)")


@dataclass(slots=True)
class Fault:
    """One kind of misfortune, waiting for the requests it was made for."""

    match: str  # "METHOD /path", `*` and `?` allowed, `{id}` stands for any record id
    action: str
    times: int | None = 1  # None: until cleared
    every: int = 1  # hit only every n-th request that matches
    server: str = ""  # only in this data centre
    status: int = 0
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    seen: int = 0
    released: threading.Event = field(default_factory=threading.Event)


class Faults:
    """The misfortunes that are still due."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: list[Fault] = []
        self._made: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Arm a misfortune."""
        with self._lock:
            self._due.append(fault)
            self._made.append(fault)

    def clear(self) -> None:
        """Disarm all, and let go of every request that hangs."""
        with self._lock:
            made, self._due, self._made = self._made, [], []
        for fault in made:
            fault.released.set()

    def take(self, server: str, method: str, path: str) -> Fault | None:
        """Find the misfortune this request runs into, using it up."""
        if not self._due:  # nearly always; saves every request the lock
            return None
        names = {f"{method} {path}", f"{method} {template(path)}"}
        with self._lock:
            for fault in self._due:
                if fault.server not in {"", server} or not any(fnmatchcase(name, fault.match) for name in names):
                    continue
                fault.seen += 1
                if fault.seen % fault.every:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._due.remove(fault)
                return fault
        return None

    def due(self) -> list[dict[str, Any]]:
        """List what is armed."""
        with self._lock:
            return [{"match": f.match, "action": f.action, "times": f.times, "seen": f.seen} for f in self._due]


class RequestLog:
    """What was asked: counted by method and path; of a query string, which can hold tokens and numbers, no more is kept
    than which columns of records were asked for, and through which view."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._last: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def note(self, at: float, server: str, method: str, path: str, status: int, query: str = "") -> None:
        """Remember one request; status 0 means it got no answer."""
        asked = {name: value for name, value in parse_qsl(query) if name in {"fields", "cvid"}}
        name = f"{method} {template(path)}"
        with self._lock:
            self._counts[name] += 1
            self._last.append({"at": at, "server": server, "request": name, "status": status, **asked})

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._counts.clear()
            self._last.clear()

    def report(self, last: int) -> dict[str, Any]:
        """Say how often each request came, and list the last ones."""
        with self._lock:
            return {"counts": dict(self._counts), "last": list(self._last)[-last:] if last else []}


def template(path: str) -> str:
    """Write a path without the ids in it."""
    return LONG_NUMBER.sub("/{id}", path)
