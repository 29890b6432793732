"""The People API v1 as the product uses it: reading, syncing, searching and writing contacts, and their groups.

Writes of a batch are all or nothing here: the first bad one refuses the rest, before anything is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from . import persons, scopes
from .api import Api, Call, Json
from .errors import GoogleError, bad, failed_precondition, not_found
from .persons import OTHER_READABLE, READABLE, WRITABLE, Person, read_mask
from .phonebook import Entry, Register
from .world import User, World

SERVICE = "people.googleapis.com"
LISTED, MOST_LISTED = 100, 1_000
FOUND, MOST_FOUND = 10, 30
MOST_WRITTEN, MOST_DELETED, MOST_READ = 200, 500, 200
SORT_ORDERS = frozenset(
    {"", "LAST_MODIFIED_ASCENDING", "LAST_MODIFIED_DESCENDING", "FIRST_NAME_ASCENDING", "LAST_NAME_ASCENDING"}
)
OTHER_SOURCES = frozenset({"READ_SOURCE_TYPE_CONTACT", "READ_SOURCE_TYPE_PROFILE"})
DIRECTORY_SOURCES = frozenset({"DIRECTORY_SOURCE_TYPE_DOMAIN_CONTACT", "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE"})
EVERYTHING = tuple(sorted(READABLE))
STABLE = ("pageSize", "sortOrder", "requestSyncToken")  # besides the mask and the sources


def install(app: Flask, world: World) -> None:
    """Open every method."""
    api = Api(app, world, SERVICE, "/v1")
    install_reading(api)
    install_listing(api)
    install_writing(api)
    install_batches(api)
    install_groups(api)


def install_reading(api: Api) -> None:
    """Open reading by name and by search."""

    @api.method("GET", "/people/<person_id>", scopes.READ_PERSON, critical=True)
    def get_person(call: Call, person_id: str) -> Json:
        return read(call, f"people/{person_id}", person_fields(call))

    @api.method("GET", "/people:batchGet", scopes.READ_PERSON, critical=True)
    def get_many(call: Call) -> Json:
        mask, names = person_fields(call), call.texts("resourceNames")
        if not 1 <= len(names) <= MOST_READ:
            raise bad(f"Request must specify between 1 and {MOST_READ} resource names.")
        return {"responses": [response(call, name, mask) for name in names]}

    @api.method("GET", "/people:searchContacts", scopes.READ_CONTACTS, critical=True)
    def search_contacts(call: Call) -> Json:
        mask, query = read_mask(call.text("readMask"), "readMask"), call.text("query").strip().lower()
        contacts = call.user.contacts
        if not query:
            contacts.warm()  # what the warm-up request is for
            return {}
        size = call.number("pageSize", FOUND, MOST_FOUND)
        fresh = call.world.knobs.contact_search == "fresh"
        seen = (entry for entry in contacts if fresh or entry.changed <= contacts.warmed_at)
        found = [entry for entry in seen if entry.matches(query)][:size]
        return {"results": [{"person": entry.draw(mask)} for entry in found]} if found else {}


def install_listing(api: Api) -> None:
    """Open the listings that can be synced."""

    @api.method("GET", "/people/me/connections", scopes.READ_CONTACTS, critical=True)
    def list_connections(call: Call) -> Json:
        if call.text("sortOrder") not in SORT_ORDERS:
            raise bad(f"Invalid value at 'sort_order': \"{call.text('sortOrder')}\"")
        return list_register(
            call, call.user.contacts, person_fields(call), "connections", ("totalItems", "totalPeople")
        )

    @api.method("GET", "/people/<person_id>/connections", scopes.READ_CONTACTS)
    def list_strangers_connections(call: Call, person_id: str) -> Json:
        raise bad(f"Invalid resource name people/{person_id}: only people/me is valid.")

    @api.method("GET", "/otherContacts", scopes.READ_OTHERS, critical=True)
    def list_others(call: Call) -> Json:
        sources = set(call.texts("sources")) or {"READ_SOURCE_TYPE_CONTACT"}
        if "READ_SOURCE_TYPE_CONTACT" not in sources or not sources <= OTHER_SOURCES:
            raise bad("Invalid sources: READ_SOURCE_TYPE_CONTACT is required.")
        readable = READABLE if len(sources) > 1 else OTHER_READABLE
        mask = read_mask(call.text("readMask"), "readMask", readable)
        return list_register(call, call.user.others, mask, "otherContacts", ("totalSize",))

    @api.method("GET", "/people:listDirectoryPeople", scopes.READ_DIRECTORY, critical=True)
    def list_directory(call: Call) -> Json:
        mask = read_mask(call.text("readMask"), "readMask")
        sources = set(call.texts("sources"))
        if not sources or not sources <= DIRECTORY_SOURCES:
            raise bad("At least one valid directory source must be specified in sources.")
        if not call.user.hd:
            raise failed_precondition("Must be a G Suite domain user.")
        asked = {one.removeprefix("DIRECTORY_SOURCE_TYPE_") for one in sources}
        tells = call.world.knobs.directory_deletions == "told"
        return list_register(
            call,
            call.world.directories[call.user.hd],
            mask,
            "people",
            (),
            charged=False,
            keep=lambda entry: entry.source["type"] in asked and (tells or not entry.deleted),
        )


def install_writing(api: Api) -> None:
    """Open writing one contact at a time."""

    @api.method("POST", "/people:createContact", scopes.WRITE_CONTACTS)
    def create_contact(call: Call) -> Json:
        mask = optional_mask(call.text("personFields"))
        person = storable(call.user, call.body())
        return call.user.contacts.create(person).draw(mask)

    @api.method("PATCH", "/people/<person_id>:updateContact", scopes.WRITE_CONTACTS, critical=True)
    def update_contact(call: Call, person_id: str) -> Json:
        fields = read_mask(call.text("updatePersonFields"), "updatePersonFields", WRITABLE)
        mask, contacts = optional_mask(call.text("personFields")), call.user.contacts
        entry = contact(call, f"people/{person_id}")
        person = replaceable(call.user, entry, fields, call.body())
        contacts.replace(entry, fields, person)
        return entry.draw(mask)

    @api.method("DELETE", "/people/<person_id>:deleteContact", scopes.WRITE_CONTACTS)
    def delete_contact(call: Call, person_id: str) -> Json:
        call.user.contacts.delete(contact(call, f"people/{person_id}"))
        return {}


def install_batches(api: Api) -> None:
    """Open writing many contacts at once."""

    @api.method("POST", "/people:batchCreateContacts", scopes.WRITE_CONTACTS)
    def batch_create(call: Call) -> Json:
        body = call.body()
        contacts, mask = body.get("contacts") or [], silent_mask(body)
        check_count(len(contacts), MOST_WRITTEN)
        people = [storable(call.user, wrapped.get("contactPerson")) for wrapped in contacts]
        made = [call.user.contacts.create(person) for person in people]
        return {"createdPeople": [written(entry, mask) for entry in made]} if mask else {}

    @api.method("POST", "/people:batchUpdateContacts", scopes.WRITE_CONTACTS, critical=True)
    def batch_update(call: Call) -> Json:
        body = call.body()
        contacts, mask = body.get("contacts") or {}, silent_mask(body)
        check_count(len(contacts), MOST_WRITTEN)
        fields = read_mask(str(body.get("updateMask") or ""), "updateMask", WRITABLE)
        entries = {name: contact(call, name) for name in contacts}
        people = {name: replaceable(call.user, entries[name], fields, contacts[name]) for name in contacts}
        for name, person in people.items():
            call.user.contacts.replace(entries[name], fields, person)
        return {"updateResult": {name: written(entry, mask) for name, entry in entries.items()}} if mask else {}

    @api.method("POST", "/people:batchDeleteContacts", scopes.WRITE_CONTACTS)
    def batch_delete(call: Call) -> Json:
        names = list(dict.fromkeys(call.body().get("resourceNames") or []))
        check_count(len(names), MOST_DELETED)
        for entry in [contact(call, name) for name in names]:
            call.user.contacts.delete(entry)
        return {}


def install_groups(api: Api) -> None:
    """Open contact groups."""

    @api.method("GET", "/contactGroups", scopes.READ_CONTACTS)
    def list_groups(call: Call) -> Json:
        groups, members = call.user.groups, count_members(call.user)
        names, start, size = (
            groups.names(),
            call.number("pageToken", 0, 10**9),
            call.number("pageSize", 30, MOST_LISTED),
        )
        shown = [groups.draw(name, members.get(name, 0)) for name in names[start : start + size]]
        more = {"nextPageToken": str(start + size)} if start + size < len(names) else {}
        return {"contactGroups": shown, "totalItems": len(names)} | more

    @api.method("POST", "/contactGroups", scopes.WRITE_CONTACTS)
    def create_group(call: Call) -> Json:
        name = str((call.body().get("contactGroup") or {}).get("name", "")).strip()
        return call.user.groups.draw(call.user.groups.create(name), 0)


def person_fields(call: Call) -> tuple[str, ...]:
    """Read the mask of a reading method, by its present or its older name."""
    return read_mask(call.text("personFields") or call.text("requestMask.includeField"), "personFields")


def optional_mask(text: str) -> tuple[str, ...]:
    """Read a mask that means everything when it is left out."""
    return read_mask(text, "personFields") if text else EVERYTHING


def silent_mask(body: Json) -> tuple[str, ...]:
    """Read a batch's mask; an empty one skips reading back."""
    text = str(body.get("readMask") or "")
    return read_mask(text, "readMask") if text else ()


