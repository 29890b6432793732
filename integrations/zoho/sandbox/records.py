"""The doors to records: read them page by page, one by one or by relation; write them up to a hundred at a time."""

import base64
import hashlib
import json
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from flask import Blueprint, Response, request

from integrations.zoho.sandbox.answers import Json, Refused, batch_status, body, items_of, nothing, page_of
from integrations.zoho.sandbox.clock import DAY, parse_time, show_time
from integrations.zoho.sandbox.gate import Caller, caller
from integrations.zoho.sandbox.metadata import MODULES
from integrations.zoho.sandbox.tables import Row, Table
from integrations.zoho.sandbox.views import View, view_of
from integrations.zoho.sandbox.world import DataCentre
from integrations.zoho.sandbox.writes import Desk

MOST_ROWS = 100
MOST_FIELDS = 50
WALL_ROWS = 2_000  # as far as `page` reaches
TOKEN_ROWS = 100_000  # as far as `page_token` reaches
TRIGGERS = {"workflow", "approval", "blueprint", "pathfinder", "orchestration"}
RECYCLE_SECONDS, TOMBSTONE_SECONDS = 60 * DAY, 120 * DAY
PLACES = {  # where a row stands in a sorted list
    "id": attrgetter("id", "id"),
    "Created_Time": attrgetter("created_at", "id"),
    "Modified_Time": attrgetter("modified_at", "id"),
}
Reply = Response | Json | tuple[Json, int]


def table_of(name: str, operation: str, who: Caller, *further: str) -> Table:
    """Open a module for an operation, or refuse: it does not exist, or the scopes do not cover it."""
    table = who.org.tables.get(name)
    if table is None:
        raise Refused(400, "INVALID_MODULE", "the module name given seems to be invalid", {"resource_path_index": 0})
    who.needs(f"ZohoCRM.modules.{table.module.scope}.{operation}", *further)
    return table


def since() -> datetime | None:
    """Read If-Modified-Since, which must be ISO 8601 here."""
    text = request.headers.get("If-Modified-Since")
    moment = parse_time(text)
    if text and moment is None:
        raise Refused(400, "INVALID_DATA", "the given data is not valid", {"header_name": "If-Modified-Since"})
    return moment


def fields_of(*, mandatory: bool) -> list[str] | None:
    """Read `fields`: at most fifty, and for lists not optional."""
    text = request.args.get("fields", "")
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names and mandatory:
        raise Refused(
            400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "fields"}
        )
    if len(names) > MOST_FIELDS:
        raise Refused(
            400, "LIMIT_EXCEEDED", "the limit of fields is exceeded", {"param_name": "fields", "limit": MOST_FIELDS}
        )
    return names or None


