"""Signing in inside a frame of somebody else's page, where a browser keeps our usual cookie from us.

The frame has a cookie of its own, which browsers keep apart for that outer site, with a value nobody else knows. What
it shows of itself is a name made of that value; somebody who is signed in opens the name in a window of its own and
says that it is theirs. From then on the cookie is theirs in that frame, for a day's work.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Literal

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from console.desk import Here, desk
from console.session import SESSION_HOURS, cookie_name, set_in_frame
from console.words import Times
from domain.errors import Forbidden, Malformed, Trouble, Unauthentic
from store.tenants import User

KIND: Literal["frame"] = "frame"  # what the directory calls such a name
COOKIE = "linekeeper_frame"
ASKED_SECONDS = 600  # in which somebody says that a frame is theirs
CODE_DIGITS = 10**4


class Frame:
    """The frame this request came from; a new one where the browser brought no cookie."""

    def __init__(self) -> None:
        brought = request.cookies.get(cookie_name(desk().services.settings, COOKIE), "")
        self.kept = 0 < len(brought) <= 128
        self._value = brought if self.kept else secrets.token_urlsafe(32)
        self.name = _made(self._value, "name")

    @property
    def token(self) -> str:
        """What a form of this frame brings along."""
        return _made(self._value, "form")

    def here(self) -> Here | None:
        """Whose it is, if somebody said so."""
        services = desk().services
        entry = services.directory.find(KIND, self.name) if self.kept else None
        if entry is None or entry.user is None:
            return None
        try:
            tenant, user = services.tenants.get(entry.tenant), services.tenants.user(entry.tenant, entry.user)
        except Trouble:
            return None
        if user is None or not user.active or tenant.state != "active":
            return None
        return Here(user, tenant, Times.of(tenant.time_zone, services.now()))

    def pressed(self) -> Here:
        """Whose form this is. Raises Unauthentic, and Forbidden for one this frame did not make."""
        at = self.here()
        if at is None:
            raise Unauthentic("This panel is nobody's yet, or was left.", code="session.none")
        fits = secrets.compare_digest(request.form.get("frame_token", "").encode(), self.token.encode())
        if not fits or request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise Forbidden("This form did not come from Linekeeper.", code="csrf")
        return at

    def leave(self) -> None:
        """It is nobody's any more."""
        desk().services.directory.strike(KIND, self.name)

    def keep(self, response: Response) -> Response:
        """Have the browser keep the cookie, for this frame on that site alone."""
        return set_in_frame(response, COOKIE, self._value, SESSION_HOURS * 3600)


def ask(name: str) -> str:
    """What the window is opened with: the frame's name, for ten minutes."""
    return _signer().dumps(name)


def asked(ticket: str) -> str:
    """The name again. Raises Malformed for a ticket that is old or not ours."""
    try:
        name: str = _signer().loads(ticket[:512], max_age=ASKED_SECONDS)
    except BadSignature:
        why = "This asked too long ago, or not from here. Start again in the panel."
        raise Malformed(why, code="frame.old") from None
    return name


def code(name: str) -> str:
    """Four digits that stand in the frame and in the window: the same frame, then."""
    return f"{int(_made(name, 'code')[:8], 16) % CODE_DIGITS:04d}"


def allow(name: str, user: User) -> None:
    """It is this user's for a day's work."""
    services = desk().services
    ends = services.now() + timedelta(hours=SESSION_HOURS)
    services.directory.put(KIND, name, user.tenant, user=user.id, expires_at=ends)
    services.ledger.note(user.tenant, "frame.allowed", actor=f"user:{user.id}", subject=f"users:{user.id}")


def _made(value: str, what: str) -> str:
    return hashlib.sha256(f"{what} {value}".encode()).hexdigest()


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="frame")
