"""A tenant's connections: how each is, what it may do and why, and how to make, mend and end one.

A door's address and secret are shown once, on the page that answers the form; they cannot be read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from console import session, words
from console.desk import Here, desk, here, page
from console.forms import Filled, Nothing, Region, Wanted, account_form, asked, filled
from console.overview import titles
from domain.consent import Standing
from domain.errors import Malformed, Missing, Trouble
from domain.own_account import holder
from domain.ports import TelephonyVendor
from domain.sharing import Sharing
from jobs import licences, newcomers, who
from store.connections import Tie

bp = Blueprint("connections", __name__, url_prefix="/console/connections")

# What `jobs.leaving.end` destroys, in the words of the page that asks for it.
DESTROYED = {
    "crm": (
        "The permission is withdrawn at {title}, and the tokens are destroyed here.",
        "{title} is told to stop sending changes, and its call pop-ups end.",
        "People only {title} told us of leave our hub.",
        "Calls that are not written into {title} yet will not be written.",
    ),
    "workspace": (
        "The key of its cached mail is destroyed first: from that moment nobody can read a cached message of it.",
        "The permission is withdrawn at Google, and the tokens are destroyed here.",
        "People only this account told us of leave our hub.",
        "If it has the call log's spreadsheet, no more rows are added to it.",
    ),
    "telephony": (
        "The door closes: events sent to its address are refused from that moment on.",
        "The address, key and signing secrets you gave us are destroyed.",
        "Events we have not understood yet are emptied, and nothing can be dialled through it any more.",
    ),
}
STAYS = {
    "crm": "What was already written into {title} stays there: it is yours. Calls stay in the log until their time.",
    "workspace": "What lies at Google is not touched. Mail of other connected accounts stays beside the calls.",
    "telephony": "Calls we have heard stay in the log until their time.",
}


def _title(tie: Tie) -> str:
    return words.vendor(tie.vendor, titles())


def _tie(at: Here, tie: UUID) -> Tie:
    """A connection of the organisation's that is not ended. Raises Missing."""
    found = desk().services.connections.get(at.tenant.id, tie)
    if found.state == "disconnected":
        raise Missing("This connection has ended.")
    if holder(found.facts) is not None:
        raise Missing("This account is somebody's own.")
    return found


def _standings(tie: Tie) -> list[Standing]:
    if tie.vendor not in desk().services.providers or tie.state == "disconnected":
        return []
    return desk().connect.features(desk().services, tie.tenant, tie)


def _pressed() -> None:
    """A button was pressed: nothing but its token may come with it."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")


def _ask(at: Here, provider: str, features: Sequence[str], tie: Tie | None = None) -> ResponseReturnValue:
    """Go and ask for consent. A CRM's is always asked for whole: it may be another administrator who gives it."""
    browser = session.browser()
    address = desk().connect.begin(
        desk().services,
        provider=provider,
        purpose="install" if tie is not None and tie.kind == "crm" else "connect",
        browser=browser,
        features=features,
        user=at.user,
        connection=tie.id if tie is not None else None,
    )
    return session.to_consent(address, browser)


@bp.get("")
def index() -> ResponseReturnValue:
    """Show every connection."""
    asked(Nothing())
    return _connections()


def _connections(regions: Mapping[UUID, Filled] | None = None) -> str:
    """The page of all connections; `regions`: what was filled in for one and cannot be."""
    every = desk().services.connections.all(here().tenant.id)
    ties = [tie for tie in every if holder(tie.facts) is None]
    return page(
        "connections.html",
        ties=[tie for tie in ties if tie.state != "disconnected"],
        ended=[tie for tie in ties if tie.state == "disconnected"],
        own=sum(tie.state != "disconnected" for tie in every if tie not in ties),
        kinds={tie.kind for tie in ties if tie.state != "disconnected"},
        standings=_standings,
        standing=desk().services.standing,
        title=_title,
        vendors=desk().services.telephony,
        regions=regions or {},
        licence=licences.Seen.of,
        people_refused=newcomers.REFUSED,
        sharing=lambda tie: Sharing.from_facts(tie.facts),
        held={one.connection for one in desk().services.chores.all(here().tenant.id) if one.held},
    )


# ---- consent ----------------------------------------------------------------------------------------------


@bp.route("/google", methods=["GET", "POST"])
def google() -> ResponseReturnValue:
    """Connect a Google account: which features, and what each reads."""
    asked(Nothing())
    offered = [feature for feature in desk().services.providers["google"].features if not feature.by_name]
    form = filled(Wanted()) if request.method == "POST" else Filled()
    errors = dict(form.errors)
    if form.good and form.value is not None:
        known = {feature.slug for feature in offered}
        if form.value and known.issuperset(form.value):
            return _ask(here(), "google", form.value)
        errors = {"features": ["Choose at least one."] if not form.value else ["There is no such feature."]}
    ticked = form.value or [feature.slug for feature in offered if not feature.optional]
    body = page("google.html", features=offered, ticked=ticked, errors=errors)
    return body, 400 if errors else 200


