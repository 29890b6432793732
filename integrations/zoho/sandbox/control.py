"""The stage's own doors under `/_stage/`: put people and records there, turn the clock, play the user.

Nothing here exists at Zoho; every answer is JSON, and what cannot be done is a 400 with one plain sentence.
"""

import dataclasses
from collections import Counter
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Blueprint, request

from integrations.zoho.sandbox import marketplace, outbound
from integrations.zoho.sandbox.answers import Json
from integrations.zoho.sandbox.bridge import CONTROLS
from integrations.zoho.sandbox.clock import parse_time
from integrations.zoho.sandbox.faults import ACTIONS, Fault
from integrations.zoho.sandbox.metadata import MODULES
from integrations.zoho.sandbox.orgs import CHOICES, EDITIONS, PHONEBRIDGE_STATES, Client, Knobs, Org, User
from integrations.zoho.sandbox.tables import Row
from integrations.zoho.sandbox.views import COMPARATORS, View
from integrations.zoho.sandbox.world import DataCentre, World
from integrations.zoho.sandbox.writes import Change, Desk, write_row

UTC_ZONE = ZoneInfo("UTC")
CARRIED = ("First_Name", "Last_Name", "Phone", "Mobile", "Email")  # from a lead to the contact it becomes
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Impossible(Exception):
    """The stage asked for something that cannot be done."""


