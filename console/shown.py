"""Which of the tenant's numbers those see who are dialled from a screen: a rule for everybody, a place, or a person."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console.call_forms import Shown, Unshown
from console.desk import desk, here, page, read
from console.forms import Filled, Nothing, asked, filled
from domain import caller_id, phone
from domain.caller_id import Rule
from domain.errors import Malformed
from jobs import showing

bp = Blueprint("shown", __name__, url_prefix="/console/settings/shown")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the rules, and offer another."""
    asked(Nothing())
    return _page(Filled())


@bp.post("")
def add() -> ResponseReturnValue:
    """Show one of our numbers from now on; what was said of the same calls before no longer holds."""
    form = filled(Shown())
    services, at = desk().services, here()
    errors = dict(form.errors)
    if form.good:
        to, user = caller_id.destination(form.value.get("to", "")), form.value["user"]
        known = services.tenants.user(at.tenant.id, user) if user is not None else None
        if to is None:
            errors["to"] = ["Write a country's two letters, or how numbers begin: +49 30."]
        if user is not None and (known is None or not known.active):
            errors["user"] = ["Please choose one of these."]
        if not errors:
            rule = Rule(to=to or "", user=str(user) if user is not None else "")
            try:
                showing.show(services, at.tenant.id, form.value["number"], rule, actor=at.actor)
            except Malformed as error:
                errors["number"] = [str(error)]
    if errors:
        return _page(Filled(None, errors, form.given)), 400
    return redirect(url_for("console.shown.index"), 303)


@bp.post("/<uuid:row>/remove")
def remove(row: UUID) -> ResponseReturnValue:
    """Take a rule back."""
    form = filled(Unshown())
    if not form.good:
        raise Malformed("This is no rule.", code="field.invalid")
    services, at = desk().services, here()
    showing.take_back(services, at.tenant.id, row, Rule(**form.value), actor=at.actor)
    return redirect(url_for("console.shown.index"), 303)


def _page(form: Filled) -> str:
    services, at = desk().services, here()
    own = [one for one in services.apart.all(at.tenant.id, "own") if one.state == "active"]
    rules = [(one, rule) for one in own for rule in one.shown]
    users = services.tenants.users(at.tenant.id)
    read("read.numbers", count=len(own))
    return page(
        "shown.html",
        rules=sorted(rules, key=lambda pair: (pair[1].closeness, pair[1].to), reverse=True),
        own=sorted(own, key=lambda one: one.number),
        names={str(user.id): user.name or user.email for user in users},
        users=[user for user in users if user.active],
        able=showing.able(services, at.tenant.id),
        shown=phone.shown,
        given=form.given,
        errors=form.errors,
    )
