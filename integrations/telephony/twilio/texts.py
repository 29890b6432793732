"""How Twilio spells text messages: forms for what came, a form and a row of its API for what was sent.

https://www.twilio.com/docs/messaging/guides/webhook-request and .../track-outbound-message-status. The word on a
message that was sent does not hold what it says; the Message resource does (.../messaging/api/message-resource), and
its Media below it, until the account deletes or redacts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.call import TextNews
from integrations.telephony.form import load
from integrations.telephony.messages import MOST_MEDIA, TEXT_CHARACTERS, Message, news, renamed

NAMES = {"MessageSid": "ref", "From": "sender", "To": "receiver", "Body": "text"}
LEFT = ("sent", "delivered", "read", "partially_delivered")  # before that it may still be refused
CAME = ("received", "receiving", "")
MESSAGE = Message()


def read_message(form: Mapping[str, str], event_id: str) -> TextNews | None:
    """Understand a message that came, or the word that one has left. Raises Malformed.

    None for one that waits or was refused, and for what is no message.
    """
    if "MessageSid" not in form:
        return None
    if "MessageStatus" in form:
        if form["MessageStatus"] not in LEFT:
            return None
        return news(load(MESSAGE, renamed(form, NAMES)), event_id, "outbound", unsaid=True)
    if form.get("SmsStatus", "") not in CAME:
        return None
    links = (form.get(f"MediaUrl{place}", "") for place in range(MOST_MEDIA))
    return news(load(MESSAGE, renamed(form, NAMES)), event_id, "inbound", filter(None, links))


def read_words(row: Any) -> tuple[str, bool] | None:
    """What a row of the API says, and whether pictures or files went with it; None for a row that is none."""
    if not isinstance(row, dict):
        return None
    text, count = row.get("body") or "", str(row.get("num_media") or "0")
    return (text.replace("\x00", "")[:TEXT_CHARACTERS], count != "0") if isinstance(text, str) else None
