"""A call somebody missed, or a voicemail, told to them in Google Chat: one card in their own conversation with the app.

Where that conversation is we know because the user added the app or wrote to it; they switch the news on and off in the
console. A card is an effect, said once: its name there is the effect's own id, so a repeat is harmless and nothing has
to be read back. News that came late is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog
from sqlalchemy import Connection

from domain.errors import ConsentLost, NotAllowed, Refused, TryLater
from integrations.google.cards.answers import Envelope
from integrations.google.cards.event import Event
from integrations.google.cards.pages import calls
from integrations.google.cards.pieces import Json
from integrations.google.cards.words import Words
from integrations.google.manifest import DOOR
from jobs import follow_ups, passages
from jobs.cards import look
from jobs.cards.reader import Reader, zone
from jobs.chat_spaces import spaces
from jobs.services import Services
from store.call_book import Kept
from store.calls import Heard
from store.chat_spaces import ChatSpaces, Space
from store.connections import Tie
from store.database import TenantId
from store.effects import Effect
from store.sieve import NO_CUSTOMER
from store.tenants import Tenant, User

log = structlog.get_logger()

KIND = "chat.news"
EXIT = "chat news"  # the gate's name for this card (`domain.limited_use`)
TOLD = ("missed", "voicemail")
LATE = timedelta(hours=1)  # by then they have seen it elsewhere
OURS = "google.robot"  # how the codes of a service account begin that Google does not know
NOT_ALLOWED = timedelta(minutes=10)  # until we look whether Google takes the application's key again


# ---- owing --------------------------------------------------------------------------------------------------------


def plan(services: Services, database: Connection, tie: Tie, heard: Sequence[Heard]) -> None:
    """Owe the news of calls that just ended in vain to those who want it, in the caller's transaction."""
    if not services.settings.google_service_account_key:
        return
    vain = [item for item in heard if item.user is not None and _in_vain(item) and not _late(services, item)]
    if not vain:
        return
    wanting = ChatSpaces.listening(database, tie.tenant, {item.user for item in vain if item.user is not None})
    for item in vain:
        if item.user in wanting:
            services.effects.plan(
                database,
                tie.tenant,
                KIND,
                f"{KIND}:{item.id}:{item.call.outcome}",
                connection=tie.id,
                lane="calls",
                payload={"outcome": item.call.outcome},
                call=item.id,
            )


def _in_vain(item: Heard) -> bool:
    call, before = item.call, item.before
    over = call.state == "ended" and call.direction == "inbound" and call.outcome in TOLD
    return over and item.match not in NO_CUSTOMER and (before is None or before.outcome != call.outcome)


def _late(services: Services, item: Heard) -> bool:
    return services.now() - (item.call.ended_at or item.call.started_at) >= LATE


# ---- telling ------------------------------------------------------------------------------------------------------


def tell(services: Services, tie: Tie, batch: list[Effect]) -> None:
    """Put each card into its user's conversation. Trouble with Chat is none of the phone system's."""
    effects, chat = services.effects, services.chat()
    tenant = services.tenants.get(tie.tenant)
    for place, effect in enumerate(batch):
        try:
            user, space, kept = _still_news(services, tenant.id, effect)
            if chat is None:
                raise Refused("Nobody gave us the Chat app's account.", code="chat.off")
            card = _card(services, tenant, user, space, kept, effect)
            effects.claim(tenant.id, [effect])
            chat.say(space.name, card, effect.id)
        except (NotAllowed, ConsentLost, Refused) as error:
            if isinstance(error, Refused) and not error.code.startswith(OURS):
                if error.code == "chat.left":
                    spaces(services).forget(tenant.id, user.id)
                effects.drop(tenant.id, [effect], error.code, state="dropped")
                continue
            log.warning("chat_not_allowed", tenant=str(tenant.id), reason=error.code)
            effects.postpone(tenant.id, batch[place:], error.code, NOT_ALLOWED)
            return
        except TryLater as error:  # the rest would wait just as long
            effects.again(tenant.id, batch[place:], error.code, wait=timedelta(seconds=error.wait) or None)
            return
        else:
            with services.db.tenant(tenant.id) as database:
                effects.done(database, tenant.id, {effect.id: ""})
            log.info("chat_told", tenant=str(tenant.id), call=str(kept.id))


def _still_news(services: Services, tenant: TenantId, effect: Effect) -> tuple[User, Space, Kept]:
    """Whom to tell, where, and of which call. Raises Refused where there is nothing to tell any more."""
    if services.now() - effect.created_at >= LATE:
        raise Refused("It happened too long ago.", code="chat.late")
    kept = services.calls.get(tenant, effect.call) if effect.call is not None else None
    if kept is None or kept.call.outcome != effect.payload.get("outcome"):  # a voicemail has a card of its own
        raise Refused("The call turned out otherwise.", code="chat.moot")
    after = follow_ups.missed(services).after(tenant, [kept.id])[kept.id] if kept.call.outcome == "missed" else []
    if any(later.spoke for later in after):
        raise Refused("Somebody has spoken with them.", code="chat.moot")
    user = services.tenants.user(tenant, kept.user) if kept.user is not None else None
    space = spaces(services).of(tenant, user.id) if user is not None and user.active else None
    if user is None or space is None or not space.on:
        raise Refused("The user does not want to be told there.", code="chat.off")
    return user, space, kept


def _card(services: Services, tenant: Tenant, user: User, space: Space, kept: Kept, effect: Effect) -> Json:
    """The message, in the user's language; its buttons are good for one call each however often it is drawn."""
    words = Words.of(space.language, zone(tenant.time_zone), services.now())
    origin = services.settings.origin
    reader = Reader(
        services=services,
        tenant=tenant,
        user=user,
        event=Event(kind="chat", host="CHAT", locale=space.language),
        envelope=Envelope(door=f"{origin}{DOOR}", chat=True),
        words=words,
        key=lambda: f"news {effect.id}",
    )
    known = [kept.contact] if kept.contact is not None else []
    people = passages.people(services, tenant.id, EXIT, known, actor=reader.actor, subject=f"calls:{kept.id}")
    shown = replace(look.one_past(reader, kept, people), note=kept.call.transcript)
    card = calls.news(shown, words, f"{origin}/console/calls/{kept.id}")
    return reader.envelope.message(card=card) | {"fallbackText": f"{card.title}: {calls.named_as(shown, words)}"}
