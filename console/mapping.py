"""What goes into which field of a call in Zoho: written down, looked at on the latest real calls, then switched on.

Nothing is kept while it is only looked at, and nothing that cannot work is switched on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, post_load, validate

from console import words
from console.desk import desk, here, page
from console.forms import MESSAGES, Filled, Form, Nothing, asked, choice, filled
from domain.errors import ConsentLost, Missing, NotAllowed, Upstream
from domain.mapping import CALLS, MOST_RULES, CrmField, Fault, FieldMap, Rule, Topic
from domain.template import MOST_CHARACTERS
from jobs import filling, mapping
from store.connections import Tie

bp = Blueprint("mapping", __name__, url_prefix="/console/settings/fields")
EMPTY_ROWS = 3  # to write more into; the next look at it brings new ones
QUEUE_CHARACTERS = 80
LISTS = ("field", "template", "queue")
TABS = {  # by the CRM's module, or the end of their page's address; calls have the page itself
    "": "Calls",
    "Contacts": "New contacts",
    "Leads": "New leads",
    "records": "Records of calls",
}


def _column(most: int) -> fields.List[str]:
    """One column of the table people fill in."""
    cell = fields.String(validate=validate.Length(max=most, error=f"At most {most} characters."))
    return fields.List(cell, load_default=list, error_messages=MESSAGES)


class MappingForm(Form):
    """A field, a template and a queue on each line; a line without a field is none."""

    field = _column(100)
    template = _column(MOST_CHARACTERS)
    queue = _column(QUEUE_CHARACTERS)
    do = choice(("look", "on", "off"), required=True)

    @post_load
    def to_rows(self, data: dict[str, Any], **_: Any) -> tuple[str, list[tuple[str, str, str]]]:
        data["queue"] = data["queue"] or [""] * len(data["field"])  # people have none
        columns = [data[name] for name in LISTS]
        if len({len(column) for column in columns}) != 1 or len(columns[0]) > MOST_RULES + EMPTY_ROWS:
            raise ValidationError(MESSAGES["invalid"], "field")
        rows = [(one.strip(), text.strip(), queue.strip()) for one, text, queue in zip(*columns, strict=True)]
        if any(not part.isprintable() for row in rows for part in row):
            raise ValidationError(MESSAGES["invalid"], "field")
        return data["do"], [row for row in rows if row[0]]


@bp.get("")
def index() -> ResponseReturnValue:
    """Show what is chosen, and the latest calls as they are written with it."""
    asked(Nothing())
    return _page(_crm(), here().tenant.fields)


@bp.post("")
def choose() -> ResponseReturnValue:
    """Look at what was filled in, use it from now on, or keep it without using it."""
    tie, form = _crm(), filled(MappingForm())
    if tie is None:
        raise Missing("There is no Zoho connection.")
    if not form.good:
        return _page(tie, here().tenant.fields, form), 400
    do, rows = form.value
    known, trouble = _known(tie)
    chosen = mapped(rows, known, on=do == "on")
    if do == "look":
        return _page(tie, chosen, looked=True)
    if trouble or (chosen.on and mapping.wrong(here().tenant, chosen, known)):
        return _page(tie, chosen, looked=True), 400
    mapping.choose(desk().services, tie, here().user, chosen, known)
    return redirect(url_for("console.mapping.index"), 303)


def mapped(rows: Sequence[tuple[str, str, str]], known: Sequence[CrmField], *, on: bool) -> FieldMap:
    """What was filled in, with the fields as Zoho describes them."""
    described = {one.name: one for one in known}
    rules = [Rule(field=described.get(name, CrmField(name=name)), template=text, queue=q) for name, text, q in rows]
    return FieldMap(rules=tuple(rules), on=on)


def asked_zoho(ask: Callable[[], list[CrmField]]) -> tuple[list[CrmField], str]:
    """The fields there are, or why Zoho does not say."""
    try:
        return ask(), ""
    except (ConsentLost, NotAllowed, Upstream) as error:
        return [], words.reason(error.code)


def table(chosen: FieldMap, known: Sequence[CrmField], found: Sequence[Fault], topic: Topic) -> dict[str, Any]:
    """What the table people fill in is made of."""
    return {
        "topic": topic,
        "tabs": TABS,
        "chosen": chosen,
        "rows": [*chosen.rules, *[None] * EMPTY_ROWS],
        "targets": [one for one in known if one.writable and not one.ours and one.kind in topic.kinds],
        "labels": {one.name: one.label for one in known},
        "wrong": {one.place: one.sentence for one in found if one.place is not None},
        "demanded": [one.sentence for one in found if one.place is None],
    }


def _crm() -> Tie | None:
    return desk().services.connections.first(here().tenant.id, "crm")


def _known(tie: Tie) -> tuple[list[CrmField], str]:
    return asked_zoho(lambda: mapping.there(desk().services, tie, here().tenant))


def _page(tie: Tie | None, chosen: FieldMap, form: Filled | None = None, *, looked: bool = False) -> str:
    services, at = desk().services, here()
    known, trouble = _known(tie) if tie is not None else ([], "")
    found: Sequence[Fault] = mapping.wrong(at.tenant, chosen, known) if known else ()
    shown = tie is not None and bool(chosen.rules) and not trouble
    return page(
        "mapping.html",
        **table(chosen, known, found, CALLS),
        tie=tie,
        kept=at.tenant.fields,
        looked=looked,
        trouble=trouble,
        errors=form.errors if form else {},
        bridged=at.tenant.call_writer == "bridge",
        refused=tie.facts.get(filling.REFUSED) or {} if tie is not None else {},
        samples=mapping.samples(services, tie, chosen, actor=at.actor) if shown and tie is not None else [],
    )
