"""A write we owe the outside world is done exactly once, whoever dies in between."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from store.database import Database, TenantId
from store.effects import ATTEMPTS, SETTLE, Effect, Effects, backoff
from store.tables import effects
from store.vault import Vault
from tests.servers import said

CRM = uuid.UUID(int=5)
HOUR = timedelta(hours=1)


@pytest.fixture
def owed(db: Database, vault: Vault) -> Effects:
    return Effects(db, vault)


@pytest.fixture
def plan(owed: Effects, db: Database, tenant: TenantId) -> Callable[..., bool]:
    """Write down what Alice's tenant owes."""

    def write(key: str = "k1", kind: str = "dial", **more: Any) -> bool:
        with db.tenant(tenant) as connection:
            told: dict[str, Any] = {"connection": CRM, "lane": "calls", "payload": {"number": "+34600111222"}} | more
            return owed.plan(connection, tenant, kind, key, **told)

    return write


def row(db: Database, tenant: TenantId) -> Any:
    with db.tenant(tenant) as connection:
        return connection.execute(select(effects)).one()


def wait_over(db: Database, tenant: TenantId) -> None:
    """Turn the clock past every wait."""
    with db.tenant(tenant) as connection:
        connection.execute(update(effects).values(next_at=effects.c.created_at))


def only(owed: Effects, tenant: TenantId) -> Effect:
    (effect,) = owed.waiting(tenant, "calls")
    return effect


def test_the_way_of_an_effect(owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]) -> None:
    """Due, claimed before it leaves, done with the other side's id; the payload is sealed and then gone."""
    assert plan()
    assert b"600111222" not in bytes(row(db, tenant).payload)
    effect = only(owed, tenant)
    assert ("due", {"number": "+34600111222"}, 0) == (effect.state, effect.payload, effect.attempts)

    owed.claim(tenant, [effect])
    assert ("claimed", 1, 1) == (row(db, tenant).state, row(db, tenant).attempts, row(db, tenant).fence)
    assert [] == owed.waiting(tenant, "calls")  # nobody else takes it meanwhile

    with db.tenant(tenant) as connection:
        owed.done(connection, tenant, {effect.id: "zoho-9"})
    after = row(db, tenant)
    assert ("done", "zoho-9", None) == (after.state, after.result, after.payload)
    assert after.done_at is not None
    assert {("dial", "done"): 1} == owed.counts(tenant)


def test_what_leaves_with_a_claim_is_known_in_doubt(
    owed: Effects, db: Database, tenant: TenantId, neighbour: TenantId, plan: Callable[..., bool]
) -> None:
    """What is about to be said is sealed with the claim, for whoever reads back; a neighbour's changes nothing."""
    assert plan()
    effect = only(owed, tenant)
    owed.claim(neighbour, [effect], saying={effect.id: {"said": ["theirs"]}})
    assert {"number": "+34600111222"} == only(owed, tenant).payload

    owed.claim(tenant, [effect], saying={effect.id: {"said": ["ours"]}})
    assert b"ours" not in bytes(row(db, tenant).payload)
    assert 1 == owed.orphans(tenant, "calls")
    wait_over(db, tenant)
    assert ("unknown", {"said": ["ours"]}) == (only(owed, tenant).state, only(owed, tenant).payload)


