"""What we said thank you for is written down once, kept until it is understood, and gone then."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from store.database import Database, TenantId
from store.inbox import ATTEMPTS, Delivery, Inbox
from store.tables import deliveries
from store.vault import Vault

BODY = b'{"type": "call.ringing", "data": {"from": "+34600111222"}}'
SOON = timedelta(minutes=1)


@pytest.fixture
def inbox(db: Database, vault: Vault) -> Inbox:
    return Inbox(db, vault)


@pytest.fixture
def phone() -> uuid.UUID:
    """A connection to knock for."""
    return uuid.uuid4()


def write(inbox: Inbox, tenant: TenantId, phone: uuid.UUID, event: str = "e1", body: bytes = BODY) -> bool:
    return inbox.write_once(tenant, phone, event, kind="telephony", lane="calls", body=body)


def understood(
    db: Database, tenant: TenantId, taken: Sequence[Delivery], state: str = "done", reason: str = ""
) -> None:
    with db.tenant(tenant) as connection:
        Inbox.done(connection, tenant, [delivery.id for delivery in taken], state, reason)


def kept(db: Database, tenant: TenantId) -> list[Any]:
    with db.tenant(tenant) as connection:
        return list(connection.execute(select(deliveries)).all())


def hurry(db: Database, tenant: TenantId) -> None:
    """Turn the clock past every wait."""
    with db.tenant(tenant) as connection:
        connection.execute(update(deliveries).values(next_at=deliveries.c.received_at))


def test_a_repeat_changes_nothing(inbox: Inbox, db: Database, tenant: TenantId, phone: uuid.UUID) -> None:
    """The first body stays, whatever the second says; the sender may repeat as often as it likes."""
    assert write(inbox, tenant, phone)
    assert not write(inbox, tenant, phone)
    assert not write(inbox, tenant, phone, body=b"something else")

    (waiting,) = inbox.pending(tenant, "calls")
    assert (phone, "e1", BODY, 0) == (waiting.connection, waiting.event_id, waiting.body, waiting.attempts)
    assert not write(inbox, tenant, phone)
    understood(db, tenant, [waiting])
    assert not write(inbox, tenant, phone)  # the event id outlives the body
    assert [] == inbox.pending(tenant, "calls")


def test_what_cannot_be_asked_for_now_waits_without_a_try(
    inbox: Inbox, db: Database, tenant: TenantId, phone: uuid.UUID
) -> None:
    """However long the other side is away; what was given up stays so."""
    write(inbox, tenant, phone)
    write(inbox, tenant, phone, "e2")
    waiting, dead = inbox.pending(tenant, "calls")
    inbox.failed(tenant, dead, "malformed")
    for _ in range(50):
        inbox.postpone(tenant, [waiting, dead], "upstream.silent", timedelta(minutes=1))
        assert [] == inbox.pending(tenant, "calls")
        hurry(db, tenant)

    assert [("e1", 0)] == [(one.event_id, one.attempts) for one in inbox.pending(tenant, "calls")]


def test_fifty_at_once_are_one(inbox: Inbox, tenant: TenantId, phone: uuid.UUID) -> None:
    """However many processes take in the same event."""
    with ThreadPoolExecutor(50) as threads:
        new = list(threads.map(lambda _: write(inbox, tenant, phone), range(50)))

    assert 1 == sum(new)
    assert {"pending": 1} == inbox.counts(tenant)


def test_one_event_id_of_two_phone_systems_is_two_events(
    inbox: Inbox, tenant: TenantId, neighbour: TenantId, phone: uuid.UUID
) -> None:
    """Vendors count from one; and a neighbour's door is another door."""
    assert write(inbox, tenant, phone)
    assert write(inbox, tenant, uuid.uuid4())
    assert write(inbox, neighbour, uuid.uuid4())

    assert (2, 1) == (len(inbox.pending(tenant, "calls")), len(inbox.pending(neighbour, "calls")))


def test_a_body_is_sealed_until_it_is_understood_and_then_gone(
    inbox: Inbox, db: Database, tenant: TenantId, phone: uuid.UUID
) -> None:
    """No plain text in the row at any time."""
    write(inbox, tenant, phone)
    (row,) = kept(db, tenant)
    assert row.body
    assert b"600111222" not in bytes(row.body)

    understood(db, tenant, inbox.pending(tenant, "calls"), "ignored", "no_use")

    (row,) = kept(db, tenant)
    assert (None, "ignored", "no_use", "e1") == (row.body, row.state, row.reason, row.event_id)


def test_a_lane_is_taken_in_order_and_in_batches(inbox: Inbox, tenant: TenantId, phone: uuid.UUID) -> None:
    """Oldest first, no more than asked for, nothing of another lane."""
    for number in range(5):
        write(inbox, tenant, phone, f"e{number}")
    inbox.write_once(tenant, phone, "m1", kind="mail", lane="mail", body=b"{}")

    assert ["e0", "e1", "e2"] == [delivery.event_id for delivery in inbox.pending(tenant, "calls", 3)]
    assert ["m1"] == [delivery.event_id for delivery in inbox.pending(tenant, "mail")]
    assert [] == inbox.pending(tenant, "contacts")


def test_what_cannot_be_understood_is_kept_dead_and_replayed(
    inbox: Inbox, tenant: TenantId, neighbour: TenantId, phone: uuid.UUID
) -> None:
    """Seen with its reason, put back when somebody says so, with its body."""
    write(inbox, tenant, phone)
    (waiting,) = inbox.pending(tenant, "calls")
    inbox.failed(tenant, waiting, "field.invalid")

    assert [] == inbox.pending(tenant, "calls")
    ((dead, kind, reason, _),) = inbox.dead(tenant)
    assert (waiting.id, "telephony", "field.invalid") == (dead, kind, reason)
    assert [] == inbox.dead(neighbour)
    assert 0 == inbox.replay(neighbour)
    assert 0 == inbox.replay(tenant, [uuid.uuid4()])

    assert 1 == inbox.replay(tenant, [dead])
    (again,) = inbox.pending(tenant, "calls")
    assert (BODY, 0) == (again.body, again.attempts)


def test_what_may_be_understood_later_waits_and_then_dies(
    inbox: Inbox, db: Database, tenant: TenantId, phone: uuid.UUID
) -> None:
    """A pause between tries, and an end to them."""
    write(inbox, tenant, phone)
    for attempt in range(ATTEMPTS):
        (waiting,) = inbox.pending(tenant, "calls")
        assert attempt == waiting.attempts
        inbox.failed(tenant, waiting, "upstream.busy", wait=SOON)
        assert [] == inbox.pending(tenant, "calls")
        hurry(db, tenant)

    assert {"dead": 1} == inbox.counts(tenant)
