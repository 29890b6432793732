"""Why a text message was not taken or did not arrive, whichever vendor says it: codes of ours, and words for people.

Each vendor's `texts.py` says which of its own codes means which of these.
"""

from __future__ import annotations

WHY = {
    "text.opted_out": "they have asked not to be written to (STOP)",
    "text.no_such_number": "there is no such number",
    "text.not_mobile": "the number cannot receive text messages",
    "text.unreachable": "the telephone could not be reached",
    "text.blocked": "their network refused it",
    "text.filtered": "it was taken for unwanted advertising",
    "text.country": "the account may not write to that country",
    "text.trial": "a trial account writes to verified numbers only",
    "text.sender": "the number it was to come from cannot send text messages",
    "text.unregistered": "the number it came from is not registered for messages from companies",
    "text.too_long": "it was too long",
    "text.credit": "the account has no credit left",
    "text.queue_full": "too many messages were waiting",
    "text.not_delivered": "the network did not say why",
}


def why(code: str) -> str:
    """Say it inside a sentence; what has no words is left as it is."""
    return WHY.get(code, code)
