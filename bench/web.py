"""The baseline: `linekeeper serve` with a bare Flask application, and a knock answered as it is taken in."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from flask import Flask

import app
from commands.cli import cli
from jobs.services import Services
from webhooks.telephony import Taken


def bare(services: Services) -> Flask:
    """The least this server can do with a knock: answer 202 and forget it."""
    empty = Flask("bare", static_folder=None)
    empty.extensions["linekeeper.at_once"] = forget
    return empty


def forget(path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Taken:
    """Say that it is committed."""
    done: Future[bool] = Future()
    done.set_result(True)
    return Taken(done, 202, "text/plain", b"")


if __name__ == "__main__":
    cli.rooms = app.COMMANDS
    cli(["serve"], obj=replace(app.PARTS, create_app=bare), prog_name="linekeeper")
