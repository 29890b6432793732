"""Google's sign-in pages and OAuth endpoints: who is asked what, and where the browser is sent afterwards.

A consent that cannot be given stays on Google's own error page, exactly as users see it; only a refusal, or a
`prompt=none` that needs a person, travels back to the product. The address of the form carries the whole request, so a
script may post `user` and `scope` to `.../auth/decide?<the same query>` without reading the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, redirect, request
from flask.typing import ResponseReturnValue

from . import scopes as known
from .errors import ConsentError, OAuthError, unauthenticated
from .grants import CODE_SECONDS, Client, Code, in_order
from .robots import JWT_BEARER
from .world import ISSUER, User, World

AUTHORIZE, DECIDE = "/o/oauth2/v2/auth", "/o/oauth2/v2/auth/decide"


@dataclass(frozen=True, slots=True)
class Request:
    """An authorization request that may be shown to a person."""

    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    prompt: frozenset[str]
    query: Mapping[str, str]

    @property
    def tickable(self) -> tuple[str, ...]:
        """Name the scopes the person decides on one by one; signing in is not among them."""
        return tuple(scope for scope in self.scopes if scope not in known.SIGN_IN)

    def back(self, **answer: str) -> ResponseReturnValue:
        """Send the browser back to the product."""
        if state := self.query.get("state"):
            answer = {"state": state, **answer}
        joint = "&" if urlsplit(self.redirect_uri).query else "?"
        return redirect(f"{self.redirect_uri}{joint}{urlencode(answer)}", 302)


def install(app: Flask, world: World) -> None:
    """Open the consent page, the token endpoints and what OpenID Connect publishes."""

    @app.get(AUTHORIZE)
    def authorize() -> ResponseReturnValue:
        asked = understand(world, request.args)
        if "none" in asked.prompt:
            return silently(world, asked)
        return consent_page(asked, presentable(world, asked))

    @app.post(DECIDE)
    def decide() -> ResponseReturnValue:
        asked = understand(world, request.args)
        if "deny" in request.form:
            return asked.back(error="access_denied")
        user = world.find_user(request.form.get("user", ""))
        if user is None:
            raise ConsentError("invalid_request", "Choose an account that exists.")
        return grant(world, asked, user, frozenset(known.normalise(request.form.getlist("scope"))))

    @app.post("/token")
    @app.post("/oauth2/token")
    def token() -> ResponseReturnValue:
        form = request.form
        if form.get("grant_type") == JWT_BEARER:
            return world.robots.exchange(form.get("assertion", ""), world.origin)
        client = authenticate_client(world)
        match form.get("grant_type"):
            case "authorization_code":
                verifier = form.get("code_verifier", "")
                return world.grants.exchange(client, form.get("code", ""), form.get("redirect_uri", ""), verifier)
            case "refresh_token":
                asked = known.normalise(form.get("scope", "").split())
                return world.grants.renew(client, form.get("refresh_token", ""), asked)
            case None:
                raise OAuthError("invalid_request", "Required parameter is missing: grant_type")
            case other:
                raise OAuthError("unsupported_grant_type", f"Invalid grant_type: {other}")

    @app.post("/revoke")
    @app.post("/oauth2/revoke")
    def revoke() -> ResponseReturnValue:
        world.grants.revoke(request.values.get("token", ""))
        return {}

    @app.get("/oauth2/v3/certs")
    def certs() -> ResponseReturnValue:
        answer = Response(world.json(world.keys.jwks()), mimetype="application/json")
        answer.headers["Cache-Control"] = "public, max-age=19800, must-revalidate"
        return answer

    @app.get("/.well-known/openid-configuration")
    def discovery() -> ResponseReturnValue:
        return discovery_document(world.origin)

    @app.get("/oauth2/v2/userinfo")
    @app.get("/userinfo/v2/me")
    def userinfo_v2() -> ResponseReturnValue:
        claims = userinfo(world)
        renamed = {"sub": "id", "email_verified": "verified_email"}
        return {renamed.get(name, name): value for name, value in claims.items()}

    @app.get("/oauth2/v3/userinfo")
    @app.get("/v1/userinfo")
    def userinfo_v3() -> ResponseReturnValue:
        return userinfo(world)

    @app.errorhandler(OAuthError)
    def refused(error: OAuthError) -> ResponseReturnValue:
        return error.body, error.code

    @app.errorhandler(ConsentError)
    def stuck(error: ConsentError) -> ResponseReturnValue:
        return error_page(error), error.code


def understand(world: World, query: Mapping[str, str]) -> Request:
    """Check an authorization request the way Google's page does before it shows anything."""
    client = world.clients.get(query.get("client_id", ""))
    if client is None:
        raise ConsentError("invalid_client", "The OAuth client was not found.", 401)
    redirect_uri = query.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris:  # compared letter by letter: scheme, host, case, trailing slash
        raise ConsentError("redirect_uri_mismatch", "The redirect URI does not match one authorised for the client.")
    if query.get("response_type") != "code":
        raise ConsentError("unsupported_response_type", "Only response_type=code is offered here.")
    asked = query.get("scope", "").split()
    if not asked:
        raise ConsentError("invalid_request", "Missing required parameter: scope")
    wanted = known.normalise(asked)
    if unknown := [scope for scope in wanted if not known.is_known(scope)]:
        raise ConsentError("invalid_scope", f"Some requested scopes were invalid. {{invalid=[{', '.join(unknown)}]}}")
    if query.get("access_type", "online") not in ("online", "offline"):
        raise ConsentError("invalid_request", "Invalid parameter value for access_type")
    if query.get("code_challenge_method", "plain") not in ("plain", "S256"):
        raise ConsentError("invalid_request", "Invalid parameter value for code_challenge_method")
    prompt = frozenset(query.get("prompt", "").split())
    if prompt - {"none", "consent", "select_account"} or ("none" in prompt and len(prompt) > 1):
        raise ConsentError("invalid_request", "Invalid parameter value for prompt")
    return Request(client, redirect_uri, wanted, prompt, query)


