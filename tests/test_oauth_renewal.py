"""A consent is renewed by one process at a time, and its end is told once, for good."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import func, update

from domain.errors import ConsentLost, Refused, TryLater, Upstream
from store.database import Database, TenantId
from store.embedded import Postgres
from store.tables import grants
from store.vault import Vault
from tests.till import FIRST, PROVIDER, Till, renewed

PROCESSES = 25
CROWD = """
import os, sys, uuid
import requests
from oauth.grants import Grants
from store.connections import Connections
from store.database import Database
from store.ledger import Ledger
from store.vault import KeyRing, Vault
from tests.servers import RING
from tests.till import PROVIDER
url, tenant, tie, many = sys.argv[1], uuid.UUID(sys.argv[2]), uuid.UUID(sys.argv[3]), int(sys.argv[4])
for _ in range(many):
    if os.fork() == 0:
        db = Database(url, pool_size=1)
        vault = Vault(db, KeyRing(RING))
        kept = Grants(db, vault, Ledger(db), Connections(db, vault), {}, requests.Session(), timeout=10)
        os.write(1, (kept.token(tenant, tie, PROVIDER).value + "\\n").encode())
        os._exit(0)
sys.exit(any(os.waitpid(-1, 0)[1] for _ in range(many)))
"""


@pytest.fixture
def till(db: Database, vault: Vault, tenant: TenantId) -> Till:
    return Till(db, vault, tenant)


@pytest.fixture
def counting() -> Iterator[tuple[str, list[str]]]:
    """A slow token endpoint on loopback that counts: (origin, what it was asked)."""
    asked: list[str] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            threading.Event().wait(0.5)  # so long that every other process comes and finds it under way
            body = json.dumps(renewed(len(asked))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_many_processes_renew_an_expired_token_once(
    till: Till, db_urls: Postgres, counting: tuple[str, list[str]]
) -> None:
    """Twenty-five processes, one expired token, one request, and the same new token for all of them."""
    origin, asked = counting
    till.keep(home=origin)
    till.age(-1)

    crowd = subprocess.run(
        [sys.executable, "-c", CROWD, db_urls.app_url, str(till.tenant), str(till.tie), str(PROCESSES)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 0 == crowd.returncode, crowd.stderr
    assert ["access-1"] * PROCESSES == crowd.stdout.split()
    assert 1 == len(asked)


def test_the_end_of_a_consent_is_told_once(till: Till) -> None:
    """Ten at once learn of it: the tokens are gone, the connection says so, the ledger has one row, one is told."""
    till.desk.says = [{"error": "invalid_grant"}]
    till.age(-1)

    def ask(_: int) -> str:
        with pytest.raises(ConsentLost) as gone:
            till.token()
        return gone.value.code

    with ThreadPoolExecutor(8) as threads:
        assert {"consent.lost"} == set(threads.map(ask, range(10)))

    assert ("dead", None, None) == (till.row().state, till.row().refresh, till.row().access)
    assert ("needs_consent", "consent.lost") == (till.connection().state, till.connection().reason)
    assert 1 == len(till.ledger.rows(till.tenant, action="consent.lost"))
    assert [(till.tenant, till.tie)] == till.lost
    assert 1 == len(till.desk.asked)

    till.keep()
    assert ("active", "access-0") == (till.connection().state, till.token())


SEVEN, HALF, TESTING = timedelta(days=7), timedelta(minutes=30), "consent.testing_mode"
DEATHS: dict[str, tuple[list[tuple[timedelta, str]], list[str]]] = {
    "once may be chance": ([(SEVEN, "invalid_grant")], ["consent.lost"]),
    "twice in a row": ([(SEVEN, "invalid_grant"), (SEVEN + HALF, "invalid_grant")], ["consent.lost", TESTING]),
    "and every time after": ([(SEVEN, "invalid_grant")] * 3, ["consent.lost", TESTING, TESTING]),
    "not in a row": (
        [(SEVEN, "invalid_grant"), (SEVEN * 2, "invalid_grant"), (SEVEN, "invalid_grant")],
        ["consent.lost"] * 3,
    ),
    "too early": ([(SEVEN - HALF * 3, "invalid_grant")] * 2, ["consent.lost"] * 2),
    "for a reason with a name": ([(SEVEN, "admin_policy_enforced")] * 2, ["consent.policy"] * 2),
    "a scope that is none": ([(SEVEN, "invalid_scope")], ["consent.scope"]),
}


@pytest.mark.parametrize(("deaths", "told"), DEATHS.values(), ids=DEATHS)
def test_consents_that_die_after_seven_days_are_recognised(
    deaths: list[tuple[timedelta, str]], told: list[str], till: Till
) -> None:
    """An application in testing loses every consent at that age; said so from the second time in a row."""
    ends = frozenset({"invalid_grant", "invalid_scope", "admin_policy_enforced"})
    provider = replace(PROVIDER, errors_that_end=ends, trial=SEVEN)
    heard = []
    for age, error in deaths:
        till.keep(replace(FIRST, refresh="refresh-1"))
        till.age(-1)
        till.given(age)
        till.desk.says = [{"error": error}]
        with pytest.raises(ConsentLost) as gone:
            till.grants.token(till.tenant, till.tie, provider)
        heard.append(gone.value.code)
        assert ("needs_consent", gone.value.code) == (till.connection().state, till.connection().reason)

    assert told == heard


PASSING = {
    "a throttle": {"error": "Access Denied"},
    "not JSON": b"<html>busy</html>",
    "nothing in it": {},
    "a list": [],
    "not reached": requests.ConnectionError(),
    "no answer": requests.ReadTimeout(),
    "a foreign API": renewed(1, api_domain="https://evil.example"),
}


@pytest.mark.parametrize("says", PASSING.values(), ids=PASSING)
def test_trouble_that_passes_ends_nothing(says: Any, till: Till) -> None:
    """While the old token lives it is used; then the work waits. The next one may try at once."""
    till.desk.says = [says]
    till.age(100)
    assert "access-0" == till.token()
    till.age(-1)
    with pytest.raises(TryLater):
        till.token()
    with pytest.raises(TryLater):
        till.grants.tokens(till.tenant, till.tie, PROVIDER)(renew=True)

    assert "active" == till.connection().state
    assert ("active", None) == (till.row().state, till.row().lease_until)
    till.desk.says = [renewed(1)]
    assert "access-1" == till.token()


def test_a_mistake_of_the_operator_is_no_end_either(till: Till) -> None:
    """A wrong client secret can be mended; the tenants' consents must survive it."""
    till.desk.says = [{"error": "invalid_client"}]
    till.age(-1)

    with pytest.raises(Refused) as refused:
        till.token()
    assert "oauth.invalid_client" == refused.value.code
    assert ("active", []) == (till.connection().state, till.lost)


