"""Dialling from a page, steering a live call, choosing the telephone that rings, and how numbers are spelt for it."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, jsonify, redirect, url_for
from flask.typing import ResponseReturnValue

from console import words
from console.desk import desk, here, page
from console.forms import Dialled, Filled, Line, Nothing, Plan, Press, Pressed, asked, filled
from domain import phone
from domain.dial_plan import DialPlan
from domain.errors import Forbidden, Malformed, Missing
from jobs import dialling, steering
from store.owed import OVER

SAMPLES = ("+34 911 222 333", "+44 20 7946 0001 ext 7", "+1 212 555 0100", "201")

bp = Blueprint("dialling", __name__, url_prefix="/console")


@bp.post("/dial")
def dial() -> ResponseReturnValue:
    """Ring this user's telephone, then the number; say on which telephone and how it is dialled."""
    form = filled(Dialled())
    if not form.good:
        raise Malformed("Tell one number to dial.", code="field.invalid")
    services, at = desk().services, here()
    told = form.value["number"]
    done = dialling.ask(services, at.user, told, actor=at.actor, extension=form.value["extension"])
    number = phone.shown(phone.read(told, at.tenant.region).e164 or told)
    return page("dialled.html", asked=done, number=number, shown=phone.shown(done.shown))


@bp.post("/lines")
def choose() -> ResponseReturnValue:
    """Remember which telephone rings when this user dials from here."""
    form = filled(Line())
    if not form.good:
        raise Malformed("Tell one of your lines.", code="field.invalid")
    services, at = desk().services, here()
    services.devices.choose(at.tenant.id, at.user.id, form.value["extension"])
    return redirect(url_for("console.panel.index"), 303)


@bp.post("/calls/<uuid:call>/control/<action>")
def control(call: UUID, action: str) -> ResponseReturnValue:
    """Do one thing to a live call of this user's own; the panel asks, and shows what became of it."""
    form = filled(Press())
    if not form.good:
        raise Malformed("These are no keys, and nobody a call could be passed on to.", code="control.digits")
    services, at = desk().services, here()
    kept = services.calls.get(at.tenant.id, call)
    if kept is None or action not in steering.CONTROLS:
        raise Missing("There is no such call.")
    if kept.user != at.user.id:
        raise Forbidden("You may steer calls of your own.", code="control.not_yours")
    value = form.value
    once = _press(value["press"]) if value["press"] else ""
    steering.ask(
        services, at.tenant.id, kept, action, actor=at.actor, digits=value["digits"], to=value["to"], once=once
    )
    return "", 202


@bp.get("/calls/<uuid:call>/control/<action>")
def became(call: UUID, action: str) -> ResponseReturnValue:
    """Say what became of a press of this user's; the panel asks until it knows."""
    press = asked(Pressed())["press"]
    found = None
    if action in steering.CONTROLS:
        found = steering.became(desk().services, here().tenant.id, call, action, _press(press))
    if found is None:
        raise Missing("Nobody pressed that.")
    state, reason = found
    over = state in OVER
    said = "Done." if state == "done" else f"That was not done. {words.reason(reason)}" if over else ""
    return jsonify(over=over, done=state == "done", text=said)


def _press(name: str) -> str:
    """What a press of this user's is done once under."""
    return f"press {here().user.id} {name}"


# ---- how numbers are spelt: the administrator's -------------------------------------------------------------------


@bp.get("/dial-plan")
def plan() -> ResponseReturnValue:
    """Show how numbers are spelt for the telephone system."""
    asked(Nothing())
    _administrator()
    return _plan(Filled(), here().tenant.dialling)


@bp.post("/dial-plan")
def decide() -> ResponseReturnValue:
    """Try a number, or take the plan over; a number that is tried rings nowhere."""
    _administrator()
    form = filled(Plan())
    if not form.good:
        return _plan(form, here().tenant.dialling), 400
    services, at = desk().services, here()
    made = DialPlan(form=form.value["form"], outside=form.value["outside"], before=form.value["before"])
    if form.value["do"] == "try":
        return _plan(form, made)
    services.tenants.set(at.tenant.id, dialling=made.as_data())
    services.ledger.note(at.tenant.id, "dialling.decided", actor=at.actor, form=made.form, outside=bool(made.outside))
    return redirect(url_for("console.dialling.plan"), 303)


def _administrator() -> None:
    if not here().admin:
        raise Forbidden("This is for administrators.", code="role.admin_only")


def _plan(form: Filled, made: DialPlan) -> str:
    """The page, with how a few numbers would be dialled."""
    tenant = here().tenant
    sample = form.given.get("sample", "")
    tried, refused = [], ""
    for number in (sample, *SAMPLES):
        if number:
            try:
                tried.append((number, dialling.preview(tenant, number, made)))
            except (Forbidden, Malformed) as error:
                refused = str(error) if number == sample else refused
    given = {"form": made.form, "outside": made.outside, "before": made.before, "sample": sample} | dict(form.given)
    return page("dial_plan.html", given=given, errors=form.errors, tried=tried, refused=refused)
