"""The root of all commands: how they answer, how they fail, and the parts that only `app.py` may join."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import click
from flask import Flask
from sqlalchemy.exc import OperationalError

import settings as configuration
from commands import logs
from commands.supervise import CannotStart
from domain.errors import Trouble
from jobs.services import Services, open_services
from store.database import UnsafeRole
from store.embedded.processes import EmbeddedError

EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a command needs from rooms it may not enter; `app.py` hands it over."""

    create_app: Callable[[Services], Flask]
    serve_stage: Callable[..., Any]
    stage_servers: Callable[[], list[str]]
    stage_environment: Callable[[Mapping[str, str], str], Mapping[str, str]]
    set_up_stage: Callable[[Mapping[str, str], str], Any]
    tell_story: Callable[..., bool]
    openapi: Callable[[Flask], dict[str, Any]]


class PlainErrors(click.Group):
    """Turn every trouble that has a name into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except configuration.BadSettings as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            ctx.exit(EXIT_CONFIGURATION)
        except UnsafeRole as error:
            click.echo(str(error), err=True)
            ctx.exit(EXIT_CONFIGURATION)
        except (Trouble, EmbeddedError, CannotStart) as error:
            raise click.ClickException(str(error)) from None
        except OperationalError:
            raise click.ClickException("PostgreSQL cannot be reached at DATABASE_URL.") from None


@click.group(cls=PlainErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


@contextmanager
def services(*, pool_size: int = 2) -> Iterator[Services]:
    """Open the tools for one command. A running `linekeeper up` lends its addresses when none are set."""
    opened = open_services(configuration.read(with_house(os.environ)), pool_size=pool_size)
    try:
        yield opened
    finally:
        opened.close()


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
