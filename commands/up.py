"""`linekeeper up`: the whole house on one machine, embedded servers included; `linekeeper demo` tells a story in it.

What is not set is started here: PostgreSQL, two Valkeys, a key ring in DATA_DIR. Whatever ends, everything started
here ends with it.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import signal
import sys
import threading
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import click
from sqlalchemy.engine import make_url

import settings as configuration
from commands.cli import Parts, cli
from commands.crew import SIGNED_ON, aboard
from commands.supervise import CannotStart, Child, Supervisor, free_port_or_explain
from settings import Settings
from store import schema
from store.embedded import Embedded

LENT = (
    *("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "MAIL_REDIS_URL", "KEYRING", "PORT", "BASE_URL"),
    "ALLOWED_PRIVATE_HOSTS",
)


class House:
    """Every process of Linekeeper under one roof. A context manager: what it starts, it stops."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        say: Callable[[str], None],
        parts: Parts,
        stage: bool = False,
        stage_port: int = 9100,
    ) -> None:
        self._say = say
        self._parts = parts
        self._stack = ExitStack()
        self._stop = threading.Event()
        self.stage: dict[str, str] = {}
        if stage:
            names = parts.stage_servers()
            self.stage = {name: f"http://127.0.0.1:{stage_port + place}" for place, name in enumerate(names)}
        first = configuration.read(environ)
        self._environ = {**(parts.stage_environment(self.stage, first.origin) if stage else {}), **environ}
        self._stage_port = stage_port
        self.settings: Settings = configuration.read(self._environ)
        self.data_dir: Path = self.settings.data_dir.absolute()
        self.log_dir = self.data_dir / "logs"
        self.origin = self.settings.origin
        self._lent = self.data_dir / "house.json"
        self.database_files = self.data_dir
        self.redis_urls: list[str] = []
        self.supervisor: Supervisor

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._stack.close()

    def pids(self) -> dict[str, int]:
        """Every process of ours that is up, by its role."""
        return {**self.supervisor.pids(), **aboard(self.data_dir)}

    def _open(self) -> None:
        free_port_or_explain(self.settings.port, "PORT")
        for place in range(len(self.stage)):
            free_port_or_explain(self._stage_port + place, "--stage-port")
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lent.unlink(missing_ok=True)
        (self.data_dir / SIGNED_ON).unlink(missing_ok=True)
        self.supervisor = Supervisor(self._children(), log_dir=self.log_dir, say=self._say)
        self._stack.callback(self.supervisor.stop)
        with ThreadPoolExecutor(max_workers=1) as beside:
            started = beside.submit(self.supervisor.start)  # they import while the servers start, then wait for them
            try:
                self._open_servers()
            except BaseException:
                self.supervisor.stop()
                raise
            started.result()
        if self.stage:
            self._parts.set_up_stage(self.stage, self.origin)
        keeper = threading.Thread(target=self.supervisor.run_forever, args=(self._stop,), daemon=True)
        self._stack.callback(keeper.join, 5.0)
        self._stack.callback(self._stop.set)
        keeper.start()

    def _open_servers(self) -> None:
        """Start what no setting names, migrate, and lend the addresses to whoever waits for them."""
        environ = {**self._environ, **self._servers()}
        if not self.settings.keyring:
            environ["KEYRING"] = self._keyring()
        self.settings = configuration.read(environ)
        app_role = make_url(self.settings.database_url).username or ""
        schema.upgrade(
            self.settings.database_owner_url or self.settings.database_url, app_role, environ.get("AUDITOR_ROLE", "")
        )
        self.redis_urls = [self.settings.redis_url, self.settings.mail_redis_url]
        self._lend(environ)

    def _servers(self) -> dict[str, str]:
        """Start what no setting names; return the settings that name it now."""
        made: dict[str, str] = {}
        settings = self.settings
        if settings.database_url and settings.redis_url and settings.mail_redis_url:
            return made
        if not settings.development:
            return made
        prefer = settings.linekeeper_embedded or None
        embedded = self._stack.enter_context(Embedded(self.data_dir, say=self._say, prefer=prefer))  # type: ignore[arg-type]  # checked by settings
        if not settings.database_url:
            postgres = embedded.postgres()
            made["DATABASE_URL"], made["DATABASE_OWNER_URL"] = postgres.app_url, postgres.owner_url
            made["AUDITOR_ROLE"] = make_url(postgres.auditor_url).username or ""
        if not settings.redis_url:
            made["REDIS_URL"] = embedded.valkey("work").url
        if not settings.mail_redis_url:
            made["MAIL_REDIS_URL"] = embedded.valkey("mail").url
        watch = threading.Thread(target=self._watch, args=(embedded,), daemon=True)
        self._stack.callback(watch.join, 5.0)
        self._stack.callback(self._stop.set)
        watch.start()
        return made

    def _watch(self, embedded: Embedded) -> None:
        """Start an embedded server again when it has died."""
        while not self._stop.wait(0.5):
            for name in embedded.check():
                self._say(f"{name} has ended; starting it again")
                try:
                    embedded.restart(name)
                except Exception as error:
                    # whatever stopped it may pass; the next round tries again, and says so each time
                    self._say(f"{name} does not start: {type(error).__name__}")

    def _keyring(self) -> str:
        """The development key ring: made once, kept beside the data, readable by us only."""
        path = self.data_dir / "keyring"
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write("dev1:" + base64.b64encode(secrets.token_bytes(32)).decode())
        return path.read_text(encoding="utf-8").strip()

    def _metrics(self) -> str:
        folder = self.data_dir / "metrics"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return str(folder)

    def _lend(self, environ: Mapping[str, str]) -> None:
        """Let our children and commands beside us find the servers: a file only we can read, gone when we are."""
        lent = (*LENT, "ZOHO_", "GOOGLE_", "MAIL_")
        kept = {name: value for name, value in environ.items() if name.startswith(lent)}
        written = self._lent.with_suffix(".new")
        written.unlink(missing_ok=True)
        handle = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(kept, file)
        self._stack.callback(self._lent.unlink, missing_ok=True)
        written.rename(self._lent)  # whole or not at all

    def _children(self) -> list[Child]:
        def linekeeper(*words: str) -> list[str]:
            return [sys.executable, "-m", "app", *words]

        env = {
            **self._environ,
            "LINEKEEPER_HOUSE": str(self._lent),
            "PROMETHEUS_MULTIPROC_DIR": self._metrics(),
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            "PYTHONUNBUFFERED": "1",
        }
        children = []
        if self.stage:
            last = list(self.stage.values())[-1]
            stage = linekeeper("stage", "--port", str(self._stage_port))
            children.append(Child(name="stage", argv=stage, env=env, ready=lambda: _answers(last)))
        ready = f"http://127.0.0.1:{self.settings.port}/readyz"
        children.append(Child(name="crew", argv=linekeeper("crew"), env=env, ready=lambda: _answers(ready)))
        return children


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback address
            return True
    except urllib.error.HTTPError:
        return True  # it answers; what it says is not asked here
    except OSError:
        return False


