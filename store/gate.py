"""The gates before outside systems, shared by all our processes in the work Valkey, one round trip a step.

A gate holds ids and counts only. Without Valkey each process keeps its own, by the same rules: work goes on, only the
places are counted for each process alone. What the rules are is `domain.gate`'s.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from domain import gate
from domain.gate import Ask, Entry, Limits, State, Told, Turn

NAME = "linekeeper:gate:"
OPEN = "linekeeper:gates:open"
BUDGET_SECONDS = 0.25
ALONE_SECONDS = 5.0  # after Valkey was not there, so that a silent one costs a request in a few seconds its budget
SCRIPT = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Standing:
    """How an outside system answers. Times are milliseconds since 1970; 0: not so."""

    silent_since: int = 0  # its circuit is open since the first of the failures that opened it
    look_at: int = 0  # when somebody looks whether it answers again
    shut_until: int = 0  # it asked us to slow down

    @classmethod
    def of(cls, state: State) -> Standing:
        return cls(state.since if state.open_until else 0, state.open_until, state.shut_until)


class Gates:
    """Every gate there is, by the upstream's name. `now`: ms since 1970 for a test's clock; else the server's own."""

    def __init__(self, url: str, now: Callable[[], int] | None = None) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=BUDGET_SECONDS,
            socket_connect_timeout=BUDGET_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._script: Any = self._redis.register_script(SCRIPT)
        self._now = now
        self._lock = threading.Lock()
        self._own: dict[str, State] = defaultdict(State)
        self._alone_until = 0.0

    def enter(self, upstream: str, ask: Ask, limits: Limits) -> Entry:
        """Let a request go, or say why not."""
        wish = (int(ask.urgent), ask.cost, ask.lease_ms)
        bounds = (limits.slots, limits.kept_slots, limits.credits, limits.kept_credits)
        if told := self._shared(upstream, "enter", ask.ticket, *wish, *bounds):
            return Entry(why=told[0], wait_ms=int(told[1]))
        with self._lock:
            self._own[upstream], entry = gate.enter(self._own[upstream], ask, limits, self._clock())
        return entry

    def leave(self, upstream: str, ticket: str, told: Told) -> tuple[Turn, int]:
        """Take in what came of a request; return whether that turned the circuit, and since when there were failures.

        One process hears of each turn.
        """
        if heard := self._shared(upstream, "leave", ticket, told.how, told.slow_ms, told.left):
            return heard[0], int(heard[1])
        with self._lock:
            before = self._own[upstream]
            after, turn = gate.leave(before, ticket, told, self._clock())
            self._own[upstream] = after
        return turn, after.since or before.since

    def standing(self, upstream: str) -> Standing:
        """How an upstream answers now."""
        return Standing.of(self._state(upstream))

    def silent(self) -> list[str]:
        """The upstreams whose circuit is open."""
        try:
            names: Any = self._redis.smembers(OPEN)
        except (redis.RedisError, OSError):
            names = {NAME + upstream for upstream in list(self._own)}
        return sorted(
            upstream for upstream in (name.removeprefix(NAME) for name in names) if self.standing(upstream).silent_since
        )

    def forget(self, upstream: str) -> None:
        """Its connection is over."""
        self._own.pop(upstream, None)
        try:
            self._redis.delete(NAME + upstream)
            self._redis.srem(OPEN, NAME + upstream)
        except (redis.RedisError, OSError):
            return  # it is forgotten by itself, a day after it was last used

    def close(self) -> None:
        self._redis.close()

    def _state(self, upstream: str) -> State:
        try:
            raw: Any = self._redis.get(NAME + upstream)
        except (redis.RedisError, OSError):
            return self._own.get(upstream, State())
        return State(**json.loads(raw)) if raw else State()

    def _shared(self, upstream: str, step: str, *told: object) -> list[Any] | None:
        """Take a step in Valkey; None when it is not there."""
        if time.monotonic() < self._alone_until:
            return None
        clock = 0 if self._now is None else self._now()
        try:
            answer: list[Any] = self._script(keys=[NAME + upstream, OPEN], args=[step, clock, *told])
        except (redis.RedisError, OSError):
            self._alone_until = time.monotonic() + ALONE_SECONDS
            return None
        return answer

    def _clock(self) -> int:
        return int(time.time() * 1000) if self._now is None else self._now()
