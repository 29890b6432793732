"""Who consented to what, and the codes and tokens that came of it: Google's rules for their birth, use and death.

Rules from https://developers.google.com/identity/protocols/oauth2 and its web-server page; nothing here speaks HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from . import scopes as known
from .errors import OAuthError
from .knobs import DAY, Knobs

CODE_SECONDS = 600
REFRESH_TOKENS_PER_USER_AND_CLIENT = 100
TESTING_SECONDS = 7 * DAY
UNUSED_SECONDS = 182 * DAY  # "six months"
VERIFIER_LENGTH = range(43, 129)  # RFC 7636, section 4.1
SWEEP_ABOVE = 20_000  # dead access tokens are forgotten once there are this many


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth client; clients of one Cloud project share what the user granted."""

    id: str
    secret: str
    redirect_uris: tuple[str, ...]
    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What an authorization code stands for."""

    client: Client
    user: str
    redirect_uri: str
    scopes: tuple[str, ...]
    offline: bool
    challenge: str
    challenge_method: str
    nonce: str
    expires_at: float


@dataclass(slots=True, kw_only=True)
class Refresh:
    """A refresh token's rights and clock."""

    client: Client
    user: str
    scopes: tuple[str, ...]
    expires_at: float | None
    time_based: bool
    used_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An access token's rights and end."""

    client: Client
    user: str
    scopes: tuple[str, ...]
    expires_at: float
    refresh_token: str | None


