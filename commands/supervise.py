"""Keep the product's own processes running: web, workers, timetable, listener, and the stage in a demo.

A child that ends is started again, sooner the first time than the fifth; one that cannot stay up is reported once,
with the last lines of its log. Whatever ends this process, `kill -9` included, ends them too. What they *do* is not
known here.
"""

import errno
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import Trouble
from store.embedded.processes import last_lines, open_log, spawn

SHORTEST_BACKOFF, LONGEST_BACKOFF = 0.2, 10.0  # seconds
STEADY_SECONDS = 10.0  # up for this long, a child is forgiven its earlier deaths
DEATHS, DEATHS_WITHIN = 5, 10.0  # that many deaths in that many seconds: it cannot stay up
READY_SECONDS = 30.0
LEAST_PATIENCE_SECONDS = 1.0  # for a child whose successor used up the time to stop
STEP_SECONDS = 0.05


class CannotStart(Trouble):
    """Say in one sentence what could not be started, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep: `env` is added to our own environment; `ready` tells when it does its work."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # holds secrets
    ready: Callable[[], bool] | None = None


@dataclass(slots=True)
class _Life:
    """What the supervisor remembers of one child."""

    child: Child
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0  # when to start it again, while there is no process
    log_start: int = 0
    backoff: float = SHORTEST_BACKOFF
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS))
    failing: bool = False


class Supervisor:
    """Start children together, keep them up, stop them in reverse order. Its methods may be called from any thread."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        log_dir: Path,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lives = [_Life(child, log_dir / f"{child.name}.log") for child in children]
        self._say, self._clock = say, clock
        self._turn = threading.RLock()
        self._stopped = True

    def start(self) -> None:
        """Start every child and return when all are ready; if one does not become ready, stop all and say why."""
        self._stopped = False
        try:
            for life in self._lives:
                self._spawn(life)
            deadline = time.monotonic() + READY_SECONDS
            waiting = [life for life in self._lives if life.child.ready]
            while waiting := [life for life in waiting if not self._is_ready(life)]:
                self.restart_dead()
                if stuck := [life for life in waiting if life.failing or time.monotonic() > deadline]:
                    words = last_lines(stuck[0].log, stuck[0].log_start)
                    raise CannotStart(f"{stuck[0].child.name} did not get ready; {stuck[0].log} ends: {words}")
                time.sleep(STEP_SECONDS)
        except BaseException:  # Ctrl-C while starting included
            self.stop()
            raise

    def pids(self) -> dict[str, int]:
        """Tell the process number of each child that is alive now."""
        with self._turn:
            return {
                life.child.name: life.process.pid for life in self._lives if life.process and not _ended(life.process)
            }

    def restart_dead(self) -> list[str]:
        """Take one step: bury who has ended, start again who is due; return the names of those started."""
        started = []
        with self._turn:
            if self._stopped:
                return []
            now = self._clock()
            for life in self._lives:
                if life.process is None:
                    if now >= life.due_at and self._spawn_again(life):
                        started.append(life.child.name)
                elif _ended(life.process):
                    self._bury(life, now)
                elif now - life.started_at >= STEADY_SECONDS and life.deaths:
                    self._forgive(life)
        return started

    def run_forever(self, stop: threading.Event) -> None:
        """Keep the children up until `stop` is set, then stop them."""
        try:
            while not stop.wait(STEP_SECONDS):
                self.restart_dead()
        finally:
            self.stop()

    def stop(self, timeout: float = 10.0) -> None:
        """End the children, last first: SIGTERM, then SIGKILL; `timeout` seconds in all, yet a moment for each."""
        with self._turn:
            self._stopped = True
            deadline = time.monotonic() + timeout
            for life in reversed(self._lives):
                if life.process is None:
                    continue
                if not _ended(life.process):
                    life.process.send_signal(signal.SIGTERM)
                patience = max(deadline, time.monotonic() + min(timeout, LEAST_PATIENCE_SECONDS))
                while not _ended(life.process) and time.monotonic() < patience:
                    time.sleep(STEP_SECONDS / 5)
                if not _ended(life.process):
                    self._say(f"{life.child.name} did not end when asked and was killed")
                _end_group(life.process)
                life.process = None

    def _spawn(self, life: _Life) -> None:
        log = open_log(life.log)
        try:
            life.log_start = os.fstat(log).st_size
            life.process = spawn(
                life.child.argv,
                # Not SIGTERM: its database and queue die with us too, and it could wait for them for ever.
                when_orphaned=signal.SIGKILL,
                log=log,
                env={**os.environ, **life.child.env},
            )
        except OSError as error:
            raise CannotStart(f"{life.child.name} cannot be started: {error}") from error
        finally:
            os.close(log)
        life.started_at = self._clock()

    def _spawn_again(self, life: _Life) -> bool:
        try:
            self._spawn(life)
        except CannotStart as error:  # no memory, no processes left: the next attempt may succeed
            if not life.failing:
                self._say(f"{error}; trying again every {LONGEST_BACKOFF:.0f} s")
            life.failing, life.due_at = True, self._clock() + LONGEST_BACKOFF
            return False
        return True

    def _is_ready(self, life: _Life) -> bool:
        assert life.child.ready
        with suppress(OSError):  # nobody listens yet
            return life.process is not None and not _ended(life.process) and life.child.ready()
        return False

    def _bury(self, life: _Life, now: float) -> None:
        assert life.process
        status = _end_group(life.process)
        life.process = None
        if now - life.started_at >= STEADY_SECONDS:
            self._forgive(life)
        life.deaths.append(now)
        if not life.failing and len(life.deaths) == DEATHS and now - life.deaths[0] <= DEATHS_WITHIN:
            life.failing = True
            words = last_lines(life.log, life.log_start)
            self._say(
                f"{life.child.name} ended {DEATHS} times within {DEATHS_WITHIN:.0f} s (last: {_in_words(status)}); "
                f"trying again every {LONGEST_BACKOFF:.0f} s; {life.log} ends: {words}"
            )
        elif not life.failing:
            self._say(f"{life.child.name} ended ({_in_words(status)}); starting it again in {life.backoff:.1f} s")
        life.due_at = now + (LONGEST_BACKOFF if life.failing else life.backoff)
        life.backoff = min(life.backoff * 2, LONGEST_BACKOFF)

    def _forgive(self, life: _Life) -> None:
        if life.failing:
            self._say(f"{life.child.name} stays up again")
        life.deaths.clear()
        life.backoff, life.failing = SHORTEST_BACKOFF, False


