"""What every test may ask for, and what none may do: reach a network other than this machine."""

from __future__ import annotations

import gc
import ipaddress
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.once import once
from tests.servers import db, db_urls, mail_url, neighbour, servers, servers_dir, tenant, vault, work_url

__all__ = ["db", "db_urls", "mail_url", "neighbour", "once", "servers", "servers_dir", "tenant", "vault", "work_url"]


settings.register_profile("suite", max_examples=50, deadline=None)  # other examples every time
settings.load_profile("suite")

gc.disable()  # until all is imported (tests/once.py): no module becomes garbage

HERE = Path(__file__).parent
PROGRAMS = {
    "chromium": "chromium",
    "chromium-driver": "chromedriver",
    "sip-tester": "sipp",
}  # a Debian package and what it brings


def pytest_collection(session: pytest.Session) -> None:
    """Let workers that collect side by side begin at different files: what one of them compiled the others find."""
    whole_suite = session.config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if not whole_suite or "PYTEST_XDIST_WORKER" not in os.environ:
        return
    place, workers = int(os.environ["PYTEST_XDIST_WORKER"][2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    files = sorted(HERE.rglob("test_*.py"))
    for file in files[len(files) * place // workers : len(files) * (place + 1) // workers]:
        with suppress(Exception):  # the file itself will say so when its turn comes
            import_module(".".join(file.relative_to(HERE.parent).with_suffix("").parts))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose Debian packages are missing and name them; in CI that is a failure."""
    for mark in item.iter_markers("needs"):
        missing = [package for package in mark.args if shutil.which(PROGRAMS.get(package, package)) is None]
        if missing:
            words = f"needs the Debian package {' and '.join(missing)}"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(words)


def stays_here(family: int, address: Any) -> bool:
    """Is this address a socket file or loopback?"""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = str(address[0]).partition("%")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Fail the test that connects to anything but this machine, in whatever thread and whoever swallows the error."""
    touched: list[str] = []

    def guarded(real: Any) -> Any:
        def connect(self: socket.socket, address: Any) -> Any:
            if stays_here(self.family, address):
                return real(self, address)
            touched.append(f"{address[0]} port {address[1]}")
            raise OSError(f"a test tried to reach {touched[-1]}; fake the network instead")

        return connect

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))
    yield touched
    if touched:
        pytest.fail(f"this test reached out of the machine: {', '.join(touched)}")
