"""The calls, newest first, and the story of one: when it rang, who it was and why we think so, what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Blueprint, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from console import lines, mail, owed, why, words
from console.call_forms import Calls
from console.desk import Here, desk, here, page, read
from console.forms import Back, Filled, Lead, Nothing, Person, RemarkForm, asked, filled
from console.session import wants_json
from domain.errors import Forbidden, Malformed, Missing
from domain.journey import sentence
from domain.recording import may_listen
from domain.remark import is_missing, may_remark
from jobs import by_hand, choosing, dialling, journeys, leads, recordings, remarks, text_sending, who
from store.call_book import Kept
from store.connections import Tie
from store.sieve import NO_CUSTOMER, Wanted

if TYPE_CHECKING:
    from jobs.services import Services

ROWS = 50
MESSAGES = 10

bp = Blueprint("calls", __name__, url_prefix="/console/calls")


@bp.get("")
def index() -> ResponseReturnValue:
    """Show a page of calls; older ones by time."""
    told = asked(Calls())
    before: datetime | None = told["before"]
    services, at = desk().services, here()
    wanted = _wanted(at, told)
    found = services.calls.recent(at.tenant.id, limit=ROWS + 1, before=before, wanted=wanted)
    shown = found[:ROWS]
    read("read.calls", count=len(shown))
    ties = services.connections.all(at.tenant.id)
    return page(
        "calls.html",
        calls=lines.lines(services, at, shown, ties),
        older=shown[-1].call.started_at.isoformat() if len(found) > ROWS else "",
        first=before is None,
        wanted={name: value for name, value in request.args.items() if name != "before" and value},
        people=[(user.id, user.name or user.email) for user in services.tenants.users(at.tenant.id)],
        inside={mark.hex(): line for mark, line in services.calls.lines(at.tenant.id).items()},
        phones=any(tie.kind == "telephony" and tie.state != "disconnected" for tie in ties),
    )


def _wanted(at: Here, told: dict[str, Any]) -> Wanted:
    """What the form above the list asks for; its days begin when they begin here."""
    return Wanted(
        user=told["user"],
        line=bytes.fromhex(told["line"]) if told["line"] else None,
        direction=told["direction"],
        outcome=told["outcome"],
        log=told["log"],
        since=at.times.begins(told["since"]) if told["since"] else None,
        until=at.times.begins(told["until"] + timedelta(days=1)) if told["until"] else None,
    )


@bp.post("/retry")
def retry_all() -> ResponseReturnValue:
    """Try again whatever was given up of any call's activity."""
    at = here()
    if not at.admin:
        raise Forbidden("This is for administrators.", code="role.admin_only")
    _retry(None)
    return redirect(url_for("console.calls.index", log="waiting"), 303)


@bp.post("/<uuid:call>/retry")
def retry(call: UUID) -> ResponseReturnValue:
    """Try again what was given up of this call's activity."""
    _known(here(), call)
    _retry(call)
    return redirect(url_for("console.calls.one", call=call), 303)


def _retry(call: UUID | None) -> None:
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    by_hand.retry(desk().services, here().tenant.id, call, actor=here().actor)


@bp.get("/<uuid:call>")
def one(call: UUID) -> ResponseReturnValue:
    """Show one call from ring to record."""
    asked(Nothing())
    return _page(call)


def _page(call: UUID, form: Filled | None = None) -> str:
    """A call's page; `form`: the lead that could not be asked for."""
    services, at = desk().services, here()
    kept = services.calls.get(at.tenant.id, call)
    if kept is None:
        raise Missing("There is no such call.")
    read("read.calls", f"calls:{kept.id}", count=1)
    ties = services.connections.all(at.tenant.id)
    line = lines.lines(services, at, [kept], ties)[0]
    if (
        kept.unread
        and _may_listen(at, kept)
        and services.calls.open_voicemail(at.tenant.id, kept.id, at.user.id, at.times.now)
    ):
        kept = replace(kept, opened=(at.times.now, at.user.id))
    names = {user.id: user.name for user in services.tenants.users(at.tenant.id)}
    steps, name = journeys.of_call(services, at.tenant.id, kept)
    recording = recordings.kept(services).get(at.tenant.id, kept.id)
    return page(
        "call.html",
        line=line,
        call=kept.call,
        why=words.MATCHES.get(kept.match, ""),
        dials=dialling.system_of(services, at.tenant.id) is not None,
        texts=text_sending.system_of(services, at.tenant.id) is not None,
        explained=why.why(services, at, kept, ties),
        may_make_leads=may_make_leads(ties),
        given=(form or Filled()).given,
        errors=(form or Filled()).errors,
        steps=[(step, sentence(step, name)) for step in steps],
        marks=journeys.timeline(services, at.tenant.id, kept, name),
        correctable=kept.call.state == "ended" and kept.match not in NO_CUSTOMER,
        callback=services.callbacks.get(at.tenant.id, kept.id),
        everybody=[user for user in services.tenants.users(at.tenant.id) if user.active],
        names={user.id: user.name for user in services.tenants.users(at.tenant.id)},
        owed=owed.of_call(services, at.tenant.id, kept.id),
        recording=recording,
        mail=mail.beside(at, kept.contact, MESSAGES) if kept.contact is not None else [],
        may_listen=_may_listen(at, kept),
        kept=kept,
        may_remark=may_remark(admin=at.admin, took_part=kept.user == at.user.id),
        missing=is_missing(at.tenant.wishes, kept.remark) and kept.call.spoke,
        name_of=lambda user: names.get(user, "somebody who has left"),
        connected={tie.id for tie in ties if tie.state != "disconnected"},
        agent_line=lines.number(kept.call.callee, at.tenant.region)
        if kept.call.direction == "inbound"
        else lines.number(kept.call.caller, at.tenant.region),
    )


