"""What Google signed is believed, what anybody else made up is not, and Google's keys are asked for sparingly."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from domain.errors import TryLater, Unauthentic
from integrations.google.provider import signed_in
from integrations.google.tokens import GoogleKeys

NOON = 1_774_778_400.0
HOUR = 3_600
AUDIENCE, PUSHER = "https://linekeeper.example/webhooks/google/gmail", "push@linekeeper.example"
GOOGLES = rsa.generate_private_key(65_537, 2_048)
STRANGERS = rsa.generate_private_key(65_537, 2_048)
CLAIMS: dict[str, Any] = {
    "iss": "https://accounts.google.com",
    "aud": AUDIENCE,
    "sub": "117",
    "email": PUSHER,
    "email_verified": True,
    "iat": NOON - 60,
    "exp": NOON + HOUR - 60,
}


def jwk(key: rsa.RSAPrivateKey, kid: str) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", "alg": "RS256"}


class Certs:
    """The `Http` that answers with Google's keys, and counts how often it was asked."""

    def __init__(self) -> None:
        self.keys: Any = {"keys": [jwk(GOOGLES, "one")]}
        self.asked = 0
        self.down = False

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        self.asked += 1
        assert options["timeout"]
        if self.down:
            raise requests.ConnectTimeout
        answer = requests.Response()
        answer.status_code = 200
        answer._content = json.dumps(self.keys).encode()
        return answer


class Clock:
    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def certs() -> Certs:
    return Certs()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(certs: Certs, clock: Clock) -> GoogleKeys:
    return GoogleKeys("https://www.googleapis.com/oauth2/v3/certs", certs, clock)


def signed(key: rsa.RSAPrivateKey = GOOGLES, kid: str = "one", **claims: Any) -> str:
    return jwt.encode(CLAIMS | claims, key, algorithm="RS256", headers={"kid": kid})


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def believed(keys: GoogleKeys, token: str) -> dict[str, Any]:
    return keys.verify(token, AUDIENCE, email=PUSHER)


def test_googles_word_is_believed(keys: GoogleKeys) -> None:
    """With either spelling of the issuer, and an address in other capitals."""
    assert believed(keys, signed())["sub"] == "117"
    assert believed(keys, signed(iss="accounts.google.com", email=PUSHER.upper()))["sub"] == "117"


def test_a_minute_of_clock_difference_is_forgiven(keys: GoogleKeys, clock: Clock) -> None:
    """The minute before and the minute after."""
    token = signed(exp=NOON + HOUR)
    clock.at = NOON + HOUR + 59
    assert believed(keys, token)
    clock.at = NOON + HOUR + 61
    with pytest.raises(Unauthentic):
        believed(keys, token)


def unsigned() -> str:
    return f"{part({'alg': 'none', 'kid': 'one'})}.{part(CLAIMS)}."


