"""Steering a live call: hang up, hold, mute, press keys, pass it on, park it, leave a part of it unrecorded.

Now or not at all, and never a second time by itself. A button in Zoho, on the panel or in a program asks; what the
vendor cannot do is refused before it is owed.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import get_args
from uuid import UUID, uuid4

import structlog

from domain import phone
from domain.errors import Forbidden, Malformed, Missing, Upstream
from domain.ports import Control, Target
from domain.urgency import urgently
from jobs import dialling
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
WHILE_SPOKEN: frozenset[Control] = frozenset({"transfer", "park", "pause", "resume"})  # of what only rings: nothing yet
DIGITS = re.compile(r"[0-9A-D*#]{1,32}")  # what a keypad can sound (ITU-T Q.23)


def can(services: Services, tie: Tie) -> frozenset[Control]:
    """What the vendor behind a connection lets us do to a call."""
    vendor = services.telephony.get(tie.vendor)
    if vendor is None or tie.kind != "telephony" or tie.state == "disconnected":
        return frozenset()
    return vendor.traits.control


def ask(
    services: Services,
    tenant: TenantId,
    kept: Kept,
    action: Control,
    *,
    actor: str,
    digits: str = "",
    to: str = "",
    once: str = "",
) -> bool:
    """Owe a live call one thing; say whether that is new. `once`: what is done once under this name.

    `to`: the number or inside line a call is passed on to, checked as one that is dialled. Raises Missing when the
    call is over, Forbidden for what its vendor cannot do and for emergency numbers, Malformed for digits no keypad
    has, a number nobody can dial, and for what has to wait until somebody answers.
    """
    if kept.call.state == "ended":
        raise Missing("This call is over.", code="call.over")
    tie = services.connections.get(tenant, kept.connection)
    if action not in can(services, tie):
        raise Forbidden("This telephone system cannot do that.", code="control.unsupported")
    if (action == "dtmf") != bool(DIGITS.fullmatch(digits)):
        raise Malformed("Press one or more of 0 to 9, A to D, * and #.", code="control.digits")
    if (action == "transfer") != bool(to):
        raise Malformed("Say to whom the call is passed on, and only then.", code="control.target")
    if action in WHILE_SPOKEN and kept.call.state != "answered":
        raise Malformed("Nobody has answered this call yet.", code="call.not_answered")
    target = {"to": _target(services, tenant, to)} if to else {}
    leg = services.calls.leg(tenant, kept.id)
    key = _key(services, tenant, kept.id, action, once or str(uuid4()))
    with services.db.tenant(tenant) as database:
        new = services.effects.plan(
            database,
            tenant,
            "control",
            key,
            connection=tie.id,
            lane="calls",
            payload={"action": action, "digits": digits, "ref": kept.call.ref, "leg": leg} | target,
            call=kept.id,
        )
        if new:
            services.ledger.write(
                database, tenant, "call.steered", actor=actor, subject=f"calls:{kept.id}", control=action
            )
    services.bell.ring(tenant, "calls")
    return new


def became(services: Services, tenant: TenantId, call: UUID, action: Control, once: str) -> tuple[str, str] | None:
    """What became of a press: (state, reason); None when nobody pressed that."""
    return services.effects.standing(tenant, _key(services, tenant, call, action, once))


def _key(services: Services, tenant: TenantId, call: UUID, action: Control, once: str) -> str:
    mark = services.vault.of(tenant).fingerprint("control", f"{call} {action} {once}")
    return f"control:{mark.hex()[:32]}"


def _target(services: Services, tenant: TenantId, raw: str) -> dict[str, str]:
    """Whom a call is passed on to, as `Target` holds it. Raises Forbidden, Malformed."""
    office = services.tenants.get(tenant)
    spelt = dialling.preview(office, raw)
    if spelt.then:  # whoever passes a call on is not there to ask for it
        raise Malformed("A line behind a number cannot be reached by passing a call on.", code="dial.impossible")
    if phone.read(raw, office.region).kind != "extension":
        return {"number": spelt.number}
    colleague = services.tenants.agent(tenant, extension=spelt.number)
    return {"extension": spelt.number} | ({"email": colleague.email} if colleague is not None else {})


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
                call_ref=wanted["ref"],
                leg_ref=wanted["leg"],
                action=wanted["action"],
                digits=wanted["digits"],
                **({"to": Target(**wanted["to"])} if "to" in wanted else {}),
            )
        except Upstream as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            services.connections.trouble(tie.tenant, tie.id, error.code)
            log.info("control_failed", tenant=str(tie.tenant), call=str(effect.call), reason=error.code)
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: ""})
