"""Asking for consent: one flow for every provider, on google-auth-oauthlib's engine.

A state is random, kept as its hash, bound to the browser that started, used once and good for ten minutes. PKCE S256
always. Where a provider names the tenant's data centre in the callback, the name is believed only if it is on the
provider's own list: our client's secret is sent there.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import requests
from sqlalchemy import delete, func, insert

from domain.errors import Refused, Trouble, TryLater, Unanswered
from oauth import answer
from oauth.answer import Answer
from oauth.provider import OAuthProvider
from store.database import Database, TenantId
from store.tables import consent_requests
from store.vault import Place, Vault

if TYPE_CHECKING:
    from google_auth_oauthlib.flow import Flow

STATE_MINUTES = 10
CODE = re.compile(r"[\x21-\x7e]{1,2048}")  # Google's codes have at most 256 bytes, Zoho's fewer


class BadConsent(Trouble):
    """This consent could not be completed. Start again from the console."""

    code = "oauth.state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwilling:
    """Why a provider gives no consent."""

    code: str
    says: str


UNKNOWN = Unwilling(code="oauth.provider_error", says="The provider could not complete the consent.")
SCOPE = Unwilling(
    code="oauth.scope",
    says="The provider does not know a permission that was asked for. Whoever runs Linekeeper has to look at it.",
)
POLICY = Unwilling(code="oauth.policy", says="Your organisation's administrator there does not allow this application.")
UNWILLING = {  # what comes back instead of a code
    "access_denied": Unwilling(code="oauth.denied", says="Permission was not given."),
    "invalid_scope": SCOPE,
    "admin_policy_enforced": POLICY,
    "access_not_configured": POLICY,
    "org_internal": POLICY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A consent that came back: what it was asked for, and the tokens."""

    ticket: Mapping[str, Any]  # what the caller gave to `begin`
    tenant: TenantId | None
    connection: UUID | None
    answer: Answer
    home: str  # the origin the tenant's account lives at
    location: str  # the data centre's name, where the provider has several