def test_what_is_owed_once_is_written_down_once(
    owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """Fifty processes with one key, before it was done and after."""
    with ThreadPoolExecutor(50) as threads:
        assert 1 == sum(threads.map(lambda _: plan(), range(50)))
    effect = only(owed, tenant)
    owed.claim(tenant, [effect])
    with db.tenant(tenant) as connection:
        owed.done(connection, tenant, {effect.id: ""})

    assert not plan()
    assert [] == owed.waiting(tenant, "calls")


def test_one_key_of_two_tenants_is_two_effects(
    owed: Effects, db: Database, tenant: TenantId, neighbour: TenantId, plan: Callable[..., bool]
) -> None:
    """A neighbour's plans are none of ours."""
    assert plan()
    with db.tenant(neighbour) as connection:
        assert owed.plan(connection, neighbour, "dial", "k1", connection=CRM, lane="calls", payload={})
    owed.claim(neighbour, [only(owed, tenant)])  # an id in the wrong hands claims nothing

    assert "due" == only(owed, tenant).state


@pytest.mark.parametrize("kinds", [("activity.bridge", "activity.record"), ("activity.record", "activity.bridge")])
def test_a_second_writer_of_a_call_is_not_even_planned(
    owed: Effects, tenant: TenantId, plan: Callable[..., bool], kinds: tuple[str, str]
) -> None:
    """Whoever comes first writes the activity, under whatever key the other comes."""
    call = uuid.uuid4()

    assert plan("k1", kinds[0], call=call)
    assert not plan("k2", kinds[1], call=call)
    assert [kinds[0]] == [effect.kind for effect in owed.waiting(tenant, "calls")]


def test_a_plan_stands_or_falls_with_its_transaction(owed: Effects, db: Database, tenant: TenantId) -> None:
    """What the caller takes back was never owed."""
    with db.tenant(tenant) as connection:
        assert owed.plan(connection, tenant, "dial", "k1", connection=CRM, lane="calls", payload={})
        connection.rollback()

    assert {} == owed.counts(tenant)


def test_what_a_dead_worker_claimed_is_unknown_not_due(
    owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """It may stand over there already: it is read back, after the dead one's request had time to settle."""
    plan()
    owed.claim(tenant, [only(owed, tenant)])

    assert 1 == owed.orphans(tenant, "calls")
    assert 0 == owed.orphans(tenant, "calls")
    left = row(db, tenant)
    assert ("unknown", "interrupted") == (left.state, left.reason)
    assert timedelta() < left.next_at - db.now() <= SETTLE
    assert [] == owed.waiting(tenant, "calls")
    wait_over(db, tenant)
    assert "unknown" == only(owed, tenant).state


def test_orphans_of_another_lane_are_somebody_elses(
    owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """Whoever holds that lane may be at work on them."""
    plan(lane="contacts")
    owed.claim(tenant, owed.waiting(tenant, "contacts"))

    assert 0 == owed.orphans(tenant, "calls")
    assert "claimed" == row(db, tenant).state


def test_an_answer_that_never_came_is_unknown(
    owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """Not due: nothing is written again before it was read back."""
    plan()
    effect = only(owed, tenant)
    owed.claim(tenant, [effect])
    owed.unknown(tenant, [effect], "upstream.unanswered")

    assert ("unknown", "upstream.unanswered") == (row(db, tenant).state, row(db, tenant).reason)


@pytest.mark.parametrize(("wait", "pause"), [(None, backoff(0)), (HOUR, HOUR)], ids=["our pause", "their pause"])
def test_what_was_surely_not_done_is_due_again(
    wait: timedelta | None,
    pause: timedelta,
    owed: Effects,
    db: Database,
    tenant: TenantId,
    plan: Callable[..., bool],
) -> None:
    """After the pause the other side asked for, or a growing one of ours."""
    plan()
    effect = only(owed, tenant)
    owed.claim(tenant, [effect])
    owed.again(tenant, [effect], "upstream.busy", wait=wait)

    later = row(db, tenant)
    assert ("due", "upstream.busy") == (later.state, later.reason)
    assert pause - timedelta(seconds=5) < later.next_at - db.now() <= pause


def test_many_are_put_off_together_and_each_waits_its_own_time(
    owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """An outage holds up hundreds: one statement for all that were tried equally often, not one for each."""
    for key in ("k1", "k2", "k3"):
        plan(key)
    first, *_ = owed.waiting(tenant, "calls")
    owed.claim(tenant, [first])
    owed.again(tenant, [first], "upstream.busy", wait=timedelta())
    batch = owed.waiting(tenant, "calls")
    owed.claim(tenant, batch)

    with said(db) as statements:
        owed.again(tenant, batch, "upstream.busy")

    assert 2 == len(statements)
    with db.tenant(tenant) as connection:
        waits = {left.key: left.next_at - db.now() for left in connection.execute(select(effects))}
    slack = timedelta(seconds=1)
    pauses = {key: backoff(1 if key == first.key else 0) for key in waits}
    assert [] == [key for key, pause in pauses.items() if not pause - slack < waits[key] <= pause]


def test_tries_come_to_an_end(owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]) -> None:
    """Then it is dead: kept with its reason, done by nobody."""
    plan()
    for attempt in range(ATTEMPTS):
        effect = only(owed, tenant)
        assert attempt == effect.attempts
        owed.claim(tenant, [effect])
        owed.again(tenant, [effect], "upstream.busy")
        wait_over(db, tenant)

    assert {("dial", "dead"): 1} == owed.counts(tenant)
    assert [] == owed.waiting(tenant, "calls")


@pytest.mark.parametrize("claimed", [False, True], ids=["before it left", "refused on the way"])
def test_waiting_for_a_consent_is_not_a_try(
    claimed: bool, owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """A weekend without consent uses up no tries, and nothing is lost; when it is back the work is due at once."""
    plan()
    for _ in range(ATTEMPTS + 1):
        effect = only(owed, tenant)
        if claimed:
            owed.claim(tenant, [effect])
        owed.postpone(tenant, [effect], "consent.lost", HOUR)
        assert [] == owed.waiting(tenant, "calls")
        assert 0 == owed.wake(tenant, uuid.uuid4())
        assert 1 == owed.wake(tenant, CRM)

    assert ("due", 0) == (only(owed, tenant).state, only(owed, tenant).attempts)


def test_an_outage_uses_up_no_tries(owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]) -> None:
    """However often somebody went to look, what nobody answered is unknown and has been tried as often as before."""
    plan()
    for _ in range(ATTEMPTS + 1):
        effect = only(owed, tenant)
        owed.claim(tenant, [effect])
        owed.unknown(tenant, [effect], "upstream.unanswered", counted=False)
        wait_over(db, tenant)

    assert ("unknown", 0) == (only(owed, tenant).state, only(owed, tenant).attempts)


def test_what_is_unknown_stays_unknown_while_it_waits(
    owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """Postponing must not turn a doubt into a second write."""
    plan()
    effect = only(owed, tenant)
    owed.claim(tenant, [effect])
    owed.unknown(tenant, [effect], "upstream.unanswered")
    owed.postpone(tenant, [effect], "consent.lost", HOUR)
    owed.wake(tenant, CRM)

    assert "unknown" == only(owed, tenant).state


def test_reading_back_that_failed_leaves_the_doubt(
    owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """It was never asked whether the first try was done, so it is not simply due again."""
    plan()
    effect = only(owed, tenant)
    owed.claim(tenant, [effect])
    owed.unknown(tenant, [effect], "upstream.unanswered")
    wait_over(db, tenant)
    owed.again(tenant, [only(owed, tenant)], "upstream.unreachable", wait=timedelta())
    assert "unknown" == only(owed, tenant).state

    owed.claim(tenant, [effect])
    owed.again(tenant, [effect], "upstream.unreachable", wait=timedelta())
    assert "due" == only(owed, tenant).state


def test_one_of_a_batch_that_was_settled_stays_settled(
    owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """The rest of its batch may fail: nobody does it a second time."""
    plan()
    batch = [only(owed, tenant)]
    owed.claim(tenant, batch)
    with db.tenant(tenant) as connection:
        owed.done(connection, tenant, {batch[0].id: "there"})
    for fail in (owed.unknown, owed.again, owed.drop):
        fail(tenant, batch, "upstream.unreachable")
    owed.postpone(tenant, batch, "consent.lost", HOUR)
    wait_over(db, tenant)

    assert ("done", "there") == (row(db, tenant).state, row(db, tenant).result)
    assert [] == owed.waiting(tenant, "calls")


@pytest.mark.parametrize("state", ["dead", "dropped"])
def test_what_makes_no_sense_is_put_aside(
    state: str, owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """With its reason, for good."""
    plan()
    owed.drop(tenant, [only(owed, tenant)], "upstream.refused", state=state)
    owed.wake(tenant, CRM)

    assert [] == owed.waiting(tenant, "calls")
    assert (state, "upstream.refused") == (row(db, tenant).state, row(db, tenant).reason)


def test_pauses_grow_to_an_hour() -> None:
    """Two seconds, doubling, and never more than an hour."""
    pauses = [backoff(attempt).total_seconds() for attempt in range(40)]

    assert [2, 4, 8] == pauses[:3]
    assert sorted(pauses) == pauses
    assert 3600 == pauses[-1]


def test_what_is_gone_over_there_is_owed_again_under_its_own_key(
    owed: Effects, db: Database, tenant: TenantId, plan: Callable[..., bool]
) -> None:
    """The same row: read back first, counted, and still the only activity its call can have."""
    call = uuid.uuid4()
    assert plan("activity:1", "activity.record", call=call)
    effect = only(owed, tenant)
    owed.claim(tenant, [effect])
    with db.tenant(tenant) as connection:
        assert 0 == owed.reopen(connection, tenant, [effect.id])  # on its way: whoever claimed it says how it ends
        owed.done(connection, tenant, {effect.id: "zoho-9"})
    stands = owed.of_calls(tenant, [call, uuid.uuid4()])[call]
    assert ("done", "zoho-9", 0) == (stands.state, stands.result, stands.reopened)
    assert stands.changed_at == stands.done_at

    with db.tenant(tenant) as connection:
        assert 1 == owed.reopen(connection, tenant, [effect.id])

    again = only(owed, tenant)
    assert (effect.id, "unknown", 0) == (again.id, again.state, again.attempts)
    assert 1 == owed.of_calls(tenant, [call])[call].reopened
    assert not plan("activity:2", "activity.bridge", call=call)
