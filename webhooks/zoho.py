"""Zoho's doors: notifications of changed records, and clicks on telephone numbers.

Zoho signs nothing. A notification is believed by the token we gave its channel and an unguessable address, and even
then it is only a hint: the records are read again. A click is believed by a secret registered with Zoho.
"""

from __future__ import annotations

import hashlib
import hmac

from flask import Response, request
from flask_smorest import Blueprint

from domain import phone
from domain.errors import Malformed, Unauthentic
from integrations.zoho.bridge import read_dial
from integrations.zoho.notifications import read_notification
from webhooks.doorkeeper import doorkeeper, knock

bp = Blueprint("zoho", __name__, url_prefix="/webhooks/zoho", description="What Zoho tells us")

DOOR = {"in": "path", "name": "door", "required": True, "schema": {"type": "string"}}
CLICK_SECONDS = 3  # a second click on the same number within this is the same click


@bp.post("/notifications/<door>")
@bp.doc(
    summary="Take in a notification of changed records",
    parameters=[DOOR],
    requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    responses={
        "202": {"description": "Written down; a repeat is answered the same"},
        "400": {"description": "Not a notification"},
        "401": {"description": "Without this channel's token, or no such door"},
        "413": {"description": "Larger than 256 KiB"},
        "415": {"description": "Not JSON"},
    },
)
def notification(door: str) -> Response:
    """Verify, write down once, hand over, answer."""
    keeper = doorkeeper()
    came = knock("application/json", "text/plain", "")  # what Zoho names its JSON is not documented
    told = read_notification(came.body)
    found = keeper.find(door, "watch")
    token = ""
    if found is not None:
        token = keeper.services.connections.cursor(found.tie.tenant, found.tie.id, "watch.token")
    believed = told.believed(token or "nobody's token")  # an unknown door takes as long to refuse as a known one
    if found is None or not token or not believed:
        raise Unauthentic
    event = hashlib.sha256(came.body).hexdigest()
    keeper.take(found.tie.tenant, found.tie.id, event, kind="crm", lane="contacts", body=came.body)
    return Response(status=202)


@bp.post("/dial/<door>")
@bp.doc(
    summary="Take in a click on a number in Zoho",
    parameters=[DOOR],
    requestBody={
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
    },
    responses={
        "200": {"description": "The agent's phone will ring"},
        "400": {"description": "Not a click on a number that can be dialled"},
        "401": {"description": "Without the registered secret, or no such door"},
    },
)
def dial(door: str) -> Response:
    """Verify, plan one dialling, answer at once; the phone system is asked by a worker."""
    keeper = doorkeeper()
    services = keeper.services
    came = knock("application/x-www-form-urlencoded")
    click = read_dial(came.headers, request.form)
    found = keeper.find(door, "dial")
    secrets = found.secrets if found is not None else ("nobody's secret",)
    known = [hmac.compare_digest(click.secret.encode(), secret.encode()) for secret in secrets]
    if found is None or not any(known):
        raise Unauthentic
    tenant = services.tenants.get(found.tie.tenant)
    user = services.tenants.user_by_login(tenant.id, click.login)
    system = services.connections.first(tenant.id, "telephony")
    number = phone.read(click.number, tenant.region)
    if user is None or system is None or number.kind not in ("number", "extension"):
        raise Malformed("This number cannot be dialled from here.", code="dial.impossible")
    moment = int(services.now().timestamp()) // CLICK_SECONDS
    mark = services.vault.of(tenant.id).fingerprint("dial", f"{user.id} {number.e164 or number.extension} {moment}")
    with services.db.tenant(tenant.id) as database:
        services.effects.plan(
            database,
            tenant.id,
            "dial",
            f"dial:{mark.hex()[:32]}",
            connection=system.id,
            lane="calls",
            payload={
                "number": number.e164 or number.extension,
                "email": user.email,
                "extension": user.extension,
                "login": user.login_id,
            },
        )
        services.ledger.write(
            database, tenant.id, "call.dialled", actor=f"user:{user.id}", subject=f"connections:{system.id}"
        )
    services.bell.ring(tenant.id, "calls")
    return Response("", 200, content_type="text/plain")
