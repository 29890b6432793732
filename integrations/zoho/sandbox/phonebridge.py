"""The doors of PhoneBridge v3: switching it on, registering, and telling Zoho how a call goes.

On the last state of a call Zoho itself writes the activity, which is why nobody else may.
"""

import re
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, g, request

from integrations.zoho.sandbox import outbound
from integrations.zoho.sandbox.answers import Json, Refused
from integrations.zoho.sandbox.bridge import CONTROLS, FINAL, STATES, UNATTENDED, Registration, follows, read_pairs
from integrations.zoho.sandbox.gate import Caller, caller, identify
from integrations.zoho.sandbox.orgs import User
from integrations.zoho.sandbox.world import DataCentre, World
from integrations.zoho.sandbox.writes import Change, write_rows

GMT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
ERROR_CODES = UNATTENDED
OK: Json = {"status": "success", "code": "SUCCESS"}


def doors(dc: DataCentre) -> Blueprint:
    """Build the doors of one data centre."""
    blueprint, world = Blueprint("phonebridge", __name__, url_prefix="/phonebridge/v3"), dc.world

    @blueprint.before_request
    def check() -> None:
        who = g.caller = identify(dc)
        who.needs("PhoneBridge.call.log")
        if who.org.phonebridge == "not_registered":
            raise Refused(400, "PROVIDER_NOT_REGISTERED", "Provider is not registered")
        if request.endpoint != "phonebridge.integrate" and who.client.client_id not in who.org.integrated:
            raise Refused(400, "PBX_NOT_INTEGRATED", "PhoneBridge Integration is not enabled")

    @blueprint.route("/integrate", methods=["POST", "DELETE"])
    def integrate() -> Json:
        who = caller()
        if not who.user.admin:
            raise Refused(403, "INTERNAL_ERROR", "User does not have sufficient privilege")
        if who.org.phonebridge == "other_provider":
            raise Refused(403, "DIFFERENT_PROVIDER_ALREADY_ENABLED", "A different provider is already enabled")
        if request.method == "DELETE":
            who.org.integrated.discard(who.client.client_id)
            world.bridge.forget(who.org.name, who.client.client_id)
            return {**OK, "message": "Provider Integration has been successfully removed"}
        who.org.integrated.add(who.client.client_id)
        return {**OK, "message": "Provider Integration is successful"}

    @blueprint.get("/users")
    def users() -> Json:
        page, size = (request.args.get(name, default) for name, default in (("page", "1"), ("perPage", "1000")))
        if not (page.isdecimal() and size.isdecimal() and 1 <= int(size) <= 1000 and int(page) >= 1):
            raise _invalid("page")
        people = [user for user in caller().org.users.values() if user.active]
        first, last = (int(page) - 1) * int(size), max(1, -(-len(people) // int(size)))
        return {
            "users": [
                {"zohouser": user.zuid, "email": user.email, "username": user.full_name}
                for user in people[first : first + int(size)]
            ],
            "paging": {"perPage": int(size), "page": int(page)},
            "navigation": {
                name: {"uri": f"{dc.origin}/phonebridge/v3/users?page={number}&perPage={size}"}
                for name, number in (("firstPage", 1), ("lastPage", last))
            },
        }

    @blueprint.route("/clicktodial", methods=["POST", "DELETE"])
    def clicktodial() -> Json:
        return _register(world, "dial", ("clicktodialuri",), "clicktodialparam", required="clicktodialuri")

    @blueprint.route("/callcontrol", methods=["POST", "DELETE"])
    def callcontrol() -> Json:
        return _register(world, "control", tuple(CONTROLS.values()), "callcontrolparam")

    @blueprint.post("/clicktodialerror")
    def clicktodialerror() -> Json:
        form = _form("code", "from", "to")
        if form["code"] not in ERROR_CODES:
            raise _invalid("code")
        _user(caller(), form)
        world.bridge.accepted[caller().org.name].append({"type": "clicktodialerror", **form})
        return OK

    @blueprint.post("/callnotify")
    def callnotify() -> Json:
        form = _form("type", "state", "id", "from", "to")
        kind, state = form["type"], form["state"]
        if state not in STATES.get(kind, ()):
            raise _invalid("state" if kind in STATES else "type")
        if world.knobs.phonebridge_mode == "field" and state in FINAL - {"ended"}:
            raise _invalid("state")  # reported by a live provider in 2026, though the documents list these states
        if not form["id"].isalnum():
            raise _invalid("id")
        _user(caller(), form)
        started = _started(form) if state in FINAL else None
        if not form.get("duration", "0").isdecimal():
            raise _invalid("duration")
        place = (caller().org.name, form["id"], form.get("zohouser", ""))
        if not follows(world.bridge.states.get(place), kind, state):
            raise _invalid("state")
        answered = world.bridge.states.get(place, ("", ""))[1] == "answered"
        world.bridge.states[place] = kind, state
        world.bridge.accepted[caller().org.name].append(form)
        if started:
            _log_call(world, caller(), form, started, answered)
        return OK

    return blueprint


def _log_call(world: World, who: Caller, form: dict[str, str], started: datetime, answered: bool) -> None:
    """Write the activity of a finished call, as Zoho does by itself."""
    call, org, kind, state = (who.org.name, form["id"]), who.org, form["type"], form["state"]
    if call in world.bridge.logged and world.knobs.repeat_ended == "ignore":
        return
    seconds = int(form.get("duration", "0"))
    inbound = kind == "received"
    customer = form["from"] if inbound else form["to"]
    missed = inbound and (state == "missed" or (seconds == 0 and not answered))
    values: dict[str, Any] = {
        "Subject": f"{'Missed call' if missed else 'Call'} {'from' if inbound else 'to'} {customer}",
        "Call_Type": "Missed" if missed else "Inbound" if inbound else "Outbound",
        "Call_Start_Time": started,
        "Call_Duration": f"{seconds // 60:02d}:{seconds % 60:02d}",
        "Call_Duration_in_seconds": seconds,
        "Outgoing_Call_Status": None if inbound else "Completed",
        "Call_Result": "No response/Busy" if state in UNATTENDED else None,
        "Voice_Recording__s": form.get("voiceuri"),
        "CTI_Entry": True,
        "Caller_ID": form["from"],
        "Dialled_Number": form["to"],
        "Owner": {"id": _user(who, form).id},
    }
    if contact := org.tables["Contacts"].dialled(customer):
        values["Who_Id"] = {"id": contact.id}
    elif lead := org.tables["Leads"].dialled(customer):
        values |= {"What_Id": {"id": lead.id}, "$se_module": "Leads"}
    (row,) = write_rows(world, org, who.user, "Calls", [Change(None, values)])
    world.bridge.logged.setdefault(call, row.id)


def _register(world: World, kind: str, names: tuple[str, ...], params: str, required: str = "") -> Json:
    who = caller()
    form = _form(*([required] if required and request.method == "POST" else []))
    user = _user(who, form) if "zohouser" in form else None
    place = (kind, who.org.name, who.client.client_id, user.zuid if user else "")
    if request.method == "DELETE":
        world.bridge.registrations.pop(place, None)
        return OK
    uris = {name: form[name] for name in names if form.get(name)}
    if not uris:
        raise Refused(400, "REQUIRED_PARAM_MISSING", "required parameter missing", {"param": names[0]})
    for name, uri in uris.items():
        if not outbound.is_acceptable(uri):
            raise _invalid(name)
    pairs = []
    for name in ("authorizationparam", params):
        read = read_pairs(form.get(name, ""), strict_too=world.knobs.loose_json == "both")
        if read is None:
            raise _invalid(name)
        pairs.append(read)
    world.bridge.registrations[place] = Registration(uris, *pairs)
    return OK


def _form(*required: str) -> dict[str, str]:
    form = {**request.args.to_dict(), **request.form.to_dict()}
    for name in required:
        if not form.get(name):
            raise Refused(400, "REQUIRED_PARAM_MISSING", "required parameter missing", {"param": name})
    return form


def _user(who: Caller, form: dict[str, str]) -> User:
    """Say whose screen it is; without `zohouser`, that of whoever's token it is."""
    if "zohouser" not in form:
        return who.user
    user = who.org.user_by_zuid(form["zohouser"])
    if user is None:
        raise Refused(400, "INVALID_USER", "invalid user", {"param": "zohouser"})
    return user


def _started(form: dict[str, str]) -> datetime:
    """Read `start_time`: GMT and `yyyy-MM-dd HH:mm:ss`; ISO 8601 is refused by the live service."""
    text = form.get("start_time")
    if not text:
        raise Refused(400, "REQUIRED_PARAM_MISSING", "required parameter missing", {"param": "start_time"})
    if not GMT.fullmatch(text):
        raise _invalid("start_time")
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise _invalid("start_time") from None


def _invalid(param: str) -> Refused:
    return Refused(400, "INVALID_DATA", "invalid parameter value", {"param": param})
