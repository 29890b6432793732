"""Mail that users write here: sent from their own address, in the thread it answers, exactly once.

What a letter says waits where cached mail is, sealed and for as long as mail may stay; PostgreSQL knows only that one
is owed. Nothing of it is written into the CRM. A request nobody answered is looked for among what was sent before it is
sent again, and never sent again where we may not look.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from uuid import UUID

import structlog

from domain.contact import fold_email
from domain.errors import ConsentLost, Forbidden, Missing, NotAllowed, Refused, TryLater, Unanswered
from domain.mail import Letter, Message, address_of
from jobs import connect, privacy
from jobs.outage import postpone
from jobs.services import Services
from jobs.sync_mail import mailbox_of
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.mailbox import letters_to, outbox
from store.tenants import User

log = structlog.get_logger()

SEND = "mail.send"
SEEN_WITHIN = timedelta(seconds=30)  # so long until what Google sent surely stands among what was sent
LOOKING = "mail.looking"
PAUSED = timedelta(minutes=1)
Feature = Literal["mailbox", "send-mail", "label-mail"]
UNSURE = "mail.unsure"
GONE = "mail.letter_gone"


def own_mailbox(services: Services, user: User, feature: Feature, of: Message | None = None) -> Tie | None:
    """The mailbox a user connected themselves, when that feature of it is on; `of`: the one a message lies in."""
    ties = (tie for tie in privacy.own(services, user) if of is None or tie.id.hex == of.mailbox)
    return next((tie for tie in ties if _is_on(services, tie, feature)), None)


def _is_on(services: Services, tie: Tie, feature: Feature) -> bool:
    return any(one.on for one in connect.features(services, tie.tenant, tie) if one.feature.slug == feature)


def may_answer(services: Services, user: User, message: Message) -> bool:
    """Whether a user may answer a message: it lies in their own mailbox, from which we may send."""
    return own_mailbox(services, user, "send-mail", message) is not None


def answer(services: Services, user: User, message: Message, text: str, *, token: UUID) -> None:
    """Answer a message in its thread. Raises Forbidden for another's mailbox."""
    tie = own_mailbox(services, user, "send-mail", message)
    if tie is None:
        raise Forbidden("You can only answer from your own mailbox.", code="mail.not_yours")
    ours = fold_email(address_of(message.sender)) == fold_email(tie.label)
    to = message.to[0] if ours and message.to else message.answer_to or message.sender
    subject = message.subject if message.subject[:3].casefold() == "re:" else f"Re: {message.subject}"
    references = (*message.references, message.reference) if message.reference else message.references
    letter = Letter(
        mark=str(token), to=address_of(to), subject=subject, text=text, thread=message.thread, references=references
    )
    _owe(services, user, tie, letter, token)


def write(services: Services, user: User, contact: UUID, to: str, subject: str, text: str, *, token: UUID) -> None:
    """Write to a contact, at one of their addresses. Raises Forbidden without a mailbox of one's own, Missing."""
    tie = own_mailbox(services, user, "send-mail")
    if tie is None:
        raise Forbidden("Connect your own Google account first.", code="mail.not_yours")
    person = services.hub.people(user.tenant, [contact]).get(contact)
    if person is None or fold_email(to) not in map(fold_email, person.person.emails):
        raise Missing("This contact has no such address.")
    _owe(services, user, tie, Letter(mark=str(token), to=address_of(to), subject=subject, text=text), token)


def _owe(services: Services, user: User, tie: Tie, letter: Letter, token: UUID) -> None:
    """Keep what it says with cached mail, owe it, and send it at once where nobody holds the lane."""
    tenant = user.tenant
    if not letter.to:
        raise Missing("This message has no address to answer to.")
    waiting = letter.as_message(tie.id.hex, services.now())
    known = services.hub.by_email(tenant, [fold_email(letter.to)]).values()
    to: list[UUID | str] = [outbox(tie.id.hex)]
    to += [letters_to(contact) for contacts in known for contact in contacts]  # so that they are forgotten with it
    if services.mail.get(tenant, waiting.key) is None and not services.mail.put(tenant, [(waiting, to)]):
        raise TryLater("Mail cannot be kept at the moment, so it cannot be sent.")
    with services.db.tenant(tenant) as database:
        new = services.effects.plan(
            database,
            tenant,
            SEND,
            f"{SEND}:{user.id}:{token}",
            connection=tie.id,
            lane="mail",
            payload={"letter": waiting.key},
        )
        if new:
            subject = f"connections:{tie.id}"
            services.ledger.write(database, tenant, "mail.written", actor=f"user:{user.id}", subject=subject)
    with services.lanes.hold(tenant, "mail") as held:
        if held:
            act(services, tenant)
    services.ring(tenant, "mail")


