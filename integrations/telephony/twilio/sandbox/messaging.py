"""Twilio's side of text messages: numbers, messages taken and refused, their list, their words and pictures."""

from __future__ import annotations

import re

from flask import Flask, abort, jsonify, make_response, request
from flask.typing import ResponseReturnValue

from integrations.telephony.sandbox import Json, World, caller, later
from integrations.telephony.twilio.sandbox.world import message, post

MOST_CHARACTERS = 1600


def messaging(app: Flask, world: World, api: str) -> None:
    """The resources of text messages."""

    def shown(row: Json) -> Json:
        return {name: value for name, value in row.items() if name != "media"}

    def refuse(code: int, why: str) -> None:
        abort(make_response(jsonify(code=code, message=why, status=400), 400))

    def check(account: Json, form: Json) -> None:
        """Refuse what Twilio refuses at once; an account with no numbers of its own is not asked about them."""
        to, ours = form.get("To", ""), form.get("From", "")
        if not to or not ours or not (form.get("Body") or form.get("MediaUrl")):
            refuse(21602, "A 'To' phone number, a 'From' phone number and a 'Body' are required.")
        if not re.fullmatch(r"\+[0-9]{7,15}", to):
            refuse(21211, "Invalid 'To' Phone Number")
        sends = {one["number"]: one.get("sms", True) for one in account["numbers"]}
        if sends and ours not in sends:
            refuse(21659, "'From' is not a Twilio phone number or Short Code country mismatch")
        if sends and not sends[ours]:
            refuse(21606, "The 'From' phone number is not a valid, SMS-capable Twilio phone number")
        if len(form.get("Body", "")) > MOST_CHARACTERS:
            refuse(21617, "The concatenated message body exceeds the 1600 character limit")
        if account["verified"] is not None and to not in account["verified"]:
            refuse(21608, "The number is unverified. Trial accounts cannot send messages to unverified numbers")
        if [ours, to] in account["stopped"]:
            refuse(21610, "Attempt to send to unsubscribed recipient")

    @app.post(f"{api}/Messages.json")
    def send_message(sid: str) -> ResponseReturnValue:
        account, form = caller(world, sid), request.form
        check(account, form)
        wish = {"from": form["From"], "to": form["To"], "text": form.get("Body", ""), "sent": True}
        with world.lock:
            wish |= account.pop("next_text", {})
            wish["media"] = len(form.getlist("MediaUrl"))
            told = message(account, wish, world.now(), request.host_url.rstrip("/"))
        later(world, account, [(form.get("StatusCallback", ""), one) for one in told], post)
        row = shown(account["messages"][told[0]["MessageSid"]])
        return jsonify(row | {"status": "queued", "date_sent": None, "error_code": None}), 201

    @app.get(f"{api}/Messages.json")
    def messages(sid: str) -> ResponseReturnValue:
        account, args = caller(world, sid), request.args
        with world.lock:
            rows = [shown(row) for row in account["messages"].values()]
        for name, field in (("To", "to"), ("From", "from")):
            rows = [row for row in rows if name not in args or row[field] == args[name]]
        return jsonify(messages=rows[::-1][: int(args.get("PageSize", 50))], next_page_uri=None)

    @app.get(f"{api}/Messages/<name>.json")
    def one_message(sid: str, name: str) -> ResponseReturnValue:
        row = caller(world, sid)["messages"].get(name)
        if row is None:
            abort(404, "The requested resource was not found")
        return jsonify(shown(row))

    @app.get(f"{api}/Messages/<name>/Media.json")
    def media(sid: str, name: str) -> ResponseReturnValue:
        row = caller(world, sid)["messages"].get(name)
        if row is None:
            abort(404, "The requested resource was not found")
        return jsonify(media_list=[{"sid": one, "parent_sid": name} for one in row["media"]])

    @app.get(f"{api}/IncomingPhoneNumbers.json")
    def numbers(sid: str) -> ResponseReturnValue:
        rows = [
            {"phone_number": one["number"], "capabilities": {"voice": True, "sms": one.get("sms", True), "mms": False}}
            for one in caller(world, sid)["numbers"]
        ]
        return jsonify(incoming_phone_numbers=rows, next_page_uri=None, page_size=len(rows))
