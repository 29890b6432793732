"""Zoho's doors: changed records, clicks on telephone numbers, buttons of live calls, our extension's coming and going.

Zoho signs next to nothing. A notification is believed by the token we gave its channel and an unguessable address, and
even then it is only a hint: the records are read again. Clicks, buttons and what becomes of our extension are believed
by a secret Zoho was given.
"""

from __future__ import annotations

import hashlib
import hmac

from flask import Response, request
from flask_smorest import Blueprint

from domain.errors import Malformed, Missing, Unauthentic
from domain.ports import Control
from integrations.zoho.bridge import BUTTONS, call_id, read_dial, read_press
from integrations.zoho.lifecycle import believed as proved
from integrations.zoho.lifecycle import read_lifecycle
from integrations.zoho.notifications import read_notification
from jobs import buttons, dialling, installing, steering
from store.tenants import User
from webhooks.doorkeeper import KNOCKS, Door, doorkeeper, knock

bp = Blueprint("zoho", __name__, url_prefix="/webhooks/zoho", description="What Zoho tells us")

DOOR = {"in": "path", "name": "door", "required": True, "schema": {"type": "string"}}


@bp.post("/notifications/<door>")
@bp.doc(
    summary="Take in a notification of changed records",
    parameters=[DOOR],
    requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    responses={
        "202": {"description": "Written down; a repeat is answered the same"},
        "400": {"description": "Not a notification"},
        "401": {"description": "Without this channel's token, or any, or no such door"},
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
        "403": {"description": "An emergency number, which nobody dials by a click"},
    },
)
def dial(door: str) -> Response:
    """Verify, plan one dialling, answer at once; the phone system is asked by a worker."""
    services = doorkeeper().services
    came = knock("application/x-www-form-urlencoded")
    click = read_dial(came.headers, request.form)
    _, user = _believed(door, click.secret, click.login)
    if user is None:
        raise Malformed("Nobody of this organisation is called so.", code="dial.impossible")
    dialling.ask(services, user, click.number, actor=f"user:{user.id}")
    return Response("", 200, content_type="text/plain")


@bp.post("/control/<door>/<action>")
@bp.doc(
    summary="Take in a pressed button of a live call in Zoho",
    parameters=[DOOR, {"in": "path", "name": "action", "required": True, "schema": {"type": "string"}}],
    requestBody={
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
    },
    responses={
        "200": {"description": "The telephone system will be asked"},
        "400": {"description": "Not a button of a call"},
        "401": {"description": "Without the registered secret, or no such door"},
        "403": {"description": "The telephone system of this call cannot do that"},
        "404": {"description": "No such button, or no such call of this user that still lives"},
    },
)
def control(door: str, action: str) -> Response:
    """Verify, plan one thing to be done to a call of this user, answer at once."""
    services = doorkeeper().services
    came = knock("application/x-www-form-urlencoded")
    press = read_press(came.headers, request.form)
    found, user = _believed(door, press.secret, press.login)
    wanted: dict[str, Control] = {buttons.WORDS.get(one, one): one for one in BUTTONS} | {"dtmf": "dtmf"}
    if user is None or action not in wanted:
        raise Missing
    live = steering.live_of(services, user)
    kept = next((one for one in live if call_id(str(one.id)) == press.call), None)
    if kept is None:
        raise Missing("This call is over, or it is not yours.", code="call.over")
    # Zoho numbers no presses: the same button within a second is one press, a key is pressed as often as it says
    once = "" if action in ("keypress", "dtmf") else f"{user.id} {int(services.now().timestamp())}"
    steering.ask(
        services, found.tie.tenant, kept, wanted[action], actor=f"user:{user.id}", digits=press.digit, once=once
    )
    return Response("success", 200, content_type="text/plain")


@bp.post("/lifecycle")
@bp.doc(
    summary="Take in that our extension was installed, updated or removed",
    parameters=[{"in": "query", "name": "door", "schema": {"type": "string"}}],
    requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    responses={
        "202": {"description": "Written down and done, or of nobody here; a repeat is answered the same"},
        "400": {"description": "Not what an extension tells"},
        "401": {"description": "Without ZOHO_LIFECYCLE_SECRET, as header, hash or address, or there is none"},
        "413": {"description": "Larger than 256 KiB"},
        "415": {"description": "Neither JSON nor a form"},
    },
)
def lifecycle() -> Response:
    """Verify, write down once, do it, answer."""
    services = doorkeeper().services
    came = knock("application/json", "application/x-www-form-urlencoded", "text/plain", "")
    doors = request.args.getlist("door")
    if not proved(came, doors[0] if len(doors) == 1 else "", services.settings.zoho_lifecycle_secret):
        raise Unauthentic
    news = read_lifecycle(came.body)
    new = news is not None and installing.take_in(services, came.body, news)
    KNOCKS.labels(kind=installing.KIND, result="new" if new else "repeat").inc()
    return Response(status=202)


def _believed(door: str, secret: str, login: str) -> tuple[Door, User | None]:
    """Whose door it is and who pressed there. Raises Unauthentic for no such door and for another secret."""
    keeper = doorkeeper()
    found = keeper.find(door, "dial")
    secrets = found.secrets if found is not None else ("nobody's secret",)
    known = [hmac.compare_digest(secret.encode(), one.encode()) for one in secrets]
    if found is None or not any(known):
        raise Unauthentic
    return found, keeper.services.tenants.user_by_login(found.tie.tenant, login)
