"""A finished call as a row of Zoho's Calls module: written in batches, found again by our marker, put right, removed.

Zoho has no idempotency key and no upsert for calls
(https://www.zoho.com/crm/developer/docs/api/v8/upsert-records.html), so a line of the description carries the marker.
Whether to write at all is decided elsewhere: with PhoneBridge on, Zoho writes the row itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from domain.call import Outcome
from domain.errors import NotAllowed
from domain.ports import Activity, LoggedCall, Part, Written, in_batches
from domain.said import MARKER, OUTCOMES, tag, words_of
from integrations.zoho.client import COQL_REACH, CRM, Body, ZohoClient, literal, refusal, rows_of, stamp
from integrations.zoho.creating import BATCH, create
from integrations.zoho.rewriting import GONE, Change, refused, rewrite, with_words
from integrations.zoho.tying import belongs_to, tie

SUBJECT_LENGTH = 255
RECORDING = "Voice_Recording__s"
VALUES = 50  # an `in` of a query takes a hundred by newer versions of the documentation, fifty by older ones
URL_LENGTH = 450  # of a website field
COLUMNS = (
    "id, Subject, Call_Type, Call_Start_Time, Call_Duration_in_seconds, Owner, Description, CTI_Entry, "
    "Caller_ID, Dialled_Number, Created_Time, Modified_Time, Modified_By"
)
STATUS = "Outgoing_Call_Status"  # metadata and reads spell it so, a sample in the documentation "Outbound_..."
STATUSES = (STATUS, "Outbound_Call_Status")
OUR_SUBJECTS = ("Call from ", "Call to ", "Missed call from ")  # jobs.activities; PhoneBridge writes others
FIELDS_OF: Mapping[Part, tuple[str, ...]] = {
    "person": ("Who_Id", "What_Id", "$se_module"),
    "course": ("Call_Type", "Call_Duration", "Call_Duration_in_seconds"),
    "owner": ("Owner",),
}


class Calls:
    """The Calls module of one organisation."""

    def __init__(self, client: ZohoClient) -> None:
        self._client = client
        self._status = ""

    def log(self, activities: Sequence[Activity]) -> list[Written]:
        """Create the activities; answers come in the same order. Raises Unanswered when nobody knows."""
        dialled = any(activity.direction != "inbound" for activity in activities)
        status = self._status_field() if dialled else ""
        rows = [as_row(activity, status) for activity in activities]
        spare = {name for activity in activities for name in activity.fields}
        return create(self._client, "Calls", rows, ["workflow"], spare)

    def find(self, activities: Sequence[Activity]) -> dict[str, str]:
        """Return the ids of the rows that carry these activities' markers, by marker; one that has no row is left out.

        They start when the calls did. Whose they are does not tell: a workflow may have moved one.
        """
        found = {}
        for batch in in_batches(activities, VALUES):
            markers = {tag(activity.marker): activity.marker for activity in batch}
            starts = ", ".join(sorted({literal(stamp(activity.started_at)) for activity in batch}))
            for row in self._client.query("id, Description", "Calls", f"Call_Start_Time in ({starts})"):
                for line in str(row.get("Description") or "").splitlines():
                    if line in markers:
                        found[markers[line]] = str(row.get("id"))
        return found

    def between(self, since: datetime, until: datetime) -> Iterator[LoggedCall]:
        """Yield the rows whose call started in between, oldest first: 200 a request, however many there are."""
        seen: set[str] = set()  # a query reaches so many rows and no further; the next begins where it ended
        while True:
            begin, end = literal(stamp(since)), literal(stamp(until))
            where = f"Call_Start_Time between {begin} and {end} order by Call_Start_Time asc, id asc"
            count, last = 0, since
            for row in self._client.query(COLUMNS, "Calls", where):
                count += 1
                call = as_call(row)
                if call is not None and call.remote_id not in seen:
                    seen.add(call.remote_id)
                    last = max(last, call.started_at)
                    yield call
            if count < COQL_REACH or last <= since:
                return
            since = last

    def some(self, ids: Sequence[str]) -> Iterator[LoggedCall]:
        """Yield those of these rows that still stand, a hundred a request."""
        for batch in in_batches(ids, BATCH):
            where = f"id in ({', '.join(map(literal, batch))})"
            yield from filter(None, map(as_call, self._client.query(COLUMNS, "Calls", where)))

    def amend(
        self,
        remote_id: str,
        activity: Activity,
        *,
        said: Sequence[str] | None = None,
        wrote: Mapping[str, Sequence[Any]] = MappingProxyType({}),
        whole: bool,
    ) -> bool:
        """Add to a row what came later, or write it anew, around what people wrote; False where our words are not ours.

        `wrote`: what we may have put into mapped fields. No workflow runs, for nothing happened. Repeatable.
        """
        anew: Body = {}
        if whole:
            anew = as_row(activity, self._status_field() if activity.direction != "inbound" else "")
            del anew["Description"]

        def change(row: Body) -> Change:
            changed = {name: value for name, value in anew.items() if name != RECORDING}
            if _takes(row.get(RECORDING), activity.recording_url):
                changed[RECORDING] = activity.recording_url
            changed |= {
                name: value
                for name, value in activity.fields.items()
                if _is_ours(row.get(name), wrote.get(name, ())) and row.get(name) != value
            }
            return with_words(row, changed, said, words_of(activity))

        if said is None and not anew and not activity.fields and not 0 < len(activity.recording_url) <= URL_LENGTH:
            return True
        return rewrite(self._client, "Calls", remote_id, (RECORDING, *activity.fields), change)

    def link(
        self,
        remote_id: str,
        record: tuple[str, str] | None,
        among: Collection[tuple[str, str]],
        beside: tuple[str, str] | None = None,
    ) -> bool:
        """Tie a row to another record and change nothing else; False when a person has tied it to something of theirs.

        Only what points at nothing, or at one of `among`, is moved: a deal somebody put there stays.
        """
        return tie(self._client, "Calls", remote_id, record, among, beside)

    def correct(self, remote_id: str, activity: Activity, parts: Collection[Part]) -> None:
        """Write these parts of a row anew, whoever wrote it; no workflow runs. Repeatable."""
        whole = as_row(activity, self._status_field() if activity.direction != "inbound" else "")
        row: Body = {name: whole[name] for part in parts for name in FIELDS_OF[part] if name in whole}
        if {"person", "course"} & {*parts} and self._subject_is_ours(remote_id):
            row["Subject"] = whole["Subject"]
        if "person" in parts:  # whom it belonged to before it belongs to no longer
            row = {"Who_Id": None, "What_Id": None} | row
        if row:
            self._change(row | {"id": remote_id})

    def _subject_is_ours(self, remote_id: str) -> bool:
        """A subject that people wrote anew is theirs."""
        rows = self._client.query("id, Subject", "Calls", f"id = {literal(remote_id)}")
        return any(str(row.get("Subject") or "").startswith(OUR_SUBJECTS) for row in rows)

    def remove(self, remote_id: str) -> None:
        """Move a row to Zoho's recycle bin, where people find it for sixty days; gone already is fine."""
        params = {"ids": remote_id, "wf_trigger": "false"}
        answer = self._client.write("DELETE", f"{CRM}/Calls", params=params, repeatable=True, items="data")
        if (code := refused(answer)) not in (None, GONE):
            raise refusal(code or "UNKNOWN")

    def _change(self, row: Body) -> None:
        """Write what a row holds of ours; no workflow runs. Repeatable. Raises Refused when it is gone."""
        data = {"data": [row], "trigger": []}
        answer = self._client.write("PUT", f"{CRM}/Calls", json=data, repeatable=True, items="data")
        if (code := refused(answer)) is not None:
            raise refusal(code)

    def _status_field(self) -> str:
        """Return what this organisation calls the status of an outgoing call, asked once."""
        if not self._status:
            try:
                answer = self._client.read(f"{CRM}/settings/fields", {"module": "Calls"})
                names = {field.get("api_name") for field in rows_of(answer, "fields")}
            except NotAllowed:
                names = set()
            self._status = next((name for name in STATUSES if name in names), STATUS)
        return self._status


