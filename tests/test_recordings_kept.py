"""Recordings archived sealed, deleted here and at the vendor, and gone with their time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select, update

from domain.errors import Missing, Refused, TryLater
from domain.recording import Rules
from jobs import log_call, recordings
from jobs.erase import erase
from jobs.export import export_person
from jobs.purge import purge_tenant
from store.database import TenantId
from store.effects import Effect
from store.embedded import Postgres
from store.recordings import CHUNK_BYTES
from store.tables import recording_chunks
from store.vault import Tampered
from tests import recording_office
from tests.recording_office import (
    ANNOUNCED,
    DANA,
    DAY,
    WAV,
    Alice,
    Vendor,
    chunks_of,
    sound_of,
    state_of,
)


@pytest.fixture(scope="module")
def offices(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Callable[[TenantId], Alice]]:
    with recording_office.offices(db_urls, work_url, mail_url) as furnish:
        yield furnish


@pytest.fixture
def alice(offices: Callable[[TenantId], Alice], tenant: TenantId) -> Alice:
    return offices(tenant)


def test_an_archived_recording_outlives_the_vendors(alice: Alice) -> None:
    """Sealed in pieces, played from them, any part across their edges; nothing of it lies open."""
    call = alice.call(seconds=20)
    whole = sound_of(alice, call)
    assert {"archived": 0} == alice.archive()  # nobody chose it
    alice.rule(replace(ANNOUNCED, archive=True))

    assert {"archived": 1} == alice.archive()
    assert {"archived": 0} == alice.archive()

    alice.platform.account.forget_recording(f"{alice.platform.origin}/calls/{alice.made[-1]}/recording")
    path = alice.link(call)
    assert whole == alice.client.get(path).data
    edge = alice.client.get(path, headers={"Range": f"bytes={CHUNK_BYTES - 5}-{CHUNK_BYTES + 4}"})
    assert (206, whole[CHUNK_BYTES - 5 : CHUNK_BYTES + 5]) == (edge.status_code, edge.data)
    with alice.tools.db.tenant(alice.tenant) as database:
        sealed = [bytes(sound) for sound in database.execute(select(recording_chunks.c.sound)).scalars()]
    assert 2 < len(sealed) == -(-len(whole) // CHUNK_BYTES)
    assert [] == [piece for piece in sealed if b"RIFF" in piece or whole[1000:1032] in piece]
    assert "recording.archived" in alice.actions()


def test_a_piece_opens_in_its_own_place_only(alice: Alice) -> None:
    """Swapped within a recording, or taken from another one, it is tampered with, and playing stops there."""
    alice.rule(replace(ANNOUNCED, archive=True))
    first, second = alice.call(seconds=10), alice.call(seconds=10)
    assert {"archived": 2} == alice.archive()
    store = recordings.kept(alice.tools)
    with alice.tools.db.tenant(alice.tenant) as database:
        pieces = database.execute(
            select(recording_chunks).where(recording_chunks.c.recording_id == first).order_by(recording_chunks.c.number)
        ).all()
        strange = database.execute(
            select(recording_chunks.c.sound).where(
                recording_chunks.c.recording_id == second, recording_chunks.c.number == 0
            )
        ).scalar_one()
        for (one, other), number in zip(pairwise([*pieces, pieces[0]]), range(2), strict=False):
            database.execute(
                update(recording_chunks)
                .where(recording_chunks.c.id == one.id)
                .values(sound=other.sound if number else strange)
            )

    for number in range(2):
        with pytest.raises(Tampered):
            store.chunk(alice.tenant, first, number)
    with pytest.raises(Tampered):
        _ = alice.client.get(alice.link(first)).data
    assert 200 == alice.client.get(alice.link(second)).status_code


def test_a_recording_that_is_not_ready_is_tried_again_for_an_hour(alice: Alice) -> None:
    """Vendors answer as if it were gone while they are at work on it."""
    alice.rule(replace(ANNOUNCED, archive=True))
    vendor = Vendor(WAV)
    vendor.trouble = Refused("not yet", code="recording.gone")
    office = alice.through(vendor)
    young, old = alice.call(url="https://p.example/1"), alice.call(url="https://p.example/2", ago=timedelta(hours=1))

    office.archive()
    assert [("there", ""), ("lost", "recording.gone")] == [state_of(alice, young), state_of(alice, old)]

    vendor.trouble = None
    assert {"archived": 1} == office.archive()
    assert "archived" == state_of(alice, young)[0]


def test_an_archive_that_broke_off_begins_again(alice: Alice) -> None:
    """Half a recording is never played as a whole one; what it left is taken away first."""
    alice.rule(replace(ANNOUNCED, archive=True))

    class Breaks(Vendor):
        def _chunks(self) -> Iterator[bytes]:
            yield WAV + bytes(CHUNK_BYTES)
            raise TryLater("broke off")

    call = alice.call(url="https://p.example/1")
    with pytest.raises(TryLater):
        alice.through(Breaks()).archive()
    assert (("there", ""), 1) == (state_of(alice, call), chunks_of(alice))

    assert {"archived": 1} == alice.through(Vendor(WAV)).archive()
    assert 1 == chunks_of(alice)
    assert WAV == alice.client.get(alice.link(call)).data


def test_what_is_deleted_while_it_is_archived_stays_deleted(alice: Alice) -> None:
    alice.rule(replace(ANNOUNCED, archive=True))
    call = alice.call(url="https://p.example/1")

    class Meanwhile(Vendor):
        def _chunks(self) -> Iterator[bytes]:
            yield WAV
            recordings.forget(alice.tools, alice.tenant, call, actor="system")
            yield bytes(CHUNK_BYTES)

    assert {"archived": 0} == alice.through(Meanwhile()).archive()
    assert ("deleted", 0) == (state_of(alice, call)[0], chunks_of(alice))


# ---- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("archived", [False, True], ids=["at the vendor", "archived"])
def test_deleting_deletes_at_the_vendor_too(alice: Alice, archived: bool) -> None:
    """Here at once, there as soon as it answers; every link is worthless, and the ledger has both."""
    call = alice.call()
    other = alice.call()
    if archived:
        alice.rule(replace(ANNOUNCED, archive=True))
        assert {"archived": 2} == alice.archive()
    path, theirs, before = alice.link(call), set(alice.made), chunks_of(alice)
    assert 200 == alice.client.get(path).status_code
    assert theirs == alice.over_there()

    recordings.forget(alice.tools, alice.tenant, call, actor=f"user:{alice.office.alice.id}")
    assert 404 == alice.client.get(path).status_code
    assert before - archived == chunks_of(alice)
    assert theirs == alice.over_there()
    log_call.act(alice.tools, alice.tenant)

    assert {alice.made[1]} == alice.over_there()
    assert ["done"] == [effect.state for effect in alice.owed("recording.forget")]
    assert None is alice.owed("recording.forget")[0].payload
    assert ["recording.deleted", "recording.deleted_there"] == [
        a for a in alice.actions() if a.startswith("recording.del")
    ]
    with pytest.raises(Missing):
        recordings.forget(alice.tools, alice.tenant, call, actor="system")
    assert 200 == alice.client.get(alice.link(other)).status_code


@pytest.mark.parametrize(
    ("trouble", "state", "reason"),
    [
        (Refused("elsewhere", code="recording.elsewhere"), "dead", "recording.elsewhere"),
        (TryLater("busy"), "due", "upstream.busy"),
    ],
)
def test_a_vendor_that_does_not_delete_is_told_of(alice: Alice, trouble: Exception, state: str, reason: str) -> None:
    """What it refuses stands on the call's page; what did not work is tried again."""
    vendor = Vendor()
    vendor.trouble = trouble
    call = alice.call(url="https://elsewhere.example/1")
    recordings.forget(alice.tools, alice.tenant, call, actor="system")

    log_call.act(alice.through(vendor).tools, alice.tenant)

    assert [(state, reason)] == [(effect.state, effect.reason) for effect in alice.owed("recording.forget")]


