"""A consent is kept, renewed by one process at a time, and ended once, for good."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from sqlalchemy import func, select, update

from domain.errors import ConsentLost, Refused, TryLater, Upstream
from oauth import answer
from oauth.answer import Answer
from oauth.grants import Grants
from oauth.provider import Client, OAuthProvider
from store.connections import Connections
from store.database import Database, TenantId
from store.embedded import Postgres
from store.ledger import Ledger
from store.tables import grants
from store.vault import Vault

PROCESSES = 25
HOUR = 3600
FIRST = Answer(access="access-0", refresh="refresh-0", scopes=frozenset({"calls"}), life=HOUR, refresh_life=0, extra={})
PROVIDER = OAuthProvider(
    slug="zoho",
    title="Zoho",
    client=Client(id="c", secret="s3cret"),
    authorize_url="{home}/auth",
    token_url="{home}/token",
    revoke_url="{home}/revoke",
    features=(),
    sign_in_scopes=(),
    errors_that_pass=frozenset({"Access Denied"}),
    keep_from_token=("api_domain",),
)
CROWD = """
import os, sys, uuid
import requests
from oauth.grants import Grants
from store.connections import Connections
from store.database import Database
from store.ledger import Ledger
from store.vault import KeyRing, Vault
from tests.servers import RING
from tests.test_oauth_grants import PROVIDER
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


class Desk:
    """A token endpoint without a network: says what it was told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.says: list[Any] = []
        self.asked: list[dict[str, str]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def post(self, url: str, *, data: Any = None, timeout: float, **_: Any) -> requests.Response:
        self.asked.append(dict(data or {}))
        say = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        self.meanwhile()
        if isinstance(say, Exception):
            raise say
        response = requests.Response()
        response.status_code = 200
        response._content = say if isinstance(say, bytes) else json.dumps(say).encode()
        return response


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def lost() -> list[tuple[TenantId, uuid.UUID]]:
    """Whose loss was told."""
    return []


@pytest.fixture
def kept(db: Database, vault: Vault, desk: Desk, lost: list[tuple[TenantId, uuid.UUID]]) -> Grants:
    return Grants(
        db,
        vault,
        Ledger(db),
        Connections(db, vault),
        {"zoho": PROVIDER},
        cast(requests.Session, desk),
        timeout=5,
        on_lost=lambda tenant, tie: lost.append((tenant, tie)),
        sleep=lambda seconds: threading.Event().wait(seconds / 10) and None,
    )


@pytest.fixture
def tie(db: Database, vault: Vault, tenant: TenantId, kept: Grants) -> uuid.UUID:
    """Alice's connection with a consent that has just been given."""
    made = Connections(db, vault).add(tenant, "crm", "zoho", label="Alice Ltd", subject="20001")
    keep(kept, tenant, made, FIRST)
    return made


def keep(kept: Grants, tenant: TenantId, tie: uuid.UUID, got: Answer, home: str = "https://eu") -> None:
    kept.keep(
        tenant, tie, PROVIDER, got, home=home, location="eu", granted_by=None, purposes=["calls"], policy_version="1"
    )


def age(db: Database, tenant: TenantId, seconds_left: float) -> None:
    """Turn the clock until the access token has so long to live."""
    with db.tenant(tenant) as connection:
        left = func.make_interval(0, 0, 0, 0, 0, 0, seconds_left)
        connection.execute(update(grants).where(grants.c.state == "active").values(access_until=func.now() + left))


def row(db: Database, tenant: TenantId) -> Any:
    with db.tenant(tenant) as connection:
        return connection.execute(select(grants).order_by(grants.c.created_at.desc()).limit(1)).one()


def renewed(number: int, **more: Any) -> dict[str, Any]:
    return {"access_token": f"access-{number}", "expires_in": HOUR, "scope": "calls"} | more


def test_a_token_that_lasts_is_used_as_it_is(kept: Grants, tenant: TenantId, tie: uuid.UUID, desk: Desk) -> None:
    """Nobody is asked; it is not shown when printed."""
    token = kept.token(tenant, tie, PROVIDER)

    assert ("access-0", frozenset({"calls"})) == (token.value, token.scopes)
    assert [] == desk.asked
    assert "access-0" not in f"{token!r}{FIRST!r}{PROVIDER!r}"


