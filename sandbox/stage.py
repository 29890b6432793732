"""The stage: finds every integration's understudy by existing and serves each on a port of its own, in one process.

Nothing is played here. An understudy is a `sandbox` module or package inside `integrations`, with `SERVERS`, the names
of its servers, and `create_apps(origins, now)`, a WSGI application for each.
"""

from __future__ import annotations

import importlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import waitress.server

import integrations
from domain.errors import Trouble
from sandbox import cast

HOST = "127.0.0.1"
THREADS = 16  # of each server: a fault may keep several requests hanging, and the control plane must answer beside them
MAIL_CACHE_SECONDS = 15  # short enough to watch mail go
CONTACTS_SYNC_SECONDS = 3  # short enough to watch the sweep come round


class CannotServe(Trouble):
    """The stage cannot be set up."""

    code = "stage"


def servers(only: str | None = None) -> list[str]:
    """Name every server in the order of its port; `only` those of one understudy, by its folder's name."""
    return [name for understudy in _understudies(only) for name in understudy.SERVERS]


def environment(origins: Mapping[str, str], base_url: str) -> dict[str, str]:
    """What a Linekeeper at `base_url` is told so that its whole outside world is this stage."""
    google = origins["google"]
    return {
        "BASE_URL": base_url,
        "ZOHO_CLIENT_ID": cast.ZOHO_CLIENT,
        **{f"ZOHO_CLIENT_SECRET_{code.upper()}": secret for code, secret in cast.ZOHO_SECRETS.items()},
        "ZOHO_SERVERINFO_URL": f"{origins['zoho-us']}/oauth/serverinfo",
        "GOOGLE_CLIENT_ID": cast.GOOGLE_CLIENT,
        "GOOGLE_CLIENT_SECRET": cast.GOOGLE_SECRET,
        "GOOGLE_AUTH_URI": f"{google}/o/oauth2/v2/auth",
        "GOOGLE_TOKEN_URI": f"{google}/token",
        "GOOGLE_REVOKE_URI": f"{google}/revoke",
        "GOOGLE_CERTS_URI": f"{google}/oauth2/v3/certs",
        "GOOGLE_RISC_CONFIGURATION_URI": f"{google}/.well-known/risc-configuration",
        "GOOGLE_API_ROOT": google,
        "GOOGLE_PUBSUB_TOPIC": cast.TOPIC,
        "GOOGLE_PUBSUB_SERVICE_ACCOUNT": cast.PUBSUB_ACCOUNT,
        "GOOGLE_ADDON_CLIENT_ID": cast.ADDON_CLIENT,
        "GOOGLE_ADDON_SERVICE_ACCOUNT": cast.ADDON_ACCOUNT,
        "ALLOWED_PRIVATE_HOSTS": HOST,
        "MAIL_CACHE_SECONDS": str(MAIL_CACHE_SECONDS),
        "CONTACTS_SYNC_SECONDS": str(CONTACTS_SYNC_SECONDS),
    }


class Stage:
    """Understudies being served. A context manager; `origins` says where each server is."""

    def __init__(
        self, *, port: int = 0, only: str | None = None, now: Callable[[], float] = time.time, option: str = "--port"
    ) -> None:
        """Take `port` and those after it, or any free ones for 0; `option` is what chooses other ports."""
        self._now = now
        self._understudies = _understudies(only)
        names = [name for understudy in self._understudies for name in understudy.SERVERS]
        self._sockets: dict[str, socket.socket] = {}
        try:
            for place, name in enumerate(names):
                self._sockets[name] = _listen(port + place if port else 0, len(names), option)
        except BaseException:
            self._close_sockets()
            raise
        self.origins = {name: f"http://{HOST}:{taken.getsockname()[1]}" for name, taken in self._sockets.items()}
        self._serving: list[tuple[Any, threading.Thread]] = []
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of queues whenever a fault makes requests wait
        for understudy in self._understudies:
            origins = {name: self.origins[name] for name in understudy.SERVERS}
            for name, app in understudy.create_apps(origins, self._now).items():
                server = waitress.server.create_server(
                    app, sockets=[self._sockets[name]], threads=THREADS, ident="", map={}
                )
                thread = threading.Thread(target=_run, args=(server, self._stopping), name=f"stage-{name}", daemon=True)
                self._serving.append((server, thread))
                thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for server, _ in self._serving:
            with suppress(OSError):  # it may have seen by itself that we are stopping
                server.pull_trigger()
        for server, thread in self._serving:
            thread.join(5)
            server.task_dispatcher.shutdown(cancel_pending=True, timeout=1)
        self._close_sockets()

    def _close_sockets(self) -> None:
        for taken in self._sockets.values():
            taken.close()


def serve(
    *,
    port: int = 9100,
    only: str | None = None,
    say: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve the stage until `stop` is set, or for ever. Raises CannotServe in one plain sentence."""
    with Stage(port=port, only=only) as stage:
        width = max(map(len, stage.origins))
        for name, origin in stage.origins.items():
            say(f"{name:<{width}}  {origin}  (controls below {origin}/_stage/)")
        (stop or threading.Event()).wait()


def _understudies(only: str | None) -> list[ModuleType]:
    """Import every understudy, in the order of their folders."""
    house = Path(integrations.__file__ or "").parent
    found = {path.parent for path in house.rglob("sandbox.py")} | {
        path.parent.parent for path in house.rglob("sandbox/__init__.py")
    }
    names = (".".join(("integrations", *folder.relative_to(house).parts, "sandbox")) for folder in sorted(found))
    modules = {name.split(".")[-2]: importlib.import_module(name) for name in names}
    understudies = {name: one for name, one in modules.items() if hasattr(one, "SERVERS")}  # the rest they share
    if only is not None and only not in understudies:
        raise CannotServe(f"There is no understudy called {only!r}; there are {', '.join(understudies)}.")
    return [one for name, one in understudies.items() if only in (None, name)]


def _listen(port: int, many: int, option: str) -> socket.socket:
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
    except (OSError, OverflowError):
        taken.close()
        raise CannotServe(
            f"Port {port} is taken; the stage needs {many} in a row, choose others with {option}."
        ) from None
    return taken


def _run(server: Any, stopping: threading.Event) -> None:
    """Serve until told to stop; waitress itself only stops with its process."""
    while not stopping.is_set():
        server.asyncore.loop(timeout=1.0, map=server._map, use_poll=True, count=1)
    server.asyncore.close_all(server._map, ignore_all=True)
