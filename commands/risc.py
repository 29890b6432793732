"""Cross-Account Protection: where Google sends what happens to the accounts that consented."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

import click

import settings as configuration
from commands.cli import as_json, cli, say, with_house

if TYPE_CHECKING:
    from integrations.google.streams import Streams

DOOR = "/webhooks/google/risc"


@cli.group()
def risc() -> None:
    """Where Google sends what happens to accounts (Cross-Account Protection)."""


@risc.command("register")
@as_json
def risc_register(json_: bool) -> None:
    """Have Google send what happens to accounts to this house."""
    streams, url = _streams()
    streams.register(url)
    say({"url": url}, f"Google sends security events to {url}. Try it: linekeeper risc verify.", json_=json_)


@risc.command("status")
@as_json
def risc_status(json_: bool) -> None:
    """Show where Google sends events, and which; exit status 1 when they do not all come here."""
    streams, url = _streams()
    stream = streams.look()
    if stream is None:
        raise click.ClickException("No stream is registered. `linekeeper risc register` does that.")
    facts = {"url": stream.url, "status": stream.status, "events": stream.events, "missing": stream.missing}
    lines = [f"{name}: {', '.join(value) if isinstance(value, tuple) else value}" for name, value in facts.items()]
    say(facts, "\n".join(lines), json_=json_)
    if stream.url != url or stream.missing or stream.status == "disabled":
        raise click.ClickException(f"They do not all come to {url}. `linekeeper risc register` sets that right.")


@risc.command("verify")
@as_json
def risc_verify(json_: bool) -> None:
    """Have Google send a test event; the web process that takes it in logs `risc_verified`."""
    streams, _ = _streams()
    state = secrets.token_hex(8)
    streams.verify(state)
    say({"state": state}, "Google sends a test event now. Look for `risc_verified` in the log.", json_=json_)


@risc.command("remove")
@click.option("--yes", is_flag=True, help="Without it nothing happens.")
@as_json
def risc_remove(yes: bool, json_: bool) -> None:
    """Have Google send no events any more: a withdrawn permission is then noticed when it is next used."""
    if not yes:
        raise click.UsageError("Withdrawals would be noticed late from then on. Repeat it with --yes.")
    streams, _ = _streams()
    streams.stop()
    say({"status": "disabled"}, "Google sends no security events any more.", json_=json_)


def _streams() -> tuple[Streams, str]:
    """The stream of the operator's project, and where it should lead."""
    from integrations.google.robot import Robot
    from integrations.google.sessions import Sessions
    from integrations.google.streams import Streams

    settings, http = configuration.read(with_house(os.environ)), Sessions()
    if not settings.google_service_account_key:
        raise click.ClickException("Set GOOGLE_SERVICE_ACCOUNT_KEY to the JSON key of a service account first.")
    timeout = float(settings.request_timeout_seconds)
    robot = Robot(settings.google_service_account_key, settings.google_token_uri, http, time.time, timeout=timeout)
    return Streams(robot, http, root=settings.google_api_root, timeout=timeout), settings.origin + DOOR
