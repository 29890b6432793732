"""An OAuth provider as data: addresses, habits and the hosts a secret may be sent to.

The flow (state, PKCE, exchange, renewal, revocation) is written once, in `oauth.flow`. A provider's oddity is a field
here with its source beside it, never an `if` on its name there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from domain.consent import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Our registration at a provider."""

    id: str
    secret: str
    secrets: Mapping[str, str] = field(default_factory=dict)  # by data centre, where each has its own

    def __repr__(self) -> str:
        return f"Client(id={self.id!r})"

    def secret_for(self, location: str) -> str:
        return self.secrets.get(location) or self.secret


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthProvider:
    """Where consent is asked and kept. `{home}` in an address is the origin the tenant's data centre answered from."""

    slug: str
    title: str
    client: Client
    authorize_url: str
    token_url: str
    revoke_url: str
    features: tuple[Feature, ...]
    sign_in_scopes: tuple[str, ...]
    scope_separator: str = " "
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    quiet_params: Mapping[str, str] = field(default_factory=dict)  # instead, where it was granted at installation
    sign_in_params: Mapping[str, str] = field(default_factory=dict)  # instead, where nothing is kept of the consent
    home: str = ""  # the origin to start from; a callback may name another of `homes`
    homes: Callable[[], Mapping[str, str]] = dict  # location -> origin, from the provider's own list
    home_from_callback: tuple[str, str] | None = None  # (location parameter, origin parameter)
    keep_from_token: tuple[str, ...] = ()  # answers that belong to the grant (Zoho: api_domain)
    trusted_api: Callable[[str, str], bool] = lambda location, origin: False  # may tokens be sent to that API origin?
    revoke_in_query: bool = False
    errors_that_end: frozenset[str] = frozenset({"invalid_grant"})  # a renewal answered so will never work again
    errors_that_pass: frozenset[str] = frozenset()  # looks final, is a throttle
    trial: timedelta | None = None  # consents to a client that is still being tried out die at this age
    fresh_seconds: int = 300  # renew when less than this is left
    token_life_seconds: int = 3600  # assumed when the answer does not say
