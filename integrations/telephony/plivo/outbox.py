"""Text messages sent through a Plivo account: from which numbers, one by one, and what was taken when nobody answered.

https://www.plivo.com/docs/messaging/api/message knows no key that makes a repeat harmless, and its records hold no
words: a message that was taken is found by number and time alone. What Plivo says when it refuses is a sentence, and
which ones there are is nowhere written down: they are read by the words in them; any other is a refusal all the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain.errors import Refused
from domain.ports import Sent
from integrations.telephony import edge, outbox
from integrations.telephony.plivo.parties import number as with_plus

PAGE = 20  # the most Plivo gives
MOST_PAGES = 25
NOT_TAKEN = (400, 402)
SIGNS = (  # words in what Plivo says to a message it does not take, the telling ones first
    ("credit", "text.credit"),
    ("too long", "text.too_long"),
    ("length", "text.too_long"),
    ("trial", "text.trial"),
    ("verified", "text.trial"),
    ("src", "text.sender"),
    ("source", "text.sender"),
    ("dst", "text.no_such_number"),
    ("destination", "text.no_such_number"),
)


class Outbox(outbox.Outbox):
    """What one Plivo account sends."""

    def senders(self) -> list[str]:
        """The numbers that can send text messages; the one to call from first."""
        found: list[str] = []
        for page in range(MOST_PAGES):
            rows = self._listed("/Number/", "objects", {"services": "sms", "limit": PAGE, "offset": page * PAGE})
            found += [with_plus(str(row.get("number"))) for row in rows if row.get("sms_enabled") is not False]
            if len(rows) < PAGE:
                break
        return self._able(found)

    def text_from(self, *, sender: str, number: str, words: str) -> str:
        """Send a message; return its UUID. Never repeated by itself."""
        wish = {"src": sender, "dst": number, "text": words, "type": "sms"}
        if self._door_url:
            wish |= {"url": self._door_url, "method": "POST"}
        response, told = self._post("/Message/", json=wish)
        if response.status_code in NOT_TAKEN:
            why = str(told.get("error") or "").casefold()
            raise Refused("Plivo refused the message.", code=next((code for sign, code in SIGNS if sign in why), ""))
        named = told.get("message_uuid")
        return self._named(response, named[0] if isinstance(named, list) and named else named)

    def sent(self, *, number: str, words: str, since: datetime) -> list[Sent]:
        """Whatever the account took for a number since then: its records hold no words."""
        asked: dict[str, Any] = {
            "message_direction": "outbound",
            "to_number": number,
            "message_time__gte": f"{since.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            "limit": PAGE,
        }
        found = []
        for row in self._listed("/Message/", "objects", asked):
            ref, sender, to = (str(row.get(name) or "") for name in ("message_uuid", "from_number", "to_number"))
            if not outbox.REF.fullmatch(ref):
                raise edge.bad_response()
            if with_plus(to) == number and row.get("message_direction") != "inbound":
                found.append(Sent(ref, with_plus(sender)))
        return found