def check_count(count: int, most: int) -> None:
    """Hold a batch to its limit."""
    if not 1 <= count <= most:
        raise bad(f"Request must contain between 1 and {most} contacts, it contains {count}.")


def contact(call: Call, name: str) -> Entry:
    """Find a contact of the caller that can be written to."""
    if name == "people/me":
        raise bad("people/me is not a contact.")
    return call.user.contacts.find(name)


def storable(user: User, person: Any) -> Person:
    """Check a new contact."""
    checked = persons.check(person)
    user.groups.check_joinable(persons.groups_of(checked))
    return checked


def replaceable(user: User, entry: Entry, fields: tuple[str, ...], person: Any) -> Person:
    """Check new values for a contact, and that they were made from its present state."""
    checked = persons.check(person)
    user.contacts.check_etag(entry, checked)
    if "memberships" in fields:
        groups = persons.groups_of(checked)
        if not groups:
            raise bad("A contact must have at least one contact group membership.")
        user.groups.check_joinable([name for name in groups if name not in persons.groups_of(entry.person)])
    return checked


def written(entry: Entry, mask: tuple[str, ...]) -> Json:
    """Report one write of a batch."""
    return {"httpStatusCode": 200, "person": entry.draw(mask), "requestedResourceName": entry.name}


def read(call: Call, name: str, mask: tuple[str, ...]) -> Person:
    """Read the caller's own profile or one of their contacts, as far as the scopes reach."""
    if name == "people/me":
        return profile(call.user, mask)
    if scopes.READ_CONTACTS.isdisjoint(call.scopes):
        raise GoogleError(403, "Request requires one of the following scopes: [contacts, contacts.readonly].")
    return call.user.contacts.find(name).draw(mask)