def signed_with_our_public_key_as_a_password() -> str:
    pem = GOOGLES.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(CLAIMS)}"
    signature = hmac.new(pem, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def with_other_claims() -> str:
    head, _, signature = signed().split(".")
    return f"{head}.{part(CLAIMS | {'email': 'charlie@next-door.example'})}.{signature}"


FORGED: dict[str, Callable[[], str]] = {
    "unsigned": unsigned,
    "HS256 with the public key": signed_with_our_public_key_as_a_password,
    "a stranger's key under Google's name": lambda: signed(STRANGERS),
    "a key nobody has": lambda: signed(STRANGERS, kid="two"),
    "claims changed afterwards": with_other_claims,
    "expired": lambda: signed(exp=NOON - 61),
    "from the future": lambda: signed(iat=NOON + 61),
    "not yet": lambda: signed(nbf=NOON + 61),
    "for somebody else": lambda: signed(aud="https://next-door.example/"),
    "for several": lambda: signed(aud=[AUDIENCE, "https://next-door.example/"]),
    "by somebody else": lambda: signed(iss="https://next-door.example"),
    "of another account": lambda: signed(email="charlie@next-door.example"),
    "address not verified": lambda: signed(email_verified=False),
    "address verified in words": lambda: signed(email_verified="true"),
    "never expiring": lambda: signed(exp=None),
    "expiring in words": lambda: signed(exp="tomorrow"),
    "huge": lambda: signed(padding="x" * 10_000),
    "nested": lambda: f"{part({'alg': 'RS256'})[:-1]}.{'[' * 8_000}",
    "no name of a key": lambda: jwt.encode(CLAIMS, GOOGLES, algorithm="RS256"),
    "a list of names": lambda: f"{part({'alg': 'RS256', 'kid': ['one']})}.{part(CLAIMS)}.AAAA",
    "nothing": lambda: "",
    "words": lambda: "let me in",
    "not ASCII": lambda: "ключ.ключ.ключ",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_not_believed(keys: GoogleKeys, forge: Callable[[], str]) -> None:
    """Always the same Unauthentic, which says nothing of what was wrong."""
    assert believed(keys, signed())
    with pytest.raises(Unauthentic) as refused:
        believed(keys, forge())
    assert str(refused.value) == str(Unauthentic())


def test_an_audience_nobody_set_believes_nobody(keys: GoogleKeys) -> None:
    """A setting left empty opens no door."""
    with pytest.raises(Unauthentic):
        keys.verify(signed(aud=""), "")
    with pytest.raises(Unauthentic):
        keys.verify(signed(email=""), AUDIENCE, email="")


def test_keys_are_asked_for_once_an_hour(keys: GoogleKeys, certs: Certs, clock: Clock) -> None:
    """The minute before and the minute after."""
    believed(keys, signed())
    clock.at = NOON + HOUR - 1
    believed(keys, signed())
    assert certs.asked == 1
    clock.at = NOON + HOUR
    believed(keys, signed(exp=NOON + 2 * HOUR))
    assert certs.asked == 2


def test_a_new_key_is_found_within_a_minute_and_a_flood_asks_once(keys: GoogleKeys, certs: Certs, clock: Clock) -> None:
    """A rotation needs nobody; tokens naming keys that are none cost Google one request a minute."""
    believed(keys, signed())
    certs.keys = {"keys": [jwk(STRANGERS, "two"), jwk(GOOGLES, "one")]}
    clock.at = NOON + 60
    assert believed(keys, signed(STRANGERS, kid="two"))
    for number in range(100):
        with pytest.raises(Unauthentic):
            believed(keys, signed(STRANGERS, kid=f"made up {number}"))
    assert certs.asked == 2


def test_keys_out_of_reach_are_for_later_and_not_asked_for_at_every_knock(
    keys: GoogleKeys, certs: Certs, clock: Clock
) -> None:
    """The sender is told to come again; nobody waits for Google a hundred times."""
    certs.down = True
    for _ in range(100):
        with pytest.raises(TryLater):
            believed(keys, signed())
    assert certs.asked == 1
    certs.down = False
    clock.at = NOON + 11
    assert believed(keys, signed())


SETS: list[Any] = [None, [], {}, {"keys": []}, {"keys": [1]}, {"keys": [{"kty": "RSA"}]}, {"keys": [{"kty": "EC"}]}]


@pytest.mark.parametrize("document", SETS, ids=str)
def test_a_key_set_without_keys_is_none(keys: GoogleKeys, certs: Certs, document: Any) -> None:
    """What cannot be read as Google's keys is as good as no answer."""
    certs.keys = document
    with pytest.raises(TryLater):
        believed(keys, signed())


def test_a_weak_key_is_passed_over(keys: GoogleKeys, certs: Certs) -> None:
    """A thousand bits sign nothing here, whoever publishes them."""
    weak = rsa.generate_private_key(65_537, 1_024)
    certs.keys = {"keys": [jwk(weak, "weak"), jwk(GOOGLES, "one")]}
    text = f"{part({'alg': 'RS256', 'kid': 'weak'})}.{part(CLAIMS)}"
    with pytest.raises(Unauthentic):
        believed(keys, f"{text}.{'A' * 171}")
    assert believed(keys, signed())


def test_who_signed_in_is_told_by_the_claims() -> None:
    """`sub` is the person; an address Google did not verify is left out; no domain means a private account."""
    alice = signed_in(CLAIMS | {"email": "alice@alice.example", "name": "Alice Adler", "hd": "alice.example"})
    assert (alice.subject, alice.email, alice.name) == ("117", "alice@alice.example", "Alice Adler")
    assert alice.extra == {"hd": "alice.example"}
    stranger = signed_in({"sub": "118", "email": "alice@alice.example", "email_verified": False})
    assert (stranger.email, stranger.extra) == ("", {})
    with pytest.raises(Unauthentic):
        signed_in({"email": "alice@alice.example", "email_verified": True})
