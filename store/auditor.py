"""The auditor: looks for what should not be anywhere, with eyes of its own.

`scan` searches every byte of the given folders and every key of the given Valkeys for needles, in each spelling that
software gives text on its way to a disk. `mail_age` checks with its own SQL, as its own database role, that no cached
mail can be older than promised. It uses nothing of the cache's code, and a finding never repeats what was found.

Not seen: what a file system keeps of deleted files, and text inside a compression other than zlib (RQ's). Of ours,
PostgreSQL and Valkey's append-only file compress nothing that is sealed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import redis
from sqlalchemy import create_engine, pool, text
from sqlalchemy.engine import make_url

CHUNK = 4 << 20
ZLIB_HEAD = b"\x78\x9c"  # how a zlib stream of the default level begins
ZLIB_MOST = 64 << 10  # so much of a stream is read
WAL_PAGE = 8_192  # PostgreSQL's default; a page header cuts through records, so it is taken out before searching
WAL_HEADER, WAL_FIRST_HEADER = 24, 40  # XLogPageHeaderData and XLogLongPageHeaderData, aligned (access/xlog_internal.h)
CLOCK_TOLERANCE = timedelta(seconds=2)  # between the two servers' clocks


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a needle lies, which one of them, and in which spelling. Never the needle."""

    where: str
    needle_index: int
    encoding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `mail_age` saw. `problems` holds a sentence for each promise that is not kept."""

    at: datetime
    partitions: int
    messages: int
    oldest_seconds: float  # of the oldest hour key: no message is older
    problems: tuple[str, ...]

    @property
    def kept(self) -> bool:
        return not self.problems


# ---- needles ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Needle:
    index: int
    encoding: str
    spelled: bytes


def spellings(needle: bytes | str) -> dict[str, bytes]:
    """Each spelling of a needle by its name; base64 has three, one for each place it can begin at."""
    raw = needle.encode() if isinstance(needle, str) else needle
    found = {"raw": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + raw)
        end = (shift + len(raw)) * 8 // 6  # what follows depends on the bytes that come after the needle
        inner = coded[(shift * 8 + 5) // 6 : end]
        found[f"base64+{shift}"] = inner
        found[f"base64url+{shift}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    try:
        words = raw.decode()
    except UnicodeDecodeError:
        return found
    found["utf-16-le"], found["utf-16-be"] = words.encode("utf-16-le"), words.encode("utf-16-be")
    found["json"] = json.dumps(words)[1:-1].encode()
    found["percent"] = quote(words, safe="").encode()
    return found


def _needles(needles: Sequence[bytes | str]) -> list[_Needle]:
    """Every spelling once; one too short to mean anything is refused."""
    found: dict[tuple[int, bytes], _Needle] = {}
    for index, needle in enumerate(needles):
        if len(needle) < 4:
            raise ValueError("a needle needs four characters: a shorter one is found everywhere")
        for encoding, spelled in spellings(needle).items():
            found.setdefault((index, spelled), _Needle(index, encoding, spelled))
    return list(found.values())


def _search(hay: bytes, needles: Iterable[_Needle]) -> list[_Needle]:
    return [needle for needle in needles if needle.spelled in hay]


def _unpacked(hay: bytes) -> Iterator[bytes]:
    """Whatever zlib streams lie in `hay`."""
    at = hay.find(ZLIB_HEAD)
    while at >= 0:
        with suppress(zlib.error):  # two bytes that happened to look like a beginning
            yield zlib.decompressobj().decompress(hay[at : at + ZLIB_MOST], ZLIB_MOST)
        at = hay.find(ZLIB_HEAD, at + 1)


class _Hunt:
    """The search of one file or key: each needle is found once in it.

    `clean` remembers by their SHA-256 what nothing at all was found in: PostgreSQL begins each database as a copy.
    """

    def __init__(self, where: str, needles: Sequence[_Needle], clean: set[bytes]) -> None:
        self._where = where
        self._open = list(needles)
        self._clean = clean
        self.findings: list[Finding] = []

    def look(self, hay: bytes) -> None:
        if (seen := hashlib.sha256(hay).digest()) in self._clean:
            return
        self._note(_search(hay, self._open), "")
        for inner in _unpacked(hay):
            self._note(_search(inner, self._open), " in zlib")
        if not self.findings:
            self._clean.add(seen)

    def _note(self, found: Iterable[_Needle], inside: str) -> None:
        for needle in found:
            self.findings.append(Finding(self._where, needle.index, needle.encoding + inside))
            self._open.remove(needle)


def _nameable(name: str, needles: Sequence[_Needle]) -> str:
    """A name as it is, unless it holds a needle itself."""
    held = name.encode(errors="surrogateescape")
    return f"a name with SHA-256 {hashlib.sha256(held).hexdigest()[:16]}" if _search(held, needles) else name


# ---- scanning ---------------------------------------------------------------------------------------------------


def scan(
    needles: Sequence[bytes | str], *, files: Sequence[Path] = (), redis_urls: Sequence[str] = ()
) -> list[Finding]:
    """Search every file below `files` and every key of the Valkeys at `redis_urls`; return each finding."""
    wanted = _needles(needles)
    found: list[Finding] = []
    clean: set[bytes] = set()
    if not wanted:
        return found
    overlap = max(ZLIB_MOST, *(len(needle.spelled) for needle in wanted))
    for path in sorted(below for folder in files for below in _files(folder)):
        found += _in_file(path, wanted, overlap, clean)
    for url in redis_urls:
        found += _in_redis(url, wanted, clean)
    return found


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def _in_file(path: Path, needles: Sequence[_Needle], overlap: int, clean: set[bytes]) -> list[Finding]:
    hunt = _Hunt(_nameable(str(path), needles), needles, clean)
    hunt.look(path.name.encode(errors="surrogateescape"))
    tail = b""
    with suppress(FileNotFoundError):  # a server removed it meanwhile
        for chunk in _wal(path) if path.parent.name == "pg_wal" else _plain(path):
            hunt.look(tail + chunk)
            tail = (tail + chunk)[-overlap:]
    return hunt.findings


def _plain(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _wal(path: Path) -> Iterator[bytes]:
    """A segment of the write-ahead log as the records in it, without the page headers that cut through them."""
    with path.open("rb") as file:
        first = True
        while chunk := file.read(CHUNK):
            pages = []
            for at in range(0, len(chunk), WAL_PAGE):
                pages.append(chunk[at + (WAL_FIRST_HEADER if first else WAL_HEADER) : at + WAL_PAGE])
                first = False
            yield b"".join(pages)


def _in_redis(url: str, needles: Sequence[_Needle], clean: set[bytes]) -> list[Finding]:
    client: Any = redis.Redis.from_url(url)
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    found: list[Finding] = []
    for key in client.scan_iter(count=1_000):
        hunt = _Hunt(f"{place} {_nameable(key.decode(errors='replace'), needles)}", needles, clean)
        hunt.look(key)
        for value in _values(client, key):
            hunt.look(value)
        found += hunt.findings
    client.close()
    return found


def _values(client: Any, key: bytes) -> Iterator[bytes]:
    """Everything under one key, whatever its type."""
    match client.type(key):
        case b"string":
            yield client.get(key) or b""
        case b"list":
            for at in range(0, client.llen(key), 1_000):
                yield from client.lrange(key, at, at + 999)
        case b"set":
            yield from client.sscan_iter(key)
        case b"zset":
            for member, _ in client.zscan_iter(key):
                yield member
        case b"hash":
            for name, value in client.hscan_iter(key):
                yield name
                yield value
        case b"stream":
            for _, fields in client.xrange(key):
                for name, value in fields.items():
                    yield name
                    yield value
        case b"none":
            return  # it expired meanwhile
        case other:
            raise ValueError(f"a key of the type {other.decode()} cannot be searched")


# ---- mail -------------------------------------------------------------------------------------------------------

PARTITIONS = text(
    "SELECT c.relname AS name, c.relpersistence AS persistence, clock_timestamp() AS now"
    " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'mail_keys'::regclass"
)
BUCKETS = text("SELECT bucket FROM mail_keys")
MESSAGE = "hold a message"
ENDLESS, GONE = -1, -2  # answers of PEXPIRETIME


def mail_age(database_url: str, mail_redis_url: str, *, cache_seconds: int, now: datetime | None = None) -> Report:
    """Check from outside that no cached mail can be older than promised. Give it the auditor's database URL."""
    problems: list[str] = []
    promise = timedelta(seconds=cache_seconds)
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        partitions = connection.execute(PARTITIONS).all()
        buckets = [row.bucket for row in connection.execute(BUCKETS)]
    engine.dispose()
    at = now or max((row.now for row in partitions), default=datetime.now(UTC))
    for row in partitions:
        _, _, began = row.name.rpartition("_")
        if not began.isdigit():
            problems.append(f"The partition {row.name} does not say when it began.")
        elif datetime.fromtimestamp(int(began), UTC) + promise < at:
            problems.append(f"The hour key {row.name} is older than promised.")
        if row.persistence != "u":
            problems.append(f"The partition {row.name} is written to the log.")
    oldest = max((at - bucket for bucket in buckets), default=timedelta())
    if oldest > promise:
        problems.append("An hour key is older than promised.")
    messages = _mail_problems(mail_redis_url, promise, problems)
    return Report(
        at=at,
        partitions=len(partitions),
        messages=messages,
        oldest_seconds=max(0.0, oldest.total_seconds()),
        problems=tuple(problems),
    )


