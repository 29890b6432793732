"""Plivo's own API, and the ways it can be told to misbehave."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from urllib.parse import urlencode

from flask import Flask, Response, abort, jsonify, request
from flask.typing import ResponseReturnValue

from integrations.telephony.plivo.sandbox.messaging import messaging
from integrations.telephony.plivo.sandbox.world import common, ended, hangup, leg, post
from integrations.telephony.sandbox import TONE, Json, World, caller, faulty, later

API = "/v1/Account/<auth_id>"
MOST_A_PAGE = 20
LONGEST_RANGE = timedelta(days=30)


def rest(app: Flask, world: World) -> None:
    """Plivo's own API, and the ways it can be told to misbehave."""

    faulty(
        app,
        world,
        lambda status: {"error": "made to fail"},
        lambda: {"json": request.get_json(silent=True), "query": request.args.to_dict()},
    )

    for status in (400, 401, 404, 405, 415):
        app.register_error_handler(
            status, lambda error: (jsonify(api_id=str(uuid.uuid4()), error=error.description), error.code)
        )

    def shown(account: Json, row: Json) -> Json:
        zone = timezone(timedelta(minutes=account["zone_minutes"]))
        plain = {
            name: f"{value.astimezone(zone).replace(microsecond=0)}" if isinstance(value, datetime) else value
            for name, value in row.items()
        }
        return plain | {"resource_uri": f"/v1/Account/{account['auth_id']}/Call/{row['call_uuid']}/"}

    @app.post(f"{API}/Call/")
    def dial(auth_id: str) -> ResponseReturnValue:
        account, wish = caller(world, auth_id), request.get_json()
        if any(not wish.get(name) for name in ("from", "to", "answer_url")) or "<" in wish["to"]:
            abort(400, "from, to and answer_url are required")
        row = leg(wish["from"].lstrip("+"), wish["to"].lstrip("+"), "outbound", None, world.now())
        row |= {"caller_name": wish.get("caller_name", ""), "wish": wish, "keys": "", "passed_on": []}
        with world.lock:
            account["live"][row["call_uuid"]] = row
        later(world, account, [(wish.get("ring_url", ""), common(account, row, "Ring", "ringing"))], post)
        return jsonify(message="call fired", request_uuid=row["call_uuid"], api_id=str(uuid.uuid4())), 201

    @app.delete(f"{API}/Call/<call>/")
    def end(auth_id: str, call: str) -> ResponseReturnValue:
        account = caller(world, auth_id)
        with world.lock:
            row = account["live"].pop(call, None)
            if row is None:
                abort(404, "call not found")
            wish = row.pop("wish")
            row.pop("keys")
            row.pop("passed_on")
            ended(row, "answered", world.now(), row["initiation_time"])
            account["cdr"].append(row)
        later(world, account, [(wish.get("hangup_url", ""), hangup(account, row, "answered"))], post)
        return "", 204

    @app.post(f"{API}/Call/<call>/")
    def transfer(auth_id: str, call: str) -> ResponseReturnValue:
        account, wish = caller(world, auth_id), request.get_json()
        moved = wish.get("legs", "aleg")
        with world.lock:
            if call not in account["live"]:
                abort(404, "call not found")
            if moved not in ("aleg", "bleg") or not wish.get(f"{moved}_url", "").startswith("https://"):
                abort(400, "legs and the url of each are required")
            account["live"][call]["passed_on"].append(wish)
        return jsonify(message="transfer executed", call_uuids=[call], api_id=str(uuid.uuid4())), 202

    @app.post(f"{API}/Call/<call>/DTMF/")
    def dtmf(auth_id: str, call: str) -> ResponseReturnValue:
        account = caller(world, auth_id)
        with world.lock:
            if call not in account["live"]:
                abort(404, "call not found")
            account["live"][call]["keys"] += request.get_json()["digits"]
            return jsonify(message="digits sent", keys=account["live"][call]["keys"]), 202

    @app.get(f"{API}/Call/")
    def calls(auth_id: str) -> ResponseReturnValue:
        account, args = caller(world, auth_id), request.args
        since, until = (datetime.fromisoformat(f"{args[f'end_time__{name}']}+00:00") for name in ("gte", "lt"))
        if until - since > LONGEST_RANGE:
            abort(400, "the range is longer than 30 days")
        offset, limit = int(args.get("offset", 0)), min(int(args.get("limit", MOST_A_PAGE)), account["page"])
        with world.lock:
            rows = [row for row in account["cdr"] if since <= row["end_time"] < until]
        rows.sort(key=lambda row: row["end_time"], reverse=True)
        more = f"{request.path}?{urlencode({'limit': limit, 'offset': offset + limit})}"
        meta = {"limit": limit, "offset": offset, "total_count": len(rows), "previous": None}
        meta["next"] = more if offset + limit < len(rows) else None
        found = [shown(account, row) for row in rows[offset : offset + limit]]
        return jsonify(api_id=str(uuid.uuid4()), meta=meta, objects=found)

    @app.route(f"{API}/Recording/<name>", methods=["GET"])
    def sound(auth_id: str, name: str) -> ResponseReturnValue:
        if name.partition(".")[0] not in caller(world, auth_id)["recordings"]:
            abort(404, "not found")
        return Response(TONE * 8, content_type="audio/mpeg")

    @app.delete(f"{API}/Recording/<id>/")
    def forget(auth_id: str, id: str) -> ResponseReturnValue:
        if caller(world, auth_id)["recordings"].pop(id, None) is None:
            abort(404, "not found")
        return "", 204

    messaging(app, world, API)
