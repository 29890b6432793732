"""What a measure looks like: a figure, its unit, and a baseline of the same run to hold it against."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any

COLUMNS = ("measure", "figure", "unit", "baseline", "ratio", "against", "wanted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    measure: str
    figure: float
    unit: str
    baseline: float
    against: str  # what the baseline is
    wanted: str = ""  # the least that was promised, where something was

    @property
    def ratio(self) -> float:
        """The figure as a part of its baseline."""
        return self.figure / self.baseline if self.baseline else float("nan")

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio}


def percentile(times: Sequence[float], part: int) -> float:
    """The value that `part` percent of at least two `times` do not exceed."""
    return quantiles(times, n=100, method="inclusive")[part - 1]


def timed(work: Callable[[], object], repeats: int) -> list[float]:
    """Do `work` again and again; return the seconds each time took."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return times


def table(rows: Sequence[Row]) -> str:
    """Write rows for a person to read: aligned, figures to the right."""
    cells = [
        COLUMNS,
        *(
            (
                row.measure,
                _written(row.figure),
                row.unit,
                _written(row.baseline),
                f"{row.ratio:.2f}",
                row.against,
                row.wanted,
            )
            for row in rows
        ),
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    right = {COLUMNS.index(name) for name in ("figure", "baseline", "ratio")}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _written(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