def doors(dc: DataCentre) -> Blueprint:
    """Build the doors of one data centre."""
    blueprint, world = Blueprint("records", __name__, url_prefix="/crm/v8"), dc.world

    def desk(module: str, operation: str) -> Desk:
        who = caller()
        table_of(module, operation, who)
        return Desk(world, who.org, who.user, module)

    def results(items: list[Json], all_well: int) -> tuple[Json, int]:
        return {"data": items}, batch_status(items, all_well, 202 if world.knobs.legacy_202 else 400)

    @blueprint.get("/<module>")
    def listing(module: str) -> Reply:
        who = caller()
        table = table_of(module, "READ", who)
        if module == "Notes" and not who.user.admin:
            raise Refused(403, "NO_PERMISSION", "permission denied")
        return _page(dc, who, table, fields_of(mandatory=True))

    @blueprint.get("/<module>/<row_id>")
    def one(module: str, row_id: str) -> Reply:
        who = caller()
        table = table_of(module, "READ", who)
        if not row_id.isdecimal():
            raise Refused(400, "INVALID_DATA", "the id given seems to be invalid", {"resource_path_index": 1})
        row, moment = table.rows.get(row_id), since()
        if row is None:
            return nothing()
        if moment and row.modified_at <= moment:
            return nothing(304)
        return {"data": [who.org.show(table.module, row, who.user.zone, fields_of(mandatory=False))]}

    @blueprint.post("/<module>")
    def insert(module: str) -> Reply:
        return results(desk(module, "CREATE").insert(_sent_rows()), 201)

    @blueprint.put("/<module>")
    def update(module: str) -> Reply:
        unmodified_since = request.headers.get("If-Unmodified-Since")
        return results(desk(module, "UPDATE").update(_sent_rows(), unmodified_since), 200)

    @blueprint.put("/<module>/<row_id>")
    def update_one(module: str, row_id: str) -> Reply:
        items = [{**sent, "id": row_id} if isinstance(sent, dict) else sent for sent in _sent_rows()[:1]]
        answer, status = results(desk(module, "UPDATE").update(items, request.headers.get("If-Unmodified-Since")), 200)
        return answer, 412 if answer["data"][0]["code"] == "ALREADY_MODIFIED" else status

    @blueprint.post("/<module>/upsert")
    def upsert(module: str) -> Reply:
        at_desk = desk(module, "CREATE")
        if not MODULES[module].duplicate_field:
            raise Refused(400, "NOT_SUPPORTED", "upsert is not supported for this module", {"module": module})
        check = body().get("duplicate_check_fields") or []
        return results(at_desk.upsert(_sent_rows(), [name for name in check if isinstance(name, str)]), 200)

    @blueprint.delete("/<module>/<row_id>")
    def delete_one(module: str, row_id: str) -> Reply:
        return results(desk(module, "DELETE").delete([row_id]), 200)

    @blueprint.delete("/<module>")
    def delete(module: str) -> Reply:
        at_desk, ids = desk(module, "DELETE"), [each for each in request.args.get("ids", "").split(",") if each]
        if not ids:
            raise Refused(
                400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "ids"}
            )
        if len(ids) > MOST_ROWS:
            raise Refused(400, "LIMIT_EXCEEDED", "too many ids", {"param_name": "ids", "limit": MOST_ROWS})
        return results(at_desk.delete(ids), 200)

    @blueprint.get("/<module>/deleted")
    def deleted(module: str) -> Reply:
        who = caller()
        return _deleted(who, table_of(module, "READ", who), dc.world.clock.now())

    @blueprint.get("/<module>/<row_id>/<related>")
    def relation(module: str, row_id: str, related: str) -> Reply:
        who = caller()
        table_of(module, "READ", who)
        table = table_of(related, "READ", who)
        names = ("Who_Id", "What_Id", "Parent_Id")
        rows = [row for name in names if name in table.module.fields for row in table.find(name, {"id": row_id})]
        return _slice(who, table, rows[::-1], fields_of(mandatory=True))

    @blueprint.post("/<module>/<row_id>/Notes")
    def add_notes(module: str, row_id: str) -> Reply:
        parent = {"Parent_Id": {"module": {"api_name": module}, "id": row_id}}
        items = [{**sent, **parent} if isinstance(sent, dict) else sent for sent in _sent_rows()]
        return results(desk("Notes", "CREATE").insert(items), 201)

    return blueprint


def _sent_rows() -> list[Any]:
    sent = body()
    triggers = sent.get("trigger")
    if triggers is not None and not (isinstance(triggers, list) and TRIGGERS.issuperset(map(str, triggers))):
        raise Refused(400, "INVALID_DATA", "invalid data", {"api_name": "trigger", "json_path": "$.trigger"})
    return items_of(sent, "data", MOST_ROWS)


