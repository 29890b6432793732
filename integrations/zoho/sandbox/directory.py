"""The doors to what an organisation is made of: its users, itself, its modules, fields, layouts, views and
related lists."""

from datetime import timedelta

from flask import Blueprint, Response, request

from integrations.zoho.sandbox.answers import Json, Refused, nothing, page_of
from integrations.zoho.sandbox.clock import show_time
from integrations.zoho.sandbox.gate import Caller, caller
from integrations.zoho.sandbox.metadata import MODULES, Module, describe_field, describe_module, module_id
from integrations.zoho.sandbox.orgs import User
from integrations.zoho.sandbox.records import since
from integrations.zoho.sandbox.views import describe_view
from integrations.zoho.sandbox.world import DataCentre

# Every user here is confirmed and none is deleted, so several of Zoho's types are the same set or empty.
EVERYBODY = {"AllUsers", "ActiveUsers", "ConfirmedUsers", "ActiveConfirmedUsers", "AllActiveUsers"}
ADMINS = {"AdminUsers", "ActiveConfirmedAdmins"}
NOBODY = {"DeactiveUsers", "NotConfirmedUsers", "DeletedUsers", "DeveloperUsers"}
ROLE_NUMBER, ADMIN_PROFILE, STANDARD_PROFILE, LAYOUT_NUMBER = 26005, 26011, 26014, 91000


def doors(dc: DataCentre) -> Blueprint:
    """Build the doors of one data centre."""
    blueprint, world = Blueprint("directory", __name__, url_prefix="/crm/v8"), dc.world

    @blueprint.get("/users")
    def users() -> Response | Json:
        who, kind = caller(), request.args.get("type", "AllUsers")
        who.needs("ZohoCRM.users.READ")
        if kind not in EVERYBODY | ADMINS | NOBODY | {"CurrentUser"}:
            raise Refused(400, "INVALID_DATA", "the given data is not valid", {"param_name": "type"})
        chosen = [user for user in who.org.users.values() if _is_of(kind, user, who)]
        if ids := request.args.get("ids"):
            chosen = [user for user in chosen if user.id in ids.split(",")]
        if (moment := since()) and who.org.opened_at <= moment:
            return nothing(304)
        page, size = page_of()
        shown = chosen[(page - 1) * size : page * size]
        if not shown:
            return nothing()
        info = {"per_page": size, "count": len(shown), "page": page, "more_records": len(chosen) > page * size}
        return {"users": [_user(who, user) for user in shown], "info": info}

    @blueprint.get("/users/<user_id>")
    def user(user_id: str) -> Response | Json:
        who = caller()
        who.needs("ZohoCRM.users.READ")
        found = who.org.users.get(user_id)
        return {"users": [_user(who, found)]} if found else nothing()

    @blueprint.get("/org")
    def org() -> Json:
        who = caller()
        who.needs("ZohoCRM.org.READ")
        return {"org": [_org(who)]}

    @blueprint.get("/settings/modules")
    def modules() -> Json:
        who = caller()
        who.needs("ZohoCRM.settings.modules.READ")
        return {"modules": [describe_module(who.org.prefix, table.module) for table in who.org.tables.values()]}

    @blueprint.get("/settings/modules/<name>")
    def one_module(name: str) -> Json:
        who = caller()
        who.needs("ZohoCRM.settings.modules.READ")
        return {"modules": [describe_module(who.org.prefix, _module(name))]}

    @blueprint.get("/settings/fields")
    def fields() -> Json:
        who = caller()
        who.needs("ZohoCRM.settings.fields.READ")
        return {"fields": _fields(_asked_module())}

    def _fields(module: Module) -> list[Json]:
        knobs, org = world.knobs, caller().org
        unique = knobs.unique.get(module.api_name, [])
        return [
            describe_field(
                org.prefix,
                module,
                column,
                writable=org.may_write(column, knobs),
                unique=column.api_name in unique,
            )
            for column in module.fields.values()
        ]

    @blueprint.get("/settings/layouts")
    def layouts() -> Json:
        who, module = caller(), _asked_module()
        who.needs("ZohoCRM.settings.layouts.READ")
        number = LAYOUT_NUMBER + list(MODULES).index(module.api_name)
        demanded = {name for name, column in module.fields.items() if column.mandatory}
        demanded |= {*world.knobs.mandatory.get(module.api_name, ())}
        fields = [field | {"required": field["api_name"] in demanded} for field in _fields(module)]
        section = {"display_label": f"{module.singular} Information", "api_name": "main", "fields": fields}
        standard = {"id": f"{who.org.prefix}{number:012d}", "name": "Standard", "display_label": "Standard"}
        return {"layouts": [standard | {"status": "active", "visible": True, "sections": [section]}]}

    @blueprint.get("/settings/custom_views")
    def custom_views() -> Response | Json:
        who, module = caller(), _asked_module()
        who.needs("ZohoCRM.settings.custom_views.READ")
        own = [view for view in who.org.views.values() if view.module == module.api_name]
        page, size = page_of()
        shown = own[(page - 1) * size : page * size]
        if not shown:
            return nothing()
        info = {"per_page": size, "count": len(shown), "page": page, "more_records": len(own) > page * size}
        return {"custom_views": [describe_view(view) for view in shown], "info": info | {"default": None}}

    @blueprint.get("/settings/related_lists")
    def related_lists() -> Json:
        who, module = caller(), _asked_module()
        who.needs("ZohoCRM.settings.related_lists.READ")
        names = ["Notes"] if module.is_activity or module.api_name == "Notes" else ["Notes", "Calls", "Tasks"]
        shown = []
        for name in names:
            target = {"api_name": name, "id": module_id(who.org.prefix, name)}
            number = f"{who.org.prefix}{92000 + list(MODULES).index(name):012d}"
            href = f"{module.api_name}/{{ENTITYID}}/{name}"
            shown.append(
                {"id": number, "api_name": name, "name": name, "href": href, "module": target, "type": "default"}
            )
        return {"related_lists": shown}

    return blueprint


