"""Conversations whose number somebody decided about: with whom they are now, and their activities' new ties.

A day that is not written yet needs no tie: it is written with its person. The rest is as it is with calls.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import Connection

from domain.errors import NotAllowed, Refused, Upstream
from domain.matching import COMPANIES, Key
from domain.phone import Number
from jobs import who
from jobs.services import Services
from jobs.texts import NOT_LOGGED, days, kept
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.owed import TEXTS, WAITING
from store.texts import Conversation

log = structlog.get_logger()

LINK = "text.link"
WAITS = timedelta(minutes=1)  # for the activity itself
MOST_DAYS = 5_000  # of one number's conversations, the latest


def settle(services: Services, database: Connection, tenant: TenantId, number: str, why: object) -> None:
    """Decide anew who a number's conversations are with, in the caller's transaction, and owe what follows.

    One changes when a rule for its number came, changed or went, or when nobody was known for it and somebody is.
    """
    ours, crm = services.tenants.get(tenant), services.connections.first(tenant, "crm")
    found = who.search(services, ours, crm, [number])
    agents = {user.id: user.remote_id for user in services.tenants.users(tenant)}
    for one in kept(services).recent(tenant, limit=MOST_DAYS, number=number):
        agent = agents.get(one.user, "") if one.user is not None else ""
        choice = found.trace(Number(one.customer, "number", e164=number), ours.region, agent).choice
        decided = choice.why == "rule" or one.match in ("chosen", "nobody")
        if one.match in NOT_LOGGED or not decided or (choice.contact, choice.match) == (one.contact, one.match):
            continue
        kept(services).settle(database, tenant, one.id, contact=choice.contact, match=choice.match)
        if crm is not None and choice.contact != one.contact:
            owed = {"number": number, "was": str(one.contact or "")}
            services.effects.plan(
                database,
                tenant,
                LINK,
                f"{LINK}:{one.id}:{why}",
                connection=crm.id,
                lane="calls",
                payload=owed,
                text=one.id,
            )


def link(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Tie activities to the records their conversations belong to now. Each says the same however often it is told."""
    crm = services.crm(tie)
    told = days(services, tie, [effect.text for effect in batch if effect.text is not None])
    for position, effect in enumerate(batch):
        day = told.get(effect.text) if effect.text is not None else None
        if day is None or not day.kept.activity:
            if day is not None and _being_written(services, tie.tenant, day.kept):
                services.effects.postpone(tie.tenant, [effect], "activity.waits", WAITS)
            else:
                services.effects.drop(tie.tenant, [effect], "link.not_needed", state="dropped")
            continue
        services.effects.claim(tie.tenant, [effect])
        try:
            tied = crm.link_texts(
                day.kept.activity, day.thread.record, _among(services, tie, effect), day.thread.beside
            )
        except (Refused, NotAllowed) as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            continue
        except Upstream:
            del batch[:position]  # what went before is settled; the rest shares this one's fate
            raise
        if not tied:
            services.effects.drop(tie.tenant, [effect], "link.by_hand", state="dropped")
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: day.kept.activity})
        log.info("texts_linked", tenant=str(tie.tenant), text=str(effect.text))


def _being_written(services: Services, tenant: TenantId, one: Conversation) -> bool:
    """It may have been written with the former tie; reading it back comes first."""
    with services.db.tenant(tenant) as database:
        owed = services.effects.of_call(database, tenant, one.id)
    return any(each["kind"] == TEXTS and each["state"] in WAITING for each in owed)


def _among(services: Services, tie: Tie, effect: Effect) -> set[Key]:
    """The records it may have been tied to by us: of whom it was with, and of everybody who has the number."""
    was = effect.payload.get("was")
    people = {*services.hub.who(tie.tenant, effect.payload["number"]), *([UUID(was)] if was else [])}
    there = services.hub.where(tie.tenant, people)
    now = {place for records in there.values() for place in who.places(tie, records)}
    return {place.key for place in now} | {(COMPANIES, place.account) for place in now if place.account}
