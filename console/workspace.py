"""A user's own Google account: the cards in Google's applications, and their own mail beside the calls.

Each user says both for themselves, and takes both back whenever they like. What they may allow is their
administrator's word (`jobs.own_accounts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from console import connections, session
from console.desk import desk, here, page
from console.forms import Filled, Nothing, Wanted, asked, filled
from console.google_forms import Switch
from domain.consent import Standing
from domain.errors import Malformed
from jobs import busy, chat_spaces, own_accounts, workspace
from store.connections import Tie

bp = Blueprint("workspace", __name__, url_prefix="/console/workspace")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show whether a Google account is connected, and what each is for."""
    asked(Nothing())
    return _page(Filled())


def _page(form: Filled) -> str:
    services, at = desk().services, here()
    ties = own_accounts.of(services, at.user)
    chat = services.robot() is not None
    return page(
        "workspace.html",
        accounts=workspace.linked(services, at.user),
        offered=own_accounts.offered(services, at.tenant),
        own=[(tie, _standings(tie), services.grants.get(at.tenant.id, tie.id)) for tie in ties],
        standing=services.standing,
        errors=form.errors,
        calendars=busy.calendars(services, at.user),
        undisturbed=at.user.pops.undisturbed,
        locked=at.tenant.pops.locked,
        chat=chat,
        space=chat_spaces.spaces(services).of(at.tenant.id, at.user.id) if chat else None,
    )


def _standings(tie: Tie) -> list[Standing]:
    """How what may be allowed stands, and what is on although it may not be allowed any more."""
    slugs = {feature.slug for feature in own_accounts.offered(desk().services, here().tenant)}
    every = desk().connect.features(desk().services, tie.tenant, tie)
    return [one for one in every if one.on or one.feature.slug in slugs]


# ---- cards ------------------------------------------------------------------------------------------------


@bp.post("")
def link() -> ResponseReturnValue:
    """Have Google say which account this is."""
    _pressed()
    value = session.browser()
    address = desk().connect.begin(desk().services, provider="google", purpose="link", browser=value, user=here().user)
    return session.to_consent(address, value)


@bp.post("/unlink")
def unlink() -> ResponseReturnValue:
    """Know none of this user's Google accounts any more."""
    _pressed()
    workspace.unlink(desk().services, here().user)
    return redirect(url_for("console.workspace.index"), 303)


@bp.post("/chat")
def switch_chat() -> ResponseReturnValue:
    """Tell this user of missed calls in Chat, or do not."""
    form = filled(Switch())
    if not form.good:
        raise Malformed("Say on or off.", code="field.invalid")
    chat_spaces.switch(desk().services, here().user, on=form.value["on"] == "yes")
    return redirect(url_for("console.workspace.index"), 303)


@bp.post("/busy")
def switch_busy() -> ResponseReturnValue:
    """Do not disturb this user while their calendar says busy, or do."""
    form = filled(Switch())
    if not form.good:
        raise Malformed("Say on or off.", code="field.invalid")
    busy.switch(desk().services, here().tenant, here().user, on=form.value["on"] == "yes")
    return redirect(url_for("console.workspace.index"), 303)


# ---- their own mail and calendar --------------------------------------------------------------------------


@bp.post("/account")
def connect() -> ResponseReturnValue:
    """Connect an account of one's own: go and ask Google for what was ticked."""
    form = filled(Wanted())
    slugs = {feature.slug for feature in own_accounts.offered(desk().services, here().tenant)}
    if not form.good or not slugs.issuperset(form.value):
        raise Malformed("Your administrator does not let you connect that.", code="own_account.not_allowed")
    if not form.value:
        return _page(Filled(errors={"features": ["Choose at least one."]})), 400
    return _ask(form.value)


@bp.post("/account/<uuid:tie>/consent")
def consent(tie: UUID) -> ResponseReturnValue:
    """Ask Google again: for a permission that was lost, or for one more."""
    found = own_accounts.mine(desk().services, here().user, tie)
    form = filled(Wanted())
    known = {standing.feature.slug for standing in _standings(found)}
    if not form.good or not form.value or not known.issuperset(form.value):
        raise Malformed("Choose at least one feature of this account.", code="field.invalid")
    return _ask(form.value, found)


@bp.route("/account/<uuid:tie>/disconnect", methods=["GET", "POST"])
def disconnect(tie: UUID) -> ResponseReturnValue:
    """Say what is destroyed, then do it and show the certificate."""
    asked(Nothing())
    found = own_accounts.mine(desk().services, here().user, tie)
    back = url_for("console.workspace.index")
    if request.method == "POST":
        _pressed()
        return connections.ended(found, "Your Google account", back=back)
    return connections.ending(found, "your Google account", label=found.label, back=back)


def _ask(features: Sequence[str], tie: Tie | None = None) -> ResponseReturnValue:
    browser = session.browser()
    address = desk().connect.begin(
        desk().services,
        provider="google",
        purpose="own",
        browser=browser,
        features=features,
        user=here().user,
        connection=tie.id if tie is not None else None,
    )
    return session.to_consent(address, browser)


def _pressed() -> None:
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
