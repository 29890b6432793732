"""Act 6: Bob links his Google account once, and Gmail shows him who wrote; who linked nothing is shown the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import requests

from sandbox.cast import ALICE, BOB
from sandbox.people import ZOE
from sandbox.scene import Scene, expect, in_words

SCOPES = "https://www.googleapis.com/auth/"
GRANTED = ("openid", SCOPES + "userinfo.email", SCOPES + "gmail.addons.current.message.metadata")
ANSWER_SECONDS = 30


def opens(scene: Scene) -> Iterator[str]:
    """Open a message of a known caller in Gmail."""
    message = scene.google.post("mail", user=BOB, **{"from": f"{ZOE.name} <{ZOE.email}>"}, subject="Limpor", text="Hej")
    stranger = _card(scene, message["id"])
    expect("custom_authorization_prompt" in stranger, "Gmail was shown a card for somebody who linked no account")
    expect(ZOE.name not in str(stranger), "the card for a stranger names a caller")
    page = scene.bob.get("/console/workspace")
    asked = scene.bob.submit(page, page.form(action="/console/workspace"))
    consent = asked.form("user")
    consent.tick("user", [BOB])
    linked = scene.bob.submit(asked, consent)
    expect(linked.says("connected to you"), f"Bob's Google account was not linked: {linked.text[:200]}")
    [(shown, took)] = scene.until(lambda: _named(scene, message["id"]), f"the card does not name {ZOE.name}")
    expect("'value': 'dial'" in str(shown), "the card has no button that calls")
    problems = scene.google.post("addon/answers", name="gmail", answer=shown)["problems"]
    expect(not problems, f"Google would not show the card: {problems}")
    yield f"Bob opens {ZOE.name}'s message in Gmail: her card stands beside it in {took}, read by that message's token"
    refused = _knock(scene, message["id"], user=ALICE, endpoint="https://elsewhere.example/addon/google").status_code
    expect(refused == 401, f"a token for another address was answered {refused}")
    yield "before he linked his account it said how to, and named nobody; a token for another address: 401"


def _named(scene: Scene, message: str) -> list[tuple[Any, str]]:
    """The card that names her and how long it took; none while a busy machine is only good for its bones."""
    began = time.monotonic()
    shown = _card(scene, message)
    return [(shown, in_words(time.monotonic() - began))] if f"'title': '{ZOE.name}'" in str(shown) else []


def _card(scene: Scene, message: str) -> Any:
    answer = _knock(scene, message)
    expect(answer.status_code == 200, f"the card's door answered {answer.status_code}")
    return answer.json()


def _knock(scene: Scene, message: str, user: str = BOB, endpoint: str = "") -> requests.Response:
    """Knock as Gmail does when somebody opens a message."""
    door = f"{scene.house.origin}/addon/google"
    told = {"message": message} if user == BOB else {}
    event = scene.google.post("addon/event", host="GMAIL", user=user, endpoint=endpoint or door, scopes=GRANTED, **told)
    return requests.post(door, data=event["body"], headers=event["headers"], timeout=ANSWER_SECONDS)
