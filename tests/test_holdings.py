"""Whatever is personal belongs to a holding, and every holding can say when it goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from uuid import UUID

import pytest
import redis

from domain.holding import Holding
from domain.profile import BASES, Profiles
from store.bell import Bell
from store.embedded import Embedded, Postgres
from store.holdings import BY_NAME, HOLDINGS, RULES
from store.tables import metadata

PERSONAL = ("sealed", "blind", "opaque")
COLUMNS = {
    f"{table.name}.{column.name}": column.info.get("kind")
    for table in metadata.tables.values()
    for column in table.columns
}
NOBODY = UUID(int=0)
NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


def test_every_personal_column_is_in_a_holding() -> None:
    """A column that holds a person and belongs to nobody's list would be kept for ever."""
    declared = {column for holding in HOLDINGS for column in holding.columns()}
    personal = {column for column, kind in COLUMNS.items() if kind in PERSONAL}

    assert {"contacts.person", "calls.customer_index", "calls.ref"} <= personal
    assert set() == personal - declared
    assert set() == declared - personal


@pytest.mark.parametrize("holding", HOLDINGS, ids=lambda holding: holding.name)
def test_a_holding_says_why_and_until_when(holding: Holding) -> None:
    """Its purpose is a sentence, its basis a known one, its clock a column, its time in every profile."""
    assert holding.purpose.endswith(".")
    assert holding.basis in BASES
    assert holding.clock in {"", *COLUMNS}
    assert holding == BY_NAME[holding.name]
    assert set(holding.secret) <= set(holding.what)
    for name in Profiles().names():
        kept = holding.kept(Profiles().get(name))
        assert holding.dated or holding.clock == "" or kept.period is not None


def test_every_holding_with_a_clock_has_a_rule_that_reads_it() -> None:
    """Except what no tenant owns, which the purge story sweeps itself."""
    clocked = {holding.name for holding in HOLDINGS if holding.clock}

    assert clocked - RULES.keys() == {"directory", "consent requests", "installs"}
    for name, rule in RULES.items():
        table, _, column = BY_NAME[name].clock.partition(".")
        assert rule.table.name == table
        assert f"{table}.{column}" in str(rule.at)


def test_due_before_follows_the_profile_or_the_row_itself() -> None:
    strict = Profiles().get("strict")

    assert BY_NAME["calls"].due_before(strict, NOON) == NOON - timedelta(days=30)
    assert BY_NAME["door secrets"].due_before(strict, NOON) == NOON
    assert BY_NAME["contacts"].due_before(strict, NOON) is None


def test_every_file_the_servers_keep_is_in_a_holding(
    servers: Embedded, servers_dir: Path, db_urls: Postgres, work_url: str, mail_url: str
) -> None:
    """Whatever appears in the data folder must be declared before it is kept."""
    declared = [place.removeprefix("file:") for holding in HOLDINGS for place in holding.what if "file:" in place]
    files = {path.relative_to(servers_dir).as_posix() for path in servers_dir.rglob("*") if not path.is_dir()}

    assert {"passwords.json", "postgres/data/PG_VERSION"} <= files
    assert set() == {name for name in files if not any(fnmatch(name, glob) for glob in declared)}


def test_every_key_in_the_valkeys_is_in_a_holding(work_url: str, mail_url: str) -> None:
    """RQ's keys, the doorbell's marks and cached mail; a key of another kind fails here."""
    declared = [place.removeprefix("key:") for holding in HOLDINGS for place in holding.what if "key:" in place]
    assert Bell(work_url).ring(NOBODY, "calls")
    found = set()
    for url in (work_url, mail_url):
        with redis.Redis.from_url(url) as client:
            found |= {key.decode() for key in client.keys("*")}

    assert any(name.startswith("rq:") for name in found)
    assert set() == {name for name in found if not any(fnmatch(name, glob) for glob in declared)}