def _mail_problems(url: str, promise: timedelta, problems: list[str]) -> int:
    """Look at every cached message's end; add a sentence for each kind of fault. Return how many messages there are."""
    client: Any = redis.Redis.from_url(url, socket_timeout=10.0, socket_connect_timeout=5.0)
    found: Counter[str] = Counter()
    try:
        if set(client.config_get("save", "appendonly").values()) != {"", "no"}:
            problems.append("The Valkey of cached mail writes to a disk.")
        if client.info("replication").get("connected_slaves"):
            problems.append("The Valkey of cached mail has a replica.")
        for key in client.scan_iter("mail:*", count=1_000):
            found.update(_mail_key(client, key, promise))
    except redis.RedisError:
        problems.append("The Valkey of cached mail could not be looked into.")
    finally:
        client.close()
    problems += [f"{count} keys of cached mail {fault}." for fault, count in found.items() if fault != MESSAGE]
    return found[MESSAGE]


def _mail_key(client: Any, key: bytes, promise: timedelta) -> Iterator[str]:
    """What there is to say of one key."""
    until = client.pexpiretime(key)
    if until == GONE:
        return
    if until == ENDLESS:
        yield "have no end"
    if b":m:" not in key:
        return
    yield MESSAGE
    head = client.getrange(key, 0, 7)  # when its bucket began, in the clear
    if len(head) != 8:
        yield "do not say when they began"
    elif until > 0 and until / 1_000 > struct.unpack(">q", head)[0] + (promise + CLOCK_TOLERANCE).total_seconds():
        yield "end later than promised"
