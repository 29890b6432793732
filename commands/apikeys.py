"""Keys of tenants' own programs: listed, made and revoked by the operator, with a row in the tenant's ledger."""

from __future__ import annotations

from uuid import UUID

import click

from commands.cli import as_json, cli, say, services, table, tenants_of
from domain.api_key import SCOPES
from domain.errors import Missing

OPERATOR = "operator"


@cli.group()
def apikeys() -> None:
    """Keys with which tenants' own programs knock at /api/v1."""


@apikeys.command("list")
@click.option("--tenant", help="A tenant's id; without it, all of them.")
@as_json
def apikeys_list(tenant: str | None, json_: bool) -> None:
    """List keys: how each begins, what it is for, when it was used. Their names are the tenant's."""
    with services() as opened:
        rows = [
            {
                "id": key.id,
                "tenant": one,
                "begins": key.prefix,
                "scopes": " ".join(key.scopes),
                "last used": key.last_used_at or "never",
                "revoked": key.revoked_at or "",
            }
            for one in tenants_of(opened, tenant)
            for key in opened.api_keys.all(one)
        ]
    table(rows, json_=json_, nothing="There are no keys.")


@apikeys.command("create")
@click.option("--tenant", required=True)
@click.option("--label", required=True, help="What the key is for, in the tenant's words.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="May be repeated.")
@as_json
def apikeys_create(tenant: str, label: str, scopes: tuple[str, ...], json_: bool) -> None:
    """Make a key and show it, this once."""
    with services() as opened:
        (one,) = tenants_of(opened, tenant)
        key, value = opened.api_keys.create(one, label=label[:80], scopes=scopes)
        opened.ledger.note(one, "key.created", actor=OPERATOR, subject=f"api_keys:{key.id}", scopes=list(key.scopes))
    say({"id": key.id, "key": value}, f"{value}\nIt is shown this once. Its id is {key.id}.", json_=json_)


@apikeys.command("revoke")
@click.argument("key")
@as_json
def apikeys_revoke(key: str, json_: bool) -> None:
    """Make a key worthless at once."""
    try:
        wanted = UUID(key)
    except ValueError:
        raise click.ClickException("A key is named by its id; `linekeeper apikeys list` shows them.") from None
    with services() as opened:
        for tenant in opened.db.tenants():
            try:
                was_good = opened.api_keys.revoke(tenant, wanted)
            except Missing:
                continue
            if was_good:
                opened.ledger.note(tenant, "key.revoked", actor=OPERATOR, subject=f"api_keys:{wanted}")
            break
        else:
            raise Missing("There is no such key.")
    say({"revoked": was_good}, "Revoked." if was_good else "It was revoked before.", json_=json_)
