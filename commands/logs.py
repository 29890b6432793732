"""What the log may say: one line an event, key=value, and only keys on this list.

A key that is not listed is left out and its name is counted, so that a number, a name or a subject cannot reach a log
through a new line of code. Libraries speak only from warnings upwards, without what they quote.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

# fmt: off
ALLOWED = frozenset((
    "event", "level", "timestamp", "tenant", "connection", "call", "delivery", "chore", "lane", "duty", "user",
    "code", "reason", "error", "state", "events", "told", "count", "counts", "ms", "status", "method", "route",
    "read_back", "adopt", "join", "refresh", "drop", "put", "remove", "cached", "removed", "buckets", "leftovers",
    "rows", "messages", "links", "name", "pid", "version", "certificate",
))
# fmt: on
QUIET = (
    "asyncio",
    "uvicorn",
    "rq",
    "rq.worker",
    "alembic",
    "urllib3",
    "googleapiclient",
    "google",
    "oauthlib",
    "requests_oauthlib",
)
CHARACTERS = 200


def _allow(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    dropped = [key for key in event if key not in ALLOWED]
    for key in dropped:
        del event[key]
    if dropped:
        event["count"] = len(dropped)
        event["reason"] = "unlisted log keys"
    return {key: value if not isinstance(value, str) else value[:CHARACTERS] for key, value in event.items()}


class _Library(logging.Formatter):
    """Name a library's record without its words: they may quote what it was given."""

    converter = time.gmtime  # type: ignore[assignment]  # UTC everywhere; the stub forgets that a function will do

    def format(self, record: logging.LogRecord) -> str:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        stamp = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        return f"timestamp={stamp}Z level={record.levelname.lower()} event=library name={record.name} error={error}"


def set_up() -> None:
    """Write our lines to standard output and the libraries' warnings beside them."""

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Library())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _allow,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], drop_missing=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
