"""A user's Google contacts, read completely once and by what changed from then on (`synced`), and what an entry means.

Nothing is written here: `writing` does that. https://developers.google.com/people/v1/contacts
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from domain import phone
from domain.besides import BOOK
from domain.contact import Gone, Line, Person, Record
from domain.ports import Reading
from integrations.google.discovery import leaf
from integrations.google.synced import PAGE_SIZE, Listing
from integrations.google.transport import UserHttp, execute

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
    """The contacts of one Google user.

    `only`: those with one of these labels; `region`: where numbers without a country code are dialled from.
    """

    def __init__(self, user: UserHttp, root: str = "", region: str = "US", only: Collection[str] = ()) -> None:
        self._user = user
        only = frozenset(only)
        ask = partial(
            leaf(root, "people", "v1", "people.connections").list,
            resourceName="people/me",
            personFields=f"{PERSON_FIELDS},memberships" if only else PERSON_FIELDS,
            fields=FIELDS.replace("connections(", f"connections({LABELS},") if only else FIELDS,
        )
        self._listing = Listing(user, ask, "connections", partial(understood, region=region, only=only))
        self._groups = leaf(root, "people", "v1", "contactGroups")

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
        return self._listing.read(cursor)


def understood(entry: Mapping[str, Any], region: str, only: Collection[str] = ()) -> Iterator[Record | Gone]:
    """Say what one entry means. A contact that joined a profile has a new name; its old ones are gone.

    One without any of the labels in `only` takes no part, and nothing more is said of it.
    """
    name, metadata = entry["resourceName"], entry.get("metadata", {})
    for previous in metadata.get("previousResourceNames", ()):
        if previous != name:
            yield Gone(module=BOOK, remote_id=previous)
    if metadata.get("deleted"):
        yield Gone(module=BOOK, remote_id=name)
    elif only and not _labels(entry) & set(only):
        yield Gone(module=BOOK, remote_id=name, apart=True)
    else:
        yield record_of(entry, region)


def _labels(entry: Mapping[str, Any]) -> set[str]:
    groups = (one.get("contactGroupMembership", {}) for one in entry.get("memberships", ()))
    return {str(group.get("contactGroupResourceName", "")) for group in groups}


def record_of(entry: Mapping[str, Any], region: str, module: str = BOOK) -> Record:
    """Understand one person."""
    name = entry["resourceName"]
    before = entry.get("metadata", {}).get("previousResourceNames", ())
    return Record(
        module=module,
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
    if said in ("", line.e164):  # mostly they agree, and reading is dear
        return line
    canonical = phone.read(said, region).e164
    return replace(line, e164=canonical) if canonical else line


def primary(values: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The value Google shows first."""
    return next((value for value in values if value.get("metadata", {}).get("primary")), values[0] if values else {})
