"""The routing table: who a call to each of the tenant's own numbers is for when nobody owns the caller's record."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console.desk import desk, here, page
from console.forms import Filled, Nothing, Way, asked, filled
from domain import phone
from domain.errors import Malformed, Missing
from jobs.hints import line_key

bp = Blueprint("routing", __name__, url_prefix="/console/routing")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the table."""
    asked(Nothing())
    return _page(Filled())


@bp.post("")
def put() -> ResponseReturnValue:
    """Send calls to a number somewhere; what was said of the number before no longer holds."""
    form = filled(Way())
    services, at = desk().services, here()
    errors = dict(form.errors)
    if form.good:
        number = line_key(form.value["number"], at.tenant.region)
        user, queue = form.value["user"], form.value["queue"]
        known = services.tenants.user(at.tenant.id, user) if user is not None else None
        if not number:
            errors["number"] = ["This is not a number."]
        if (known is None) == (not queue) or (user is not None and (known is None or not known.active)):
            errors["queue"] = ["Choose a person or name a queue, one of both."]
    if errors:
        return _page(Filled(None, errors, form.given)), 400
    row = services.routes.put(at.tenant.id, number, user=user, queue=queue)
    services.ledger.note(at.tenant.id, "route.put", actor=at.actor, subject=f"routes:{row}")
    return redirect(url_for("console.routing.index"), 303)


@bp.post("/<uuid:route>/remove")
def remove(route: UUID) -> ResponseReturnValue:
    """Take a number out of the table."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    services, at = desk().services, here()
    if not services.routes.remove(at.tenant.id, route):
        raise Missing("There is no such row.")
    services.ledger.note(at.tenant.id, "route.removed", actor=at.actor, subject=f"routes:{route}")
    return redirect(url_for("console.routing.index"), 303)


def _page(form: Filled) -> str:
    services, at = desk().services, here()
    users = services.tenants.users(at.tenant.id)
    return page(
        "routing.html",
        routes=services.routes.all(at.tenant.id),
        names={user.id: user.name or user.email for user in users},
        users=[user for user in users if user.active],
        shown=phone.shown,
        given=form.given,
        errors=form.errors,
    )
