"""Contacts and Leads, written by the hundred: looked at first, changed where nobody was faster, answered one by one.

Nothing is matched by number (no upsert): whom Zoho itself calls a duplicate is joined. A column Zoho does not take is
left out and named. No workflow runs, for nobody did anything at Zoho's screen.
https://www.zoho.com/crm/developer/docs/api/v8/insert-records.html, update-records.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from domain.contact import Person, Record
from domain.errors import Refused, TryLater, Unanswered, Upstream
from domain.telling import Awaited, Change, Field, Limits, Told, look, said
from integrations.zoho.client import CRM, Body, ZohoClient, code_of, refusal
from integrations.zoho.listing import PAGE
from integrations.zoho.people import People
from integrations.zoho.rows import COLUMNS, TAKES, draw, whole

BATCH = 100
ROUNDS = 3  # how often what came too late, or was refused for one column, is tried again
NEWCOMERS = "Contacts"
SENDING: Mapping[str, Any] = {"trigger": []}  # left out, every workflow would run
ALREADY_MODIFIED = frozenset({"ALREADY_MODIFIED", "RECORD_MODIFIED"})  # the documentation has both


class ZohoPeopleWriter:
    """The people of one organisation, as far as its grant may write them."""

    limits = Limits(
        create=BATCH, update=BATCH, delete=BATCH, page=PAGE, sequential=False, takes=TAKES, newcomers=NEWCOMERS
    )

    def __init__(self, client: ZohoClient, region: str) -> None:
        self._client = client
        self._region = region
        self._people = People(client, region)

    def create(self, people: Sequence[Person], more: Sequence[Mapping[str, Any]] = ()) -> list[Told]:
        """Add new people. After Unanswered ask `find` before asking again."""
        fields = TAKES[NEWCOMERS]
        rows = [
            {column: value for column, value in draw(NEWCOMERS, person, fields, {}, self._region).items() if value}
            for person in people
        ]
        rows = [{**beside, **row} for beside, row in zip(more, rows, strict=True)] if more else rows
        told: dict[int, Told] = {}
        left_out: dict[int, list[tuple[str, str]]] = defaultdict(list)
        waiting = dict(enumerate(rows))
        while waiting:  # each round leaves out one column of each row that was refused for it
            items = self._create(list(waiting.values()), first=not told and len(waiting) == len(people))
            again: dict[int, Body] = {}
            for (at, row), item in zip(waiting.items(), items, strict=True):
                name = _details(item).get("api_name")
                if more and not _done(item) and name in more[at] and name in row:
                    left_out[at].append((str(name), code_of(item)))
                    again[at] = {column: value for column, value in row.items() if column != name}
                elif (less := _without(row, item)) is not None:
                    again[at] = less
                else:
                    told[at] = self._created(row, people[at], item)
            waiting = again
        for at, names in left_out.items():
            told[at] = replace(told[at], left_out=tuple(names))
        return [told[at] for at in range(len(people))]

    def _create(self, rows: Sequence[Body], *, first: bool) -> list[Any]:
        try:
            answer = self._client.write("POST", f"{CRM}/{NEWCOMERS}", json={"data": rows, **SENDING}, items="data")
            return _each(answer, len(rows), Unanswered)
        except Upstream:
            if first:
                raise
            raise Unanswered("Zoho did not take the rest of the people.") from None  # the others stand already

    def _created(self, row: Body, person: Person, item: Any) -> Told:
        details = _details(item)
        if _done(item) and details.get("id"):
            maker: Any = details.get("Created_By")
            written = row | {
                "id": str(details["id"]),
                "Modified_Time": details.get("Modified_Time"),
                "Owner": {"id": maker.get("id")} if isinstance(maker, dict) else None,  # the row names nobody else
            }
            return self._written(NEWCOMERS, written, person, TAKES[NEWCOMERS])
        if code_of(item) == "DUPLICATE_DATA":
            module, remote_id = _twin(details)
            twin = next(iter(self._people.some(module, [remote_id])), None) if module in TAKES else None
            if isinstance(twin, Record):
                return Told(do="joined", remote_id=remote_id, record=twin)
        return Told(do="refused", refused=refusal(code_of(item)).code)

    def find(self, people: Sequence[Person], since: datetime) -> list[Told | None]:
        """Look for people whose creation nobody answered, among what changed since then."""
        found: list[Told | None] = [None] * len(people)
        awaited = Awaited(map(self._as_kept, people))
        for record in self._people.changed(NEWCOMERS, since):
            if (place := awaited.place_of(record)) is not None:
                found[place] = _answer(record, people[place], TAKES[NEWCOMERS])
        return found

    def _as_kept(self, person: Person) -> Person:
        """How somebody new reads once Zoho has them."""
        row = draw(NEWCOMERS, person, TAKES[NEWCOMERS], {}, self._region)
        record = self._people.read(NEWCOMERS, row)
        return record.person if isinstance(record, Record) else person

    def update(self, changes: Sequence[Change]) -> list[Told]:
        """Write the named fields and no others; whoever was changed meanwhile is answered as they are."""
        told: dict[int, Told] = {}
        refused: dict[int, set[str]] = {}  # the columns Zoho does not take of each
        for _ in range(ROUNDS):
            last: dict[int, Record] = {}
            for module, ready in self._look(changes, told).items():
                rows: dict[int, Body] = {}
                for at, (row, record) in ready.items():
                    last[at] = record
                    own = self._people.own(module)
                    drawn = draw(module, changes[at].wanted, changes[at].fields, row, self._region, own)
                    fitting = {name: value for name, value in drawn.items() if name not in refused.get(at, ())}
                    if fitting:
                        rows[at] = fitting
                    else:  # nothing of it finds room here
                        told[at] = _answer(record, changes[at].wanted, changes[at].fields)
                self._update(module, changes, ready, rows, told, refused)
            if not last.keys() - told.keys():
                break
        for at, record in last.items():
            told.setdefault(at, Told(do="changed", remote_id=record.remote_id, record=record))
        return [told[at] for at in range(len(changes))]

    def _update(
        self,
        module: str,
        changes: Sequence[Change],
        ready: Mapping[int, tuple[Body, Record]],
        rows: Mapping[int, Body],
        told: dict[int, Told],
        refused: dict[int, set[str]],
    ) -> None:
        if not rows:
            return
        data = [row | {"id": changes[at].remote_id} for at, row in rows.items()]
        newest = max(_moment(record.etag) for _, record in ready.values())
        try:
            answer = self._client.write(
                "PUT",
                f"{CRM}/{module}",
                json={"data": data, **SENDING},
                repeatable=True,
                items="data",
                unmodified_since=newest,
            )
        except Refused as error:
            if error.code.removeprefix("zoho.").upper() in ALREADY_MODIFIED:
                return  # all of them are looked at again
            raise
        for (at, row), item in zip(rows.items(), _each(answer, len(rows), TryLater), strict=True):
            change = changes[at]
            if _done(item):
                now = {**ready[at][0], **row, "Modified_Time": _details(item).get("Modified_Time")}
                told[at] = self._written(module, now, change.wanted, change.fields)
            elif (less := _without(row, item)) is not None:
                refused.setdefault(at, set()).update(row.keys() - less.keys())
            elif code_of(item) not in ALREADY_MODIFIED:
                told[at] = _refused(change, item)

    def delete(self, changes: Sequence[Change]) -> list[Told]:
        """Move records that still look as they did to Zoho's recycle bin, where people find them for sixty days."""
        told: dict[int, Told] = {}
        for module, ready in self._look(changes, told).items():
            ids = ",".join(changes[at].remote_id for at in ready)
            params = {"ids": ids, "wf_trigger": "false"}
            answer = self._client.write("DELETE", f"{CRM}/{module}", params=params, repeatable=True, items="data")
            for at, item in zip(ready, _each(answer, len(ready), TryLater), strict=True):
                gone = Told(do="gone", remote_id=changes[at].remote_id)
                told[at] = gone if _done(item) else _refused(changes[at], item)
        return [told[at] for at in range(len(changes))]

    def _look(self, changes: Sequence[Change], told: dict[int, Told]) -> dict[str, dict[int, tuple[Body, Record]]]:
        """Read the rows as they stand, by module; settle those that need no writing."""
        waiting: dict[str, list[int]] = {}
        for at, change in enumerate(changes):
            if at not in told:
                waiting.setdefault(change.module, []).append(at)
        ready: dict[str, dict[int, tuple[Body, Record]]] = {}
        for module, places in waiting.items():
            there = self._people.rows(module, [changes[at].remote_id for at in places])
            for at in places:
                row = there.get(changes[at].remote_id, {})
                record = self._record(module, row) if row else None
                if (settled := look(changes[at], record)) is not None:
                    told[at] = settled
                elif record is not None:
                    ready.setdefault(module, {})[at] = row, record
        return ready

    def _record(self, module: str, row: Body) -> Record | None:
        """Understand a row; a converted lead is no lead any more."""
        record = self._people.read(module, row)
        return record if isinstance(record, Record) else None

    def _written(self, module: str, row: Body, wanted: Person, fields: frozenset[Field]) -> Told:
        record = self._people.read(module, row, {line.raw: line for line in wanted.lines if whole(line)})
        if not isinstance(record, Record):
            raise TryLater("Zoho's answer cannot be read.")
        return _answer(record, wanted, fields)


