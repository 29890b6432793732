"""Who did what cannot be changed afterwards without it showing, not even by whoever owns the database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, pool, select, text, update
from sqlalchemy.engine import make_url

from store.database import Database, TenantId
from store.embedded import Postgres
from store.ledger import START, Ledger, Row, Verdict, digest
from store.tables import ledger as table
from tests.servers import said

ROWS = 7


@pytest.fixture
def ledger(db: Database) -> Ledger:
    return Ledger(db)


@pytest.fixture
def written(ledger: Ledger, tenant: TenantId) -> TenantId:
    """Alice's ledger with seven rows."""
    for number in range(ROWS):
        ledger.note(
            tenant, "consent.given", actor="user:7", subject=f"connections:{number}", scopes=["a", "ø"], n=number
        )
    return tenant


@pytest.fixture
def owner(db_urls: Postgres, written: TenantId) -> Iterator[Connection]:
    """Somebody who has the tables' owner and wishes to change history."""
    engine = create_engine(make_url(db_urls.owner_url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT set_config('app.tenant_id', :tenant, false)"), {"tenant": str(written)})
        connection.commit()
        yield connection
    engine.dispose()


def test_rows_are_read_newest_first(ledger: Ledger, written: TenantId, neighbour: TenantId) -> None:
    """In pages, or those of one kind; a neighbour has none of them."""
    ledger.note(written, "mail.cached", messages=3)

    assert [8, 7, 6] == [row.seq for row in ledger.rows(written, limit=3)]
    assert [2, 1] == [row.seq for row in ledger.rows(written, before=3)]
    (row,) = ledger.rows(written, action="mail.")
    assert ("system", "mail.cached", "", {"messages": 3}) == (row.actor, row.action, row.subject, row.facts)
    assert [] == ledger.rows(neighbour)
    assert [] == ledger.rows(written, action="%")


def test_an_untouched_chain_holds(ledger: Ledger, written: TenantId, neighbour: TenantId) -> None:
    """Seven rows for Alice, none for Charlie."""
    assert Verdict(rows=ROWS) == ledger.verify(written)
    assert ledger.verify(neighbour).holds


def test_a_row_is_three_journeys(ledger: Ledger, db: Database, written: TenantId) -> None:
    """Others wait from the first to the commit: for a turn, for the end of the chain and what time it is, to write."""
    with said(db) as statements:
        ledger.note(written, "call.logged")

    beginnings = (
        "SELECT pg_advisory_xact_lock(",
        "SELECT ledger.seq, ledger.hash, clock_timestamp()",
        "INSERT INTO ledger",
    )
    assert [True] * 3 == [one.startswith(words) for one, words in zip(statements, beginnings, strict=True)]


def test_a_deed_and_its_row_stand_or_fall_together(ledger: Ledger, db: Database, written: TenantId) -> None:
    """What was rolled back was never done, and leaves no gap."""
    with db.tenant(written) as connection:
        ledger.write(connection, written, "never.happened")
        connection.rollback()
    ledger.note(written, "happened")

    assert Verdict(rows=ROWS + 1) == ledger.verify(written)


MANIPULATIONS = {
    "the facts": "UPDATE ledger SET facts = jsonb_set(facts, '{n}', '99') WHERE seq = 4",
    "a fact less": "UPDATE ledger SET facts = facts - 'scopes' WHERE seq = 4",
    "who": "UPDATE ledger SET actor = 'user:8' WHERE seq = 4",
    "what": "UPDATE ledger SET action = 'consent.lost' WHERE seq = 4",
    "to whom": "UPDATE ledger SET subject = '' WHERE seq = 4",
    "when, by a microsecond": "UPDATE ledger SET at = at + interval '1 microsecond' WHERE seq = 4",
    "its hash": "UPDATE ledger SET hash = sha256(hash) WHERE seq = 4",
    "what it follows": "UPDATE ledger SET previous = sha256(previous) WHERE seq = 4",
    "its number": "UPDATE ledger SET seq = 400 WHERE seq = 4",
}


@pytest.mark.parametrize("statement", MANIPULATIONS.values(), ids=MANIPULATIONS)
def test_a_changed_row_is_found_where_it_is(
    statement: str, ledger: Ledger, written: TenantId, owner: Connection
) -> None:
    """Whatever was changed in it, by somebody with every right."""
    assert 1 == owner.execute(text(statement)).rowcount
    owner.commit()

    verdict = ledger.verify(written)
    assert (3, False) == (verdict.rows, verdict.holds)
    assert verdict.broken_at in (4, 5)  # a row that took another number leaves its gap before the next one


def test_a_removed_row_is_missed(ledger: Ledger, written: TenantId, owner: Connection) -> None:
    """The first or one in the middle: the next one does not fit."""
    for seq in (4, 1):
        owner.execute(text("DELETE FROM ledger WHERE seq = :seq"), {"seq": seq})
        owner.commit()

        assert Verdict(rows=seq - 1, broken_at=seq + 1) == ledger.verify(written)


def test_two_rows_that_changed_places_are_found(ledger: Ledger, written: TenantId, owner: Connection) -> None:
    """Every value is still there, only the order is not."""
    for one, other in ((4, -1), (5, 4), (-1, 5)):
        owner.execute(text("UPDATE ledger SET seq = :other WHERE seq = :one"), {"one": one, "other": other})
    owner.commit()

    assert Verdict(rows=3, broken_at=4) == ledger.verify(written)


def test_a_row_slipped_in_is_found(ledger: Ledger, written: TenantId, owner: Connection) -> None:
    """With a hash made up for it."""
    owner.execute(
        text(
            "INSERT INTO ledger (tenant_id, seq, actor, action, facts, previous, hash) "
            "SELECT tenant_id, 8, 'system', 'consent.given', CAST(:facts AS jsonb), hash, sha256(hash) "
            "FROM ledger WHERE seq = 7"
        ),
        {"facts": json.dumps({"scopes": ["everything"]})},
    )
    owner.commit()

    assert Verdict(rows=ROWS, broken_at=8) == ledger.verify(written)


def test_a_row_of_another_tenant_fits_nowhere(
    ledger: Ledger, written: TenantId, neighbour: TenantId, owner: Connection
) -> None:
    """A chain copied whole does not hold under another name."""
    rows = [dict(row) for row in owner.execute(text("SELECT * FROM ledger ORDER BY seq")).mappings()]
    owner.execute(text("SELECT set_config('app.tenant_id', :tenant, false)"), {"tenant": str(neighbour)})
    for row in rows:
        moved: dict[str, Any] = row | {"tenant_id": neighbour, "facts": json.dumps(row["facts"])}
        owner.execute(
            text(
                "INSERT INTO ledger VALUES (:tenant_id, :seq, :at, :actor, :action, :subject, CAST(:facts AS jsonb),"
                " :previous, :hash)"
            ),
            moved,
        )
    owner.commit()

    assert Verdict(rows=0, broken_at=1) == ledger.verify(neighbour)
    assert ledger.verify(written).holds


@pytest.mark.parametrize("own", [True, False], ids=["own transactions", "the caller's"])
def test_many_writers_keep_one_chain(own: bool, ledger: Ledger, db: Database, written: TenantId) -> None:
    """They wait for each other, and no number is given twice or left out."""

    def write(number: int) -> None:
        if own:
            ledger.note(written, "signed_in", n=number)
        else:
            with db.tenant(written) as connection:
                connection.execute(text("SELECT count(*) FROM users"))
                ledger.write(connection, written, "signed_in", n=number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(80)))

    assert Verdict(rows=ROWS + 80) == ledger.verify(written)
    rows = ledger.rows(written, limit=80)
    assert set(range(80)) == {row.facts["n"] for row in rows}
    assert sorted((row.at for row in rows), reverse=True) == [row.at for row in rows]


def test_facts_are_hashed_as_they_are_kept(ledger: Ledger, tenant: TenantId) -> None:
    """Whatever JSON can hold comes back from the database as it was hashed."""
    facts: dict[str, Any] = {"b": [1, None, True, 1.5], "a": {"ü": "‮"}, "large": 2**60, "small": 1e-7, "none": None}
    write: Callable[..., None] = ledger.note
    write(tenant, "strange", **facts)

    assert ledger.verify(tenant).holds
    assert facts == ledger.rows(tenant)[0].facts


def test_the_oldest_rows_go_after_their_time_and_the_chain_still_holds(
    ledger: Ledger, db: Database, owner: Connection, written: TenantId
) -> None:
    """What is over twelve months old goes, a minute younger stays; what is left verifies from where it now begins."""
    year, minute, now = timedelta(days=365), timedelta(minutes=1), db.now()
    _set_back(owner, written, {1: now - year - minute, 2: now - year + minute})
    assert Verdict(rows=ROWS) == ledger.verify(written)  # the played year is a chain too

    assert 1 == ledger.trim(written, now - year)
    assert 0 == ledger.trim(written, now - year)

    assert [ROWS + 1, *range(ROWS, 1, -1)] == [row.seq for row in ledger.rows(written)]
    assert "ledger.trimmed" == ledger.rows(written)[0].action
    assert Verdict(rows=ROWS) == ledger.verify(written)


def test_nobody_trims_what_is_younger_than_thirty_days(ledger: Ledger, db: Database, written: TenantId) -> None:
    """Whatever the application asks for: the database does not let fresh evidence go."""
    assert 0 == ledger.trim(written, db.now() + timedelta(days=1))
    assert Verdict(rows=ROWS) == ledger.verify(written)


def _set_back(owner: Connection, tenant: TenantId, moments: Mapping[int, datetime]) -> None:
    """Play a year: give rows other times, as the owner, and write the chain that follows from them."""
    previous = START
    for found in owner.execute(select(table).where(table.c.tenant_id == tenant).order_by(table.c.seq)).all():
        at = moments.get(found.seq, found.at)
        row = Row(
            seq=found.seq, at=at, actor=found.actor, action=found.action, subject=found.subject, facts=found.facts
        )
        fresh = digest(tenant, row, previous)
        where = (table.c.tenant_id == tenant, table.c.seq == found.seq)
        owner.execute(update(table).where(*where).values(at=at, previous=previous, hash=fresh))
        previous = fresh
    owner.commit()
