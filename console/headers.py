"""What a browser is told about every page: load nothing of others, be framed by nobody, keep no copy. What Zoho or
Google Meet frames says by whom.

Facts: OWASP ASVS 5 3.4; https://www.w3.org/TR/CSP3/#directive-form-action (browsers check it on redirects as well, so
the origins where consent is given must be named).
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Response

from integrations.zoho.datacentres import ACCOUNTS, is_loopback, origin
from settings import Settings

MEET = "https://meet.google.com"
MEET_SCRIPTS = "https://www.gstatic.com/meetjs/"  # Meet's add-on script, which no page can bring along by itself
YEAR_SECONDS = 31_536_000


def consent_origins(settings: Settings) -> tuple[str, ...]:
    """Where a form of ours may lead in the end: the pages on which Zoho and Google ask for consent."""
    zoho = origin(settings.zoho_serverinfo_url)
    if is_loopback(zoho):  # a stage: its data centres are ports of this machine
        parts = urlsplit(zoho)
        homes = [f"{parts.scheme}://{parts.hostname}:*"]
    else:
        homes = [zoho, *ACCOUNTS.values()]  # Zoho sends a browser on to the data centre its user lives in
    return tuple(dict.fromkeys([origin(settings.google_auth_uri), *homes]))


def content_policy(
    settings: Settings,
    *,
    sound: bool = False,
    framed_by: Sequence[str] = (),
    script_from: str = "",
    script_of_frame: str = "",
) -> str:
    """The Content-Security-Policy of every page; `sound`: of one that plays a recording of ours.

    `script_from`: somebody else's script is on the page, so it may ask nothing of us and send nothing anywhere.
    `script_of_frame`: whoever frames the page has a script of theirs on it, and the operator agreed.
    """
    return "; ".join(
        (
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self'",
            " ".join(filter(None, ("script-src 'self'", script_from, script_of_frame))),
            *(("connect-src 'self'",) if not script_from else ()),
            *(("media-src 'self'",) if sound else ()),
            " ".join(("form-action 'self'", *consent_origins(settings))) if not script_from else "form-action 'none'",
            "base-uri 'none'",
            "object-src 'none'",
            " ".join(("frame-ancestors", *(framed_by or ("'none'",)))),
        )
    )


def guard(
    response: Response,
    settings: Settings,
    *,
    keep: bool = False,
    sound: bool = False,
    framed_by: Sequence[str] = (),
    script_from: str = "",
    script_of_frame: str = "",
) -> Response:
    """Add the headers; `keep` for the style sheet and pictures, which hold nothing of anybody, `sound` for a player."""
    headers = response.headers
    headers["Content-Security-Policy"] = content_policy(
        settings, sound=sound, framed_by=framed_by, script_from=script_from, script_of_frame=script_of_frame
    )
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    if not keep:
        headers["Cache-Control"] = "no-store"
    if settings.origin.startswith("https://"):
        headers["Strict-Transport-Security"] = f"max-age={YEAR_SECONDS}; includeSubDomains"
    return response
