"""The doorbell: heard if somebody is there, missed without anybody waiting for it."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import closing
from time import monotonic
from typing import Any

import pytest
import redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from store.bell import FAILED_KEPT_SECONDS, QUEUES, Bell

ALICE = uuid.UUID(int=1)
PATIENCE_SECONDS = 0.35  # a hundred milliseconds to connect, a hundred to hear, and a slow machine


@pytest.fixture
def valkey(work_url: str) -> Iterator[Any]:
    """The Valkey of the doorbell, empty."""
    client = redis.Redis.from_url(work_url)
    client.flushall()
    yield client
    client.flushall()
    client.close()


def jobs(valkey: Any, queue: str) -> list[bytes]:
    waiting: list[bytes] = valkey.lrange(f"rq:queue:{queue}", 0, -1)
    return waiting


def test_a_ring_is_a_job_of_ids_only(work_url: str, valkey: Any) -> None:
    """In the queue of its lane, kept for a day at most if it fails, and not at all if it does not."""
    bell = Bell(work_url)
    assert bell.alive()

    assert bell.ring(ALICE, "calls")

    (id,) = jobs(valkey, "calls")
    job = valkey.hgetall(b"rq:job:" + id)
    assert (b"drain calls", b"0", str(FAILED_KEPT_SECONDS).encode()) == (
        job[b"description"],
        job[b"result_ttl"],
        job[b"failure_ttl"],
    )


def test_many_rings_are_one_until_somebody_answers(work_url: str, valkey: Any) -> None:
    """A busy door does not fill the queue; the next ring after the answer is a new one."""
    bell, other = Bell(work_url), Bell(work_url)

    assert all(ringer.ring(ALICE, "calls") for ringer in (bell, other, bell))
    assert 1 == len(jobs(valkey, "calls"))
    valkey.delete("rq:queue:calls")
    assert bell.ring(ALICE, "calls")
    assert [] == jobs(valkey, "calls")

    bell.answer(ALICE, "calls")
    assert bell.ring(ALICE, "calls")
    assert 1 == len(jobs(valkey, "calls"))
    (mark,) = valkey.keys("linekeeper:rung:*")
    assert 0 < valkey.pttl(mark) <= 2_000


def test_a_ring_during_a_visit_is_heard_after_it(work_url: str, valkey: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came in while a worker was on its way out waits for no sweep."""
    bell = Bell(work_url)
    visits: list[str] = []

    def drain(tenant: str, lane: str) -> None:
        bell.answer(ALICE, "calls")
        visits.append(lane)
        if len(visits) == 1:
            assert bell.ring(ALICE, "calls")

    monkeypatch.setattr("jobs.worker.drain", drain)
    bell.ring(ALICE, "calls")
    queue = Queue("calls", connection=valkey, serializer=JSONSerializer)
    SimpleWorker([queue], connection=valkey, serializer=JSONSerializer).work(burst=True, logging_level="WARNING")

    assert ["calls", "calls"] == visits


def test_calls_never_wait_behind_a_long_sync(work_url: str, valkey: Any) -> None:
    """They have a queue of their own, and every lane and tenant its own ring."""
    bell = Bell(work_url)
    for lane in QUEUES:
        assert bell.ring(ALICE, lane)
        assert bell.ring(uuid.UUID(int=2), lane)

    assert (2, 4) == (len(jobs(valkey, "calls")), len(jobs(valkey, "sync")))


@pytest.fixture(params=["nobody listens", "nobody answers", "somebody else answers"])
def gone(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Redis that is none any more."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        if request.param == "nobody listens":
            server.close()
        if request.param == "somebody else answers":
            client = socket.create_connection(("127.0.0.1", port))  # fills the queue of a server that never accepts
            with closing(client):
                yield f"redis://127.0.0.1:{port}/0"
        else:
            yield f"redis://127.0.0.1:{port}/0"


def test_a_silent_bell_costs_next_to_no_time_and_raises_nothing(gone: str) -> None:
    """A knock is answered all the same; the sweep finds the work."""
    bell = Bell(gone)
    started = monotonic()

    assert not bell.ring(ALICE, "calls")
    assert monotonic() - started < PATIENCE_SECONDS
    bell.answer(ALICE, "calls")
    assert not bell.alive()
