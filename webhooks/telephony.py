"""The door of a phone system: what its vendor signed is written down once and answered with 202."""

from __future__ import annotations

from flask import Response
from flask_smorest import Blueprint

from domain.errors import Unauthentic
from webhooks.doorkeeper import doorkeeper, knock

bp = Blueprint("telephony", __name__, url_prefix="/webhooks/telephony", description="Events of telephony vendors")

FORMS = ("application/json", "application/x-www-form-urlencoded")
# Twilio and Plivo do what a door answers, and count an empty answer as a failure of ours: their 11200 and 12300.
NOTHING_TO_DO = "<Response/>"
NOBODY = ("whsec_" + "A" * 43 + "=",)  # an unknown door takes as long to refuse as a known one


@bp.post("/<door>")
@bp.doc(
    summary="Take in one event of a phone system",
    parameters=[{"in": "path", "name": "door", "required": True, "schema": {"type": "string"}}],
    requestBody={"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    responses={
        "200": {"description": "Written down; the answer is for vendors that read one: an empty `Response` in XML"},
        "202": {"description": "Written down; a repeat is answered the same"},
        "400": {"description": "Signed, but not an event"},
        "401": {"description": "Not signed with this door's secret, too old, or no such door"},
        "413": {"description": "Larger than 256 KiB"},
        "415": {"description": "Not JSON or a form, or compressed"},
        "503": {"description": "Cannot be written down now; send it again"},
    },
)
def receive(door: str) -> Response:
    """Verify, write down once, hand over, answer."""
    keeper = doorkeeper()
    services = keeper.services
    came = knock(*FORMS)
    found = keeper.find(door, "door")
    vendor = services.telephony.get(found.tie.vendor) if found is not None else None
    if found is None or vendor is None:
        services.telephony["standard"].verify(came, NOBODY, services.now())
        raise Unauthentic
    event_id = vendor.verify(came, found.secrets, services.now())
    vendor.parse(came.body, event_id)  # what cannot be understood is refused here, while its sender is listening
    keeper.take(found.tie.tenant, found.tie.id, event_id, kind="telephony", lane="calls", body=came.body)
    if vendor.traits.answered_in_xml:
        return Response(NOTHING_TO_DO, 200, content_type="text/xml")
    return Response(status=202)
