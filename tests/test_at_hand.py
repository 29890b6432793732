"""What a worker just sealed of a call it need not open to read, as long as the row holds the very same seals."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from domain.call import CallEvent
from domain.phone import read
from store.calls import Calls, Heard
from store.database import Database, TenantId
from store.tables import calls
from store.vault import Vault

PHONE = uuid.UUID(int=5)
AT = datetime(2026, 11, 3, 9, 30, tzinfo=UTC)


def event(id: str, kind: str, **more: str) -> CallEvent:
    told = {"caller": "+34600111222", "callee": "+34911222333", "outcome": "answered"} | more
    return CallEvent(id=id, type=kind, at=AT, call_ref="c-1", **told)  # type: ignore[arg-type]  # a type there is


def save(book: Calls, db: Database, tenant: TenantId, *events: CallEvent) -> Heard:
    (item,) = book.hear(tenant, PHONE, events)
    with db.tenant(tenant) as database:
        book.save(database, tenant, [item], [read(item.call.customer, "ES")])
    return item


@pytest.fixture
def book(db: Database, vault: Vault) -> Calls:
    return Calls(db, vault)


def test_what_was_just_sealed_is_at_hand(
    book: Calls, db: Database, vault: Vault, tenant: TenantId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads the same as from the row, is not opened, and is let go of at the end."""
    with book.at_hand():
        item = save(book, db, tenant, event("e-1", "ended", queue="sales"))
        fresh = Calls(db, vault).whole(tenant, [item.id])
        with monkeypatch.context() as opening:
            opening.setattr("store.vault.open_with", None)
            assert fresh == book.whole(tenant, [item.id])
    kept, told = book.whole(tenant, [item.id])[item.id]
    assert (item.call, item.events) == (kept.call, told)
    assert kept.call is not item.call
    assert told is not item.events


def test_what_somebody_else_wrote_since_is_read_anew(book: Calls, db: Database, vault: Vault, tenant: TenantId) -> None:
    with book.at_hand():
        item = save(book, db, tenant, event("e-1", "answered"))
        save(Calls(db, vault), db, tenant, event("e-2", "ended", transcript="call me"))
        sealed = vault.of(tenant).seal_json("calls", item.id, "events", [])
        kept, told = book.whole(tenant, [item.id])[item.id]
        assert ("ended", "call me", {"e-1", "e-2"}) == (kept.call.state, kept.call.transcript, {one.id for one in told})

        with db.tenant(tenant) as database:
            database.execute(update(calls).where(calls.c.tenant_id == tenant).values(events=sealed))
        assert () == book.whole(tenant, [item.id])[item.id][1]
