"""The stage by itself: Zoho, Google and the phone systems played on loopback, for demos, tests and other clients."""

from __future__ import annotations

import click

from commands.cli import Parts, cli


@cli.command()
@click.option("--only", help="One understudy by its folder's name: zoho, google, standard.")
@click.option("--port", type=int, default=9100, show_default=True, help="The first port; the others follow it.")
@click.pass_obj
def stage(parts: Parts, only: str | None, port: int) -> None:
    """Run the understudies of Zoho, Google and the phone systems, for demos, tests and other clients."""
    parts.serve_stage(port=port, only=only, say=click.echo)
