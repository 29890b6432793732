"""Linekeeper's table of contents: settings -> services -> doors -> commands.

Nothing happens on import. `create_app` joins the doors and the console to the services they are given;
`main` is the `linekeeper` command.
"""

from __future__ import annotations

from typing import Any

import sandbox.story
from flask import Flask

import console
import webhooks
from commands import cli, desk, forget, prove, run, up
from jobs.services import Services
from sandbox import cast, stage

MOST_BYTES = 256 * 1024

COMMANDS = (run, up, desk, forget, prove)  # each module adds its own commands to `cli.cli`


def create_app(services: Services) -> Flask:
    """Join doors and console to the services; one application a process."""
    app = Flask("linekeeper", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it
    webhooks.init_app(app, services)
    app.register_blueprint(console.create_console(services))
    return app


def openapi(app: Flask) -> dict[str, Any]:
    """What the doors take, as published at /openapi.json."""
    with app.test_client() as client:
        document: dict[str, Any] = client.get("/openapi.json").get_json()
    return document


PARTS = cli.Parts(
    create_app=create_app,
    serve_stage=stage.serve,
    stage_servers=stage.servers,
    stage_environment=stage.environment,
    set_up_stage=cast.set_up,
    tell_story=sandbox.story.tell,
    openapi=openapi,
)


def main() -> None:
    """Run the `linekeeper` command."""
    cli.cli(obj=PARTS, prog_name="linekeeper")


if __name__ == "__main__":
    main()
