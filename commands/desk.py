"""What an operator looks at and puts right: tenants, connections, deliveries, calls, contacts, syncs, the statement."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from commands.cli import as_json, cli, say, services, table, tenants_of
from domain import phone
from domain.besides import SOURCES
from domain.errors import Missing, Upstream
from jobs import alarms, both_ways, connect, passages, read_phonebook, reconcile, worker
from jobs.services import Services
from store.connections import Tie

of_tenant = click.option("--tenant", help="A tenant's id; without it, all of them.")
OPERATOR = "operator"
READS = ("read.crm", "read.book", *(source.chore for source in SOURCES), read_phonebook.CHORE)
PATIENCE_SECONDS = 600.0
PROGRESS_SECONDS = 2.0


@cli.group()
def tenants() -> None:
    """Customer organisations."""


@tenants.command("list")
@as_json
def tenants_list(json_: bool) -> None:
    """List every tenant by id, without names: those are theirs."""
    with services() as opened:
        rows = [
            {
                "id": tenant.id,
                "state": tenant.state,
                "profile": tenant.profile,
                "region": tenant.region,
                "activities by": tenant.call_writer,
            }
            for tenant in map(opened.tenants.get, opened.db.tenants())
        ]
    table(rows, json_=json_, nothing="Nobody has installed Linekeeper yet.")


@tenants.command("show")
@click.argument("tenant")
@as_json
def tenants_show(tenant: str, json_: bool) -> None:
    """Show what a tenant has connected and how much of what we hold."""
    with services() as opened:
        (one,) = tenants_of(opened, tenant)
        facts: dict[str, Any] = {
            "id": one,
            "state": opened.tenants.get(one).state,
            "connections": len(opened.connections.all(one, connected=True)),
            "contacts": opened.hub.count(one),
            "calls": sum(opened.calls.counts(one, datetime.fromtimestamp(0, UTC)).values()),
            "deliveries": opened.inbox.counts(one),
            "cached messages": opened.mail.counts(one),
        }
    say(facts, "\n".join(f"{name}: {value}" for name, value in facts.items()), json_=json_)


@cli.group()
def connections() -> None:
    """Tenants' ties to outside systems."""


@connections.command("list")
@of_tenant
@as_json
def connections_list(tenant: str | None, json_: bool) -> None:
    """List connections with their health."""
    with services() as opened:
        rows = [
            {
                "id": tie.id,
                "tenant": tie.tenant,
                "vendor": tie.vendor,
                "state": tie.state,
                "last success": tie.last_ok_at or "never",
                "reason": tie.reason,
                "announced": ", ".join(sorted(tie.facts.get(alarms.FACT, ()))),
            }
            for one in tenants_of(opened, tenant)
            for tie in opened.connections.all(one)
        ]
    table(rows, json_=json_, nothing="Nothing is connected.")


def _tie(opened: Services, connection: str) -> Tie:
    """Find a connection by id, whoever's it is."""
    try:
        wanted = UUID(connection)
    except ValueError:
        raise click.ClickException(
            "A connection is named by its id; `linekeeper connections list` shows them."
        ) from None
    for tenant in opened.db.tenants():
        try:
            return opened.connections.get(tenant, wanted)
        except Missing:
            continue
    raise Missing("There is no such connection.")


@connections.command("refresh")
@click.argument("connection")
@as_json
def connections_refresh(connection: str, json_: bool) -> None:
    """Make sure a connection's token is fresh; renew it if it is old."""
    with services() as opened:
        tie = _tie(opened, connection)
        if tie.vendor not in opened.providers:
            raise click.ClickException("This connection has no token: it is opened with a key.")
        opened.grants.token(tie.tenant, tie.id, opened.providers[tie.vendor])
    say({"connection": tie.id, "fresh": True}, "The token is fresh.", json_=json_)


@connections.command("revoke")
@click.argument("connection")
@click.option("--yes", is_flag=True, help="Without it nothing happens.")
@as_json
def connections_revoke(connection: str, yes: bool, json_: bool) -> None:
    """Disconnect: destroy what the connection brought, withdraw the consent, certify it."""
    if not yes:
        raise click.UsageError("This destroys what the connection brought. Repeat it with --yes.")
    with services() as opened:
        tie = _tie(opened, connection)
        admin = next((user for user in opened.tenants.users(tie.tenant) if user.role == "admin"), None)
        if admin is None:
            raise Missing("This tenant has no administrator to do it for.")
        certificate = connect.disconnect(opened, user=admin, tie=tie.id)
        opened.ledger.note(tie.tenant, "operator.disconnected", actor=OPERATOR, subject=f"connections:{tie.id}")
    say(certificate, "Disconnected. The certificate is in the tenant's console.", json_=json_)


@cli.group()
def deliveries() -> None:
    """What outside systems told us and we could not understand."""


@deliveries.command("list")
@of_tenant
@click.option("--by-cause", is_flag=True, help="One line a cause: how many, the oldest and the newest.")
@as_json
def deliveries_list(tenant: str | None, by_cause: bool, json_: bool) -> None:
    """List dead deliveries with their cause. Their bodies stay sealed."""
    with services() as opened:
        rows: list[dict[str, Any]] = [
            {"id": row, "tenant": one, "kind": kind, "cause": reason, "received": at}
            for one in tenants_of(opened, tenant)
            for row, kind, reason, at in opened.inbox.dead(one)
        ]
    table(_causes(rows) if by_cause else rows, json_=json_, nothing="No delivery is dead.")


