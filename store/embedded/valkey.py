"""The two Valkeys: one that keeps the work queue through any crash, and one that keeps cached mail in memory only."""

import json
import os
import signal
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from store.embedded.binaries import Binary
from store.embedded.processes import EmbeddedError, Process, Running, sole_use

Name = Literal["work", "mail"]

SETTING: dict[Name, str] = {"work": "REDIS_URL", "mail": "MAIL_REDIS_URL"}
CONFIG: dict[Name, str] = {
    # At most a second of doorbells is lost in a crash, and a full memory refuses instead of forgetting.
    "work": 'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\n',
    # Nothing that was ever in this one may reach a disk: commands that would write its memory down do not exist here.
    "mail": 'appendonly no\nsave ""\nmaxmemory-policy noeviction\nrename-command SAVE ""\nrename-command BGSAVE ""\n'
    'rename-command BGREWRITEAOF ""\n',
}
# An orphaned queue flushes its log; an orphaned cache has nothing to finish and is gone at once.
WHEN_ORPHANED: dict[Name, signal.Signals] = {"work": signal.SIGTERM, "mail": signal.SIGKILL}
MADE_BY = "made-by"  # which binary wrote the folder


def made_by(folder: Path) -> str | None:
    """Say which binary wrote this folder last."""
    path = folder / MADE_BY
    return path.read_text().strip() if path.exists() else None


class ValkeyServer:
    """One Valkey on one unix socket, reachable by nobody but us."""

    def __init__(self, name: Name, *, binary: Binary, folder: Path, socket: Path, log: Path, lock: Path) -> None:
        self.process: Process | None = None
        self._name, self._binary, self._folder = name, binary, folder
        self._socket, self._log, self._lock = socket, log, lock

    def start(self) -> Running:
        """Start it and return once it answers PING with its data loaded."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._name == "work":
            (self._folder / MADE_BY).write_text(self._binary.chosen)
        config = (
            "port 0\n"
            "daemonize no\n"
            f"unixsocket {_quoted(self._socket)}\n"  # a socket file left by a kill -9 is replaced
            "unixsocketperm 700\n"
            f"dir {_quoted(self._folder)}\n"
            "crash-log-enabled no\n"  # a crash report quotes the command it was serving
            f"{CONFIG[self._name]}"
        )
        title = f"Valkey ({self._name})"
        with sole_use(self._lock, title, self._folder) as lock:
            self.process = Process(
                title,
                [self._binary.path, "-"],  # the configuration comes on its standard input and is in no file
                folder=self._folder,
                lock=lock,
                log=self._log,
                setting=SETTING[self._name],
                when_orphaned=WHEN_ORPHANED[self._name],
                stop_signals=[signal.SIGTERM],
                stdin=config.encode(),
            )
        self.process.wait_until(self._answers)
        return Running(
            name=self._name,
            pid=self.process.pid,
            url=f"unix://{quote(os.fspath(self._socket))}?db=0",
            chosen=self._binary.chosen,
        )

    def _answers(self) -> bool:
        once = Retry(NoBackoff(), 0)  # redis-py's default waits between attempts; we poll faster
        client = redis.Redis(unix_socket_path=os.fspath(self._socket), socket_timeout=5, retry=once)
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.BusyLoadingError, redis.TimeoutError):
            return False
        finally:
            client.close()


def _quoted(path: Path) -> str:
    text = os.fspath(path)
    if not text.isprintable():  # the configuration is read by line
        raise EmbeddedError(f"The folder name {text!r} holds a control character; set DATA_DIR to another folder.")
    return json.dumps(text, ensure_ascii=False)
