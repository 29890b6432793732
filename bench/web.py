"""A web process to measure, served by `linekeeper serve` itself: the doors, or one bare Flask route in their place."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

from flask import Flask, Response

import webhooks
from commands import cli, run
from jobs.services import Services


def doors(services: Services) -> Flask:
    """The doors as the product hangs them."""
    app = Flask("linekeeper", static_folder=None)
    webhooks.init_app(app, services)
    return app


def bare(services: Services) -> Flask:
    """The least a Flask application can do with a knock: answer 202 and forget it."""
    app = Flask("bare", static_folder=None)

    @app.post("/webhooks/telephony/<door>")
    def receive(door: str) -> Response:
        return Response(status=202)

    return app


def _elsewhere(*_: Any, **__: Any) -> Any:
    raise NotImplementedError("only `serve` is run here")


def main(application: str) -> None:
    parts: dict[str, Any] = {part.name: _elsewhere for part in fields(cli.Parts)}
    parts["create_app"] = {"doors": doors, "bare": bare}[application]
    assert run.serve in cli.cli.commands.values()
    cli.cli(["serve"], obj=cli.Parts(**parts), prog_name="linekeeper")


if __name__ == "__main__":
    main(sys.argv[1])
