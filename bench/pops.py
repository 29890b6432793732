"""From the ring to the agent's screen: a signed call.ringing at the door, and PhoneBridge told of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from bench.house import House
from bench.measure import Row, percentile
from bench.office import Office, Sent, office
from sandbox.acts.calls import Story
from sandbox.cast import ALICE_LTD

RINGS, WARM_UP = 80, 20
A_SECOND = 4.0  # each finds the queue idle
PATIENCE_SECONDS = 15.0
POP = "POST /phonebridge/v3/callnotify"


def measure(_: House) -> Iterator[Row]:
    """Ring again and again; the stage notes when it was told."""
    with office() as here:
        _ring(here, WARM_UP, "warm")
        _popped(here, WARM_UP)
        here.scene.zoho.delete("requests")
        sent = _ring(here, RINGS, "ring")
        rang = _popped(here, RINGS)
    times = [popped - one.at for one, popped in zip(sent, rang, strict=True)]
    door = [one.took for one in sent]
    for part in (50, 95):
        yield Row(
            measure=f"ring to screen pop, queue idle, p{part}",
            figure=percentile(times, part) * 1_000,
            unit="ms",
            baseline=percentile(door, part) * 1_000,
            against="the door's own answer",
            wanted="<= 150" if part == 95 else "",
        )


def _popped(here: Office, many: int) -> list[float]:
    """When each of so many calls popped up, once all of them have."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        told = here.scene.zoho.get("requests", last="1000")["last"]
        rang = sorted(float(row["at"]) for row in told if row["request"] == POP)
        if len(rang) == many:
            return rang
        if len(rang) > many or time.monotonic() > ends:
            raise RuntimeError(f"{many} calls rang and {len(rang)} popped up")
        time.sleep(0.2)


def _ring(here: Office, many: int, name: str) -> list[Sent]:
    calls = [Story.now(ALICE_LTD, f"{name}-{place}", seconds_ago=0) for place in range(many)]
    events = [(call.id, json.dumps(call.event("ringing")).encode()) for call in calls]
    return here.send(ALICE_LTD.org, events, a_second=A_SECOND, lines=1)
