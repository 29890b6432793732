"""What the administrator decides about calls as they happen: when they come up, and what missed ones become."""

from __future__ import annotations

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console.desk import desk, here, page
from console.forms import Filled, FollowUpsForm, Nothing, PopsForm, asked, filled
from jobs import follow_ups, pops
from store.tenants import User

bp = Blueprint("acting", __name__, url_prefix="/console/settings/calls")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show both sets of rules."""
    asked(Nothing())
    return _page()


@bp.post("/pops")
def pop_rules() -> ResponseReturnValue:
    """Take over when calls come up by themselves."""
    form = filled(PopsForm())
    if not form.good:
        return _page(pops_form=form), 400
    pops.decide(desk().services, here().tenant.id, form.value, actor=here().actor)
    return redirect(url_for(".index"), 303)


@bp.post("/follow-ups")
def follow_up_rules() -> ResponseReturnValue:
    """Take over what becomes of calls nobody took."""
    form = filled(FollowUpsForm(str(user.id) for user in _people()))
    if not form.good:
        return _page(tasks_form=form), 400
    follow_ups.decide(desk().services, here().tenant.id, form.value, actor=here().actor)
    return redirect(url_for(".index"), 303)


def _people() -> list[User]:
    return [user for user in desk().services.tenants.users(here().tenant.id) if user.active]


def _page(*, pops_form: Filled | None = None, tasks_form: Filled | None = None) -> str:
    tenant = here().tenant
    rules, tasks = tenant.pops, tenant.follow_ups
    crm = desk().services.connections.first(tenant.id, "crm")
    standings = desk().connect.features(desk().services, tenant.id, crm) if crm is not None else []
    return page(
        "acting.html",
        pops=pops_form.given
        if pops_form
        else {"inbound": rules.inbound, "outbound": rules.outbound, "locked": "yes" if rules.locked else ""},
        pops_errors=pops_form.errors if pops_form else {},
        tasks=tasks_form.given
        if tasks_form
        else {"hours": str(tasks.hours), "minutes": str(tasks.minutes), "fallback": tasks.fallback},
        tasks_errors=tasks_form.errors if tasks_form else {},
        people=_people(),
        without=next((item for item in standings if item.feature.slug == follow_ups.FEATURE and not item.on), None),
    )
