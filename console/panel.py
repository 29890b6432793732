"""The agent's panel: who is on the line, now. The page is a frame; `state` is asked every second and fills it.

That somebody saw who called is in the ledger once a call, however often the panel asks.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from uuid import UUID

from flask import Blueprint, jsonify, url_for
from flask.typing import ResponseReturnValue

from console import lines, words
from console.calls import may_make_leads
from console.desk import Here, desk, here, page, read
from console.forms import Nothing, asked
from console.lines import Line
from domain import phone
from domain.mail import threads
from domain.pop import shows
from domain.remark import ASKED_FOR, is_missing
from jobs import dialling, own_accounts, passages, privacy, steering
from store.call_book import Kept
from store.connections import Tie
from store.finding import Contact
from store.sieve import NO_CUSTOMER
from store.tenants import User

EXIT = "panel"  # the gate's name for what it shows (`domain.limited_use`)
STALE = timedelta(hours=4)  # a call that began longer ago and never ended: its end was lost
RECENT = 8
STILL_OFFERED = timedelta(minutes=5)  # after hanging up, where nobody asks for more
MISSED_AMONG = 25  # the tenant's latest calls, among which missed ones are shown
EARLIER = 4
SHARED = ("several", "chosen", "account")  # what a number led to when more than one have it
MESSAGES = 3  # threads, the one that was written to last first
AMONG = 12  # messages they are looked for in
REMEMBERED = 10_000  # (user, call) pairs this process knows the ledger has
LEDGER_ROWS = 200  # where else the ledger is looked through: another process, or an earlier one, may have noted it

bp = Blueprint("panel", __name__, url_prefix="/console/panel")


class _Noted:
    """Which calls were noted as shown, and to whom."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[tuple[UUID, UUID], None] = OrderedDict()

    def first_time(self, at: Here, call: UUID) -> bool:
        """Say whether this is the first time, and remember it."""
        with self._lock:
            if (at.user.id, call) in self._known:
                return False
            self._known[at.user.id, call] = None
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        rows = desk().services.ledger.rows(at.tenant.id, limit=LEDGER_ROWS)
        return not any(row.actor == at.actor and row.facts.get("panel") == str(call) for row in rows)


_noted = _Noted()


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the panel's frame."""
    asked(Nothing())
    services, at = desk().services, here()
    return page(
        "panel.html",
        dials=dialling.system_of(services, at.tenant.id) is not None,
        when=at.tenant.pops.when("inbound", at.user.pops),
        lines=services.devices.of(at.tenant.id, at.user.id),
        colleagues=[user for user in services.tenants.users(at.tenant.id) if _can_take(at, user)],
        lapsed=any(tie.state == "needs_consent" for tie in own_accounts.of(services, at.user)),
    )


@bp.get("/state")
def state() -> ResponseReturnValue:
    """Say who is on the line with this user, and what was before."""
    asked(Nothing())
    services, at = desk().services, here()
    ties = services.connections.all(at.tenant.id, connected=True)
    live = [kept for kept in services.calls.live(at.tenant.id, at.user.id, at.times.now - STALE) if _comes_up(at, kept)]
    mine = services.calls.recent(at.tenant.id, limit=RECENT, user=at.user.id)
    latest = services.calls.recent(at.tenant.id, limit=MISSED_AMONG)
    missed = [kept for kept in latest if kept.call.outcome == "missed" and kept.match not in NO_CUSTOMER][:RECENT]
    shown = lines.lines(services, at, [*live, *mine, *missed], ties)
    by_id = {line.id: line for line in shown}
    return jsonify(
        now=at.times.now.isoformat(),
        zone=at.times.name,
        dispositions=list(at.tenant.wishes.dispositions),
        asking=[_ask(kept, by_id[kept.id]) for kept in [*live, *mine] if _asks(at, kept)],
        live=[_live(at, kept, by_id[kept.id], ties) for kept in live],
        recent=[_row(at, by_id[kept.id]) for kept in mine if kept.call.state == "ended"],
        missed=[_row(at, by_id[kept.id]) for kept in missed],
    )


def _can_take(at: Here, user: User) -> bool:
    """Whether calls of this user's can be passed on to another one: somebody who is there, at a line we know."""
    return user.active and bool(user.extension) and user.id != at.user.id


def _comes_up(at: Here, kept: Kept) -> bool:
    """Whether a call at this user's phone stands in their panel by itself: the same rules as for a card in the CRM."""
    return shows(at.tenant.pops.when(kept.call.direction, at.user.pops), kept.seats[at.user.id])


def _asks(at: Here, kept: Kept) -> bool:
    """Say whether the agent is offered to remark on a call: while they speak, a little later, or until they did."""
    call, now = kept.call, at.times.now
    if call.state != "ended":
        return call.state == "answered" and kept.user == at.user.id
    ended = call.ended_at or call.started_at
    if not call.spoke or now - ended > ASKED_FOR:
        return False
    return is_missing(at.tenant.wishes, kept.remark) or now - ended < STILL_OFFERED


