"""People: found by name, number or address, and everything known of one, with who said it.

Mail beside a contact is read from the cache; a body is fetched when its own page is opened.
"""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from console import lines, mail, texts
from console.desk import Here, desk, here, page, read
from console.forms import Nothing, Search, asked, filled
from domain import phone
from domain.errors import Malformed, Missing
from jobs import dialling, letters, passages
from jobs import texts as stored
from store.finding import Contact

EXIT = "people"  # the gate's name for these pages (`domain.limited_use`)
FOUND = 50
CALLS = 20
TEXTS = 10
MESSAGES = 20

bp = Blueprint("contacts", __name__, url_prefix="/console")


@bp.route("/contacts", methods=["GET", "POST"])
def index() -> ResponseReturnValue:
    """Find people. The page's own form posts, so that no name ends up in an address; `?q=` is understood as well."""
    if request.method == "POST":
        asked(Nothing())
        form = filled(Search())
        if not form.good:
            raise Malformed("This search cannot be read.", code="field.invalid")
        wanted: str = form.value
    else:
        wanted = asked(Search())
    at = here()
    found = _find(at, wanted)
    read("read.contacts", count=len(found))
    return page(
        "contacts.html",
        wanted=wanted,
        found=found,
        full=len(found) == FOUND,
        role=lines.role,
        sides=_all_sides,
        shown=phone.shown,
        people=desk().services.hub.count(at.tenant.id),
    )


def _find(at: Here, wanted: str) -> list[Contact]:
    """By number when it reads like one, by address when it holds an @, else by the beginnings of names."""
    services = desk().services
    if "@" in wanted:
        ids = services.hub.by_email(at.tenant.id, [wanted])
        found = {one for many in ids.values() for one in many}
        return list(passages.people(services, at.tenant.id, EXIT, found, actor=at.actor).values())
    number = phone.read(wanted, at.tenant.region)
    if number.kind == "number":
        return lines.same_number(services, at, wanted, EXIT)[:FOUND]
    by_name = services.hub.search(at.tenant.id, wanted, limit=FOUND)
    return passages.let_out(services, at.tenant.id, EXIT, by_name, actor=at.actor)


def _all_sides(contact: Contact) -> list[str]:
    return lines.sides(sorted({side for found in contact.source.values() for side in found}, reverse=True))


@bp.get("/contacts/<uuid:contact>")
def one(contact: UUID) -> ResponseReturnValue:
    """Show one person: how to reach them, who says so, their calls and the mail beside them."""
    asked(Nothing())
    services, at = desk().services, here()
    found = passages.people(services, at.tenant.id, EXIT, [contact], actor=at.actor, subject=f"contacts:{contact}").get(
        contact
    )
    if found is None:
        raise Missing("There is no such contact.")
    read("read.contact", f"contacts:{found.id}")
    ties = services.connections.all(at.tenant.id)
    return page(
        "contact.html",
        contact=found,
        person=found.person,
        role=lines.role(found.person),
        sides=lambda name: lines.sides(found.source.get(name, ())),
        number=lambda raw: lines.number(raw, at.tenant.region),
        records=lines.record_links(
            ties, services.hub.where(at.tenant.id, [contact]).get(contact, []), at.tenant.matching.order
        ),
        calls=lines.lines(services, at, services.calls.recent(at.tenant.id, limit=CALLS, contact=contact), ties),
        dials=dialling.system_of(services, at.tenant.id) is not None,
        talks=texts.talks(services, at, stored.kept(services).recent(at.tenant.id, limit=TEXTS, contact=contact), ties),
        texts=texts.writes(services, at),
        google=any(tie.kind == "workspace" and tie.state != "disconnected" for tie in ties),
        mail=mail.beside(at, contact, MESSAGES),
        writes=bool(found.person.emails) and letters.own_mailbox(services, at.user, "send-mail") is not None,
    )


@bp.get("/messages/<message>")
def message(message: str) -> ResponseReturnValue:
    """Open one message: read at Google for this page, or from the cache."""
    asked(Nothing())
    at = here()
    found = desk().open_message(desk().services, user=at.user, message_id=message) if len(message) <= 128 else None
    if found is None:
        raise Missing("This message is not here (any more).")
    read("read.message", count=1)
    return mail.opened(at, found)