def _asked_module() -> Module:
    if not (name := request.args.get("module")):
        raise Refused(
            400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "module"}
        )
    return _module(name)


def _module(name: str) -> Module:
    if name not in caller().org.tables:
        raise Refused(400, "INVALID_MODULE", "the module name given seems to be invalid", {"api_name": name})
    return MODULES[name]


def _is_of(kind: str, user: User, who: Caller) -> bool:
    if kind == "CurrentUser":
        return user == who.user
    return kind in EVERYBODY or (kind in ADMINS and user.admin)


def _user(who: Caller, user: User) -> Json:
    prefix = who.org.prefix
    profile = (ADMIN_PROFILE, "Administrator") if user.admin else (STANDARD_PROFILE, "Standard")
    offset = who.org.opened_at.astimezone(user.zone).utcoffset() or timedelta()
    return {
        "id": user.id,
        "zuid": user.zuid,
        "email": user.email,
        "full_name": user.full_name,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "phone": user.phone,
        "mobile": None,
        "status": "active" if user.active else "inactive",
        "confirm": True,
        "time_zone": user.zone.key,
        "offset": int(offset.total_seconds() * 1000),
        "locale": "en_GB",
        "role": {
            "name": "Director" if user.admin else "Manager",
            "id": f"{prefix}{ROLE_NUMBER + (not user.admin):012d}",
        },
        "profile": {"name": profile[1], "id": f"{prefix}{profile[0]:012d}"},
        "type__s": "Regular User",
        "created_time": show_time(who.org.opened_at, who.user.zone),
        "Modified_Time": show_time(who.org.opened_at, who.user.zone),
    }


def _org(who: Caller) -> Json:
    org = who.org
    paid = {"paid": org.edition != "Free", "paid_type": org.edition.lower(), "users_license_purchased": len(org.users)}
    return {
        "id": f"{org.prefix}{1:012d}",
        "zgid": org.zgid,
        "domain_name": f"org{org.zgid}",
        "company_name": org.company_name,
        "time_zone": org.zone.key,
        "primary_email": org.admin.email,
        "primary_zuid": org.admin.zuid,
        "country_code": org.country or None,
        "country": org.country or None,
        "phone": org.phone or None,
        "mobile": None,
        "currency": "Euro",
        "currency_symbol": "€",
        "iso_code": "EUR",
        "type": "Production",
        "license_details": {
            **paid,
            "paid_expiry": None,
            "trial_type": None,
            "trial_expiry": None,
            "trial_action": None,
        },
        "max_per_page": 100,
        "created_time": show_time(org.opened_at, who.user.zone),
    }
