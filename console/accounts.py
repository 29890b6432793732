"""Accounts that users connected for themselves, as an administrator sees them: whose, and how each is; not its mail.

An administrator says whether users may connect any, and may end one. Whose address it is stays its user's.
"""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import fields, post_load

from console import connections
from console.desk import desk, here, page
from console.forms import MESSAGES, Filled, Form, Nothing, asked, filled
from domain.errors import Malformed, Missing
from domain.own_account import OwnAccounts, holder
from jobs import own_accounts
from store.connections import Tie

bp = Blueprint("accounts", __name__, url_prefix="/console/accounts")


class Rules(Form):
    """What an administrator lets users connect."""

    connect = fields.Boolean(load_default=False, truthy={"yes"}, falsy={"no"}, error_messages=MESSAGES)
    contacts = fields.Boolean(load_default=False, truthy={"yes"}, falsy={"no"}, error_messages=MESSAGES)

    @post_load
    def to_rules(self, data: dict[str, bool], **_: object) -> OwnAccounts:
        return OwnAccounts(**data)


@bp.get("")
def index() -> ResponseReturnValue:
    """Show what users may connect, and what they have."""
    asked(Nothing())
    return _page(Filled())


@bp.post("")
def decide() -> ResponseReturnValue:
    """Take over what users may connect from now on."""
    form = filled(Rules())
    if not form.good:
        return _page(form), 400
    own_accounts.decide(desk().services, here().tenant.id, form.value, actor=here().actor)
    return redirect(url_for("console.accounts.index"), 303)


@bp.route("/<uuid:tie>/disconnect", methods=["GET", "POST"])
def disconnect(tie: UUID) -> ResponseReturnValue:
    """Say what is destroyed, then do it and show the certificate."""
    asked(Nothing())
    found = next((one for one in own_accounts.of_all(desk().services, here().tenant.id) if one.id == tie), None)
    if found is None:
        raise Missing("There is no such account.")
    title, back = f"{_whose(found)}’s Google account", url_for("console.accounts.index")
    if request.method == "POST":
        if not filled(Nothing()).good:
            raise Malformed("This form has no such field.", code="field.unknown")
        return connections.ended(found, title, back=back)
    return connections.ending(found, title, back=back)


def _whose(tie: Tie) -> str:
    user = desk().services.tenants.user(tie.tenant, holder(tie.facts) or tie.id)
    return (user.name or user.email) if user is not None else "Somebody"


def _page(form: Filled) -> str:
    services, at = desk().services, here()
    return page(
        "accounts.html",
        rules=at.tenant.own_accounts,
        found=[(tie, _whose(tie)) for tie in own_accounts.of_all(services, at.tenant.id)],
        standing=services.standing,
        errors=form.errors,
    )
