"""Plivo's side of text messages: numbers, messages taken and refused, and its records of them."""

from __future__ import annotations

import uuid
from datetime import datetime

from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue

from integrations.telephony.plivo.sandbox.world import message, post
from integrations.telephony.sandbox import Json, World, caller, later

MOST_A_PAGE = 20
MOST_CHARACTERS = 1600


def messaging(app: Flask, world: World, api: str) -> None:
    """The resources of text messages."""

    def paged(rows: list[Json]) -> ResponseReturnValue:
        offset, limit = (
            int(request.args.get("offset", 0)),
            min(int(request.args.get("limit", MOST_A_PAGE)), MOST_A_PAGE),
        )
        meta = {"limit": limit, "offset": offset, "total_count": len(rows), "next": None, "previous": None}
        return jsonify(api_id=str(uuid.uuid4()), meta=meta, objects=rows[offset : offset + limit])

    @app.post(f"{api}/Message/")
    def send_message(auth_id: str) -> ResponseReturnValue:
        account, wish = caller(world, auth_id), request.get_json()
        if any(not wish.get(name) for name in ("src", "dst", "text")):
            abort(400, "src, dst and text are required")
        ours, to = wish["src"].lstrip("+"), wish["dst"].lstrip("+")
        sends = {one["number"].lstrip("+"): one.get("sms", True) for one in account["numbers"]}
        if sends and not sends.get(ours):
            abort(400, "src is not a number of this account that is enabled for SMS")
        if not to.isdigit():
            abort(400, "dst is not a valid phone number")
        if len(wish["text"]) > MOST_CHARACTERS:
            abort(400, "text is too long")
        if account["verified"] is not None and wish["dst"] not in account["verified"]:
            abort(400, "a trial account sends to verified numbers only")
        asked = {"from": ours, "to": to, "text": wish["text"], "sent": True}
        with world.lock:
            stopped = {"outcome": "refused", "code": 200} if [ours, to] in account["stopped"] else {}
            told = message(account, asked | account.pop("next_text", {}) | stopped, world.now(), "")
        later(world, account, [(wish.get("url", ""), form) for form in told], post)
        ids = [told[0]["MessageUUID"]]
        return jsonify(message="message(s) queued", message_uuid=ids, api_id=str(uuid.uuid4())), 202

    @app.get(f"{api}/Message/")
    def messages(auth_id: str) -> ResponseReturnValue:
        account, args = caller(world, auth_id), request.args
        since = datetime.fromisoformat(f"{args['message_time__gte']}+00:00") if "message_time__gte" in args else None
        with world.lock:
            rows = [dict(row) for row in account["messages"].values()][::-1]
        found = []
        for row in rows:
            at = row.pop("at")
            same = all(
                args.get(asked, row[name]).lstrip("+") == row[name]
                for asked, name in (
                    ("message_direction", "message_direction"),
                    ("to_number", "to_number"),
                    ("from_number", "from_number"),
                )
            )
            if same and (since is None or datetime.fromisoformat(at) >= since):
                found.append(row)
        return paged(found)

    @app.get(f"{api}/Number/")
    def numbers(auth_id: str) -> ResponseReturnValue:
        rows = [
            {"number": one["number"].lstrip("+"), "sms_enabled": one.get("sms", True), "voice_enabled": True}
            for one in caller(world, auth_id)["numbers"]
        ]
        return paged([row for row in rows if "sms" not in request.args.get("services", "") or row["sms_enabled"]])
