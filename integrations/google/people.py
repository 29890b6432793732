"""A user's Google contacts, read completely once and by what changed from then on.

Google names the position only on the last page and forgets it seven days after the full read; what then follows,
reading everything and comparing, is the caller's decision (CursorLost). Nothing is written here: `writing` does that.
https://developers.google.com/people/v1/contacts
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from domain import phone
from domain.contact import Gone, Line, Person, Record
from domain.errors import Refused, TryLater
from domain.ports import CursorLost, Reading
from integrations.google.discovery import leaf
from integrations.google.transport import UserHttp, execute

MODULE = "contacts"
PAGE_SIZE = 1000  # the most Google gives
PERSON_FIELDS = "names,phoneNumbers,emailAddresses,organizations,metadata"  # a deletion is told in metadata
LABELS = "memberships(contactGroupMembership(contactGroupResourceName))"
FIELDS = (
    "nextPageToken,nextSyncToken,connections(resourceName,etag,"
    "metadata(deleted,previousResourceNames,sources(updateTime)),"
    "names(metadata(primary),displayName,givenName,middleName,familyName),"
    "phoneNumbers(value,canonicalForm,type,formattedType),emailAddresses(value),"
    "organizations(metadata(primary),name,title))"
)


class GoogleAddressBook:
    """The contacts of one Google user; `only`: those with one of these labels."""

    def __init__(self, user: UserHttp, root: str = "", region: str = "US", only: Collection[str] = ()) -> None:
        self._user = user
        self._connections = leaf(root, "people", "v1", "people.connections")
        self._groups = leaf(root, "people", "v1", "contactGroups")
        self._region = region  # where numbers without a country code are dialled from
        self._only = frozenset(only)

    def labels(self) -> dict[str, str]:
        """The labels the user gave, by Google's name for each."""
        found: dict[str, str] = {}
        following: dict[str, str] = {}
        while True:
            page = execute(self._groups.list(pageSize=PAGE_SIZE, **following), self._user)
            for group in page.get("contactGroups", ()):
                if group.get("groupType") == "USER_CONTACT_GROUP":
                    found[group["resourceName"]] = str(group.get("name", ""))
            if not page.get("nextPageToken"):
                return found
            following = {"pageToken": page["nextPageToken"]}

    def read(self, cursor: str) -> Reading:
        """Read since `cursor`, or everything when it is empty. Raises CursorLost before the first item."""
        first = self._page(cursor)
        reading = Reading(items=iter(()), complete=not cursor)
        reading.items = self._items(reading, cursor, first)
        return reading

    def _items(self, reading: Reading, cursor: str, page: Mapping[str, Any]) -> Iterator[Record | Gone]:
        again = False
        while True:
            for entry in page.get("connections", ()):
                yield from understood(entry, self._region, self._only)
            following = page.get("nextPageToken")
            if not following:
                break
            try:
                page = self._page(cursor, following)
            except (CursorLost, Refused):  # the page token died on the way: once more from the top, telling some twice
                if again:
                    raise TryLater("Google loses its place in these contacts.") from None
                again = True
                page = self._page(cursor)
        reading.cursor = page.get("nextSyncToken", "")

    def _page(self, cursor: str, following: str = "") -> dict[str, Any]:
        """Read one page. Apart from the tokens every page must be asked for in the same words."""
        tokens = {key: value for key, value in (("syncToken", cursor), ("pageToken", following)) if value}
        request = self._connections.list(
            resourceName="people/me",
            personFields=f"{PERSON_FIELDS},memberships" if self._only else PERSON_FIELDS,
            pageSize=PAGE_SIZE,
            requestSyncToken=True,
            fields=FIELDS.replace("connections(", f"connections({LABELS},") if self._only else FIELDS,
            **tokens,
        )
        return execute(request, self._user)


def understood(entry: Mapping[str, Any], region: str, only: Collection[str] = ()) -> Iterator[Record | Gone]:
    """Say what one entry means. A contact that joined a profile has a new name; its old ones are gone.

    One without any of the labels in `only` takes no part, and nothing more is said of it.
    """
    name, metadata = entry["resourceName"], entry.get("metadata", {})
    for previous in metadata.get("previousResourceNames", ()):
        if previous != name:
            yield Gone(module=MODULE, remote_id=previous)
    if metadata.get("deleted"):
        yield Gone(module=MODULE, remote_id=name)
    elif only and not _labels(entry) & set(only):
        yield Gone(module=MODULE, remote_id=name, apart=True)
    else:
        yield record_of(entry, region)


def _labels(entry: Mapping[str, Any]) -> set[str]:
    groups = (one.get("contactGroupMembership", {}) for one in entry.get("memberships", ()))
    return {str(group.get("contactGroupResourceName", "")) for group in groups}


def record_of(entry: Mapping[str, Any], region: str) -> Record:
    """Understand one contact."""
    name = entry["resourceName"]
    before = entry.get("metadata", {}).get("previousResourceNames", ())
    return Record(
        module=MODULE,
        remote_id=name,
        person=_person(entry, region),
        etag=entry.get("etag", ""),
        formerly=tuple(former for former in before if former != name),
        changed_at=changed_at(entry),
    )


def changed_at(entry: Mapping[str, Any]) -> datetime | None:
    """When a contact last changed, by Google's clock."""
    for source in entry.get("metadata", {}).get("sources", ()):
        try:
            return datetime.fromisoformat(str(source.get("updateTime", ""))).astimezone(UTC)
        except ValueError:
            continue
    return None


def _person(entry: Mapping[str, Any], region: str) -> Person:
    name = primary(entry.get("names", ()))
    given = " ".join(filter(None, (name.get("givenName", ""), name.get("middleName", ""))))
    family = name.get("familyName", "")
    work = primary(entry.get("organizations", ()))
    return Person(
        given=given,
        family=family or ("" if given else name.get("displayName", "")),  # a name nobody took apart
        company=work.get("name", ""),
        title=work.get("title", ""),
        lines=tuple(line_of(number, region) for number in entry.get("phoneNumbers", ()) if number.get("value")),
        emails=tuple(email["value"] for email in entry.get("emailAddresses", ()) if email.get("value")),
    )


def line_of(number: Mapping[str, str], region: str) -> Line:
    """Read one number. Google's canonical form knows the user's own country, so it wins over our guess."""
    line = Line.read(number["value"], number.get("type") or number.get("formattedType", ""), region)
    said = number.get("canonicalForm", "")
    canonical = said if said == line.e164 else phone.read(said, region).e164  # reading is dear, and mostly they agree
    return replace(line, e164=canonical) if canonical != line.e164 and canonical else line


def primary(values: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The value Google shows first."""
    return next((value for value in values if value.get("metadata", {}).get("primary")), values[0] if values else {})
