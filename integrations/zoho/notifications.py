"""What Zoho says when records change: which ones, told over which channel.

Zoho signs nothing: the token we gave the channel is all there is, so a notification is a hint and the records are read
again (https://www.zoho.com/crm/developer/docs/api/v8/notifications/overview.html). Nothing is read again here.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from domain.errors import Malformed, Unauthentic

MAX_BYTES = 4 * 1024 * 1024
MAX_IDS = 10_000
MAX_TOKEN = 256

Operation = Literal["insert", "update", "delete"]
OPERATIONS: dict[str, Operation] = {  # spelled differently by different versions
    "insert": "insert",
    "create": "insert",
    "update": "update",
    "edit": "update",
    "delete": "delete",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Which records changed, as told over one of our channels."""

    channel: str
    module: str
    ids: tuple[str, ...]
    operation: Operation
    token: str = field(repr=False)

    def believed(self, token: str) -> bool:
        """Say whether it knows the channel's token, taking the same time for every wrong one."""
        return bool(token) and secrets.compare_digest(self.token.encode(), token.encode())


def read_notification(body: bytes) -> Notification:
    """Understand a notification. Raises Malformed, and Unauthentic for one without a token."""
    if len(body) > MAX_BYTES:
        raise Malformed("The notification is too large.")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("The notification is not JSON.") from None
    if not isinstance(told, dict):
        raise Malformed("The notification is not an object.")
    token = told.get("token")
    if not isinstance(token, str) or not re.fullmatch(rf"[ -~]{{1,{MAX_TOKEN}}}", token):
        raise Unauthentic  # whoever says nothing of our secret is told nothing of what is wrong with the rest
    ids = told.get("ids")
    if not isinstance(ids, list) or len(ids) > MAX_IDS:
        raise Malformed("The notification names no records, or too many.")
    operation = OPERATIONS.get(told["operation"]) if isinstance(told.get("operation"), str) else None
    if operation is None:
        raise Malformed("The notification does not say what happened.")
    return Notification(
        channel=_number(told.get("channel_id")),
        module=_match(told.get("module"), r"[A-Za-z][A-Za-z0-9_]{0,63}"),
        ids=tuple(dict.fromkeys(_number(id) for id in ids)),
        operation=operation,
        token=token,
    )


def _number(value: Any) -> str:
    """Accept an id as a string or, as some versions write it, a number."""
    return _match(str(value) if isinstance(value, int) and not isinstance(value, bool) else value, r"[0-9]{1,20}")


def _match(value: Any, pattern: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise Malformed("The notification cannot be read.")
    return value
