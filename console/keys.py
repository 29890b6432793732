"""Keys of the tenant's own programs: made, shown once, told apart by how they begin, and revoked."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console.desk import desk, here, page
from console.forms import Filled, Key, Nothing, asked, filled
from domain.api_key import PURPOSES
from domain.errors import Malformed

bp = Blueprint("keys", __name__, url_prefix="/console/keys")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show every key there is, and the form for another."""
    asked(Nothing())
    return _page(Filled())


@bp.post("")
def create() -> ResponseReturnValue:
    """Make a key; the page that answers shows it this once."""
    form = filled(Key())
    if not form.good:
        return _page(form), 400
    services, at = desk().services, here()
    key, value = services.api_keys.create(
        at.tenant.id, label=form.value["label"], scopes=form.value["scopes"], created_by=at.user.id
    )
    services.ledger.note(
        at.tenant.id, "key.created", actor=at.actor, subject=f"api_keys:{key.id}", scopes=list(key.scopes)
    )
    return page("key.html", key=key, value=value, purposes=PURPOSES, origin=services.settings.origin)


@bp.post("/<uuid:key>/revoke")
def revoke(key: UUID) -> ResponseReturnValue:
    """Make a key worthless at once."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    services, at = desk().services, here()
    if services.api_keys.revoke(at.tenant.id, key):
        services.ledger.note(at.tenant.id, "key.revoked", actor=at.actor, subject=f"api_keys:{key}")
    return redirect(url_for("console.keys.index"), 303)


def _page(form: Filled) -> str:
    services, at = desk().services, here()
    names = {user.id: user.name or user.email for user in services.tenants.users(at.tenant.id)}
    return page(
        "keys.html",
        keys=services.api_keys.all(at.tenant.id),
        names=names,
        purposes=PURPOSES,
        given=form.given,
        errors=form.errors,
    )