def _answer(record: Record, wanted: Person, fields: frozenset[Field]) -> Told:
    """A record as it stands now, and in which fields not all that was wanted found room."""
    kept, asked = record.person, wanted
    short = tuple(sorted(name for name in fields if _lacks(said(kept, name), said(asked, name))))
    return Told(do="written", remote_id=record.remote_id, record=record, short=short)


def _lacks(kept: str | frozenset[str], asked: str | frozenset[str]) -> bool:
    """Whether not all that was asked for stands there."""
    if isinstance(asked, str) or isinstance(kept, str):
        return asked not in ("", kept)
    return not asked <= kept


def _each(answer: Body, count: int, otherwise: type[Upstream]) -> list[Any]:
    """What Zoho says of each record, in the order they were sent."""
    told = answer.get("data")
    if isinstance(told, list) and len(told) == count:
        return told
    if (code := code_of(answer)) != "UNKNOWN":  # one error for the whole request, wrapped in `data`
        raise refusal(code)
    raise otherwise("Zoho did not say what became of every record.")


def _moment(etag: str) -> datetime:
    """When a record last changed; offsets differ over the year, so the texts do not compare."""
    try:
        return datetime.fromisoformat(etag).astimezone(UTC)
    except ValueError:
        raise TryLater("Zoho did not say when a record last changed.") from None


