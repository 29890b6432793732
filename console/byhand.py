"""Calls by hand: one that no telephone told of is entered, one that was told wrongly is put right."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from console import lines
from console.call_forms import Corrected, Entered, minutes
from console.desk import Here, desk, here, page, read
from console.forms import Filled, Nothing, Search, asked, filled
from domain import phone
from domain.errors import Malformed, Missing
from jobs import by_hand, passages
from jobs.by_hand import Correction, Entry
from store.call_book import Kept
from store.finding import Contact
from store.sieve import NO_CUSTOMER

EXIT = "correcting"  # the gate's name for whom these pages offer (`domain.limited_use`)
FOUND = 20
FIELD_OF = {"call.in_future": "started", "call.too_old": "started", "call.too_long": "talk"}  # else: the number

bp = Blueprint("byhand", __name__, url_prefix="/console/calls")


@bp.get("/new")
def new() -> ResponseReturnValue:
    """Show the form for a call that no telephone told of."""
    asked(Nothing())
    at = here()
    return _new(Filled(given={"token": str(uuid4()), "started": at.times.wall(at.times.now), "direction": "outbound"}))


@bp.post("/new")
def enter() -> ResponseReturnValue:
    """Take it over; the same form sent twice is one call."""
    form = filled(Entered())
    if not form.good:
        return _new(form), 400
    at, told = here(), form.value
    entry = Entry(
        token=told["token"],
        direction=told["direction"],
        number=told["number"],
        started_at=at.times.here(told["started"]),
        outcome=told["outcome"],
        talk=minutes(told["talk"]),
    )
    try:
        call = by_hand.enter(desk().services, at.user, entry)
    except Malformed as error:
        wrong = {FIELD_OF.get(error.code, "number"): [str(error)]}
        return _new(Filled(errors=wrong, given={**request.form.to_dict(), "csrf_token": ""})), 400
    return redirect(url_for("console.calls.one", call=call), 303)


def _new(form: Filled) -> str:
    return page("call_new.html", given=form.given, errors=form.errors)


@bp.route("/<uuid:call>/correct", methods=["GET"])
def look(call: UUID) -> ResponseReturnValue:
    """Show the form to put a call right."""
    asked(Nothing())
    return _correct(_known(call), Filled())


@bp.post("/<uuid:call>/correct/find")
def find(call: UUID) -> ResponseReturnValue:
    """Look for somebody else the call may have been with; the page's own form posts, so no name is in an address."""
    kept, form = _known(call), filled(Search())
    if not form.good:
        raise Malformed("This search cannot be read.", code="field.invalid")
    found = _find(here(), form.value)
    read("read.contacts", count=len(found))
    return _correct(kept, Filled(), found, form.value)


@bp.post("/<uuid:call>/correct")
def correct(call: UUID) -> ResponseReturnValue:
    """Take over what was put right."""
    kept, form = _known(call), filled(Corrected())
    if not form.good:
        return _correct(kept, form), 400
    services, at, told = desk().services, here(), form.value
    contact: tuple[UUID | None] | None = None
    if told["contact"] == "nobody":
        contact = (None,)
    elif told["contact"] != "keep":
        contact = (_contact(at, told["contact"]),)
    if told["user"] is not None:
        user = services.tenants.user(at.tenant.id, told["user"])
        if user is None or not user.active:
            raise Missing("There is no such colleague.")
    try:
        by_hand.put_right(
            services,
            at.user,
            call,
            Correction(
                outcome=told["outcome"],
                talk=minutes(told["talk"]) if told["talk"] else None,
                contact=contact,
                user=told["user"],
            ),
        )
    except Malformed as error:
        return _correct(kept, Filled(errors={"talk": [str(error)]}, given=request.form.to_dict())), 400
    return redirect(url_for("console.calls.one", call=call), 303)


def _contact(at: Here, wanted: str) -> UUID:
    """Somebody of this tenant, or Missing."""
    try:
        contact = UUID(wanted)
    except ValueError:
        raise Missing("There is no such contact.") from None
    if contact not in passages.people(desk().services, at.tenant.id, EXIT, [contact], actor=at.actor):
        raise Missing("There is no such contact.")
    return contact


def _known(call: UUID) -> Kept:
    kept = desk().services.calls.get(here().tenant.id, call)
    if kept is None:
        raise Missing("There is no such call.")
    if kept.call.state != "ended" or kept.match in NO_CUSTOMER:
        raise Malformed("This call cannot be corrected: it is going on, or it is with no customer.", code="call.no_log")
    return kept


def _find(at: Here, wanted: str) -> list[Contact]:
    """Whoever has this number, or a name that begins so."""
    if phone.read(wanted, at.tenant.region).kind == "number":
        return lines.same_number(desk().services, at, wanted, EXIT)[:FOUND]
    by_name = desk().services.hub.search(at.tenant.id, wanted, limit=FOUND)
    return passages.let_out(desk().services, at.tenant.id, EXIT, by_name, actor=at.actor)


def _correct(kept: Kept, form: Filled, found: list[Contact] | None = None, looked_for: str = "") -> str:
    services, at = desk().services, here()
    same = lines.same_number(services, at, kept.call.customer, EXIT)
    choice: dict[UUID, Contact] = {one.id: one for one in (*(found or ()), *same) if one.id != kept.contact}
    talk = kept.call.talk_seconds
    given: dict[str, Any] = {
        "outcome": kept.call.outcome or "",
        "talk": f"{talk // 60}:{talk % 60:02}" if talk else "",
        "user": str(kept.user or ""),
        **form.given,
    }
    read("read.calls", f"calls:{kept.id}", count=1)
    return page(
        "call_correct.html",
        line=lines.lines(services, at, [kept])[0],
        given=given,
        errors=form.errors,
        choice=list(choice.values()),
        role=lines.role,
        looked_for=looked_for,
        nothing_found=found is not None and not found,
        everybody=[user for user in services.tenants.users(at.tenant.id) if user.active],
    )
