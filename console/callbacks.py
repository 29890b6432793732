"""Call-backs: which calls are to be returned, by whom, and that it was done."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console import lines
from console.call_forms import Whose
from console.desk import desk, here, page, read
from console.forms import Nothing, asked, filled
from domain.errors import Malformed, Missing

bp = Blueprint("callbacks", __name__, url_prefix="/console/callbacks")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show what is to be returned: this user's and nobody's; an administrator sees everybody's."""
    asked(Nothing())
    services, at = desk().services, here()
    waiting = services.callbacks.open(at.tenant.id, user=None if at.admin else at.user.id)
    calls = services.calls.some(at.tenant.id, [one.call for one in waiting])
    shown = lines.lines(services, at, list(calls.values()), services.connections.all(at.tenant.id))
    by_id = {line.id: line for line in shown}
    read("read.calls", count=len(shown))
    return page(
        "callbacks.html",
        rows=[(one, by_id[one.call]) for one in waiting if one.call in by_id],
        names={user.id: user.name for user in services.tenants.users(at.tenant.id)},
    )


@bp.post("/<uuid:call>")
def put(call: UUID) -> ResponseReturnValue:
    """Somebody should return this call."""
    form = filled(Whose())
    if not form.good:
        raise Malformed("This form cannot be read.", code="field.invalid")
    services, at = desk().services, here()
    user: UUID | None = form.value["user"]
    if services.calls.get(at.tenant.id, call) is None:
        raise Missing("There is no such call.")
    if user is not None and services.tenants.user(at.tenant.id, user) is None:
        raise Missing("There is no such colleague.")
    with services.db.tenant(at.tenant.id) as database:
        services.callbacks.put(database, at.tenant.id, call, user=user, by=at.user.id)
        services.ledger.write(
            database, at.tenant.id, "callback.asked", actor=at.actor, subject=f"calls:{call}", user=str(user or "")
        )
    return redirect(url_for("console.calls.one", call=call), 303)


@bp.post("/<uuid:call>/done")
def done(call: UUID) -> ResponseReturnValue:
    """It was returned, or needs it no more."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    services, at = desk().services, here()
    with services.db.tenant(at.tenant.id) as database:
        if not services.callbacks.done(database, at.tenant.id, call, by=at.user.id):
            raise Missing("This call is not on the list (any more).")
        services.ledger.write(database, at.tenant.id, "callback.done", actor=at.actor, subject=f"calls:{call}")
    return redirect(url_for("console.callbacks.index"), 303)
