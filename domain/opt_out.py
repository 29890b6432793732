"""Whoever wrote STOP is not written to any more, until they write START.

A word alone, as Twilio and Plivo read it: https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out and
https://www.plivo.com/docs/messaging/concepts/dnd-service. Both refuse the next message by themselves; it is not even
offered here. "Stop it!" is a sentence and no such word.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.call import TextEvent

OPTED_OUT = "text.opted_out"
STOP = frozenset({"stop", "stopall", "stop all", "unsubscribe", "unsub", "cancel", "end", "quit", "revoke", "optout"})
START = frozenset({"start", "unstop", "yes", "resume"})


def stopped(newest_first: Iterable[TextEvent]) -> bool:
    """Say whether the last word on it was a STOP, or a refusal because of one."""
    for message in newest_first:
        word = message.text.strip().casefold()
        if message.direction == "inbound" and word in START:
            return False
        if message.failed == OPTED_OUT or (message.direction == "inbound" and word in STOP):
            return True
    return False
