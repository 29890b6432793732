"""Text messages sent through a Twilio account: from which numbers, one by one, and what was taken when nobody answered.

https://www.twilio.com/docs/messaging/api/message-resource knows no key that makes a repeat harmless. A message that was
taken stands in the account's list with its words, unless the account has them redacted. The list is read without a
date, for it is filtered by when a message was sent, and one that waits was not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from domain.errors import Refused, TryLater
from domain.ports import Sent
from integrations.telephony import edge, outbox
from integrations.telephony.twilio.texts import REASONS

MOST_NUMBERS = 1000  # a page
LATEST = 100  # of one number
QUEUE_FULL = "21611"  # a number takes ten hours' worth of messages: https://www.twilio.com/docs/api/errors/21611


class Outbox(outbox.Outbox):
    """What one Twilio account sends."""

    def senders(self) -> list[str]:
        """The numbers that can send text messages; the one to call from first."""
        rows = self._listed("/IncomingPhoneNumbers.json", "incoming_phone_numbers", {"PageSize": MOST_NUMBERS})
        return self._able(row.get("phone_number") for row in rows if _can(row.get("capabilities")))

    def text_from(self, *, sender: str, number: str, words: str) -> str:
        """Send a message; return its SID. Never repeated by itself."""
        form = {"To": number, "From": sender, "Body": words}
        if self._door_url:
            form["StatusCallback"] = self._door_url
        response, told = self._post("/Messages.json", data=form)
        code = str(told.get("code") or "")
        if code == QUEUE_FULL:
            raise TryLater("As many messages wait at that number as may.", wait=edge.wait_asked(response.headers))
        if code in REASONS:
            raise Refused("Twilio refused the message.", code=REASONS[code])
        return self._named(response, told.get("sid"))

    def sent(self, *, number: str, words: str, since: datetime) -> list[Sent]:
        """What the account took for a number since then with these words, or without any that can be read."""
        rows = self._listed("/Messages.json", "messages", {"To": number, "PageSize": LATEST})
        asked, since = _squeezed(words), since.replace(microsecond=0)
        found = []
        for row in rows:
            said, sid, sender = (row.get(name) or "" for name in ("body", "sid", "from"))
            if not isinstance(said, str) or not isinstance(sender, str) or not outbox.REF.fullmatch(str(sid)):
                raise edge.bad_response()
            ours = str(row.get("direction") or "").startswith("outbound") and _created(row) >= since
            if ours and (not said or _squeezed(said).endswith(asked)):  # a trial account's own words stand before ours
                found.append(Sent(str(sid), sender))
        return found


def _can(capabilities: Any) -> bool:
    """Whether a number sends text messages; the documentation writes it in capitals in places."""
    return isinstance(capabilities, dict) and bool(capabilities.get("sms") or capabilities.get("SMS"))


def _created(row: Mapping[str, Any]) -> datetime:
    try:
        at = parsedate_to_datetime(str(row.get("date_created")))
    except ValueError:
        raise edge.bad_response() from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _squeezed(words: str) -> str:
    """Words as they are compared: however lines and blanks were written."""
    return "".join(words.split())
