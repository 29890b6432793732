"""The baseline: `linekeeper serve` with a bare Flask application, and a knock answered as it is taken in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flask import Flask

import app
from commands.cli import cli
from jobs.services import Services
from webhooks.telephony import DONE, Thanks


def bare(services: Services) -> Flask:
    """The least this server can do with a knock: answer 202 and forget it."""
    empty = Flask("bare", static_folder=None)
    empty.extensions["linekeeper.at_once"] = forget
    return empty


async def forget(path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Thanks:
    """Say that it is written down."""
    return DONE


if __name__ == "__main__":
    cli.rooms = app.COMMANDS
    cli(["serve"], obj=replace(app.PARTS, create_app=bare), prog_name="linekeeper")
