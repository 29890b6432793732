"""Zoho's and Google's doors: a hint is believed by its token, a click by its secret, a push by Google's signature."""

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
from store.tenants import User
from tests import house
from tests.zoho_double import answer

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
PUBSUB = "gmail-push@alice.example"
AUDIENCE = f"{house.ORIGIN}/webhooks/google/gmail"
TOKEN, SECRET = "the channel's token", "the-secret-of-clicks"
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
            now=lambda: NOW,
        )


@pytest.fixture
def client(tools: Services) -> FlaskClient:
    return house.front(tools)


@pytest.fixture
def alice(tools: Services, tenant: TenantId) -> User:
    return house.administrator(tools, tenant)


@pytest.fixture
def zoho(tools: Services, alice: User) -> Tie:
    tie = tools.connections.first(alice.tenant, "crm")
    assert tie is not None
    return tie


# ---- notifications ------------------------------------------------------------------------------------------------


@pytest.fixture
def watch(tools: Services, zoho: Tie) -> str:
    """The address Zoho tells changes to, once it was asked to."""
    tools.connections.set_cursor(zoho.tenant, zoho.id, "watch.token", TOKEN)
    return "/webhooks/zoho/notifications/" + tools.directory.new("door", zoho.tenant, connection=zoho.id)


def notice(**told: Any) -> bytes:
    body = {"channel_id": "77", "module": "Contacts", "ids": ["1"], "operation": "update", "token": TOKEN} | told
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/json;charset=UTF-8"])
def test_a_notification_with_the_channels_token_is_written_down_once(
    content_type: str, client: FlaskClient, tools: Services, zoho: Tie, watch: str
) -> None:
    """For the contacts' lane; a repeat is answered the same."""
    answers = [client.post(watch, data=notice(), content_type=content_type).status_code for _ in range(2)]

    assert [202, 202] == answers
    (waiting,) = tools.inbox.pending(zoho.tenant, "contacts")
    assert (zoho.id, "crm", notice()) == (waiting.connection, waiting.kind, waiting.body)


def test_ten_thousand_records_at_once_are_one_delivery(
    client: FlaskClient, tools: Services, zoho: Tie, watch: str
) -> None:
    """They are read again in batches, later."""
    many = notice(ids=[str(number) for number in range(10**17, 10**17 + 10_000)])

    assert 202 == client.post(watch, data=many, content_type="application/json").status_code
    assert {"pending": 1} == tools.inbox.counts(zoho.tenant)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (notice(token="another"), 401),
        (notice(token=TOKEN + " "), 401),
        (notice(token="nobody's token"), 401),
        (notice(token=""), 400),
        (notice(token=None), 400),
        (notice(token=["the channel's token"]), 400),
        (notice(ids="1"), 400),
        (notice(ids=["1'; DROP"]), 400),
        (notice(ids=[str(number) for number in range(10_001)]), 400),
        (notice(module="../Contacts"), 400),
        (notice(operation="explode"), 400),
        (b"<xml/>", 400),
        (b'{"a":' * 10_000, 400),
        (b"", 400),
    ],
)
def test_a_notification_without_it_is_refused(
    body: bytes, status: int, client: FlaskClient, tools: Services, zoho: Tie, watch: str
) -> None:
    """Nothing is looked up by what stands in it, and nothing is written."""
    answer = client.post(watch, data=body, content_type="application/json")

    assert (status, {"code", "status", "title", "type"}) == (answer.status_code, (answer.json or {}).keys())
    assert {} == tools.inbox.counts(zoho.tenant)


@pytest.mark.parametrize("token", [TOKEN, "nobody's token"])
def test_a_door_that_was_not_made_for_notifications_takes_none(
    token: str, client: FlaskClient, tools: Services, alice: User
) -> None:
    """Whoever knows the phone system's door cannot speak for Zoho there, nor through one nobody made."""
    door = house.path_of(house.phone_system(tools, alice)).rpartition("/")[2]

    for name in (door, "A" * 43):
        path = f"/webhooks/zoho/notifications/{name}"
        assert 401 == client.post(path, data=notice(token=token), content_type="application/json").status_code
    assert {} == tools.inbox.counts(alice.tenant)


# ---- clicks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def dial(tools: Services, alice: User, zoho: Tie) -> str:
    """The address Zoho sends clicks to, with a phone system behind it."""
    house.phone_system(tools, alice)
    tools.connections.add_secret(zoho.tenant, zoho.id, "dial", SECRET)
    return "/webhooks/zoho/dial/" + tools.directory.new("door", zoho.tenant, connection=zoho.id)


def click(client: FlaskClient, path: str, login: str, number: str = "600 111 222", secret: str = SECRET) -> int:
    form = {"zohouser": login, "tonumber": number}
    return client.post(path, data=form, headers={"Authorization": f"Bearer {secret}"}).status_code


def test_a_click_is_one_dialling(client: FlaskClient, tools: Services, alice: User, dial: str) -> None:
    """A second click on the same number within three seconds is the same click, however it is spelled."""
    assert [200, 200] == [click(client, dial, alice.login_id, number) for number in ("600 111 222", "+34600111222")]

    (effect,) = tools.effects.waiting(alice.tenant, "calls")
    assert ("dial", "+34600111222", "alice@alice.example") == (
        effect.kind,
        effect.payload["number"],
        effect.payload["email"],
    )
    assert "600111222" not in effect.key


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"secret": "another"}, 401),
        ({"secret": ""}, 401),
        ({"secret": "nobody's secret"}, 401),
        ({"login": "4711"}, 400),
        ({"login": "' OR 1=1"}, 400),
        ({"number": ""}, 400),
        ({"number": "call me"}, 400),
        ({"number": "9" * 65}, 400),
        ({"number": "anonymous"}, 400),
        ({"path": "/webhooks/zoho/dial/" + "A" * 43}, 401),
    ],
)
def test_a_click_nobody_made_rings_nowhere(
    change: dict[str, str], status: int, client: FlaskClient, tools: Services, alice: User, dial: str
) -> None:
    """No secret, no user of this organisation, no number: no call, and no trace."""
    before = len(tools.ledger.rows(alice.tenant))

    assert status == click(client, **{"path": dial, "login": alice.login_id} | change)
    assert [] == tools.effects.waiting(alice.tenant, "calls")
    assert before == len(tools.ledger.rows(alice.tenant))


# ---- Gmail --------------------------------------------------------------------------------------------------------


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