def _page(dc: DataCentre, who: Caller, table: Table, fields: list[str] | None) -> Reply:
    """List one page, newest id first unless asked otherwise."""
    args, moment, now = request.args, since(), dc.world.clock.now()
    if "page" in args and "page_token" in args:
        details = {"ambiguity_due_to": [{"param_name": "page"}, {"param_name": "page_token"}]}
        raise Refused(400, "AMBIGUITY_DURING_PROCESSING", "ambiguity while processing the request", details)
    page, size = page_of()
    sort_by, ascending = args.get("sort_by", "id"), args.get("sort_order", "desc") == "asc"
    if sort_by not in PLACES or args.get("sort_order", "desc") not in {"asc", "desc"}:
        raise Refused(400, "INVALID_DATA", "the given data is not valid", {"param_name": "sort_by"})
    place = PLACES[sort_by]
    rows = sorted(_wanted(table, moment, view_of(who.org.views, table), now), key=place)
    bound = _digest(who, table)
    passed = (page - 1) * size
    if "page_token" in args:
        first, last_id, passed = _read_token(args["page_token"], bound, now)
        last = (first if sort_by == "id" else datetime.fromisoformat(first)), last_id
        if passed >= TOKEN_ROWS:
            raise Refused(400, "PAGINATION_LIMIT_EXCEEDED", "pagination limit exceeded", {"limit": TOKEN_ROWS})
        if ascending:
            rows = rows[bisect_right(rows, last, key=place) :]
        else:
            rows = rows[: bisect_left(rows, last, key=place)][::-1]
        page = passed // size + 1
    else:
        if page * size > WALL_ROWS:
            reach = {"page": page, "per_page": size, "limit": WALL_ROWS}
            raise Refused(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", "use page_token to go further", reach)
        rows = (rows if ascending else rows[::-1])[passed:]
    chosen, more = rows[:size], len(rows) > size
    if not chosen:
        return nothing(304 if moment else 204)
    expiry = now + DAY
    token = _write_token(bound, expiry, place(chosen[-1]), passed + size) if more else None
    info = {
        "per_page": size,
        "count": len(chosen),
        "page": page,
        "more_records": more,
        "sort_by": sort_by,
        "sort_order": "asc" if ascending else "desc",
        "next_page_token": token,
        "previous_page_token": None,
        "page_token_expiry": show_time(datetime.fromtimestamp(expiry, who.user.zone), who.user.zone) if more else None,
    }
    return {"data": [who.org.show(table.module, row, who.user.zone, fields) for row in chosen], "info": info}


def _wanted(table: Table, moment: datetime | None, view: View | None, now: float) -> list[Row]:
    """Pick the rows a list is about, oldest first."""
    args, rows = request.args, list(table.rows.values())
    if ids := args.get("ids"):
        rows = [table.rows[row_id] for row_id in sorted(ids.split(",")) if row_id in table.rows]
    if moment:
        rows = [row for row in rows if row.modified_at > moment]
    if view:
        rows = [row for row in rows if view.shows(row, datetime.fromtimestamp(now, UTC))]
    if "Converted__s" in table.module.fields and (converted := args.get("converted", "false")) != "both":
        rows = [row for row in rows if bool(row.values.get("Converted__s")) == (converted == "true")]
    return rows


def _digest(who: Caller, table: Table) -> str:
    """Bind a page token to its user and to every other parameter."""
    bound = sorted((name, value) for name, value in request.args.items() if name not in {"page", "page_token"})
    text = json.dumps([who.user.id, who.client.client_id, table.module.api_name, bound])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _write_token(bound: str, expiry: float, last: tuple[object, str], passed: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([bound, expiry, str(last[0]), last[1], passed]).encode()).decode()


def _read_token(text: str, bound: str, now: float) -> tuple[str, str, int]:
    try:
        told, expiry, first, last_id, passed = json.loads(base64.urlsafe_b64decode(text))
    except (ValueError, TypeError):
        raise Refused(400, "INVALID_DATA", "the given data is not valid", {"param_name": "page_token"}) from None
    if told != bound:
        raise Refused(
            400, "TOKEN_BOUND_DATA_MISMATCH", "the token was made for another request", {"param_name": "page_token"}
        )
    if expiry <= now:
        raise Refused(400, "EXPIRED_VALUE", "the token has expired", {"param_name": "page_token"})
    return first, last_id, passed


def _slice(who: Caller, table: Table, rows: list[Row], fields: list[str] | None) -> Reply:
    """Answer with one page of rows that were found some other way."""
    page, size = page_of()
    chosen = rows[(page - 1) * size : page * size]
    if not chosen:
        return nothing()
    info = {"per_page": size, "count": len(chosen), "page": page, "more_records": len(rows) > page * size}
    return {"data": [who.org.show(table.module, row, who.user.zone, fields) for row in chosen], "info": info}


def _deleted(who: Caller, table: Table, now: float) -> Reply:
    """List what was deleted, newest first: sixty days in the recycle bin, as long again as a bare mark."""
    kind, moment = request.args.get("type", "all"), since()
    if kind not in {"all", "recycle", "permanent"}:
        raise Refused(400, "INVALID_DATA", "the given data is not valid", {"param_name": "type"})
    marks = []
    for mark in reversed(table.gone.values()):
        age = now - mark.deleted_at.timestamp()
        state = "recycle" if age < RECYCLE_SECONDS else "permanent"
        if age < TOMBSTONE_SECONDS and kind in {"all", state} and not (moment and mark.deleted_at <= moment):
            people = [who.org.users[each] for each in (mark.deleted_by, mark.created_by)]
            deleter, creator = ({"name": user.full_name, "id": user.id} for user in people)
            marks.append(
                {"id": mark.id, "display_name": mark.name, "type": state, "deleted_by": deleter, "created_by": creator}
                | {"deleted_time": show_time(mark.deleted_at, who.user.zone)}
            )
    page, size = page_of()
    chosen = marks[(page - 1) * size : page * size]
    if not chosen:
        return nothing(304 if moment else 204)
    info = {"per_page": size, "count": len(chosen), "page": page, "more_records": len(marks) > page * size}
    return {"data": chosen, "info": info}