@pytest.mark.parametrize("late", [renewed(1), {"error": "invalid_grant"}], ids=["a token", "an end"])
def test_whoever_slept_through_their_lease_changes_nothing(late: dict[str, Any], till: Till) -> None:
    """Another process has renewed meanwhile; a late answer neither overwrites its token nor ends its consent."""
    till.age(-1)
    till.desk.says = [late, renewed(2, refresh_token="refresh-2")]

    def overtaken() -> None:
        till.desk.meanwhile = lambda: None
        with till.db.tenant(till.tenant) as connection:
            connection.execute(update(grants).values(lease_until=func.now() - func.make_interval(0, 0, 0, 0, 0, 1)))
        assert "access-2" == till.token()

    till.desk.meanwhile = overtaken
    try:
        till.token()
    except Upstream:
        assert "error" in late

    assert ("active", 1, 2) == (till.row().state, till.row().version, till.row().fence)
    assert ("access-2", "refresh-2") == (till.open("access"), till.open("refresh"))
    assert ("active", []) == (till.connection().state, till.lost)


def test_whoever_waits_too_long_is_told_to_come_later(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else holds the lease and does not finish: the work waits, and nobody renews beside them."""
    monkeypatch.setattr("oauth.grants.WAIT_SECONDS", 0.2)
    till.age(-1)
    with till.db.tenant(till.tenant) as connection:
        connection.execute(update(grants).values(lease_until=func.now() + func.make_interval(0, 0, 0, 0, 0, 1)))

    with pytest.raises(TryLater):
        till.token()
    assert [] == till.desk.asked
    till.age(60)
    assert "access-0" == till.token()  # old, but it still works
