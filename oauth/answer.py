"""A token endpoint's answer, read tolerantly: providers disagree on units, status codes and what may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import ConsentLost, Refused, TryLater
from oauth.provider import OAuthProvider

SHORTEST, LONGEST = 60, 86_400  # seconds an access token may live by anybody's word
TEN_YEARS = 315_360_000  # seconds; a consent that ends later is as good as one without an end
THROTTLED_SECONDS = 600.0  # Zoho's "Access Denied" lasts for ten minutes (reference: zoho.com/accounts, limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Tokens as a provider gave them. `life` is in seconds."""

    access: str
    refresh: str
    scopes: frozenset[str]
    life: int
    refresh_life: int  # 0: no end given
    extra: Mapping[str, str]
    id_token: str = ""

    def __repr__(self) -> str:
        return f"Answer(scopes={len(self.scopes)}, life={self.life})"


def read(provider: OAuthProvider, data: Any, *, asked: frozenset[str] = frozenset()) -> Answer:
    """Read the JSON of a token endpoint. Success is an object with an access token, whatever the status said.

    Raises ConsentLost when this consent will never work again, TryLater for a throttle or an answer that is none,
    Refused for what only the operator can mend (client id, secret, redirect address).
    """
    if not isinstance(data, dict):
        raise TryLater("The token endpoint's answer was not JSON.", code="oauth.bad_answer")
    error = str(data.get("error", ""))
    if error in provider.errors_that_pass:
        raise TryLater("The provider asks us to slow down.", code="oauth.throttled", wait=THROTTLED_SECONDS)
    if error in provider.errors_that_end:
        why = "consent.scope" if error == "invalid_scope" else "consent.policy" if "policy" in error else "consent.lost"
        raise ConsentLost("The provider no longer accepts this consent.", code=why)
    if error:
        raise Refused(f"The provider refused our client ({_word(error)}).", code=f"oauth.{_word(error)}")
    access = data.get("access_token")
    if not isinstance(access, str) or not access:
        raise TryLater("The token endpoint's answer held no token.", code="oauth.bad_answer")
    return Answer(
        access=access,
        refresh=str(data.get("refresh_token") or ""),
        scopes=_scopes(data.get("scope"), asked),
        life=_life(data, provider.token_life_seconds),
        refresh_life=min(_seconds(data.get("refresh_token_expires_in")), TEN_YEARS),
        extra={name: str(data[name]) for name in provider.keep_from_token if data.get(name)},
        id_token=str(data.get("id_token") or ""),
    )


def _scopes(told: Any, asked: frozenset[str]) -> frozenset[str]:
    """The scopes really granted: a text in the answer, a list once oauthlib has read it, absent when all were."""
    if isinstance(told, str):
        return frozenset(told.replace(",", " ").split())
    if isinstance(told, list | tuple):
        return frozenset(str(scope) for scope in told)
    return asked


def _life(data: Mapping[str, Any], usual: int) -> int:
    """Seconds the token lives. Some Zoho products say milliseconds in `expires_in` and seconds beside it."""
    life = _seconds(data.get("expires_in_sec")) or _seconds(data.get("expires_in"))
    if life > LONGEST:
        life //= 1000
    return min(max(life or min(usual, 300), SHORTEST), LONGEST)


def _seconds(value: Any) -> int:
    try:
        return max(int(value), 0)
    except (TypeError, ValueError, OverflowError):  # the last: Python's JSON reads Infinity
        return 0


def _word(error: str) -> str:
    """A provider's error code, harmless enough to show and to log."""
    return "".join(
        character for character in error.casefold().replace(" ", "_") if character.isalnum() or character == "_"
    )[:40]
