"""Google's doors: Gmail's pushes through Pub/Sub, and what happened to accounts (Cross-Account Protection).

A push is believed by the token of the subscription's service account and is only a hint that a mailbox changed. A
security event is a token itself. News of a mailbox or an account nobody connected here is answered like any other,
because Google would send it again.
"""

from __future__ import annotations

import hashlib

from flask import Response, request
from flask_smorest import Blueprint

from domain.errors import Unauthentic
from integrations.google.push import read_push
from integrations.google.risc import read_news
from jobs import signals
from webhooks.doorkeeper import KNOCKS, doorkeeper, knock

bp = Blueprint("google", __name__, url_prefix="/webhooks/google", description="What Google tells us")


@bp.post("/gmail")
@bp.doc(
    summary="Take in a Pub/Sub push of a mailbox change",
    requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    responses={
        "204": {"description": "Written down, or none of ours"},
        "400": {"description": "Not a push"},
        "401": {"description": "Not signed by the subscription's service account for this address"},
    },
)
def gmail() -> Response:
    """Verify, write down once, hand over, answer."""
    keeper = doorkeeper()
    services = keeper.services
    came = knock("application/json")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    account = services.settings.google_pubsub_service_account
    if scheme != "Bearer" or not account:
        raise Unauthentic
    services.google_keys.verify(token.strip(), audience=came.url, email=account)
    push = read_push(came.body)
    entry = services.directory.find("mailbox", push.email.casefold())
    if entry is not None and entry.connection is not None:
        event = hashlib.sha256(f"{push.subscription} {push.email} {push.history_id}".encode()).hexdigest()
        keeper.take(entry.tenant, entry.connection, event, kind="mail", lane="mail", body=came.body)
    return Response(status=204)


@bp.post("/risc")
@bp.doc(
    summary="Take in what happened to a Google account",
    requestBody={"required": True, "content": {"application/secevent+jwt": {"schema": {"type": "string"}}}},
    responses={
        "202": {"description": "Written down and acted upon, or about nobody here; a repeat is answered the same"},
        "400": {"description": "Not a security event token Google signed for one of our client ids"},
        "413": {"description": "Larger than 256 KiB"},
        "503": {"description": "Google's keys are out of reach; send it again"},
    },
)
def risc() -> Response:
    """Verify, write down once, stop what has to stop, answer. What the header says of the form is not looked at."""
    services = doorkeeper().services
    claims = services.security_events.believe(knock().body)
    new = signals.take_in(services, claims, read_news(claims, services.now()))
    KNOCKS.labels(kind=signals.KIND, result="new" if new else "repeat").inc()
    return Response(status=202)
