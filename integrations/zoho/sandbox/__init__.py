"""Zoho's understudy: Accounts, CRM v8 and PhoneBridge v3 in two data centres, with Zoho's rules, limits and bad days.

It answers with Zoho's paths, shapes and codes and shares no code with the rest of Linekeeper, so it cannot share its
mistakes. It keeps what it is told, forgets it on `POST /_stage/reset`, and never sleeps: the stage turns its clock.
Where Zoho's behaviour is unconfirmed there is a knob (`orgs.Knobs`), set to the nastier of the documented answers.

One WSGI application is one data centre, Accounts and API on one address; both show the same world. A user signs in
wherever consent was started, and lives where the organisation lives: `location` and `accounts-server` say where, and a
secret, code or token of one data centre is refused by the other.

| file | what it plays |
|---|---|
| `accounts`, `tokens`, `idtoken` | consent page, codes, tokens and their limits, revocation, OpenID |
| `gate` | whose token, which scopes, concurrency, credits of the rolling 24 hours |
| `records`, `writes`, `rules`, `tables` | rows: pages, batches, upsert, tombstones, what a call must look like |
| `search`, `coql` | the index that lags, and the query language that does not |
| `bulk`, `exports` | a module written out into a file |
| `directory`, `metadata`, `views` | users, organisation, modules, fields, and views that lists are asked through |
| `notifications`, `channels` | channels, and posting what changed |
| `phonebridge`, `bridge` | clicks, call controls, `callnotify`, and the activity Zoho writes itself |
| `marketplace` | telling an extension's owner that it was installed or removed |
| `wire`, `faults` | the lock, the request log, and misfortune on request |
| `control` | the stage's own doors under `/_stage/` |
| `world`, `orgs`, `clock`, `answers`, `outbound` | what they all stand on |

Nothing is ever posted anywhere but to this machine.
"""

import time
from collections.abc import Callable, Mapping

from flask import Flask

from integrations.zoho.sandbox import (
    accounts,
    bulk,
    control,
    coql,
    directory,
    notifications,
    phonebridge,
    records,
    search,
)
from integrations.zoho.sandbox.answers import Json, Refused
from integrations.zoho.sandbox.gate import admit, show_credits
from integrations.zoho.sandbox.wire import Wire
from integrations.zoho.sandbox.world import DataCentre, World

SERVERS = ("zoho-us", "zoho-eu")


def create_apps(origins: Mapping[str, str], now: Callable[[], float] = time.time) -> dict[str, Flask]:
    """Build one application for each data centre, over one world; `origins` says where each will be reached."""
    world = World(origins, now)
    return {dc.server: _create_app(dc) for dc in world.centres.values()}


def _create_app(dc: DataCentre) -> Flask:
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it, the base class does not say so
    app.extensions["understudy"] = dc.world
    for part in (accounts, control, phonebridge):
        app.register_blueprint(part.doors(dc))
    for part in (directory, notifications, coql, search, bulk, records):
        blueprint = part.doors(dc)
        blueprint.before_request(admit(dc))
        blueprint.after_request(show_credits)
        app.register_blueprint(blueprint)

    @app.errorhandler(Refused)
    def refused(problem: Refused) -> tuple[Json, int, dict[str, str]]:
        return problem.body, problem.status, problem.headers

    @app.errorhandler(404)
    def nowhere(_: Exception) -> tuple[Json, int]:
        message = "Please check if the URL trying to access is a correct one"
        return Refused(404, "INVALID_URL_PATTERN", message).body, 404

    @app.errorhandler(405)
    def otherwise(_: Exception) -> tuple[Json, int]:  # a bad request, in Zoho's eyes
        message = "The http request method type is not a valid one"
        return Refused(400, "INVALID_REQUEST_METHOD", message).body, 400

    app.wsgi_app = Wire(app.wsgi_app, dc)  # type: ignore[method-assign, assignment]  # Flask's own way of wrapping WSGI
    return app
