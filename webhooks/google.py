"""Google's door: Gmail's pushes through Pub/Sub, believed by the token of the subscription's service account.

A push is only a hint that a mailbox changed. One for a mailbox nobody connected here is answered like any other,
because Pub/Sub would send it again for ever.
"""

from __future__ import annotations

import hashlib

from flask import Response, request
from flask_smorest import Blueprint

from domain.errors import Unauthentic
from integrations.google.push import read_push
from webhooks.doorkeeper import doorkeeper, knock

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
