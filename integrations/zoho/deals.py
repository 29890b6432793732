"""Deals of an organisation, as far as a call can belong to one: the customer, the owner, and whether it is open.

Which stages are the end of a deal is the organisation's word: Zoho's answers show `forecast_type` (Open, Closed Won,
Closed Lost) beside the values of `Stage`, which its page does not promise for `/settings/fields`
(https://www.zoho.com/crm/developer/docs/api/v8/field-meta.html); without it, a stage whose name begins so is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from domain.deal import DEALS, Deal
from domain.errors import NotAllowed, Refused
from domain.ports import in_batches
from integrations.zoho.client import CRM, Body, ZohoClient, rows_of
from integrations.zoho.listing import changed, deleted

FIELDS = "Deal_Name,Stage,Contact_Name,Account_Name,Owner,Modified_Time"
STAGE, CLOSED = "Stage", "closed"
IDS = 100
KEEP_SECONDS = 21_600.0  # a new stage is known within a quarter of a day


class Deals:
    """The deals of one organisation."""

    def __init__(self, client: ZohoClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._closed: frozenset[str] = frozenset()
        self._due = float("-inf")

    def changed(self, since: datetime | None) -> Iterator[Deal]:
        """Yield what changed since then, or all there are. Raises NotAllowed."""
        closed = self._closed_stages()
        for row in changed(self._client, DEALS, lambda _: {"fields": FIELDS}, since):
            yield _deal(row, closed)

    def gone(self, since: datetime) -> Iterator[str]:
        """Yield the ids of those deleted since then."""
        return deleted(self._client, DEALS, since)

    def some(self, ids: Sequence[str]) -> Iterator[Deal]:
        """Read these again; one that is not there any more is left out."""
        closed = self._closed_stages()
        for batch in in_batches([id for id in ids if id.isdecimal()], IDS):
            params = {"fields": FIELDS, "ids": ",".join(batch)}
            for row in rows_of(self._client.read(f"{CRM}/{DEALS}", params), "data"):
                yield _deal(row, closed)

    def _closed_stages(self) -> frozenset[str]:
        if self._clock() >= self._due:
            try:
                told = rows_of(self._client.read(f"{CRM}/settings/fields", {"module": DEALS}), "fields")
                picks = [pick for field in told if field.get("api_name") == STAGE for pick in _picks(field)]
                self._closed = frozenset(str(pick.get("actual_value")) for pick in picks if _ends(pick))
            except (NotAllowed, Refused):
                self._closed = frozenset()
            self._due = self._clock() + KEEP_SECONDS
        return self._closed


def _picks(field: Body) -> list[Body]:
    told = field.get("pick_list_values")
    return [pick for pick in told if isinstance(pick, dict)] if isinstance(told, list) else []


def _ends(pick: Body) -> bool:
    return str(pick.get("forecast_type") or pick.get("actual_value") or "").casefold().startswith(CLOSED)


def _deal(row: Body, closed: frozenset[str]) -> Deal:
    stage = str(row.get(STAGE) or "")
    name = row.get("Deal_Name")
    over = stage in closed if closed else stage.casefold().startswith(CLOSED)
    return Deal(
        remote_id=str(row.get("id")),
        name=name.strip() if isinstance(name, str) else "",
        contact=_id(row.get("Contact_Name")),
        account=_id(row.get("Account_Name")),
        owner=_id(row.get("Owner")),
        open=not over,
        changed_at=_moment(row.get("Modified_Time")),
    )


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    except ValueError:
        return None


def _id(lookup: Any) -> str:
    return str(lookup.get("id") or "") if isinstance(lookup, dict) else ""
