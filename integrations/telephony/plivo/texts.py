"""How Plivo spells text messages: forms for what came and for what became of what was sent.

https://www.plivo.com/docs/messaging/api/message/handling-incoming and .../message-status-callbacks. Neither that word
nor Plivo's record of messages holds what a message says that was sent: Plivo does not keep it. Its times do not say
their zone. Media are numbered from 1 in the documentation; 0 is read as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from domain.call import TextNews
from integrations.telephony.form import load
from integrations.telephony.messages import MOST_MEDIA, Message, news, renamed
from integrations.telephony.plivo.parties import number

NAMES = {"messageuuid": "ref", "from": "sender", "to": "receiver", "text": "text"}
LEFT = ("sent", "delivered", "read")
MESSAGE = Message()


def read_message(form: Mapping[str, str], event_id: str) -> TextNews | None:
    """Understand a message that came, or the word that one has left. `form` has its names folded. Raises Malformed.

    None for one that waits or was refused.
    """
    data = renamed(form, NAMES)
    data |= {side: number(data[side]) for side in ("sender", "receiver") if side in data}
    if status := form.get("status", "").lower():
        return news(load(MESSAGE, data), event_id, "outbound") if status in LEFT else None
    if "body" in form:  # of what is no plain text message
        data["text"] = form["body"]
    links = (form.get(f"media{place}", "") for place in range(MOST_MEDIA + 1))
    return news(load(MESSAGE, data), event_id, "inbound", filter(None, links))