def response(call: Call, name: str, mask: tuple[str, ...]) -> Json:
    """Read one of many; a missing one does not fail the others."""
    try:
        return {"httpStatusCode": 200, "person": read(call, name, mask), "requestedResourceName": name, "status": {}}
    except GoogleError as error:
        if error.code != not_found().code:
            raise
        status = {"code": 5, "message": str(error)}  # google.rpc.Code.NOT_FOUND
        return {"httpStatusCode": error.code, "requestedResourceName": name, "status": status}


def profile(user: User, mask: tuple[str, ...]) -> Person:
    """Draw an account as a person."""
    given, _, family = user.name.partition(" ")
    source = {"type": "PROFILE", "id": user.sub}
    known = {
        "names": [{"displayName": user.name, "givenName": given, "familyName": family}],
        "emailAddresses": [{"value": user.email}],
        "metadata": {"sources": [source], "objectType": "PERSON"},
    }
    tag = f"%EgUBAi43{user.sub}"
    return {"resourceName": f"people/{user.sub}", "etag": tag} | {name: known[name] for name in mask if name in known}


def list_register(
    call: Call,
    register: Register,
    mask: tuple[str, ...],
    name: str,
    totals: tuple[str, ...],
    *,
    charged: bool = True,
    keep: Callable[[Entry], bool] = lambda _: True,
) -> Json:
    """Serve one page of a listing or of the changes since a sync token.

    `charged`: a full sync has a quota of its own; `keep`: who is listed at all.
    """
    knobs, world = call.world.knobs, call.world
    page_token, sync_token, wants_sync = call.text("pageToken"), call.text("syncToken"), call.flag("requestSyncToken")
    if charged and not page_token and not sync_token:
        world.quotas.charge_full_sync(call.project, call.user.email, world.now())
    page = register.page(
        {"mask": sorted(mask), "sources": sorted(call.texts("sources"))} | {name: call.text(name) for name in STABLE},
        size=call.number("pageSize", LISTED, MOST_LISTED),
        page_token=page_token,
        sync_token=sync_token,
        wants_sync=wants_sync,
        lag=knobs.contact_lag_seconds if wants_sync or sync_token else 0,
        expired_as=knobs.expired_sync_token,
        keep=keep,
    )
    answer: Json = {}
    if page.entries:
        answer[name] = [entry.draw(mask, syncing=page.incremental) for entry in page.entries]
    if page.next_page:
        answer["nextPageToken"] = page.next_page
    if page.next_sync:
        answer["nextSyncToken"] = page.next_sync
    if not page.incremental:
        answer |= dict.fromkeys(totals, page.total)
    return answer


def count_members(user: User) -> dict[str, int]:
    """Count who is in which group."""
    counts: dict[str, int] = {}
    for entry in user.contacts:
        for group in persons.groups_of(entry.person):
            counts[group] = counts.get(group, 0) + 1
    return counts
