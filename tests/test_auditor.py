"""The auditor finds what is there, in every spelling, and says where without repeating it."""

from __future__ import annotations

import base64
import os
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from domain.mail import Message
from store import auditor
from store.auditor import Finding, mail_age, scan
from store.database import Database, TenantId
from store.embedded import Embedded, Postgres
from store.mailbox import MailCache
from store.vault import Vault
from tests.test_mailbox import clear

NEEDLE = "Łukasz +34600111222"
DAY = 86_400


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("raw", f"dial {NEEDLE} now".encode()),
        ("hex", NEEDLE.encode().hex().encode()),
        ("HEX", NEEDLE.encode().hex().upper().encode()),
        ("base64+0", base64.b64encode(NEEDLE.encode() + b" and more")),
        ("base64+1", base64.b64encode(b"x" + NEEDLE.encode() + b" and more")),
        ("base64+2", base64.b64encode(b"xy" + NEEDLE.encode())),
        ("base64+1", base64.b64encode(b"four" + NEEDLE.encode())),
        ("utf-16-le", NEEDLE.encode("utf-16-le")),
        ("utf-16-be", NEEDLE.encode("utf-16-be")),
        ("json", b'{"who": "\\u0141ukasz +34600111222"}'),
        ("percent", b"q=%C5%81ukasz%20%2B34600111222&x=1"),
        ("raw in zlib", b"*3\r\n$4\r\nHSET\r\n" + zlib.compress(NEEDLE.encode() * 3) + b"\r\n"),
    ],
)
def test_every_spelling_is_found_and_none_is_repeated(tmp_path: Path, encoding: str, written: bytes) -> None:
    """In a file, behind other bytes; beside it the same file without the needle is clean."""
    (tmp_path / "clean").write_bytes(os.urandom(5_000))
    dirty = tmp_path / "folder" / "dirty"
    dirty.parent.mkdir()
    dirty.write_bytes(os.urandom(3_000) + b"\n" + written + b"\n" + os.urandom(3_000))

    found = scan(["nobody at all", NEEDLE], files=[tmp_path])

    assert [Finding(str(dirty), 1, encoding)] == found
    assert "600111222" not in repr(found)


def test_base64_in_its_web_spelling(tmp_path: Path) -> None:
    needle = "~~~???>>>\xff\xfb"
    (tmp_path / "token").write_bytes(base64.urlsafe_b64encode(needle.encode()))

    assert [finding.encoding for finding in scan([needle], files=[tmp_path])] == [("base64url+0")]


def test_a_needle_across_two_chunks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the reading happens to cut."""
    monkeypatch.setattr(auditor, "CHUNK", 1_000)
    (tmp_path / "big").write_bytes(b"." * 995 + NEEDLE.encode() + b"." * 5_000)

    assert [finding.encoding for finding in scan([NEEDLE], files=[tmp_path])] == ["raw"]


def test_a_name_that_holds_the_needle_is_a_finding_without_it(tmp_path: Path) -> None:
    (tmp_path / "call-600111222.log").touch()

    (found,) = scan(["600111222"], files=[tmp_path])

    assert "600111222" not in found.where
    assert found.where.startswith("a name with SHA-256")


def test_a_needle_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="four"):
        scan(["abc"])


@pytest.mark.parametrize("kind", ["string", "list", "set", "zset", "hash", "stream", "key"])
def test_every_type_of_key_is_searched(work_url: str, kind: str) -> None:
    """Values, members, field names and the keys' own names."""
    client: Any = redis.Redis.from_url(work_url)
    write = {
        "string": lambda: client.set("k", f"a {NEEDLE}"),
        "list": lambda: client.rpush("k", "x", f"a {NEEDLE}"),
        "set": lambda: client.sadd("k", f"a {NEEDLE}"),
        "zset": lambda: client.zadd("k", {f"a {NEEDLE}": 1}),
        "hash": lambda: client.hset("k", mapping={"data": zlib.compress(NEEDLE.encode())}),
        "stream": lambda: client.xadd("k", {"f": NEEDLE}),
        "key": lambda: client.set(NEEDLE, "x"),
    }
    assert scan([NEEDLE], redis_urls=[work_url]) == []
    write[kind]()
    try:
        (found,) = scan([NEEDLE], redis_urls=[work_url])
    finally:
        client.delete("k", NEEDLE)
        client.close()
    assert (kind == "key") == ("SHA-256" in found.where)
    assert "600111222" not in repr(found)


