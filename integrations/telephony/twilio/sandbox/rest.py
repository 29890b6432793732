"""Twilio's own API, and the ways it can be told to misbehave."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlencode
from xml.etree import ElementTree

from flask import Flask, Response, abort, jsonify, request
from flask.typing import ResponseReturnValue

from integrations.telephony.sandbox import TONE, Json, World, caller, faulty, later
from integrations.telephony.twilio.sandbox.messaging import messaging
from integrations.telephony.twilio.sandbox.world import (
    ENDS,
    FINAL,
    callback,
    leg,
    post,
    redirected,
    rfc2822,
    wanted,
)

API = "/2010-04-01/Accounts/<sid>"


def rest(app: Flask, world: World) -> None:
    """Twilio's own API, and the ways it can be told to misbehave."""

    faulty(
        app,
        world,
        lambda status: {"code": 20500, "message": "made to fail", "status": status},
        lambda: {"form": request.form.to_dict()},
    )

    for status, code in ((400, 21201), (401, 20003), (404, 20404), (405, 20004)):
        app.register_error_handler(
            status,
            lambda error, code=code: (jsonify(code=code, message=error.description, status=error.code), error.code),
        )

    def shown(row: Json) -> Json:
        hidden = ("steps", "callback", "taped")
        plain = {name: rfc2822(value) if isinstance(value, datetime) else value for name, value in row.items()}
        return {name: value for name, value in plain.items() if name not in hidden} | {
            "duration": None if row["duration"] is None else str(row["duration"])
        }

    @app.post(f"{API}/Calls.json")
    def dial(sid: str) -> ResponseReturnValue:
        account, form = caller(world, sid), request.form
        if not re.fullmatch(r"\+[0-9]{7,15}|client:\S+|sip:\S+@\S+", form.get("To", "")) or not form.get("From"):
            abort(400, "The phone number you are attempting to call is not valid.")
        try:
            verb = ElementTree.fromstring(form["Twiml"]).find("Dial/Number")
        except (KeyError, ElementTree.ParseError):
            abort(400, "Url, Twiml or ApplicationSid is required.")
        now = world.now()
        root = leg(account, form["From"], form["To"], "outbound-api", None, now)
        root["callback"] = (form.get("StatusCallback", ""), form.getlist("StatusCallbackEvent") or ["completed"])
        told = [(root, callback(root, "in-progress", now))]
        rows = [root]
        if verb is not None:
            child = leg(account, form["From"], verb.text or "", "outbound-dial", root["sid"], now)
            child["callback"] = (verb.get("statusCallback", ""), (verb.get("statusCallbackEvent") or "").split())
            outcome = account.pop("next", "answered")
            told.append((child, callback(child, "ringing", now)))
            final = outcome != "answered"
            told.append((child, callback(child, ENDS[outcome] if final else "in-progress", now)))
            if final:
                told.append((root, callback(root, "completed", now)))
            rows.append(child)
        with world.lock:
            account["cdr"] += rows
        later(world, account, wanted_of(told), post)
        return jsonify(shown(root) | {"status": "queued"}), 201

    @app.post(f"{API}/Calls/<call>.json")
    def update(sid: str, call: str) -> ResponseReturnValue:
        account = caller(world, sid)
        with world.lock:
            family = [row for row in account["cdr"] if call in (row["sid"], row["parent_call_sid"])]
            if not family:
                abort(404, "The requested resource was not found")
            now, twiml = world.now(), request.form.get("Twiml", "")
            mine = next((row for row in family if row["sid"] == call), family[0])
            if bool(twiml) == (request.form.get("Status") == "completed") or mine["status"] in FINAL:
                abort(400, "Call is not in-progress. Cannot redirect.")
            if twiml:
                told = redirected(account, mine, twiml, now)
                later(world, account, wanted_of(told), post)
                return jsonify(shown(mine))
            told = [
                (row, callback(row, "completed", now, int((now - row["start_time"]).total_seconds())))
                for row in reversed(family)
                if row["status"] not in FINAL
            ]
        later(world, account, wanted_of(told), post)
        return jsonify(shown(family[0]))

    @app.get(f"{API}/Calls/<call>.json")
    def one_call(sid: str, call: str) -> ResponseReturnValue:
        row = next((row for row in caller(world, sid)["cdr"] if row["sid"] == call), None)
        if row is None:
            abort(404, "The requested resource was not found")
        return jsonify(shown(row))

    @app.get(f"{API}/Calls.json")
    def calls(sid: str) -> ResponseReturnValue:
        account, args = caller(world, sid), request.args
        since, parent, status = (args.get(name, "") for name in ("EndTime>", "ParentCallSid", "Status"))
        size, start = min(int(args.get("PageSize", 50)), account["page"]), int(args.get("Page", 0))
        with world.lock:
            rows = [
                row
                for row in account["cdr"]
                if (not since or (row["end_time"] and f"{row['end_time']:%F}" >= since))
                and (not parent or row["parent_call_sid"] == parent)
                and (not status or row["status"] == status)
            ]
        rows.sort(key=lambda row: row["start_time"], reverse=True)
        page = rows[start * size : (start + 1) * size]
        more = urlencode({"PageSize": size, "Page": start + 1, "EndTime>": since, "PageToken": f"PA{start + 1}"})
        return jsonify(
            calls=[shown(row) for row in page],
            page_size=size,
            next_page_uri=f"{request.path}?{more}" if (start + 1) * size < len(rows) else None,
        )

    @app.post(f"{API}/Calls/<call>/Recordings/Twilio.CURRENT.json")
    def pause(sid: str, call: str) -> ResponseReturnValue:
        account, form = caller(world, sid), request.form
        with world.lock:
            row = next((row for row in account["cdr"] if row["sid"] == call and row["status"] not in FINAL), None)
            if row is None:
                abort(404, "The requested resource was not found")
            if form.get("Status") not in ("paused", "in-progress", "stopped"):
                abort(400, "Status is required.")
            row["taped"] = form["Status"]
        return jsonify(call_sid=call, status=form["Status"])

    @app.route(f"{API}/Recordings/<name>", methods=["GET", "DELETE"])
    def recordings(sid: str, name: str) -> ResponseReturnValue:
        account = caller(world, sid)
        recording, _, form = name.partition(".")
        with world.lock:
            if recording not in account["recordings"]:
                abort(404, "The requested resource was not found")
            if request.method == "DELETE":
                del account["recordings"][recording]
                return "", 204
            if form == "json":
                return jsonify(account["recordings"][recording])
        return Response(TONE * 8, content_type="audio/mpeg" if form == "mp3" else "audio/x-wav")

    messaging(app, world, API)


def wanted_of(told: list[tuple[Json, Json]]) -> list[tuple[str, Json]]:
    """Which callbacks go where."""
    return [(row["callback"][0], form) for row, form in told if wanted(row, form)]