def _wait_for_signal() -> threading.Event:
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    return stop


@cli.command()
@click.option("--stage/--no-stage", "with_stage", default=False, help="Run the understudies too.")
@click.option("--stage-port", type=int, default=9100, show_default=True)
@click.pass_obj
def up(parts: Parts, with_stage: bool, stage_port: int) -> None:
    """Run the whole house on this machine and stay: servers that no setting names, web, workers, timetable."""
    stop = _wait_for_signal()
    with House(os.environ, say=click.echo, parts=parts, stage=with_stage, stage_port=stage_port) as house:
        click.echo(f"Linekeeper is up: {house.origin}/console/  (logs in {house.log_dir})")
        while not stop.wait(0.5):
            pass
        click.echo("Stopping.")


@cli.command()
@click.option("--once", is_flag=True, help="End after the story; non-zero if any step failed.")
@click.option("--stage-port", type=int, default=9100, show_default=True, help="First port of the understudies.")
@click.pass_obj
def demo(parts: Parts, once: bool, stage_port: int) -> None:
    """Tell the whole story on the stage, with real processes, then stay up to look around."""
    stop = _wait_for_signal()
    environ = dict(os.environ)
    environ.setdefault("DATA_DIR", str(Path("var") / "demo"))
    shutil.rmtree(environ["DATA_DIR"], ignore_errors=True) if _is_demo(environ["DATA_DIR"]) else None
    with House(environ, say=click.echo, parts=parts, stage=True, stage_port=stage_port) as house:
        told = parts.tell_story(house, click.echo, stop=stop)
        if not once and not stop.is_set():
            click.echo("Everything stays up until you press Ctrl-C.")
            while not stop.wait(0.5):
                pass
    if not told:
        raise CannotStart("The story did not go as it should; the crosses above say where.")


def _is_demo(folder: str) -> bool:
    """Is this a folder an earlier demo made, and nothing else?"""
    path = Path(folder)
    return path.name == "demo" and path.parent.name == "var" and path.exists()
