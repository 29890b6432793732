"""The administrator's first page: how the connections are, what today's calls came to, and what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from console import lines, owed, words
from console.desk import desk, here, page, read
from console.forms import AfterCall, Country, Filled, Matching, Nothing, Recordings, asked, filled
from domain import phone
from domain.errors import Malformed
from domain.own_account import holder
from domain.pop import BUDGET_MS
from jobs import choosing, country, passages, recordings, remarks, who
from store.budget import pop_times
from store.inbox import LANES

MEASURED = timedelta(days=7)  # so far back the overview looks when it says how fast pops are

bp = Blueprint("overview", __name__, url_prefix="/console")


@dataclass(frozen=True, slots=True)
class Today:
    """Calls since midnight, by what became of them."""

    answered: int
    missed: int
    voicemail: int
    other: int
    live: int

    @property
    def all(self) -> int:
        return self.answered + self.missed + self.voicemail + self.other + self.live

    @classmethod
    def of(cls, counts: dict[str, int]) -> Today:
        told = {"answered", "missed", "voicemail", ""}
        return cls(
            counts.get("answered", 0),
            counts.get("missed", 0),
            counts.get("voicemail", 0),
            sum(many for outcome, many in counts.items() if outcome not in told),
            counts.get("", 0),
        )


def titles() -> dict[str, str]:
    """What the telephony vendors are called."""
    return {slug: vendor.title for slug, vendor in desk().services.telephony.items()}


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show how things stand."""
    asked(Nothing())
    services, at = desk().services, here()
    every = services.connections.all(at.tenant.id, connected=True)
    ties = [tie for tie in every if holder(tie.facts) is None]  # users look after their own
    return page(
        "overview.html",
        ties=ties,
        kinds={tie.kind for tie in ties},
        today=Today.of(services.calls.counts(at.tenant.id, at.times.midnight)),
        people=services.hub.count(at.tenant.id),
        pops=pop_times(services.db, at.tenant.id, at.times.now - MEASURED),
        budget_ms=BUDGET_MS,
        attention=owed.attention(services, at, ties, titles()),
        standing=services.standing,
        vendor=lambda tie: words.vendor(tie.vendor, titles()),
    )


@bp.post("/deliveries/replay")
def replay() -> ResponseReturnValue:
    """Put what could not be understood back in its lane."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    services, at = desk().services, here()
    many = services.inbox.replay(at.tenant.id)
    services.ledger.note(at.tenant.id, "deliveries.replayed", actor=at.actor, count=many)
    for lane in LANES:
        services.bell.ring(at.tenant.id, lane)
    return redirect(url_for("console.overview.index"), 303)


@bp.get("/settings")
def settings() -> ResponseReturnValue:
    """Show what the tenant is set to."""
    asked(Nothing())
    return _settings()


@bp.post("/settings/recordings")
def recording_rules() -> ResponseReturnValue:
    """Take over what an administrator decided about recordings."""
    form = filled(Recordings(_most_days()))
    if not form.good:
        return _settings(recording=form), 400
    at = here()
    recordings.decide(desk().services, at.tenant.id, form.value, actor=at.actor)
    return redirect(url_for("console.overview.settings"), 303)


@bp.post("/settings/country")
def country_rule() -> ResponseReturnValue:
    """Take over in which country an administrator says numbers are dialled."""
    form = filled(Country())
    if not form.good:
        return _settings(where=form), 400
    country.choose(desk().services, user=here().user, country=form.value["country"])
    return redirect(url_for("console.overview.settings"), 303)


@bp.post("/settings/matching")
def matching_rules() -> ResponseReturnValue:
    """Take over what an administrator decided about shared numbers, for the calls of which we hear from now on."""
    form = filled(Matching())
    if not form.good:
        return _settings(matching=form), 400
    services, at = desk().services, here()
    rules = replace(at.tenant.matching, policy=form.value["policy"]).as_data()
    services.tenants.set(at.tenant.id, matching=rules)
    services.ledger.note(at.tenant.id, "matching.rules", actor=at.actor, **rules)
    return redirect(url_for("console.overview.settings"), 303)


@bp.post("/settings/matching/<uuid:rule>/undo")
def undo_rule(rule: UUID) -> ResponseReturnValue:
    """Take back whose a number is."""
    if not filled(Nothing()).good:
        raise Malformed("This form has no such field.", code="field.unknown")
    choosing.undo(desk().services, here().user, rule)
    return redirect(url_for("console.overview.settings"), 303)


@bp.post("/settings/after-call")
def after_call() -> ResponseReturnValue:
    """Take over what an administrator wants to hear after a call."""
    form = filled(AfterCall())
    if not form.good:
        return _settings(after=form), 400
    at = here()
    remarks.decide(desk().services, at.tenant.id, form.value, actor=at.actor)
    return redirect(url_for("console.overview.settings"), 303)


def _settings(
    recording: Filled | None = None,
    matching: Filled | None = None,
    after: Filled | None = None,
    where: Filled | None = None,
) -> str:
    """The page with what is set, or with what was filled in and is wrong."""
    services, tenant = desk().services, here().tenant
    rules = who.choices(services).all(tenant.id)
    ties = services.connections.all(tenant.id, kind="crm")
    if rules:
        read("read.contacts", count=len(rules))
    people = passages.people(services, tenant.id, "choices", {rule.contact for rule in rules}, actor=here().actor)
    recorded = {name: value or "" for name, value in tenant.recordings.as_data().items()}
    wishes = {**tenant.wishes.as_data(), "dispositions": "\n".join(tenant.wishes.dispositions)}
    return page(
        "settings.html",
        country=where.given.get("country", "") if where else tenant.region,
        country_errors=where.errors if where else {},
        country_because=words.COUNTRY_FROM.get(country.because(services, tenant.id), words.COUNTRY_FROM[""]),
        given=recording.given if recording else recorded,
        errors=recording.errors if recording else {},
        most_days=_most_days(),
        policy=matching.given.get("policy") if matching else tenant.matching.policy,
        order=[lines.module_label(ties, module) for module in tenant.matching.order],
        matching_errors=matching.errors if matching else {},
        rules=[
            (rule, people[rule.contact].person.name if rule.contact in people else "", phone.shown(rule.number))
            for rule in rules
        ],
        wishes=after.given if after else wishes,
        wish_errors=after.errors if after else {},
    )


def _most_days() -> int | None:
    """How many days the tenant's profile lets a recording be kept."""
    period = desk().services.profiles.get(here().tenant.profile).keeps("recordings").period
    return None if period is None else max(1, period.days)
