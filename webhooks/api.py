"""The tenant's own programs: dial for an agent, steer a live call, keep the same calls and contacts on every device.

Each comes with a key made for what it asks (`webhooks.bearer`). Lists are read with a token that says how far one has
come: the first time without, then with the one the last answer gave; what went meanwhile is named under `gone`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args
from uuid import UUID

from flask import Response, json, request
from flask_smorest import Blueprint

from domain import phone
from domain.contact import fold_email
from domain.errors import Malformed, Missing
from domain.ports import Control
from jobs import dialling, edits, passages, steering
from store.api_keys import ApiKey
from store.call_book import Kept
from store.changes import Kind, News, TooOld
from store.finding import Contact
from store.tenants import User
from webhooks.bearer import REFUSALS, SECURITY, knocking
from webhooks.doorkeeper import doorkeeper, knock
from webhooks.edits import PARTS, edit_from
from webhooks.problem import problem

bp = Blueprint("api", __name__, url_prefix="/api/v1", description="For the tenant's own programs")

PAGE, MOST = 100, 500
ONCE = re.compile(r"[\x21-\x7e]{1,128}")
TEXTS = re.compile(rf"[^\x00\ud800-\udfff]{{0,{phone.LONGEST}}}", re.DOTALL)
TOKEN_CHARACTERS = 200
TEXT = {"type": "string"}
ERRORS = {"400": {"description": "Not a question this door answers"}, **REFUSALS}
_PERSON = {"type": "object", "description": "A contact, as `GET /api/v1/contacts` tells it"}
PAGED = [
    {"in": "query", "name": "since", "required": False, "schema": TEXT | {"maxLength": TOKEN_CHARACTERS}},
    {
        "in": "query",
        "name": "limit",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": PAGE},
    },
]
READ = {
    "200": {"description": "What changed, what went, the next token, and whether there is more"},
    "410": {"description": "That was too long ago: read everything once, without a token"},
    **ERRORS,
}


def _body(fields: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


@bp.post("/dial")
@bp.doc(
    summary="Ring an agent, then a number",
    security=SECURITY,
    parameters=[{"in": "header", "name": "Idempotency-Key", "required": True, "schema": TEXT | {"maxLength": 128}}],
    requestBody=_body({"agent": TEXT, "number": TEXT, "extension": TEXT}, ["agent", "number"]),
    responses={
        "202": {"description": "The telephone system will be asked once; a repeat is answered the same"},
        "413": {"description": "Larger than 256 KiB"},
        "415": {"description": "Not JSON"},
        **ERRORS,
    },
)
def dial() -> Response:
    """Owe an agent (by e-mail or extension) a call to a number: once for each Idempotency-Key."""
    services = doorkeeper().services
    key = knocking(services, "dial")
    told = _told({"agent", "number", "extension"}, {"agent", "number"})
    user = _agent(key, told["agent"])
    asked = dialling.ask(
        services,
        user,
        told["number"],
        actor=f"key:{key.id}",
        extension=told.get("extension", ""),
        once=f"key {key.id} {_once(required=True)}",
    )
    answer = {
        "dialled": asked.spelt.number,
        "then": asked.spelt.then,
        "extension": asked.extension,
        "repeated": not asked.new,
    }
    return _json(answer, 202)


@bp.post("/calls/<uuid:call>/<action>")
@bp.doc(
    summary="Do one thing to a live call",
    security=SECURITY,
    parameters=[
        {"in": "path", "name": "call", "required": True, "schema": {"type": "string", "format": "uuid"}},
        {"in": "path", "name": "action", "required": True, "schema": TEXT | {"enum": list(get_args(Control))}},
        {"in": "header", "name": "Idempotency-Key", "required": False, "schema": TEXT | {"maxLength": 128}},
    ],
    requestBody=_body({"digits": TEXT, "to": TEXT}, []),
    responses={
        "202": {"description": "The telephone system will be asked, now or not at all"},
        "404": {"description": "No such call, it is over, or no such thing can be done"},
        "413": {"description": "Larger than 256 KiB"},
        "415": {"description": "Not JSON"},
        **ERRORS,
    },
)
def control(call: UUID, action: str) -> Response:
    """Owe a live call one thing: `dtmf` comes with `digits`, `transfer` with `to`, a number or an inside line."""
    services = doorkeeper().services
    key = knocking(services, "dial")
    told = _told({"digits", "to"}, set()) if request.content_length or request.mimetype else {}
    kept = services.calls.get(key.tenant, call)
    if kept is None or action not in steering.CONTROLS:
        raise Missing
    new = steering.ask(
        services,
        key.tenant,
        kept,
        action,
        actor=f"key:{key.id}",
        digits=told.get("digits", ""),
        to=told.get("to", ""),
        once=f"key {key.id} {once}" if (once := _once(required=False)) else "",
    )
    return _json({"repeated": not new}, 202)


@bp.get("/calls")
@bp.doc(summary="Calls that changed", security=SECURITY, parameters=PAGED, responses=READ)
def calls() -> Response:
    """Say which calls changed since a token, or which there are."""
    services = doorkeeper().services
    key = knocking(services, "calls.read")
    news = _news(key, "calls")
    if isinstance(news, Response):
        return news
    found = services.calls.some(key.tenant, news.changed)
    region = services.tenants.get(key.tenant).region
    services.ledger.note(key.tenant, "read.calls", actor=f"key:{key.id}", count=len(found))
    return _page(news, {id: _call(kept, region) for id, kept in found.items()})


@bp.get("/contacts")
@bp.doc(summary="Contacts that changed", security=SECURITY, parameters=PAGED, responses=READ)
def contacts() -> Response:
    """Say which contacts changed since a token, or which there are."""
    services = doorkeeper().services
    key = knocking(services, "contacts.read")
    news = _news(key, "contacts")
    if isinstance(news, Response):
        return news
    found = passages.people(services, key.tenant, "api", news.changed, actor=f"key:{key.id}")
    services.ledger.note(key.tenant, "read.contacts", actor=f"key:{key.id}", count=len(found))
    return _page(news, {id: _contact(contact) for id, contact in found.items()})


@bp.patch("/contacts/<uuid:contact>")
@bp.doc(
    summary="Change a contact that was edited on a device",
    security=SECURITY,
    parameters=[{"in": "path", "name": "contact", "required": True, "schema": {"type": "string", "format": "uuid"}}],
    requestBody=_body({"was": _PERSON, "now": _PERSON}, ["was", "now"]),
    responses={
        "202": {"description": "Which fields are on their way to the records, and why each of the others is not"},
        "404": {"description": "No such contact (any more)"},
        "413": {"description": "Larger than 256 KiB"},
        "415": {"description": "Not JSON"},
        **ERRORS,
    },
)
def change_contact(contact: UUID) -> Response:
    """Compare how a device saw a contact and how it has them now with what stands there, and owe the records the rest.

    Safe to tell twice. Whoever was faster keeps their word in a field both changed; nothing is created or deleted.
    """
    services = doorkeeper().services
    key = knocking(services, "contacts.write")
    wish = edit_from(knock("application/json").body, services.tenants.get(key.tenant).region)
    done = edits.edit(services, key.tenant, contact, wish, actor=f"key:{key.id}")
    kept = {PARTS[name]: why for name, why in done.kept.items()}
    return _json({"taken": [PARTS[name] for name in done.taken], "kept": kept}, 202)


# ---- reading what was asked ---------------------------------------------------------------------------------------


def _told(known: set[str], required: set[str]) -> dict[str, str]:
    """The texts of a small JSON object. Raises Malformed."""
    came = knock("application/json")
    try:
        told = json.loads(came.body)
    except (ValueError, RecursionError):
        raise Malformed("This is not JSON.") from None
    if not isinstance(told, dict) or not required <= told.keys() <= known:
        raise Malformed("Tell " + ", ".join(sorted(known)) + " and nothing else.", code="field.invalid")
    if not all(isinstance(value, str) and TEXTS.fullmatch(value) for value in told.values()):
        raise Malformed(f"Each is a text of at most {phone.LONGEST} characters.", code="field.invalid")
    return told


def _once(*, required: bool) -> str:
    value = request.headers.get("Idempotency-Key", "")
    if not value and not required:
        return ""
    if not ONCE.fullmatch(value):
        raise Malformed("Name this request in Idempotency-Key, in at most 128 characters.", code="idempotency.key")
    return value


def _agent(key: ApiKey, named: str) -> User:
    """An active user by e-mail or extension. Raises Malformed."""
    tenants = doorkeeper().services.tenants
    by = {"email": fold_email(named)} if "@" in named else {"extension": named.strip()}
    user = tenants.agent(key.tenant, **by)
    if user is None:
        raise Malformed("No agent has this e-mail address or extension.", code="agent.unknown")
    return user


def _news(key: ApiKey, kind: Kind) -> News | Response:
    """What changed since the token in the address; 410 for one that leads nowhere any more."""
    asked = request.args
    limit = asked.get("limit", str(PAGE))
    since = asked.get("since", "")
    if asked.keys() - {"since", "limit"} or any(len(values) > 1 for _, values in asked.lists()):
        raise Malformed("Ask with since and limit, each once.", code="field.invalid")
    if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= MOST:
        raise Malformed(f"The limit is a number from 1 to {MOST}.", code="field.invalid")
    if len(since) > TOKEN_CHARACTERS:
        raise Malformed("This token was not made for this.", code="token.invalid")
    services = doorkeeper().services
    try:
        return services.changes.since(key.tenant, kind, since, limit=int(limit), now=services.now())
    except TooOld as error:
        return problem(410, error.code, str(error))


# ---- saying what is there -----------------------------------------------------------------------------------------


def _page(news: News, found: Mapping[UUID, Mapping[str, Any]]) -> Response:
    """A page of news; what went while it was read counts as gone."""
    gone = [*news.gone, *(id for id in news.changed if id not in found)]
    return _json(
        {
            "changed": [found[id] for id in news.changed if id in found],
            "gone": [str(id) for id in gone],
            "next": news.token,
            "more": news.more,
        },
        200,
    )


def _call(kept: Kept, region: str) -> dict[str, Any]:
    call = kept.call
    times = {"started_at": call.started_at, "answered_at": call.answered_at, "ended_at": call.ended_at}
    return {
        "id": str(kept.id),
        "direction": call.direction,
        "state": call.state,
        "outcome": call.outcome or "",
        "number": phone.read(call.customer, region).e164 or call.customer,
        "line": call.callee if call.direction == "inbound" else call.caller,
        "agent": {"email": call.agent_email, "extension": call.agent_extension},
        "queue": call.queue,
        "contact": str(kept.contact) if kept.contact is not None else None,
        "talk_seconds": call.talk_seconds,
        **{name: at.isoformat() if at is not None else None for name, at in times.items()},
    }


def _contact(contact: Contact) -> dict[str, Any]:
    person = contact.person
    return {
        "id": str(contact.id),
        "name": person.name,
        "given": person.given,
        "family": person.family,
        "company": person.company,
        "title": person.title,
        "numbers": [
            {"number": line.e164 or line.raw, "extension": line.extension, "label": line.label} for line in person.lines
        ],
        "emails": list(person.emails),
    }


def _json(value: Mapping[str, Any], status: int) -> Response:
    response = Response(json.dumps(value), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
