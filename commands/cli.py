"""The root of all commands: how they answer, how they fail, and the parts that only `app.py` may join."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

import settings as configuration
from commands import logs
from domain.errors import Trouble

if TYPE_CHECKING:
    from flask import Flask

    from jobs.services import Services

HOUSE_SECONDS = 60.0
EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a command needs from rooms it may not enter; `app.py` hands it over."""

    create_app: Callable[[Services], Flask]
    warm_up: Callable[[], None]
    serve_stage: Callable[..., Any]
    stage_servers: Callable[[], list[str]]
    stage_environment: Callable[[Mapping[str, str], str], Mapping[str, str]]
    set_up_stage: Callable[[Mapping[str, str], str], Any]
    tell_story: Callable[..., bool]


class Rooms(click.Group):
    """Commands by the room that tells each, entered when asked for; a trouble with a name is one sentence."""

    rooms: Mapping[str, str] = {}  # command -> module; `app.py` says

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.rooms)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.rooms:
            import_module(self.rooms[cmd_name])
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except configuration.BadSettings as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            ctx.exit(EXIT_CONFIGURATION)
        except Trouble as error:
            if error_code(error) == EXIT_CONFIGURATION:
                click.echo(str(error), err=True)
                ctx.exit(EXIT_CONFIGURATION)
            raise click.ClickException(str(error)) from None
        except Exception as error:
            if type(error).__name__ == "OperationalError":  # SQLAlchemy's, which most commands never import
                raise click.ClickException("PostgreSQL cannot be reached at DATABASE_URL.") from None
            raise


@click.group(cls=Rooms, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="linekeeper")
def cli() -> None:
    """Linekeeper ties a telephone system to Zoho and Google Workspace, and keeps nothing longer than it promised."""
    logs.set_up()


as_json = click.option("--json", "json_", is_flag=True, help="Answer in JSON.")


def say(value: Any, sentence: str, *, json_: bool) -> None:
    """Answer: a sentence for a person, the facts for a program."""
    click.echo(json.dumps(value, default=str, ensure_ascii=False) if json_ else sentence)


def table(rows: list[dict[str, Any]], *, json_: bool, nothing: str) -> None:
    """Answer with a list: aligned columns for a person, an array for a program."""
    if json_:
        click.echo(json.dumps(rows, default=str, ensure_ascii=False))
        return
    if not rows:
        click.echo(nothing)
        return
    names = list(rows[0])
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def error_code(error: Exception) -> int:
    """EX_CONFIG for what the operator has to set right before anything can run."""
    return EXIT_CONFIGURATION if getattr(error, "code", "") == "database.unsafe_role" else 1


@contextmanager
def services(*, pool_size: int = 2) -> Iterator[Services]:
    """Open the tools for one command. A running `linekeeper up` lends its addresses when none are set."""
    from jobs.services import open_services

    opened = open_services(configuration.read(with_house(os.environ)), pool_size=pool_size)
    try:
        yield opened
    finally:
        opened.close()


def settings_of_house() -> configuration.Settings:
    """The settings of a process that `linekeeper up` started: it imports while the servers start, and waits here."""
    house = os.environ.get("LINEKEEPER_HOUSE")
    if house is None:
        return configuration.read()
    deadline = time.monotonic() + HOUSE_SECONDS
    while not Path(house).exists():
        if time.monotonic() > deadline:
            raise Trouble("The servers of this house did not start.")
        time.sleep(0.02)
    return configuration.read({**os.environ, **json.loads(Path(house).read_text(encoding="utf-8"))})


def with_house(environ: Mapping[str, str]) -> dict[str, str]:
    """Add what a running `linekeeper up` wrote down for commands beside it, in DATA_DIR/house.json (mode 0600)."""
    if environ.get("DATABASE_URL"):
        return dict(environ)
    path = configuration.read({**environ, "ENVIRONMENT": "development"}).data_dir / "house.json"
    if not path.exists():
        return dict(environ)
    return {**json.loads(path.read_text(encoding="utf-8")), **environ}


def tenants_of(opened: Services, named: str | None) -> list[UUID]:
    """The tenant a command was told, or all of them."""
    if named is None:
        return opened.db.tenants()
    try:
        tenant = UUID(named)
    except ValueError:
        raise click.ClickException("A tenant is named by its id; `linekeeper tenants list` shows them.") from None
    return [opened.tenants.get(tenant).id]
