"""A large address book meets an empty CRM: requests against the least possible, our own time, and memory.

Each size is brought in by a process of its own (`bench.exchange`); the stage stands in this one.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from bench.house import House
from bench.measure import Row
from sandbox.cast import ALICE, ALICE_LTD, GOOGLE_CLIENT, GOOGLE_SECRET, ZOHO_CLIENT, ZOHO_SECRETS, Controls
from sandbox.stage import Stage, environment

PEOPLE = 20_000
BASE_URL = "http://127.0.0.1:8000"
READ, WRITTEN = 1_000, 100  # records a request


def measure(house: House, people: int = PEOPLE) -> Iterator[Row]:
    """Bring in a quarter of so many people, all of them, and two and a half times as many."""
    few, most = max(100, people // 4), people * 5 // 2
    found = {size: _bring_in(house, size) for size in sorted({few, people, most})}
    least = math.ceil(people / READ) + math.ceil(people / WRITTEN)
    whole, large = found[people], found[most]
    yield Row(
        measure=f"{people:,} Google contacts into hub and Zoho, requests",
        figure=whole["requests"],
        unit="",
        baseline=least,
        against="the least possible",
        wanted="ratio <= 1.1",
    )
    yield Row(
        measure=f"{people:,} Google contacts into hub and Zoho, our own time",
        figure=whole["cpu"],
        unit="s CPU",
        baseline=whole["seconds"],
        against="the same by the clock",
        wanted="<= 5",
    )
    yield Row(
        measure=f"{most:,} Google contacts, peak memory",
        figure=large["peak_mb"],
        unit="MB",
        baseline=found[few]["peak_mb"],
        against=f"{few:,} contacts",
        wanted="ratio about 1",
    )
    yield Row(
        measure=f"ten changes in {most:,}, requests",
        figure=large["changed"]["requests"],
        unit="",
        baseline=large["quiet"]["requests"],
        against="no change",
        wanted="<= 4",
    )
    yield Row(
        measure=f"ten changes in {most:,}",
        figure=large["changed"]["seconds"],
        unit="s",
        baseline=large["quiet"]["seconds"],
        against="no change",
        wanted="<= 1",
    )


def _bring_in(house: House, people: int) -> dict[str, Any]:
    """Set the stage afresh and have a process do it."""
    with Stage() as stage:
        zoho, google = Controls(stage.origins["zoho-us"]), Controls(stage.origins["google"])
        zoho.post("reset")
        back = {name: [f"{BASE_URL}/oauth/{name}/callback"] for name in ("zoho", "google")}
        zoho.post("clients", client_id=ZOHO_CLIENT, secrets=ZOHO_SECRETS, redirect_uris=back["zoho"])
        users = [{"email": ALICE, "full_name": "Alice Adler", "admin": True}]
        zoho.post("orgs", name=ALICE_LTD.org, dc="eu", company_name="Alice Ltd", time_zone="Europe/Madrid", users=users)
        google.post("reset")
        google.post("clients", client_id=GOOGLE_CLIENT, client_secret=GOOGLE_SECRET, redirect_uris=back["google"])
        google.post("users", email=ALICE, name="Alice Adler", hd="alice.example")
        told = environment(stage.origins, BASE_URL) | dict(house.environ) | {"CONTACTS_SYNC_SECONDS": "86400"}
        done = subprocess.run(
            [sys.executable, "-m", "bench.exchange", str(people)],
            env=os.environ | told,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if found["rows"] != people:
        raise RuntimeError(f"Zoho has {found['rows']} of {people} people")
    return found
