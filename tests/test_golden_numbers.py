"""The yardstick for numbers: how CRMs of eighty countries write them, and what each must mean.

One file holds every row; the share read right is printed and may not fall below what the README may promise.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from domain.phone import read

GOLDEN = Path(__file__).parent / "golden" / "numbers.tsv"
KINDS = {"extension", "anonymous", "unknown"}
ENOUGH_PERCENT = 99.5
UNSEEN = re.compile(r"\\u([0-9a-f]{4})")  # a mark of direction or a hard space, spelt so that a reader sees it


@dataclass(frozen=True, slots=True)
class Row:
    """One spelling, where it was written, and what it must mean."""

    region: str
    written: str
    means: str
    extension: str
    why: str

    @property
    def right(self) -> bool:
        """Whether it is understood: the number (or the word for what it is instead) and the inside line."""
        number = read(UNSEEN.sub(lambda mark: chr(int(mark[1], 16)), self.written), self.region)
        return (self.means, self.extension) == (number.e164 or number.kind, number.extension)


def rows() -> list[Row]:
    """The golden file."""
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        lines = (line for line in file if not line.startswith("#"))
        return [Row(**row) for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]


def test_numbers_from_everywhere_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    """What people write in CRMs means what they meant; the figure is printed, and every miss by name."""
    golden = rows()
    wrong = [row for row in golden if not row.right]
    percent = 100 * (len(golden) - len(wrong)) / len(golden)
    with capsys.disabled():
        print(f"\n{percent:.1f} % of {len(golden)} rows from {len({row.region for row in golden})} countries")

    misses = "\n".join(f"{row.region}  {row.written}  should mean {row.means}: {row.why}" for row in wrong)
    assert percent >= ENOUGH_PERCENT, misses


def test_the_golden_file_is_wide_enough() -> None:
    """Sixty countries, six hundred rows, each once; what is no number is there too."""
    golden = rows()

    assert len(golden) >= 600
    assert len(golden) == len({(row.region, row.written) for row in golden})
    assert len({row.region for row in golden}) >= 60
    assert KINDS < {row.means for row in golden}
    assert all(row.means in KINDS or re.fullmatch(r"\+[1-9][0-9]{6,14}", row.means) for row in golden)