def presentable(world: World, asked: Request) -> list[User]:
    """List the accounts to choose from; `hd` narrows the choice but proves nothing."""
    hd = asked.query.get("hd", "")
    return [user for user in world.users.values() if not hd or (user.hd if hd == "*" else user.hd == hd)]


def silently(world: World, asked: Request) -> ResponseReturnValue:
    """Answer `prompt=none`: a code when there is nothing to ask, else an error for the product."""
    user = world.find_user(asked.query.get("login_hint", ""))
    if user is None:
        return asked.back(error="login_required")
    if not world.grants.granted(user.email, asked.client.project).issuperset(asked.scopes):
        return asked.back(error="consent_required")
    return grant(world, asked, user, frozenset())


def grant(world: World, asked: Request, user: User, ticked: frozenset[str]) -> ResponseReturnValue:
    """Write down what the person agreed to and send the code back."""
    if user.disabled:
        raise ConsentError("disabled_account", "This account has been disabled.", 403)
    if user.admin_blocks_app:
        raise ConsentError("admin_policy_enforced", "Your organisation's administrator does not allow this app.")
    installed = world.marketplace.granted(user.email)  # by an administrator, for everybody there
    before = (
        world.grants.granted(user.email, asked.client.project) | installed | (known.SIGN_IN if installed else set())
    )
    ask = "consent" in asked.prompt or not before.issuperset(asked.scopes)
    # Without `prompt=consent` what was granted earlier is not asked again, so it cannot be unticked either.
    kept = frozenset() if "consent" in asked.prompt else before
    chosen = tuple(in_order(asked.scopes, (ticked | kept | known.SIGN_IN) if ask else before))
    if not chosen:
        return asked.back(error="access_denied")
    if asked.query.get("include_granted_scopes") == "true":
        chosen = tuple(dict.fromkeys([*chosen, *sorted(before)]))
    code = world.grants.write_code(
        Code(
            client=asked.client,
            user=user.email,
            redirect_uri=asked.redirect_uri,
            scopes=chosen,
            offline=asked.query.get("access_type") == "offline" and (ask or world.knobs.unasked_refresh_token),
            challenge=asked.query.get("code_challenge", ""),
            challenge_method=asked.query.get("code_challenge_method", "plain"),
            nonce=asked.query.get("nonce", ""),
            expires_at=world.now() + CODE_SECONDS,
        )
    )
    extra = {"hd": user.hd} if user.hd else {}
    shown = "consent" if ask else "none"
    return asked.back(code=code, scope=" ".join(chosen), authuser="0", **extra, prompt=shown)