class Grants:
    """The consent register of the whole understudy."""

    def __init__(
        self, knobs: Knobs, now: Callable[[], float], identity: Callable[[str, Client, str, str], str]
    ) -> None:
        """Take the knobs, the clock and what writes an ID token for (user, client, nonce, access token)."""
        self._knobs, self._now, self._identity = knobs, now, identity
        self.reset()

    def reset(self) -> None:
        """Forget every consent."""
        self._codes: dict[str, Code] = {}
        self._refreshes: dict[str, Refresh] = {}  # least recently used first
        self._accesses: dict[str, Access] = {}
        self._granted: dict[tuple[str, str], set[str]] = {}

    def granted(self, user: str, project: str) -> frozenset[str]:
        """Tell everything this user ever granted this project and has not withdrawn."""
        return frozenset(self._granted.get((user, project), ()))

    def write_code(self, code: Code) -> str:
        """Record the consent and hand out the single-use code for it."""
        self._granted.setdefault((code.user, code.client.project), set()).update(code.scopes)
        value = f"4/0A{secrets.token_urlsafe(45)}"
        self._codes[value] = code
        return value

    def exchange(self, client: Client, value: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
        """Turn a code into tokens, once."""
        code = self._codes.get(value)
        if code is None or code.client != client:
            raise OAuthError("invalid_grant", "Malformed auth code.")
        if code.redirect_uri != redirect_uri:
            raise OAuthError("redirect_uri_mismatch", "Bad Request")
        del self._codes[value]  # whatever comes now, this code has had its one use
        if code.expires_at <= self._now():
            raise OAuthError("invalid_grant", "Bad Request")
        check_verifier(code, verifier)
        refresh_token = self._write_refresh(code) if code.offline else None
        return self._answer(code.client, code.user, code.scopes, refresh_token, nonce=code.nonce, fresh=True)

    def renew(self, client: Client, value: str, asked: tuple[str, ...]) -> dict[str, Any]:
        """Turn a refresh token into an access token, for all its scopes or for some of them."""
        refresh = self._live_refresh(value)
        if refresh is None:
            raise OAuthError("invalid_grant", "Token has been expired or revoked.")
        if refresh.client != client:
            raise OAuthError("unauthorized_client", "Unauthorized", 401)
        if not set(asked) <= set(refresh.scopes):
            raise OAuthError("invalid_scope", "Bad Request")
        refresh.used_at = self._now()
        self._refreshes[value] = self._refreshes.pop(value)  # now the most recently used
        return self._answer(client, refresh.user, asked or refresh.scopes, value)

    def lend(self, client: Client, user: str, scopes: tuple[str, ...]) -> str:
        """Hand an add-on host an access token for one of its calls."""
        value: str = self._answer(client, user, tuple(one for one in scopes if one != "openid"), None)["access_token"]
        return value

    def revoke(self, value: str) -> None:
        """Withdraw everything its user granted to the whole project, whichever of the tokens was named."""
        token = self._live_refresh(value) or self.access(value)
        if token is None:
            raise OAuthError("invalid_token", "Token expired or revoked")
        self.withdraw(token.user, token.client.project)

    def withdraw(self, user: str, project: str | None = None) -> None:
        """Forget one user's consent to one project, or to all of them."""
        for key in [key for key in self._granted if key[0] == user and project in (None, key[1])]:
            del self._granted[key]
        self._forget(lambda token: token.user == user and project in (None, token.client.project))

    def change_password(self, user: str) -> None:
        """Kill the refresh tokens that hold a Gmail scope, and what was made of them."""
        self._forget(lambda token: token.user == user and known.dies_with_password(token.scopes))

    def access(self, value: str) -> Access | None:
        """Find a live access token."""
        token = self._accesses.get(value)
        return token if token and token.expires_at > self._now() else None

    def expire_access(self, user: str) -> int:
        """Let every access token of a user run out now; refresh tokens live on."""
        spent = [value for value, token in self._accesses.items() if token.user == user]
        for value in spent:
            del self._accesses[value]
        return len(spent)

    def newest_refresh(self, user: str) -> str | None:
        """The live refresh token a user's consent brought last."""
        mine = [value for value, token in self._refreshes.items() if token.user == user and self._live_refresh(value)]
        return mine[-1] if mine else None

    def forget_refresh(self, value: str) -> None:
        """Let one refresh token die, with what was made of it; the others live on."""
        dead = self._refreshes[value]
        self._forget(lambda token: token is dead)

    def summary(self, user: str) -> dict[str, Any]:
        """Count a user's live tokens and name the scopes granted, never the values."""
        refreshes = [value for value, token in self._refreshes.items() if token.user == user]
        return {
            "refresh_tokens": sum(self._live_refresh(value) is not None for value in refreshes),
            "access_tokens": sum(t.user == user and t.expires_at > self._now() for t in self._accesses.values()),
            "granted": {project: sorted(scopes) for (who, project), scopes in self._granted.items() if who == user},
        }

    def _write_refresh(self, code: Code) -> str:
        now, seconds = self._now(), 0
        if self._knobs.time_based_access_seconds:
            seconds = self._knobs.time_based_access_seconds
        elif self._knobs.testing and not known.SIGN_IN.issuperset(code.scopes):
            seconds = TESTING_SECONDS
        value = f"1//0{secrets.token_urlsafe(64)}"
        self._refreshes[value] = Refresh(
            client=code.client,
            user=code.user,
            scopes=code.scopes,
            expires_at=now + seconds if seconds else None,
            time_based=bool(self._knobs.time_based_access_seconds),
            used_at=now,
        )
        mine = [v for v, token in self._refreshes.items() if (token.user, token.client) == (code.user, code.client)]
        for oldest in mine[:-REFRESH_TOKENS_PER_USER_AND_CLIENT]:
            del self._refreshes[oldest]  # silently, as documented
        return value

    def _live_refresh(self, value: str) -> Refresh | None:
        refresh, now = self._refreshes.get(value), self._now()
        if refresh is None or now - refresh.used_at > UNUSED_SECONDS:
            return None
        return refresh if refresh.expires_at is None or refresh.expires_at > now else None

    def _answer(
        self,
        client: Client,
        user: str,
        granted: tuple[str, ...],
        refresh_token: str | None,
        *,
        nonce: str = "",
        fresh: bool = False,
    ) -> dict[str, Any]:
        now, seconds = self._now(), self._knobs.access_token_seconds
        value = f"ya29.a0{secrets.token_urlsafe(120)}"
        if len(self._accesses) > SWEEP_ABOVE:
            self._accesses = {v: token for v, token in self._accesses.items() if token.expires_at > now}
        self._accesses[value] = Access(
            client=client, user=user, scopes=granted, expires_at=now + seconds, refresh_token=refresh_token
        )
        answer: dict[str, Any] = {
            "access_token": value,
            "expires_in": seconds,
            "scope": " ".join(granted),
            "token_type": "Bearer",
        }
        if refresh_token is not None:
            refresh = self._refreshes[refresh_token]
            if fresh:
                answer["refresh_token"] = refresh_token
            if refresh.time_based and refresh.expires_at is not None:
                answer["refresh_token_expires_in"] = int(refresh.expires_at - now)
        if "openid" in granted:
            answer["id_token"] = self._identity(user, client, nonce, value)
        return answer

    def _forget(self, condemned: Callable[[Refresh | Access], bool]) -> None:
        dead = {value for value, token in self._refreshes.items() if condemned(token)}
        for value in dead:
            del self._refreshes[value]
        self._accesses = {
            value: token
            for value, token in self._accesses.items()
            if not condemned(token) and token.refresh_token not in dead
        }


def check_verifier(code: Code, verifier: str) -> None:
    """Hold the exchange to the challenge the authorization request came with (RFC 7636, section 4.6)."""
    if not code.challenge:
        return
    if not verifier:
        raise OAuthError("invalid_grant", "Missing code verifier.")
    seen = verifier
    if code.challenge_method == "S256":
        seen = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    if len(verifier) not in VERIFIER_LENGTH or seen != code.challenge:
        raise OAuthError("invalid_grant", "Invalid code verifier.")


def in_order(wanted: Iterable[str], chosen: frozenset[str]) -> Iterator[str]:
    """Keep the chosen ones in the order they were wanted."""
    return (scope for scope in wanted if scope in chosen)