def test_tokens_are_sealed(kept: Grants, db: Database, tenant: TenantId, tie: uuid.UUID, vault: Vault) -> None:
    """In their own cells: the access token's envelope does not open as a refresh token."""
    held = row(db, tenant)

    assert "refresh-0" == vault.of(tenant).open("grants", held.id, "refresh", held.refresh)
    assert b"refresh-0" not in bytes(held.refresh) + bytes(held.access)
    assert "refresh-0" not in str(held) + str(Ledger(db).rows(tenant))
    (receipt,) = Ledger(db).rows(tenant, action="consent.given")
    assert ["calls"] == receipt.facts["scopes"]


def test_an_old_one_is_renewed_ahead_of_its_end(
    kept: Grants, db: Database, tenant: TenantId, tie: uuid.UUID, desk: Desk, vault: Vault
) -> None:
    """With our client's secret; an answer without a refresh token keeps the old one, another one replaces it."""
    desk.says = [renewed(1), renewed(2, refresh_token="refresh-2")]
    for number, refresh in ((1, "refresh-0"), (2, "refresh-2")):
        age(db, tenant, 100)
        assert f"access-{number}" == kept.token(tenant, tie, PROVIDER).value
        held = row(db, tenant)
        assert refresh == vault.of(tenant).open("grants", held.id, "refresh", held.refresh)
        assert (number, None) == (held.version, held.lease_until)

    assert [
        {"grant_type": "refresh_token", "refresh_token": "refresh-0", "client_id": "c", "client_secret": "s3cret"}
    ] * 2 == desk.asked