def test_what_the_servers_write_is_found_in_their_files(
    servers: Embedded, servers_dir: Path, db_urls: Postgres, work_url: str
) -> None:
    """Presence before absence: plain text in a table, in the write-ahead log and in the append-only file is seen."""
    needles = [f"canary-{os.urandom(8).hex()}-{number}" for number in range(2)]
    with psycopg.connect(db_urls.owner_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE canaries (note text)")
        for number in range(200):  # enough for some of them to lie across pages of the log
            connection.execute("INSERT INTO canaries VALUES (%s)", [needles[0] + "." * number * 5])
    client: Any = redis.Redis.from_url(work_url)
    client.set("canary", needles[1])
    client.delete("canary")
    try:
        until = time.monotonic() + 10
        kinds: set[str] = set()
        while kinds != {"base", "pg_wal", "appendonlydir"} and time.monotonic() < until:
            found = scan(needles, files=[servers_dir])
            parts = [set(Path(finding.where).relative_to(servers_dir).parts) for finding in found]
            kinds = {kind for kind in ("base", "pg_wal", "appendonlydir") if any(kind in part for part in parts)}
            if "base" not in kinds:
                checkpoint(db_urls)
        assert {"base", "pg_wal", "appendonlydir"} == kinds
    finally:
        client.close()
        with psycopg.connect(db_urls.owner_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("DROP TABLE canaries")


def checkpoint(db_urls: Postgres) -> None:
    with psycopg.connect(db_urls.admin_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def test_a_record_cut_by_a_page_of_the_log_is_found(tmp_path: Path) -> None:
    """PostgreSQL writes a header every 8 KiB, through whatever is being written."""
    segment = tmp_path / "pg_wal" / "000000010000000000000001"
    segment.parent.mkdir()
    half = len(NEEDLE.encode()) // 2
    raw = NEEDLE.encode()
    segment.write_bytes(b"H" * 40 + b"." * (8_192 - 40 - half) + raw[:half] + b"h" * 24 + raw[half:] + b"." * 8_000)

    assert [finding.encoding for finding in scan([NEEDLE], files=[tmp_path])] == ["raw"]


def test_cached_mail_is_in_no_file_and_not_readable_in_a_valkey(
    servers: Embedded, servers_dir: Path, db: Database, vault: Vault, mail_url: str, work_url: str, tenant: TenantId
) -> None:
    """The whole point: after putting and reading a message, a search of everything finds nothing of it."""
    clear(db)
    secret = f"quince-{os.urandom(8).hex()}"
    cache = MailCache(db, vault, mail_url, cache_seconds=DAY)
    note = Message(id=secret, thread=secret, at=datetime.now(UTC), sender=secret, to=(), subject=secret, body=secret)
    assert cache.put(tenant, [(note, ["7"])]) == 1
    assert cache.get(tenant, secret) == note
    with db.anyone() as connection:
        key = bytes(connection.exec_driver_sql("SELECT key FROM mail_keys").scalar_one())
    (servers_dir / "found").write_text(secret)
    assert len(scan([secret], files=[servers_dir])) == 1
    (servers_dir / "found").unlink()

    assert scan([secret], files=[servers_dir], redis_urls=[mail_url, work_url]) == []
    in_files = {Path(finding.where).relative_to(servers_dir).parts for finding in scan([key], files=[servers_dir])}
    assert [parts for parts in in_files if "pg_wal" in parts] == []  # the hour key is in no write-ahead log
    cache.close()


@pytest.fixture
def raw(mail_url: str, db: Database) -> Iterator[Any]:
    """The Valkey of mail, emptied, and no hour keys."""
    client = redis.Redis.from_url(mail_url)
    client.flushall()
    clear(db)
    yield client
    client.flushall()
    client.config_set("save", "")
    client.close()
    clear(db)


def test_mail_on_time_is_reported_as_kept(
    raw: Any, db_urls: Postgres, db: Database, vault: Vault, mail_url: str, tenant: TenantId
) -> None:
    cache = MailCache(db, vault, mail_url, cache_seconds=DAY)
    note = Message(id="m", thread="t", at=datetime.now(UTC), sender="d@quince.example", to=(), subject="s")
    cache.put(tenant, [(note, ["7"])])

    report = mail_age(db_urls.auditor_url, mail_url, cache_seconds=DAY)

    assert (report.kept, report.partitions, report.messages) == (True, 1, 1)
    assert 0 < report.oldest_seconds <= 3_600

    late = mail_age(db_urls.auditor_url, mail_url, cache_seconds=DAY, now=datetime.now(UTC) + timedelta(days=2))
    assert not late.kept
    assert len(late.problems) == 2  # the partition and the key in it
    cache.close()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda raw, key: raw.persist(key), "1 keys of cached mail have no end."),
        (lambda raw, key: raw.expire(key, 2 * DAY), "1 keys of cached mail end later than promised."),
        (lambda raw, key: raw.setrange(key, 0, b"\0" * 8), "1 keys of cached mail end later than promised."),
        (lambda raw, key: raw.set(key, b"?", px=9_000), "1 keys of cached mail do not say when they began."),
        (lambda raw, key: raw.config_set("save", "60 1"), "The Valkey of cached mail writes to a disk."),
    ],
)
def test_each_broken_promise_is_named(
    raw: Any, db_urls: Postgres, db: Database, vault: Vault, mail_url: str, tenant: TenantId, spoil: Any, sentence: str
) -> None:
    cache = MailCache(db, vault, mail_url, cache_seconds=DAY)
    note = Message(id="m", thread="t", at=datetime.now(UTC), sender="d@quince.example", to=(), subject="s")
    cache.put(tenant, [(note, [])])
    assert mail_age(db_urls.auditor_url, mail_url, cache_seconds=DAY).kept

    spoil(raw, raw.keys("*:m:*")[0])

    assert mail_age(db_urls.auditor_url, mail_url, cache_seconds=DAY).problems == (sentence,)
    cache.close()
