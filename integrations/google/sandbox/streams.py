"""The management of the security event stream: one for the project, changed by a service account with the role for it.

https://developers.google.com/identity/protocols/risc#register_your_receiver_endpoint
"""

from __future__ import annotations

import secrets
import threading
from typing import Any

from flask import Flask, request

from .control import Unclear
from .errors import GoogleError, bad, not_found, unauthenticated
from .risc import EVENTS, ISSUER, TYPES, check, send
from .world import World

AUDIENCE = "https://risc.googleapis.com/google.identity.risc.v1beta.RiscManagementService"
PUSH = "https://schemas.openid.net/secevent/risc/delivery-method/push"
ROLE = "roles/riscconfigs.admin"
STATUSES = ("enabled", "disabled")


def install(app: Flask, world: World) -> None:
    """Open the four calls."""

    @app.post("/v1beta/stream:update")
    def update() -> dict[str, Any]:
        asked = authorised(world)
        delivery, events = asked.get("delivery"), asked.get("events_requested")
        if not isinstance(delivery, dict) or delivery.get("delivery_method") != PUSH:
            raise bad("Invalid delivery method.")
        known = {TYPES + kind for kind in EVENTS.values()}
        if not isinstance(events, list) or not known.issuperset(events):
            raise bad("Invalid event type.")
        try:
            check(str(delivery.get("url")))  # Google wants https at an authorised domain; the stage this machine
        except Unclear:
            raise bad("Invalid receiver URL.") from None
        world.stream = {"status": "enabled"} | world.stream | {"delivery": delivery, "events_requested": events}
        return {}

    @app.get("/v1beta/stream")
    def look() -> dict[str, Any]:
        authorised(world)
        return {"iss": ISSUER, "aud": sorted(world.clients), **registered(world)}

    @app.post("/v1beta/stream/status:update")
    def status() -> dict[str, Any]:
        wanted = authorised(world).get("status")
        if wanted not in STATUSES:
            raise bad("Invalid status.")
        registered(world)["status"] = wanted
        return {}

    @app.post("/v1beta/stream:verify")
    def verify() -> dict[str, Any]:
        state, stream = authorised(world).get("state"), registered(world)
        claims = {
            "iss": ISSUER,
            "aud": next(iter(world.clients)),
            "iat": int(world.now()),
            "jti": secrets.token_hex(12),
            "events": {TYPES + EVENTS["verification"]: {"state": state}},
        }
        token = world.keys.current().sign(claims)
        if stream["status"] == "enabled":  # sent from elsewhere: the receiver asks this very server for its keys
            target = (stream["delivery"]["url"], token, stream)
            threading.Thread(target=deliver, args=target, daemon=True).start()
        return {}

    @app.get("/_stage/stream")
    def show() -> dict[str, Any]:
        return world.stream


def deliver(url: str, token: str, stream: dict[str, Any]) -> None:
    """Send one token and note how it was answered."""
    stream.setdefault("answers", []).append(send(url, token))


def authorised(world: World) -> dict[str, Any]:
    """The body of a request whose bearer signed it and may do this."""
    _, robot = world.robots.read(request.headers.get("Authorization", "").partition(" ")[2], [AUDIENCE])
    if robot is None:
        raise unauthenticated()
    if ROLE not in robot.roles:
        raise GoogleError(403, "The caller does not have permission")
    body = request.get_json(silent=True, force=True) if request.method == "POST" else {}
    if not isinstance(body, dict):
        raise bad("Invalid JSON payload received.")
    return body


def registered(world: World) -> dict[str, Any]:
    """The stream there is."""
    if not world.stream:
        raise not_found()
    return world.stream
