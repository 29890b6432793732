"""Believing what Google signed: the ID tokens of people who sign in, of Pub/Sub's pushes and of add-on calls.

Google's keys are fetched once an hour, and once more when a token names a key we have not seen, so that a rotation
needs nobody and a flood of forged tokens costs Google one request a minute. Whatever is wrong with a token, the answer
is the same Unauthentic; only Google's own silence is TryLater.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from domain.errors import TryLater, Unauthentic
from domain.ports import Http

ISSUERS = ("https://accounts.google.com", "accounts.google.com")  # both are in use
CACHE_SECONDS = 3600
REFETCH_SECONDS = 60  # at most so often for a key we have not seen
RETRY_SECONDS = 10  # at most so often while the keys cannot be had
FETCH_TIMEOUT_SECONDS = 5
LEEWAY_SECONDS = 60
MOST_TOKEN_CHARACTERS = 8_192
LEAST_KEY_BITS = 2_048
BELIEVED_LATER: dict[str, Any] = {  # PyJWT checks the signature; the claims are checked here, by our own clock
    f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}


class GoogleKeys:
    """Google's signing keys, and what they say of a token. One for each process, shared by its threads."""

    def __init__(self, certs_uri: str, http: Http, now: Callable[[], float]) -> None:
        self._certs_uri = certs_uri
        self._http = http
        self._now = now
        self._lock = threading.Lock()
        self._keys: dict[str, RSAPublicKey] = {}
        self._fetched_at = float("-inf")
        self._failed_at = float("-inf")

    def verify(
        self,
        token: str,
        audience: str | Collection[str],
        issuers: Collection[str] = ISSUERS,
        email: str | Collection[str] | None = None,
    ) -> dict[str, Any]:
        """Return the claims of a token meant for `audience`; with `email`, only if that verified account is its bearer.

        Of several audiences or accounts any one will do.

        Raises Unauthentic, or TryLater when Google's keys are out of reach.
        """
        audiences = [audience] if isinstance(audience, str) else [*audience]
        accounts = [email] if isinstance(email, str) else email
        if not audiences or not all(audiences):
            raise Unauthentic
        claims = self.signed(token)
        if not self._fits(claims, audiences, issuers, accounts):
            raise Unauthentic
        return claims

    def signed(self, token: str) -> dict[str, Any]:
        """Return the claims of a token these keys signed, whatever it says. Raises as `verify` does."""
        if len(token) > MOST_TOKEN_CHARACTERS:
            raise Unauthentic
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != "RS256":
                raise Unauthentic
            key = self._key(header.get("kid"))
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=BELIEVED_LATER)  # type: ignore[arg-type]  # a plain dict
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthentic from None
        return claims

    def _fits(
        self,
        claims: Mapping[str, Any],
        audiences: Collection[str],
        issuers: Collection[str],
        accounts: Collection[str] | None,
    ) -> bool:
        now = self._now()
        times = [claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)]
        if not all(isinstance(time, int | float) and not isinstance(time, bool) for time in times):
            return False
        expires, issued, begins = times
        return (
            expires > now - LEEWAY_SECONDS
            and issued < now + LEEWAY_SECONDS
            and begins < now + LEEWAY_SECONDS
            and claims.get("iss") in issuers
            and claims.get("aud") in audiences
            and (accounts is None or any(_is_account(claims, account) for account in accounts))
        )

    def _key(self, kid: Any) -> RSAPublicKey:
        if not isinstance(kid, str):
            raise Unauthentic
        with self._lock:  # one fetch at a time; the others find its result
            age = self._now() - self._fetched_at
            if age >= CACHE_SECONDS or (kid not in self._keys and age >= REFETCH_SECONDS):
                self._fetch()
            if kid not in self._keys:
                raise Unauthentic
            return self._keys[kid]

    def _fetch(self) -> None:
        if self._now() - self._failed_at < RETRY_SECONDS:
            raise TryLater("Google's signing keys are out of reach.", wait=RETRY_SECONDS)
        try:
            answer = self._http.request("GET", self._certs_uri, timeout=FETCH_TIMEOUT_SECONDS)
            if answer.status_code != 200:
                raise ValueError("no keys")
            self._keys = _read_keys(answer.json())
        except (requests.RequestException, jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            self._failed_at = self._now()
            raise TryLater("Google's signing keys are out of reach.", wait=RETRY_SECONDS) from None
        self._fetched_at = self._now()


def _read_keys(document: Mapping[str, Any]) -> dict[str, RSAPublicKey]:
    """Read a JWK set; keys that cannot sign RS256 are passed over, a set without any is no set."""
    keys: dict[str, RSAPublicKey] = {}
    for entry in document["keys"]:
        if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
            continue
        key = RSAAlgorithm.from_jwk({name: entry[name] for name in ("kty", "n", "e")})
        if isinstance(key, RSAPublicKey) and key.key_size >= LEAST_KEY_BITS:
            keys[entry["kid"]] = key
    if not keys:
        raise ValueError("no keys")
    return keys


def _is_account(claims: Mapping[str, Any], email: str) -> bool:
    said = claims.get("email")
    return (
        bool(email)
        and isinstance(said, str)
        and said.casefold() == email.casefold()
        and claims.get("email_verified") is True
    )