def test_deletions_before_one_that_fails_are_settled(alice: Alice) -> None:
    """The second of three fails: the first is done, the others are tried again."""
    owed = [alice.call() for _ in range(3)]
    for call in owed:
        recordings.forget(alice.tools, alice.tenant, call, actor="system")
    tie, batch = alice.tie, alice.tools.effects.waiting(alice.tenant, "calls")
    deletions: list[Effect] = [effect for effect in batch if effect.kind == "recording.forget"]
    seen: list[str] = []

    class Second(Vendor):
        def forget_recording(self, url: str) -> None:
            seen.append(url)
            if len(seen) == 2:
                raise TryLater("busy")

    with pytest.raises(TryLater):
        recordings.forget_there(alice.through(Second()).tools, tie, deletions)

    assert 2 == len(deletions)
    assert ["claimed", "done", "due"] == sorted(effect.state for effect in alice.owed("recording.forget"))


def test_erasing_a_person_erases_their_voice_at_the_vendor(alice: Alice) -> None:
    """Archived or not, on a basis or without one; erasing again does not lose what the vendor still owes."""
    alice.rule(replace(ANNOUNCED, archive=True))
    alice.call()
    assert {"archived": 1} == alice.archive()
    alice.rule(Rules())
    alice.call()
    assert set(alice.made) == alice.over_there()

    counts = erase(alice.tools, alice.tenant, [DANA])["counts"]
    again = erase(alice.tools, alice.tenant, [DANA])["counts"]

    assert (2, 2, 2) == (counts["calls"], counts["recordings"], counts["recording deletions"])
    assert (0, 0) == (again["recordings"], again["recording deletions"])
    assert 0 == chunks_of(alice)
    log_call.act(alice.tools, alice.tenant)
    assert set() == alice.over_there()
    assert 2 == alice.actions().count("recording.deleted_there")


