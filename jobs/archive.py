"""The archive: recordings taken over from a vendor that will not keep them for ever, sealed piece by piece.

A chore of each phone system that records; it does nothing unless the tenant chose so. What is archived is played from
here (`jobs.listening`), for as long as the profile, or the tenant, says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.exc import IntegrityError

from domain.errors import Refused
from jobs.listening import Stream, begun
from jobs.recordings import kept
from store.chores import Chore
from store.connections import Tie
from store.recordings import CHUNK_BYTES, Recording

if TYPE_CHECKING:
    from jobs.services import Services

log = structlog.get_logger()

BATCH = 20
SECONDS = 20.0  # then the lane is somebody else's for a while; a recording once begun is finished
NOT_YET = timedelta(hours=1)  # after a call: vendors are still at work on its recording, and answer as if it were gone


def archive(services: Services, tie: Tie, chore: Chore) -> dict[str, Any]:
    """Take over what the vendor will not keep for ever, where the tenant chose so. Safe to tell twice."""
    if not services.tenants.get(tie.tenant).recordings.archive:
        return {"archived": 0}
    until, done = time.monotonic() + SECONDS, 0
    waiting = kept(services).to_archive(tie.tenant, tie.id, BATCH)
    for recording in waiting:
        if time.monotonic() >= until:
            break
        done += _take_over(services, tie, recording)
    soon = {"again_in": timedelta()} if done and len(waiting) == BATCH else {}
    return {"archived": done, **soon}


def _take_over(services: Services, tie: Tie, recording: Recording) -> bool:
    """Fetch one recording and seal it piece by piece; say whether it is ours now."""
    store, tenant, id = kept(services), tie.tenant, recording.call
    call = services.calls.get(tenant, id)
    if call is None:
        return False
    store.begin(tenant, id)
    try:
        sound = begun(services.phone_system(tie).recording(call.call.recording_url))
        length = 0
        for number, piece in enumerate(_pieces(Stream(sound.chunks).cut(None))):
            store.put(tenant, id, number, piece)
            length += len(piece)
    except Refused as error:
        if error.code != "recording.gone" or services.now() - (call.call.ended_at or call.call.started_at) > NOT_YET:
            store.lost(tenant, id, error.code)
        log.info("recording_not_archived", tenant=str(tenant), call=str(id), reason=error.code)
        return False
    except IntegrityError:  # the call was erased, or its time was over, while we were reading
        return False
    with services.db.tenant(tenant) as database:
        ours = store.archived(database, tenant, id, form=sound.content_type, length=length)
        if ours:
            services.ledger.write(
                database, tenant, "recording.archived", subject=f"calls:{id}", bytes=length, basis=recording.basis
            )
    return ours


def _pieces(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of one length, the last one shorter."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= CHUNK_BYTES:
            yield bytes(buffer[:CHUNK_BYTES])
            del buffer[:CHUNK_BYTES]
    if buffer:
        yield bytes(buffer)
