"""The platform's own API, and the ways it can be told to misbehave."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Flask, Response, abort, g, jsonify, request, send_file
from flask.typing import ResponseReturnValue

from integrations.telephony.standard.sandbox.live import ACTIONS
from integrations.telephony.standard.sandbox.world import Account, World, body, instant, iso

MOST_CONTACTS = 500
REFUSALS = (400, 401, 404, 405, 409, 415, 416, 422)


def rest(app: Flask, world: World) -> None:
    """The platform's own API."""

    @app.before_request
    def misbehave_before() -> ResponseReturnValue | None:
        if request.path.startswith("/_stage/"):
            return None
        g.fault = world.fault(f"{request.method} {request.path}")
        match g.fault:
            case {"action": "status"}:
                headers = {"Retry-After": str(g.fault["retry_after"])} if "retry_after" in g.fault else {}
                return jsonify(error="made to fail"), int(g.fault.get("status", 503)), headers
            case {"action": "html"}:
                return "<!doctype html><title>Maintenance</title>", int(g.fault.get("status", 200))
            case {"action": "slow"}:
                world.let_go.wait(g.fault.get("seconds", 5))
        return None

    @app.after_request
    def misbehave_after(response: Response) -> Response:
        if request.path.startswith("/_stage/"):
            return response
        with world.lock:
            world.counts[f"{request.method} {request.path}"] += 1
            world.requests.append(
                {"line": f"{request.method} {request.path}", "status": response.status_code, "at": world.now()}
            )
        fault = g.get("fault") or {}
        if fault.get("action") == "hang_after":
            world.let_go.wait(fault.get("seconds", 5))
        if fault.get("action") == "drop_after":
            response = Response(cut_off(), response.status_code, {"Content-Length": "1000"}, response.mimetype)
        return response

    for status in REFUSALS:
        app.register_error_handler(status, lambda error: (jsonify(error=error.description), error.code))

    def caller() -> Account:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        with world.lock:
            if scheme != "Bearer" or key not in world.accounts:
                abort(401, "unknown key")
            return world.accounts[key]

    @app.post("/calls")
    def dial() -> ResponseReturnValue:
        account, wish = caller(), body()
        wanted, number = wish.get("agent") or {}, wish.get("to")
        agent = next(
            (
                agent
                for name in ("extension", "email")
                for agent in account.agents
                if agent.get(name) and agent[name] == wanted.get(name)
            ),
            None,
        )
        if agent is None or not isinstance(number, str) or not number:
            abort(422, "no such agent, or no number")
        at = datetime.fromtimestamp(world.now(), UTC)
        data = {
            "call_id": f"call-{secrets.token_hex(6)}",
            "leg_id": "1",
            "direction": "outbound",
            "from": wish.get("from") or agent["extension"],
            "to": number,
            "agent": agent,
            "started_at": iso(at),
        }
        world.deliver_later(account, world.tell(account, "call.ringing", at, data))
        return jsonify(call_id=data["call_id"]), 201

    @app.post("/messages")
    def write() -> ResponseReturnValue:
        account, wish = caller(), body()
        number, words, key = wish.get("to"), wish.get("text"), request.headers.get("Idempotency-Key", "")
        if not key or not all(isinstance(one, str) and one for one in (number, words)):
            abort(422, "a number, a text and an Idempotency-Key")
        with world.lock:
            known = account.sent.get(key)
            message = account.sent.setdefault(key, f"sms-{secrets.token_hex(6)}")
        if known is None:
            at = datetime.fromtimestamp(world.now(), UTC)
            data = {"message_id": message, "from": "+34911222333", "to": number, "text": words}
            data |= {"agent": wish["agent"]} if wish.get("agent") else {}
            world.deliver_later(account, world.tell(account, "message.sent", at, data))
        return jsonify(message_id=message), 201

    @app.post(f"/calls/<call_id>/<any({', '.join(ACTIONS)}):action>")
    def control(call_id: str, action: str) -> ResponseReturnValue:
        account, wish = caller(), body()
        if action == "hangup":
            world.deliver_later(account, *world.hang_up(account, call_id, request.url_root))
            return "", 204
        with world.lock:
            if call_id not in account.live:
                abort(404, "no such call, or it is over")
            kind, data = account.live[call_id].steer(action, wish), account.live[call_id].data
        if kind:
            world.deliver_later(account, world.tell(account, kind, datetime.fromtimestamp(world.now(), UTC), data))
        return "", 204

    @app.get("/calls/<call_id>/recording")
    def recording(call_id: str) -> ResponseReturnValue:
        account = caller()
        with world.lock:
            if call_id not in account.sounds:
                abort(404, "no recording of this call")
            kept = io.BytesIO(account.sounds[call_id])
        return send_file(kept, mimetype="audio/wav", conditional=True)  # Range is answered, as players ask for it

    @app.delete("/calls/<call_id>/recording")
    def forget_recording(call_id: str) -> ResponseReturnValue:
        account = caller()
        with world.lock:
            if account.sounds.pop(call_id, None) is None:
                abort(404, "no recording of this call")
            for row in account.cdr:
                if row["call_id"] == call_id:
                    row.pop("recording_url", None)
        return "", 204

    @app.get("/calls")
    def calls() -> ResponseReturnValue:
        account = caller()
        after = instant(request.args.get("ended_after", ""))
        start = request.args.get("cursor", "0")
        if not start.isdecimal():
            abort(400, "unknown cursor")
        with world.lock:
            rows = [row for row in account.cdr if instant(row["ended_at"]) > after]
        rows.sort(key=lambda row: instant(row["ended_at"]))
        end = int(start) + account.page
        return jsonify(calls=rows[int(start) : end], next_cursor=str(end) if end < len(rows) else None)

    @app.get("/contacts")
    def contacts() -> ResponseReturnValue:
        account = caller()
        with world.lock:
            return jsonify(contacts=[*account.phonebook.values(), *account.typed.values()])

    @app.put("/contacts")
    def put_contacts() -> ResponseReturnValue:
        account, wish = caller(), body()
        put, removed = wish.get("contacts", []), wish.get("removed", [])
        if len(put) + len(removed) > MOST_CONTACTS or not all(
            isinstance(card.get("id"), str) and isinstance(card.get("numbers"), list) for card in put
        ):
            abort(422, "at most 500 contacts, each with an id and its numbers")
        with world.lock:
            if any(card["id"] in account.typed for card in put):
                abort(409, "somebody typed that entry in: it is not yours to replace")
            account.phonebook.update((card["id"], card) for card in put)
            for id in removed:
                account.phonebook.pop(id, None)
        return jsonify(put=len(put), removed=len(removed))


def cut_off() -> Iterator[bytes]:
    """Begin an answer and lose the connection."""
    yield b"{"
    raise ConnectionAbortedError("the fault asked for this")
