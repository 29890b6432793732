"""Codes, refresh tokens and access tokens: how long they live, how many there may be, and what a new one pushes out.

Numbers from Zoho's accounts limits page and the v8 token-validity page; see the class constants.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field

from integrations.zoho.sandbox.clock import HOUR, MINUTE, Clock
from integrations.zoho.sandbox.orgs import User

CODE_SECONDS = 60  # the shortest life any page gives; others say two and three minutes
ACCESS_SECONDS = HOUR
REFRESH_TOKENS = 20  # for one user and client; the next one silently deletes the oldest
ACCESS_TOKENS = 15  # alive for one refresh token; the next one drops the oldest
MINTS, MINT_WINDOW_SECONDS = 10, 10 * MINUTE  # access tokens one refresh token may make


class Denied(Exception):
    """The token endpoint says no; the text is its `error`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an application asked consent for."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    offline: bool
    prompt_consent: bool
    challenge: str
    method: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Code:
    """A consent on its way back to the application, good once."""

    value: str
    asked: Asked
    user: User
    dc: str
    expires_at: float


@dataclass(slots=True)
class Refresh:
    """A consent that lasts until it is revoked."""

    value: str
    client_id: str
    user: User
    dc: str
    scopes: tuple[str, ...]
    minted: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Access:
    """Permission to call the API for an hour, in one data centre."""

    value: str
    refresh: str | None
    client_id: str
    user: User
    dc: str
    scopes: tuple[str, ...]
    expires_at: float


class Tokens:
    """Every code and token alive, in the order they were made."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._codes: dict[str, Code] = {}
        self._refreshes: dict[str, Refresh] = {}
        self._accesses: dict[str, Access] = {}
        self._consented: set[tuple[str, str]] = set()

    def grant(self, asked: Asked, user: User, dc: str) -> str:
        """Write down a consent and give out its code."""
        code = Code(_secret(), asked, user, dc, self._clock.now() + CODE_SECONDS)
        self._codes[code.value] = code
        return code.value

    def redeem(self, value: str, client_id: str, dc: str, redirect_uri: str, verifier: str) -> tuple[Access, Code]:
        """Turn a code into an access token; it names its refresh token where one was due."""
        code = self._codes.get(value)
        if code is None or code.dc != dc or code.asked.client_id != client_id:
            raise Denied("invalid_code")
        del self._codes[value]
        if code.expires_at <= self._clock.now():
            raise Denied("invalid_code")
        if code.asked.redirect_uri != redirect_uri:
            raise Denied("invalid_redirect_uri")
        if code.asked.challenge and code.asked.challenge != _challenge(verifier, code.asked.method):
            raise Denied("invalid_code")
        first = (code.user.zuid, client_id) not in self._consented
        self._consented.add((code.user.zuid, client_id))
        refresh = None
        if code.asked.offline and (first or code.asked.prompt_consent):
            refresh = self._keep(code, client_id, dc)
        return self._mint(refresh, client_id, code.user, dc, code.asked.scopes), code

    def renew(self, value: str, client_id: str, dc: str) -> Access:
        """Make another access token; the refresh token itself does not rotate."""
        refresh = self._refreshes.get(value)
        if refresh is None or refresh.client_id != client_id or refresh.dc != dc:
            raise Denied("invalid_code")
        return self._mint(refresh, client_id, refresh.user, dc, refresh.scopes)

    def check(self, value: str, dc: str) -> Access | None:
        """Find a living access token of this data centre."""
        access = self._accesses.get(value)
        return access if access and access.dc == dc and access.expires_at > self._clock.now() else None

    def revoke(self, value: str, dc: str) -> bool:
        """Kill a token; a refresh token takes its access tokens along."""
        refresh, access = self._refreshes.get(value), self._accesses.get(value)
        if refresh and refresh.dc == dc:
            self._forget(refresh)
            return True
        if access and access.dc == dc:
            del self._accesses[value]
            return True
        return False

    def disconnect(self, user: User, client_id: str | None = None) -> int:
        """Do what "Connected apps" in Zoho's own pages does: kill a user's tokens, telling nobody."""
        doomed = [r for r in self._refreshes.values() if r.user == user and client_id in {None, r.client_id}]
        for refresh in doomed:
            self._forget(refresh)
        self._accesses = {
            value: access
            for value, access in self._accesses.items()
            if access.user != user or client_id not in {None, access.client_id}
        }
        return len(doomed)

    def living(self, org: str) -> tuple[list[Refresh], list[Access]]:
        """List what is alive in an organisation."""
        now = self._clock.now()
        return (
            [refresh for refresh in self._refreshes.values() if refresh.user.org == org],
            [access for access in self._accesses.values() if access.user.org == org and access.expires_at > now],
        )

    def _keep(self, code: Code, client_id: str, dc: str) -> Refresh:
        refresh = Refresh(_secret(), client_id, code.user, dc, code.asked.scopes)
        self._refreshes[refresh.value] = refresh
        own = [each for each in self._refreshes.values() if (each.user, each.client_id) == (code.user, client_id)]
        for oldest in own[:-REFRESH_TOKENS]:
            self._forget(oldest)
        return refresh

    def _mint(self, refresh: Refresh | None, client_id: str, user: User, dc: str, scopes: tuple[str, ...]) -> Access:
        now = self._clock.now()
        if refresh:
            refresh.minted = [at for at in refresh.minted if at > now - MINT_WINDOW_SECONDS]
            if len(refresh.minted) >= MINTS:
                raise Denied("Access Denied")
            refresh.minted.append(now)
        parent = refresh.value if refresh else None
        access = Access(_secret(), parent, client_id, user, dc, scopes, now + ACCESS_SECONDS)
        self._accesses = {value: each for value, each in self._accesses.items() if each.expires_at > now}
        self._accesses[access.value] = access
        own = [each.value for each in self._accesses.values() if refresh and each.refresh == refresh.value]
        for oldest in own[:-ACCESS_TOKENS]:
            del self._accesses[oldest]
        return access

    def _forget(self, refresh: Refresh) -> None:
        del self._refreshes[refresh.value]
        self._accesses = {v: access for v, access in self._accesses.items() if access.refresh != refresh.value}


def _secret() -> str:
    return f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"


def _challenge(verifier: str, method: str) -> str:
    if method != "S256":
        return verifier
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
