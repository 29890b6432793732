"""A letter as Gmail takes it: RFC 5322 in base64, in the thread it answers, with a mark it is found again by.

Who sends it is Google's to say: it puts the account's own name and address there. Threading as Gmail wants it:
https://developers.google.com/workspace/gmail/api/guides/threads
"""

from __future__ import annotations

import base64
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from domain.mail import Letter

MARK = "X-Linekeeper-Letter"


def drawn(letter: Letter, *, threaded: bool = True) -> dict[str, Any]:
    """Write a letter as the body of `messages.send`."""
    message = EmailMessage(policy=SMTP)
    message["To"] = letter.to
    message["Subject"] = letter.subject
    if letter.references:
        message["In-Reply-To"] = letter.references[-1]
        message["References"] = " ".join(letter.references)
    message[MARK] = letter.mark
    message.set_content(letter.text)
    body = {"raw": base64.urlsafe_b64encode(message.as_bytes()).decode()}
    return body | {"threadId": letter.thread} if letter.thread and threaded else body
