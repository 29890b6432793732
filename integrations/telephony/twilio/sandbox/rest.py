"""Twilio's own API, and the ways it can be told to misbehave."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlencode
from xml.etree import ElementTree

from flask import Flask, Response, abort, g, jsonify, request
from flask.typing import ResponseReturnValue

from integrations.telephony.twilio.sandbox.world import ENDS, FINAL, Json, World, callback, leg, post, rfc2822, wanted

API = "/2010-04-01/Accounts/<sid>"
TONE = b"\xff\xfb\x90\xc4" + bytes(412)  # the head of an MPEG audio frame and silence


def rest(app: Flask, world: World) -> None:
    """Twilio's own API, and the ways it can be told to misbehave."""

    @app.before_request
    def misbehave() -> ResponseReturnValue | None:
        line = f"{request.method} {request.path}"
        if request.path.startswith("/_stage/"):
            return None
        with world.lock:
            fault = next((one for one in world.faults if line.startswith(one["match"]) and one["times"] > 0), None)
            if fault:
                fault["times"] -= 1
        g.fault = fault or {}
        if g.fault.get("action") == "slow":
            time.sleep(g.fault.get("seconds", 1))
        if g.fault.get("action") == "html":
            return "<!doctype html><title>Maintenance</title>", int(g.fault.get("status", 200))
        if g.fault.get("action") == "status":
            headers = {"Retry-After": str(g.fault["retry_after"])} if "retry_after" in g.fault else {}
            status = int(g.fault.get("status", 503))
            return jsonify(code=20500, message="made to fail", status=status), status, headers
        return None

    @app.after_request
    def remember(response: Response) -> Response:
        if not request.path.startswith("/_stage/"):
            with world.lock:
                line = f"{request.method} {request.path}"
                world.requests.append({"line": line, "status": response.status_code, "form": request.form.to_dict()})
            if g.get("fault", {}).get("action") == "drop_after":
                return Response(cut_off(), response.status_code, {"Content-Length": "1000"})
        return response

    for status, code in ((400, 21201), (401, 20003), (404, 20404), (405, 20004)):
        app.register_error_handler(
            status,
            lambda error, code=code: (jsonify(code=code, message=error.description, status=error.code), error.code),
        )

    def caller(sid: str) -> Json:
        given = request.authorization
        with world.lock:
            account = world.accounts.get(sid)
            if account is None or given is None or (given.username, given.password) != (sid, account["token"]):
                abort(401, "Authenticate")
            return account

    def shown(row: Json) -> Json:
        hidden = ("steps", "callback")
        plain = {name: rfc2822(value) if isinstance(value, datetime) else value for name, value in row.items()}
        return {name: value for name, value in plain.items() if name not in hidden} | {
            "duration": None if row["duration"] is None else str(row["duration"])
        }

    @app.post(f"{API}/Calls.json")
    def dial(sid: str) -> ResponseReturnValue:
        account, form = caller(sid), request.form
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
        later(account, told)
        return jsonify(shown(root) | {"status": "queued"}), 201

    def later(account: Json, told: list[tuple[Json, Json]]) -> None:
        """Post after we have answered, as Twilio does."""
        line = [(row["callback"][0], form) for row, form in told if wanted(row, form)]
        threading.Thread(target=lambda: [post(world, account, url, form) for url, form in line], daemon=True).start()

    @app.post(f"{API}/Calls/<call>.json")
    def update(sid: str, call: str) -> ResponseReturnValue:
        account = caller(sid)
        with world.lock:
            family = [row for row in account["cdr"] if call in (row["sid"], row["parent_call_sid"])]
            if not family:
                abort(404, "The requested resource was not found")
            if request.form.get("Status") != "completed" or family[0]["status"] in FINAL:
                abort(400, "Call is not in-progress. Cannot redirect.")
            now = world.now()
            told = [
                (row, callback(row, "completed", now, int((now - row["start_time"]).total_seconds())))
                for row in reversed(family)
                if row["status"] not in FINAL
            ]
        later(account, told)
        return jsonify(shown(family[0]))

    @app.get(f"{API}/Calls.json")
    def calls(sid: str) -> ResponseReturnValue:
        account, args = caller(sid), request.args
        since = args.get("EndTime>", "")
        size, start = min(int(args.get("PageSize", 50)), account["page"]), int(args.get("Page", 0))
        with world.lock:
            rows = [
                row for row in account["cdr"] if not since or (row["end_time"] and f"{row['end_time']:%F}" >= since)
            ]
        rows.sort(key=lambda row: row["start_time"], reverse=True)
        page = rows[start * size : (start + 1) * size]
        more = urlencode({"PageSize": size, "Page": start + 1, "EndTime>": since, "PageToken": f"PA{start + 1}"})
        return jsonify(
            calls=[shown(row) for row in page],
            page_size=size,
            next_page_uri=f"{request.path}?{more}" if (start + 1) * size < len(rows) else None,
        )

    @app.route(f"{API}/Recordings/<name>", methods=["GET", "DELETE"])
    def recordings(sid: str, name: str) -> ResponseReturnValue:
        account = caller(sid)
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


def cut_off() -> Iterator[bytes]:
    """Begin an answer and lose the connection."""
    yield b"{"
    raise ConnectionAbortedError("the fault asked for this")
