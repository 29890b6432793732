"""Cross-Account Protection (RISC): believing and reading what Google says of an account we have a consent of.

A security event token is a JWT signed with the keys its configuration document names. It has no `exp`, and one that
came late is as true as on its first day, so none is asked for. Which of our consents it is about is said by the
account's id, or by the refresh token in one of two abbreviations (https://developers.google.com/identity/protocols/risc).
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from domain.errors import Malformed, TryLater, Unauthentic
from domain.ports import Http
from integrations.google.tokens import CACHE_SECONDS, FETCH_TIMEOUT_SECONDS, LEEWAY_SECONDS, RETRY_SECONDS, GoogleKeys

TYPES = "https://schemas.openid.net/secevent/"
KNOWN = {  # event type behind TYPES -> what we call it
    "risc/event-type/sessions-revoked": "sessions-revoked",
    "oauth/event-type/tokens-revoked": "tokens-revoked",
    "oauth/event-type/token-revoked": "token-revoked",
    "risc/event-type/account-disabled": "account-disabled",
    "risc/event-type/account-enabled": "account-enabled",
    "risc/event-type/account-purged": "account-purged",
    "risc/event-type/account-credential-change-required": "credential-change-required",
    "risc/event-type/verification": "verification",
}
REASONS = ("hijacking", "bulk-account")
MOST_TOKEN_BYTES = 8_192
MOST_EVENTS = 16
MOST_ID_CHARACTERS = 255
PREFIX_CHARACTERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """Something happened to an account. `subject`: its id; `token`: the abbreviation of one refresh token, or ""."""

    kind: str
    subject: str = ""
    token: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityNews:
    """One token: its id, which is the same for a repeat, when Google wrote it, and what happened."""

    id: str
    at: datetime
    events: tuple[SecurityEvent, ...]


def token_marks(refresh: str) -> tuple[str, str]:
    """Both abbreviations Google may name a refresh token by."""
    twice = hashlib.sha512(hashlib.sha512(refresh.encode()).digest()).digest()
    return f"prefix:{refresh[:PREFIX_CHARACTERS]}", f"hash:{base64.b64encode(twice).decode()}"


class SecurityEvents:
    """Believes tokens for any of our client ids. One for each process; its configuration is fetched once an hour."""

    def __init__(
        self, configuration_uri: str, http: Http, now: Callable[[], float], audiences: Collection[str]
    ) -> None:
        self._uri, self._http, self._now = configuration_uri, http, now
        self._audiences = frozenset(filter(None, audiences))
        self._lock = threading.Lock()
        self._issuer, self._jwks, self._keys = "", "", GoogleKeys("", http, now)
        self._fetched_at = self._failed_at = float("-inf")

    def believe(self, token: bytes) -> dict[str, Any]:
        """Return the claims of a token Google signed for us. Raises Malformed, or TryLater without Google's keys."""
        if not 0 < len(token) <= MOST_TOKEN_BYTES or not token.isascii():
            raise Malformed("This is not a security event token.", code="risc.not_a_token")
        issuer, keys = self._configured()
        try:
            claims = keys.signed(token.decode().strip())
        except Unauthentic:
            raise Malformed("Google did not sign this token.", code="risc.not_signed") from None
        meant_for = claims.get("aud")
        named = meant_for if isinstance(meant_for, list) else [meant_for]
        if claims.get("iss") != issuer or not any(isinstance(one, str) and one in self._audiences for one in named):
            raise Malformed("This token is of another issuer, or for another application.", code="risc.not_for_us")
        return claims

    def _configured(self) -> tuple[str, GoogleKeys]:
        with self._lock:
            if self._now() - self._fetched_at >= CACHE_SECONDS:
                self._fetch()
            return self._issuer, self._keys

    def _fetch(self) -> None:
        if self._now() - self._failed_at < RETRY_SECONDS:
            raise TryLater("Google's security event configuration is out of reach.", wait=RETRY_SECONDS)
        try:
            answer = self._http.request("GET", self._uri, timeout=FETCH_TIMEOUT_SECONDS)
            if answer.status_code != 200:
                raise ValueError("no configuration")
            document: dict[str, Any] = answer.json()
            issuer, jwks = document["issuer"], document["jwks_uri"]
            if not (isinstance(issuer, str) and issuer and isinstance(jwks, str) and self._trusted(jwks)):
                raise ValueError("no configuration")
        except (requests.RequestException, ValueError, TypeError, KeyError):
            self._failed_at = self._now()
            raise TryLater("Google's security event configuration is out of reach.", wait=RETRY_SECONDS) from None
        if jwks != self._jwks:
            self._jwks, self._keys = jwks, GoogleKeys(jwks, self._http, self._now)
        self._issuer, self._fetched_at = issuer, self._now()

    def _trusted(self, address: str) -> bool:
        """Keys come from the configuration's own host or from Google's API host, the way it came."""
        there, here = urlsplit(address), urlsplit(self._uri)
        return there.scheme == here.scheme and (there.netloc == here.netloc or there.netloc == "www.googleapis.com")


def read_news(claims: Mapping[str, Any], now: datetime) -> SecurityNews:
    """Understand believed claims; event types we do not know are passed over. Raises Malformed."""
    told, issued, events = claims.get("jti"), claims.get("iat"), claims.get("events")
    if not isinstance(told, str) or not 0 < len(told) <= MOST_ID_CHARACTERS:
        raise Malformed("The token has no id.", code="risc.no_id")
    if isinstance(issued, bool) or not isinstance(issued, int | float):
        raise Malformed("The token says no time.", code="risc.no_time")
    if not 0 < issued < now.timestamp() + LEEWAY_SECONDS:
        raise Malformed("The token is from tomorrow.", code="risc.no_time")
    if not isinstance(events, dict) or not 0 < len(events) <= MOST_EVENTS:
        raise Malformed("The token tells of no event.", code="risc.no_event")
    known = [
        _event(KNOWN[name], said)
        for kind, said in events.items()
        if (name := kind.removeprefix(TYPES)) in KNOWN and kind.startswith(TYPES)
    ]
    return SecurityNews(id=told, at=datetime.fromtimestamp(issued, UTC), events=tuple(known))


def _event(kind: str, said: Any) -> SecurityEvent:
    if not isinstance(said, dict):
        raise Malformed("An event of the token is no object.", code="risc.no_event")
    subject = said.get("subject")
    whose = subject if isinstance(subject, dict) else {}
    reason = said.get("reason")
    event = SecurityEvent(
        kind=kind,
        subject=_text(whose.get("sub")),
        token=_token(whose) or _token(said),
        reason=reason if reason in REASONS else "",
    )
    if kind != "verification" and not (event.subject or event.token):
        raise Malformed("An event of the token is about nobody.", code="risc.no_subject")
    return event


def _token(said: Mapping[str, Any]) -> str:
    """The refresh token an event names, as `token_marks` spells it."""
    how = {"prefix": "prefix", "hash_base64_sha512_sha512": "hash"}.get(_text(said.get("token_identifier_alg")), "")
    value = _text(said.get("token"))
    if not how or not value or said.get("token_type", "refresh_token") != "refresh_token":
        return ""
    if how == "hash":  # the alphabet and the padding are not documented
        bare = value.rstrip("=").replace("-", "+").replace("_", "/")
        value = bare + "=" * (-len(bare) % 4)
    return f"{how}:{value}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= MOST_ID_CHARACTERS else ""
