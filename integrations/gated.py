"""The way to one outside system, through the gate that all our processes share.

An adapter is given this for its `Http` and need not know: what may not go now raises NotNow before a byte has left, and
what came of the rest is told to the gate. What somebody waits for waits a moment for a place; so does other work, but
less. A circuit that is open, a pause that was asked for and credits that are spent are said at once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from domain.errors import NotNow
from domain.gate import Ask, Entry, How, Limits, Told, Turn, Why
from domain.ports import Gate, Http
from domain.urgency import is_urgent
from integrations.telephony.edge import wait_asked

URGENT_SECONDS = 2.0  # somebody waits this long for a place, or for a pause to end
PATIENT_SECONDS = 1.0  # and work that nobody waits for this long for a place
AGAIN_SECONDS = 5.0  # after which it may try again
POLL_SECONDS = (0.01, 0.1)  # first and longest pause between two looks
CREDITS_LEFT = "X-API-CREDITS-REMAINING"  # Zoho, from half of the day's credits on
NO_ANSWER = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


@dataclass(frozen=True, slots=True)
class Said:
    """How we say why something does not go now."""

    sentence: str
    code: str


SAID: Mapping[Why, Said] = {
    "silent": Said("{title} does not answer at the moment. We look again in {seconds} s.", code="upstream.silent"),
    "slowed": Said("{title} asked us to slow down for {seconds} s.", code="upstream.slowed"),
    "full": Said("As much is under way to {title} as may be. It is tried again soon.", code="upstream.full"),
    "spent": Said("The requests of a day to {title} are used up. It is tried again later.", code="upstream.spent"),
}


def one_credit(method: str, url: str, options: Mapping[str, Any]) -> int:
    """Count a request as one."""
    return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """An `Http` that asks the gate of its upstream first. `turned` hears when the circuit opens or closes."""

    http: Http
    gate: Gate
    upstream: str
    title: str
    lease_seconds: float
    limits: Limits = Limits()
    cost: Callable[[str, str, Mapping[str, Any]], int] = one_credit
    turned: Callable[[Turn, int], None] = lambda turn, since: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Send a request when it may go. Raises NotNow, and what the way itself raises."""
        ticket = self._enter(self.cost(method, url, options))
        try:
            response = self.http.request(method, url, **options)
        except NO_ANSWER as error:  # some are ValueErrors: an address that cannot be used says nothing of the system
            self._leave(ticket, Told(how="untold" if isinstance(error, ValueError) else "failed"))
            raise
        except BaseException:
            self._leave(ticket, Told(how="untold"))
            raise
        told = _told(response)
        if options.get("stream") and self.limits.slots:  # its place is taken until the answer is read
            _on_close(response, lambda: self._leave(ticket, told))
        else:
            self._leave(ticket, told)
        return response

    def _enter(self, cost: int) -> str:
        urgent = is_urgent()
        ask = Ask(ticket=uuid.uuid4().hex, urgent=urgent, cost=cost, lease_ms=int(self.lease_seconds * 1000))
        until, pause = self.clock() + (URGENT_SECONDS if urgent else PATIENT_SECONDS), POLL_SECONDS[0]
        while (entry := self.gate.enter(self.upstream, ask, self.limits)).why:
            left = until - self.clock()
            worth_it = entry.why == "full" or (urgent and entry.why == "slowed" and entry.wait_ms / 1000 <= left)
            if left <= 0 or not worth_it:
                raise self._not_now(entry)
            self.sleep(min(pause, left))
            pause = min(2 * pause, POLL_SECONDS[1])
        return ask.ticket

    def _not_now(self, entry: Entry) -> NotNow:
        wait = entry.wait_ms / 1000 or AGAIN_SECONDS
        said = SAID[entry.why]
        return NotNow(said.sentence.format(title=self.title, seconds=max(1, round(wait))), code=said.code, wait=wait)

    def _leave(self, ticket: str, told: Told) -> None:
        turn, since = self.gate.leave(self.upstream, ticket, told)
        if turn:
            self.turned(turn, since)


def _told(response: Any) -> Told:
    """Read from an answer what a gate has to know: 4xx is an answer, 5xx is none."""
    status = response.status_code
    how: How = "failed" if status >= 500 else "answered"
    asked = wait_asked(response.headers)
    slow = int(asked * 1000) if status == 429 or (status == 503 and asked) else -1
    left = response.headers.get(CREDITS_LEFT, "")
    return Told(how=how, slow_ms=slow, left=int(left) if left.isascii() and left.isdigit() and len(left) < 12 else -1)


def _on_close(response: Any, done: Callable[[], None]) -> None:
    """Call `done` once, when the answer is closed."""
    close, waiting = response.close, [done]

    def closed() -> None:
        try:
            close()
        finally:
            if waiting:
                waiting.pop()()

    response.close = closed
