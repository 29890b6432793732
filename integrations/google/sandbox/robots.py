"""Service accounts: who may ask without a user, by tokens they sign themselves or have turned into access tokens.

https://developers.google.com/identity/protocols/oauth2/service-account. A public key is uploaded; the private one never
comes here.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import OAuthError, insufficient_scope, unauthenticated
from .tokens import SHA256_DIGEST_INFO, unb64

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_URIS = ("/token", "/oauth2/token")
MOST_SECONDS = 3_600
LEEWAY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Robot:
    """A service account's public key, and the roles its project gave it."""

    email: str
    modulus: int
    exponent: int
    roles: frozenset[str]


@dataclass(slots=True)
class Robots:
    """Every service account and the access tokens they hold."""

    now: Callable[[], float]
    known: dict[str, Robot] = field(default_factory=dict)
    tokens: dict[str, tuple[Robot, frozenset[str], float]] = field(default_factory=dict)

    def exchange(self, assertion: str, origin: str) -> dict[str, Any]:
        """Turn a signed assertion into an access token for the scopes it names."""
        claims, robot = self.read(assertion, [origin + path for path in TOKEN_URIS])
        if robot is None:
            raise OAuthError("invalid_grant", "Invalid JWT Signature.")
        value = f"ya29.c.{secrets.token_urlsafe(60)}"
        scopes = frozenset(str(claims.get("scope", "")).split())
        self.tokens[value] = (robot, scopes, self.now() + MOST_SECONDS)
        return {"access_token": value, "expires_in": MOST_SECONDS - 1, "token_type": "Bearer"}

    def bearer(self, header: str, scope: str) -> Robot:
        """Who holds the access token of a header, if it is for `scope`."""
        robot, scopes, until = self.tokens.get(header.partition(" ")[2], (None, frozenset(), 0.0))
        if robot is None or until <= self.now():
            raise unauthenticated()
        if scope not in scopes:
            raise insufficient_scope("appsmarket.googleapis.com", [scope])
        return robot

    def read(self, token: str, audiences: list[str]) -> tuple[dict[str, Any], Robot | None]:
        """The claims of a token, and whose it is; nobody's when anything about it is wrong."""
        try:
            signed, _, signature = token.rpartition(".")
            head, claims = (json.loads(unb64(part)) for part in signed.split("."))
            robot = self.known.get(claims["iss"])
            if robot is None or head["alg"] != "RS256" or claims["aud"] not in audiences:
                return {}, None
            size = (robot.modulus.bit_length() + 7) // 8
            digest = SHA256_DIGEST_INFO + hashlib.sha256(signed.encode()).digest()
            padded = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
            seen = pow(int.from_bytes(unb64(signature), "big"), robot.exponent, robot.modulus)
            issued, expires, now = claims["iat"], claims["exp"], self.now()
            timely = issued <= now + LEEWAY_SECONDS and now < expires <= issued + MOST_SECONDS
            good = seen == int.from_bytes(padded, "big") and timely
        except (ValueError, KeyError, TypeError):
            return {}, None
        return (claims, robot) if good else ({}, None)