def _done(item: Any) -> bool:
    return isinstance(item, dict) and item.get("status") == "success"


def _details(item: Any) -> Body:
    details = item.get("details") if isinstance(item, dict) else None
    return details if isinstance(details, dict) else {}


def _refused(change: Change, item: Any) -> Told:
    """A record that could not be written; an id Zoho does not have is one that is gone."""
    details = _details(item)
    unknown = code_of(item) == "INVALID_DATA" and details.get("api_name", "id") == "id"
    if unknown:
        return Told(do="gone", remote_id=change.remote_id)
    return Told(do="refused", remote_id=change.remote_id, refused=refusal(code_of(item)).code)


def _without(row: Body, item: Any) -> Body | None:
    """A refused row without the column Zoho does not take; None if that is not why, or it cannot do without."""
    column = _details(item).get("api_name")
    if _done(item) or code_of(item) != "INVALID_DATA" or column not in row or column == "Last_Name":
        return None
    return {name: value for name, value in row.items() if name != column} if column in COLUMNS else None


def _twin(details: Body) -> tuple[str, str]:
    """Where the record Zoho calls the same one is: (module, id); the older form has no module."""
    twin: Any = details.get("duplicate_record")
    twin = twin if isinstance(twin, dict) else details
    module: Any = twin.get("module")
    name = module.get("api_name") if isinstance(module, dict) else module
    return str(name or NEWCOMERS), str(twin.get("id") or "")
