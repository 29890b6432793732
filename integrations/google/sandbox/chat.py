"""Google Chat as the app itself sees it: direct messages it was added to, and messages it puts there by itself.

`spaces.messages.create` with app authentication: a service account (`robots`) may write where the app is a member. A
name it gave a message once is taken; a request id it used once brings the same message again
(https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/create).
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from flask import Flask, request

from . import hosts
from .control import Unclear, body, text, user_of
from .errors import GoogleError, bad, not_found
from .world import World

Json = dict[str, Any]
BOT = "https://www.googleapis.com/auth/chat.bot"
MESSAGE_ID = re.compile(r"client-[a-z0-9-]{1,56}")
MOST_BYTES = 32_000


def install(app: Flask, world: World) -> None:
    """Open the method, and the stage's side of it."""

    @app.post("/v1/spaces/<space>/messages")
    def chat_says(space: str) -> Json:
        spaces, name = world.chat, f"spaces/{space}"
        world.robots.bearer(request.headers.get("Authorization", ""), BOT)
        if name not in spaces.known:
            raise not_found()
        if name not in spaces.members:
            raise GoogleError(403, "This Chat app is not a member of this space.", status="PERMISSION_DENIED")
        if len(request.get_data()) > MOST_BYTES:
            raise bad("Message is too large.")
        asked = request.get_json()
        key, own = request.args.get("requestId", ""), request.args.get("messageId", "")
        if key and key in spaces.requests:
            return spaces.requests[key]
        if own and not MESSAGE_ID.fullmatch(own):
            raise bad("Invalid message ID.")
        there = spaces.messages.setdefault(name, [])
        made: Json = asked | {"name": f"{name}/messages/{own or secrets.token_hex(8)}", "space": {"name": name}}
        if any(one["name"] == made["name"] for one in there):
            raise GoogleError(409, "Requested entity already exists.", "alreadyExists")
        if found := [problem for one in asked.get("cardsV2", ()) for problem in hosts.problems({"action": one})]:
            raise bad("; ".join(found))
        there.append(made)
        if key:
            spaces.requests[key] = made
        return made

    @app.post("/_stage/chat/space")
    def chat_added() -> Json:
        name = f"spaces/{secrets.token_urlsafe(8)}"
        world.chat.members[name] = user_of(world, body()).email
        world.chat.known.add(name)
        return {"name": name}

    @app.post("/_stage/chat/leave")
    def chat_left() -> Json:
        if world.chat.members.pop(text(body(), "space"), None) is None:
            raise Unclear("the app is not there")
        return {}

    @app.get("/_stage/chat")
    def chat_said() -> Json:
        return {"messages": world.chat.messages}