def _ask(kept: Kept, line: Line) -> dict[str, Any]:
    remark, times, began = kept.remark, here().times, kept.call.started_at
    when, over = f"{times.mid(began)} at {times.clock(began)}", kept.call.state == "ended"
    return {
        "id": str(kept.id),
        "title": f"How did it go with {line.who}, {when}?" if over else f"While you speak with {line.who}",
        "url": url_for("console.calls.remark", call=kept.id),
        "note": remark.note if remark is not None else "",
        "disposition": remark.disposition if remark is not None else "",
        "required": is_missing(here().tenant.wishes, remark) and over,
    }


def _live(at: Here, kept: Kept, line: Line, ties: list[Tie]) -> dict[str, Any]:
    """A call that rings or is spoken on, with everything an agent wants before saying hello."""
    services = desk().services
    known = passages.people(services, at.tenant.id, EXIT, [kept.contact] if kept.contact else [], actor=at.actor)
    person = known.get(kept.contact) if kept.contact else None
    if _noted.first_time(at, kept.id):
        subject = f"contacts:{person.id}" if person is not None else f"calls:{kept.id}"
        read("read.contact" if person is not None else "read.calls", subject, panel=str(kept.id), count=1)
    e164 = kept.e164 or phone.read(kept.call.customer, at.tenant.region).e164
    others = lines.with_number(services, at, e164, EXIT) if kept.match in SHARED else []
    return {
        "id": str(kept.id),
        "ringing": kept.seats[at.user.id] == "ringing",
        "state": words.LIVE[kept.seats[at.user.id]].text,
        "direction": line.direction.text,
        "icon": line.direction.icon,
        "since": _iso(kept.call.answered_at or kept.call.started_at),
        "who": line.who,
        "role": lines.role(person.person) if person is not None else "",
        "number": line.number,
        "queue": line.queue,
        "why": words.MATCHES.get(kept.match, ""),
        "known": person is not None,
        "others": [
            {
                "who": other.person.name,
                "contact": str(other.id),
                "url": url_for("console.contacts.one", contact=other.id),
            }
            for other in others
            if person is None or other.id != person.id
        ],
        "choose": url_for("console.calls.choose", call=kept.id),
        "lead": _lead(kept, ties),
        "links": _links(at, person, ties),
        "controls": _controls(kept, ties),
        "calls": _earlier(at, kept, ties) if person is not None else [],
        "mail": _mail(at, person) if person is not None else [],
    }


def _controls(kept: Kept, ties: list[Tie]) -> dict[str, Any]:
    """What this call's phone system lets its agent do: buttons, a keypad, whom to pass it on to."""
    can = next((steering.can(desk().services, tie) for tie in ties if tie.id == kept.connection), frozenset())
    address = url_for("console.dialling.control", call=kept.id, action="hangup").removesuffix("hangup")
    spoken = kept.call.state == "answered"  # what only rings can be hung up, and nothing else
    return {
        "url": address,
        "keys": "dtmf" in can and spoken,
        "passes": "transfer" in can and spoken,
        "buttons": [
            {"action": action, "text": text}
            for action, text in words.CONTROLS.items()
            if action in can and (spoken or action == "hangup")
        ],
    }


def _lead(kept: Kept, ties: list[Tie]) -> str:
    """Where a lead is asked for, when nobody has the number and the CRM's consent lets us make one."""
    unknown = kept.match == "nobody" and kept.e164
    return url_for("console.calls.lead", call=kept.id) if unknown and may_make_leads(ties) else ""


def _links(at: Here, person: Contact | None, ties: list[Tie]) -> list[dict[str, str]]:
    if person is None:
        return []
    places = desk().services.hub.where(at.tenant.id, [person.id]).get(person.id, [])
    out = [{"text": link.text, "url": link.url} for link in lines.record_links(ties, places, at.tenant.matching.order)]
    return [*out, {"text": "Everything we know", "url": url_for("console.contacts.one", contact=person.id)}]


def _earlier(at: Here, kept: Kept, ties: list[Tie]) -> list[dict[str, Any]]:
    found = desk().services.calls.recent(at.tenant.id, limit=EARLIER + 1, contact=kept.contact)
    before = [other for other in found if other.id != kept.id][:EARLIER]
    return [_row(at, line) for line in lines.lines(desk().services, at, before, ties)]


def _mail(at: Here, person: Contact) -> list[dict[str, str]]:
    services = desk().services
    cached = privacy.visible(services, at.user, services.mail.of_contact(at.tenant.id, person.id, AMONG))
    found = threads([*passages.let_out_mail(services, at.tenant.id, EXIT, cached, actor=at.actor)])[:MESSAGES]
    return [
        {
            "subject": thread[0].subject or "(no subject)",
            "sender": thread[0].written_by,
            "when": at.times.ago(thread[0].at),
            "url": url_for("console.contacts.message", message=thread[0].key),
        }
        for thread in found
    ]


def _row(at: Here, line: Line) -> dict[str, Any]:
    return {
        "id": str(line.id),
        "who": line.who,
        "company": line.company,
        "direction": line.direction.text,
        "icon": line.direction.icon,
        "outcome": line.outcome.text,
        "tone": line.outcome.tone,
        "shape": line.outcome.icon,
        "agent": line.agent,
        "when": at.times.ago(line.started_at),
        "talk": words.lasting(line.talk_seconds) if line.talk_seconds else "",
        "url": url_for("console.calls.one", call=line.id),
    }


def _iso(at: datetime) -> str:
    return at.isoformat()
