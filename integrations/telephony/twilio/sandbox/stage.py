"""What the director of the play uses: accounts, calls that happen, faults, the clock, and a look behind the scene."""

from __future__ import annotations

import random

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from integrations.telephony.twilio.sandbox.world import Json, World, play, post


def stage(app: Flask, world: World, origin: str) -> None:
    """What the director of the play uses."""

    @app.post("/_stage/accounts")
    def accounts() -> ResponseReturnValue:
        wish: Json = request.get_json()
        fresh: Json = {"cdr": [], "recordings": {}, "deliveries": [], "owed": [], "posted": 0, "page": 1000}
        with world.lock:
            world.accounts[wish["sid"]] = fresh | wish
        return jsonify(sid=wish["sid"]), 201

    @app.post("/_stage/call")
    def call() -> ResponseReturnValue:
        wish: Json = request.get_json()
        account, dice = world.account(wish["sid"]), random.Random(wish.get("shuffle"))
        with world.lock:
            root, told = play(account, wish, world.now(), origin or request.host_url.rstrip("/"))
        line = [form for form in told if dice.random() >= wish.get("drop", 0)] * wish.get("copies", 1)
        if wish.get("shuffle") is not None:
            dice.shuffle(line)
        statuses = [post(world, account, account["door_url"], form) for form in line]
        return jsonify(call_sid=root["sid"], statuses=statuses)

    @app.post("/_stage/next")
    def next_one() -> ResponseReturnValue:
        wish: Json = request.get_json()
        world.account(wish["sid"])["next"] = wish.get("outcome", "answered")
        return "", 204

    @app.post("/_stage/send")
    def send() -> ResponseReturnValue:
        wish: Json = request.get_json()
        account, times, tamper = world.account(wish["sid"]), wish.get("times", 1), wish.get("tamper", "")
        statuses = [post(world, account, account["door_url"], wish["form"], tamper) for _ in range(times)]
        return jsonify(statuses=statuses)

    @app.post("/_stage/retry")
    def retry() -> ResponseReturnValue:
        account = world.account(request.get_json()["sid"])
        with world.lock:
            owed, account["owed"] = account["owed"], []
        return jsonify(statuses=[post(world, account, url, form) for url, form in owed])

    @app.get("/_stage/<any(cdr, deliveries, recordings):what>")
    def show(what: str) -> ResponseReturnValue:
        kept = world.account(request.args.get("sid"))[what]
        return jsonify({what: list(kept.values()) if isinstance(kept, dict) else kept})

    @app.route("/_stage/requests", methods=["GET", "DELETE"])
    def requests() -> ResponseReturnValue:
        with world.lock:
            seen = list(world.requests)
            if request.method == "DELETE":
                world.requests.clear()
        return jsonify(last=seen)

    @app.route("/_stage/faults", methods=["POST", "DELETE"])
    def faults() -> ResponseReturnValue:
        with world.lock:
            if request.method == "DELETE":
                world.faults.clear()
            else:
                world.faults.append({"times": 1} | request.get_json())
        return "", 204

    @app.post("/_stage/clock")
    def clock() -> ResponseReturnValue:
        with world.lock:
            world.ahead += float(request.get_json()["advance"])
        return jsonify(now=world.now().timestamp())

    @app.post("/_stage/reset")
    def reset() -> ResponseReturnValue:
        world.reset()
        return "", 204
