"""Misfortunes while calls happen: processes killed with SIGKILL, and a Zoho that fails before and after it wrote."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from sandbox.cast import Controls
from sandbox.scene import House

KILL_EVERY_SECONDS = (0.5, 2.0)
FAULT_EVERY_SECONDS = (0.1, 0.6)
LEAST_KILLS, LEAST_FAULTS = 8, 20  # however quickly everything is delivered
VICTIMS = ("worker-calls", "web-", "timetable")
MORTALITY = (5, 4, 1)
TARGETS = ("POST /crm/v8/Calls", "POST /phonebridge/v3/callnotify", "POST /crm/v8/coql")
FAULTS: tuple[dict[str, Any], ...] = (  # refused with nothing done; done with the answer lost, late, or wrong
    {"action": "status", "status": 503},
    {"action": "status", "status": 429},
    {"action": "drop_after"},
    {"action": "hang_after", "seconds": 0.4},
    {"action": "status_after", "status": 500},
    {"action": "truncated"},
)


class Misfortune:
    """A context in which things go wrong at random; `kills` by role and `faults` by kind count what did."""

    def __init__(self, house: House, zoho: Controls, seed: int) -> None:
        self._house = house
        self._zoho = zoho
        self._seed = seed
        self._seen: set[str] = set()
        self._over = threading.Event()
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=work, args=(random.Random(f"{seed} {work.__name__}"),), daemon=True)
            for work in (self._kill, self._break)
        ]
        self.kills: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        for unmet in self._zoho.get("faults")["due"]:
            self.faults[unmet["action"]] -= 1
        self._zoho.delete("faults")

    def wait(self) -> None:
        """Wait until enough has gone wrong to speak of."""
        self._enough.wait()

    def _kill(self, dice: random.Random) -> None:
        while not self._over.wait(dice.uniform(*KILL_EVERY_SECONDS)):
            kind = dice.choices(VICTIMS, MORTALITY)[0]
            aboard = self._house.pids()
            self._seen |= aboard.keys()
            victims = sorted((name, pid) for name, pid in aboard.items() if name.startswith(kind))
            if victims and self._seen == aboard.keys():  # whoever died last is back: there is somebody to kill
                name, pid = dice.choice(victims)
                with suppress(ProcessLookupError):  # it died of something else
                    os.kill(pid, signal.SIGKILL)
                    self.kills[name] += 1
            if self.kills.total() >= LEAST_KILLS and self.faults.total() >= LEAST_FAULTS:
                self._enough.set()

    def _break(self, dice: random.Random) -> None:
        while not self._over.wait(dice.uniform(*FAULT_EVERY_SECONDS)):
            fault = dice.choice(FAULTS)
            self._zoho.post("faults", match=dice.choice(TARGETS), times=1, **fault)
            self.faults[fault["action"]] += 1
