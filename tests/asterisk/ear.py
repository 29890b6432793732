"""Somebody who listens to the lab's PBX as the product does, in a thread, and adds up what was told."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from domain.call import Call, CallEvent, agent_leg, fold
from integrations.telephony.asterisk import GOING_ON, Asterisk
from tests.asterisk.kinds import account, vendor
from tests.asterisk.lab import Lab, eventually


def calls_of(parser: Asterisk, told: Iterable[tuple[str, bytes]]) -> list[Call]:
    """The calls these deliveries add up to, in the order they began to be told of."""
    by_ref: dict[str, list[CallEvent]] = {}
    for event_id, body in told:
        if (event := parser.parse(body, event_id)) is not None:
            by_ref.setdefault(event.call_ref, []).append(event)
    return [fold(events) for events in by_ref.values()]


class Ear:
    """A context manager: connected when entered, silent when left."""

    def __init__(self, lab: Lab, *going_on: str) -> None:
        self._vendor = vendor(lab)
        self._account = account(lab) | ({GOING_ON: " ".join(going_on)} if going_on else {})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.told: list[tuple[str, bytes]] = []
        self.trouble: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        eventually(lambda: self.told or self.trouble, "somebody listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)

    def _listen(self) -> None:
        try:
            for delivery in self._vendor.listen(self._account, self._stop.is_set):
                self.told.append(delivery)
        except Exception as error:
            self.trouble = error

    def calls(self) -> list[Call]:
        return calls_of(self._vendor, list(self.told))

    def leg(self) -> str:
        """The telephone of whoever is on the line for us, among all that was told."""
        return agent_leg(event for id, body in list(self.told) if (event := self._vendor.parse(body, id)) is not None)

    def over(self, many: int = 1) -> list[Call]:
        """Wait until so many calls have ended; return all."""
        eventually(lambda: sum(call.state == "ended" for call in self.calls()) >= many, f"{many} calls are over")
        return self.calls()
