"""Act 9: some of two hundred webhooks never arrive; one reconcile later every call stands in Zoho, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.cast import NEXT_DOOR
from sandbox.scene import Scene, expect, in_words

ROOT = Path(__file__).resolve().parents[2]
CALLS, WEBHOOKS = 100, 200  # nobody answers: it rings and it ends
LOST = 0.03
APART = timedelta(seconds=20)
SEED = 1_000  # by this one it is six webhooks of two hundred, and of three of those calls the end


def lost(scene: Scene) -> Iterator[str]:
    """The phone system loses webhooks; its own list of calls has them all."""
    company, before = NEXT_DOOR, _markers(scene)
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5) - CALLS * APART
    dropped = 0
    for place in range(CALLS):
        told = scene.pbx.post(
            "call",
            key=company.pbx_key,
            call_id=f"lost-or-not-{place}",
            direction="inbound",
            outcome="missed",
            to=company.line,
            agent={"extension": company.extension, "email": company.agent},
            started_at=(began + place * APART).isoformat(),
            drop=LOST,
            shuffle=SEED + place,
            **{"from": f"+1212555{place:04d}"},
        )
        dropped += len(told["dropped"])
    expect(dropped, "the phone system lost no webhook")
    started = time.monotonic()
    statement = _reconcile(scene)
    found = statement["missing"] + statement["unended"]  # none where the sweep came round before us
    scene.until(lambda: len(_markers(scene)) - len(before) >= CALLS, "every call should stand in Zoho")
    took = in_words(time.monotonic() - started)
    new = _markers(scene)[len(before) :]
    doubled = len(new) - len(set(new))
    expect((len(new), doubled) == (CALLS, 0), f"{len(new)} activities of {CALLS} calls, {doubled} of them doubled")
    yield (
        f"{dropped} of {WEBHOOKS} webhooks lost; one reconcile puts {found} calls right in {took}: "
        f"0 of {CALLS} missing, 0 doubled"
    )


def _reconcile(scene: Scene) -> dict[str, Any]:
    """What an operator types, and the statement of the tenant next door."""
    done = subprocess.run(
        [sys.executable, "-m", "app", "reconcile", "--since", "90m", "--json"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(scene.house.data_dir)},
        capture_output=True,
        encoding="utf-8",
    )
    expect(done.returncode == 0, f"`linekeeper reconcile` said: {done.stderr.strip()}")
    statements: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])  # what it did is logged above it
    return max(statements, key=lambda statement: int(statement["listed"]))


def _markers(scene: Scene) -> list[str]:
    """Our line in each activity of the company next door, oldest activity first."""
    rows = sorted(scene.activities(NEXT_DOOR), key=lambda row: str(row["id"]))
    return [line for row in rows for line in str(row["Description"]).splitlines() if line.startswith("[linekeeper:")]
