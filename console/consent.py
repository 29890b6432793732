"""Where consent starts and comes back: installing from a marketplace, and the one address each provider returns to.

What is asked for and what becomes of the answer is told in `jobs.connect`; here are the browser's steps.
"""

from __future__ import annotations

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from console import session
from console.desk import desk, here, page
from domain.errors import Missing

bp = Blueprint("consent", __name__)


@bp.get("/install/zoho")
def install_zoho() -> ResponseReturnValue:
    """Install from Zoho: ask the administrator for consent at once."""
    browser = session.browser()
    address = desk().connect.begin(desk().services, provider="zoho", purpose="install", browser=browser)
    return session.to_consent(address, browser)


@bp.get("/install/google")
def install_google() -> ResponseReturnValue:
    """Connect Google to a tenant that is there; a stranger is told to begin with Zoho."""
    if session.member() is not None and here().admin:
        return redirect(url_for("console.connections.google"))
    return page("zoho_first.html")


@bp.get("/oauth/<provider>/callback")
def callback(provider: str) -> ResponseReturnValue:
    """Take what the provider's consent page brought back."""
    services = desk().services
    if provider not in services.providers:
        raise Missing
    found = session.member()
    completed = desk().connect.complete(
        services,
        provider=provider,
        query=request.args.to_dict(flat=False),
        browser=session.known_browser(),
        user=found.user if found is not None else None,
    )
    if completed.onward:
        return session.to_consent(completed.onward, session.known_browser())
    if completed.purpose == "sign_in":
        answer = redirect(url_for(session.then("console.overview.index")), 303)
    elif completed.purpose in ("link", "own"):
        answer = redirect(url_for("console.workspace.index"), 303)
    else:
        answer = redirect(url_for("console.connections.index"), 303)
    stays = found is not None and completed.user is not None and found.user.id == completed.user.id
    return answer if completed.user is None or stays else session.start(answer, completed.user)
