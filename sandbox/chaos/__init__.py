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
from sandbox.scene import House, Scene, people_known

PATIENCE_SECONDS = 90.0  # without a single new activity, when nothing goes wrong any more
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
    doors = _move_in(scene, plot)
    say(f"{calls:,} calls, {len(plot.deliveries):,} deliveries, seed {seed}")
    began = time.monotonic()
    misfortune = Misfortune(house, scene.zoho, seed)
    phones = Phones(plot.deliveries, doors, seed)
    with misfortune:
        phones.deliver()
        misfortune.wait()
    say(f"all delivered after {time.monotonic() - began:.0f} s; no more misfortunes")
    verdict = _settle(scene, plot)
    return Outcome(
        calls=calls,
        deliveries=len(plot.deliveries),
        refused=phones.refused,
        kills=dict(misfortune.kills),
        faults=dict(misfortune.faults),
        seconds=time.monotonic() - began,
        verdict=verdict,
    )


def _move_in(scene: Scene, plot: Plot) -> dict[str, connecting.Door]:
    """Install for both companies, connect their phones, and wait until everybody in their Zoho can be recognised."""
    for _ in connecting.install(scene):
        pass
    browsers = {ALICE_LTD.org: scene.alice, NEXT_DOOR.org: scene.charlie}
    doors = {}
    for company in (ALICE_LTD, NEXT_DOOR):
        browser = browsers[company.org]
        doors[company.org] = connecting.phone(scene, browser, company)
        least = plot.people[company.org]
        scene.until(
            lambda browser=browser, least=least: people_known(browser.get("/console/")) >= least,  # type: ignore[misc]  # bound now
            f"{company.name}'s contacts should be known",
        )
    return doors


def _settle(scene: Scene, plot: Plot) -> Verdict:
    """Wait while activities still appear; judge what there is then."""
    seen, since = -1, time.monotonic()
    while True:
        verdict = judge(plot.expected, _rows(scene.zoho))
        if verdict.complete or time.monotonic() - since > PATIENCE_SECONDS:
            return verdict
        if verdict.rows != seen:
            seen, since = verdict.rows, time.monotonic()
        time.sleep(LOOK_SECONDS)


def _rows(zoho: Controls) -> dict[str, list[dict[str, object]]]:
    companies = (ALICE_LTD, NEXT_DOOR)
    return {one.org: zoho.get("records", org=one.org, module="Calls")["records"] for one in companies}
