"""Our service account at Google: what we ask there for ourselves and no user, by tokens we sign with its key.

https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth. It has no part in any user's consent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jwt
import requests

from domain.errors import Refused, TryLater
from domain.ports import Http, Tokens

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE_SECONDS = 3_600  # the most Google takes
FRESH_SECONDS = 300
UNREACHABLE = "Google's token endpoint could not be reached."


class Robot:
    """The service account of one key file. Its tokens are kept in memory and shared by the threads of a process."""

    def __init__(self, key: str, token_uri: str, http: Http, now: Callable[[], float], *, timeout: float) -> None:
        self._token_uri, self._http, self._now, self._timeout = token_uri, http, now, timeout
        self._key: Mapping[str, str] = json.loads(key)  # settings looked at its form
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}

    def signed(self, audience: str, **claims: Any) -> str:
        """A token of our own making for one of Google's services. Raises Refused for a key that cannot sign."""
        email, issued = self._key["client_email"], int(self._now())
        told = {"iss": email, "sub": email, "aud": audience, "iat": issued, "exp": issued + LIFE_SECONDS} | claims
        try:
            key = _opened(self._key["private_key"])
            return jwt.encode(told, key, algorithm="RS256", headers={"kid": self._key.get("private_key_id", "")})
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Refused("GOOGLE_SERVICE_ACCOUNT_KEY holds no key that can sign.", code="google.robot_key") from None

    def tokens(self, scope: str) -> Tokens:
        """Access tokens for one scope."""

        def token(*, renew: bool = False) -> str:
            with self._lock:
                value, until = self._held.get(scope, ("", 0.0))
                if renew or until - self._now() < FRESH_SECONDS:
                    value, life = self._ask(scope)
                    self._held[scope] = (value, self._now() + life)
                return value

        return token

    def _ask(self, scope: str) -> tuple[str, float]:
        form = {"grant_type": JWT_BEARER, "assertion": self.signed(self._token_uri, scope=scope)}
        try:
            answer = self._http.request("POST", self._token_uri, data=form, timeout=self._timeout)
            told = answer.json()
        except requests.RequestException:
            raise TryLater(UNREACHABLE) from None
        if answer.status_code in (400, 401, 403):
            raise Refused("Google does not know our service account.", code="google.robot_refused")
        value = told.get("access_token") if isinstance(told, dict) else None
        if answer.status_code != 200 or not isinstance(value, str):
            raise TryLater(UNREACHABLE)
        life = told.get("expires_in")
        return value, float(life) if isinstance(life, int) else LIFE_SECONDS / 2


@lru_cache(maxsize=2)
def _opened(pem: str) -> Any:
    """A private key, read and proved once: that takes a hundred times what a signature does."""
    return jwt.get_algorithm_by_name("RS256").prepare_key(pem)
