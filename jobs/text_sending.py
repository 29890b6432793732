"""Text messages that users write here: sent through the phone system once, soon, or not at all.

What is written waits sealed in its effect and is gone once it is sent. A platform that takes a key with it is asked
again under that key, and tells us of the message like of any other. One that knows no key is looked through for what it
may have taken before anything is sent again; where two messages may be the one, whoever wrote it is told that nobody
knows. Such a message is part of its conversation at once, and what the platform tells of it later is added there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import structlog

from domain import conversation, dial_plan, opt_out, phone, segments, undelivered
from domain.call import TextEvent
from domain.errors import Forbidden, Malformed, Missing, Refused, Unanswered, Upstream
from domain.ports import Sent, Texter, TextSender
from domain.urgency import urgently
from jobs import dialling, showing, texts
from jobs.services import Services
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.tenants import Tenant, User

log = structlog.get_logger()

KIND = "text.send"
STALE = timedelta(minutes=10)  # by then whoever wrote it has called instead
MOST_CHARACTERS = 1_000
LOOKED_BACK = 31  # days of a conversation, for who wrote STOP and on which line we write
CANNOT = "cannot_text"  # on a connection: its platform said that it sends none
SEEN_WITHIN = timedelta(seconds=30)  # so long until what a platform took surely stands in its list
SLACK = timedelta(seconds=30)  # between two clocks
PATIENCE = timedelta(hours=1)  # with a platform that does not show what it took
LOOKING = "text.looking"
UNSURE = "text.unsure"
OF_THE_MESSAGE = undelivered.WHY.keys() - {"text.credit"}  # refused for what it is: the connection is fine


def system_of(services: Services, tenant: TenantId, *, through: UUID | None = None) -> Tie | None:
    """The tenant's phone system that can send text messages: the one a conversation goes through, else the first."""
    able = []
    for tie in services.connections.all(tenant, kind="telephony", connected=True):
        vendor = services.telephony.get(tie.vendor)
        if vendor is not None and vendor.traits.writes and not tie.facts.get(CANNOT):
            able.append(tie)
    return next((tie for tie in able if tie.id == through), able[0] if able else None)


def stopped(services: Services, tenant: TenantId, e164: str) -> bool:
    """Whether whoever has this number has asked not to be written to."""
    days = texts.kept(services).recent(tenant, limit=LOOKED_BACK, number=e164)
    return opt_out.stopped(message for day in days for message in reversed(day.messages))


def offered(services: Services, user: User, system: Tie, e164: str) -> list[str]:
    """Our numbers a message may come from, the likely one first; none where that is the platform's business, or while
    it does not answer.
    """
    if not services.telephony[system.vendor].traits.senders:
        return []
    tenant = services.tenants.get(user.tenant)
    try:
        able = cast(TextSender, services.phone_system(system)).senders()
    except Upstream:  # it goes from the likely one then
        return []
    first = [number for number in _likely(services, tenant, user, system, e164) if number in able]
    return list(dict.fromkeys((*first, *able)))


def _likely(services: Services, tenant: Tenant, user: User, system: Tie, e164: str) -> list[str]:
    """From which of our numbers they would expect it: the one of the conversation, then the one a rule shows them."""
    days = texts.kept(services).recent(tenant.id, limit=LOOKED_BACK, number=e164)
    lines = [conversation.ours(day.messages[-1]) for day in days if not day.messages[-1].fax][:1]
    lines.append(showing.chosen(services, tenant, system, user, e164))
    return [line for line in (phone.read(one, tenant.region).e164 for one in lines) if line]


def ask(
    services: Services,
    user: User,
    raw: str,
    words: str,
    *,
    actor: str,
    once: str,
    sender: str = "",
    through: UUID | None = None,
) -> bool:
    """Owe a user the sending of a message; False where it was owed under this name before. `sender`: from which number.

    Raises Malformed for what is no number or no message, Forbidden for an emergency number and who wrote STOP.
    """
    tenant, words = services.tenants.get(user.tenant), words.replace("\r\n", "\n").strip()
    number = phone.read(raw, tenant.region)
    dial_plan.check(raw, number, tenant.dialling, tenant.region)
    system = system_of(services, tenant.id, through=through)
    if number.kind != "number" or system is None:
        raise Malformed("No text message can be sent to this number from here.", code="text.impossible")
    _check(words)
    if stopped(services, tenant.id, number.e164):
        raise Forbidden("They have asked not to be written to (STOP).", code=opt_out.OPTED_OUT)
    payload: dict[str, Any] = {"number": number.e164, "text": words, "email": user.email}
    payload["extension"] = dialling.line_of(services, user)
    if services.telephony[system.vendor].traits.senders:
        payload |= {"from": sender, "likely": _likely(services, tenant, user, system, number.e164)}
    with services.db.tenant(tenant.id) as database:
        new = services.effects.plan(
            database,
            tenant.id,
            KIND,
            _key(services, user, once),
            connection=system.id,
            lane="calls",
            payload=payload,
        )
        if new:
            subject = f"connections:{system.id}"
            services.ledger.write(database, tenant.id, "text.asked", actor=actor, subject=subject, user=str(user.id))
    services.bell.ring(tenant.id, "calls")
    return new


