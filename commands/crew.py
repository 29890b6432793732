"""A crew: several processes of one command that imported everything once, kept up until the command is told to end.

They are forked before anything is opened, so nothing is shared but code; each ends with the command, however that
ended. Who is aboard stands in DATA_DIR/crew.json, for whoever has to look after one of them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import structlog

from commands.calm import settle
from domain.errors import Trouble
from store.embedded.processes import die_with_parent

log = structlog.get_logger()

SHORTEST_SECONDS, LONGEST_SECONDS = 0.2, 5.0  # before one that ended is started again; doubled while it keeps ending
LOOK_SECONDS = 0.02  # how often to look who ended, while somebody waits to be started
STEADY_SECONDS = 30.0  # who stays up this long may begin with the shortest again
SIGNED_ON = "crew.json"


class Crew:
    """Keep each role filled by a process of its own."""

    def __init__(self, roles: Mapping[str, Callable[[], None]], *, folder: Path | None = None) -> None:
        self._roles = roles
        self._list = folder / SIGNED_ON if folder is not None else None
        self._aboard: dict[int, tuple[str, float]] = {}  # process -> role, since when
        self._pause = dict.fromkeys(roles, SHORTEST_SECONDS)
        self._due = dict.fromkeys(roles, 0.0)  # role -> when to fill it, while nobody does

    def run(self) -> None:
        """Fill every role and fill it again whenever its process ends, until SIGTERM or Ctrl-C."""
        signal.signal(signal.SIGTERM, interrupt)
        settle()  # what was imported stays shared
        try:
            while True:
                for role in [role for role, due in self._due.items() if due <= time.monotonic()]:
                    self._sign_on(role)
                self._sign_off(*self._await_end())
        except KeyboardInterrupt:
            log.info("ending", pid=os.getpid())
        finally:
            self._dismiss()

    def _await_end(self) -> tuple[int, int]:
        """Wait until a process ends or a role is due; (0, 0) is nobody's number."""
        if not self._due:
            return os.wait()
        while min(self._due.values()) > time.monotonic():
            if (ended := os.waitpid(-1, os.WNOHANG) if self._aboard else (0, 0))[0]:
                return ended
            time.sleep(LOOK_SECONDS)
        return 0, 0

    def _sign_off(self, ended: int, status: int) -> None:
        """Have the role of a process that ended filled again after a pause; the others do not wait for it."""
        if not ended:
            return
        role, since = self._aboard.pop(ended)
        log.warning("process_ended", name=role, pid=ended, status=os.waitstatus_to_exitcode(status))
        if time.monotonic() - since >= STEADY_SECONDS:
            self._pause[role] = SHORTEST_SECONDS
        self._due[role] = time.monotonic() + self._pause[role]
        self._pause[role] = min(2 * self._pause[role], LONGEST_SECONDS)
        self._write_list()

    def _sign_on(self, role: str) -> None:
        self._aboard[fork(self._roles[role])] = (role, time.monotonic())
        del self._due[role]
        self._write_list()

    def _write_list(self) -> None:
        if self._list is not None:
            fresh = self._list.with_suffix(".new")
            fresh.write_text(json.dumps({name: pid for pid, (name, _) in self._aboard.items()}), encoding="utf-8")
            fresh.replace(self._list)

    def _dismiss(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for pid in self._aboard:
            os.kill(pid, signal.SIGTERM)
        for pid in self._aboard:
            os.waitpid(pid, 0)
        if self._list is not None:
            self._list.unlink(missing_ok=True)


def fork(work: Callable[[], None]) -> int:
    """Do `work` in a process of its own, which ends with us however we end; return its number."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        die_with_parent(parent)
        work()
        status = 0
    except KeyboardInterrupt:
        status = 0
    except Trouble as error:
        click.echo(str(error), err=True)
    except Exception:
        traceback.print_exc()  # of starting: what a request or a job does wrong never comes this far
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def interrupt(*_: object) -> None:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


def aboard(folder: Path) -> dict[str, int]:
    """Who is aboard the crew that runs on this folder: role -> process."""
    try:
        found: dict[str, int] = json.loads((folder / SIGNED_ON).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
