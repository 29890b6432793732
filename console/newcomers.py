"""What somebody new in Zoho gets beyond their own details: written down, looked at on real people, then switched on.

One page for contacts and one for leads, filled in as those of calls are (`console.mapping`).
"""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console.desk import desk, here, page
from console.forms import Filled, Nothing, asked, filled
from console.mapping import MappingForm, asked_zoho, mapped, table
from domain.errors import Missing
from domain.mapping import CrmField, Fault, FieldMap
from domain.newcomer import TOPICS
from jobs import newcomers
from store.connections import Tie

bp = Blueprint("newcomers", __name__, url_prefix="/console/settings/fields")


@bp.get("/<module>")
def index(module: str) -> ResponseReturnValue:
    """Show what is chosen for one module, and real people as they are written with it."""
    asked(Nothing())
    return _page(_crm(module), module, _kept(module))


@bp.post("/<module>")
def choose(module: str) -> ResponseReturnValue:
    """Look at what was filled in, use it from now on, or keep it without using it."""
    tie, form = _crm(module), filled(MappingForm())
    if tie is None:
        raise Missing("There is no Zoho connection.")
    if not form.good:
        return _page(tie, module, _kept(module), form), 400
    do, rows = form.value
    known, trouble = _known(tie, module)
    chosen = mapped([(name, text, "") for name, text, _ in rows], known, on=do == "on")
    if do == "look":
        return _page(tie, module, chosen, looked=True)
    if trouble or (chosen.on and newcomers.wrong(module, chosen, known)):
        return _page(tie, module, chosen, looked=True), 400
    newcomers.choose(desk().services, tie, here().user, module, chosen, known)
    return redirect(url_for("console.newcomers.index", module=module), 303)


def _crm(module: str) -> Tie | None:
    if module not in TOPICS:
        raise Missing("There is no such page.")
    return desk().services.connections.first(here().tenant.id, "crm")


def _kept(module: str) -> FieldMap:
    return here().tenant.newcomers.get(module, FieldMap())


def _known(tie: Tie, module: str) -> tuple[list[CrmField], str]:
    return asked_zoho(lambda: newcomers.there(desk().services, tie, module))


def _page(tie: Tie | None, module: str, chosen: FieldMap, form: Filled | None = None, *, looked: bool = False) -> str:
    services = desk().services
    known, trouble = _known(tie, module) if tie is not None else ([], "")
    found: Sequence[Fault] = newcomers.wrong(module, chosen, known) if known else ()
    shown = tie is not None and bool(chosen.rules) and not trouble
    return page(
        "mapping.html",
        **table(chosen, known, found, TOPICS[module]),
        module=module,
        tie=tie,
        kept=_kept(module),
        looked=looked,
        trouble=trouble,
        errors=form.errors if form else {},
        refused=tie.facts.get(newcomers.REFUSED[module]) or {} if tie is not None else {},
        samples=newcomers.samples(services, tie, here().user, module, chosen) if shown and tie is not None else [],
    )
