"""What the director of the play uses: accounts, calls that happen, faults, the clock, and a look behind the scene."""

from __future__ import annotations

import random
import secrets
from datetime import UTC, datetime
from typing import Any

from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue

from integrations.telephony.standard.sandbox.live import follow
from integrations.telephony.standard.sandbox.world import PAGE_CALLS, Account, World, body, compact, iso, whole_call


def stage(app: Flask, world: World) -> None:
    """What the director of the play uses."""

    @app.post("/_stage/accounts")
    def open_account() -> ResponseReturnValue:
        wish = body()
        account = Account(**{name: wish[name] for name in ("key", "door_url", "secret")}, agents=wish.get("agents", []))
        account.page, account.records = wish.get("page", PAGE_CALLS), wish.get("records", False)
        with world.lock:
            world.accounts[account.key] = account
        return jsonify(key=account.key), 201

    @app.post("/_stage/send")
    def send() -> ResponseReturnValue:
        wish = body()
        account, id = world.account(wish["key"]), wish.get("id") or f"msg_{secrets.token_hex(12)}"
        event = {"timestamp": iso(datetime.fromtimestamp(world.now(), UTC))} | wish["event"]
        times, tamper = wish.get("times", 1), wish.get("tamper", "")
        if not tamper:
            with world.lock:
                follow(account.live, account.over, event.get("type", ""), event.get("data"))
        return jsonify(id=id, statuses=[world.deliver(account, id, compact(event), tamper) for _ in range(times)])

    @app.post("/_stage/call")
    def call() -> ResponseReturnValue:
        wish = body()
        account, dice = world.account(wish["key"]), random.Random(wish.get("shuffle"))
        wish["call_id"] = wish.get("call_id") or f"call-{secrets.token_hex(6)}"
        if wish.get("record"):
            wish["recording_url"] = world.record(account, wish["call_id"], request.url_root, wish["record"])
        row, events = whole_call(wish, datetime.fromtimestamp(world.now(), UTC))
        with world.lock:
            account.cdr.append(row)
        told = [(kind, world.tell(account, kind, at, data)) for kind, at, data in events]
        kept = [event for event in told if dice.random() >= wish.get("drop", 0)]
        line = kept * wish.get("copies", 1)
        if wish.get("shuffle") is not None:
            dice.shuffle(line)
        sent = [{"id": id, "type": kind, "status": world.deliver(account, id, text)} for kind, (id, text) in line]
        return jsonify(call_id=row["call_id"], sent=sent, dropped=[event[0] for event in told if event not in kept])

    @app.post("/_stage/entries")
    def type_in() -> ResponseReturnValue:
        wish, ids = body(), []
        account = world.account(wish["key"])
        with world.lock:
            for entry in wish["entries"]:
                made = f"entry-{secrets.token_hex(6)}"
                shaped = {"id": made} | entry if isinstance(entry, dict) else entry
                id = shaped["id"] if isinstance(shaped, dict) and isinstance(shaped["id"], str) else made
                account.typed[id] = shaped
                ids.append(id)
        return jsonify(ids=ids), 201

    @app.delete("/_stage/entries")
    def take_out() -> ResponseReturnValue:
        wish = body()
        account = world.account(wish["key"])
        with world.lock:
            for id in wish["ids"]:
                account.typed.pop(id, None)
        return "", 204

    @app.post("/_stage/answer")
    def answer() -> ResponseReturnValue:
        wish, at = body(), iso(datetime.fromtimestamp(world.now(), UTC))
        account = world.account(wish["key"])
        with world.lock:
            if (live := account.live.get(wish["call_id"])) is None or live.answered:
                abort(409, "no such call rings")
            data = live.data | {"answered_at": at}
        event = world.tell(account, "call.answered", datetime.fromisoformat(at), data)
        return jsonify(status=world.deliver(account, *event))

    @app.post("/_stage/recordings")
    def record() -> ResponseReturnValue:
        wish = body()
        account = world.account(wish["key"])
        link = world.record(account, wish["call_id"], request.url_root, wish.get("seconds", 1))
        return jsonify(recording_url=link), 201

    @app.post("/_stage/retry")
    def retry() -> ResponseReturnValue:
        account = world.account(body()["key"])
        with world.lock:
            owed = list(account.owed.items())
        return jsonify(statuses=[world.deliver(account, id, text) for id, text in owed])

    @app.get("/_stage/<any(phonebook, typed, cdr, deliveries, live, recordings):what>")
    def show(what: str) -> ResponseReturnValue:
        account = world.account(request.args.get("key"))
        with world.lock:
            kept: dict[str, list[Any]] = {
                "phonebook": list(account.phonebook.values()),
                "typed": list(account.typed.values()),
                "cdr": account.cdr,
                "deliveries": account.deliveries,
                "live": [call.shown() for call in account.live.values()],
                "recordings": [{"call_id": id, "bytes": len(sound)} for id, sound in account.sounds.items()],
            }
            return jsonify({what: kept[what]})

    @app.get("/_stage/requests")
    def requests() -> ResponseReturnValue:
        with world.lock:
            return jsonify(counts=dict(world.counts), last=list(world.requests))

    @app.delete("/_stage/requests")
    def forget_requests() -> ResponseReturnValue:
        with world.lock:
            world.counts.clear()
            world.requests.clear()
        return "", 204

    @app.post("/_stage/faults")
    def add_fault() -> ResponseReturnValue:
        with world.lock:
            world.faults.append({"times": 1} | body())
        return "", 204

    @app.delete("/_stage/faults")
    def clear_faults() -> ResponseReturnValue:
        with world.lock:
            world.faults.clear()
        world.release()
        return "", 204

    @app.post("/_stage/clock")
    def clock() -> ResponseReturnValue:
        with world.lock:
            world.ahead += float(body()["advance"])
        return jsonify(now=world.now())

    @app.post("/_stage/reset")
    def reset() -> ResponseReturnValue:
        world.reset()
        return "", 204
