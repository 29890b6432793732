"""The doorbell: RQ on Redis or Valkey tells a worker which lane to look at. Nothing depends on it being heard.

A ring carries ids only and is best effort within 100 ms; what it misses, the timetable's sweep finds in PostgreSQL.
Lanes map to queues so that calls never wait behind a long sync.
"""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from store.database import TenantId
from store.inbox import Lane

QUEUES: dict[Lane, str] = {"calls": "calls", "contacts": "sync", "mail": "sync"}
BUDGET_SECONDS = 0.1
RUNG_MS = 2_000  # a second ring within this is the same ring; cleared when somebody answers
FAILED_KEPT_SECONDS = 86_400  # RQ would keep a failed job for a year
JOB_SECONDS = 900


class Bell:
    """Ring for a lane; answer the door."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=BUDGET_SECONDS,
            socket_connect_timeout=BUDGET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._queues = {
            name: Queue(name, connection=self._redis, serializer=JSONSerializer) for name in set(QUEUES.values())
        }

    @staticmethod
    def _rung(tenant: TenantId, lane: Lane) -> str:
        return f"linekeeper:rung:{lane}:{tenant}"

    def ring(self, tenant: TenantId, lane: Lane) -> bool:
        """Ask for a worker; False when nobody could be asked (the sweep will)."""
        try:
            if not self._redis.set(self._rung(tenant, lane), 1, nx=True, px=RUNG_MS):
                return True
            # Each ring is a job of its own: RQ clears a job away by its id when it is done, and with it one that came
            # meanwhile under the same id.
            self._queues[QUEUES[lane]].enqueue(
                "jobs.worker.drain",
                str(tenant),
                lane,
                description=f"drain {lane}",
                result_ttl=0,
                failure_ttl=FAILED_KEPT_SECONDS,
                job_timeout=JOB_SECONDS,
            )
        except (redis.RedisError, OSError):
            return False
        return True

    def answer(self, tenant: TenantId, lane: Lane) -> None:
        """Somebody is here: a ring from now on is a new one."""
        try:
            self._redis.delete(self._rung(tenant, lane))
        except (redis.RedisError, OSError):
            return  # the mark runs out by itself

    def alive(self) -> bool:
        try:
            return bool(self._redis.ping())
        except (redis.RedisError, OSError):
            return False
