"""Ten thousand calls in a house that is killed again and again, on a Zoho that fails: how many are right in the end."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator

from bench.house import House
from bench.measure import Row
from bench.office import standing
from sandbox.chaos import unleash

CALLS = 10_000
HASTY = {"REQUEST_TIMEOUT_SECONDS": "5"}


def measure(_: House) -> Iterator[Row]:
    """Tell the story of `tests/stories/test_nothing_lost.py` five times as long."""
    seed = random.SystemRandom().randrange(1_000_000)
    with standing(**HASTY) as house:
        outcome = unleash(house, calls=CALLS, seed=seed, say=lambda words: print(words, file=sys.stderr))
    verdict = outcome.verdict
    for example in verdict.examples:
        print(example, file=sys.stderr)

    def row(measure: str, figure: float, unit: str, wanted: str = "") -> Row:
        return Row(measure=measure, figure=figure, unit=unit, baseline=CALLS, against="calls", wanted=wanted)

    yield row(f"chaos, seed {seed}: activities", verdict.rows, "activities", f"= {CALLS:,}")
    yield row("of calls missing", verdict.missing, "calls", "= 0")
    yield row("of calls doubled, or of none", verdict.doubled + verdict.strange, "activities", "= 0")
    yield row("of calls told wrongly", verdict.wrong, "activities", "= 0")
    yield row("processes killed with SIGKILL meanwhile", sum(outcome.kills.values()), "kills")
    yield row("times Zoho failed meanwhile", sum(outcome.faults.values()), "faults")
    yield row("deliveries that had to be repeated", outcome.refused, "deliveries")
    yield row("all of it", outcome.seconds, "s")
