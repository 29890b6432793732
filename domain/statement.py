"""A statement of account over calls: what the phone system lists, what we know, what stands in the CRM.

Counts only. Deciding what is amiss is pure and stands here; asking and repairing is `jobs.reconcile`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from domain.call import SAME
from domain.ports import Activity, LoggedCall

OURS_STILL = timedelta(seconds=30)  # a row changed so shortly after we wrote it was changed by our writing it


@dataclass(slots=True, kw_only=True)
class Statement:
    """How many calls agreed, and how many did not and what was done about it."""

    listed: int = 0  # by the phone system
    missing: int = 0  # of those we had never heard of: taken over
    unended: int = 0  # of those had no end here: ended
    corrected: int = 0  # of those went differently than we thought
    forgotten: int = 0  # of those are with somebody who asked to be forgotten, or too old to be kept: left alone
    compared: int = 0  # ended calls of ours that belong in the CRM
    logged: int = 0  # of those stand there
    waiting: int = 0  # of those are being written
    unplanned: int = 0  # of those nobody had thought of writing: planned
    lost: int = 0  # of those had been written and are gone: planned again
    drifted: int = 0  # of those say something else than the call
    amended: int = 0  # drifted ones that say it now
    doubled: int = 0  # rows too many
    removed: int = 0  # of those were ours and went
    left: int = 0  # what is amiss and is not ours to touch, or was refused
    crm: str = ""  # why the CRM could not be asked, as a code; "none": there is none

    def add(self, other: Statement) -> None:
        """Sum up; the last reason stays."""
        for name, value in asdict(other).items():
            if name != "crm":
                setattr(self, name, getattr(self, name) + value)
        self.crm = other.crm or self.crm

    @property
    def repairs(self) -> int:
        """How much was put right: nothing, the second time."""
        found = self.missing + self.unended + self.corrected
        return found + self.unplanned + self.lost + self.amended + self.removed

    def as_facts(self) -> dict[str, Any]:
        """Plain values for a ledger row; `crm` only when there is something to say."""
        facts = asdict(self)
        return facts if facts["crm"] else {name: value for name, value in facts.items() if name != "crm"}


def says_otherwise(logged: LoggedCall, activity: Activity) -> bool:
    """Say whether a row tells another call than it should: whose, when, how long, whether they spoke.

    What else is in a row is for people to change. The outcome of a call nobody took has no field of its own.
    """
    inbound = activity.direction == "inbound"
    spoke = activity.outcome == "answered"
    seconds = activity.talk_seconds if spoke else 0
    return (
        (bool(activity.owner) and logged.owner != activity.owner)
        or abs(logged.started_at - activity.started_at) >= timedelta(seconds=1)
        or abs(logged.talk_seconds - seconds) > SAME.total_seconds()
        or (logged.direction == "inbound") != inbound
        or (inbound and (logged.outcome == "answered") != spoke)
    )


def untouched(logged: LoggedCall, *, by: str, written_at: datetime) -> bool:
    """Say whether nobody has changed a row since `by` (that is us) wrote it: only then may we.

    People who gave us their consent work under the same id, so a change of theirs shows by its time alone: later than
    the row began by the CRM's own clock, and later than we wrote by ours.
    """
    return logged.modified_by == by and logged.modified_at <= max(logged.created_at, written_at) + OURS_STILL


def nearest(distances: Iterable[tuple[timedelta, int, str]]) -> dict[int, str]:
    """Give each call the row that lies nearest to it in time, and each row to one call: (how far, call, row)."""
    whose: dict[int, str] = {}
    taken: set[str] = set()
    for _, call, row in sorted(distances):
        if call not in whose and row not in taken:
            whose[call] = row
            taken.add(row)
    return whose
