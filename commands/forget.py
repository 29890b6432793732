"""Forgetting on purpose: purge what is due, erase a person or a tenant, hand out what we hold, change keys."""

from __future__ import annotations

import json
from typing import Any

import click

from commands.cli import as_json, cli, say, services, tenants_of
from commands.desk import OPERATOR, tenants
from jobs import connect
from jobs import erase as erasing
from jobs import export as exporting
from jobs import purge as purging
from jobs.services import Services
from store import reseal
from store.connections import Tie
from store.vault import PURPOSES


@cli.command()
@as_json
def purge(json_: bool) -> None:
    """Delete everything whose time has come, now."""
    with services() as opened:
        gone = purging.purge(opened)
    facts = {
        "mail keys": gone.mail.buckets,
        "messages": gone.mail.leftovers,
        "rows": {str(tenant): dict(went) for tenant, went in gone.tenants.items()},
        "failed": {str(tenant): code for tenant, code in gone.failed.items()},
    }
    rows = sum(sum(went.values()) for went in gone.tenants.values())
    say(facts, f"Purged {gone.mail.buckets} mail keys and {rows} rows.", json_=json_)


@cli.command()
@click.option("--tenant", required=True)
@click.option("--number", "numbers", multiple=True, help="A telephone number of the person; may be repeated.")
@click.option("--email", "emails", multiple=True, help="An address of the person; may be repeated.")
@click.option("--yes", is_flag=True, help="Without it nothing happens.")
@as_json
def erase(tenant: str, numbers: tuple[str, ...], emails: tuple[str, ...], yes: bool, json_: bool) -> None:
    """Erase one person from everything a tenant keeps here, and keep them from coming back."""
    if not yes:
        raise click.UsageError("This cannot be undone. Repeat it with --yes.")
    if not numbers and not emails:
        raise click.UsageError("Name the person by --number or --email.")
    with services() as opened:
        (one,) = tenants_of(opened, tenant)
        result = erasing.erase(opened, one, numbers=numbers, emails=emails, actor=OPERATOR)
    say(result, f"Erased: {json.dumps(result, default=str)}", json_=json_)


@tenants.command("erase")
@click.argument("tenant")
@click.option("--yes", is_flag=True, help="Without it nothing happens.")
@as_json
def tenants_erase(tenant: str, yes: bool, json_: bool) -> None:
    """Disconnect a tenant everywhere, destroy its keys and delete its rows."""
    if not yes:
        raise click.UsageError("This cannot be undone. Repeat it with --yes.")
    with services() as opened:
        (one,) = tenants_of(opened, tenant)
        for tie in opened.connections.all(one, connected=True):
            _withdraw(opened, tie)
        result = erasing.erase_tenant(opened, one, actor=OPERATOR)
    say(result, "Erased. Its keys are destroyed.", json_=json_)


def _withdraw(opened: Services, tie: Tie) -> None:
    """Disconnect, on behalf of the tenant's administrator."""
    admin = next((user for user in opened.tenants.users(tie.tenant) if user.role == "admin"), None)
    if admin is not None:
        connect.disconnect(opened, user=admin, tie=tie.id)


@tenants.command("export")
@click.argument("tenant")
def tenants_export(tenant: str) -> None:
    """Write everything we hold of a tenant to standard output, one JSON object a line."""
    with services() as opened:
        (one,) = tenants_of(opened, tenant)
        for line in exporting.export_tenant(opened, one, actor=OPERATOR):
            click.echo(line)


@cli.group()
def keys() -> None:
    """The key ring and tenants' keys."""


@keys.command("list")
@as_json
def keys_list(json_: bool) -> None:
    """Name the keys of the ring, the sealing one first. Never shows a key."""
    with services() as opened:
        ids = opened.vault.ring.ids()
    say(ids, "\n".join(f"{kid}{'  (wraps)' if place == 0 else ''}" for place, kid in enumerate(ids)), json_=json_)


@keys.command("rotate")
@click.option("--tenant", help="Also give this tenant new keys of its own.")
@as_json
def keys_rotate(tenant: str | None, json_: bool) -> None:
    """Wrap every key with the first key of the ring; the others can then leave KEYRING."""
    with services() as opened:
        count, resealed = opened.vault.rewrap(), 0
        if tenant is not None:
            (one,) = tenants_of(opened, tenant)
            resealed = reseal.renew(opened.db, opened.vault, one)
            opened.ledger.note(one, "keys.renewed", actor=OPERATOR, rows=resealed)
    sentence = f"{count} keys are now wrapped by {opened.vault.ring.first}."
    if tenant is not None:
        sentence += f" {resealed} values are sealed with the tenant's new key; the old one is destroyed."
    say({"rewrapped": count, "resealed": resealed}, sentence, json_=json_)


@keys.command("destroy")
@click.argument("tenant")
@click.option("--purpose", type=click.Choice(PURPOSES), required=True)
@click.option("--yes", is_flag=True, help="Without it nothing happens.")
@as_json
def keys_destroy(tenant: str, purpose: Any, yes: bool, json_: bool) -> None:
    """Destroy a tenant's key: what it sealed can never be read again."""
    if not yes:
        raise click.UsageError("What this key sealed can never be read again. Repeat it with --yes.")
    with services() as opened:
        (one,) = tenants_of(opened, tenant)
        with opened.db.tenant(one) as database:
            count = opened.vault.destroy(database, one, [purpose])
            opened.ledger.write(database, one, "keys.destroyed", actor=OPERATOR, purpose=purpose, count=count)
    say({"destroyed": count}, f"{count} destroyed.", json_=json_)


@cli.group()
def certificate() -> None:
    """Certificates of what was destroyed."""


@certificate.command("verify")
@click.argument("file", type=click.File("r"))
@as_json
def certificate_verify(file: Any, json_: bool) -> None:
    """Say whether a certificate is ours and unchanged."""
    with services() as opened:
        good = opened.certificates.verify(json.load(file))
    say({"genuine": good}, "Genuine and unchanged." if good else "Not genuine, or changed.", json_=json_)
    if not good:
        raise SystemExit(1)