def doors(dc: DataCentre) -> Blueprint:
    """Build the stage's doors; they are the same in every data centre."""
    blueprint, world = Blueprint("stage", __name__, url_prefix="/_stage"), dc.world

    @blueprint.errorhandler(Impossible)
    def impossible(problem: Impossible) -> tuple[Json, int]:
        return {"error": str(problem)}, 400

    @blueprint.post("/reset")
    def reset() -> Json:
        world.reset()
        return {"reset": True}

    @blueprint.route("/clock", methods=["GET", "POST"])
    def clock() -> Json:
        if request.method == "POST":
            world.clock.advance(float(_sent().get("advance", 0)))
            world.notifier.wake()
        return {"now": world.clock.now()}

    @blueprint.post("/knobs")
    def knobs() -> Json:
        sent = _sent()
        if name := sent.pop("org", None):
            _turn_org(_org(world, name), sent)
        else:
            _turn(world.knobs, sent)
        return dataclasses.asdict(world.knobs)

    @blueprint.post("/clients")
    def clients() -> Json:
        sent = _sent()
        client = Client(
            _text(sent, "client_id"), dict(sent.get("secrets") or {}), tuple(sent.get("redirect_uris") or ())
        )
        if unknown := client.secrets.keys() - world.centres.keys():
            raise Impossible(f"there is no data centre {', '.join(sorted(unknown))}")
        world.clients[client.client_id] = client
        return {"client_id": client.client_id, "data_centres": sorted(client.secrets)}

    @blueprint.post("/orgs")
    def orgs() -> Json:
        return _open(world, _sent())

    @blueprint.post("/modules/delete")
    def modules() -> Json:
        sent = _sent()
        org, module = _module(world, sent)
        if not MODULES[module].custom or org.tables.pop(module, None) is None:
            raise Impossible("only a module that an administrator made can be deleted, once")
        return {"left": list(org.tables)}

    @blueprint.post("/views")
    def views() -> Json:
        sent = _sent()
        org, module = _module(world, sent)
        view_id, field = str(sent.get("id") or org.new_id()), _text(sent, "field")
        if field not in MODULES[module].fields or sent.get("comparator") not in COMPARATORS:
            raise Impossible(f"a view compares a field of its module: {', '.join(COMPARATORS)}")
        org.views[view_id] = View(
            view_id, module, _text(sent, "name"), field, _text(sent, "comparator"), sent.get("value")
        )
        return {"id": view_id}

    @blueprint.post("/views/delete")
    def views_delete() -> Json:
        sent = _sent()
        org = _org(world, sent.get("org"))
        if org.views.pop(_text(sent, "id"), None) is None:
            raise Impossible("there is no such view")
        return {"left": list(org.views)}

    @blueprint.post("/seed")
    def seed() -> Json:
        sent = _sent()
        org, module = _module(world, sent)
        return {"ids": [_seed(world, org, module, values) for values in sent.get("records") or []]}

    @blueprint.post("/edit")
    def edit() -> Json:
        sent = _sent()
        org, module = _module(world, sent)
        by = _user(org, sent["by"]) if sent.get("by") else org.admin
        if sent.get("id"):
            return Desk(world, org, by, module).update([{**(sent.get("values") or {}), "id": str(sent["id"])}])[0]
        return Desk(world, org, by, module).insert([sent.get("values") or {}])[0]

    @blueprint.post("/delete")
    def delete() -> Json:
        sent = _sent()
        org, module = _module(world, sent)
        by = _user(org, sent["by"]) if sent.get("by") else org.admin
        return Desk(world, org, by, module).delete([_text(sent, "id")])[0]

    @blueprint.post("/convert")
    def convert() -> Json:
        """Make a contact of a lead, as somebody does at Zoho's screen; the lead stays, and shows it."""
        sent = _sent()
        org, lead = _org(world, sent.get("org")), _text(sent, "id")
        row = org.tables["Leads"].rows.get(lead)
        if row is None:
            raise Impossible(f"There is no lead {lead}.")
        values = {name: row.values[name] for name in CARRIED if row.values.get(name)}
        row.values["Converted__s"] = True
        Desk(world, org, org.admin, "Leads").update([{"id": lead, "Description": "Converted"}])
        return Desk(world, org, org.admin, "Contacts").insert([values])[0]

    @blueprint.get("/records")
    def records() -> Json:
        org, module = _module(world, request.args.to_dict())
        table = org.tables[module]
        if "count" in request.args:
            return {"count": len(table.rows)}
        return {"records": [org.show(table.module, row, UTC_ZONE) for row in table.rows.values()]}

    @blueprint.get("/callnotify")
    def callnotify() -> Json:
        return {"accepted": list(world.bridge.accepted[_org(world, request.args.get("org")).name])}

    @blueprint.get("/channels")
    def channels() -> Json:
        org = _org(world, request.args.get("org"))
        own = [channel for channel in world.notifier.living() if channel.user.org == org.name]
        kept = ("channel_id", "events", "notify_url", "expires_at")
        return {"channels": [{name: getattr(channel, name) for name in kept} for channel in own]}

    @blueprint.get("/notifications")
    def notifications() -> Json:
        return world.notifier.report()

    @blueprint.get("/tokens")
    def tokens() -> Json:
        refreshes, accesses = world.tokens.living(_org(world, request.args.get("org")).name)
        by_user = Counter(refresh.user.email for refresh in refreshes)
        return {"refresh": len(refreshes), "access": len(accesses), "refresh_by_user": dict(by_user)}

    @blueprint.post("/revoke")
    def revoke() -> Json:
        sent = _sent()
        org = _org(world, sent.get("org"))
        people = [_user(org, sent["user"])] if sent.get("user") else list(org.users.values())
        return {"revoked": sum(world.tokens.disconnect(user, sent.get("client_id")) for user in people)}

    @blueprint.route("/requests", methods=["GET", "DELETE"])
    def requests() -> Json:
        if request.method == "DELETE":
            world.requests.clear()
        return world.requests.report(int(request.args.get("last", 100)))

    @blueprint.route("/faults", methods=["GET", "POST", "DELETE"])
    def faults() -> Json:
        if request.method == "POST":
            sent = _sent()
            known = {each.name for each in dataclasses.fields(Fault)} - {"seen", "released"}
            if sent.get("action") not in ACTIONS or not sent.get("match") or not known >= sent.keys():
                raise Impossible(f"a fault has a match, an action of {', '.join(sorted(ACTIONS))}, and {sorted(known)}")
            world.faults.add(Fault(**sent))
        if request.method == "DELETE":
            world.faults.clear()
        return {"due": world.faults.due()}

    @blueprint.post("/click-to-dial")
    def click_to_dial() -> Json:
        sent = _sent()
        with world.lock:  # not held while posting: the answer may need this very data centre
            user = _user(_org(world, sent.get("org")), _text(sent, "user"))
            registered = world.bridge.registration("dial", user.org, user.zuid)
            if registered is None:
                raise Impossible("nobody registered for clicks of this user")
            number = _text(sent, "number")
            headers, form = registered.message({"tonumber": number}, to=number)
        status, text = outbound.post(registered.uris["clicktodialuri"], urlencode(form).encode(), FORM | headers)
        return {"status": status, "body": text}

    @blueprint.post("/call-control")
    def call_control() -> Json:
        sent = _sent()
        with world.lock:
            user = _user(_org(world, sent.get("org")), _text(sent, "user"))
            registered = world.bridge.registration("control", user.org, user.zuid)
            uri = registered.uris.get(CONTROLS.get(_text(sent, "action"), "")) if registered else None
            if registered is None or uri is None:
                raise Impossible("nobody registered for this button of this user")
            digit = {"digit": str(sent["digit"])} if "digit" in sent else {}
            headers, form = registered.message({"callrefid": _text(sent, "callrefid"), **digit})
        status, text = outbound.post(uri, urlencode(form).encode(), FORM | headers)
        return {"status": status, "body": text}

    @blueprint.post("/marketplace")
    def extension() -> Json:
        sent = _sent()
        with world.lock:
            org, now = _org(world, sent.get("org")), world.clock.now()
        if _text(sent, "event") not in marketplace.DESK or not _text(sent, "endpoint"):
            raise Impossible(f"an extension is {', '.join(marketplace.DESK)}")
        return {"answers": marketplace.tell(org, now, sent)}

    return blueprint


