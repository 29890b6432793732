"""Our numbers, those left out and those blocked: who calls from one is no customer, and why."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console.call_forms import Apart
from console.desk import desk, here, page, read
from console.forms import Filled, Nothing, asked, filled
from domain import barring, phone
from domain.errors import Malformed
from jobs import numbers

bp = Blueprint("numbers", __name__, url_prefix="/console/settings/numbers")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the lists."""
    asked(Nothing())
    return _lists(Filled())


@bp.post("")
def add() -> ResponseReturnValue:
    """Put a number on one of them."""
    form = filled(Apart())
    if not form.good:
        return _lists(form), 400
    services, at, told = desk().services, here(), form.value
    try:
        numbers.set_apart(services, at.tenant.id, told["number"], told["kind"], told["reason"], actor=at.actor)
    except Malformed as error:
        return _lists(Filled(errors={"number": [str(error)]}, given=form.given)), 400
    return redirect(url_for("console.numbers.index"), 303)


@bp.post("/<uuid:row>/remove")
def remove(row: UUID) -> ResponseReturnValue:
    """Whoever calls from it is a customer again."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    numbers.take_back(desk().services, here().tenant.id, row, actor=here().actor)
    return redirect(url_for("console.numbers.index"), 303)


def shown(number: str) -> str:
    """A number of the list, a range of them, or those who hide theirs."""
    if number == barring.HIDDEN:
        return "Everybody who hides their number"
    return f"{number[:-1]}…" if number.endswith("*") else phone.shown(number)


def _lists(form: Filled) -> str:
    found = [one for one in desk().services.apart.all(here().tenant.id) if one.state == "active"]
    read("read.numbers", count=len(found))
    return page(
        "numbers.html",
        own=[one for one in found if one.kind == "own"],
        left_out=[one for one in found if one.kind == "left_out"],
        blocked=[one for one in found if one.kind == "blocked"],
        shown=shown,
        given=form.given,
        errors=form.errors,
    )