@bp.post("/<uuid:tie>/consent")
def consent(tie: UUID) -> ResponseReturnValue:
    """Ask again: for a permission that was lost, or for one that is still missing."""
    at = here()
    found = _tie(at, tie)
    form = filled(Wanted())
    known = {standing.feature.slug for standing in _standings(found)}
    if not form.good or not form.value or not known.issuperset(form.value):
        raise Malformed("Choose at least one feature of this connection.", code="field.invalid")
    return _ask(at, found.vendor, form.value, found)


# ---- telephone systems ------------------------------------------------------------------------------------


@bp.get("/phone")
def phones() -> ResponseReturnValue:
    """Choose a telephony vendor; where there is one, that is the choice."""
    asked(Nothing())
    vendors = desk().services.telephony
    if len(vendors) == 1:
        return redirect(url_for(".phone", vendor=next(iter(vendors))))
    return page("phones.html", vendors=vendors)


@bp.route("/phone/<vendor>", methods=["GET", "POST"])
def phone(vendor: str) -> ResponseReturnValue:
    """Connect a telephone system with what its vendor needs to be told."""
    asked(Nothing())
    found = desk().services.telephony.get(vendor)
    if found is None:
        raise Missing("There is no such telephone system.")
    if request.method == "GET":
        return _phone_page(found, Filled())
    form = filled(account_form(found.account, desk().services.settings.allowed_private_hosts))
    if not form.good:
        return _phone_page(found, form), 400
    try:
        door = desk().connect.add_phone_system(desk().services, user=here().user, vendor=vendor, account=form.value)
    except Trouble as error:
        return _phone_page(found, Filled(None, {"_schema": [str(error)]}, form.given)), 400
    if not door.url:  # we listen to it: there is nothing to copy
        return redirect(url_for("console.connections.index"), 303)
    return page("door.html", title=found.title, url=door.url, secret=door.secret, new=True)


def _phone_page(vendor: TelephonyVendor, form: Filled) -> str:
    return page("phone.html", vendor=vendor, errors=form.errors, given=form.given)


@bp.post("/<uuid:tie>/secret")
def secret(tie: UUID) -> ResponseReturnValue:
    """Replace a door's secret; the old one stays valid for a while."""
    _pressed()
    at = here()
    found = _tie(at, tie)
    vendor = desk().services.telephony.get(found.vendor)
    if vendor is None or vendor.traits.listens or vendor.traits.secret_field:
        raise Missing("This connection has no door secret.")
    fresh = desk().connect.rotate_secret(desk().services, user=at.user, tie=found.id)
    return page("door.html", title=_title(found), url="", secret=fresh, new=False)


@bp.post("/<uuid:tie>/region")
def region(tie: UUID) -> ResponseReturnValue:
    """Say in which country a telephone system's numbers are dialled; empty: the organisation's."""
    at = here()
    found = _tie(at, tie)
    if found.kind != "telephony":
        raise Missing("This connection has no telephone numbers.")
    form = filled(Region())
    if not form.good:
        return _connections({found.id: form}), 400
    desk().services.connections.set_facts(at.tenant.id, found.id, **{who.REGION: form.value["region"]})
    desk().services.ledger.note(
        at.tenant.id,
        "connection.region",
        actor=at.actor,
        subject=f"connections:{found.id}",
        region=form.value["region"] or at.tenant.region,
    )
    return redirect(f"{url_for('console.connections.index')}#tie-{found.id}", 303)


# ---- the end ----------------------------------------------------------------------------------------------


@bp.route("/<uuid:tie>/disconnect", methods=["GET", "POST"])
def disconnect(tie: UUID) -> ResponseReturnValue:
    """Say exactly what is destroyed, then do it and show the certificate."""
    asked(Nothing())
    at = here()
    found = _tie(at, tie)
    title, back = _title(found), url_for("console.connections.index")
    if request.method == "POST":
        _pressed()
        return ended(found, title, back=back)
    return ending(found, title, label=found.label, back=back)


def ending(tie: Tie, title: str, *, back: str, label: str = "") -> str:
    """The page that says what disconnecting destroys; its button posts to this very address. `back`: where it leads."""
    return page(
        "disconnect.html",
        label=label if label != title else "",
        title=title,
        destroyed=[sentence.format(title=title) for sentence in DESTROYED[tie.kind]],
        stays=STAYS[tie.kind].format(title=title),
        back=back,
    )


def ended(tie: Tie, title: str, *, back: str) -> str:
    """Disconnect, and show the certificate of what was destroyed."""
    certificate = desk().connect.disconnect(desk().services, user=here().user, tie=tie.id)
    return page("certificate.html", title=title, certificate=certificate, back=back)
