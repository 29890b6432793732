"""Events in, written down before the answer: what a door costs beside a Flask route that does nothing.

Both are served by the same command on the same machine at the same time, and asked by the same clients in turn, one
side idle while the other is asked. Clients, web processes and PostgreSQL share the cores.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.clients import Result, Task, ask
from bench.house import Door, House
from bench.measure import Row, percentile
from commands.supervise import Child, Supervisor, free_port_or_explain

CLIENTS = 20
EVENTS = {CLIENTS: 4_000, 1: 600}  # a round
ROUNDS = 5
WARM_UP = 1_000
ROOT = Path(__file__).resolve().parents[1]
BARE = "a bare Flask route, same server"


@dataclass(slots=True)
class Side:
    """What one application did, round by round."""

    port: int
    rates: dict[int, list[float]] = field(default_factory=dict)
    times: dict[int, list[float]] = field(default_factory=dict)

    def ask(self, door: Door, clients: int, events: int) -> Result:
        """Send events to this side."""
        return ask(Task(port=self.port, door=door.name, secret=door.secret, clients=clients, events=events))

    def measure(self, door: Door, clients: int) -> None:
        result = self.ask(door, clients, EVENTS[clients])
        self.rates.setdefault(clients, []).append(EVENTS[clients] / result.took)
        self.times.setdefault(clients, []).extend(result.times)


def measure(house: House) -> Iterator[Row]:
    """Twenty clients, then one."""
    door = house.phone_system(house.tenant())
    with ExitStack() as stack:
        ours = Side(stack.enter_context(served(house, "doors", "app", "serve")))
        bare = Side(stack.enter_context(served(house, "bare", "bench.web")))
        for side in (ours, bare):
            side.ask(door, CLIENTS, WARM_UP)
        for clients in EVENTS:
            for _ in range(ROUNDS):
                ours.measure(door, clients)
                bare.measure(door, clients)
    sent = WARM_UP + ROUNDS * sum(EVENTS.values())
    kept = sum(house.services.inbox.counts(door.tenant).values())
    if kept != sent:
        raise RuntimeError(f"{sent} events were accepted and {kept} are written down")
    for clients in EVENTS:
        yield from rows(clients, ours, bare)


def rows(clients: int, ours: Side, bare: Side) -> Iterator[Row]:
    many = "1 client" if clients == 1 else f"{clients} clients"
    yield Row(
        measure=f"events in, committed, {many}",
        figure=median(ours.rates[clients]),
        unit="events/s",
        baseline=median(bare.rates[clients]),
        against=BARE,
        wanted=">= 1,000" if clients == CLIENTS else "",
    )
    for part in (50, 95):
        yield Row(
            measure=f"the same, p{part}",
            figure=percentile(ours.times[clients], part) * 1_000,
            unit="ms",
            baseline=percentile(bare.times[clients], part) * 1_000,
            against=BARE,
            wanted="<= 25" if (clients, part) == (CLIENTS, 95) else "",
        )


@contextmanager
def served(house: House, name: str, *command: str) -> Iterator[int]:
    """Run a web server as `linekeeper up` does: WEB_PROCESSES processes that share a port."""
    port = free_port_or_explain(0, "PORT")
    metrics = house.folder / f"metrics-{name}"
    metrics.mkdir(mode=0o700)
    environ = {
        **house.environ,
        "PORT": str(port),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
    }
    log = house.folder / f"{name}.log"
    crew = house.services.settings.web_processes
    child = Child(
        name=name,
        argv=[sys.executable, "-m", *command],
        env=environ,
        ready=lambda: log.read_text().count("event=serving") == crew,  # behind one port, an answer would be anybody's
    )
    supervisor = Supervisor([child], log_dir=house.folder, say=lambda _: None)
    supervisor.start()
    try:
        yield port
    finally:
        supervisor.stop()
