"""The gate of every API method: who calls, may they, what does it cost, and how the answer is dressed.

Methods are written as functions of a `Call`; the gate checks the bearer, the scopes and the quota before they run, and
applies `fields` and gzip to what they return.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request

from . import masks
from .errors import GoogleError, bad, insufficient_scope, unauthenticated
from .quota import Cost
from .world import User, World

Json = dict[str, Any]
View = Callable[..., Json | Response | None]
GZIP_LEVEL = 1
TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Call:
    """One authorised call: the user, what they granted, and the request's parameters."""

    world: World
    user: User
    project: str
    scopes: frozenset[str]

    def text(self, name: str) -> str:
        """Read a parameter, or nothing."""
        return request.args.get(name, "")

    def texts(self, name: str) -> list[str]:
        """Read a repeated parameter."""
        return request.args.getlist(name)

    def flag(self, name: str) -> bool:
        """Read a yes or no."""
        value = request.args.get(name, "false").lower()
        if value not in TRUTH:
            raise bad(f"Invalid value at '{name}' (TYPE_BOOL), \"{value}\"")
        return TRUTH[value]

    def number(self, name: str, default: int, most: int) -> int:
        """Read a page size: 0 means the default, more than the most means the most."""
        value = request.args.get(name, "0")
        if not value.lstrip("-").isdigit():
            raise bad(f"Invalid value at '{name}' (TYPE_INT32), \"{value}\"")
        if int(value) < 0:
            raise bad(f"Invalid value at '{name}': it must not be negative.")
        return min(int(value) or default, most)

    def body(self) -> Json:
        """Read the JSON body; none at all counts as empty."""
        data = request.get_data()
        try:
            body = json.loads(data) if data.strip() else {}
        except ValueError:
            raise bad("Invalid JSON payload received. Unexpected token.") from None
        if not isinstance(body, dict):
            raise bad("Invalid JSON payload received. Root element must be a message.")
        return body


class Api:
    """One Google service on the app."""

    def __init__(self, app: Flask, world: World, service: str, prefix: str) -> None:
        self._app, self._world, self._service, self._prefix = app, world, service, prefix

    def method(
        self, verb: str, rule: str, scopes: frozenset[str], cost: Cost | None = None, *, critical: bool = False
    ) -> Callable[[View], View]:
        """Open a method to the bearers of any of these scopes, at a price in Gmail units or People critical reads."""

        def register(view: View) -> View:
            def endpoint(**path: str) -> Response:
                access = self._world.bearer(request.headers.get("Authorization", ""))
                if access is None:
                    raise unauthenticated()
                if not scopes.intersection(access.scopes):
                    raise insufficient_scope(self._service, sorted(scopes))
                user, project, now = self._world.users[access.user], access.client.project, self._world.now()
                mailbox = path.pop("user_id", "me").lower()
                if mailbox not in ("me", user.email):
                    raise GoogleError(403, f"Delegation denied for {user.email}", "forbidden")
                if cost:
                    self._world.quotas.charge_gmail(project, user.email, cost, now)
                if critical:
                    self._world.quotas.charge_critical_read(project, user.email, now)
                return dress(view(Call(self._world, user, project, frozenset(access.scopes)), **path))

            name = f"{self._service}:{verb} {rule}".replace(".", "_")  # Flask reads a dot as a blueprint's
            self._app.add_url_rule(f"{self._prefix}{rule}", name, endpoint, methods=[verb])
            return view

        return register


def dress(answer: Json | Response | None) -> Response:
    """Turn an answer into bytes: cut by `fields`, compressed when both headers ask for it. A file goes as it is."""
    if answer is None:
        return Response(status=204)
    if isinstance(answer, Response):
        return answer
    if selection := request.args.get("fields"):
        answer = masks.select(answer, masks.parse(selection))
    response = Response(World.json(answer), mimetype="application/json")
    # Google wants the word in the User-Agent as well (gmail-perf guide); plain `requests` therefore gets it unpacked.
    if "gzip" in request.headers.get("Accept-Encoding", "") and "gzip" in request.headers.get("User-Agent", ""):
        response.set_data(gzip.compress(response.get_data(), GZIP_LEVEL))
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Origin, X-Origin, Referer"
    return response


def install_errors(app: Flask) -> None:
    """Answer refusals in the envelope, and paths nobody knows with a page."""

    @app.errorhandler(GoogleError)
    def refused(error: GoogleError) -> tuple[Json, int, dict[str, str]]:
        return error.body, error.code, error.headers

    @app.errorhandler(404)
    def unknown(_: Exception) -> tuple[str, int]:
        return "<!doctype html><title>Error 404 (Not Found)!!1</title><p>That's an error.</p>", 404
