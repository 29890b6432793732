"""The side panel in Google Meet: a dialler and one's last calls, in a frame that Meet alone may show.

The frame's own pages (`index`, `dial`, `leave`) know who it is by a cookie of the frame; `opened` and `allow` stand in
a window of their own, where somebody signed in says that the frame is theirs (`console.framed`).
"""

from __future__ import annotations

import secrets
from uuid import UUID

from flask import Blueprint, make_response, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from console import framed, lines
from console.desk import Here, desk, here, page
from console.forms import Nothing, asked, filled
from console.framed import Frame
from console.google_forms import FrameDial, FramePress, Ticket, Waiting
from domain import phone
from domain.errors import Forbidden, Malformed, Missing
from jobs import dialling
from store.call_book import Kept
from store.sieve import Wanted

bp = Blueprint("meet", __name__, url_prefix="/console/meet")

PAGES = frozenset({"console.meet.index", "console.meet.dial", "console.meet.leave"})  # those Meet may show in a frame
RECENT, MISSED = 8, 5


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the panel, or how to make it one's own."""
    waited = asked(Waiting())["again"]
    frame = Frame()
    at = frame.here()
    if at is not None:
        return frame.keep(make_response(_panel(frame, at)))
    ticket = framed.ask(frame.name)
    shut = bool(waited) and not frame.kept  # the browser keeps no cookie of a frame at all
    told = page("meet_first.html", ticket=ticket, code=framed.code(frame.name), shut=shut, project=_project())
    return frame.keep(make_response(told))


@bp.post("/dial")
def dial() -> ResponseReturnValue:
    """Ring the user's telephone, then a number or whoever a call was with; once for each button there was."""
    frame = Frame()
    at = frame.pressed()
    form = filled(FrameDial())
    if not form.good:
        raise Malformed("Tell one number to dial.", code="field.invalid")
    try:
        number = form.value["number"] or _number(at, form.value["call"])
        once = f"meet {at.user.id} {form.value['key']}"
        rings = dialling.ask(desk().services, at.user, number, actor=at.actor, once=once)
    except (
        Malformed,
        Forbidden,
        Missing,
    ) as error:  # said in the panel: from a page of errors nothing leads back there
        return frame.keep(make_response(_panel(frame, at, trouble=str(error)), 400))
    return frame.keep(make_response(_panel(frame, at, rings=rings)))


@bp.post("/leave")
def leave() -> ResponseReturnValue:
    """Be nobody's any more."""
    frame = Frame()
    frame.pressed()
    if not filled(FramePress()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    frame.leave()
    return redirect(url_for("console.meet.index"), 303)


def _panel(frame: Frame, at: Here, rings: dialling.Asked | None = None, trouble: str = "") -> str:
    """The panel, with what became of a press."""
    services = desk().services
    recent = services.calls.recent(at.tenant.id, limit=RECENT, user=at.user.id)
    missed = services.calls.recent(
        at.tenant.id, limit=MISSED, wanted=Wanted(outcome="missed", customers=True, user=at.user.id)
    )
    shown = {line.id: line for line in lines.lines(services, at, [*recent, *missed])}
    services.ledger.note(at.tenant.id, "read.calls", actor=at.actor, count=len(shown))
    return page(
        "meet.html",
        at=at,
        rings=rings,
        trouble=trouble,
        dials=dialling.system_of(services, at.tenant.id) is not None,
        recent=[shown[kept.id] for kept in recent],
        missed=[shown[kept.id] for kept in missed],
        callable={kept.id for kept in [*recent, *missed] if _dialled(at, kept)},
        token=frame.token,
        key=lambda: secrets.token_urlsafe(9),
        project=_project(),
    )


def _number(at: Here, call: UUID | None) -> str:
    kept = desk().services.calls.get(at.tenant.id, call) if call is not None else None
    number = _dialled(at, kept) if kept is not None and kept.user == at.user.id else ""
    if not number:
        raise Missing("There is no such call of yours.")
    return number


def _dialled(at: Here, kept: Kept) -> str:
    """The number a call was with, as it can be dialled; "" for none."""
    told = phone.read(kept.call.customer, at.tenant.region)
    return kept.e164 or told.e164 or (kept.call.customer if told.kind == "extension" else "")


def _project() -> str:
    return desk().services.settings.google_project_number


# ---- in a window of its own ---------------------------------------------------------------------------------------


@bp.get("/open")
def opened() -> ResponseReturnValue:
    """Remember which frame asks, and go where it is answered, by way of signing in if need be."""
    session["frame"] = framed.asked(asked(Ticket())["frame"])
    return redirect(url_for("console.meet.allow"))


@bp.route("/allow", methods=["GET", "POST"])
def allow() -> ResponseReturnValue:
    """Ask whether the frame is this user's, and believe them."""
    asked(Nothing())
    name = session.get("frame", "")
    form = filled(Nothing())
    if not form.good:
        raise Malformed("This form has no such field.", code="field.unknown")
    if not name:
        raise Missing("No panel asks for anything.")
    if request.method == "POST":
        session.pop("frame")
        framed.allow(name, here().user)
        return page("meet_allow.html", code="", done=True)
    return page("meet_allow.html", code=framed.code(name), done=False)
