"""Dialling for an agent: once, now, or not at all. Whoever asks, a click in Zoho, a page or a program, asks here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from domain import dial_plan, phone
from domain.dial_plan import DialPlan, Spelt
from domain.errors import Malformed, Upstream
from domain.urgency import urgently
from jobs import showing
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.tenants import Tenant, User

log = structlog.get_logger()

CLICK_IS_STALE = timedelta(seconds=30)  # whoever clicked longer ago has turned to something else
CLICK_SECONDS = 3  # a second click on the same number within this is the same click


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What will be dialled, for whom, on which of their telephones; `new`: it was not asked for before."""

    spelt: Spelt
    extension: str
    shown: str  # the number of ours that they will see; "": as the telephone system does
    new: bool


def preview(tenant: Tenant, raw: str, plan: DialPlan | None = None) -> Spelt:
    """Say how a number would be dialled, by the tenant's plan or another; nothing rings.

    Raises Forbidden for an emergency number, Malformed for what is none.
    """
    plan = plan or tenant.dialling
    number = phone.read(raw, tenant.region)
    dial_plan.check(raw, number, plan, tenant.region)
    return dial_plan.spell(number, plan, tenant.region)


def ask(services: Services, user: User, raw: str, *, actor: str, extension: str = "", once: str = "") -> Asked:
    """Owe a user the dialling of a number; the phone system is asked by a worker.

    `extension`: one of their own lines, else the one they chose. `once`: what is dialled once under this name;
    without it, once in three seconds. Raises Forbidden, Malformed.
    """
    tenant = services.tenants.get(user.tenant)
    spelt = preview(tenant, raw)
    system = system_of(services, tenant.id)
    if system is None:
        raise Malformed("No telephone system that could dial is connected.", code="dial.impossible")
    line = line_of(services, user, extension)
    shown = showing.chosen(services, tenant, system, user, raw)
    moment = int(services.now().timestamp()) // CLICK_SECONDS
    named = once or f"{user.id} {spelt.number} {moment}"
    with services.db.tenant(tenant.id) as database:
        new = services.effects.plan(
            database,
            tenant.id,
            "dial",
            key_of(services, tenant.id, named),
            connection=system.id,
            lane="calls",
            payload={"number": spelt.number, "email": user.email, "extension": line, "login": user.login_id}
            | ({"shown": shown} if shown else {}),
        )
        if new:
            services.ledger.write(
                database,
                tenant.id,
                "call.dialled",
                actor=actor,
                subject=f"connections:{system.id}",
                user=str(user.id),
            )
    services.bell.ring(tenant.id, "calls")
    return Asked(spelt=spelt, extension=line, shown=shown, new=new)


def key_of(services: Services, tenant: TenantId, named: str) -> str:
    """Under which key we owe what is dialled once under this name."""
    return f"dial:{services.vault.of(tenant).fingerprint('dial', named).hex()[:32]}"


def system_of(services: Services, tenant: TenantId) -> Tie | None:
    """The tenant's phone system that can dial."""
    for tie in services.connections.all(tenant, kind="telephony", connected=True):
        vendor = services.telephony.get(tie.vendor)
        if vendor is not None and vendor.traits.dial:
            return tie
    return None


def line_of(services: Services, user: User, wanted: str = "") -> str:
    """The telephone to ring: the line asked for, the one chosen, or where the last call rang. Raises Malformed."""
    lines = services.devices.of(user.tenant, user.id)
    if wanted:
        if wanted != user.extension and wanted not in {line.extension for line in lines}:
            raise Malformed("This is not a line of that user.", code="dial.not_their_line")
        return wanted
    return lines[0].extension if lines and lines[0].chosen else user.extension


@urgently()
def dial(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Ring an agent and then a number. Never repeated by itself: a second ring would be a second call."""
    system = services.phone_system(tie)
    for effect in batch:
        if effect.state == "unknown" or services.now() - effect.created_at > CLICK_IS_STALE:
            services.effects.drop(tie.tenant, [effect], "dial.stale", state="dropped")
            continue
        services.effects.claim(tie.tenant, [effect])
        wanted = effect.payload
        try:
            ref = system.dial(
                agent_extension=wanted.get("extension", ""),
                agent_email=wanted.get("email", ""),
                number=wanted["number"],
                **({"shown": wanted["shown"]} if "shown" in wanted else {}),
            )
        except Upstream as error:
            services.effects.drop(tie.tenant, [effect], error.code)
            services.connections.trouble(tie.tenant, tie.id, error.code)
            _say_dial_failed(services, tie.tenant, wanted)
            continue
        with services.db.tenant(tie.tenant) as database:
            services.effects.done(database, tie.tenant, {effect.id: ref})


def _say_dial_failed(services: Services, tenant: TenantId, wanted: Mapping[str, str]) -> None:
    """Tell the agent's screen in the CRM that nothing will ring."""
    crm = services.connections.first(tenant, "crm")
    if crm is None or not wanted.get("login"):
        return
    try:
        services.bridge(crm).dial_failed(
            reason="notavailable", agent=wanted.get("extension", ""), number=wanted["number"], login=wanted["login"]
        )
    except Upstream as error:
        log.info("dial_failed_unsaid", tenant=str(tenant), reason=error.code)
