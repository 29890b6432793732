"""A crew keeps every role filled, whoever else cannot stay up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import app
from commands import calm
from commands.crew import aboard
from integrations import telephony_vendors

ROOT = Path(__file__).parents[1]
CREW = """
import gc, pathlib, sys, time
from commands import crew
crew.SHORTEST_SECONDS = 0.01
folder = pathlib.Path(sys.argv[1])
def steady():
    (folder / "frozen").write_text(f"{gc.get_freeze_count()} {gc.get_threshold()[0]}")
    time.sleep(600)
made = crew.Crew({"steady": steady, "unsteady": lambda: None}, folder=folder)
made._pause["unsteady"] = 3600.0  # it has ended very often
made.run()
"""


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A running crew's folder."""
    crew = subprocess.Popen([sys.executable, "-c", CREW, str(tmp_path)], cwd=ROOT)
    try:
        yield tmp_path
    finally:
        crew.terminate()
        crew.wait()


def test_who_is_started_again_finds_the_vendors_there() -> None:
    """They are found before anybody is forked, and not once more by each who takes over from one that was killed."""
    telephony_vendors.cache_clear()

    app.warm_up()

    assert 1 == telephony_vendors.cache_info().currsize


def test_one_who_waits_keeps_nobody_waiting(folder: Path) -> None:
    """A role that cannot stay up has to wait for an hour; another is filled at once. The list says who is here."""
    until(lambda: aboard(folder).keys() == {"steady"})
    first = aboard(folder)["steady"]

    os.kill(first, signal.SIGKILL)

    until(lambda: aboard(folder).get("steady", first) != first)


def test_what_was_imported_is_nobody_aboards_garbage(folder: Path) -> None:
    """So that its memory stays the one all processes share."""
    until(lambda: (folder / "frozen").is_file() and bool((folder / "frozen").read_text()))

    frozen, between_looks = map(int, (folder / "frozen").read_text().split())
    assert (frozen > 10_000, between_looks) == (True, calm.FEW)
