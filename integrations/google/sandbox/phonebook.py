"""Contacts as the People API keeps them: entries in the order they last changed, sync over them, and groups.

The rules of sync are those of the discovery document: a token lives seven days from the full sync, every other
parameter must stay the same, deletions are reported, and a write may take minutes to show.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from . import persons
from .errors import GoogleError, bad, error_info, failed_precondition, not_found
from .knobs import DAY
from .persons import MY_CONTACTS, Person
from .tokens import unb64

SYNC_TOKEN_SECONDS = 7 * DAY
LISTINGS_REMEMBERED = 50
SYSTEM_GROUPS = ("myContacts", "starred", "friends", "family", "coworkers", "blocked", "chatBuddies", "all")
JOINABLE_SYSTEM_GROUPS = frozenset({MY_CONTACTS, "contactGroups/starred"})


@dataclass(slots=True, eq=False)
class Entry:
    """A contact and its place in the order of changes."""

    name: str  # resource name; it may change
    source: dict[str, str]
    person: Person
    made: int
    changed: int
    changed_at: float
    deleted: bool = False
    former_names: list[str] = field(default_factory=list)
    haystack: list[str] | None = None

    @property
    def etag(self) -> str:
        """Tag this state of the contact."""
        return "%EgUBAi43" + base64.b64encode(f"{self.source['id']}:{self.changed}".encode()).decode()

    def draw(self, mask: tuple[str, ...], *, syncing: bool = False) -> Person:
        """Draw what a mask lets through; former names show up in syncs only."""
        drawn: Person = {"resourceName": self.name, "etag": self.etag}
        if "metadata" in mask:
            moment = datetime.fromtimestamp(self.changed_at, UTC).isoformat().replace("+00:00", "Z")
            source = self.source | {"etag": f"#{self.etag[9:]}", "updateTime": moment}
            drawn["metadata"] = {"sources": [source], "objectType": "PERSON"}
            if self.deleted:
                drawn["metadata"]["deleted"] = True
            if syncing and self.former_names:
                drawn["metadata"]["previousResourceNames"] = list(self.former_names)
        if not self.deleted:
            drawn |= {name: self.person[name] for name in mask if name in self.person}
        return drawn

    def matches(self, query: str) -> bool:
        """Tell whether a word of the contact starts the way the query reads."""
        if self.haystack is None:
            self.haystack = persons.searchable(self.person)
        return any(f" {query}" in text for text in self.haystack)


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing somebody is paging through, frozen as it was on its first page."""

    digest: str
    entries: list[Entry]
    horizon: int
    full_at: float
    incremental: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing."""

    entries: list[Entry]
    incremental: bool
    total: int
    next_page: str | None
    next_sync: str | None


class Register:
    """One kind of contact: a user's My Contacts or Other contacts, or an organisation's directory."""

    def __init__(self, prefix: str, source_type: str, now: Callable[[], float]) -> None:
        self._prefix, self._source_type, self._now = prefix, source_type, now
        self._id = secrets.token_hex(4)  # a sync token of another register, or of a stage before, means nothing here
        self._entries: dict[str, Entry] = {}  # least recently changed first
        self._aliases: dict[str, str] = {}
        self._changes: list[float] = []  # when change number n happened
        self._listings: OrderedDict[str, Listing] = OrderedDict()
        self.warmed_at = 0  # the newest change that search has seen

    def __iter__(self) -> Iterator[Entry]:
        return (entry for entry in self._entries.values() if not entry.deleted)

    def __len__(self) -> int:
        return sum(not entry.deleted for entry in self._entries.values())

    def find(self, name: str) -> Entry:
        """Find a contact by its name or a former one."""
        entry = self._entries.get(self._aliases.get(name, name))
        if entry is None or entry.deleted:
            raise not_found()
        return entry

    def create(self, person: Person, name: str = "", source_type: str = "") -> Entry:
        """Add a contact; without memberships it joins My Contacts."""
        number = secrets.randbits(60) | 1 << 60
        source = {"type": source_type or self._source_type, "id": f"{number:x}"}
        if self._source_type == "CONTACT" and not person.get("memberships"):
            person = person | {"memberships": [{"contactGroupMembership": {"contactGroupResourceName": MY_CONTACTS}}]}
        entry = Entry(name or f"{self._prefix}{number}", source, persons.complete(person, source), 0, 0, 0.0)
        self._touch(entry)
        entry.made = entry.changed
        return entry

    def replace(self, entry: Entry, mask: tuple[str, ...], person: Person) -> None:
        """Replace the fields of a mask; a field the person lacks is cleared."""
        new = persons.complete(person, entry.source, mask)
        entry.person = {name: values for name, values in entry.person.items() if name not in mask} | new
        self._touch(entry)

    def check_etag(self, entry: Entry, person: Person) -> None:
        """Refuse a write that was not made on the contact's present state."""
        sources = person.get("metadata", {}).get("sources", [])
        tags = {person.get("etag")} | {source.get("etag") for source in sources if isinstance(source, dict)}
        tags.discard(None)
        if not tags:
            raise bad(
                "Request must set person.etag or person.metadata.sources.etag for the source that is being updated."
            )
        if not tags & {entry.etag, f"#{entry.etag[9:]}"}:
            raise failed_precondition(
                "Request person.etag is different than the current person.etag. "
                "Clear local cache and get the latest person."
            )

    def delete(self, entry: Entry) -> None:
        """Delete a contact, leaving what a sync will report."""
        entry.deleted, entry.person = True, {}
        self._touch(entry)

    def rename(self, entry: Entry) -> str:
        """Give a contact another resource name, as linking it with a profile does."""
        del self._entries[entry.name]
        entry.former_names.append(entry.name)
        entry.name = f"{self._prefix}{secrets.randbits(60) | 1 << 60}"
        self._aliases |= dict.fromkeys(entry.former_names, entry.name)
        self._touch(entry)
        return entry.name

    def warm(self) -> None:
        """Let search see everything there is now."""
        self.warmed_at = len(self._changes)

    def page(
        self,
        parameters: dict[str, Any],
        *,
        size: int,
        page_token: str,
        sync_token: str,
        wants_sync: bool,
        lag: float,
        expired_as: Literal["400", "410"],
        keep: Callable[[Entry], bool] = lambda _: True,
    ) -> Page:
        """Serve a page of a full or an incremental listing.

        `parameters` are those that must not change; `keep` says who is listed at all.
        """
        digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]
        start = 0
        if page_token:
            key, _, position = page_token.partition(".")
            found = self._listings.get(key)
            if found is None or not position.isdigit():
                raise bad("Invalid page token.")
            if found.digest != digest:
                raise bad("Page token was issued for different request parameters.")
            listing, start = found, int(position)
        else:
            listing = self._list(digest, sync_token, str(parameters.get("sortOrder", "")), lag, expired_as)
            listing = replace(listing, entries=[entry for entry in listing.entries if keep(entry)])
            key = secrets.token_urlsafe(24)
        end = start + size
        more = end < len(listing.entries)
        if more:
            self._listings[key] = listing
            while len(self._listings) > LISTINGS_REMEMBERED:
                self._listings.popitem(last=False)
        shown = [entry for entry in listing.entries[start:end] if listing.incremental or not entry.deleted]
        return Page(
            shown,
            listing.incremental,
            len(listing.entries),
            f"{key}.{end}" if more else None,
            self._write_token(listing) if wants_sync and not more else None,
        )

    def _list(self, digest: str, sync_token: str, order: str, lag: float, expired_as: str) -> Listing:
        now = self._now()
        horizon = bisect_right(self._changes, now - lag) if lag else len(self._changes)
        if sync_token:
            since, full_at = self._read_token(sync_token, digest, expired_as)
            recent = []
            for entry in reversed(self._entries.values()):
                if entry.changed <= since:
                    break
                if entry.changed <= horizon:
                    recent.append(entry)
            return Listing(digest, recent[::-1], max(horizon, since), full_at, True)
        entries = [entry for entry in self if entry.made <= horizon]
        match order:
            case "LAST_MODIFIED_DESCENDING":
                entries.reverse()
            case "FIRST_NAME_ASCENDING":
                entries.sort(key=lambda entry: first_name(entry, "givenName"))
            case "LAST_NAME_ASCENDING":
                entries.sort(key=lambda entry: first_name(entry, "familyName"))
        return Listing(digest, entries, horizon, now, False)

    def _write_token(self, listing: Listing) -> str:
        inside = json.dumps([self._id, listing.digest, listing.horizon, listing.full_at])
        return base64.urlsafe_b64encode(inside.encode()).decode()

    def _read_token(self, token: str, digest: str, expired_as: str) -> tuple[int, float]:
        try:
            register, issued_for, since, full_at = json.loads(unb64(token))
        except ValueError:
            raise bad("Invalid sync token.") from None
        if register != self._id:
            raise bad("Invalid sync token.")
        if issued_for != digest:
            raise bad("Sync token was issued for different request parameters.")
        if self._now() - full_at > SYNC_TOKEN_SECONDS:
            raise expired_sync_token(expired_as)
        return int(since), float(full_at)

    def _touch(self, entry: Entry) -> None:
        now = self._now()
        self._changes.append(now)
        entry.changed, entry.changed_at, entry.haystack = len(self._changes), now, None
        self._entries.pop(entry.name, None)
        self._entries[entry.name] = entry


