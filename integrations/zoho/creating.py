"""Creating activities in Zoho, up to a hundred a request; one whose record is gone there is written without it.

Zoho has no idempotency key: after a lost answer nobody knows, and whoever asked reads back before asking again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from domain.errors import Unanswered, Upstream
from domain.ports import Written
from integrations.zoho.client import CRM, Body, ZohoClient, code_of, refusal
from integrations.zoho.rewriting import GONE, field_of, written

BATCH = 100
LOOKUPS = {
    "Who_Id": "",
    "What_Id": "$se_module",
    "Owner": "",
}  # of an activity, each with what only means something beside it


def create(
    client: ZohoClient, module: str, rows: Sequence[Body], trigger: Sequence[str], spare: Collection[str] = ()
) -> list[Written]:
    """Create rows; answers come in the same order. `spare`: fields a row is written without where Zoho refuses them.

    Raises Unanswered when nobody knows.
    """
    if not rows:
        return []
    if len(rows) > BATCH:
        raise ValueError(f"Zoho takes at most {BATCH} records at once")
    rows = list(rows)
    told = _create(client, module, rows, trigger)
    left_out: dict[int, list[tuple[str, str]]] = defaultdict(list)
    again = _again(rows, told, range(len(rows)), spare, left_out)
    while again:  # each round leaves out one of a row's few lookups, or of its spare fields
        rest = _rest(client, module, list(again.values()), trigger)
        for place, item in zip(again, rest, strict=True):
            rows[place], told[place] = again[place], item
        again = _again(rows, told, again, spare, left_out)
    return [replace(written(item), left_out=tuple(left_out.get(place, ()))) for place, item in enumerate(told)]


def _again(
    rows: Sequence[Body],
    told: Sequence[Any],
    places: Iterable[int],
    spare: Collection[str],
    left_out: dict[int, list[tuple[str, str]]],
) -> dict[int, Body]:
    """The refused rows that may be taken without what Zoho refused of them; what that was is noted."""
    found: dict[int, Body] = {}
    for place in places:
        row, item = rows[place], told[place]
        named = field_of(item) if isinstance(item, dict) and item.get("status") != "success" else ""
        if named in spare and named in row:
            left_out[place].append((named, code_of(item)))
            found[place] = {name: value for name, value in row.items() if name != named}
        elif (without := _without_lost(row, item)) is not None:
            found[place] = without
    return found


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
    named = field_of(item)
    if named not in LOOKUPS or named not in row:
        return None
    return {name: value for name, value in row.items() if name not in (named, LOOKUPS[named])}
