"""Who is at the desk: sessions, the cookies that carry them, and the gate in front of every page.

A session is an opaque 256-bit value; only its fingerprint is kept, in the directory, with an end. The role decides
which pages open; a page nobody gave to agents is the administrator's.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, Request, g, redirect, request, session, url_for
from flask.sansio.app import App
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response

from console.desk import Here, desk, page
from console.words import Times
from domain.errors import Forbidden, Missing, Trouble, Unauthentic
from settings import Settings
from store.directory import Entry
from store.tenants import Tenant, User

SESSION_HOURS = 12
BROWSER_SECONDS = 3600  # longer than a consent may take
ALSO_FOR_AGENTS = frozenset(
    {
        "console.panel",
        "console.own",
        "console.pairing",
        "console.workspace",
        "console.byhand",
        "console.calls",
        "console.callbacks",
        "console.call_lists",
        "console.mail",
        "console.meet",
        "console.mailboxes",
        "console.missed",
        "console.noting",
        "console.texts",
        "console.text_writing",
        "console.contacts",
        "console.dialling",
        "console.session",
        "console",
    }
)
WITHOUT_SESSION = frozenset(
    {
        "console.session.sign_in",
        "console.session.sign_in_zoho",
        "console.consent.install_zoho",
        "console.consent.install_google",
        "console.consent.callback",
        "console.meet.index",  # a frame knows who it is by itself (`console.framed`)
        "console.meet.dial",
        "console.meet.leave",
        "console.meet.opened",
    }
)
FRAMED = frozenset({"console.meet.dial", "console.meet.leave"})  # their forms bring the frame's own token
COME_BACK = frozenset(  # where cards and frames send people: they go on there once signed in
    {"console.workspace.index", "console.pairing.index", "console.meet.allow"}
)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

bp = Blueprint("session", __name__, url_prefix="/console")
csrf = CSRFProtect()


@dataclass(frozen=True, slots=True)
class Member:
    """A signed-in user, in the shape Flask-Login asks for."""

    user: User
    tenant: Tenant
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False

    def get_id(self) -> str:
        return str(self.user.id)


# ---- cookies ----------------------------------------------------------------------------------------------


def _secure(settings: Settings) -> bool:
    return settings.origin.startswith("https://")


def cookie_name(settings: Settings, name: str) -> str:
    """`__Host-` binds a cookie to this very host and to https: RFC 6265bis, 4.1.3.2."""
    return f"__Host-{name}" if _secure(settings) else name


def _set(response: Response, name: str, value: str, seconds: int) -> None:
    settings = desk().services.settings
    response.set_cookie(
        cookie_name(settings, name),
        value,
        max_age=seconds,
        secure=_secure(settings),
        httponly=True,
        samesite="Lax",
        path="/",
    )


def set_in_frame(response: Response, name: str, value: str, seconds: int) -> Response:
    """Have the browser keep a cookie of a frame on somebody else's page: under https in a jar of its own for each site
    around it (CHIPS): https://developer.mozilla.org/docs/Web/Privacy/Guides/Privacy_sandbox/Partitioned_cookies."""
    settings = desk().services.settings
    secure = _secure(settings)
    response.set_cookie(
        cookie_name(settings, name),
        value,
        max_age=seconds,
        secure=secure,
        httponly=True,
        samesite="None" if secure else "Lax",
        partitioned=secure,
        path="/",
    )
    return response


def _get(name: str) -> str:
    return request.cookies.get(cookie_name(desk().services.settings, name), "")


def browser() -> str:
    """The value that binds a consent to this browser; a new one where there is none yet."""
    return _get("linekeeper_browser") or secrets.token_urlsafe(32)


def known_browser() -> str:
    return _get("linekeeper_browser")


def to_consent(address: str, value: str) -> Response:
    """Send the browser to a consent page, bound to the cookie `value`."""
    response = Response(status=303, headers={"Location": address})
    _set(response, "linekeeper_browser", value, BROWSER_SECONDS)
    return response


# ---- sessions ---------------------------------------------------------------------------------------------


def start(response: Response, user: User) -> Response:
    """Sign `user` in on this browser; whatever session it had before ends."""
    services = desk().services
    if old := _get("linekeeper_session"):
        services.directory.strike("session", old)
    asked = session.get("frame")  # a frame that waits for whoever signs in now
    session.clear()
    if asked:
        session["frame"] = asked
    value = services.directory.new(
        "session", user.tenant, user=user.id, expires_at=services.now() + timedelta(hours=SESSION_HOURS)
    )
    _set(response, "linekeeper_session", value, SESSION_HOURS * 3600)
    return response


