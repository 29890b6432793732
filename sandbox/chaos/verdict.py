"""What is left in Zoho, held against what has to be there: how many are missing, doubled, wrong, and which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.chaos.plot import Expected

MARKER = "[linekeeper:"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Counts, and the starts of the calls that went wrong."""

    rows: int
    missing: int
    doubled: int
    strange: int  # rows that belong to no call
    wrong: int
    examples: tuple[str, ...]

    @property
    def perfect(self) -> bool:
        """Is there one right activity for each call, and nothing else?"""
        return not (self.missing or self.doubled or self.strange or self.wrong)


def judge(expected: Mapping[str, Sequence[Expected]], rows: Mapping[str, Sequence[Row]]) -> Verdict:
    """Compare what has to stand in each company's Zoho with what does."""
    missing = doubled = strange = wrong = 0
    examples: list[str] = []
    for org, wanted in expected.items():
        found: dict[datetime, list[Row]] = defaultdict(list)
        for row in rows[org]:
            found[datetime.fromisoformat(str(row["Call_Start_Time"]))].append(row)
        for one in wanted:
            mine = found.pop(one.began, [])
            missing += not mine
            doubled += max(len(mine) - 1, 0)
            faults = [_amiss(one, row) for row in mine]
            wrong += sum(map(bool, faults))
            if len(mine) != 1 or any(faults):
                told = "; ".join(filter(None, faults)) or f"{len(mine)} rows"
                examples.append(f"{org}, began {one.began:%H:%M:%S}: {told}")
        strange += sum(map(len, found.values()))
    return Verdict(
        rows=sum(map(len, rows.values())),
        missing=missing,
        doubled=doubled,
        strange=strange,
        wrong=wrong,
        examples=tuple(examples[:10]),
    )


def _amiss(one: Expected, row: Row) -> str:
    """What a row says that it should not; "" when it is right."""
    bridged = row.get("CTI_Entry") is True
    field, record = one.record
    told = {name: (row.get(name) or {}).get("id", "") for name in ("Who_Id", "What_Id")}
    least = 0 if bridged or one.kind == "Missed" else 1  # Zoho lets us write no call of no seconds
    said = {
        "type": (one.kind, row["Call_Type"]),
        "seconds": (max(one.seconds, least), row["Call_Duration_in_seconds"]),
        "owner": (one.owner, row["Owner"]["email"]),
        "record": ({"Who_Id": "", "What_Id": ""} | ({field: record} if field else {}), told),
        "number": (True, not bridged or one.number in (row["Caller_ID"], row["Dialled_Number"])),
        "outcome": (True, bridged or str(row["Description"]).startswith(one.words or MARKER)),
        "marker": (not bridged, MARKER in str(row["Description"])),
    }
    return ", ".join(f"{name} {is_} instead of {want}" for name, (want, is_) in said.items() if want != is_)
