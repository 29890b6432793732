"""The doors machines knock on: verify, write down once, hand over, answer. No door does any work.

Every refusal has one shape (`application/problem+json` with a stable `code`), and an unknown door answers exactly as a
forged knock does.
"""

from __future__ import annotations

from functools import partial

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_smorest import Api

from jobs.services import Services
from webhooks import addon, google, health, hints, problem, recordings, telephony, zoho
from webhooks import api as own_programs
from webhooks.doorkeeper import Doorkeeper

TITLE = "Linekeeper"
VERSION = "v1"


class PageSessions(SecureCookieSessionInterface):
    """Sessions are for pages. A machine brings no cookie, is handed none, and is not kept waiting for one."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return None if request.path.startswith(problem.MACHINES) else super().open_session(app, request)


def init_app(app: Flask, services: Services) -> Api:
    """Hang the doors into the application and publish what they take at /openapi.json."""
    keeper = Doorkeeper(services)
    app.extensions["linekeeper.doors"] = keeper
    app.extensions["linekeeper.at_once"] = partial(telephony.at_once, keeper)
    app.config.update(
        API_TITLE=TITLE,
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={"components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}},
    )
    app.session_interface = PageSessions()
    api = Api(app)
    problem.init_app(app)
    recordings.init_app(app, services)
    hints.init_app(app)
    addon.init_app(app)
    for door in (telephony, zoho, google, addon, recordings, own_programs, hints, health):
        api.register_blueprint(door.bp)
    return api