def _load(_: Request) -> Member | None:
    """Find whose session this is. A user who left, or a tenant that was erased, has none."""
    value = _get("linekeeper_session")
    return member_of(desk().services.directory.find("session", value)) if 0 < len(value) <= 128 else None


def member_of(entry: Entry | None) -> Member | None:
    """Who an entry of the directory signs in, if they may still be."""
    services = desk().services
    if entry is None or entry.user is None:
        return None
    try:
        tenant = services.tenants.get(entry.tenant)
        user = services.tenants.user(entry.tenant, entry.user)
    except Trouble:
        return None
    return Member(user, tenant) if user is not None and user.active and tenant.state == "active" else None


def init_app(app: App) -> None:
    """Prepare the application: sign-in, form tokens and the cookie they live in."""
    services = app.extensions["linekeeper.console"].services
    app.secret_key = services.vault.derive("flask")
    app.config.update(
        SESSION_COOKIE_NAME=cookie_name(services.settings, "linekeeper_form"),
        SESSION_COOKIE_SECURE=_secure(services.settings),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        WTF_CSRF_CHECK_DEFAULT=False,  # machines knock on other doors of this app; the gate below asks for a token
        WTF_CSRF_SSL_STRICT=False,  # it wants a Referer, and we tell browsers to send none; `_same_site` asks instead
        WTF_CSRF_TIME_LIMIT=SESSION_HOURS * 3600,
    )
    csrf.init_app(app)
    login = LoginManager()
    login.session_protection = None  # nothing of ours is in Flask's session
    login.request_loader(_load)
    login.init_app(app)


def member() -> Member | None:
    """Who is signed in, or nobody."""
    return current_user._get_current_object() if current_user.is_authenticated else None


def seat(found: Member | None) -> Here | None:
    """Seat whoever is signed in at the desk, for this request."""
    if found is None:
        return None
    at = Here(found.user, found.tenant, Times.of(found.tenant.time_zone, desk().services.now()))
    g.here = at
    return at


def then(usual: str) -> str:
    """The page somebody wanted before they were asked to sign in."""
    wanted = session.get("then", "")
    return wanted if wanted in COME_BACK else usual


def wants_json() -> bool:
    return request.endpoint == "console.panel.state" or request.accept_mimetypes.best == "application/json"


def gate() -> ResponseReturnValue | None:
    """Let nobody past without a session, a fitting role and, to change something, this page's own form."""
    if request.endpoint == "console.static" or request.blueprint == "console.widget":  # it has a session of its own
        return None
    at = seat(member())
    if request.endpoint not in WITHOUT_SESSION:
        if at is None:
            if request.method in SAFE and not wants_json():
                if request.endpoint in COME_BACK:
                    session["then"] = request.endpoint
                return redirect(url_for("console.session.sign_in"))
            raise Unauthentic("Please sign in.", code="session.none")
        if not at.admin and request.blueprint not in ALSO_FOR_AGENTS:
            if request.endpoint == "console.overview.index":
                return redirect(url_for("console.panel.index"))
            raise Forbidden("This page is for administrators.", code="role.admin_only")
    if request.method not in SAFE and request.endpoint not in FRAMED:
        _same_site()
        csrf.protect()
    return None


def _same_site() -> None:
    """Refuse a form another site sent. Under `no-referrer` browsers send `Origin: null` with our own forms too
    (https://fetch.spec.whatwg.org/#append-a-request-origin-header), so Sec-Fetch-Site is asked first."""
    came_from = request.headers.get("Sec-Fetch-Site")
    sent_by = request.headers.get("Origin", "null")
    fits = came_from in ("same-origin", "none") if came_from else sent_by in ("null", desk().services.settings.origin)
    if not fits:
        raise Forbidden("This form did not come from Linekeeper.", code="csrf")


# ---- the pages --------------------------------------------------------------------------------------------


@bp.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Show how to sign in."""
    if member() is not None:
        return redirect(url_for("console.overview.index"))
    return page("sign_in.html")


@bp.get("/sign-in/zoho")
def sign_in_zoho() -> ResponseReturnValue:
    """Let Zoho say who this is."""
    value = browser()
    address = desk().connect.begin(desk().services, provider="zoho", purpose="sign_in", browser=value)
    return to_consent(address, value)


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End this session, here and in the directory."""
    services = desk().services
    value = _get("linekeeper_session")
    if not value:
        raise Missing
    services.directory.strike("session", value)
    found = member()
    if found is not None:
        services.ledger.note(found.user.tenant, "signed_out", actor=f"user:{found.user.id}")
    session.clear()
    response = redirect(url_for("console.session.sign_in"), 303)
    _set(response, "linekeeper_session", "", 0)
    return response