def as_row(activity: Activity, status_field: str = STATUS) -> Body:
    """Write an activity as Zoho's Calls module wants it."""
    inbound = activity.direction == "inbound"
    answered = activity.outcome == "answered"
    missed = inbound and not answered
    # Zoho refuses a duration of zero, except for a missed call ("Call Duration can not be zero.").
    seconds = 0 if missed else max(activity.talk_seconds, 1) if answered else 1
    row: Body = {
        "Subject": activity.subject[:SUBJECT_LENGTH],
        "Call_Type": "Missed" if missed else "Inbound" if inbound else "Outbound",
        "Call_Start_Time": stamp(activity.started_at),
        # Pages disagree whether this is mm:ss or HH:mm; the seconds beside it are what Zoho reads back.
        "Call_Duration": f"{seconds // 60:02d}:{seconds % 60:02d}",
        "Call_Duration_in_seconds": seconds,
        "Description": words_of(activity),
    }
    if not inbound and status_field:
        row[status_field] = "Completed"
    if activity.owner:
        row["Owner"] = {"id": activity.owner}
    if 0 < len(activity.recording_url) <= URL_LENGTH:
        row[RECORDING] = activity.recording_url
    return row | belongs_to(activity.record, activity.beside) | dict(activity.fields)


def _is_ours(there: Any, wrote: Sequence[Any]) -> bool:
    """Say whether a mapped field may be changed: nobody has put anything else there. Zoho spells times its own way."""
    if there in (None, "", *wrote):
        return True
    moment = _moment(there)
    return moment is not None and any(_moment(one) == moment for one in wrote if isinstance(one, str))


def _takes(there: Any, url: str) -> bool:
    """Say whether a row takes this link: it has none, or one of ours with another ticket. Others are people's."""
    if not 0 < len(url) <= URL_LENGTH or there == url:
        return False
    return not there or str(there).rpartition("/")[0] == url.rpartition("/")[0]


def as_call(row: Body) -> LoggedCall | None:
    """Read a row; None for one that says neither when its call began nor when it was written (a scheduled one)."""
    started, created = _moment(row.get("Call_Start_Time")), _moment(row.get("Created_Time"))
    if started is None or created is None:
        return None
    description = str(row.get("Description") or "")
    marker = MARKER.search(description)
    kind = row.get("Call_Type")
    outcome: Outcome = "missed" if kind == "Missed" else "answered"
    seconds = row.get("Call_Duration_in_seconds")
    return LoggedCall(
        remote_id=str(row.get("id")),
        marker=marker[1] if marker else "",
        direction="outbound" if kind == "Outbound" else "inbound",
        outcome=next((word for word, said in OUTCOMES.items() if said in description.splitlines()), outcome),
        started_at=started,
        talk_seconds=seconds if isinstance(seconds, int) else 0,
        customer=" ; ".join(str(row[name]) for name in ("Caller_ID", "Dialled_Number", "Subject") if row.get(name)),
        owner=_id(row.get("Owner")),
        bridged=row.get("CTI_Entry") is True,
        created_at=created,
        modified_at=_moment(row.get("Modified_Time")) or created,
        modified_by=_id(row.get("Modified_By")),
    )


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _id(lookup: Any) -> str:
    return str(lookup.get("id") or "") if isinstance(lookup, dict) else ""
