"""Steering a live call: hang up, hold, mute, press keys. Now or not at all, and never a second time by itself.

A button in Zoho, on the panel or in a program asks; what the vendor cannot do is refused before it is owed.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import get_args
from uuid import uuid4

import structlog

from domain.errors import Forbidden, Malformed, Missing, Upstream
from domain.ports import Control
from domain.urgency import urgently
from jobs.services import Services
from store.call_book import Kept
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.tenants import User

log = structlog.get_logger()

CONTROLS: tuple[Control, ...] = get_args(Control)
WISH_IS_STALE = timedelta(seconds=10)  # whoever pressed longer ago has pressed again, or hung up by hand
STALE_CALL = timedelta(hours=4)  # a call that began longer ago and never ended: its end was lost
DIGITS = re.compile(r"[0-9A-D*#]{1,32}")  # what a keypad can sound (ITU-T Q.23)


def can(services: Services, tie: Tie) -> frozenset[Control]:
    """What the vendor behind a connection lets us do to a call."""
    vendor = services.telephony.get(tie.vendor)
    if vendor is None or tie.kind != "telephony" or tie.state == "disconnected":
        return frozenset()
    return vendor.traits.control


def ask(
    services: Services, tenant: TenantId, kept: Kept, action: Control, *, actor: str, digits: str = "", once: str = ""
) -> bool:
    """Owe a live call one thing; say whether that is new. `once`: what is done once under this name.

    Raises Missing when the call is over, Forbidden for what its vendor cannot do, Malformed for digits no keypad has.
    """
    if kept.call.state == "ended":
        raise Missing("This call is over.", code="call.over")
    tie = services.connections.get(tenant, kept.connection)
    if action not in can(services, tie):
        raise Forbidden("This telephone system cannot do that.", code="control.unsupported")
    if (action == "dtmf") != bool(DIGITS.fullmatch(digits)):
        raise Malformed("Press one or more of 0 to 9, A to D, * and #.", code="control.digits")
    leg = services.calls.leg(tenant, kept.id)
    named = f"{kept.id} {action} {once or uuid4()}"
    mark = services.vault.of(tenant).fingerprint("control", named)
    with services.db.tenant(tenant) as database:
        new = services.effects.plan(
            database,
            tenant,
            "control",
            f"control:{mark.hex()[:32]}",
            connection=tie.id,
            lane="calls",
            payload={"action": action, "digits": digits, "ref": kept.call.ref, "leg": leg},
            call=kept.id,
        )
        if new:
            services.ledger.write(
                database, tenant, "call.steered", actor=actor, subject=f"calls:{kept.id}", control=action
            )
    services.bell.ring(tenant, "calls")
    return new


def live_of(services: Services, user: User) -> list[Kept]:
    """What rings or is spoken on for a user now."""
    return services.calls.live(user.tenant, user.id, services.now() - STALE_CALL)


@urgently()
def steer(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Do what was asked of live calls, in the order it was asked for."""
    system = services.phone_system(tie)
    for effect in batch:
        if effect.state == "unknown" or services.now() - effect.created_at > WISH_IS_STALE:
            services.effects.drop(tie.tenant, [effect], "control.stale", state="dropped")
            continue
        services.effects.claim(tie.tenant, [effect])
        wanted = effect.payload
        try:
            system.control(
                call_ref=wanted["ref"], leg_ref=wanted["leg"], action=wanted["action"], digits=wanted["digits"]
            )
        except Upstream as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            services.connections.trouble(tie.tenant, tie.id, error.code)
            log.info("control_failed", tenant=str(tie.tenant), call=str(effect.call), reason=error.code)
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: ""})
