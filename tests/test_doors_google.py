"""Gmail's door: a push is believed by Google's signature, for this address and that service account."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask.testing import FlaskClient
from jwt.algorithms import RSAAlgorithm

from domain.ports import Http
from integrations.google.tokens import GoogleKeys
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from tests import house
from tests.zoho_double import answer

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
PUBSUB = "gmail-push@alice.example"
AUDIENCE = f"{house.ORIGIN}/webhooks/google/gmail"
MAILBOX = "bob@alice.example"


@pytest.fixture(scope="module")
def keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    """Google's signing key, and one that is not Google's."""
    return rsa.generate_private_key(65_537, 2_048), rsa.generate_private_key(65_537, 2_048)


@pytest.fixture(scope="module")
def tools(
    db_urls: Postgres, work_url: str, mail_url: str, keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]
) -> Iterator[Services]:
    """The product, with Google's keys in its hands and a clock that stands."""
    public = json.loads(RSAAlgorithm.to_jwk(keys[0].public_key())) | {"kid": "k1", "use": "sig", "alg": "RS256"}
    google = SimpleNamespace(request=lambda *_, **__: answer(200, {"keys": [public]}))
    with house.services(db_urls, work_url, mail_url, GOOGLE_PUBSUB_SERVICE_ACCOUNT=PUBSUB) as opened:
        yield replace(
            opened,
            google_keys=GoogleKeys("https://keys.example", cast(Http, google), NOW.timestamp),
        )


@pytest.fixture
def client(tools: Services) -> FlaskClient:
    return house.front(tools)


@pytest.fixture
def mailbox(tools: Services, tenant: TenantId) -> Tie:
    """Bob's mailbox, connected."""
    tie = tools.connections.add(tenant, "workspace", "google", label=MAILBOX)
    tools.directory.strike("mailbox", MAILBOX)
    tools.directory.put("mailbox", MAILBOX, tenant, connection=tie)
    return tools.connections.get(tenant, tie)


def push(email: str = MAILBOX, history: Any = "1001") -> bytes:
    data = base64.b64encode(json.dumps({"emailAddress": email, "historyId": history}).encode()).decode()
    return json.dumps({"subscription": "projects/a/subscriptions/b", "message": {"data": data}}).encode()


def claims(**told: Any) -> dict[str, Any]:
    now = int(NOW.timestamp())
    usual = {"iss": "https://accounts.google.com", "aud": AUDIENCE, "iat": now, "exp": now + 3600}
    return usual | {"email": PUBSUB, "email_verified": True} | told


Signed = Callable[..., str]


@pytest.fixture
def signed(keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]) -> Signed:
    """An ID token as Google makes it."""

    def sign(*, kid: str = "k1", key: int = 0, **told: Any) -> str:
        return jwt.encode(claims(**told), keys[key], algorithm="RS256", headers={"kid": kid})

    return sign


def knock(client: FlaskClient, token: str, body: bytes) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.post(
        "/webhooks/google/gmail", data=body, headers=headers, content_type="application/json"
    ).status_code


def test_a_push_is_written_down_once(client: FlaskClient, tools: Services, mailbox: Tie, signed: Signed) -> None:
    """Whatever the capitals of the address; a repeat is answered the same, an older one is just another hint."""
    bodies = [push(), push(), push("Bob@Alice.example", 900)]

    assert [204, 204, 204] == [knock(client, signed(), body) for body in bodies]
    assert {"pending": 2} == tools.inbox.counts(mailbox.tenant)
    assert {"mail"} == {waiting.kind for waiting in tools.inbox.pending(mailbox.tenant, "mail")}


def test_a_mailbox_nobody_connected_is_answered_alike(
    client: FlaskClient, tools: Services, mailbox: Tie, signed: Signed
) -> None:
    """Or Pub/Sub would send it again for ever."""
    assert 204 == knock(client, signed(), push("charlie@next-door.example"))
    assert {} == tools.inbox.counts(mailbox.tenant)


def _compact(header: dict[str, str], body: dict[str, Any], key: bytes | None = None) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, body)]
    mac = hmac.digest(key, b".".join(parts), "sha256") if key else b""
    return b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()


FORGED: dict[str, dict[str, Any]] = {
    "expired": {"exp": int(NOW.timestamp()) - 61},
    "from tomorrow": {"iat": int(NOW.timestamp()) + 61},
    "for another address": {"aud": "https://linekeeper.charlie.example/webhooks/google/gmail"},
    "for two": {"aud": [AUDIENCE, "https://evil.example"]},
    "of another issuer": {"iss": "https://evil.example"},
    "of another account": {"email": "somebody@alice.example"},
    "of an account not verified": {"email_verified": False},
    "of no account": {"email": None},
    "by another key": {"key": 1},
    "by a key nobody knows": {"kid": "k2"},
}


@pytest.mark.parametrize("told", FORGED.values(), ids=FORGED)
def test_a_push_google_did_not_sign_for_us_is_refused(
    told: dict[str, Any], client: FlaskClient, tools: Services, mailbox: Tie, signed: Signed
) -> None:
    """By whatever it is wrong, the answer is the same and nothing is written."""
    assert 204 == knock(client, signed(), push())

    assert 401 == knock(client, signed(**told), push(history="1002"))
    assert {"pending": 1} == tools.inbox.counts(mailbox.tenant)


def test_tokens_of_a_lesser_kind_are_refused(
    client: FlaskClient, tools: Services, mailbox: Tie, keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]
) -> None:
    """Unsigned, signed with the public key as if it were a secret, cut short, endless, or none."""
    public = (
        keys[0].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    kid = {"kid": "k1", "typ": "JWT"}
    forged = [
        _compact(kid | {"alg": "none"}, claims()),
        _compact(kid | {"alg": "None"}, claims()),
        _compact(kid | {"alg": "HS256"}, claims(), public),
        _compact(kid | {"alg": "RS256"}, claims(), public),
        _compact({"alg": "RS256"}, claims(), public),
        "a.b.c",
        "A" * 9_000,
        "",
    ]

    assert [401] * len(forged) == [knock(client, token, push()) for token in forged]
    assert {} == tools.inbox.counts(mailbox.tenant)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        push()[:-1],
        json.dumps({"subscription": "s", "message": {"data": "%%%"}}).encode(),
        json.dumps({"subscription": "s", "message": {"data": base64.b64encode(b"no json").decode()}}).encode(),
        push(email="nobody"),
        push(history="-1"),
        push(history="9" * 40),
        push(history=True),
    ],
)
def test_a_push_that_cannot_be_read_is_refused(
    body: bytes, client: FlaskClient, tools: Services, mailbox: Tie, signed: Signed
) -> None:
    """Signed or not: 400, and nothing written."""
    assert 400 == knock(client, signed(), body)
    assert {} == tools.inbox.counts(mailbox.tenant)
