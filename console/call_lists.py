"""Call-down lists: a user's own people to call, one press each, and how far they have come.

A list is its maker's alone. An administrator sees how long everybody's lists are, and may delete them.
"""

from __future__ import annotations

from typing import get_args
from uuid import UUID

from flask import Blueprint, jsonify, redirect, url_for
from flask.typing import ResponseReturnValue

from console import lines, words
from console.call_list_forms import Chosen, MorePeople, NewList, Pressed
from console.desk import desk, here, page, read
from console.forms import Filled, Nothing, Search, asked, filled
from domain import call_down, phone
from domain.call_down import MOST_TRIES, OVER, TRIES
from domain.errors import Malformed
from jobs import call_down as going
from jobs import dialling
from store.call_lists import CallList

bp = Blueprint("call_lists", __name__, url_prefix="/console/call-lists")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show this user's lists, and the form of a new one; to an administrator also how long the others' are."""
    asked(Nothing())
    return _lists(Filled())


@bp.post("")
def make() -> ResponseReturnValue:
    """Begin a list."""
    form = filled(NewList())
    if not form.good:
        return _lists(form), 400
    services, at, told = desk().services, here(), form.value
    pasted = call_down.read(told["numbers"], at.tenant.dialling, at.tenant.region)
    try:
        if wrong := call_down.fault(pasted):
            raise Malformed(wrong)
        row = going.make(services, at.user, told["title"], int(told["tries"]), pasted.numbers, actor=at.actor)
    except Malformed as error:
        return _lists(Filled(errors={"numbers": [str(error)]}, given=form.given)), 400
    return redirect(url_for("console.call_lists.one", listing=row), 303)


@bp.get("/<uuid:listing>")
def one(listing: UUID) -> ResponseReturnValue:
    """Show a list: who is next, how the last call went, and everybody."""
    asked(Nothing())
    return _list(listing, Filled())


@bp.get("/<uuid:listing>/state")
def state(listing: UUID) -> ResponseReturnValue:
    """Say which turn the list is in: it is another one as soon as the call that is under way has ended."""
    asked(Nothing())
    return jsonify(turn=going.turn(desk().services, here().user, listing))


@bp.post("/<uuid:listing>/numbers")
def add(listing: UUID) -> ResponseReturnValue:
    """Put pasted numbers at the end."""
    form, services, at = filled(MorePeople()), desk().services, here()
    there = going.own(services, at.user, listing)
    if not form.good:
        return _list(listing, form), 400
    pasted = call_down.read(form.value["numbers"], at.tenant.dialling, at.tenant.region)
    try:
        if wrong := call_down.fault(pasted):
            raise Malformed(wrong)
        going.add(services, at.user, there, [(number, None) for number in pasted.numbers], actor=at.actor)
    except Malformed as error:
        return _list(listing, Filled(errors={"numbers": [str(error)]}, given=form.given)), 400
    return redirect(url_for("console.call_lists.one", listing=listing), 303)


@bp.post("/<uuid:listing>/find")
def find(listing: UUID) -> ResponseReturnValue:
    """Look for people to put on the list. A search is posted, so that no name ends up in an address."""
    form, services, at = filled(Search()), desk().services, here()
    there = going.own(services, at.user, listing)
    if not form.good:
        raise Malformed("This search cannot be read.", code="field.invalid")
    found = going.find(services, at.user, form.value, actor=at.actor)
    read("read.contacts", f"call_lists:{listing}", count=len(found))
    return page(
        "call_list_find.html",
        listing=there,
        wanted=form.value,
        found=[(who, going.lines(who, at.tenant)) for who in found],
        full=len(found) == going.FOUND,
        role=lines.role,
        shown=phone.shown,
    )


@bp.post("/<uuid:listing>/people")
def choose(listing: UUID) -> ResponseReturnValue:
    """Put people who were found at the end."""
    form, services, at = filled(Chosen()), desk().services, here()
    there = going.own(services, at.user, listing)
    if not form.good:
        raise Malformed("Choose at least one of the people found.", code="field.invalid")
    going.add(services, at.user, there, going.picked(services, at.user, form.value, actor=at.actor), actor=at.actor)
    return redirect(url_for("console.call_lists.one", listing=listing), 303)


@bp.post("/<uuid:listing>/people/<uuid:callee>")
def press(listing: UUID, callee: UUID) -> ResponseReturnValue:
    """Call somebody, say how it went, note something. A press of an older page than the list's turn does nothing."""
    form, services, at = filled(Pressed()), desk().services, here()
    there = going.own(services, at.user, listing)
    if not form.good:
        raise Malformed("This press cannot be read.", code="field.invalid")
    told = form.value
    if told["note"] is not None:
        going.note(services, at.user, there, callee, told["note"])
    if told["do"] == "remove":
        going.remove(services, at.user, there, callee, actor=at.actor)
    elif told["turn"] == there.turn:
        if told["do"] == "dial":
            going.dial(services, at.user, there, callee, actor=at.actor)
        elif told["do"] in get_args(going.Said):
            going.say(services, at.user, there, callee, told["do"])
    return redirect(url_for("console.call_lists.one", listing=listing), 303)


@bp.post("/<uuid:listing>/delete")
def delete(listing: UUID) -> ResponseReturnValue:
    """Forget a list and everybody on it."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    going.delete(desk().services, here().user, listing, actor=here().actor)
    return redirect(url_for("console.call_lists.index"), 303)


def done(one: CallList) -> int:
    """How many of a list are over and done with."""
    return sum(one.states.get(state, 0) for state in OVER)


def _days() -> int | None:
    at = here()
    kept = desk().services.profiles.get(at.tenant.profile).keeps("call_lists").period
    return kept.days if kept is not None else None


def _lists(form: Filled) -> str:
    services, at = desk().services, here()
    found = going.kept(services).all(at.tenant.id, at.user.id, others=at.admin)
    return page(
        "call_lists.html",
        lists=[one for one in found if one.user == at.user.id],
        others=[one for one in found if one.user != at.user.id],
        names={user.id: user.name for user in services.tenants.users(at.tenant.id)} if at.admin else {},
        done=done,
        days=_days(),
        tries=range(1, MOST_TRIES + 1),
        given={"tries": str(TRIES), **form.given},
        errors=form.errors,
    )


def _list(listing: UUID, form: Filled) -> str:
    services, at = desk().services, here()
    look = going.look(services, at.user, listing, actor=at.actor)
    read("read.call_list", f"call_lists:{listing}", count=len(look.people))
    return page(
        "call_list.html",
        listing=look.listing,
        look=look,
        done=done(look.listing),
        unrung=words.reason(look.unrung) if look.unrung else "",
        dials=dialling.system_of(services, at.tenant.id) is not None,
        role=lines.role,
        shown=phone.shown,
        days=_days(),
        given=form.given,
        errors=form.errors,
    )