def test_a_token_that_was_just_refused_is_renewed_once(
    kept: Grants, tenant: TenantId, tie: uuid.UUID, desk: Desk
) -> None:
    """Also if the clock says it is still good; whoever was refused the older one gets the newer without asking."""
    desk.says = [renewed(1)]
    one, other = (kept.tokens(tenant, tie, PROVIDER) for _ in range(2))
    assert ("access-0", "access-0") == (one(), other())

    assert ("access-1", "access-1") == (one(renew=True), other(renew=True))
    assert 1 == len(desk.asked)


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
    kept: Grants,
    db: Database,
    db_urls: Postgres,
    tenant: TenantId,
    tie: uuid.UUID,
    counting: tuple[str, list[str]],
) -> None:
    """Twenty-five processes, one expired token, one request, and the same new token for all of them."""
    origin, asked = counting
    keep(kept, tenant, tie, FIRST, home=origin)
    age(db, tenant, -1)

    crowd = subprocess.run(
        [sys.executable, "-c", CROWD, db_urls.app_url, str(tenant), str(tie), str(PROCESSES)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert 0 == crowd.returncode, crowd.stderr
    assert ["access-1"] * PROCESSES == crowd.stdout.split()
    assert 1 == len(asked)


def test_the_end_of_a_consent_is_told_once(
    kept: Grants,
    db: Database,
    vault: Vault,
    tenant: TenantId,
    tie: uuid.UUID,
    desk: Desk,
    lost: list[tuple[TenantId, uuid.UUID]],
) -> None:
    """Ten at once learn of it: the tokens are gone, the connection says so, the ledger has one row, one is told."""
    desk.says = [{"error": "invalid_grant"}]
    age(db, tenant, -1)

    def ask(_: int) -> str:
        with pytest.raises(ConsentLost) as gone:
            kept.token(tenant, tie, PROVIDER)
        return gone.value.code

    with ThreadPoolExecutor(8) as threads:
        assert {"consent.lost"} == set(threads.map(ask, range(10)))

    held = row(db, tenant)
    assert ("dead", None, None) == (held.state, held.refresh, held.access)
    connection = Connections(db, vault).get(tenant, tie)
    assert ("needs_consent", "consent.lost") == (connection.state, connection.reason)
    assert 1 == len(Ledger(db).rows(tenant, action="consent.lost"))
    assert [(tenant, tie)] == lost
    assert 1 == len(desk.asked)

    keep(kept, tenant, tie, FIRST)
    assert "active" == Connections(db, vault).get(tenant, tie).state
    assert "access-0" == kept.token(tenant, tie, PROVIDER).value


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
def test_trouble_that_passes_ends_nothing(
    says: Any, kept: Grants, db: Database, vault: Vault, tenant: TenantId, tie: uuid.UUID, desk: Desk
) -> None:
    """While the old token lives it is used; then the work waits. The next one may try at once."""
    desk.says = [says]
    age(db, tenant, 100)
    assert "access-0" == kept.token(tenant, tie, PROVIDER).value
    age(db, tenant, -1)
    with pytest.raises(TryLater):
        kept.token(tenant, tie, PROVIDER)
    with pytest.raises(TryLater):
        kept.tokens(tenant, tie, PROVIDER)(renew=True)

    assert "active" == Connections(db, vault).get(tenant, tie).state
    assert ("active", None) == (row(db, tenant).state, row(db, tenant).lease_until)
    desk.says = [renewed(1)]
    assert "access-1" == kept.token(tenant, tie, PROVIDER).value


def test_a_mistake_of_the_operator_is_no_end_either(
    kept: Grants, db: Database, vault: Vault, tenant: TenantId, tie: uuid.UUID, desk: Desk
) -> None:
    """A wrong client secret can be mended; the tenants' consents must survive it."""
    desk.says = [{"error": "invalid_client"}]
    age(db, tenant, -1)

    with pytest.raises(Refused) as refused:
        kept.token(tenant, tie, PROVIDER)
    assert "oauth.invalid_client" == refused.value.code
    assert "active" == Connections(db, vault).get(tenant, tie).state


@pytest.mark.parametrize("late", [renewed(1), {"error": "invalid_grant"}], ids=["a token", "an end"])
def test_whoever_slept_through_their_lease_changes_nothing(
    late: Any,
    kept: Grants,
    db: Database,
    vault: Vault,
    tenant: TenantId,
    tie: uuid.UUID,
    desk: Desk,
    lost: list[Any],
) -> None:
    """Another process has renewed meanwhile; a late answer neither overwrites its token nor ends its consent."""
    age(db, tenant, -1)
    desk.says = [late, renewed(2, refresh_token="refresh-2")]

    def overtaken() -> None:
        desk.meanwhile = lambda: None
        with db.tenant(tenant) as connection:
            connection.execute(update(grants).values(lease_until=func.now() - func.make_interval(0, 0, 0, 0, 0, 1)))
        assert "access-2" == kept.token(tenant, tie, PROVIDER).value

    desk.meanwhile = overtaken
    try:
        kept.token(tenant, tie, PROVIDER)
    except Upstream:
        assert isinstance(late, dict)
        assert "error" in late

    held = row(db, tenant)
    assert ("active", 1, 2) == (held.state, held.version, held.fence)
    assert ("access-2", "refresh-2") == (
        vault.of(tenant).open("grants", held.id, "access", held.access),
        vault.of(tenant).open("grants", held.id, "refresh", held.refresh),
    )
    assert [] == lost


@pytest.mark.parametrize(
    ("expires", "life"),
    [
        ({"expires_in": 3600}, 3600),
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": 3_600_000}, 3600),  # milliseconds
        ({"expires_in": 3_600_000, "expires_in_sec": 3600}, 3600),
        ({}, 300),
        ({"expires_in": None}, 300),
        ({"expires_in": 0}, 300),
        ({"expires_in": -5}, 300),
        ({"expires_in": "soon"}, 300),
        ({"expires_in": [3600]}, 300),
        ({"expires_in": 5}, 60),
        ({"expires_in": 10**10}, 86_400),
        ({"expires_in": 86_400}, 86_400),
        ({"expires_in": float("inf")}, 300),
        ({"expires_in": float("nan")}, 300),
    ],
)
def test_how_long_a_token_lives(expires: dict[str, Any], life: int) -> None:
    """Seconds, milliseconds, text, nothing or nonsense: between a minute and a day, five minutes if nobody knows."""
    assert life == answer.read(PROVIDER, {"access_token": "a"} | expires).life


def test_a_consent_that_would_die_within_the_hour_is_none(
    kept: Grants, db: Database, vault: Vault, tenant: TenantId
) -> None:
    """No refresh token, now or before: nothing is kept."""
    made = Connections(db, vault).add(tenant, "workspace", "google", label="Bob")
    brief = Answer(access="a", refresh="", scopes=frozenset(), life=HOUR, refresh_life=0, extra={})

    with pytest.raises(ConsentLost) as refused:
        keep(kept, tenant, made, brief)
    assert "consent.brief" == refused.value.code
    assert kept.get(tenant, made) is None


def test_a_withdrawn_consent_gives_no_token(kept: Grants, db: Database, tenant: TenantId, tie: uuid.UUID) -> None:
    """The tokens are destroyed with the commit; what has to be withdrawn there is handed over once."""
    with db.tenant(tenant) as connection:
        assert ("https://eu", "refresh-0") == kept.end(connection, tenant, tie)
        assert kept.end(connection, tenant, tie) is None

    with pytest.raises(ConsentLost):
        kept.token(tenant, tie, PROVIDER)
    assert ("revoked", None, None) == (row(db, tenant).state, row(db, tenant).refresh, row(db, tenant).access)
