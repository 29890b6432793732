"""Creating activities in Zoho, up to a hundred a request; one whose record is gone there is written without it.

Zoho has no idempotency key: after a lost answer nobody knows, and whoever asked reads back before asking again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.errors import Unanswered, Upstream
from domain.ports import Written
from integrations.zoho.client import CRM, Body, ZohoClient, code_of, refusal
from integrations.zoho.rewriting import GONE, written

BATCH = 100
LOOKUPS = {
    "Who_Id": "",
    "What_Id": "$se_module",
    "Owner": "",
}  # of an activity, each with what only means something beside it


def create(client: ZohoClient, module: str, rows: Sequence[Body], trigger: Sequence[str]) -> list[Written]:
    """Create rows; answers come in the same order. Raises Unanswered when nobody knows."""
    if not rows:
        return []
    if len(rows) > BATCH:
        raise ValueError(f"Zoho takes at most {BATCH} records at once")
    rows = list(rows)
    told = _create(client, module, rows, trigger)
    again = {place: row for place, item in enumerate(told) if (row := _without_lost(rows[place], item)) is not None}
    while again:  # each round leaves out one of a row's few lookups
        rest = _rest(client, module, list(again.values()), trigger)
        for place, item in zip(again, rest, strict=True):
            rows[place], told[place] = again[place], item
        again = {place: row for place in again if (row := _without_lost(rows[place], told[place])) is not None}
    return [written(item) for item in told]


def _create(client: ZohoClient, module: str, rows: Sequence[Body], trigger: Sequence[str]) -> list[Any]:
    """Write rows; return what Zoho says of each."""
    data = {"data": rows, "trigger": trigger}
    answer = client.write("POST", f"{CRM}/{module}", json=data, items="data")
    told = answer.get("data")
    if not isinstance(told, list) or len(told) != len(rows):
        if (code := code_of(answer)) != "UNKNOWN":  # one error for the whole request, wrapped in `data`
            raise refusal(code)
        raise Unanswered("Zoho did not say what became of every record.")
    return told


def _rest(client: ZohoClient, module: str, rows: Sequence[Body], trigger: Sequence[str]) -> list[Any]:
    """Write what is left of a batch whose other rows stand already: whatever fails now, read all of it back."""
    try:
        return _create(client, module, rows, trigger)
    except Upstream:
        raise Unanswered("Zoho did not take the rest of the records.") from None


def _without_lost(row: Body, item: Any) -> Body | None:
    """Return a refused row without the record or person Zoho says it does not have; None if that is not why.

    Both can be deleted there before we hear of it, and an activity nobody is named on is better than none.
    """
    if not isinstance(item, dict) or item.get("status") == "success" or code_of(item) != GONE:
        return None
    details = item.get("details")
    named = details.get("api_name") if isinstance(details, dict) else None
    if named not in LOOKUPS or named not in row:
        return None
    return {name: value for name, value in row.items() if name not in (named, LOOKUPS[named])}
