"""How Plivo spells text messages: forms for what came and for what became of what was sent.

https://www.plivo.com/docs/messaging/api/message/handling-incoming and .../message-status-callbacks. Neither that word
nor Plivo's record of messages holds what a message says that was sent: Plivo does not keep it. Its times do not say
their zone. Media are numbered from 1 in the documentation; 0 is read as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from domain.call import Stage, TextNews
from integrations.telephony.form import load
from integrations.telephony.messages import MOST_MEDIA, Message, news, renamed
from integrations.telephony.plivo.parties import number

NAMES = {"messageuuid": "ref", "from": "sender", "to": "receiver", "text": "text"}
STAGES: Mapping[str, Stage] = {  # before these it may still be refused
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "failed": "failed",
    "undelivered": "failed",
    "rejected": "failed",
}
REASONS = {  # https://www.plivo.com/docs/messaging/troubleshooting/error-codes
    "30": "text.filtered",
    "40": "text.sender",
    "50": "text.no_such_number",
    "70": "text.unreachable",
    "80": "text.unreachable",
    "90": "text.unreachable",
    "100": "text.blocked",
    "110": "text.too_long",
    "200": "text.opted_out",
    "450": "text.country",
    "900": "text.credit",
}
MESSAGE = Message()


def read_message(form: Mapping[str, str], event_id: str) -> TextNews | None:
    """Understand a message that came, or the word on how far one has come. `form` has its names folded.

    None for one that waits. Raises Malformed.
    """
    data = renamed(form, NAMES)
    data |= {side: number(data[side]) for side in ("sender", "receiver") if side in data}
    if status := form.get("status", "").lower():
        if (stage := STAGES.get(status)) is None:
            return None
        failed = REASONS.get(form.get("errorcode", ""), "text.not_delivered") if stage == "failed" else ""
        return news(load(MESSAGE, data), event_id, "outbound", stage=stage, failed=failed)
    if "body" in form:  # of what is no plain text message
        data["text"] = form["body"]
    links = (form.get(f"media{place}", "") for place in range(MOST_MEDIA + 1))
    return news(load(MESSAGE, data), event_id, "inbound", filter(None, links))
