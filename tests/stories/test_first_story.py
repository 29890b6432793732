"""The demo is a test: its story is told once, by the command a newcomer types, and marked line by line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from commands.supervise import free_ports
from sandbox.story import ACTS, Act

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 240  # under a minute on two quiet cores; a busy machine gets the rest
OUTSIDE = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "MAIL_REDIS_URL", "KEYRING", "BASE_URL", "ENVIRONMENT")
TICK, CROSS = "✓", "✗"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str]:
    """The exit status of `linekeeper demo --once` and what it printed."""
    port = free_ports(8)
    environ = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
    folder = tmp_path_factory.mktemp("story") / "data"
    done = subprocess.run(
        [sys.executable, "-m", "app", "demo", "--once", "--stage-port", str(port + 1)],
        cwd=ROOT,
        env=environ | {"DATA_DIR": str(folder), "PORT": str(port), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_whole_story_goes_as_it_should(told: tuple[int, str]) -> None:
    """No cross, nothing skipped, and the command says so by its status."""
    status, text = told
    assert CROSS not in text, text
    assert "not told" not in text
    assert status == 0, text


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_every_act_saw_something(told: tuple[int, str], act: Act) -> None:
    """Each act's title is followed by at least one thing that was seen and found right."""
    _, text = told
    parts = re.split(r"^(\d+)  ", text, flags=re.MULTILINE)
    number = ACTS.index(act) + 1
    part = dict(zip(parts[1::2], parts[2::2], strict=True))[str(number)]
    assert part.startswith(ACTS[number - 1].title)
    assert TICK in part, text


@pytest.mark.parametrize(
    "figure",
    [
        "500 records of Zoho and 300 of Google are 690 people; the phonebook has 679",
        "8 deliveries of 3 events, out of order: 1 activity",
        "401, 401, 401, 401; no trace",
        "6 of 200 webhooks lost",
        "0 of 100 missing, 0 doubled",
        "subject and body 0 times",
        "4 of 4 planted needles",
        "0 tokens live",
        "678 → 489 people",
        "both chains verify",
    ],
)
def test_the_story_tells_its_figures(told: tuple[int, str], figure: str) -> None:
    """The figures of the story are what the cast was made to add up to."""
    _, text = told
    assert figure in text, text
