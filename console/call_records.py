"""A record for each call in a module of the organisation's choice: chosen, filled in, looked at on calls, switched on.

What goes into its fields is filled in as for calls (`console.mapping`); nothing is kept while it is only looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError, fields, post_load

from console import words
from console.desk import desk, here, page
from console.forms import Filled, Form, asked, filled, text
from console.mapping import QUEUE_CHARACTERS, MappingForm, asked_zoho, mapped, table
from domain import call_record
from domain.call_record import MOST_CONDITIONS, TOPIC, RecordMap
from domain.consent import Standing
from domain.errors import ConsentLost, Missing, NotAllowed, Upstream
from domain.mapping import CrmField, Fault
from domain.matching import MODULE_NAME
from domain.ports import CrmModule
from jobs import call_records, mapping
from store.connections import Tie

bp = Blueprint("call_records", __name__, url_prefix="/console/settings/fields/records")


class Which(Form):
    """The module whose fields are shown."""

    module = text(most=64, required=False)


class RecordsForm(MappingForm):
    """The module, the field with the call's id, the look-up, for which calls, and the rows."""

    module = text(most=64)
    marker = text(most=100, required=False)
    link = text(most=100, required=False)
    calls_of = fields.String(load_default="")

    @post_load
    def to_rows(self, data: dict[str, Any], **_: Any) -> Any:
        do, rows = super().to_rows(data)
        only = tuple(dict.fromkeys(filter(None, (one.strip() for one in data["calls_of"].split(",")))))
        if len(only) > MOST_CONDITIONS or any(len(one) > QUEUE_CHARACTERS or not one.isprintable() for one in only):
            raise ValidationError(
                f"At most {MOST_CONDITIONS} queues or numbers, with a comma between them.", "calls_of"
            )
        if not MODULE_NAME.fullmatch(data["module"]):
            raise ValidationError("There is no such module.", "module")
        chosen = RecordMap(module=data["module"], marker=data["marker"], link=data["link"], only=only)
        return do, rows, chosen


@bp.get("")
def index() -> ResponseReturnValue:
    """Show what is chosen, or the fields of another module."""
    other, kept = asked(Which())["module"], here().tenant.records
    return _page(_crm(), RecordMap(module=other) if other and other != kept.module else kept)


@bp.post("")
def choose() -> ResponseReturnValue:
    """Look at what was filled in, use it from now on, or keep it without using it."""
    tie, form = _crm(), filled(RecordsForm())
    if tie is None:
        raise Missing("There is no Zoho connection.")
    if not form.good:
        return _page(tie, here().tenant.records, form), 400
    do, rows, told = form.value
    modules, trouble = _modules(tie)
    known, silent = _known(tie, told.module, modules)
    chosen = replace(told, fields=mapped(rows, known, on=do == "on"))
    if do == "look":
        return _page(tie, chosen, looked=True)
    if trouble or silent or (chosen.on and _wrong(chosen, known, modules)):
        return _page(tie, chosen, looked=True), 400
    names = [module.name for module in modules]
    call_records.choose(desk().services, tie, here().user, chosen, known, names)
    return redirect(url_for(".index"), 303)


def _crm() -> Tie | None:
    return desk().services.connections.first(here().tenant.id, "crm")


def _standings(tie: Tie) -> dict[str, Standing]:
    """How the two permissions stand, though nobody may have asked for them yet."""
    services = desk().services
    known = {item.feature.slug: item for item in desk().connect.features(services, here().tenant.id, tie)}
    every = {feature.slug: feature for feature in services.providers[tie.vendor].features}
    wanted = (call_records.OF_OWN, call_records.OF_DEALS)
    return {slug: known.get(slug) or Standing(every[slug], every[slug].scopes) for slug in wanted}


def _modules(tie: Tie) -> tuple[list[CrmModule], str]:
    """The modules a record can be made in, or why Zoho does not say."""
    try:
        return call_records.modules(desk().services, tie, _on(tie)), ""
    except (ConsentLost, NotAllowed, Upstream) as error:
        return [], words.reason(error.code)


def _known(tie: Tie, module: str, modules: Sequence[CrmModule]) -> tuple[list[CrmField], str]:
    if module not in {one.name for one in modules}:
        return [], ""
    return asked_zoho(lambda: call_records.there(desk().services, tie, module))


def _wrong(chosen: RecordMap, known: Sequence[CrmField], modules: Sequence[CrmModule]) -> list[Fault]:
    return call_records.faults(here().tenant, chosen, known, [module.name for module in modules])


def _page(tie: Tie | None, chosen: RecordMap, form: Filled | None = None, *, looked: bool = False) -> str:
    services, at = desk().services, here()
    modules, trouble = _modules(tie) if tie is not None else ([], "")
    known, silent = _known(tie, chosen.module, modules) if tie is not None else ([], "")
    found = _wrong(chosen, known, modules) if known and (looked or chosen.fields.rules) else []
    shown = tie is not None and bool(known) and bool(chosen.fields.rules)
    standings = _standings(tie) if tie is not None else {}
    return page(
        "call_records.html",
        **table(chosen.fields, call_record.ours(chosen, known), found, TOPIC),
        tie=tie,
        records=chosen,
        kept=at.tenant.records,
        modules=modules,
        markers=call_record.markers(known),
        lookups=call_record.links(known),
        looked=looked,
        trouble=trouble or silent,
        errors=form.errors if form else {},
        refused=tie.facts.get(call_records.REFUSED) or {} if tie is not None else {},
        on=_on(tie) if tie is not None else [],
        ask=[item.feature for item in standings.values() if not item.on],
        samples=mapping.samples(services, tie, chosen.fields, actor=at.actor) if shown and tie is not None else [],
    )


def _on(tie: Tie) -> list[str]:
    every = desk().connect.features(desk().services, here().tenant.id, tie)
    return [item.feature.slug for item in every if item.on]
