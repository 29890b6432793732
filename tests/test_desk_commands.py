"""What an operator types: dead deliveries by cause and back again, and a statement of calls on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app import COMMANDS, PARTS
from commands.cli import cli
from domain.call import CallEvent
from jobs import log_call
from jobs.connect import add_phone_system
from jobs.services import Services
from store.database import TenantId
from store.embedded import Postgres
from tests import house

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def tools(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    with house.services(db_urls, work_url, mail_url) as opened:
        yield opened


class Desk:
    """An operator at a shell."""

    def __init__(self, db_urls: Postgres, work_url: str, mail_url: str) -> None:
        servers = {"DATABASE_URL": db_urls.app_url, "REDIS_URL": work_url, "MAIL_REDIS_URL": mail_url}
        self._environ = servers | {"KEYRING": house.KEYRING, "BASE_URL": house.ORIGIN}
        cli.rooms = COMMANDS

    def types(self, line: str) -> Result:
        return CliRunner().invoke(cli, line.split(), obj=PARTS, env=self._environ)

    def answer(self, line: str) -> Any:
        result = self.types(f"{line} --json")
        assert 0 == result.exit_code, result.output
        return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def desk(db_urls: Postgres, work_url: str, mail_url: str) -> Desk:
    return Desk(db_urls, work_url, mail_url)


@pytest.fixture
def dead(tools: Services, tenant: TenantId) -> dict[str, str]:
    """Three deliveries nobody could understand, for two causes: event id -> delivery."""
    tie = house.phone_system(tools, house.administrator(tools, tenant)).tie
    for id in ("a", "b", "c"):
        tools.inbox.write_once(tenant, tie, id, kind="telephony", lane="calls", body=b"{}")
    found = {delivery.event_id: delivery for delivery in tools.inbox.pending(tenant, "calls")}
    for id, cause in (("a", "field.invalid"), ("b", "field.invalid"), ("c", "body.not_json")):
        tools.inbox.failed(tenant, found[id], cause)
    return {id: str(delivery.id) for id, delivery in found.items()}


def test_dead_deliveries_are_grouped_by_cause(desk: Desk, tenant: TenantId, dead: dict[str, str]) -> None:
    """The most frequent first, with the oldest and the newest; without the option each stands for itself."""
    groups = desk.answer(f"deliveries list --by-cause --tenant {tenant}")

    assert [("field.invalid", 2), ("body.not_json", 1)] == [(group["cause"], group["dead"]) for group in groups]
    assert all(group["oldest"] <= group["newest"] for group in groups)
    assert set(dead.values()) == {one["id"] for one in desk.answer(f"deliveries list --tenant {tenant}")}


def test_the_dead_of_one_cause_are_put_back(
    desk: Desk, tools: Services, tenant: TenantId, dead: dict[str, str]
) -> None:
    """And no others; one that died of something else is not put back by its id and the wrong cause."""
    assert {"replayed": 0} == desk.answer(f"deliveries replay {dead['c']} --cause field.invalid --tenant {tenant}")

    assert {"replayed": 2} == desk.answer(f"deliveries replay --cause field.invalid --tenant {tenant}")

    assert {"pending": 2, "dead": 1} == tools.inbox.counts(tenant)
    assert {"replayed": 1} == desk.answer(f"deliveries replay {dead['c']} --tenant {tenant}")


def test_calls_are_counted_with_what_became_of_them(desk: Desk, tools: Services, tenant: TenantId) -> None:
    """Since a moment: an older call does not count, one whose activity is owed still does, a live one owes none."""
    tie = tools.connections.get(tenant, house.phone_system(tools, house.administrator(tools, tenant)).tie)
    now = tools.db.now()
    told = {"caller": "+34600111222", "callee": "+34911222333"}
    ends = [
        CallEvent(id=f"{ref}-e", type="ended", at=now, started_at=now - ago, outcome="missed", call_ref=ref, **told)
        for ref, ago in (("new", HOUR), ("old", 40 * HOUR))
    ]
    rings = CallEvent(id="live-r", type="ringing", at=now, call_ref="live", **told)
    log_call.take_over(tools, tie, tools.calls.hear(tenant, tie.id, [*ends, rings]))

    (count,) = desk.answer(f"calls count --tenant {tenant}")
    (more,) = desk.answer(f"calls count --tenant {tenant} --since 2d")

    assert (2, 1, 0, 1, 0) == tuple(count[name] for name in ("calls", "ended", "logged", "owed", "refused"))
    assert (3, 2, 2) == (more["calls"], more["ended"], more["owed"])
    with tools.db.tenant(tenant) as database:
        ids = [effect.id for effect in tools.effects.waiting(tenant, "calls")]
        tools.effects.done(database, tenant, dict.fromkeys(ids, "a-row"))
    (after,) = desk.answer(f"calls count --tenant {tenant}")
    assert (1, 0) == (after["logged"], after["owed"])


def test_a_statement_on_demand(desk: Desk, tools: Services, tenant: TenantId) -> None:
    """For each tenant its counts; one without a phone system has none."""
    (told,) = desk.answer(f"reconcile --tenant {tenant} --since 90m")

    assert (str(tenant), 0) == (told["tenant"], told["listed"])
    assert f"{tenant}: no calls\n" == desk.types(f"reconcile --tenant {tenant}").stdout


def test_a_phone_system_out_of_reach_is_said(desk: Desk, tools: Services, tenant: TenantId) -> None:
    """And the command fails, after all others had their turn."""
    alice = house.administrator(tools, tenant)
    account = {"base_url": "https://pbx.invalid", "api_key": "k"}
    add_phone_system(tools, user=alice, vendor="standard", account=account)

    result = desk.types(f"reconcile --tenant {tenant} --json")

    (told,) = json.loads(result.stdout.splitlines()[-1])
    assert (1, {"tenant", "trouble"}) == (result.exit_code, told.keys())
    assert "1 of 1 tenants" in result.stderr


@pytest.mark.parametrize("since", ["", "0d", "soon", "7", "d", "-1h", "1e3h", "999999d"])
def test_how_far_back_is_a_length_of_time(desk: Desk, since: str) -> None:
    result = desk.types(f"reconcile --since={since}")

    assert 2 == result.exit_code
    assert "90m, 36h, 7d" in result.output


def test_an_operator_makes_lists_and_revokes_keys(desk: Desk, tools: Services, tenant: TenantId) -> None:
    """The key is shown once; the tenant's ledger says that it was an operator."""
    made = desk.answer(f"apikeys create --tenant {tenant} --label PBX --scope hints --scope dial")
    assert tenant == tools.api_keys.find(made["key"]).tenant
    (row,) = desk.answer(f"apikeys list --tenant {tenant}")
    assert (made["id"], "dial hints", "") == (row["id"], row["scopes"], row["revoked"])
    assert made["key"] not in str(row)

    assert [{"revoked": True}, {"revoked": False}] == [desk.answer(f"apikeys revoke {made['id']}") for _ in range(2)]
    assert 1 == desk.types(f"apikeys revoke {tenant}").exit_code
    assert 1 == desk.types("apikeys revoke mine").exit_code
    assert 2 == desk.types(f"apikeys create --tenant {tenant} --label x --scope all").exit_code
    keys = [(row.action, row.actor) for row in tools.ledger.rows(tenant) if row.action.startswith("key.")]
    assert {("key.created", "operator"), ("key.revoked", "operator")} == set(keys)
