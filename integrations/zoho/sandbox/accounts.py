"""The doors of Zoho Accounts: consent, tokens, revocation, who somebody is, and where the data centres are.

Consent may start in one data centre for a user of another; the way back names the user's own.
"""

import base64
import html
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, redirect, request

from integrations.zoho.sandbox.answers import Json
from integrations.zoho.sandbox.clock import HOUR
from integrations.zoho.sandbox.orgs import Client, User
from integrations.zoho.sandbox.tokens import Access, Asked, Denied
from integrations.zoho.sandbox.world import DataCentre

SCOPES = ("zohocrm.", "zohosearch.", "phonebridge.", "aaaserver.")
OPENID_SCOPES = {"openid", "email", "profile"}
THROTTLED = "You have made too many requests continuously. Please try again after some time."
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Zoho Accounts (understudy)</title>
<style>body{{font:16px system-ui;max-width:34rem;margin:4rem auto}}
button{{font:inherit;padding:.6rem;margin:.2rem 0;display:block;width:100%;text-align:left}}li{{font-family:monospace}}
</style></head><body>{}</body></html>"""
Reply = Response | tuple[str, int] | tuple[Json, int] | Json | str


class Wrong(Exception):
    """The request for consent is wrong; the person sees why, and the application hears nothing."""


def doors(dc: DataCentre) -> Blueprint:
    """Build the doors of one data centre."""
    blueprint, world = Blueprint("accounts", __name__), dc.world

    @blueprint.errorhandler(Wrong)
    def wrong(problem: Wrong) -> Reply:
        return PAGE.format(f"<h1>ERROR</h1><p>{html.escape(str(problem))}</p>"), 400

    @blueprint.get("/oauth/serverinfo")
    def serverinfo() -> Reply:
        return {"result": "success", "locations": {code: centre.origin for code, centre in world.centres.items()}}

    @blueprint.get("/oauth/v2/auth")
    def ask() -> Reply:
        asked = _asked(dc)
        people = [user for user in world.users() if dc.code == "us" or world.orgs[user.org].dc == dc.code]
        action = f"/oauth/v2/auth/decide?{urlencode(request.args.to_dict())}"
        buttons = "".join(
            f'<button name="user" value="{html.escape(user.email)}">{html.escape(user.full_name)}'
            f" &lt;{html.escape(user.email)}&gt; of {html.escape(world.orgs[user.org].company_name)}</button>"
            for user in people
        )
        scopes = "".join(f"<li>{html.escape(scope)}</li>" for scope in asked.scopes)
        return PAGE.format(
            f"<h1>{html.escape(asked.client_id)} would like to access:</h1><ul>{scopes}</ul>"
            f'<form method="post" action="{html.escape(action)}"><p>Accept as</p>{buttons}'
            '<button name="deny" value="yes">Reject</button></form>'
        )

    @blueprint.post("/oauth/v2/auth/decide")
    def decide() -> Reply:
        asked = _asked(dc)
        if "deny" in request.form:
            return _back(asked, {"error": "access_denied"})
        user = world.user(request.form.get("user", ""))
        if user is None:
            raise Wrong("User does not exist")
        home = world.centres[world.orgs[user.org].dc]
        if home.code not in world.clients[asked.client_id].secrets:
            raise Wrong(f"The client is not enabled for the {home.code} data centre")
        code = world.tokens.grant(asked, user, home.code)
        return _back(asked, {"code": code, "location": home.code, "accounts-server": home.origin})

    @blueprint.post("/oauth/v2/token")
    def token() -> Reply:
        sent = request.values
        try:
            client = _client(dc, sent)
            match sent.get("grant_type"):
                case "authorization_code":
                    return _exchange(dc, client, sent)
                case "refresh_token":
                    access = world.tokens.renew(sent.get("refresh_token", ""), client.client_id, dc.code)
                    return _granted(dc, access)
            raise Denied("unsupported_grant_type")
        except Denied as denied:  # every error here is an HTTP 200, except the throttle in some reports
            if str(denied) == "Access Denied":
                return {"error": str(denied), "error_description": THROTTLED}, world.knobs.access_denied_status
            return {"error": str(denied)}

    @blueprint.post("/oauth/v2/token/revoke")
    def revoke() -> Reply:
        if world.tokens.revoke(request.values.get("token", ""), dc.code):
            return {"status": "success"}
        return PAGE.format("<h1>400</h1><p>Invalid token</p>"), 400

    @blueprint.post("/oauth/v2/revoke/token")
    def revoke_as_client() -> Reply:
        try:
            _client(dc, {})
        except Denied as denied:
            return {"error": str(denied)}, 401
        if world.tokens.revoke(request.values.get("token", ""), dc.code):
            return {"status": "success"}
        return {"error": "invalid_token"}, 400

    @blueprint.get("/oauth/user/info")
    def user_info() -> Reply:
        access = _bearer(dc, {"aaaserver.profile.read", "aaaserver.profile.all"})
        if access is None:
            return {"code": "INVALID_OAUTHTOKEN", "status": "failure"}, 401
        user = access.user
        names = {"First_Name": user.first_name, "Last_Name": user.last_name, "Display_Name": user.full_name}
        return {"ZUID": int(user.zuid), "Email": user.email, **names}

    @blueprint.get("/oauth/v2/userinfo")
    def openid_user() -> Reply:
        access = _bearer(dc, {"openid"})
        return ({"error": "invalid_token"}, 401) if access is None else _claims(access.user)

    @blueprint.get("/oauth/v2/keys")
    def keys() -> Reply:
        return world.signer.keys()

    @blueprint.get("/.well-known/openid-configuration")
    def discovery() -> Reply:
        return {
            "issuer": dc.origin,
            "authorization_endpoint": f"{dc.origin}/oauth/v2/auth",
            "token_endpoint": f"{dc.origin}/oauth/v2/token",
            "revocation_endpoint": f"{dc.origin}/oauth/v2/token/revoke",
            "userinfo_endpoint": f"{dc.origin}/oauth/v2/userinfo",
            "jwks_uri": f"{dc.origin}/oauth/v2/keys",
            "dc_info": f"{dc.origin}/oauth/serverinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "email", "profile"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }

    return blueprint


def _asked(dc: DataCentre) -> Asked:
    """Read a request for consent, checking what Zoho checks before it shows anything."""
    args = request.args
    client = dc.world.clients.get(args.get("client_id", ""))
    if client is None:
        raise Wrong("Invalid Client ID")
    if args.get("redirect_uri") not in client.redirect_uris:
        raise Wrong("Invalid Redirect Uri")
    if args.get("response_type") != "code":
        raise Wrong("Invalid Response Type")
    scopes = tuple(args.get("scope", "").replace(",", " ").split())
    if not scopes or not all(scope in OPENID_SCOPES or scope.lower().startswith(SCOPES) for scope in scopes):
        raise Wrong("Scope does not exist")
    if args.get("access_type", "online") not in {"online", "offline"}:
        raise Wrong("Invalid Access Type")
    return Asked(
        client_id=client.client_id,
        redirect_uri=args["redirect_uri"],
        scopes=scopes,
        offline=args.get("access_type") == "offline",
        prompt_consent=args.get("prompt") == "consent",
        challenge=args.get("code_challenge", ""),
        method=args.get("code_challenge_method", "plain"),
        nonce=args.get("nonce", ""),
    )


def _back(asked: Asked, answer: dict[str, str]) -> Response:
    """Send the person back to the application; `state` returns as it came."""
    if "state" in request.args:
        answer["state"] = request.args["state"]
    joint = "&" if urlsplit(asked.redirect_uri).query else "?"
    response = redirect(f"{asked.redirect_uri}{joint}{urlencode(answer)}")
    assert isinstance(response, Response)
    return response


def _client(dc: DataCentre, sent: Mapping[str, str]) -> Client:
    """Recognise the application by its id and its secret for this data centre, in the form or as Basic."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    client_id, secret = sent.get("client_id", ""), sent.get("client_secret", "")
    if kind.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(value).decode().partition(":")
        except ValueError:
            raise Denied("invalid_client") from None
    client = dc.world.clients.get(client_id)
    if client is None or dc.code not in client.secrets:
        raise Denied("invalid_client")
    if client.secrets[dc.code] != secret:
        raise Denied("invalid_client_secret")
    return client


