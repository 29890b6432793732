"""Several requests of one batch under way at once, for an outside system that takes one thing a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from domain.errors import Upstream

ABREAST = 3  # of the four that may be under way to a Zoho organisation: whoever waits at a screen finds a place
HANDFUL = 12  # claimed together, and so many at most are read back, one by one, when we are killed meanwhile

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def handfuls(batch: Sequence[Item]) -> Iterator[list[Item]]:
    """Cut a batch into parts that are claimed and settled together."""
    for start in range(0, len(batch), HANDFUL):
        yield list(batch[start : start + HANDFUL])


def abreast(ask: Callable[[Item], Answer], items: Sequence[Item]) -> list[tuple[Item, Answer | Upstream]]:
    """Ask for every item, a few at once, and say what came of each, in their order. Any other error is raised."""

    def outcome(item: Item) -> Answer | Upstream:
        try:
            return ask(item)
        except Upstream as error:
            return error

    if len(items) < 2:
        return [(item, outcome(item)) for item in items]
    contexts = [copy_context() for _ in items]  # whether somebody waits, and whose lane it is
    with ThreadPoolExecutor(ABREAST, thread_name_prefix="abreast") as threads:
        told = [threads.submit(context.run, outcome, item) for context, item in zip(contexts, items, strict=True)]
        return [(item, future.result()) for item, future in zip(items, told, strict=True)]