def authenticate_client(world: World) -> Client:
    """Find out which client asks, by HTTP Basic or by fields of the form."""
    basic = request.authorization
    if basic is not None and basic.type == "basic":
        name, secret = basic.username or "", basic.password or ""
    else:
        name, secret = request.form.get("client_id", ""), request.form.get("client_secret", "")
    if not name:
        raise OAuthError("invalid_request", "Could not determine client ID from request.")
    client = world.clients.get(name)
    if client is None:
        raise OAuthError("invalid_client", "The OAuth client was not found.", 401)
    if client.secret != secret:
        raise OAuthError("invalid_client", "Unauthorized", 401)
    return client


def userinfo(world: World) -> dict[str, Any]:
    """Tell who the bearer is, as far as the granted scopes allow."""
    access = world.bearer(request.headers.get("Authorization", ""))
    if access is None or not known.SIGN_IN.intersection(access.scopes):
        raise unauthenticated()
    return world.users[access.user].claims(access.scopes)


def discovery_document(origin: str) -> dict[str, Any]:
    """Publish where everything is; the issuer keeps its real name because tokens carry it."""
    return {
        "issuer": ISSUER,
        "authorization_endpoint": f"{origin}{AUTHORIZE}",
        "token_endpoint": f"{origin}/token",
        "revocation_endpoint": f"{origin}/revoke",
        "userinfo_endpoint": f"{origin}/v1/userinfo",
        "jwks_uri": f"{origin}/oauth2/v3/certs",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": ["plain", "S256"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
    }


def page(title: str, body: str) -> str:
    """Wrap a page."""
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>{body}</html>'


def consent_page(asked: Request, users: list[User]) -> str:
    """Draw accounts to choose from, one tick-box per scope when there is a choice, and two buttons."""
    hint = asked.query.get("login_hint", "")
    accounts = "".join(
        f'<label><input type="radio" name="user" value="{escape(user.email)}" required'
        f"{' checked' if hint in (user.email, user.sub) or len(users) == 1 else ''}>"
        f" {escape(user.name)} ({escape(user.email)})</label><br>"
        for user in users
    )
    # Exactly one scope and no sign-in: all or nothing, no tick-box (granular permissions guide).
    granular = len(asked.tickable) > 1 or len(asked.scopes) > len(asked.tickable)
    boxes = "".join(
        f'<label><input type="checkbox" name="scope" value="{escape(scope)}" checked> {escape(scope)}</label><br>'
        if granular
        else f'<input type="hidden" name="scope" value="{escape(scope)}"><p>{escape(scope)}</p>'
        for scope in asked.tickable
    )
    action = f"{DECIDE}?{urlencode(dict(asked.query))}"
    return page(
        "Sign in with Google (understudy)",
        f'<p>{escape(asked.client.id)} wants access to your Google Account.</p><form method="post"'
        f' action="{escape(action)}">{accounts}<hr>{boxes}<hr><button type="submit">Allow</button> '
        '<button type="submit" name="deny" value="1" formnovalidate>Deny</button></form>',
    )


def error_page(error: ConsentError) -> str:
    """Draw the page a user is left on."""
    return page(f"Error {error.code}: {escape(error.error)}", f"<p>{escape(error.description)}</p>")
