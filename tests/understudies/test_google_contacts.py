"""The Google understudy's contacts: sync tokens, writes and their limits, search, groups and other lists."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from .google_cast import (
    ALICE,
    AUTH,
    CAROL,
    CONTACTS,
    DAY,
    MINUTE,
    Json,
    Stage,
    reason,
)


@pytest.fixture
def stage() -> Stage:
    """Set the stage."""
    return Stage()


def connections(stage: Stage, bearer: dict[str, str], **query: Any) -> TestResponse:
    """List Alice's contacts."""
    query = {"personFields": "names,phoneNumbers,metadata", "requestSyncToken": "true"} | query
    return stage.client.get("/v1/people/me/connections", query_string=query, headers=bearer)


def test_contacts_sync_page_by_page_and_change_by_change(stage: Stage) -> None:
    """A full listing ends with a token; the token brings edits, deletions and new names, and nothing else."""
    bearer, names = stage.bearer(CONTACTS), stage.contacts(CAROL, CAROL, CAROL, CAROL)
    first = connections(stage, bearer, pageSize=3).get_json()
    last = connections(stage, bearer, pageSize=3, pageToken=first["nextPageToken"]).get_json()
    assert names == [person["resourceName"] for page in (first, last) for person in page["connections"]]
    assert "nextSyncToken" not in first
    assert first["connections"][0]["phoneNumbers"][0]["canonicalForm"] == "+34600111222"

    stage.act("contacts/edit", {"user": ALICE, "resourceName": names[0], "person": {"names": [{"givenName": "Cara"}]}})
    stage.act("contacts/delete", {"user": ALICE, "resourceName": names[1]})
    renamed = stage.act("contacts/rename", {"user": ALICE, "resourceName": names[2]})["resourceName"]
    changes = connections(stage, bearer, pageSize=3, syncToken=last["nextSyncToken"]).get_json()
    after = connections(stage, bearer, pageSize=3, syncToken=changes["nextSyncToken"]).get_json()

    edited, deleted, moved = changes["connections"]
    assert (names[0], "Cara") == (edited["resourceName"], edited["names"][0]["displayName"])
    assert (names[1], True) == (deleted["resourceName"], deleted["metadata"]["deleted"])
    assert (renamed, [names[2]]) == (moved["resourceName"], moved["metadata"]["previousResourceNames"])
    assert {"nextSyncToken"} == after.keys()
    assert connections(stage, bearer, pageSize=4, syncToken=changes["nextSyncToken"]).status_code == 400
    assert connections(stage, bearer, personFields="").status_code == 400
    assert connections(stage, bearer, personFields="phones").status_code == 400


def test_a_sync_token_lives_seven_days_from_the_full_sync(stage: Stage) -> None:
    """An incremental sync does not prolong it; the end is 400 with ErrorInfo, or 410 by knob."""
    token = connections(stage, stage.bearer(CONTACTS)).get_json()["nextSyncToken"]
    stage.advance(7 * DAY - MINUTE)
    bearer = stage.bearer(CONTACTS)
    newer = connections(stage, bearer, syncToken=token).get_json()["nextSyncToken"]
    stage.advance(2 * MINUTE)

    expired = connections(stage, bearer, syncToken=newer)
    stage.act("knobs", {"expired_sync_token": "410"})
    gone = connections(stage, bearer, syncToken=newer)

    assert expired.status_code == 400
    assert expired.get_json()["error"]["details"][0]["reason"] == "EXPIRED_SYNC_TOKEN"
    assert gone.status_code == 410


def test_writes_take_their_time_to_reach_a_sync(stage: Stage) -> None:
    """With a propagation delay a new contact is missing from the sync right after, and in the one minutes later."""
    stage.act("knobs", {"contact_lag_seconds": 180})
    bearer = stage.bearer(CONTACTS)
    token = connections(stage, bearer).get_json()["nextSyncToken"]
    names = stage.contacts(CAROL)

    early = connections(stage, bearer, syncToken=token).get_json()
    stage.advance(181)
    late = connections(stage, bearer, syncToken=early["nextSyncToken"]).get_json()

    assert "connections" not in early
    assert names == [person["resourceName"] for person in late["connections"]]


