"""The way into the API: whose token it is, what its scopes allow, and whether limits leave room for more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from flask import Response, g, request

from integrations.zoho.sandbox.answers import Refused
from integrations.zoho.sandbox.orgs import Client, Org, User
from integrations.zoho.sandbox.world import DataCentre

RELEASE = "understudy.release"  # where the wire finds what to call once the answer has left
HEAVY_ROWS = 10
BULK_COST = 50


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking."""

    user: User
    org: Org
    client: Client
    scopes: tuple[str, ...]

    def needs(self, *scopes: str) -> None:
        """Refuse unless every one of these scopes is covered."""
        if not all(any(covers(granted, scope) for granted in self.scopes) for scope in scopes):
            raise Refused(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")


def caller() -> Caller:
    """Name the caller of the current request."""
    return cast(Caller, g.caller)


def covers(granted: str, needed: str) -> bool:
    """Say whether a scope covers another: `ZohoCRM.modules.ALL` covers `ZohoCRM.modules.calls.READ`."""
    *have, operation = granted.lower().split(".")
    *want, wanted = needed.lower().split(".")
    allowed = {wanted, "all"} | ({"write"} if wanted in {"create", "update"} else set())
    return operation in allowed and want[: len(have)] == have


def identify(dc: DataCentre) -> Caller:
    """Find out who is asking, from the Authorization header alone."""
    world = dc.world
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    kinds = {"zoho-oauthtoken", "bearer"} if world.knobs.bearer == "lenient" else {"zoho-oauthtoken"}
    if kind.lower() not in kinds or not value:
        raise Refused(401, "AUTHENTICATION_FAILURE", "Authentication failed")
    access = world.tokens.check(value.strip(), dc.code)
    if access is None:  # expired, revoked, or of the other data centre: Zoho does not say which
        raise Refused(401, "INVALID_TOKEN", "invalid oauth token")
    return Caller(access.user, world.orgs[access.user.org], world.clients[access.client_id], access.scopes)


def admit(dc: DataCentre) -> Callable[[], None]:
    """Make the check every CRM request passes before its door opens."""

    def check() -> None:
        who = g.caller = identify(dc)
        world = dc.world
        concurrency, budget = who.org.limits(world.knobs)
        heavy = _is_heavy()
        lanes = [((who.org.name, who.client.client_id, False), concurrency)]
        if heavy:
            lanes.append(((who.org.name, who.client.client_id, True), world.knobs.sub_concurrency))
        if any(world.in_flight[lane] >= most for lane, most in lanes):
            raise _too_many(dc)
        left = who.org.spend(_cost(), budget, world.clock.now())
        if left is None:
            raise _too_many(dc)
        if left * 2 <= budget:
            g.credits_left = left
        world.in_flight.update(lane for lane, _ in lanes)
        request.environ[RELEASE] = lambda: world.in_flight.subtract(lane for lane, _ in lanes)

    return check


def show_credits(response: Response) -> Response:
    """Say how many credits are left, which Zoho does once half are used."""
    if "credits_left" in g:
        response.headers["X-API-CREDITS-REMAINING"] = str(g.credits_left)
    return response


def _too_many(dc: DataCentre) -> Refused:
    wait = dc.world.knobs.retry_after
    headers = {} if wait is None else {"Retry-After": str(wait)}
    return Refused(429, "TOO_MANY_REQUESTS", "too many requests. please try again after some time", headers=headers)


def _rows() -> int:
    sent = request.get_json(force=True, silent=True) if request.method in {"POST", "PUT"} else None
    data = sent.get("data") if isinstance(sent, dict) else None
    return len(data) if isinstance(data, list) else 0


def _is_heavy() -> bool:
    if request.path.endswith(("/coql", "/search")) or _rows() > HEAVY_ROWS:
        return True
    return request.method == "GET" and bool({"cvid", "sort_by"} & request.args.keys())


def _cost() -> int:
    """Price a request: https://www.zoho.com/crm/developer/docs/api/v8/api-limits.html."""
    if request.method == "GET":
        return 3 if "cvid" in request.args else 2 if request.path.endswith("/deleted") else 1
    return BULK_COST if request.path.endswith("/read") else max(1, -(-_rows() // 10))
