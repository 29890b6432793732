"""Chaos: thousands of calls in a house whose processes are killed and whose CRM breaks down, and what is left of them.

Every event is delivered one to five times, in any order; whoever delivers tries again until the door has said yes.
Nothing is put right here and nobody helps: in the end Zoho holds one right activity for each call, or it does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from sandbox.acts import connecting
from sandbox.cast import ALICE_LTD, NEXT_DOOR, Controls
from sandbox.chaos.misfortune import Misfortune
from sandbox.chaos.phones import Phones
from sandbox.chaos.plot import Plot
from sandbox.chaos.verdict import Verdict, judge
from sandbox.scene import House, Scene

COMPANIES = (ALICE_LTD, NEXT_DOOR)
PATIENCE_SECONDS = 150.0  # without a single new activity: what failed seven times in a row waits two minutes
LAST_LOOK_SECONDS = 5.0  # what is unknown is read back after two
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened, and how it ended."""

    calls: int
    deliveries: int
    refused: int  # of those had no 2xx at first
    kills: dict[str, int]  # by role
    faults: dict[str, int]  # by what Zoho did
    seconds: float
    verdict: Verdict


def unleash(house: House, *, calls: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Let `calls` calls happen, half at each company, in a house that stands on the stage and has met nobody yet."""
    scene = Scene.open(house, Event())
    plot = Plot.write(scene.zoho, calls, seed)
    doors = connecting.move_in(scene, plot.people)  # the phone system's own list stays closed: nothing is reconciled
    say(f"{calls:,} calls, {len(plot.deliveries):,} deliveries, seed {seed}")
    phones = Phones(plot.deliveries, doors, seed)

    def written() -> float:
        return _written(scene.zoho) / calls

    def delivered() -> float:
        return phones.accepted / len(plot.deliveries)

    began = time.monotonic()
    with Misfortune(house, scene.zoho, calls=calls, seed=seed, delivered=delivered, written=written) as misfortune:
        phones.deliver()
        say(f"all delivered after {time.monotonic() - began:.0f} s")
        _settle(scene.zoho, calls)
    verdict = _judge(scene.zoho, plot)
    return Outcome(
        calls=calls,
        deliveries=len(plot.deliveries),
        refused=phones.refused,
        kills=dict(misfortune.kills),
        faults=dict(misfortune.faults),
        seconds=time.monotonic() - began,
        verdict=verdict,
    )


def _settle(zoho: Controls, calls: int) -> None:
    """Wait while activities still appear, and then as long as a read-back takes for one too many."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < (PATIENCE_SECONDS if seen < calls else LAST_LOOK_SECONDS):
        if (written := _written(zoho)) != seen:
            seen, since = written, time.monotonic()
        time.sleep(LOOK_SECONDS)


def _written(zoho: Controls) -> int:
    return sum(int(zoho.get("records", org=one.org, module="Calls", count="")["count"]) for one in COMPANIES)


def _judge(zoho: Controls, plot: Plot) -> Verdict:
    rows = {one.org: zoho.get("records", org=one.org, module="Calls")["records"] for one in COMPANIES}
    return judge(plot.expected, rows)
