"""Text messages and faxes: the latest, and everything that went to and fro with one number.

Pictures and files are the telephone system's: a link to one is shown where the tenant states a basis for recordings of
that direction, and nothing of it is ever fetched by us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from console import lines, owed
from console.desk import Here, desk, here, page, read
from console.forms import Nothing, Older, asked
from domain import conversation, phone
from domain.call import TextEvent
from domain.errors import Missing
from jobs import passages, text_sending, texts
from store.connections import Tie
from store.finding import Contact
from store.texts import Conversation

if TYPE_CHECKING:
    from jobs.services import Services

ROWS = 50
DAYS = 31  # of one number, as long as messages are kept

bp = Blueprint("texts", __name__, url_prefix="/console/texts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A day of a conversation as a row of a list."""

    id: UUID
    who: str
    number: str
    contact: UUID | None
    last: str
    ours: bool  # the last word was ours
    fax: bool
    failed: bool  # it did not go through
    count: int
    last_at: datetime
    activity: lines.Link | None


@bp.get("")
def index() -> ResponseReturnValue:
    """Show a page of conversations; older ones by time."""
    before: datetime | None = asked(Older())
    services, at = desk().services, here()
    found = texts.kept(services).recent(at.tenant.id, limit=ROWS + 1, before=before)
    shown = found[:ROWS]
    read("read.texts", count=len(shown))
    ties = services.connections.all(at.tenant.id)
    return page(
        "texts.html",
        talks=talks(services, at, shown, ties),
        older=shown[-1].last_at.isoformat() if len(found) > ROWS else "",
        first=before is None,
        able=any(
            tie.state != "disconnected"
            and tie.vendor in services.telephony
            and services.telephony[tie.vendor].traits.texts
            for tie in ties
        ),
    )


@bp.get("/<uuid:text>")
def one(text: UUID) -> ResponseReturnValue:
    """Show everything that went to and fro with the number of this conversation, the latest day first."""
    asked(Nothing())
    services, at = desk().services, here()
    found = texts.kept(services).some(at.tenant.id, [text]).get(text)
    if found is None:
        raise Missing("There is no such conversation.")
    read("read.texts", f"texts:{found.id}", count=1)
    number = phone.read(found.customer, at.tenant.region).e164
    days = texts.kept(services).recent(at.tenant.id, limit=DAYS, number=number) if number else [found]
    ties = services.connections.all(at.tenant.id)
    users = services.tenants.users(at.tenant.id)
    return page(
        "text.html",
        talk=talks(services, at, [found], ties)[0],
        days=[
            (day, lines.record_link(ties, _crm(ties), "Tasks", day.activity, "In {}") if day.activity else None)
            for day in days
        ],
        owed=owed.of_call(services, at.tenant.id, found.id),
        speaker=texts.speaker(users),
        shown_fax=shown_fax,
        may_open=lambda message: _may_open(at, message),
        writable=not found.messages[0].fax and _may_write(services, at, number),
    )


def _may_write(services: Services, at: Here, number: str) -> bool:
    return bool(number) and writes(services, at) and not text_sending.stopped(services, at.tenant.id, number)


def writes(services: Services, at: Here) -> bool:
    """Whether text messages can be written here."""
    return text_sending.system_of(services, at.tenant.id) is not None


def called(services: Services, at: Here, contact: UUID) -> Contact | None:
    """Somebody who is to be written to."""
    return passages.people(services, at.tenant.id, "texts", [contact], actor=at.actor).get(contact)


def talks(services: Services, at: Here, found: Sequence[Conversation], ties: Sequence[Tie]) -> list[Talk]:
    """Say of each conversation what a list shows, with one reading of the people."""
    ids = {day.contact for day in found if day.contact is not None}
    people = passages.people(services, at.tenant.id, "texts", ids, actor=at.actor)
    return [_talk(at, day, people[day.contact].person.name if day.contact in people else "", ties) for day in found]


def _talk(at: Here, day: Conversation, name: str, ties: Sequence[Tie]) -> Talk:
    shown = lines.number(day.customer, at.tenant.region)
    last = day.messages[-1]
    return Talk(
        id=day.id,
        who=name or shown,
        number=shown if name else "",
        contact=day.contact,
        last=last.text or (shown_fax(last) if last.fax else "(no words)"),
        ours=last.direction == "outbound",
        fax=last.fax,
        failed=bool(last.failed),
        count=len(day.messages),
        last_at=day.last_at,
        activity=lines.record_link(ties, _crm(ties), "Tasks", day.activity, "In {}") if day.activity else None,
    )


def shown_fax(message: TextEvent) -> str:
    """A fax as a line of its own."""
    return conversation.described(message)[2:].capitalize()


def _crm(ties: Sequence[Tie]) -> UUID:
    return next((tie.id for tie in ties if tie.kind == "crm" and tie.state != "disconnected"), UUID(int=0))


def _may_open(at: Here, message: TextEvent) -> bool:
    return at.tenant.recordings.basis(message.direction) != "none"