def _open(world: World, sent: Json) -> Json:
    """Open an organisation with its people."""
    name, dc, people = _text(sent, "name"), _text(sent, "dc"), sent.get("users") or []
    if dc not in world.centres or name in world.orgs or not people:
        raise Impossible("an organisation has a new name, a data centre there is, and users")
    if taken := [each["email"] for each in people if world.user(each["email"])]:
        raise Impossible(f"{taken[0]} already has an account")
    rest = {key: str(sent[key]) for key in ("zgid", "country", "phone") if sent.get(key)}
    zone = _zone(sent.get("time_zone"))
    org = world.add_org(name, dc, sent.get("company_name") or name, zone, **rest)
    _turn_org(org, {key: sent[key] for key in ("edition", "phonebridge") if sent.get(key)})
    for each in people:
        optional = {key: str(each[key]) for key in ("id", "zuid", "phone") if each.get(key)}
        own_zone = _zone(each["time_zone"]) if each.get("time_zone") else zone
        full_name = each.get("full_name") or each["email"]
        world.add_user(org, each["email"], full_name, own_zone, admin=bool(each.get("admin")), **optional)
    users = {user.email: {"id": user.id, "zuid": user.zuid} for user in org.users.values()}
    domain = {"domain_name": f"org{org.zgid}", "api_domain": world.centres[dc].origin}
    return {"name": name, "dc": dc, "zgid": org.zgid, **domain, "users": users}


def _turn(knobs: Knobs, sent: Json) -> None:
    """Turn knobs; one that does not exist, or not that way, turns none."""
    now = dataclasses.asdict(knobs)
    for name, value in sent.items():
        if name not in now:
            raise Impossible(f"there is no knob called {name}")
        if name in CHOICES and value not in CHOICES[name]:
            raise Impossible(f"{name} is one of {', '.join(CHOICES[name])}")
        if isinstance(now[name], bool | dict | str) and type(value) is not type(now[name]):
            raise Impossible(f"{name} is a {type(now[name]).__name__}")
    for name, value in sent.items():
        setattr(knobs, name, value)


def _turn_org(org: Org, sent: Json) -> None:
    """Change what is particular to one organisation: its edition, and whether PhoneBridge is to be had."""
    if sent.get("edition", org.edition) not in EDITIONS or not {"edition", "phonebridge"} >= sent.keys():
        raise Impossible(f"an organisation has an edition ({', '.join(EDITIONS)}) and a phonebridge")
    if sent.get("phonebridge", org.phonebridge) not in PHONEBRIDGE_STATES:
        raise Impossible(f"phonebridge is one of {', '.join(sorted(PHONEBRIDGE_STATES))}")
    org.edition, org.phonebridge = sent.get("edition", org.edition), sent.get("phonebridge", org.phonebridge)


def _seed(world: World, org: Org, module: str, sent: Json) -> str:
    """Put a row there as it is, unchecked and telling nobody; an owner may be an address, a time is ISO 8601."""
    columns, owner = MODULES[module].fields, sent.get("Owner") or org.admin.id
    if isinstance(owner, str) and "@" in owner:
        owner = _user(org, owner).id
    values = {name: value for name, value in sent.items() if name in columns or name == "$se_module"}
    values = {name: parse_time(value) or value for name, value in values.items() if name not in {"id", "Modified_Time"}}
    values["Owner"] = owner if isinstance(owner, dict) else {"id": str(owner)}
    if "Full_Name" in columns:
        values["Full_Name"] = " ".join(filter(None, (values.get("First_Name"), values.get("Last_Name"))))
    when = parse_time(sent.get("Modified_Time"))
    if sent.get("id") or when:
        now = when or world.clock.second()
        row = Row(str(sent.get("id") or org.new_id()), {}, now, now, org.admin.id, org.admin.id)
        org.tables[module].put(row, values, world.clock.now(), 0)
        return row.id
    return write_row(world, org, org.admin, module, Change(None, values)).id


def _sent() -> Json:
    sent = request.get_json(force=True, silent=True)
    if not isinstance(sent, dict):
        raise Impossible("the body must be a JSON object")
    return sent


def _text(sent: Json, name: str) -> str:
    if not sent.get(name):
        raise Impossible(f"{name} is missing")
    return str(sent[name])


def _org(world: World, name: str | None) -> Org:
    if name not in world.orgs:
        raise Impossible(f"there is no organisation called {name}")
    return world.orgs[name]


def _module(world: World, sent: Json) -> tuple[Org, str]:
    if sent.get("module") not in MODULES:
        raise Impossible(f"there is no module called {sent.get('module')}")
    return _org(world, sent.get("org")), sent["module"]


def _user(org: Org, email: str) -> User:
    user = org.user_by_email(email)
    if user is None:
        raise Impossible(f"{email} is not in {org.name}")
    return user


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        raise Impossible(f"there is no time zone {name}") from None