def _causes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Group dead deliveries, the most frequent cause of a tenant first."""
    groups: dict[tuple[UUID, str, str], list[datetime]] = defaultdict(list)
    for row in rows:
        groups[row["tenant"], row["kind"], row["cause"]].append(row["received"])
    return [
        {"tenant": one, "kind": kind, "cause": cause, "dead": len(at), "oldest": min(at), "newest": max(at)}
        for (one, kind, cause), at in sorted(groups.items(), key=lambda group: (str(group[0][0]), -len(group[1])))
    ]


@deliveries.command("replay")
@click.argument("delivery", required=False)
@of_tenant
@click.option("--cause", help="Only those that died of this; `deliveries list --by-cause` shows the causes.")
@as_json
def deliveries_replay(delivery: str | None, tenant: str | None, cause: str | None, json_: bool) -> None:
    """Put dead deliveries back in their lanes: one by its id, those of one cause, or all."""
    with services() as opened:
        count = 0
        for one in tenants_of(opened, tenant):
            only = None if delivery is None else [UUID(delivery)]
            if cause is not None:
                only = [row for row, _, why, _ in opened.inbox.dead(one) if why == cause and only in (None, [row])]
            count += opened.inbox.replay(one, only)
            opened.ring(one, "calls", "contacts", "mail")
    say({"replayed": count}, f"{count} put back.", json_=json_)


@cli.group()
def contacts() -> None:
    """The people in the hub."""


@contacts.command("find")
@click.argument("number_or_name")
@click.option("--tenant", required=True)
@click.option("--reason", default="", help="Why staff may read what came from Google: the profile lists the reasons.")
@as_json
def contacts_find(number_or_name: str, tenant: str, reason: str, json_: bool) -> None:
    """Say who a number or a name is, without what only Google told us unless there is a reason. The tenant's ledger
    records that an operator looked, and why."""
    with services() as opened:
        (one,) = tenants_of(opened, tenant)
        read = phone.read(number_or_name, opened.tenants.get(one).region)
        if read.kind == "number":
            found = list(opened.hub.people(one, opened.hub.who(one, read.e164)).values())
        else:
            found = opened.hub.search(one, number_or_name)
        found = passages.let_out(opened, one, "operator", found, actor=OPERATOR, reason=reason)
        opened.ledger.note(one, "read.contact", actor=OPERATOR, count=len(found))
        rows = [
            {"id": contact.id, "name": contact.person.name, "numbers": len(contact.person.lines)} for contact in found
        ]
    table(rows, json_=json_, nothing="Nobody.")


@cli.group()
def sync() -> None:
    """Bring contacts or mail up to date now."""


@sync.command("contacts")
@of_tenant
@as_json
def sync_contacts(tenant: str | None, json_: bool) -> None:
    """Read every side, let changes travel and write the phonebooks now; a second run writes nothing."""
    with services() as opened:
        for one in tenants_of(opened, tenant):
            for kind in (*READS, both_ways.CHORE):
                opened.chores.hurry(one, kind)
            for progress in _visits(opened, one):
                click.echo(f"{one}: {progress['done']:,} of {progress['done'] + progress['left']:,}", err=True)
        reports = [
            {"tenant": one, "chore": chore.kind, "result": chore.progress, "reason": chore.reason}
            for one in tenants_of(opened, tenant)
            for chore in opened.chores.all(one)
            if chore.kind in (*READS, both_ways.CHORE, "write.phonebook")
        ]
    table(reports, json_=json_, nothing="Nothing to read.")


def _visits(opened: Services, tenant: UUID) -> Iterator[dict[str, int]]:
    """Work through a tenant's contacts; yield now and then how far the exchanges are."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        done = worker.visit(opened, tenant, "contacts", seconds=PROGRESS_SECONDS)
        yield from (chore.progress for chore in opened.chores.all(tenant) if chore.progress.get("left"))
        if (tenant, "contacts") not in opened.lanes.with_work():
            return
        if not done:  # somebody else is at it
            time.sleep(PROGRESS_SECONDS)


@sync.command("mail")
@of_tenant
@as_json
def sync_mail(tenant: str | None, json_: bool) -> None:
    """Look into every connected mailbox now."""
    with services() as opened:
        done = 0
        for one in tenants_of(opened, tenant):
            opened.chores.hurry(one, "read.mail")
            done += worker.visit(opened, one, "mail", seconds=600)
    say({"done": done}, f"{done} done.", json_=json_)


@cli.command("reconcile")
@of_tenant
@click.option("--since", default="36h", show_default=True, help="How far back: 90m, 36h or 7d.")
@as_json
def reconcile_now(tenant: str | None, since: str, json_: bool) -> None:
    """Lay phone systems, our calls and the CRM side by side now and put right what differs."""
    window, rows = length_of(since), list[dict[str, Any]]()
    with services() as opened:
        for one in tenants_of(opened, tenant):
            try:
                rows.append({"tenant": one} | reconcile.reconcile(opened, one, window).as_facts())
            except Upstream as error:  # one phone system out of reach does not keep the others from theirs
                rows.append({"tenant": one, "trouble": error.code})
    if json_:
        table(rows, json_=True, nothing="")
    for row in () if json_ else rows:
        told = ", ".join(f"{name} {value}" for name, value in row.items() if name != "tenant" and value)
        click.echo(f"{row['tenant']}: {told or 'no calls'}")
    if troubled := sum("trouble" in row for row in rows):
        raise click.ClickException(f"{troubled} of {len(rows)} tenants could not be reconciled.")


def length_of(since: str) -> timedelta:
    """Read a length of time as people write it."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", since)
    if match is None:
        raise click.BadParameter("Write a number and m, h or d: 90m, 36h, 7d.", param_hint="--since")
    return int(match[1]) * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[match[2]]
