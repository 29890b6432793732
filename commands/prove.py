"""Proof on demand: the ledger's chain, the database's revision, the doors' description, and a doctor for all of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

import settings as configuration
from commands.cli import Parts, as_json, cli, say, services, table, tenants_of, with_house
from commands.desk import of_tenant
from domain.errors import Trouble
from jobs.services import Services
from store import schema
from store.auditor import scan


@cli.group()
def ledger() -> None:
    """The record of who did or read what."""


@ledger.command("verify")
@of_tenant
@as_json
def ledger_verify(tenant: str | None, json_: bool) -> None:
    """Walk each tenant's chain from its first row and say where one breaks."""
    with services() as opened:
        verdicts = [(one, opened.ledger.verify(one)) for one in tenants_of(opened, tenant)]
    rows = [
        {"tenant": one, "rows": verdict.rows, "holds": verdict.holds, "broken at": verdict.broken_at or ""}
        for one, verdict in verdicts
    ]
    table(rows, json_=json_, nothing="There is no ledger yet.")
    if not all(verdict.holds for _, verdict in verdicts):
        raise click.ClickException("A ledger was changed after it was written.")


@cli.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
@as_json
def db_upgrade(json_: bool) -> None:
    """Apply the migrations that are missing, as DATABASE_OWNER_URL, and give DATABASE_URL's role its rights."""
    settings = configuration.read(with_house(os.environ))
    if not settings.database_url or not settings.database_owner_url:
        raise click.ClickException(
            "Set DATABASE_OWNER_URL (who owns the tables) and DATABASE_URL (who works with them)."
        )
    role = make_url(settings.database_url).username or ""
    revision = schema.upgrade(settings.database_owner_url, role, os.environ.get("AUDITOR_ROLE", ""))
    say({"revision": revision}, f"The database is at revision {revision}.", json_=json_)


@cli.command()
@click.pass_obj
def openapi(parts: Parts) -> None:
    """Print the OpenAPI description of every door."""
    with services() as opened, parts.create_app(opened).test_client() as client:
        click.echo(json.dumps(client.get("/openapi.json").get_json(), indent=2, sort_keys=True))


@cli.command("scan")
@click.argument("needles", type=click.File("r"))
@as_json
def scan_(needles: Any, json_: bool) -> None:
    """Search every file and both Valkeys for texts that must not be there (one a line in NEEDLES; - for stdin).

    Names where and in which encoding, never the text itself. Exit status 1 when anything was found.
    """
    texts = [line.rstrip("\n") for line in needles if line.strip()]
    settings = configuration.read(with_house(os.environ))
    found = scan(texts, files=[Path(settings.data_dir)], redis_urls=[settings.redis_url, settings.mail_redis_url])
    rows = [{"where": item.where, "line": item.needle_index + 1, "encoding": item.encoding} for item in found]
    table(rows, json_=json_, nothing=f"None of {len(texts)} texts is anywhere.")
    if found:
        raise SystemExit(1)


@cli.command()
@as_json
def doctor(json_: bool) -> None:
    """Check what has to be true before a tenant can rely on this house."""
    rows = []
    with services() as opened:
        for name, check in CHECKS.items():
            try:
                check(opened)
                rows.append({"check": name, "result": "ok", "remedy": ""})
            except Trouble as error:
                rows.append({"check": name, "result": "not ok", "remedy": str(error)})
            except ProgrammingError:
                rows.append({"check": name, "result": "not ok", "remedy": "Run `linekeeper db upgrade` first."})
    table(rows, json_=json_, nothing="")
    if any(row["result"] != "ok" for row in rows):
        raise SystemExit(1)


def _migrated(opened: Services) -> None:
    missing = schema.pending(opened.settings.database_url)
    if missing:
        raise Trouble(f"{len(missing)} migrations are missing; run `linekeeper db upgrade`.")


def _doorbell(opened: Services) -> None:
    if not opened.bell.alive():
        raise Trouble("REDIS_URL does not answer; work is delayed until it does.")


def _clients(opened: Services) -> None:
    for name, value in (
        ("ZOHO_CLIENT_ID", opened.settings.zoho_client_id),
        ("GOOGLE_CLIENT_ID", opened.settings.google_client_id),
    ):
        if not value:
            raise Trouble(f"{name} is not set, so nobody can connect it.")


def _ledgers(opened: Services) -> None:
    for tenant in opened.db.tenants():
        if not opened.ledger.verify(tenant).holds:
            raise Trouble(f"The ledger of tenant {tenant} was changed after it was written.")


CHECKS: dict[str, Callable[[Services], Any]] = {
    "database role cannot look past row-level security": lambda opened: opened.db.check_role(),
    "migrations are applied": _migrated,
    "doorbell answers": _doorbell,
    "mail cache keeps nothing on disk": lambda opened: opened.mail.refuse_persistent(),
    "OAuth clients are set": _clients,
    "ledgers hold": _ledgers,
}
