"""The channel over which an organisation tells us of changed records: opened, renewed and ended.

https://www.zoho.com/crm/developer/docs/api/v8/notifications/overview.html; what comes over it `notifications` reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from domain.errors import NotAllowed, Refused
from integrations.zoho.client import CRM, Body, ZohoClient, code_of, refusal, stamp

WATCH = f"{CRM}/actions/watch"
LONGEST_WATCH = timedelta(days=7) - timedelta(minutes=5)  # asked for more, Zoho silently gives one hour
TOKEN_LENGTH = 50
NO_CHANNEL = "zoho.not_subscribed"


class Channels:
    """The channels of one organisation."""

    def __init__(self, client: ZohoClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now

    def open(
        self, watched: Sequence[Sequence[str]], *, url: str, token: str, channel: str, until: datetime
    ) -> datetime:
        """Ask for notifications at `url`; return when that ends. Asked again, the channel is replaced.

        `watched`: the modules, and fewer of them for when Zoho refuses those: one may be gone there, or out of reach.
        """
        if not re.fullmatch(r"[0-9]{1,18}", channel) or not 0 < len(token) <= TOKEN_LENGTH:
            raise ValueError(f"a channel is a number and its token has at most {TOKEN_LENGTH} characters")
        ends = min(until, self._now() + LONGEST_WATCH).astimezone(UTC).replace(microsecond=0)
        wanted = {
            "channel_id": channel,
            "notify_url": url,
            "token": token,
            "channel_expiry": stamp(ends),
            "return_affected_field_values": False,
            "notify_on_related_action": False,
        }
        first, fewer = watched
        try:
            told = self._ask(wanted, first)
        except (NotAllowed, Refused):
            if fewer == first:
                raise
            told = self._ask(wanted, fewer)
        return min([ends, *_expiries(told)])

    def close(self, channel: str) -> None:
        """End a channel; ended already is fine."""
        try:
            answer = self._client.write(
                "DELETE", WATCH, params={"channel_ids": channel}, repeatable=True, items="watch"
            )
            _raise_refused(answer)
        except Refused as error:
            if error.code != NO_CHANNEL:
                raise

    def _ask(self, wanted: Body, modules: Sequence[str]) -> Body:
        events = {"events": [f"{module}.all" for module in modules]}
        try:
            return self._send("PUT", wanted | events)
        except Refused as error:
            if error.code != NO_CHANNEL:
                raise
            return self._send("POST", wanted | events)

    def _send(self, method: str, wanted: Body) -> Body:
        answer = self._client.write(method, WATCH, json={"watch": [wanted]}, repeatable=True, items="watch")
        _raise_refused(answer)
        return answer


def _raise_refused(answer: Body) -> None:
    """Raise the error of the one channel we asked about."""
    told = answer.get("watch")
    for item in told if isinstance(told, list) else []:
        if isinstance(item, dict) and item.get("status") == "error":
            raise refusal(code_of(item))


def _expiries(answer: Body) -> Iterator[datetime]:
    """Yield when Zoho says each event's channel ends."""
    told = answer.get("watch")
    for item in told if isinstance(told, list) else []:
        details = item.get("details") if isinstance(item, dict) else None
        for event in (details.get("events") or []) if isinstance(details, dict) else []:
            try:
                yield datetime.fromisoformat(event["channel_expiry"]).astimezone(UTC)
            except (KeyError, TypeError, ValueError):
                continue