@bp.post("/<uuid:call>/who")
def choose(call: UUID) -> ResponseReturnValue:
    """This number is that contact's: this call's, the past ones' and those to come."""
    form = filled(Person())
    if not form.good:
        raise Malformed("Please choose one of the people on the page.", code="field.invalid")
    choosing.choose(desk().services, here().user, call, form.value["contact"])
    return _back(call, form.value["back"])


@bp.post("/<uuid:call>/who/undo")
def undo(call: UUID) -> ResponseReturnValue:
    """Take back whose number this is; each call is what it was."""
    form = filled(Back())
    if not form.good:
        raise Malformed("This form has no such field.", code="field.unknown")
    services, at = desk().services, here()
    kept = _known(at, call)
    rule = who.choices(services).of(at.tenant.id, [kept.e164]).get(kept.e164) if kept.e164 else None
    if rule is not None:
        choosing.undo(services, at.user, rule.id)
    return _back(call, form.value["back"])


@bp.post("/<uuid:call>/lead")
def lead(call: UUID) -> ResponseReturnValue:
    """Have the CRM make a lead of an unknown caller."""
    services, at = desk().services, here()
    _known(at, call)
    form = filled(Lead())
    if not form.good:
        return _page(call, form), 400
    if not may_make_leads(services.connections.all(at.tenant.id, connected=True)):
        raise Forbidden("The permission to make leads was not given in Zoho.", code="feature.off")
    said = {name: form.value[name] for name in leads.FIELDS}
    leads.ask(services, at.user, call, **said)
    return _back(call, form.value["back"])


def may_make_leads(ties: Sequence[Tie]) -> bool:
    """Whether the CRM's consent reaches so far."""
    crm = next((tie for tie in ties if tie.kind == "crm" and tie.state != "disconnected"), None)
    standings = desk().connect.features(desk().services, crm.tenant, crm) if crm is not None else []
    return any(one.on and one.feature.slug == "leads" for one in standings)


def _back(call: UUID, place: str) -> ResponseReturnValue:
    panel = place == "panel"
    return redirect(url_for("console.panel.index") if panel else url_for("console.calls.one", call=call), 303)


@bp.post("/<uuid:call>/remark")
def remark(call: UUID) -> ResponseReturnValue:
    """Keep what an agent says of a call: from its page, or from the panel, which wants no other page."""
    services, at = desk().services, here()
    if not may_remark(admin=at.admin, took_part=_known(at, call).user == at.user.id):
        raise Forbidden("You may remark on calls of your own.", code="call.not_yours")
    form = filled(RemarkForm())
    if not form.good:
        raise Malformed("This note cannot be kept: it is too long, or has a field we do not know.")
    remarks.remark(
        services, at.tenant, call, note=form.value["note"], disposition=form.value["disposition"], user=at.user
    )
    if wants_json():
        return jsonify(kept=True)
    return redirect(url_for("console.calls.one", call=call), 303)


@bp.get("/<uuid:call>/recording")
def listen(call: UUID) -> ResponseReturnValue:
    """Send the page's player to the sound: a fresh link each time, for whoever sits here and for nobody else."""
    asked(Nothing())
    services, at = desk().services, here()
    if not _may_listen(at, _known(at, call)):
        raise Forbidden("You may listen to calls of your own.", code="recording.not_yours")
    address = recordings.link(
        services, at.tenant.id, call, for_whom=f"user:{at.user.id}", seconds=recordings.PAGE_SECONDS
    )
    return redirect(address.removeprefix(services.settings.origin))  # wherever this browser reaches us


@bp.post("/<uuid:call>/recording/delete")
def delete(call: UUID) -> ResponseReturnValue:
    """Delete the recording, here and at the telephone system."""
    services, at = _administrator(call)
    recordings.forget(services, at.tenant.id, call, actor=at.actor)
    return redirect(url_for("console.calls.one", call=call), 303)


@bp.post("/<uuid:call>/recording/revoke")
def revoke(call: UUID) -> ResponseReturnValue:
    """Make every link to the recording worthless."""
    services, at = _administrator(call)
    recordings.revoke(services, at.tenant.id, call, actor=at.actor)
    return redirect(url_for("console.calls.one", call=call), 303)


def _administrator(call: UUID) -> tuple[Services, Here]:
    """An administrator pressed a button of this call's page. Raises Forbidden, Malformed and Missing."""
    at = here()
    if not at.admin:
        raise Forbidden("This is for administrators.", code="role.admin_only")
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    _known(at, call)
    return desk().services, at


def _known(at: Here, call: UUID) -> Kept:
    kept = desk().services.calls.get(at.tenant.id, call)
    if kept is None:
        raise Missing("There is no such call.")
    return kept


def _may_listen(at: Here, kept: Kept) -> bool:
    return may_listen(admin=at.admin, took_part=kept.user == at.user.id)
