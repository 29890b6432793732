"""The faults a test plants: which request goes wrong, how often, and in which way.

Before or after is the question that matters: `hang_before`, `drop_before`, `status` and `html` leave nothing behind,
`hang_after`, `drop_after` and `truncated` happen to a request that has been carried out in full.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

ACTIONS = frozenset({"status", "slow", "hang_before", "hang_after", "drop_before", "drop_after", "html", "truncated"})


@dataclass(slots=True, eq=False)
class Fault:
    """One planted fault."""

    match: str  # "GET /v1/people/me/connections"; the method may be *, the path a template or a shell pattern
    action: str
    times: int | None = 1  # None: until it is taken away
    status: int = 503
    seconds: float = 30.0  # of real time: nobody turns the clock while a connection hangs
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)

    def fits(self, method: str, path: str, template: str) -> bool:
        """Tell whether a request is meant."""
        wanted, _, pattern = self.match.partition(" ")
        return wanted in ("*", method) and (pattern == template or fnmatchcase(path, pattern))

    def wait(self) -> None:
        """Hang, until the time is up or the fault is taken away."""
        self.released.wait(self.seconds)


class Faults:
    """The faults waiting for their request, first planted first met."""

    def __init__(self) -> None:
        self._planted: list[Fault] = []
        self._hanging: list[Fault] = []

    def plant(self, fault: Fault) -> None:
        """Lie in wait."""
        if fault.action not in ACTIONS:
            raise ValueError(f"there is no action {fault.action!r}; there are {sorted(ACTIONS)}")
        if " /" not in fault.match:
            raise ValueError('match must look like "GET /v1/people/me/connections"')
        self._planted.append(fault)

    def take(self, method: str, path: str, template: str) -> Fault | None:
        """Find the fault meant for a request and use it up."""
        fault = next((fault for fault in self._planted if fault.fits(method, path, template)), None)
        if fault is None:
            return None
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._planted.remove(fault)
        if fault not in self._hanging:
            self._hanging.append(fault)
        return fault

    def clear(self) -> None:
        """Take every fault away and let what hangs go on."""
        for fault in (*self._planted, *self._hanging):
            fault.released.set()
        self._planted.clear()
        self._hanging.clear()

    def show(self) -> list[dict[str, Any]]:
        """List the faults still waiting."""
        return [{"match": fault.match, "action": fault.action, "times": fault.times} for fault in self._planted]
