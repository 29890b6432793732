"""The console: the administrator's desk and the agent's panel, rendered on the server.

`create_console` returns everything as one blueprint; registering it prepares sign-in and form tokens for the app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, g, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue

from console import (
    accounts,
    acting,
    byhand,
    call_lists,
    call_records,
    callbacks,
    calls,
    connections,
    consent,
    contacts,
    dialling,
    errors,
    headers,
    holdings,
    journal,
    keys,
    ledger,
    mail,
    mailboxes,
    mapping,
    meet,
    missed,
    newcomers,
    noting,
    numbers,
    overview,
    own,
    pairing,
    panel,
    routing,
    search_order,
    session,
    sharing,
    sheet,
    shown,
    sync_words,
    text_writing,
    texts,
    widget,
    words,
    workspace,
)
from console.desk import EXTENSION, Connect, Desk, OpenMessage
from domain import limited_use
from domain.errors import Missing

if TYPE_CHECKING:
    from jobs.services import Services

PAGES = (
    *(session, overview, acting, panel, own, workspace, byhand, calls, callbacks, call_lists, missed, texts, contacts),
    text_writing,
    *(mail, noting, mailboxes, dialling, meet),
    *(widget, pairing),
    *(
        connections,
        accounts,
        sharing,
        search_order,
        mapping,
        call_records,
        newcomers,
        sheet,
        journal,
        numbers,
        shown,
        routing,
        keys,
        holdings,
        ledger,
        consent,
    ),
)


def create_console(
    services: Services, *, connect: Connect | None = None, open_message: OpenMessage | None = None
) -> Blueprint:
    """Build the console. `connect` and `open_message` are the stories told in `jobs` unless others are passed."""
    if connect is None or open_message is None:
        from jobs import connect as told_in_jobs
        from jobs import sync_mail

        connect = connect or told_in_jobs
        open_message = open_message or sync_mail.open_message
    at_desk = Desk(services, connect, open_message)

    console = Blueprint(
        "console",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/console/static",
    )

    @console.record_once
    def prepare(state: BlueprintSetupState) -> None:
        state.app.extensions[EXTENSION] = at_desk
        session.init_app(state.app)
        state.app.jinja_env.globals |= {"words": words, "sync": sync_words, "limited_use": limited_use}

    @console.after_request
    def protect(response: Response) -> Response:
        page = request.endpoint
        return headers.guard(
            response,
            services.settings,
            keep=page == "console.static",
            sound=page == "console.calls.one",
            framed_by=(headers.MEET,) if page in meet.PAGES else g.get("framed_by", ()),
            script_from=g.get("script_from", ""),
            script_of_frame=headers.MEET_SCRIPTS
            if page in meet.PAGES and services.settings.google_project_number
            else "",
        )

    console.register_error_handler(Exception, errors.answer)
    console.before_request(session.gate)
    for module in PAGES:
        console.register_blueprint(module.bp)

    @console.route("/console/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def nothing(rest: str) -> ResponseReturnValue:
        """Every other address below /console."""
        raise Missing

    return console
