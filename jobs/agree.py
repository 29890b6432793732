"""Our ended calls beside the CRM's activities: what is missing is owed again, what we wrote twice or wrongly put right.

Only rows with our marker are ever changed or removed, and of those only what nobody has touched since we wrote them.
What the CRM's own telephony wrote (PhoneBridge) is looked for and counted, never changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from uuid import UUID

import structlog

from domain.call import SAME
from domain.errors import NotAllowed, Refused
from domain.ports import Activity, LoggedCall
from domain.said import words_of
from domain.statement import Statement, nearest, says_otherwise, untouched
from jobs import activities, filling
from jobs.services import Services
from store.call_book import Kept
from store.connections import Tie
from store.owed import Owed

log = structlog.get_logger()

AROUND = timedelta(seconds=60)  # the CRM's telephony may write down another start than ours
BRIDGE_SETTLES = timedelta(minutes=5)  # Zoho answers first and writes the row by itself afterwards
OUT_OF_TRIES = frozenset({"upstream.busy", "upstream.unanswered", "upstream.unreachable", "interrupted"})
# a write that ended for one of these reasons was never refused: the other side was away for a day


@dataclass(slots=True, kw_only=True)
class _Findings:
    """What has to change on our side, gathered for one transaction."""

    lost: list[Owed] = field(default_factory=list)
    found: dict[UUID, str] = field(default_factory=dict)  # call -> the row that is its activity
    settled: dict[UUID, str] = field(default_factory=dict)  # effect -> the row we amended or kept
    amended: list[UUID] = field(default_factory=list)
    removed: list[UUID] = field(default_factory=list)


def agree(services: Services, crm: Tie, ours: Sequence[Kept], statement: Statement) -> list[Kept]:
    """Compare ended calls with the CRM and put right what differs; return those nobody has planned to write."""
    owed = services.effects.of_calls(crm.tenant, [call.id for call in ours])
    statement.compared += len(ours)
    unplanned = [call for call in ours if call.id not in owed and not call.writer]
    statement.unplanned += len(unplanned)
    settled = [call for call in ours if call.id in owed and _is_settled(services, crm, owed[call.id], statement)]
    if settled:
        findings = _look(services, crm, settled, owed, statement)
        _write_down(services, crm, owed, findings)
    return unplanned


def _is_settled(services: Services, crm: Tie, one: Owed, statement: Statement) -> bool:
    """Say whether a write is over, so that its row has to be there."""
    if one.connection != crm.id or one.state == "dropped":
        return False  # of a CRM that is not connected any more, or nobody wanted it
    if one.state == "dead" and one.reason not in OUT_OF_TRIES:
        statement.left += 1
        return False
    young = one.done_at is not None and services.now() - one.done_at < BRIDGE_SETTLES
    if one.state not in ("done", "dead") or (one.kind == "activity.bridge" and young):
        statement.waiting += 1
        return False
    return True


def _look(
    services: Services, crm: Tie, settled: Sequence[Kept], owed: Mapping[UUID, Owed], statement: Statement
) -> _Findings:
    """Read the CRM's rows of that time and compare."""
    there = services.crm(crm)
    wanted = activities.of(services, crm, settled)
    starts = [call.call.started_at for call in settled]
    rows = list(there.calls_logged(min(starts) - AROUND, max(starts) + AROUND))
    if crm.troubled:
        services.connections.ok(crm.tenant, crm.id)
    findings = _Findings()
    bridged = [call for call in settled if owed[call.id].kind == "activity.bridge"]
    if bridged:
        _bridged(services, crm, bridged, wanted, owed, rows, findings, statement)
    written = [call for call in settled if owed[call.id].kind == "activity.record"]
    desk = _Desk(services, crm, statement, findings)
    missing = []
    by_marker: dict[str, list[LoggedCall]] = defaultdict(list)
    by_id: dict[str, list[LoggedCall]] = {row.remote_id: [row] for row in rows}
    for row in rows:
        if row.marker:
            by_marker[row.marker].append(row)
    for call in written:
        one = owed[call.id]
        if mine := by_marker.get(str(call.id)) or by_id.get(one.result):  # somebody may have wiped our line away
            desk.put_right(call, one, wanted[call.id], mine)
        else:
            missing.append(call)
    # a row that a person moved to another time is not gone: ask for it by its id before anything is written again
    ids = [owed[call.id].result for call in missing if owed[call.id].result]
    elsewhere = {row.remote_id for row in there.some_calls(ids)} if ids else set()
    for call in missing:
        if owed[call.id].result in elsewhere:
            statement.logged += 1
            statement.left += 1
        else:
            _lost(owed[call.id], findings, statement)
    return findings


def _lost(one: Owed, findings: _Findings, statement: Statement) -> None:
    """Owe it again, once: who removes it a second time means it."""
    if one.reopened:
        statement.left += 1
    else:
        statement.lost += 1
        findings.lost.append(one)


# ---- rows we wrote ------------------------------------------------------------------------------------------------


