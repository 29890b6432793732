"""Misfortunes while calls happen: processes killed with SIGKILL, and a Zoho that fails before and after it wrote.

They come at random points of the way, not of the clock: a slow machine is not killed more often than it can get up.
Doors are killed along what is delivered, while somebody stands at them; Zoho fails along what is written, so that its
failures do not wait for each other to be met all in a row.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sandbox.cast import Controls
from sandbox.scene import House

CALLS_A_KILL, CALLS_A_FAULT = 150, 15
LOOK_SECONDS = 0.3  # the stage is asked each time
LONGEST_SECONDS = 0.3  # after its point is reached: in the middle of whatever
DOORS, INNER = "web-", ("worker-calls", "timetable")
MORTALITY = (5, 1)
DOORS_OF_ALL = 0.4
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

Way = Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Deck:
    """What happens at these points of a way. `weights`: how much of it is delivering, and how much writing."""

    weights: tuple[float, float]
    points: deque[float]
    happen: Callable[[], None]


class Misfortune:
    """A context in which things go wrong; `kills` by role and `faults` by kind count what did."""

    def __init__(self, house: House, zoho: Controls, *, calls: int, seed: int, delivered: Way, written: Way) -> None:
        """`delivered` says how much of everything is, from 0 to 1, `written` how many of the activities stand."""
        self._house = house
        self._zoho = zoho
        self._dice = random.Random(f"misfortune {seed}")
        kills = calls // CALLS_A_KILL
        doors = round(kills * DOORS_OF_ALL)
        self._decks = (
            _Deck((1, 0), self._points(doors), lambda: self._kill(DOORS)),
            _Deck((0.5, 0.5), self._points(kills - doors), self._kill_within),
            _Deck((0, 1), self._points(calls // CALLS_A_FAULT), self._break),
        )
        self._far = (delivered, written)
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

    def _points(self, many: int) -> deque[float]:
        return deque(sorted(self._dice.random() for _ in range(many)))

    def _run(self) -> None:
        while any(deck.points for deck in self._decks) and not self._over.wait(LOOK_SECONDS):
            gone = [way() for way in self._far]
            for deck in self._decks:
                far = sum(weight * part for weight, part in zip(deck.weights, gone, strict=True))
                while deck.points and deck.points[0] <= far and not self._over.is_set():
                    deck.points.popleft()
                    deck.happen()

    def _kill_within(self) -> None:
        self._kill(self._dice.choices(INNER, MORTALITY)[0])

    def _kill(self, kind: str) -> None:
        self._over.wait(self._dice.uniform(0, LONGEST_SECONDS))
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
