"""Whom Google knows beside a user's contacts: other contacts, which Gmail collects by itself, and the directory.

Both can only be read. Taken over is who has a number, with name, job and numbers: that is what a caller is known by.
Addresses are not asked for, so that nobody's mail is looked at because they work in the same company.
https://developers.google.com/people/v1/other-contacts and .../directory
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from domain.besides import DIRECTORY, OTHERS, Source
from domain.contact import Gone, Record
from domain.errors import Refused
from domain.ports import Reading
from integrations.google.discovery import leaf
from integrations.google.people import record_of
from integrations.google.remedy import Stale
from integrations.google.synced import Entry, Listing
from integrations.google.transport import UserHttp

PERSON = (
    "resourceName,etag,metadata(deleted,sources(updateTime)),"
    "names(metadata(primary),displayName,givenName,middleName,familyName),"
    "phoneNumbers(value,canonicalForm,type,formattedType)"
)
JOB = "organizations(metadata(primary),name,title)"  # other contacts have none: their mask refuses it
# Both kinds, those of people who work there and those an administrator shared; a user's own contacts are not merged in.
DIRECTORY_SOURCES = ("DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE", "DIRECTORY_SOURCE_TYPE_DOMAIN_CONTACT")


class NoDirectory(Refused):
    """The account belongs to no Workspace organisation, so there is no directory to read."""

    code = "google.no_directory"


class GoogleBeside:
    """One of the two listings of a Google user."""

    def __init__(self, user: UserHttp, source: Source, root: str = "", region: str = "US") -> None:
        self._source = source
        self._region = region
        holds, ask = ASKED[source](root)
        self._listing = Listing(user, ask, holds, self._understood)

    def read(self, cursor: str) -> Reading:
        """Read since `cursor`, or everything when it is empty. Raises CursorLost before the first item, NoDirectory."""
        try:
            return self._listing.read(cursor)
        except Stale as error:  # 400 FAILED_PRECONDITION, "Must be a G Suite domain user."
            if self._source is DIRECTORY:
                raise NoDirectory("This Google account belongs to no Workspace organisation.") from error
            raise

    def _understood(self, entry: Entry) -> Iterator[Record | Gone]:
        name, module = entry["resourceName"], self._source.module
        if entry.get("metadata", {}).get("deleted"):
            yield Gone(module=module, remote_id=name)
        elif any(number.get("value") for number in entry.get("phoneNumbers", ())):
            yield record_of(entry, self._region, module)
        else:  # nobody can call from no number, so we have no purpose for them
            yield Gone(module=module, remote_id=name, apart=True)


def _others(root: str) -> tuple[str, Any]:
    holds = "otherContacts"
    fields = f"nextPageToken,nextSyncToken,{holds}({PERSON})"
    method = leaf(root, "people", "v1", "otherContacts").list
    return holds, partial(method, readMask="names,phoneNumbers,metadata", fields=fields)


def _directory(root: str) -> tuple[str, Any]:
    holds = "people"
    fields = f"nextPageToken,nextSyncToken,{holds}({PERSON},{JOB})"
    method = leaf(root, "people", "v1", "people").listDirectoryPeople
    mask = "names,phoneNumbers,organizations,metadata"
    return holds, partial(method, readMask=mask, sources=list(DIRECTORY_SOURCES), fields=fields)


ASKED = {OTHERS: _others, DIRECTORY: _directory}
