"""A user's Google contacts, written: looked at first, changed on the state that was seen, answered one by one.

Google's batches are all or nothing, and a stale etag (400 failedPrecondition) refuses all of one: what stands there is
then read again and nothing is overwritten blindly. Writes of one user must come one after the other, which is the
caller's business. A contact may have got another name meanwhile; the answer says which.
https://developers.google.com/people/v1/contacts
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from domain.besides import BOOK
from domain.contact import Person, Record
from domain.errors import Refused, Unanswered, Upstream
from domain.ports import in_batches
from domain.telling import FIELDS, Awaited, Change, Limits, Told, look
from integrations.google.discovery import leaf
from integrations.google.drawing import draw, mask_of
from integrations.google.people import PERSON_FIELDS, changed_at, record_of
from integrations.google.remedy import NotThere, Stale
from integrations.google.synced import PAGE_SIZE
from integrations.google.transport import UserHttp, execute

ROUNDS = 3  # how often a batch that came too late is looked at again; live etags sometimes change by themselves
EVERYBODY = "contactGroups/myContacts"  # where Google itself puts somebody new
LOOKED_AT = 200  # the most people:batchGet reads
CLOCKS = timedelta(minutes=10)  # how far Google's clock and ours may be apart

Entry = dict[str, Any]
Open = dict[int, Change]  # by place in the question


class GoogleContactsWriter:
    """The contacts of one Google user who allowed us to write them; somebody new gets the `label`, if there is one."""

    limits = Limits(
        create=200,
        update=200,
        delete=500,
        page=PAGE_SIZE,
        sequential=True,
        takes={BOOK: frozenset(FIELDS)},
        newcomers=BOOK,
    )

    def __init__(self, user: UserHttp, root: str = "", region: str = "US", label: str = "") -> None:
        self._user = user
        self._labelled = {"memberships": [_member(name) for name in (EVERYBODY, label)]} if label else {}
        self._people = leaf(root, "people", "v1", "people")
        self._connections = leaf(root, "people", "v1", "people.connections")
        self._region = region

    def create(self, people: Sequence[Person], more: Sequence[Mapping[str, Any]] = ()) -> list[Told]:
        """Add new people. After Unanswered ask `find` before asking again."""
        if not people:
            return []
        drawn = [draw(person, FIELDS, {}, self._region) | self._labelled for person in people]
        wrapped = [{"contactPerson": person} for person in drawn]
        request = self._people.batchCreateContacts(body={"contacts": wrapped, "readMask": PERSON_FIELDS})
        try:
            made = execute(request, self._user).get("createdPeople")
        except Refused as error:
            if len(people) == 1:
                return [Told(do="refused", refused=error.code)]
            return self._in_halves(people)  # one bad entry refuses the others
        entries = [_person_in(answer) for answer in made] if isinstance(made, list) else []
        if len(entries) != len(people) or None in entries:
            raise Unanswered("Google did not say what became of every contact.")
        return [_written(record_of(entry, self._region)) for entry in entries if entry is not None]

    def _in_halves(self, people: Sequence[Person]) -> list[Told]:
        first = self.create(people[: len(people) // 2])
        try:
            return first + self.create(people[len(people) // 2 :])
        except Upstream:  # half of them stand already: whatever it was, all of it is looked for
            raise Unanswered("Google did not take the rest of the contacts.") from None

    def find(self, people: Sequence[Person], since: datetime) -> list[Told | None]:
        """Look for people whose creation nobody answered, among what changed since then; newest first."""
        found: list[Told | None] = [None] * len(people)
        awaited = Awaited(people)
        following: dict[str, str] = {}
        while awaited:
            page = execute(
                self._connections.list(
                    resourceName="people/me",
                    personFields=PERSON_FIELDS,
                    pageSize=PAGE_SIZE,
                    sortOrder="LAST_MODIFIED_DESCENDING",
                    **following,
                ),
                self._user,
            )
            for entry in page.get("connections", ()):
                if (changed := changed_at(entry)) is not None and changed < since - CLOCKS:
                    return found
                record = record_of(entry, self._region)
                if (place := awaited.place_of(record)) is not None:
                    found[place] = _written(record)
            if not page.get("nextPageToken"):
                break
            following = {"pageToken": page["nextPageToken"]}
        return found

    def update(self, changes: Sequence[Change]) -> list[Told]:
        """Write the named fields and no others; whoever was changed meanwhile is answered as they are."""

        def write(ready: Mapping[int, Entry], told: dict[int, Told]) -> None:
            by_mask: dict[str, dict[int, Entry]] = {}
            for at, entry in ready.items():
                by_mask.setdefault(mask_of(changes[at].fields), {})[at] = entry
            for mask, group in by_mask.items():
                self._replace(mask, changes, group, told)

        return self._settle(changes, write)

    def _replace(self, mask: str, changes: Sequence[Change], group: Mapping[int, Entry], told: dict[int, Told]) -> None:
        contacts = {
            entry["resourceName"]: {"etag": entry.get("etag", "")}
            | draw(changes[at].wanted, changes[at].fields, entry, self._region)
            for at, entry in group.items()
        }
        body = {"contacts": contacts, "updateMask": mask, "readMask": PERSON_FIELDS}
        try:
            answer = execute(self._people.batchUpdateContacts(body=body), self._user, repeatable=True)
        except (Stale, NotThere):
            return  # all of them are looked at again
        except Refused as error:
            if len(group) == 1:
                told |= {at: Told(do="refused", remote_id=changes[at].remote_id, refused=error.code) for at in group}
                return
            places = list(group)
            for half in (places[: len(places) // 2], places[len(places) // 2 :]):
                self._replace(mask, changes, {at: group[at] for at in half}, told)
            return
        results = answer.get("updateResult")
        for at, entry in group.items():
            if isinstance(results, dict) and (now := _person_in(results.get(entry["resourceName"]))):
                told[at] = _written(record_of(now, self._region))

    def delete(self, changes: Sequence[Change]) -> list[Told]:
        """Delete contacts that still look as they did."""

        def write(ready: Mapping[int, Entry], told: dict[int, Told]) -> None:
            names = [entry["resourceName"] for entry in ready.values()]
            try:
                execute(self._people.batchDeleteContacts(body={"resourceNames": names}), self._user, repeatable=True)
            except (Stale, NotThere):
                return
            except Refused as error:
                told |= {at: Told(do="refused", remote_id=changes[at].remote_id, refused=error.code) for at in ready}
                return
            told |= {at: Told(do="gone", remote_id=changes[at].remote_id) for at in ready}

        return self._settle(changes, write)

    def _settle(
        self, changes: Sequence[Change], write: Callable[[Mapping[int, Entry], dict[int, Told]], None]
    ) -> list[Told]:
        """Look, write what can be written, and again for what came too late; in the end it is answered as it is."""
        told: dict[int, Told] = {}
        last: dict[int, Record] = {}
        for _ in range(ROUNDS):
            waiting = {at: change for at, change in enumerate(changes) if at not in told}
            ready = self._look(waiting, told)
            last = {at: record_of(entry, self._region) for at, entry in ready.items()}
            if not ready:
                break
            write(ready, told)
        for at, record in last.items():
            told.setdefault(at, Told(do="changed", remote_id=record.remote_id, record=record))
        return [told[at] for at in range(len(changes))]

    def _look(self, waiting: Open, told: dict[int, Told]) -> dict[int, Entry]:
        """Read the contacts as they stand; settle those that need no writing and return the others."""
        ready: dict[int, Entry] = {}
        for places in in_batches(waiting, LOOKED_AT):
            names = [waiting[at].remote_id for at in places]
            answer = execute(self._people.getBatchGet(resourceNames=names, personFields=PERSON_FIELDS), self._user)
            there = {one.get("requestedResourceName"): _person_in(one) for one in answer.get("responses", ())}
            for at in places:
                entry = there.get(waiting[at].remote_id)
                settled = look(waiting[at], record_of(entry, self._region) if entry else None)
                if settled is not None:
                    told[at] = settled
                elif entry is not None:
                    ready[at] = entry
        return ready


def _member(label: str) -> Entry:
    return {"contactGroupMembership": {"contactGroupResourceName": label}}


def _written(record: Record) -> Told:
    return Told(do="written", remote_id=record.remote_id, record=record)


def _person_in(answer: Any) -> Entry | None:
    """The person in one answer of many; None where there is none."""
    person = answer.get("person") if isinstance(answer, dict) else None
    return person if isinstance(person, dict) and person.get("resourceName") else None
