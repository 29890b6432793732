"""What texts say that were sent, from vendors which tell that one was sent and not its words: they are asked for them.

Before a conversation is written into the CRM, and only then; what comes back is kept with the message. Where the vendor
cannot be asked the conversation waits, but not for ever: a day without a few words is better than no day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import cast

from domain.call import TextEvent
from domain.errors import Refused, Upstream
from domain.ports import TextKeeper
from jobs.services import Services
from store.connections import Tie
from store.effects import Effect
from store.texts import Conversation, Texts

PATIENCE = timedelta(hours=1)  # after the last message
WAIT = timedelta(minutes=1)


def learn(services: Services, tie: Tie, batch: list[Effect], texts: Texts) -> None:
    """Ask for the words of what was sent; what has to wait for them leaves the batch."""
    found = texts.some(tie.tenant, [effect.text for effect in batch if effect.text is not None])
    for effect in list(batch):
        one = found.get(effect.text) if effect.text is not None else None
        if one is None or not any(message.unsaid for message in one.messages):
            continue
        try:
            texts.reword(tie.tenant, one.id, _asked(services, tie, one))
            services.connections.ok(tie.tenant, one.connection)
        except Upstream as error:
            services.connections.trouble(tie.tenant, one.connection, error.code)
            if services.now() - one.last_at < PATIENCE:
                services.effects.postpone(tie.tenant, [effect], error.code, WAIT)
                batch.remove(effect)


def _asked(services: Services, tie: Tie, one: Conversation) -> Sequence[TextEvent]:
    """The messages with what their vendor says of them; one that is not there any more stays without words."""
    system = services.connections.get(tie.tenant, one.connection)
    vendor = services.telephony.get(system.vendor)
    if vendor is None or not vendor.traits.words or system.state == "disconnected":
        return [replace(message, unsaid=False) for message in one.messages]
    keeper = cast(TextKeeper, services.phone_system(system))  # `traits.words` says so
    return [_with_words(keeper, message) if message.unsaid else message for message in one.messages]


def _with_words(keeper: TextKeeper, message: TextEvent) -> TextEvent:
    try:
        said = keeper.words(message.message_ref)
    except Refused:
        return replace(message, unsaid=False)
    return replace(message, unsaid=False, text=said.text, media=said.media)