def test_contact_writes_are_checked(stage: Stage) -> None:
    """A stale etag, two names, unknown fields and no group are refused; a good update replaces the masked fields."""
    bearer = stage.bearer(CONTACTS)
    made = stage.client.post("/v1/people:createContact", json=CAROL, headers=bearer).get_json()
    path = f"/v1/{made['resourceName']}:updateContact"

    def update(person: Json, mask: str = "phoneNumbers") -> TestResponse:
        return stage.client.patch(f"{path}?updatePersonFields={mask}", json=person, headers=bearer)

    good = update({"etag": made["etag"], "phoneNumbers": [], "names": []})
    refused = [
        update({"etag": made["etag"]}),
        update({}),
        update({"etag": good.get_json()["etag"], "memberships": []}, "memberships"),
        stage.client.post("/v1/people:createContact", json={"names": [{}, {}]}, headers=bearer),
        stage.client.post("/v1/people:createContact", json={"phones": []}, headers=bearer),
    ]
    assert "phoneNumbers" not in good.get_json()
    assert good.get_json()["names"][0]["displayName"] == "Carol Diaz"
    assert made["memberships"][0]["contactGroupMembership"]["contactGroupResourceName"] == "contactGroups/myContacts"
    assert [answer.status_code for answer in refused] == [400] * 5
    assert reason(refused[0]) == (400, "failedPrecondition")


def test_batches_of_contacts_hold_their_limits(stage: Stage) -> None:
    """200 are created or updated and 500 deleted at once, not one more; one bad entry refuses them all."""
    bearer = stage.bearer(CONTACTS)

    def post(method: str, body: Json) -> TestResponse:
        return stage.client.post(f"/v1/people:{method}", json=body, headers=bearer)

    wrapped = {"contactPerson": CAROL}
    created = [post("batchCreateContacts", {"contacts": [wrapped] * 200, "readMask": "names"}) for _ in range(3)]
    too_many = post("batchCreateContacts", {"contacts": [wrapped] * 201})
    people = [one["person"] for answer in created for one in answer.get_json()["createdPeople"]]
    fresh = {one["resourceName"]: CAROL | {"etag": one["etag"]} for one in people[:2]}
    stale = fresh | {people[2]["resourceName"]: CAROL | {"etag": "old"}}
    spoiled = post("batchUpdateContacts", {"contacts": stale, "updateMask": "names"})
    updated = post("batchUpdateContacts", {"contacts": fresh, "updateMask": "names"})
    names = [one["resourceName"] for one in people]
    deleted = [post("batchDeleteContacts", {"resourceNames": names[:count]}).status_code for count in (501, 500)]

    assert (too_many.status_code, spoiled.status_code) == (400, 400)
    assert updated.get_json() == {}
    assert deleted == [400, 200]
    assert len(stage.look(f"contacts?user={ALICE}")["contacts"]) == 100


def test_search_sees_what_there_was_when_it_was_warmed(stage: Stage) -> None:
    """Before the empty query nothing is found; after it, words match by their beginning."""
    bearer = stage.bearer(CONTACTS)
    stage.contacts(CAROL)

    def search(query: str) -> int:
        path = f"/v1/people:searchContacts?readMask=names&query={query}"
        return len(stage.client.get(path, headers=bearer).get_json().get("results", []))

    cold, _ = search("car"), search("")
    assert (cold, search("car"), search("Carol D"), search("arol")) == (0, 1, 1, 0)


def test_people_quotas_and_other_lists(stage: Stage) -> None:
    """Critical reads and full syncs run out by knob, with ErrorInfo; a group of the same name is refused."""
    stage.act("knobs", {"critical_reads_per_minute": 2, "full_syncs_per_minute": 1})
    bearer = stage.bearer(CONTACTS, AUTH + "contacts.other.readonly", AUTH + "directory.readonly")
    answers = [connections(stage, bearer) for _ in range(3)]
    infos = [answer.get_json()["error"]["details"][0]["metadata"]["quota_metric"] for answer in answers[1:]]
    stage.act("knobs", {"critical_reads_per_minute": 0})
    stage.act("contacts", {"user": ALICE, "contacts": [CAROL], "other": True})

    stage.advance(MINUTE)
    others = stage.client.get("/v1/otherContacts?readMask=names", headers=bearer).get_json()
    directory = stage.client.get(
        "/v1/people:listDirectoryPeople?readMask=names&sources=DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE", headers=bearer
    ).get_json()
    group = {"contactGroup": {"name": "Suppliers"}}
    groups = [stage.client.post("/v1/contactGroups", json=group, headers=bearer).status_code for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert infos == ["people.googleapis.com/full_sync_requests", "people.googleapis.com/critical_read_requests"]
    assert [one["names"][0]["displayName"] for one in others["otherContacts"]] == ["Carol Diaz"]
    assert len(directory["people"]) == 2
    assert groups == [200, 409]
