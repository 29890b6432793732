"""The contacts of one connection: which way changes travel, whose word counts, how far it is, and what waits.

Nothing is read from the other side here but the labels or views there are to choose from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console import sync_words, words
from console.desk import desk, here, page
from console.forms import Filled, Nothing, asked, filled
from console.overview import titles
from console.sharing_forms import TIES, VIEWS, Besides, HeldForm, LimitForm, Pause, SharingForm
from domain.besides import DIRECTORY, SOURCES, TYPED_IN, by_slug
from domain.consent import Standing
from domain.errors import Malformed, Missing, NotAllowed, Refused, Upstream
from domain.own_account import holder
from domain.sharing import VIEWING, WRITING, Limit, Sharing
from jobs import besides, both_ways, holding, passages, read_phonebook, sharing
from store.chores import Chore
from store.connections import Tie

bp = Blueprint("sharing", __name__, url_prefix="/console/connections/<uuid:tie>/contacts")
EXIT = "held run"  # the gate's name for it (`domain.limited_use`)
KINDS = ("crm", "workspace")  # connections for whose contacts there is something to choose
SHOWN = (
    *("read.crm", "read.book", *(source.chore for source in SOURCES), both_ways.CHORE),
    *(read_phonebook.CHORE, "write.phonebook"),
)


@bp.get("")
def index(tie: UUID) -> ResponseReturnValue:
    """Show the choice, and how things stand."""
    asked(Nothing())
    return _page(_with_people(tie))


@bp.post("")
def choose(tie: UUID) -> ResponseReturnValue:
    """Follow another choice from now on."""
    found = _tie(tie)
    form = filled(SharingForm(frozenset(_choices(found)), Sharing.from_facts(found.facts), _views(found)))
    if not form.good:
        return _page(found, form), 400
    sharing.choose(desk().services, found, form.value, actor=here().actor)
    return redirect(url_for("console.sharing.index", tie=found.id), 303)


@bp.post("/limit")
def limit(tie: UUID) -> ResponseReturnValue:
    """Say how much one run may remove without asking."""
    found, at = _tie(tie), here()
    form = filled(LimitForm())
    if not form.good:
        return _page(found, limits=form), 400
    desk().services.tenants.set(at.tenant.id, contacts=Limit(form.value).as_data())
    desk().services.ledger.note(at.tenant.id, "contacts.limit", actor=at.actor, percent=form.value)
    return redirect(url_for("console.sharing.index", tie=found.id), 303)


@bp.post("/pause")
def pause(tie: UUID) -> ResponseReturnValue:
    """Stop for a while, or go on."""
    found = _with_people(tie)
    form = filled(Pause())
    if not form.good:
        raise Malformed("Pause or go on: there is nothing else.", code="field.invalid")
    sharing.pause(desk().services, found, form.value["do"] == "pause", actor=here().actor)
    return redirect(url_for("console.sharing.index", tie=found.id), 303)


@bp.post("/besides")
def besides_contacts(tie: UUID) -> ResponseReturnValue:
    """Stop reading what Google knows beside contacts and forget it, or read it again."""
    found = _tie(tie)
    form = filled(Besides())
    source = by_slug(form.value["source"]) if form.good else None
    if source is None or source.slug not in _on(found):
        raise Malformed("Read it or stop: there is nothing else, and only what is allowed.", code="field.invalid")
    besides.choose(desk().services, found, source, form.value["do"] == "read", actor=here().actor)
    return redirect(url_for("console.sharing.index", tie=found.id), 303)


@bp.post("/held")
def held(tie: UUID) -> ResponseReturnValue:
    """Let a held run go on, or leave it."""
    found = _with_people(tie)
    form = filled(HeldForm())
    if not form.good:
        raise Malformed("Continue or leave it: there is nothing else.", code="field.invalid")
    go_on = form.value["do"] == "continue"
    holding.decide(desk().services, found, form.value["chore"], go_on=go_on, actor=here().actor)
    return redirect(url_for("console.sharing.index", tie=found.id), 303)


def _tie(tie: UUID) -> Tie:
    """A connection whose contacts there is something to choose for, and that is not ended. Raises Missing."""
    found = _with_people(tie)
    if found.kind not in KINDS:
        raise Missing("There is nothing to choose for this connection's contacts.")
    return found


def _with_people(tie: UUID) -> Tie:
    """A connection of this tenant that has contacts, or a phonebook, and is not ended. Raises Missing."""
    services = desk().services
    found = services.connections.get(here().tenant.id, tie)
    phones = services.telephony.get(found.vendor) if found.kind == "telephony" else None
    keeps = found.kind in KINDS or (phones is not None and phones.traits.phonebook)
    if found.state == "disconnected" or not keeps or holder(found.facts) is not None:
        raise Missing("This connection keeps no contacts.")
    return found


def _choices(tie: Tie) -> Mapping[str, str]:
    """What can be chosen to take part, and what it is called; while the other side does not answer, what was chosen."""
    if tie.kind == "crm":
        return sync_words.MODULES
    if tie.kind == "telephony":
        return {}
    try:
        return desk().services.address_book(tie).labels()
    except Upstream:
        return dict.fromkeys(Sharing.from_facts(tie.facts).only, "A label you chose")


def _views(tie: Tie) -> dict[str, Mapping[str, str]]:
    """The views there are of each module; while the other side does not tell them, what was chosen."""
    chosen = Sharing.from_facts(tie.facts).views
    found: dict[str, Mapping[str, str]] = {module: {view: "The view you chose"} for module, view in chosen.items()}
    if tie.kind != "crm" or VIEWING not in _on(tie):
        return found
    try:
        crm = desk().services.crm(tie)
        for module in sync_words.MODULES:
            try:
                found[module] = crm.views(module)
            except (NotAllowed, Refused):
                continue  # of this module it tells none; the others are asked all the same
    except Upstream:
        pass
    return found


def _on(tie: Tie) -> list[str]:
    """The features of a connection that are on."""
    every = desk().connect.features(desk().services, here().tenant.id, tie)
    return [item.feature.slug for item in every if item.on]


def _page(tie: Tie, form: Filled | None = None, limits: Filled | None = None) -> str:
    services, at = desk().services, here()
    chosen = Sharing.from_facts(tie.facts)
    features = desk().connect.features(services, at.tenant.id, tie) if tie.kind in KINDS else []
    chores = [one for one in services.chores.all(at.tenant.id) if one.connection == tie.id and one.kind in SHOWN]
    given = form.given if form else {}
    return page(
        "sharing.html",
        tie=tie,
        title=words.vendor(tie.vendor, titles()),
        chosen=chosen,
        typed_in=services.hub.known(at.tenant.id, tie.id, [TYPED_IN]) if tie.kind == "telephony" else 0,
        direction=given.get("direction", chosen.direction),
        owners={name: given.get(f"owner_{name}", chosen.owner.get(name, "left")) for name in TIES},
        errors=form.errors if form else {},
        choices=_choices(tie),
        ticked=chosen.only,
        views=_view_choices(tie, chosen, given),
        viewing=next((item for item in features if item.feature.slug == VIEWING), None),
        writable=any(item.on and item.feature.slug == WRITING for item in features),
        on=[item.feature.slug for item in features if item.on],
        writing=next((item for item in features if item.feature.slug == WRITING), None),
        limit=(limits.given.get("percent") if limits else None) or at.tenant.contacts.percent,
        limit_errors=limits.errors if limits else {},
        besides=_besides(tie, features, chosen),
        held=[_held(one) for one in chores if one.held],
        running=next((one.progress for one in chores if one.progress.get("left")), None),
        exporting=next((one.progress["exporting"] for one in chores if one.progress.get("exporting")), 0),
        waiting=_waiting(tie),
    )


def _view_choices(tie: Tie, chosen: Sharing, given: Mapping[str, str]) -> list[dict[str, Any]]:
    """For each module: the views to choose from, and which is chosen, also where it is not there any more."""
    if tie.kind != "crm":
        return []
    there, found = _views(tie), []
    for name, module in VIEWS.items():
        told, was = {"": "All records", **there.get(module, {})}, chosen.views.get(module, "")
        told |= {} if was in told else {was: "A view that is not there any more"}
        now = given.get(name, was)
        found.append(
            {"name": name, "title": sync_words.MODULES[module], "told": told, "now": now if now in told else was}
        )
    return found


def _besides(tie: Tie, features: Sequence[Standing], chosen: Sharing) -> list[dict[str, Any]]:
    """What Google knows beside contacts, where that is allowed: how many of them we know, and whether it is read."""
    allowed = {item.feature.slug: item.feature for item in features if item.on}
    return [
        {
            "feature": allowed[source.slug],
            "read": source.slug not in chosen.stopped,
            "known": desk().services.hub.known(tie.tenant, tie.id, [source.module]),
            "none": source is DIRECTORY and tie.facts.get(besides.NONE) == "none",
        }
        for source in SOURCES
        if source.slug in allowed
    ]


def _held(chore: Chore) -> dict[str, Any]:
    """A held run as the page shows it, with some of those it is about."""
    told = chore.held
    some, at = [UUID(one) for one in told.get("some", ())], here()
    people = passages.people(desk().services, at.tenant.id, EXIT, some, actor=at.actor)
    names = sorted(one.person.name for one in people.values() if one.person.name)
    return {**told, "chore": chore.kind, "names": names}


def _waiting(tie: Tie) -> Mapping[str, int]:
    """How many people wait for somebody to look, by reason."""
    couple = both_ways.couple_of(desk().services, tie) if tie.kind == "workspace" else None
    return desk().services.pairs.waiting(couple[0]) if couple else {}
