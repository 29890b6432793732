"""Listening: what a link to a recording leads to, from the vendor or from the archive, in whole or in part.

A link is judged afresh at every request, and each listen is a row in the ledger before its first byte is handed over.
Only sounds are handed on, and no more of one than we are willing to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING
from uuid import UUID

from domain.errors import Missing, Refused
from domain.ports import Sound
from domain.recording import Part, Ticket, form_of, is_range, may_listen, part_of, read_ticket
from jobs.recordings import USE, kept, kept_until
from store.call_book import Kept
from store.recordings import CHUNK_BYTES, Recording
from store.vault import KeyGone

if TYPE_CHECKING:
    from jobs.services import Services

LISTEN = timedelta(minutes=15)  # a player asks for many parts; within this they are one listen
MOST_BYTES = 200 * 1024 * 1024  # some hours of speech, whatever a vendor's adapter lets through


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """A sound on its way to a listener. Whoever has it closes it, read to the end or not."""

    form: str
    length: int | None  # of the whole sound, where it is known
    part: Part | None  # what `chunks` are of it, when a part was asked for
    chunks: Iterator[bytes]
    close: Callable[[], None]


def open_recording(services: Services, token: str, wanted: str = "", *, listen: bool = True) -> Playing:
    """Open what a link leads to; `wanted` is a Range header. Without `listen` nothing is handed over but what it is.

    Raises Missing, always the same, for a link that is no good; Unsatisfiable for a part there is not; and Upstream.
    """
    ticket, call, recording = _admit(services, token)
    in_part = is_range(wanted)
    whole: Pieces | Stream
    if recording.state == "archived":
        form, length = recording.form, recording.length or None
        whole = Pieces(recording.length, lambda number: kept(services).chunk(ticket.tenant, ticket.call, number))
    else:
        tie = services.connections.get(ticket.tenant, call.connection)
        if tie.state == "disconnected":
            raise Missing
        sound = begun(services.phone_system(tie).recording(call.call.recording_url))
        form, length, whole = sound.content_type, sound.length, Stream(sound.chunks)
    try:
        part = part_of(wanted, length) if in_part and length is not None else None
        if listen:
            _note(services, ticket, recording)
    except BaseException:
        whole.close()
        raise
    if not listen:
        whole.close()
    chunks = whole.cut(part) if listen else iter(())
    return Playing(form=form, length=length, part=part, chunks=chunks, close=whole.close)


def _admit(services: Services, token: str) -> tuple[Ticket, Kept, Recording]:
    """Whose ticket this is and what it is good for now. Raises Missing for every reason alike."""
    ticket = read_ticket(services.vault.derive(USE), token, services.now())
    try:
        tenant = services.tenants.get(ticket.tenant)
        call = services.calls.get(ticket.tenant, ticket.call)
    except (Missing, KeyGone):  # the tenant was erased; whoever asks gets the one answer there is
        raise Missing from None
    recording = kept(services).get(ticket.tenant, ticket.call)
    good = (
        tenant.state == "active"
        and call is not None
        and recording is not None
        and recording.playable
        and recording.revision == ticket.revision
        and _may_still_listen(services, ticket, call)
    )
    if not good or call is None or recording is None:
        raise Missing
    ends = kept_until(services, tenant, recording.started_at)
    if ends is not None and ends <= services.now():
        raise Missing  # the purge comes round in a few minutes
    return ticket, call, recording


def _may_still_listen(services: Services, ticket: Ticket, call: Kept) -> bool:
    """A link ends with its listener: a user who left or may not any more, a connection that was ended."""
    kind, _, id = ticket.listener.partition(":")
    if kind == "door":
        try:
            return services.connections.get(ticket.tenant, UUID(id)).state != "disconnected"
        except Missing:
            return False
    user = services.tenants.user(ticket.tenant, UUID(id))
    return user is not None and user.active and may_listen(admin=user.role == "admin", took_part=call.user == user.id)


def _note(services: Services, ticket: Ticket, recording: Recording) -> None:
    """A row in the ledger for each listen, committed before the first byte is handed over."""
    with services.db.tenant(ticket.tenant) as database:
        if kept(services).begins(database, ticket.tenant, ticket.call, ticket.listener, within=LISTEN):
            services.ledger.write(
                database,
                ticket.tenant,
                "read.recording",
                actor=ticket.listener,
                subject=f"calls:{ticket.call}",
                basis=recording.basis,
                archived=recording.state == "archived",
            )


def begun(sound: Sound) -> Sound:
    """Read the first piece: only a stream that was begun can be closed, and its beginning says what it is."""
    first = next(sound.chunks, b"")
    try:
        form = form_of(sound.content_type, first)
        if (sound.length or 0) > MOST_BYTES:
            raise Refused("The recording is too long.", code="recording.too_long")
    except Refused:
        Stream(sound.chunks).close()
        raise
    return Sound(content_type=form, length=sound.length, chunks=_Begun(first, sound.chunks))


class _Begun(Iterator[bytes]):
    """A stream with its first piece put back."""

    def __init__(self, first: bytes, rest: Iterator[bytes]) -> None:
        self._rest = rest
        self._all = chain([first] if first else [], rest)

    def __next__(self) -> bytes:
        return next(self._all)

    def close(self) -> None:
        Stream(self._rest).close()


class Stream:
    """A sound that comes from the vendor: read once, from its beginning."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def close(self) -> None:
        if close := getattr(self._chunks, "close", None):
            close()

    def cut(self, part: Part | None) -> Iterator[bytes]:
        """Yield the part, or all of it up to what we are willing to hand on. What stands before is read and dropped."""
        start, end = (part.start, part.end) if part is not None else (0, MOST_BYTES + 1)
        position = 0
        for chunk in self._chunks:
            if piece := chunk[max(0, start - position) : max(0, end - position)]:
                yield piece
            position += len(chunk)
            if position > MOST_BYTES:
                raise Refused("The recording is too long.", code="recording.too_long")
            if position >= end:
                break
        self.close()


class Pieces:
    """A sound of ours: any part of it, piece by piece, each opened when it is its turn."""

    def __init__(self, length: int, piece: Callable[[int], bytes]) -> None:
        self._length, self._piece = length, piece

    def close(self) -> None:
        """Nothing is open between two pieces."""

    def cut(self, part: Part | None) -> Iterator[bytes]:
        start, end = (part.start, part.end) if part is not None else (0, self._length)
        for number in range(start // CHUNK_BYTES, -(-end // CHUNK_BYTES)):
            at = number * CHUNK_BYTES
            yield self._piece(number)[max(0, start - at) : end - at]
