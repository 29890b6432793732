"""One worker at a time in a lane, and a dead one stands in nobody's way."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from store.chores import Chores
from store.database import Database, TenantId
from store.effects import Effects
from store.embedded import Postgres
from store.inbox import Inbox
from store.lanes import Lanes
from store.vault import Vault

HOLDER = """
import sys, uuid
from store.database import Database
from store.lanes import Lanes
with Lanes(Database(sys.argv[1])).hold(uuid.UUID(sys.argv[2]), "calls") as held:
    print(held, flush=True)
    sys.stdin.read()
"""
PATIENCE_SECONDS = 10.0


@pytest.fixture
def lanes(db: Database) -> Lanes:
    return Lanes(db)


def free(lanes: Lanes, tenant: TenantId) -> bool:
    with lanes.hold(tenant, "calls") as held:
        return held


def test_two_cannot_hold_one_lane(lanes: Lanes, tenant: TenantId, neighbour: TenantId) -> None:
    """The second is told so at once; other lanes and other tenants are free."""
    with lanes.hold(tenant, "calls") as first:
        assert first
        with lanes.hold(tenant, "calls") as second, lanes.hold(tenant, "mail") as other:
            assert (False, True) == (second, other)
        with lanes.hold(neighbour, "calls") as next_door:
            assert next_door
        assert not free(lanes, tenant)

    assert free(lanes, tenant)


def test_a_lane_is_left_whatever_happened_in_it(lanes: Lanes, tenant: TenantId) -> None:
    """An error ends the visit, not the lane."""
    with pytest.raises(RuntimeError), lanes.hold(tenant, "calls"):
        raise RuntimeError

    assert free(lanes, tenant)


def test_only_one_does_the_timetable(lanes: Lanes) -> None:
    """Of all processes on all machines."""
    with lanes.alone("a test's timetable") as first, lanes.alone("a test's timetable") as second:
        assert (True, False) == (first, second)


def test_a_killed_holder_leaves_the_lane(lanes: Lanes, tenant: TenantId, db_urls: Postgres) -> None:
    """With -9: PostgreSQL notices the broken connection and the lock is gone."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, db_urls.app_url, str(tenant)],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert "True\n" == holder.stdout.readline()
        assert not free(lanes, tenant)
        holder.kill()

    ends = monotonic() + PATIENCE_SECONDS
    while not (left := free(lanes, tenant)) and monotonic() < ends:
        Event().wait(0.02)
    assert left


@pytest.fixture
def give() -> Callable[..., None]:
    """Put work of one kind into a lane."""

    def work(kind: str, db: Database, vault: Vault, tenant: TenantId) -> None:
        connection = uuid.uuid4()
        if kind == "delivery":
            Inbox(db, vault).write_once(tenant, connection, "e1", kind="telephony", lane="calls", body=b"{}")
        elif kind == "effect":
            with db.tenant(tenant) as database:
                Effects(db, vault).plan(database, tenant, "dial", "k1", connection=connection, lane="calls", payload={})
        else:
            Chores(db).set_up(tenant, connection, "renew", lane="calls", every_seconds=300)

    return work


@pytest.mark.parametrize("kind", ["delivery", "effect", "chore"])
def test_the_sweep_finds_what_nobody_rang_for(
    kind: str, lanes: Lanes, db: Database, vault: Vault, tenant: TenantId, give: Callable[..., None]
) -> None:
    """Whatever waits, by tenant and lane and nothing more."""
    assert tenant not in {who for who, _ in lanes.with_work()}

    give(kind, db, vault, tenant)

    assert [(tenant, "calls")] == [found for found in lanes.with_work() if found[0] == tenant]


def test_what_waits_for_later_is_no_work_yet(lanes: Lanes, db: Database, vault: Vault, tenant: TenantId) -> None:
    """A chore that went well is not due again before its time."""
    chores = Chores(db)
    chores.set_up(tenant, uuid.uuid4(), "renew", lane="contacts", every_seconds=300)
    (chore,) = chores.due(tenant, "contacts")
    assert (tenant, "contacts") in lanes.with_work()

    chores.went_well(tenant, chore)

    assert (tenant, "contacts") not in lanes.with_work()
