"""The timetable: finds the lanes nobody rang for, forgets what is due, and has every promise looked after on time.

One process of all does it, under an advisory lock; the others idle and take over when it ends. What it does is in
PostgreSQL, so a dead timetable delays work and loses none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from jobs import alarms
from jobs import purge as purging
from jobs.services import Services
from store.mailkeys import period_seconds

log = structlog.get_logger()

SWEEP_SECONDS = 1.0
PURGE_SECONDS = 600.0
ALARM_SECONDS = 900.0
IDLE_SECONDS = 2.0  # how often the others look whether the lock is free


@dataclass(slots=True)
class _Duty:
    every_seconds: float
    do: Callable[[], object]
    due: float = 0.0


def sweep(services: Services) -> int:
    """Ring for every lane that has work; return how many there are."""
    waiting = services.lanes.with_work()
    for tenant, lane in waiting:
        services.bell.ring(tenant, lane)
    return len(waiting)


def run(services: Services, stop: threading.Event, *, clock: Callable[[], float]) -> None:
    """Do the duties of the timetable until told to stop."""
    duties = {
        "sweep": _Duty(SWEEP_SECONDS, lambda: sweep(services)),
        "purge mail": _Duty(period_seconds(services.mail.cache_seconds), lambda: purging.purge_mail(services)),
        "purge": _Duty(PURGE_SECONDS, lambda: purging.purge(services)),
        "alarms": _Duty(ALARM_SECONDS, lambda: alarms.look(services)),
    }
    while not stop.is_set():
        with services.lanes.alone("timetable") as ours:
            if not ours:
                stop.wait(IDLE_SECONDS)
                continue
            log.info("timetable_ours")
            while not stop.is_set():
                for name, duty in duties.items():
                    if duty.due <= clock():
                        _do(name, duty)
                        duty.due = clock() + duty.every_seconds
                stop.wait(max(0.05, min(duty.due for duty in duties.values()) - clock()))


def _do(name: str, duty: _Duty) -> None:
    try:
        duty.do()
    except Exception as error:
        # one duty's trouble must not keep the others from theirs; the sweep comes round again in any case
        log.error("duty_failed", duty=name, error=type(error).__name__)