def _check(words: str) -> None:
    if not 0 < len(words) <= MOST_CHARACTERS or segments.measure(words).parts > segments.MOST_PARTS:
        most = f"1 to {MOST_CHARACTERS} characters and at most {segments.MOST_PARTS} parts"
        raise Malformed(f"A text message has {most}.", code="field.invalid")
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in words):
        raise Malformed("There are characters in it that cannot be sent.", code="field.invalid")


def _key(services: Services, user: User, once: str) -> str:
    return f"{KIND}:{services.vault.of(user.tenant).fingerprint('text', f'{user.id} {once}').hex()[:32]}"


def standing(services: Services, user: User, once: str) -> tuple[str, str]:
    """How what this user wrote under that name stands: (state, reason). Raises Missing."""
    found = services.effects.standing(user.tenant, _key(services, user, once))
    if found is None:
        raise Missing("There is no such message.")
    return found


# ---- sending ------------------------------------------------------------------------------------------------------


@urgently()
def send(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Send what is owed, each message on its own: trouble with one is none of the others'."""
    system, one_by_one = services.phone_system(tie), services.telephony[tie.vendor].traits.senders
    for effect in list(batch):
        try:
            if one_by_one:
                _from_number(services, tie, cast(TextSender, system), effect)
            else:
                _under_key(services, tie, cast(Texter, system), effect)
        except Refused as error:
            if error.code == "text.unsupported":
                services.connections.set_facts(tie.tenant, tie.id, **{CANNOT: True})
            services.effects.drop(tie.tenant, [effect], error.code)
            if error.code not in {*OF_THE_MESSAGE, UNSURE}:
                services.connections.trouble(tie.tenant, tie.id, error.code)
        batch.remove(effect)


def _is_stale(services: Services, tie: Tie, effect: Effect, *, unsure: bool = False) -> bool:
    """Give up what waited too long; say whether it did. `unsure`: it may have been sent."""
    stale = services.now() - effect.created_at > STALE
    if stale:
        services.effects.drop(tie.tenant, [effect], UNSURE if unsure else "text.stale", state="dropped")
    return stale


def _under_key(services: Services, tie: Tie, system: Texter, effect: Effect) -> None:
    """Send a message; its key is the effect's own, so what nobody answered for is asked for again as it is."""
    if _is_stale(services, tie, effect, unsure=effect.state == "unknown"):
        return
    services.effects.claim(tie.tenant, [effect])
    told = effect.payload
    ref = system.text(
        agent_extension=told.get("extension", ""),
        agent_email=told.get("email", ""),
        number=told["number"],
        words=told["text"],
        key=str(effect.id),
    )
    _done(services, tie, effect, ref)


def _from_number(services: Services, tie: Tie, account: TextSender, effect: Effect) -> None:
    """Send a message from a number of ours, or find that it was sent."""
    told, taken = effect.payload, None
    if effect.state == "unknown":
        taken = _taken(services, tie, account, effect)
        if taken is None and effect.reason != LOOKING:  # it may stand there in a moment, however old it is
            services.effects.again(tie.tenant, [effect], LOOKING, wait=SEEN_WITHIN)
            return
    if taken is None and _is_stale(services, tie, effect):
        return
    if taken is None:
        sender = _sender(account, told.get("from", ""), told.get("likely", ()))
        services.effects.claim(tie.tenant, [effect])
        try:
            taken = Sent(account.text_from(sender=sender, number=told["number"], words=told["text"]), sender)
        except Unanswered as error:
            services.effects.unknown(tie.tenant, [effect], error.code)
            services.connections.trouble(tie.tenant, tie.id, error.code)
            return
    message = TextEvent(
        id=f"sent:{effect.id}",
        at=services.now(),
        message_ref=taken.ref,
        direction="outbound",
        sender=taken.sender,
        receiver=told["number"],
        text=told["text"],
        agent_email=told.get("email", ""),
        agent_extension=told.get("extension", ""),
        stage="queued",
    )
    texts.hear(services, tie, [message])  # before its words are gone; hearing it twice changes nothing
    _done(services, tie, effect, taken.ref)


def _taken(services: Services, tie: Tie, account: TextSender, effect: Effect) -> Sent | None:
    """The message that nobody answered for, if the platform took it. Raises Refused where nobody can tell."""
    told = effect.payload
    try:
        found = account.sent(number=told["number"], words=told["text"], since=effect.created_at - SLACK)
    except Upstream as error:
        if isinstance(error, Refused) or services.now() - effect.created_at > PATIENCE:
            raise Refused("The platform does not show what it has sent.", code=UNSURE) from None
        raise
    others = services.effects.results(tie.tenant, KIND, [one.ref for one in found])
    left = [one for one in found if one.ref not in others]
    if len(left) > 1:
        raise Refused("Nobody can tell whether the message was sent.", code=UNSURE)
    return left[0] if left else None


def _sender(account: TextSender, chosen: str, likely: list[str]) -> str:
    """From which number a message goes: the one chosen, or one they expect, or the usual one. Raises Refused."""
    able = account.senders()
    if not able:
        raise Refused("No number of the account sends text messages.", code="text.no_sender")
    if chosen and chosen not in able:
        raise Refused("The number chosen sends no text messages.", code="text.sender")
    return chosen or next((number for number in likely if number in able), able[0])


def _done(services: Services, tie: Tie, effect: Effect, ref: str) -> None:
    with services.db.tenant(tie.tenant) as database:
        services.effects.done(database, tie.tenant, {effect.id: ref})
    log.info("text_sent", tenant=str(tie.tenant), connection=str(tie.id))
