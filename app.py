"""Linekeeper's table of contents: settings -> services -> doors -> commands.

Nothing happens on import, and a command brings in only the rooms it needs: a worker starts without the console, the
stage without PostgreSQL. `create_app` joins doors and console to the services; `main` is the `linekeeper` command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from commands.cli import Parts, cli

if TYPE_CHECKING:
    from flask import Flask

    from jobs.services import Services

MOST_BYTES = 256 * 1024

COMMANDS = {  # name -> the room that tells it
    **dict.fromkeys(("up", "demo"), "commands.up"),
    **dict.fromkeys(("crew", "serve", "worker", "timetable"), "commands.run"),
    "listen": "commands.listen",
    "stage": "commands.stage",
    **dict.fromkeys(("tenants", "connections", "deliveries", "contacts"), "commands.desk"),
    "calls": "commands.calls",
    **dict.fromkeys(("sync", "reconcile"), "commands.desk"),
    "apikeys": "commands.apikeys",
    **dict.fromkeys(("purge", "erase", "keys", "certificate"), "commands.forget"),
    "manifests": "commands.manifests",
    "risc": "commands.risc",
    **dict.fromkeys(("ledger", "db", "doctor", "scan", "openapi"), "commands.prove"),
}


def create_app(services: Services) -> Flask:
    """Join doors and console to the services; one application a process."""
    from flask import Flask

    import console
    import webhooks

    app = Flask("linekeeper", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    webhooks.init_app(app, services)
    app.register_blueprint(console.create_console(services))
    return app


def warm_up() -> None:
    """Import what a web process or a worker needs, so that a crew of them imports it once."""
    import console
    import webhooks
    from integrations import telephony_vendors

    telephony_vendors()
    del console, webhooks


def stage_servers() -> list[str]:
    """The names of the stage's servers, in port order."""
    from sandbox import stage

    return stage.servers()


def serve_stage(**options: Any) -> None:
    """Run the stage until it is told to stop."""
    from sandbox import stage

    stage.serve(**options)


def stage_environment(origins: Mapping[str, str], base_url: str) -> Mapping[str, str]:
    """The settings with which everything outside is the stage."""
    from sandbox import stage

    return stage.environment(origins, base_url)


def set_up_stage(origins: Mapping[str, str], base_url: str) -> None:
    """Put the cast on the stage."""
    from sandbox import cast

    cast.set_up(origins, base_url)


def tell_story(house: Any, *words: Any, **options: Any) -> bool:
    """Tell the first story in a house that stands."""
    from sandbox import story

    return story.tell(house, *words, **options)


PARTS = Parts(
    create_app=create_app,
    warm_up=warm_up,
    serve_stage=serve_stage,
    stage_servers=stage_servers,
    stage_environment=stage_environment,
    set_up_stage=set_up_stage,
    tell_story=tell_story,
)


def main() -> None:
    """Run the `linekeeper` command."""
    cli.rooms = COMMANDS
    cli(obj=PARTS, prog_name="linekeeper")


if __name__ == "__main__":
    main()
