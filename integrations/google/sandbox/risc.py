"""Cross-Account Protection as Google plays it: the configuration document, and security event tokens sent on request.

https://developers.google.com/identity/protocols/risc: what happens to an account happens here too, so a token that is
named as revoked is refused from then on.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from http.client import HTTPConnection, HTTPException
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

from .control import Unclear, body, text, user_of
from .push import ANSWER_SECONDS, LOOPBACK
from .world import User, World

ISSUER = "https://accounts.google.com/"  # with the slash, unlike the one of ID tokens
TYPES = "https://schemas.openid.net/secevent/"
EVENTS = {
    "sessions-revoked": "risc/event-type/sessions-revoked",
    "tokens-revoked": "oauth/event-type/tokens-revoked",
    "token-revoked": "oauth/event-type/token-revoked",
    "account-disabled": "risc/event-type/account-disabled",
    "account-enabled": "risc/event-type/account-enabled",
    "account-purged": "risc/event-type/account-purged",
    "credential-change-required": "risc/event-type/account-credential-change-required",
    "verification": "risc/event-type/verification",
}
ALGORITHMS = ("prefix", "hash_base64_sha512_sha512")
PREFIX_CHARACTERS = 16


def install(app: Flask, world: World) -> None:
    """Open the configuration document, what sends events, and what tells how they were answered."""
    answered: dict[int, list[int]] = {}
    numbers = count()

    @app.get("/.well-known/risc-configuration")
    def configuration() -> dict[str, Any]:
        return {
            "issuer": ISSUER,
            "jwks_uri": f"{world.origin}/oauth2/v3/certs",
            "delivery_methods_supported": ["https://schemas.openid.net/secevent/risc/delivery-method/push"],
        }

    @app.post("/_stage/risc")
    def tell() -> dict[str, Any]:
        asked = body()
        kind = text(asked, "event")
        if kind not in EVENTS:
            raise Unclear(f"there is no event {kind!r}; there are {sorted(EVENTS)}")
        said = {"state": text(asked, "state")} if kind == "verification" else about(world, asked, kind)
        claims = {
            "iss": ISSUER,
            "aud": asked.get("audience") or next(iter(world.clients)),
            "iat": int(world.now()),
            "jti": asked.get("jti") or secrets.token_hex(12),
            "events": {TYPES + EVENTS[kind]: said},
        } | asked.get("claims", {})
        endpoint, times = text(asked, "endpoint"), int(asked.get("times", 1))
        check(endpoint)
        number = next(numbers)
        token = world.keys.current().sign(claims)
        # The receiver asks this very server for its keys, so it is not kept waiting for the answer to this request.
        thread = threading.Thread(target=deliver, args=(endpoint, token, times, number), daemon=True)
        thread.start()
        return {"jti": claims["jti"], "number": number}

    @app.get("/_stage/risc")
    def told() -> dict[str, Any]:
        with world.lock:
            return {"answers": {str(number): list(answers) for number, answers in answered.items()}}

    def deliver(endpoint: str, token: str, times: int, number: int) -> None:
        for _ in range(times):
            answer = send(endpoint, token)
            with world.lock:
                answered.setdefault(number, []).append(answer)


def about(world: World, asked: dict[str, Any], kind: str) -> dict[str, Any]:
    """Say whom or what an event is about, and make it so."""
    user = user_of(world, asked)
    said: dict[str, Any] = {"subject": {"subject_type": "iss-sub", "iss": ISSUER, "sub": user.sub}}
    if reason := asked.get("reason"):
        said["reason"] = reason
    if kind == "token-revoked":
        return token_of(world, user, asked.get("algorithm", "prefix"))
    if kind in ("tokens-revoked", "account-disabled", "account-purged"):
        world.grants.withdraw(user.email)
    if kind in ("account-disabled", "account-enabled"):
        user.disabled = kind == "account-disabled"
    return said


def token_of(world: World, user: User, algorithm: str) -> dict[str, Any]:
    """Abbreviate the user's newest refresh token, and revoke it."""
    token = world.grants.newest_refresh(user.email)
    if token is None or algorithm not in ALGORITHMS:
        raise Unclear("this user has no refresh token, or there is no such abbreviation")
    twice = hashlib.sha512(hashlib.sha512(token.encode()).digest()).digest()
    short = token[:PREFIX_CHARACTERS] if algorithm == "prefix" else base64.b64encode(twice).decode()
    world.grants.forget_refresh(token)
    subject = {
        "subject_type": "oauth_token",
        "token_type": "refresh_token",
        "token_identifier_alg": algorithm,
        "token": short,
    }
    return {"subject": subject}


def check(endpoint: str) -> None:
    """Refuse an address that is not on this machine."""
    address = urlsplit(endpoint)
    if address.scheme != "http" or address.hostname not in LOOPBACK:
        raise Unclear("the understudy sends to http://127.0.0.1 or http://localhost only")


def send(endpoint: str, token: str) -> int:
    """Post a token once, without proxies or redirects; return the status, 0 for none."""
    address = urlsplit(endpoint)
    assert address.hostname in LOOPBACK
    connection = HTTPConnection(address.hostname, address.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", address.path or "/", token, {"Content-Type": "application/secevent+jwt"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()
