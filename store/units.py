"""Units of a minute, shared by all our processes in the work Valkey: a bucket that fills evenly.

It holds ids and counts only. Without Valkey everything goes: the other side counts too, and says so.
"""

from __future__ import annotations

import time
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

NAME = "linekeeper:units:"
BUDGET_SECONDS = 0.25
ALONE_SECONDS = 5.0  # after Valkey was not there

# KEYS: the bucket. ARGV: the size, the units wanted, how many must be left, the time in ms (0: this server's).
SCRIPT = """
local size, wanted, kept, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local known = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = math.min(size, tonumber(known[1] or size) + math.max(0, now - tonumber(known[2] or now)) * size / 60000)
local wait = 0
if left - wanted >= kept or left >= size then
  left = left - wanted
else
  wait = math.ceil((wanted + kept - left) * 60000 / size)
end
redis.call('HSET', KEYS[1], 'left', tostring(left), 'at', now)
redis.call('PEXPIRE', KEYS[1], 120000)
return wait
"""


class Units:
    """Every bucket there is, by name. `size`: units a minute; 0: as many as one likes."""

    def __init__(self, url: str, size: int) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=BUDGET_SECONDS,
            socket_connect_timeout=BUDGET_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._script: Any = self._redis.register_script(SCRIPT)
        self._size = size
        self._alone_until = 0.0

    def take(self, name: str, units: int, kept: int = 0, *, now: int = 0) -> float:
        """Take units and return 0, or take none and return the seconds until there are so many.

        `kept`: how many must be left. A full bucket gives whatever is asked for, once. `now`: ms of a test's clock.
        """
        if not self._size or time.monotonic() < self._alone_until:
            return 0.0
        try:
            wait: int = self._script(keys=[NAME + name], args=[self._size, units, min(kept, self._size), now])
        except (redis.RedisError, OSError):
            self._alone_until = time.monotonic() + ALONE_SECONDS
            return 0.0
        return wait / 1000

    def close(self) -> None:
        self._redis.close()
