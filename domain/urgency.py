"""Whether somebody waits for what is being done: a person at a page or a telephone, or nobody in particular.

What nobody waits for says so once, around all of it; a gate (`domain.gate`) lets the rest go first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_urgent: ContextVar[bool] = ContextVar("urgent", default=True)


def is_urgent() -> bool:
    """Say whether somebody waits."""
    return _urgent.get()


@contextmanager
def in_background() -> Iterator[None]:
    """Nobody waits for what is done inside."""
    before = _urgent.set(False)
    try:
        yield
    finally:
        _urgent.reset(before)


@contextmanager
def urgently() -> Iterator[None]:
    """Somebody waits for what is done inside, whatever is around it."""
    before = _urgent.set(True)
    try:
        yield
    finally:
        _urgent.reset(before)
