"""Ringing after the answer: every delivery is rung for, a crowd once, and nobody waits."""

from __future__ import annotations

import threading
import uuid

import pytest

from store.bell import Bell
from store.database import TenantId
from store.inbox import Lane
from webhooks import ringer
from webhooks.ringer import Ringer

ALICE, CHARLIE = uuid.UUID(int=1), uuid.UUID(int=2)
PATIENCE_SECONDS = 5.0


class Heard(Bell):
    """A bell that remembers who was rung for, and may be slow or broken."""

    def __init__(self, broken: int = 0) -> None:
        self.rung: list[tuple[TenantId, Lane]] = []
        self.broken = broken
        self.heard = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()

    def ring(self, tenant: TenantId, lane: Lane) -> bool:
        self.rung.append((tenant, lane))
        self.heard.release()
        assert self.free.wait(PATIENCE_SECONDS)
        if self.broken:
            self.broken -= 1
            raise ValueError("out of tune")
        return True

    def times(self, count: int) -> list[tuple[TenantId, Lane]]:
        """Wait until it was rung so often."""
        for _ in range(count):
            assert self.heard.acquire(timeout=PATIENCE_SECONDS)
        return self.rung


def ended() -> None:
    """Wait until the ringer's thread is no more."""
    for thread in threading.enumerate():
        if thread.name == "ringer":
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()


def test_whoever_comes_while_it_rings_is_rung_for_together() -> None:
    """One ring a lane for the crowd, begun after the last of them asked."""
    bell = Heard()
    rings = Ringer(bell)
    bell.free.clear()
    rings.ring(ALICE, "calls")
    assert [(ALICE, "calls")] == bell.times(1)

    for _ in range(50):
        rings.ring(ALICE, "calls")
    rings.ring(CHARLIE, "contacts")
    assert [(ALICE, "calls")] == bell.rung  # nobody waited for the bell
    bell.free.set()

    assert {(ALICE, "calls"), (CHARLIE, "contacts")} == set(bell.times(2)[1:])
    assert 3 == len(bell.rung)


def test_a_thread_that_went_home_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet door keeps no thread, and the next knock is rung for all the same."""
    monkeypatch.setattr(ringer, "IDLE_SECONDS", 0.0)
    bell = Heard()
    rings = Ringer(bell)
    for _ in range(20):
        rings.ring(ALICE, "calls")
        bell.times(1)
        ended()

    assert 20 == len(bell.rung)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_nobody_foresaw_silences_one_ring_only() -> None:
    """It is reported as any thread's is, and the next knock starts afresh."""
    bell = Heard(broken=1)
    rings = Ringer(bell)
    rings.ring(ALICE, "calls")
    bell.times(1)
    ended()

    rings.ring(CHARLIE, "calls")

    assert [(ALICE, "calls"), (CHARLIE, "calls")] == bell.times(1)