def free_port_or_explain(port: int, setting: str) -> int:
    """Return a port on 127.0.0.1 that can be listened on: this one, or any free one for 0; else say what to set."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: closed connections do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OverflowError:
            raise CannotStart(f"There is no port {port}; set {setting} to one between 1024 and 65535") from None
        except OSError as error:
            if error.errno == errno.EACCES:
                raise CannotStart(f"Port {port} is not for this user; set {setting} to one above 1023") from error
            raise CannotStart(f"Port {port} is taken; set {setting} to another one") from error
        taken: int = probe.getsockname()[1]
        return taken


def free_ports(many: int) -> int:
    """Return the first of so many ports in a row that can all be listened on now."""
    for start in random.sample(range(20_000, 32_000, many), 100):
        try:
            for port in range(start, start + many):
                free_port_or_explain(port, "PORT")
        except CannotStart:
            continue
        return start
    raise CannotStart(f"There are no {many} free ports in a row")


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a child has ended, leaving it unreaped, so that its number still names its group."""
    if process.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(process: subprocess.Popen[bytes]) -> int:
    """Kill what is left of a child and of its process group, then reap it; returns its own status."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _in_words(status: int) -> str:
    return f"signal {-status}, {signal.strsignal(-status)}" if status < 0 else f"status {status}"
