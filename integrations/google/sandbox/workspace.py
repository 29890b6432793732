"""The rest of Workspace as far as a card reaches: one file's text for who was let in, an appointment in one's own
calendar, and, on the stage's side, events as hosts post them and the answers as hosts draw them.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response, request

from . import hosts
from .api import Api, Call, Json
from .control import Unclear, body, text, user_of
from .drawing import page
from .errors import GoogleError, bad, not_found
from .grants import Client
from .scopes import scopes
from .world import User, World

APPOINT = scopes("calendar", "calendar.events", "calendar.events.owned")
READ_FILE = scopes("drive", "drive.readonly", "drive.file")
HOSTS = ("GMAIL", "CALENDAR", "DRIVE", "DOCS", "SHEETS", "SLIDES", "CHAT")
PARTS = ("calendar", "drive", "docs", "sheets", "slides", "chat")
ID_LETTERS = frozenset("0123456789abcdefghijklmnopqrstuv")


def install(app: Flask, world: World) -> None:
    """Open both methods and the stage's side."""
    drive = Api(app, world, "www.googleapis.com", "/drive/v3")
    calendar = Api(app, world, "www.googleapis.com", "/calendar/v3")

    @drive.method("GET", "/files/<file_id>/export", READ_FILE)
    def export(call: Call, file_id: str) -> Response:
        kept = world.files.get((call.user.email, file_id))
        if kept is None:  # a file that was never let in is not there
            raise not_found()
        kind, text = kept
        if call.text("mimeType") != kind:
            raise bad("The requested conversion is not supported.")
        return Response(text, mimetype=kind)

    @calendar.method("POST", "/calendars/primary/events", APPOINT)
    def insert(call: Call) -> Json:
        asked = call.body()
        name = str(asked.get("id", ""))
        if not 5 <= len(name) <= 1_024 or not ID_LETTERS.issuperset(name):
            raise bad("Invalid resource id value.")
        if not asked.get("start") or not asked.get("end"):
            raise bad("Missing end time.")
        mine: dict[str, Any] = world.appointments.setdefault(call.user.email, {})
        if name in mine:
            raise GoogleError(409, "The requested identifier already exists.", "duplicate")
        made: Json = asked | {"status": "confirmed"}
        mine[name] = made
        return made

    install_stage(app, world)


def install_stage(app: Flask, world: World) -> None:
    """Open what stands for people at a host."""

    @app.post("/_stage/addon")
    def register() -> Json:
        asked = body()
        world.hosts.client = Client(text(asked, "client_id"), "", (), "linekeeper")
        world.hosts.account = text(asked, "service_account")
        return {}

    @app.post("/_stage/files")
    def let_in() -> Json:
        asked = body()
        user = user_of(world, asked)
        world.files[user.email, text(asked, "id")] = (text(asked, "kind"), str(asked.get("text", "")))
        return {}

    @app.get("/_stage/appointments")
    def show_appointments() -> Json:
        return {"appointments": world.appointments.get(user_of(world, request.args).email, {})}

    @app.post("/_stage/addon/event")
    def make_event() -> Json:
        asked = body()
        host = text(asked, "host")
        if host not in HOSTS:
            raise Unclear(f"there is no host {host!r}")
        return signed_event(world, user_of(world, asked), host, asked)

    @app.post("/_stage/addon/answers")
    def keep_answer() -> Json:
        asked = body()
        answer = asked.get("answer")
        if not isinstance(answer, dict):
            raise Unclear("answer must be what the product answered")
        world.hosts.shown.append((text(asked, "name"), answer))
        return {"problems": hosts.problems(answer)}

    @app.delete("/_stage/addon/answers")
    def forget_answers() -> Json:
        world.hosts.shown.clear()
        return {}

    @app.get("/_stage/addon/cards")
    def draw() -> Response:
        return Response(page(world.hosts.shown, request.args.get("dir", "ltr")), mimetype="text/html")


def signed_event(world: World, user: User, host: str, asked: Json) -> Json:
    """An event with every token it needs; the stage posts it as it is."""
    endpoint, now, keys = str(asked.get("endpoint", "")), world.now(), world.keys
    granted = [str(scope) for scope in asked.get("scopes", ())]
    common = {"hostApp": host, "platform": "WEB", "userLocale": asked.get("locale", "en")}
    if zone := asked.get("zone"):
        common["timeZone"] = {"id": zone, "offset": 0}
    for name in ("parameters", "formInputs"):
        if name in asked:
            common[name] = asked[name]
    event: Json = {"commonEventObject": common}
    event |= {part: asked[part] for part in PARTS if part in asked}
    access: Json = {"userOAuthToken": world.grants.lend(world.hosts.client, user.email, tuple(granted))}
    access["authorizedScopes"] = granted
    signer = hosts.CHAT if asked.get("by_chat") else world.hosts.account
    access["systemIdToken"] = world.hosts.signed(keys, now, endpoint, email=signer, sub="1")
    if "openid" in granted:
        claims = {"email": user.email, "sub": user.sub} | ({"hd": user.hd} if user.hd else {})
        access["userIdToken"] = world.hosts.signed(keys, now, world.hosts.client.id, **claims)
    event["authorizationEventObject"] = access
    if "chat" in event:
        event["chat"] = {"user": {"name": f"users/{user.sub}"}} | event["chat"]
    if message := asked.get("message"):
        opened = hosts.find(user.mailbox, str(message))
        gmail = {"messageId": hosts.event_id(opened), "accessToken": world.hosts.open(user.email, opened.id)}
        event["gmail"] = gmail | {"threadId": f"thread-f:{int(opened.thread_id, 16)}"}
    on = f"?on={asked['on']}" if asked.get("on") else ""
    return {
        "url": endpoint + on,
        "headers": {"Authorization": f"Bearer {access['systemIdToken']}", "Content-Type": "application/json"},
        "body": json.dumps(event),
    }
