"""Misfortunes while calls happen: processes killed with SIGKILL, and a Zoho that fails before and after it wrote.

They come at random points of the way, not of the clock: a slow machine is not killed more often than it can get up.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from sandbox.cast import Controls
from sandbox.scene import House

CALLS_A_KILL, CALLS_A_FAULT = 150, 15
LOOK_SECONDS = 0.1
LONGEST_SECONDS = 0.3  # after its point is reached: in the middle of whatever
VICTIMS = ("worker-calls", "web-", "timetable")
MORTALITY = (5, 4, 1)
TARGETS = ("POST /crm/v8/Calls", "POST /phonebridge/v3/callnotify", "POST /crm/v8/coql")
FREQUENCY = (2, 5, 1)
FAULTS: tuple[dict[str, Any], ...] = (  # refused with nothing done; done, and the answer late, lost, wrong or cut off
    {"action": "status", "status": 503},
    {"action": "status", "status": 429},
    {"action": "hang_after", "seconds": 0.4},
    {"action": "drop_after"},
    {"action": "status_after", "status": 500},
    {"action": "truncated"},
)


class Misfortune:
    """A context in which things go wrong; `kills` by role and `faults` by kind count what did."""

    def __init__(self, house: House, zoho: Controls, *, calls: int, seed: int, way: Callable[[], float]) -> None:
        """`way` says how much of everything is done, from 0 to 1."""
        self._house = house
        self._zoho = zoho
        self._way = way
        self._dice = random.Random(f"misfortune {seed}")
        points = [(self._dice.random(), self._kill) for _ in range(calls // CALLS_A_KILL)]
        points += [(self._dice.random(), self._break) for _ in range(calls // CALLS_A_FAULT)]
        self._points = deque(sorted(points, key=lambda point: point[0]))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.kills: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.faults -= Counter(unmet["action"] for unmet in self._zoho.get("faults")["due"])
        self._zoho.delete("faults")

    def _run(self) -> None:
        while self._points and not self._over.wait(LOOK_SECONDS):
            way = self._way()
            while self._points and self._points[0][0] <= way and not self._over.is_set():
                _, happen = self._points.popleft()
                happen()

    def _kill(self) -> None:
        self._over.wait(self._dice.uniform(0, LONGEST_SECONDS))
        kind = self._dice.choices(VICTIMS, MORTALITY)[0]
        victims = sorted((name, pid) for name, pid in self._house.pids().items() if name.startswith(kind))
        if not victims:
            return  # still dead
        name, pid = self._dice.choice(victims)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills[name] += 1

    def _break(self) -> None:
        fault, target = self._dice.choice(FAULTS), self._dice.choices(TARGETS, FREQUENCY)[0]
        self._zoho.post("faults", match=target, times=1, **fault)
        self.faults[fault["action"]] += 1
