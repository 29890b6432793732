"""Pops: showing a call on its agent's screen in the CRM while it lives.

The CRM's own screen has one card of a call at a time, because only the end of the call takes a card away, and a second
end would be a second activity. So a call that rings at several phones has its card once one of them answers, and a
call that moves on takes its card along. The agent's panel asks where the call is and needs no telling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from domain.errors import Forbidden
from domain.pop import PopRules, Wish, shows
from domain.ports import Ring
from domain.seats import SeatState
from domain.urgency import urgently
from jobs import busy
from jobs.abreast import abreast, handfuls
from jobs.activities import Story, agent_line, stories
from jobs.services import Services
from store.calls import Heard
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.tenants import Tenant, User

POP_IS_STALE = timedelta(seconds=30)  # a call that rang longer ago pops up on nobody's screen


# ---- what people decide -------------------------------------------------------------------------------------------


def decide(services: Services, tenant: TenantId, rules: PopRules, *, actor: str) -> None:
    """Take over what an administrator decided, for calls from now on."""
    services.tenants.set(tenant, pops=rules.as_data())
    services.ledger.note(tenant, "pops.rules", actor=actor, **rules.as_data())


def wish(services: Services, tenant: Tenant, user: User, wanted: Wish) -> None:
    """Take over when somebody wants calls to come up. Raises Forbidden where the administrator locked it."""
    if tenant.pops.locked:
        raise Forbidden("Your administrator decided this for everybody.", code="pops.locked")
    wanted = replace(wanted, undisturbed=user.pops.undisturbed)  # that is `jobs.busy`'s
    with services.db.tenant(tenant.id) as database:
        services.tenants.set_wish(database, tenant.id, user.id, wanted)
        services.ledger.write(
            database, tenant.id, "pops.wish", actor=f"user:{user.id}", subject=f"users:{user.id}", **wanted.as_data()
        )


# ---- what a call makes us owe -------------------------------------------------------------------------------------


def plan(
    services: Services,
    database: Connection,
    tenant: Tenant,
    crm: Tie,
    item: Heard,
    people: Mapping[UUID, User],
    since: datetime | None,
) -> None:
    """Owe the one agent a call is at its card, when the tenant's rules and the agent's own say so.

    `since`: when the news reached us. A card comes once for each agent and state, however often and in whichever
    order we hear of it.
    """
    at = _whose_card(item)
    if at is None or (item.screen == at[0] and item.seats_before.get(at[0]) == at[1]):
        return
    user, state = at
    if not shows(tenant.pops.when(item.call.direction, people[user].pops), state):
        return
    services.effects.plan(
        database,
        tenant.id,
        "pop",
        f"pop:{item.id}:{user}:{state}",
        connection=crm.id,
        lane="calls",
        payload={"state": state, "user": str(user)},
        call=item.id,
        since=since,
    )


def _whose_card(item: Heard) -> tuple[UUID, SeatState] | None:
    """Whose screen the card belongs on: who speaks, else the only one whose phone rings."""
    spoken = next((user for user, state in item.seats.items() if state == "answered"), None)
    if spoken is not None:
        return spoken, "answered"
    return (next(iter(item.seats)), "ringing") if item.phones == 1 and item.seats else None


# ---- acting -------------------------------------------------------------------------------------------------------


@urgently()
def pop(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Show calls on screens, each as its last news has it; a pop that is late, or fails, is not worth repeating."""
    bridge = services.bridge(tie)
    told = stories(services, tie, batch)
    last = {effect.call: effect for effect in batch}
    for some in handfuls(batch):
        rings: list[tuple[Effect, Ring]] = []
        screens: dict[UUID, UUID] = {}
        for effect in some:
            story = told.get(effect.id)
            late = effect.state == "unknown" or services.now() - effect.created_at > POP_IS_STALE
            user = _still_there(services, tie, effect, story) if last[effect.call] is effect else None
            if late or story is None or user is None:
                reason = "pop.stale" if late or story is None else "pop.moved_on"
                services.effects.drop(tie.tenant, [effect], reason, state="dropped")
            elif story.kept.call.direction == "inbound" and busy.undisturbed(services, user):
                services.effects.drop(tie.tenant, [effect], "pop.undisturbed", state="dropped")
            else:
                rings.append((effect, _ring(effect, story, user)))
                screens[story.kept.id] = user.id
        services.effects.claim(tie.tenant, [effect for effect, _ in rings])
        services.calls.shown(tie.tenant, screens)
        answers = [(effect, error) for (effect, _), error in abreast(lambda pair: bridge.ring(pair[1]), rings)]
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {one.id: "" for one, error in answers if error is None})
        for effect, error in answers:
            if error is not None:
                services.effects.drop(tie.tenant, [effect], error.code, state="dropped")
                services.connections.trouble(tie.tenant, tie.id, error.code)


def _ring(effect: Effect, story: Story, user: User) -> Ring:
    """What a card shows of a call."""
    call = story.kept.call
    return Ring(
        call=str(story.kept.id),
        direction=call.direction,
        state="ringing" if effect.payload.get("state") == "ringing" else "answered",
        customer=story.kept.e164 or call.customer,
        agent=agent_line(story) if user.id == story.kept.user else user.extension or agent_line(story),
        owner_login=user.login_id,
        moved=story.kept.screen not in (None, user.id),
    )


def _still_there(services: Services, tie: Tie, effect: Effect, story: Story | None) -> User | None:
    """The agent a pop is for, while the call is still at their phone and its end is not on its way."""
    told = effect.payload.get("user")
    if story is None or story.kept.writer or not told or UUID(told) not in story.kept.seats:
        return None
    return services.tenants.user(tie.tenant, UUID(told))
