"""Cards in Google's applications: what each event of a host is answered with.

    reader     whose card it is, in which language, and the key each button gets
    look       what of calls and people is shown
    triggers   a host opened something: home, a message, a meeting, a file, a message being written
    presses    somebody pressed something
    chat       somebody spoke to us in Chat

Google tells a thing twice whenever it likes, so every press is safe to hear again: a call, a lead and an appointment
carry a key, a note and a call-back are as they are. How long anybody waits is decided at the door.
"""

from __future__ import annotations

import structlog

from domain.errors import Forbidden, Malformed, Missing, NotAllowed, Trouble, Upstream
from integrations.google.cards.pages import asides
from integrations.google.cards.pieces import Json
from jobs.cards import chat, presses, triggers
from jobs.cards.reader import Reader

log = structlog.get_logger()

WHY = {  # the codes of what we refuse, in the reader's words
    "dial.emergency": "number.emergency",
    "call.not_yours": "not.yours",
    "lead.forgotten": "forgotten",
    "lead.impossible": "lead.not",
    "text.impossible": "text.not",
    "text.opted_out": "text.stopped",
}


def answer(reader: Reader) -> Json:
    """Answer an event that is believed, for a user who is known. Raises TryLater when Google is silent."""
    try:
        if reader.event.chat is not None:
            return chat.answer(reader, reader.event.chat)
        if reader.event.kind == "press":
            return presses.answer(reader)
        return triggers.answer(reader, reader.event.kind)
    except (Malformed, Forbidden, Missing, NotAllowed) as error:
        return wrong(reader, error)
    except Upstream as error:
        log.info("card_waits", tenant=str(reader.tenant.id), user=str(reader.user.id), reason=error.code)
        return late(reader)


def wrong(reader: Reader, error: Trouble) -> Json:
    """Say in one sentence why not."""
    usual = {Missing: "gone", NotAllowed: "again"}.get(
        type(error), "number.bad" if "dial" in error.code else "field.bad"
    )
    why = reader.words(WHY.get(error.code, usual))
    return reader.envelope.show(asides.wrong(reader.words, why))


def late(reader: Reader) -> Json:
    """The bones of the card, and a button that asks for it again."""
    return reader.envelope.show(asides.late(reader.words, reader.again))
