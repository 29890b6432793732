"""Google's add-on hosts and Chat knock here: every card of every host comes out of this one door.

Two tokens are believed before anything is done: the host's own, that this is Google's add-on service calling this very
address, and the user's, who it is. Who that is among our users the directory knows, or a card says how it will. A card
is there within its budget; when what it needs is slower, its bones are. What was pressed is finished all the same.
"""

from __future__ import annotations

from concurrent.futures import TimeoutError as Late
from time import perf_counter

import structlog
from flask import Flask, Response, current_app, json, request
from flask_smorest import Blueprint
from prometheus_client import Histogram

from domain.errors import Malformed, Unauthentic
from integrations.google.cards import answers, event
from integrations.google.cards.event import ON, Event
from integrations.google.cards.pages import asides
from integrations.google.cards.pieces import Json
from integrations.google.cards.words import Words
from integrations.google.hosts import EMAIL
from integrations.google.provider import signed_in
from jobs import cards, workspace
from jobs.cards.reader import Reader, reading, zone
from jobs.services import Services
from webhooks.doorkeeper import doorkeeper, knock
from webhooks.hints import Answerers

log = structlog.get_logger()

EXTENSION = "linekeeper.cards"
CHAT = "chat@system.gserviceaccount.com"  # Chat signs for itself where the app is no add-on's
SECONDS = Histogram("linekeeper_card_seconds", "How long a host waited for a card", ["host", "because"])
JSON = {"type": "object"}

bp = Blueprint("addon", __name__, url_prefix="/addon", description="Cards in Google Workspace")


def init_app(app: Flask) -> None:
    """Keep threads for cards apart from those that serve the other doors."""
    app.extensions[EXTENSION] = Answerers()


@bp.post("/google")
@bp.doc(
    summary="Answer an event of Gmail, Calendar, Drive, Docs, Sheets, Slides or Chat with a card",
    parameters=[{"in": "query", "name": "on", "required": False, "schema": {"type": "string", "enum": [*ON]}}],
    requestBody={"required": True, "content": {"application/json": {"schema": JSON}}},
    responses={
        "200": {"description": "A card, a message, or a question for permission", "content": {"application/json": {}}},
        "400": {"description": "Not an event"},
        "401": {"description": "Not Google's add-on service calling this address, or not its user"},
        "413": {"description": "Larger than 256 KiB"},
        "415": {"description": "Not JSON"},
    },
)
def google() -> Response:
    """Believe host and user, then answer in time."""
    services = doorkeeper().services
    came = knock("application/json")
    on = _on()
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    told = event.read(came.body, on) if not token else None  # without a header the host's token is in the body
    signer = _host(services, came.url, token if scheme == "Bearer" else told.system_id_token if told else "")
    told = told or event.read(came.body, on)
    if signer == CHAT and told.chat is None:
        raise Unauthentic
    subject, email = _account(services, told)
    if not subject:
        return _said(answers.permission(["openid", EMAIL]))
    known = workspace.whose(services, subject)
    if known is None:
        return _said(_stranger(services, told, came.url))
    return _said(_in_time(reading(services, *known, told, came.url, email)))


def _on() -> str:
    on = request.args.getlist("on")
    if request.args.keys() - {"on"} or len(on) > 1 or (on and on[0] not in ON):
        raise Malformed("There is no such trigger.", code="field.invalid")
    return on[0] if on else ""


def _host(services: Services, url: str, token: str) -> str:
    """Believe that Google's add-on service, or Chat, calls this address; return who signed. Raises Unauthentic."""
    account = services.settings.google_addon_service_account
    if not account:
        raise Unauthentic
    # Whether the audience of a trigger keeps what stands behind the path is not documented: it may be either.
    audiences = [url, *([f"{url}?{request.query_string.decode('ascii', 'replace')}"] if request.query_string else [])]
    claims = services.google_keys.verify(token.strip(), audiences, email=(account, CHAT))
    return str(claims["email"]).casefold()


def _account(services: Services, told: Event) -> tuple[str, str]:
    """Google's id and address of the user; "" where the host may not say yet. Raises Unauthentic."""
    chat = told.chat.user if told.chat is not None else ""
    if not told.user_id_token:
        return chat, ""  # Chat says itself who speaks, and its word was believed with its token
    claims = services.google_keys.verify(told.user_id_token, services.settings.google_addon_client_id)
    who = signed_in(claims)
    if chat and chat != who.subject:
        raise Unauthentic
    return who.subject, who.email


def _stranger(services: Services, told: Event, door: str) -> Json:
    """Say how to be let in, in the reader's language, with the way there."""
    page = f"{services.settings.origin}/console/workspace"
    if told.chat is not None:
        return {} if told.chat.what == "removed" else answers.sign_in_chat(page)
    words = Words.of(told.locale, zone(told.zone), services.now())
    return answers.sign_in(asides.sign_in(words, page), door)


def _in_time(reader: Reader) -> Json:
    """Ask in another thread and wait only so long; every fault of ours is a card that says so."""
    answerers: Answerers = current_app.extensions[EXTENSION]
    began, because = perf_counter(), "there"
    waited = answerers.submit(lambda: cards.answer(reader))
    try:
        made: Json = waited.result(reader.patience)
    except Late:
        waited.cancel()
        because, made = "timeout", cards.late(reader)
    except Exception as error:
        log.error("card_failed", tenant=str(reader.tenant.id), error=type(error).__name__)
        because = "unavailable"
        made = reader.envelope.show(asides.wrong(reader.words, reader.words("again")))
    SECONDS.labels(host=reader.event.host.lower(), because=because).observe(perf_counter() - began)
    return made


def _said(made: Json) -> Response:
    response = Response(json.dumps(made), 200, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
