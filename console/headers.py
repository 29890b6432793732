"""What a browser is told about every page: load nothing of others, be framed by nobody, keep no copy.

Facts: OWASP ASVS 5 3.4; https://www.w3.org/TR/CSP3/#directive-form-action (browsers check it on redirects as well, so
the origins where consent is given must be named).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Response

from integrations.zoho.datacentres import ACCOUNTS, is_loopback, origin
from settings import Settings

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


def content_policy(settings: Settings, *, sound: bool = False) -> str:
    """The Content-Security-Policy of every page; `sound`: of one that plays a recording of ours."""
    return "; ".join(
        (
            "default-src 'none'",
            "style-src 'self'",
            "img-src 'self'",
            "script-src 'self'",
            "connect-src 'self'",
            *(("media-src 'self'",) if sound else ()),
            " ".join(("form-action 'self'", *consent_origins(settings))),
            "base-uri 'none'",
            "object-src 'none'",
            "frame-ancestors 'none'",
        )
    )


def guard(response: Response, settings: Settings, *, keep: bool = False, sound: bool = False) -> Response:
    """Add the headers; `keep` for the style sheet and pictures, which hold nothing of anybody, `sound` for a player."""
    headers = response.headers
    headers["Content-Security-Policy"] = content_policy(settings, sound=sound)
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
