"""What the marketplaces read: rendered from the code into a folder, and checked against their limits."""

from __future__ import annotations

from pathlib import Path

import click

from commands.cli import as_json, cli, say
from jobs import marketplaces

FOLDER = Path("manifests")
folder_of = click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=FOLDER)
base_url_of = click.option(
    "--base-url", default=marketplaces.EXAMPLE, show_default=True, help="The address the world reaches us at."
)
mailbox_of = click.option("--mailbox", is_flag=True, help="With the restricted scopes that reading a mailbox needs.")


@cli.group()
def manifests() -> None:
    """What the Zoho and Google marketplaces read."""


@manifests.command("render")
@folder_of
@base_url_of
@mailbox_of
@as_json
def manifests_render(folder: Path, base_url: str, mailbox: bool, json_: bool) -> None:
    """Write deployment, scopes, configuration sheet, listing and Zoho's packages into a folder (default: manifests)."""
    files = marketplaces.rendered(_address(base_url), mailbox=mailbox)
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    say(sorted(files), f"{len(files)} files written to {folder}.", json_=json_)


@manifests.command("check")
@folder_of
@base_url_of
@mailbox_of
@as_json
def manifests_check(folder: Path, base_url: str, mailbox: bool, json_: bool) -> None:
    """Compare scopes in code, manifest and consent, and everything with what the marketplaces allow."""
    if not folder.is_dir():
        raise click.ClickException(f"There is no folder {folder}; `linekeeper manifests render` makes one.")
    found = marketplaces.faults(marketplaces.read(folder), _address(base_url), mailbox=mailbox)
    say({"faults": found}, "\n".join(found) or "Nothing is wrong with them.", json_=json_)
    if found:
        raise SystemExit(1)


def _address(base_url: str) -> str:
    if not base_url.startswith("https://") or base_url.rstrip("/").count("/") != 2:
        raise click.BadParameter("It is https:// and a host, and nothing behind it.", param_hint="--base-url")
    return base_url.rstrip("/")
