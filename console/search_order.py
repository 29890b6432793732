"""In which order Zoho's modules are searched for a caller: moved up or down, added, taken out, one press at a time."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console import lines, words
from console.desk import desk, here, page
from console.forms import Nothing, SearchOrder, SeveralDeals, asked, filled
from domain.consent import Standing
from domain.deal import DEALS
from domain.errors import Malformed, Missing
from domain.matching import MODULES
from jobs import search_order
from jobs.search_order import OF_OWN, There
from store.connections import Tie

bp = Blueprint("search_order", __name__, url_prefix="/console/settings/order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A module in the order. `trouble`: why nothing is read of it any more."""

    name: str
    label: str
    records: int
    numbers: int
    fixed: bool  # it always takes part
    trouble: str = ""


@bp.get("")
def index() -> ResponseReturnValue:
    """Show the order, and what could be added."""
    asked(Nothing())
    return _page(_crm())


@bp.post("")
def change() -> ResponseReturnValue:
    """Move, add or take out one module."""
    tie, form = _crm(), filled(SearchOrder())
    if tie is None:
        raise Missing("There is no Zoho connection.")
    if not form.good:
        raise Malformed("Up, down, add or drop: there is nothing else.", code="field.invalid")
    do, module = form.value["do"], form.value["module"]
    found = _there(tie, _standings(tie)) if do == "add" else There()
    search_order.change(desk().services, tie, here().user, do, module, found)
    return redirect(url_for(".index"), 303)


@bp.post("/deals")
def several_deals() -> ResponseReturnValue:
    """Take over which of several open deals has the call."""
    form = filled(SeveralDeals())
    if not form.good:
        raise Malformed("None of them, or the latest: there is nothing else.", code="field.invalid")
    search_order.decide_of_several(desk().services, here().user, form.value["of_several"])
    return redirect(url_for(".index"), 303)


def _crm() -> Tie | None:
    return desk().services.connections.first(here().tenant.id, "crm")


def _standings(tie: Tie) -> dict[str, Standing]:
    """How the permissions stand, those nobody has asked for yet included."""
    services = desk().services
    known = {item.feature.slug: item for item in desk().connect.features(services, here().tenant.id, tie)}
    every = {feature.slug: feature for feature in services.providers[tie.vendor].features}
    return {slug: known.get(slug) or Standing(feature, feature.scopes) for slug, feature in every.items()}


def _there(tie: Tie, standings: dict[str, Standing]) -> There:
    on = {slug for slug, item in standings.items() if item.on}
    return search_order.there(desk().services, tie, on)


def _page(tie: Tie | None) -> str:
    if tie is None:
        return page("search_order.html", tie=None)
    services, at = desk().services, here()
    standings = _standings(tie)
    found = _there(tie, standings)
    known = services.hub.by_module(at.tenant.id, tie.id)
    order = at.tenant.matching.order
    free = [module for module in found.modules if module.name not in order]
    return page(
        "search_order.html",
        tie=tie,
        modules=[_place(tie, module, known.get(module, (0, 0)), standings, found) for module in order],
        free=[module for module in free if module.phones or module.name == DEALS],
        silent=sum(1 for module in free if not module.phones and module.name != DEALS),
        deals=DEALS,
        of_several=at.tenant.matching.of_several if DEALS in order else "",
        trouble=words.reason(found.trouble) if found.trouble else "",
        on=[slug for slug, item in standings.items() if item.on],
        ask=[standings[slug].feature for slug in (search_order.OF_DEALS, OF_OWN) if not standings[slug].on],
    )


def _place(tie: Tie, name: str, known: tuple[int, int], standings: dict[str, Standing], found: There) -> Place:
    slug, trouble = search_order.feature_of(name), ""
    if slug and not standings[slug].on:
        trouble = "Your consent does not let us read it: nothing new of it is known until it does."
    elif slug and not found.trouble and found.get(name) is None:
        trouble = "Zoho has no such module any more. Take it out, and what is known of it is forgotten."
    elif slug == OF_OWN and not found.trouble and (there := found.get(name)) is not None and not there.phones:
        trouble = "It has no field for telephone numbers any more, so nobody is found in it."
    return Place(
        name=name,
        label=lines.module_label([tie], name),
        records=known[0],
        numbers=known[1],
        fixed=name in MODULES,
        trouble=trouble,
    )