class _Desk:
    """Where rows with our marker are put right, with the permissions this consent has."""

    def __init__(self, services: Services, crm: Tie, statement: Statement, findings: _Findings) -> None:
        self._services = services
        self._tie = crm
        self._tenant = crm.tenant
        self._crm = services.crm(crm)
        self._statement = statement
        self._findings = findings
        self._allowed = True

    def put_right(self, call: Kept, one: Owed, activity: Activity, mine: Sequence[LoggedCall]) -> None:
        """Keep the oldest row of a call, remove our others, and have it say what the call was."""
        oldest, *more = sorted(mine, key=lambda row: (row.created_at, row.remote_id))
        self._statement.logged += 1
        self._statement.doubled += len(more)
        for row in more:
            if row.modified_by == self._us and self._may(lambda row=row: self._crm.remove_call(row.remote_id)):  # type: ignore[misc]  # bound now
                self._statement.removed += 1
                self._findings.removed.append(call.id)
            else:
                self._statement.left += 1
        if call.activity != oldest.remote_id:
            self._findings.found[call.id] = oldest.remote_id
        if not says_otherwise(oldest, activity):
            return
        self._statement.drifted += 1
        written_at = one.changed_at or oldest.created_at
        ours = bool(oldest.marker) and untouched(oldest, by=self._us, written_at=written_at)
        if ours and self._may(lambda: self._rewrite(call, oldest.remote_id, activity)):
            self._statement.amended += 1
            self._findings.settled[one.id] = oldest.remote_id
            self._findings.amended.append(call.id)
        else:
            self._statement.left += 1

    def _rewrite(self, call: Kept, remote_id: str, activity: Activity) -> None:
        """Say all of it anew; a text that people changed stays as it is."""
        kept = self._services.calls.get(self._tenant, call.id) or call  # an amendment may have been under way
        words = words_of(activity)
        if words not in kept.said:
            self._services.calls.says(self._tenant, {call.id: (*kept.said, words)})
        filling.remember(self._services, self._tie, [(kept, activity)])
        if filling.amend(self._services, self._tie, remote_id, kept, activity, said=kept.said or None, whole=True):
            self._services.calls.says(self._tenant, {call.id: (words,)})
            filling.settled(self._services, self._tie, call.id, activity)

    @cached_property
    def _us(self) -> str:
        """Who we are in the CRM: whoever gave the consent. Asked only where something has to be put right."""
        return self._crm.me().remote_id

    def _may(self, do: Callable[[], None]) -> bool:
        """Do it; False when the CRM refuses, or the consent does not reach so far."""
        try:
            if self._allowed:
                do()
        except NotAllowed:
            self._allowed = False
        except Refused as error:
            log.info("repair_refused", reason=error.code)
            return False
        return self._allowed


# ---- rows the CRM's telephony wrote -------------------------------------------------------------------------------


def _bridged(
    services: Services,
    crm: Tie,
    calls: Sequence[Kept],
    wanted: Mapping[UUID, Activity],
    owed: Mapping[UUID, Owed],
    rows: Sequence[LoggedCall],
    findings: _Findings,
    statement: Statement,
) -> None:
    """Find for each call the row the CRM wrote for it: the nearest, and each row once."""
    bridge = services.bridge(crm)
    near = [
        (abs(row.started_at - wanted[call.id].started_at), place, row.remote_id)
        for place, call in enumerate(calls)
        for row in rows
        if row.bridged and bridge.wrote(wanted[call.id], row)
    ]
    by_id = {row.remote_id: row for row in rows}
    whose = nearest(near)
    twins = {row_id for distance, _, row_id in near if distance <= SAME} - {*whose.values()}
    statement.doubled += len(twins)
    statement.left += len(twins)
    for place, call in enumerate(calls):
        if place not in whose:
            _lost(owed[call.id], findings, statement)
            continue
        statement.logged += 1
        if not call.activity:
            findings.found[call.id] = whose[place]
        if says_otherwise(by_id[whose[place]], wanted[call.id]):
            statement.drifted += 1
            statement.left += 1


# ---- what becomes of it on our side -------------------------------------------------------------------------------


def _write_down(services: Services, crm: Tie, owed: Mapping[UUID, Owed], findings: _Findings) -> None:
    """Commit what was found and done, with a row in the ledger for what was put right."""
    lost = {one.id for one in findings.lost}
    again = [str(call) for call, one in owed.items() if one.id in lost]
    if not (lost or findings.found or findings.settled or findings.removed):
        return
    with services.db.tenant(crm.tenant) as database:
        services.effects.reopen(database, crm.tenant, lost)
        services.effects.amended(database, crm.tenant, findings.settled)
        for call, row in findings.found.items():
            services.calls.logged(database, crm.tenant, {call: row})
        if again or findings.amended or findings.removed:
            services.ledger.write(
                database,
                crm.tenant,
                "calls.repaired",
                subject=f"connections:{crm.id}",
                again=again,
                amended=[str(call) for call in findings.amended],
                removed=[str(call) for call in findings.removed],
            )
        if findings.amended:
            told = activities.about(services, crm, findings.amended)
            activities.named_to(services, crm, [story.contact for story in told.values()], database)
    if lost:
        services.ring(crm.tenant, "calls")