def first_name(entry: Entry, part: str) -> tuple[str, str]:
    """Give what a listing by names sorts by."""
    names = entry.person.get("names") or [{}]
    return str(names[0].get(part, "")).casefold(), entry.name


def expired_sync_token(expired_as: str) -> GoogleError:
    """Say that a full sync is due: live traffic answers 400 with ErrorInfo, older documents and samples say 410."""
    message = "Sync token is expired. Clear local cache and retry call without the sync token."
    if expired_as == "410":
        return GoogleError(410, message, "expiredSyncToken")
    detail = error_info("EXPIRED_SYNC_TOKEN", "people.googleapis.com")
    return GoogleError(400, message, "badRequest", details=[detail])


class Groups:
    """A user's contact groups."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}  # resource name -> name

    def create(self, name: str) -> str:
        """Make a group of a name nobody else has."""
        if not name:
            raise bad("Contact group name is required.")
        if name.lower() in {other.lower() for other in (*self.made.values(), *SYSTEM_GROUPS)}:
            raise GoogleError(409, "Contact group name already exists.", "alreadyExists")
        resource = f"contactGroups/{secrets.token_hex(8)}"
        self.made[resource] = name
        return resource

    def check_joinable(self, names: list[str]) -> None:
        """Refuse memberships in groups that do not exist or that Google alone fills."""
        for name in names:
            if name not in self.made and name not in JOINABLE_SYSTEM_GROUPS:
                raise bad(f"Cannot add a contact to the contact group {name}.")

    def draw(self, resource: str, members: int) -> dict[str, Any]:
        """Draw a group as lists do."""
        name = self.made.get(resource, resource.partition("/")[2])
        kind = "USER_CONTACT_GROUP" if resource in self.made else "SYSTEM_CONTACT_GROUP"
        etag = base64.b64encode(f"{resource}:{name}".encode()).decode()[:16]
        shown = {"resourceName": resource, "etag": etag, "groupType": kind, "name": name, "formattedName": name}
        return shown | ({"memberCount": members} if members else {})

    def names(self) -> list[str]:
        """List every group, Google's own first."""
        return [*(f"contactGroups/{name}" for name in SYSTEM_GROUPS), *self.made]
