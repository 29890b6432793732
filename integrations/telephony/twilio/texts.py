"""How Twilio spells text messages: forms for what came, a form and a row of its API for what was sent.

https://www.twilio.com/docs/messaging/guides/webhook-request and .../track-outbound-message-status. The word on a
message that was sent does not hold what it says; the Message resource does (.../messaging/api/message-resource), and
its Media below it, until the account deletes or redacts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.call import Stage, TextNews
from integrations.telephony.form import load
from integrations.telephony.messages import MOST_MEDIA, TEXT_CHARACTERS, Message, news, renamed

NAMES = {"MessageSid": "ref", "From": "sender", "To": "receiver", "Body": "text"}
STAGES: Mapping[str, Stage] = {  # before these it may still be refused
    "sent": "sent",
    "delivered": "delivered",
    "partially_delivered": "delivered",
    "read": "read",
    "failed": "failed",
    "undelivered": "failed",
    "canceled": "failed",
}
REASONS = {  # https://www.twilio.com/docs/api/errors: of a refusal (2....) and of what became of a message (3....)
    "21211": "text.no_such_number",
    "30005": "text.no_such_number",
    "21614": "text.not_mobile",
    "30006": "text.not_mobile",
    "21610": "text.opted_out",
    "21408": "text.country",
    "21612": "text.unreachable",
    "30003": "text.unreachable",
    "30004": "text.blocked",
    "30007": "text.filtered",
    "21608": "text.trial",
    "21212": "text.sender",
    "21603": "text.sender",
    "21606": "text.sender",
    "21659": "text.sender",
    "30032": "text.unregistered",
    "30034": "text.unregistered",
    "21617": "text.too_long",
    "30001": "text.queue_full",
}
CAME = ("received", "receiving", "")
MESSAGE = Message()


def read_message(form: Mapping[str, str], event_id: str) -> TextNews | None:
    """Understand a message that came, or the word on how far one has come. Raises Malformed.

    None for one that waits, and for what is no message.
    """
    if "MessageSid" not in form:
        return None
    if "MessageStatus" in form:
        if (stage := STAGES.get(form["MessageStatus"])) is None:
            return None
        failed = REASONS.get(form.get("ErrorCode", ""), "text.not_delivered") if stage == "failed" else ""
        data = load(MESSAGE, renamed(form, NAMES))
        return news(data, event_id, "outbound", unsaid=True, stage=stage, failed=failed)
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
