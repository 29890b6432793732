"""A call as a record of a module of the organisation's own: written once, found by the call's id in one of its fields.

Whether that field lets no value stand twice is the organisation's choice. Where it does, a second record is refused
with DUPLICATE_DATA and the first one is what was meant.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from domain.ports import CallRecord, Written, in_batches
from integrations.zoho.client import Body, ZohoClient, literal
from integrations.zoho.creating import create

VALUES = 50  # an `in` of a query takes a hundred by newer versions of the documentation, fifty by older ones
DUPLICATE = "DUPLICATE_DATA"


class Records:
    """The records of calls of one organisation."""

    def __init__(self, client: ZohoClient) -> None:
        self._client = client

    def create(self, module: str, marker: str, records: Sequence[CallRecord]) -> list[Written]:
        """Create a record for each, at most 100, answers in the same order. Raises Unanswered when nobody knows."""
        rows = [_row(marker, one) for one in records]
        spare = {name for one in records for name in (*one.fields, *one.links)} - {marker}
        told = create(self._client, module, rows, ["workflow"], spare)
        twice = [one.marker for one, result in zip(records, told, strict=True) if result.refused == DUPLICATE]
        there = self.find(module, marker, twice) if twice else {}
        return [
            Written(remote_id=there[one.marker]) if one.marker in there else result
            for one, result in zip(records, told, strict=True)
        ]

    def find(self, module: str, marker: str, ids: Collection[str]) -> dict[str, str]:
        """Return the ids of the records of these calls, by call; one that has no record is left out."""
        found: dict[str, str] = {}
        for batch in in_batches(ids, VALUES):
            among = ", ".join(map(literal, batch))
            for row in self._client.query(f"id, {marker}", module, f"{marker} in ({among})"):
                found.setdefault(str(row.get(marker)), str(row.get("id")))
        return found


def _row(marker: str, one: CallRecord) -> Body:
    row: Body = {**one.fields, **{name: {"id": remote_id} for name, remote_id in one.links.items()}}
    if one.owner:
        row["Owner"] = {"id": one.owner}
    return row | {marker: one.marker}