def _exchange(dc: DataCentre, client: Client, sent: Mapping[str, str]) -> Json:
    names = ("redirect_uri", "code_verifier")
    access, code = dc.world.tokens.redeem(
        sent.get("code", ""), client.client_id, dc.code, *(sent.get(name, "") for name in names)
    )
    answer = _granted(dc, access)
    if access.refresh:
        answer["refresh_token"] = access.refresh
    if "openid" in access.scopes:
        now = int(dc.world.clock.now())
        claims = _claims(access.user) | {"iss": dc.origin, "aud": client.client_id, "iat": now, "exp": now + HOUR}
        nonce = {"nonce": code.asked.nonce} if code.asked.nonce else {}
        answer["id_token"] = dc.world.signer.sign(claims | nonce)
    return answer


def _granted(dc: DataCentre, access: Access) -> Json:
    answer: Json = {
        "access_token": access.value,
        "scope": " ".join(access.scopes),
        "api_domain": dc.origin,
        "token_type": "Bearer",
        "expires_in": HOUR,
    }
    return answer | ({"expires_in_sec": HOUR, "expires_in": HOUR * 1000} if dc.world.knobs.expires_in_ms else {})


def _bearer(dc: DataCentre, scopes: set[str]) -> Access | None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    access = dc.world.tokens.check(value, dc.code) if kind.lower() in {"bearer", "zoho-oauthtoken"} else None
    return access if access and scopes & {scope.lower() for scope in access.scopes} else None


def _claims(user: User) -> Json:
    names = {"first_name": user.first_name, "last_name": user.last_name, "name": user.full_name}
    return {"sub": user.zuid, "email": user.email, "email_verified": True, **names}