class Consent:
    """Begin a consent, and complete it when the browser comes back."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        providers: Mapping[str, OAuthProvider],
        *,
        origin: str,
        timeout: float,
    ) -> None:
        self._db = db
        self._vault = vault
        self._providers = providers
        self._origin = origin
        self._timeout = timeout

    def redirect_uri(self, provider: str) -> str:
        """The one address a provider may send browsers back to."""
        return f"{self._origin}/oauth/{provider}/callback"

    def begin(
        self,
        provider: OAuthProvider,
        scopes: Sequence[str],
        *,
        browser: str,
        ticket: Mapping[str, Any],
        tenant: TenantId | None = None,
        connection: UUID | None = None,
        params: Mapping[str, str] | None = None,
    ) -> str:
        """Return the address of the provider's consent page; `browser` is the value of this browser's cookie. `params`:
        instead of the provider's usual ones."""
        state = secrets.token_urlsafe(32)
        flow = self._flow(provider, scopes, home=provider.home, secret=provider.client.secret, state=state)
        address, _ = flow.authorization_url(**(params or provider.authorize_params))
        kept = {"ticket": dict(ticket), "verifier": flow.code_verifier, "scopes": list(scopes)}
        hashed = _hash(state)
        place = Place("consent_requests", hashed.hex(), "ticket")
        with self._db.anyone() as database:
            database.execute(
                insert(consent_requests).values(
                    state=hashed,
                    browser=_hash(browser),
                    provider=provider.slug,
                    tenant_id=tenant,
                    connection_id=connection,
                    ticket=self._vault.seal_own(place, json.dumps(kept)),
                    expires_at=func.now() + func.make_interval(0, 0, 0, 0, 0, STATE_MINUTES),
                )
            )
        return str(address)

    def complete(self, provider: OAuthProvider, query: Mapping[str, Sequence[str]], *, browser: str) -> Granted:
        """Exchange what the callback brought. Raises BadConsent (with nothing sent anywhere) or an Upstream error."""
        given = _single(query)
        hashed = _hash(given.get("state", ""))
        with self._db.anyone() as database:
            row = database.execute(
                delete(consent_requests)
                .where(
                    consent_requests.c.state == hashed,
                    consent_requests.c.browser == _hash(browser),
                    consent_requests.c.provider == provider.slug,
                    consent_requests.c.expires_at > func.now(),
                )
                .returning(consent_requests)
            ).one_or_none()
        if row is None:
            raise BadConsent("This consent was not started here, is over ten minutes old or was used before.")
        if "error" in given and "code" in given:
            raise BadConsent("The answer said both yes and no.", code="oauth.ambiguous")
        if given.get("error"):
            raise _unwilling(given["error"])
        code = given.get("code", "")
        if not CODE.fullmatch(code):
            raise BadConsent("The answer held no usable code.", code="oauth.code")
        location, home = self._home(provider, given)
        kept = json.loads(self._vault.open_own(Place("consent_requests", hashed.hex(), "ticket"), row.ticket))
        flow = self._flow(
            provider,
            kept["scopes"],
            home=home,
            secret=provider.client.secret_for(location),
            state=given["state"],
            verifier=kept["verifier"],
        )
        got = self._exchange(provider, flow, code, frozenset(kept["scopes"]))
        for name, value in got.extra.items():
            if not provider.trusted_api(location, value):
                raise BadConsent(
                    f"The provider's answer named an address that is not its own ({name}).", code="oauth.host"
                )
        return Granted(
            ticket=kept["ticket"],
            tenant=row.tenant_id,
            connection=row.connection_id,
            answer=got,
            home=home,
            location=location,
        )

    def _home(self, provider: OAuthProvider, given: Mapping[str, str]) -> tuple[str, str]:
        """Which of the provider's data centres answers for this tenant: only one from its own list."""
        if provider.home_from_callback is None:
            return "", provider.home
        location_name, origin_name = provider.home_from_callback
        location, origin = given.get(location_name, ""), given.get(origin_name, "").rstrip("/")
        if not origin:
            return location, provider.home
        if provider.homes().get(location) != origin:
            raise BadConsent("The answer named a data centre that is not on the provider's list.", code="oauth.host")
        return location, origin

    def _exchange(self, provider: OAuthProvider, flow: Flow, code: str, asked: frozenset[str]) -> Answer:
        from oauthlib.oauth2.rfc6749.errors import MissingTokenError, OAuth2Error

        try:
            token = flow.fetch_token(code=code, include_client_id=True, timeout=self._timeout)
        except MissingTokenError:
            raise TryLater("The token endpoint's answer held no token.", code="oauth.bad_answer") from None
        except OAuth2Error as error:
            if error.error in UNWILLING:
                raise _unwilling(error.error) from None
            # a code that is spent or of another data centre says so with the same words as a dead consent
            raise Refused(f"The provider refused the code ({error.error}).", code="oauth.code_refused") from None
        except requests.ConnectionError:
            raise TryLater("The provider could not be reached.") from None
        except (requests.RequestException, ValueError):
            raise Unanswered("The provider did not answer in time.") from None
        return answer.read(provider, dict(token), asked=asked)

    def _flow(
        self,
        provider: OAuthProvider,
        scopes: Sequence[str],
        *,
        home: str,
        secret: str,
        state: str,
        verifier: str | None = None,
    ) -> Flow:
        from google_auth_oauthlib.flow import Flow  # slow to import, and only consents need it

        web = {
            "client_id": provider.client.id,
            "client_secret": secret,
            "auth_uri": provider.authorize_url.format(home=home),
            "token_uri": provider.token_url.format(home=home),
        }
        joined = scopes if provider.scope_separator == " " else [provider.scope_separator.join(scopes)]
        return Flow.from_client_config(
            {"web": web},
            scopes=list(joined),
            redirect_uri=self.redirect_uri(provider.slug),
            state=state,
            code_verifier=verifier,
            autogenerate_code_verifier=verifier is None,
        )


def _unwilling(error: str) -> BadConsent:
    """What a provider says that gives no consent, in a sentence for whoever asked."""
    why = UNWILLING.get(error, UNKNOWN)
    return BadConsent(why.says, code=why.code)


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()


def _single(query: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """A callback's parameters, each of which must stand there once."""
    if any(len(values) != 1 for values in query.values()):
        raise BadConsent("The answer repeated a parameter.", code="oauth.ambiguous")
    return {name: values[0] for name, values in query.items()}