def test_a_persons_export_holds_their_voice(alice: Alice) -> None:
    """Put together, the pieces are the recording."""
    alice.rule(replace(ANNOUNCED, archive=True))
    whole = sound_of(alice, alice.call(seconds=10))
    alice.archive()

    lines = [json.loads(line) for line in export_person(alice.tools, alice.tenant, [DANA])]

    pieces = sorted((line for line in lines if line["table"] == "recording_chunks"), key=lambda line: line["number"])
    assert whole == b"".join(base64.b64decode(line["sound"]) for line in pieces)
    assert ["recordings"] * len(pieces) == [line["holding"] for line in pieces]
    assert ["announced"] == [line["basis"] for line in lines if line["table"] == "recordings"]


def test_recordings_go_by_their_own_clock(alice: Alice) -> None:
    """With the profile's month, or with the tenant's own days where they are fewer; the call stays for its own time."""
    alice.rule(replace(ANNOUNCED, archive=True, days=7))
    young, old = alice.call(ago=6 * DAY), alice.call(ago=7 * DAY - timedelta(minutes=6))
    assert {"archived": 2} == alice.archive()
    path, now = alice.link(old), alice.tools.db.now()
    assert 200 == alice.client.get(path).status_code

    assert 0 == purge_tenant(alice.tools, alice.tenant, now)["recordings"]
    assert 1 == purge_tenant(alice.tools, alice.tenant, now + timedelta(minutes=2))["recordings"]

    assert 404 == alice.client.get(path).status_code
    assert (1, {young}) == (chunks_of(alice), set(recordings.kept(alice.tools).some(alice.tenant, {young, old})))
    assert {young, old} == set(alice.tools.calls.some(alice.tenant, {young, old}))
    alice.rule(replace(ANNOUNCED, archive=True))
    assert 1 == purge_tenant(alice.tools, alice.tenant, now + 30 * DAY)["recordings"]
    assert 0 == chunks_of(alice)


def test_a_link_never_outlives_the_recording(alice: Alice) -> None:
    """Even one made for ever: it ends with the recording's time, before the purge has come round."""
    alice.rule(replace(ANNOUNCED, days=1))
    path = alice.link(alice.call(), seconds=10**9)

    assert 200 == alice.at(DAY - timedelta(minutes=6)).head(path).status_code
    assert 404 == alice.at(DAY).head(path).status_code


def test_what_comes_after_its_time_is_not_taken(alice: Alice) -> None:
    """An old event told again does not bring a recording back."""
    alice.rule(replace(ANNOUNCED, days=1))
    call = alice.call(ago=2 * DAY)

    assert None is recordings.kept(alice.tools).get(alice.tenant, call)