def standing(services: Services, user: User, token: UUID) -> tuple[str, str]:
    """How a letter of this user stands: (state, reason). Raises Missing."""
    found = services.effects.standing(user.tenant, f"{SEND}:{user.id}:{token}")
    if found is None:
        raise Missing("There is no such message.")
    return found


# ---- sending ------------------------------------------------------------------------------------------------------


def act(services: Services, tenant: TenantId) -> int:
    """Send what is owed; return how many were taken. The caller holds the `mail` lane."""
    services.effects.orphans(tenant, "mail")
    waiting = [effect for effect in services.effects.waiting(tenant, "mail") if effect.kind == SEND]
    for effect in waiting:
        tie = services.connections.get(tenant, effect.connection)
        try:
            _send(services, tie, effect)
        except (ConsentLost, NotAllowed) as error:
            services.effects.postpone(tenant, [effect], error.code, PAUSED)
            services.connections.trouble(tenant, tie.id, error.code)
        except (TryLater, Unanswered) as error:
            postpone(services, tie, [effect], error)
        except Refused as error:
            services.effects.drop(tenant, [effect], error.code)
            services.mail.remove(tenant, [effect.payload["letter"]])
    return len(waiting)


def _send(services: Services, tie: Tie, effect: Effect) -> None:
    waiting = services.mail.get(tie.tenant, effect.payload["letter"])
    if waiting is None and effect.state == "unknown":
        return services.effects.drop(tie.tenant, [effect], UNSURE)
    if waiting is None:
        return services.effects.drop(tie.tenant, [effect], GONE)
    mailbox, letter = services.mailbox(tie), Letter.of_message(waiting)
    sent = ""
    if effect.state == "unknown":
        if not _is_on(services, tie, "mailbox"):
            services.effects.drop(tie.tenant, [effect], UNSURE)
            services.mail.remove(tie.tenant, [waiting.key])
            return
        sent = mailbox.find_sent(letter.mark, effect.created_at)
        if not sent and effect.reason != LOOKING:  # it may stand there in a moment, however old the letter is
            services.effects.again(tie.tenant, [effect], LOOKING, wait=SEEN_WITHIN)
            return
    if not sent:
        services.effects.claim(tie.tenant, [effect])
        sent = mailbox.send(letter)
    with services.db.tenant(tie.tenant) as database:
        services.effects.done(database, tie.tenant, {effect.id: sent})
        services.ledger.write(database, tie.tenant, "mail.sent", subject=f"connections:{tie.id}")
    services.mail.remove(tie.tenant, [waiting.key])
    log.info("mail_sent", tenant=str(tie.tenant), connection=str(tie.id))


# ---- read, unread, labels -----------------------------------------------------------------------------------------


def may_label(services: Services, user: User, message: Message) -> Tie | None:
    """The mailbox of a message, when it is the user's own and they let us change its labels."""
    return own_mailbox(services, user, "label-mail", message)


def label(services: Services, user: User, message: Message, *, add: str = "", remove: str = "") -> None:
    """Put a label on a message at Google, or take one off. Raises Forbidden, and Missing for one that is gone."""
    tie = may_label(services, user, message)
    if tie is None or mailbox_of(services, user.tenant, message) is None:
        raise Forbidden("You can only change messages in your own mailbox.", code="mail.not_yours")
    labels = services.mailbox(tie).relabel(message.id, [add] if add else [], [remove] if remove else [])
    if labels is None:
        services.mail.remove(user.tenant, [message.key])
        raise Missing("This message is not there any more.")
    services.mail.renew(user.tenant, [message.labelled(labels)])
    services.ledger.note(user.tenant, "mail.labelled", actor=f"user:{user.id}", subject=f"connections:{tie.id}")
