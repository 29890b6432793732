"""The door of a phone system: what its vendor signed is written down once and answered with 202.

The front of a web process asks `at_once` first: a door whose secrets are at hand takes a sound knock without Flask.
Whatever is not that plain, a refusal above all, is `receive`'s to answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy.exc import OperationalError

from domain.errors import Trouble, Unauthentic
from domain.ports import Knock, TelephonyVendor
from jobs.services import Services
from webhooks.doorkeeper import Door, Doorkeeper, doorkeeper, is_plain, knock

WHERE = "/webhooks/telephony"
bp = Blueprint("telephony", __name__, url_prefix=WHERE, description="Events of telephony vendors")

FORMS = ("application/json", "application/x-www-form-urlencoded")
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
    came, found = knock(*FORMS), keeper.find(door, "door")
    if found is None:
        keeper.services.telephony["standard"].verify(came, NOBODY, keeper.services.now())
        raise Unauthentic
    vendor, event_id = believed(keeper.services, found, came)
    keeper.take(found.tie.tenant, found.tie.id, event_id, kind="telephony", lane="calls", body=came.body)
    told = thanks(vendor)
    return Response(told.body, told.status, content_type=told.content_type)


@dataclass(frozen=True, slots=True)
class Thanks:
    """What a vendor is answered when its knock is written down."""

    status: int
    content_type: str
    body: bytes


DONE = Thanks(202, "text/plain", b"")
# Twilio and Plivo do what a door answers, and count an empty answer as a failure of ours: their 11200 and 12300.
NOTHING_TO_DO = Thanks(200, "text/xml", b"<Response/>")


async def at_once(keeper: Doorkeeper, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Thanks | None:
    """Take a sound knock at a door that is at hand, with no journey but its commit; None for `receive` to answer."""
    where, _, door = path.rpartition("/")
    found = keeper.at_hand(door, "door") if where == WHERE else None
    if found is None or not keeper.services.inbox.at_hand(found.tie.tenant):
        return None
    told = {name.decode("latin1"): value.decode("latin1") for name, value in headers}
    if len(told) != len(headers) or not is_plain(told, FORMS):
        return None
    came = Knock(headers=told, body=body, url=keeper.services.settings.origin + path)
    try:
        vendor, event_id = believed(keeper.services, found, came)
        tie = found.tie
        await keeper.take_soon(tie.tenant, tie.id, event_id, kind="telephony", lane="calls", body=body)
    except (Trouble, OperationalError):
        return None
    return thanks(vendor)


def believed(services: Services, found: Door, came: Knock) -> tuple[TelephonyVendor, str]:
    """Whose knock this is and which event it tells. Raises Unauthentic or Malformed."""
    vendor = services.telephony.get(found.tie.vendor)
    if vendor is None:
        raise Unauthentic
    event_id = vendor.verify(came, found.secrets, services.now())
    vendor.parse(came.body, event_id)  # what cannot be understood is refused here, while its sender is listening
    return vendor, event_id


def thanks(vendor: TelephonyVendor) -> Thanks:
    return NOTHING_TO_DO if vendor.traits.answered_in_xml else DONE
