"""The baseline: `linekeeper serve` with one bare Flask route where the doors and the console would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flask import Flask, Response

import app
from commands.cli import cli
from jobs.services import Services


def bare(services: Services) -> Flask:
    """The least a Flask application can do with a knock: answer 202 and forget it."""
    door = Flask("bare", static_folder=None)

    @door.post("/webhooks/telephony/<door>")
    def receive(door: str) -> Response:
        return Response(status=202)

    door.extensions["linekeeper.at_once"] = nothing
    return door


async def nothing(path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    """Leave it to Flask."""


if __name__ == "__main__":
    cli.rooms = app.COMMANDS
    cli(["serve"], obj=replace(app.PARTS, create_app=bare), prog_name="linekeeper")
