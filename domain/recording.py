"""Recordings of calls: whether one may be fetched, who may listen, and the ticket a link to it carries.

A recording is fetched only on a basis for its consent, which the tenant states for each direction and which the call
keeps as it was when it took place; without one it is not fetched (CC-09: off until set). Nothing is stored, opened or
sent here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args
from uuid import UUID

from domain.call import Direction
from domain.errors import Missing, Refused, Trouble

Basis = Literal["none", "announced", "consented", "legal_duty"]
BASES: tuple[Basis, ...] = get_args(Basis)


# ---- the tenant's rules -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a tenant decided about recordings. `days`: kept shorter than the privacy profile says; None: as it says."""

    inbound: Basis = "none"
    outbound: Basis = "none"
    archive: bool = False
    days: int | None = None

    def basis(self, direction: Direction) -> Basis:
        """On which basis a call's recording may be fetched. Colleagues among themselves: on none."""
        return {"inbound": self.inbound, "outbound": self.outbound}.get(direction, "none")

    def keep(self, profile: timedelta | None) -> timedelta | None:
        """How long a recording is kept: the shorter of the profile's time and the tenant's own (K2, CC-16)."""
        own = None if self.days is None else timedelta(days=self.days)
        periods = [period for period in (profile, own) if period is not None]
        return min(periods, default=None)

    def as_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Rules:
        """Undo `as_data`; what is not there, or cannot be understood, is off."""

        def basis(name: str) -> Basis:
            return next((known for known in BASES if known == data.get(name)), "none")

        days = data.get("days")
        return cls(
            inbound=basis("inbound"),
            outbound=basis("outbound"),
            archive=data.get("archive") is True,
            days=days if isinstance(days, int) and days > 0 else None,
        )


def may_listen(*, admin: bool, took_part: bool) -> bool:
    """Administrators may listen to every call, agents to those that were theirs."""
    return admin or took_part


# ---- tickets ------------------------------------------------------------------------------------------------------

TICKET = struct.Struct(
    ">B16s16s16sIQ"
)  # with the seal 93 bytes, which base64 writes as 124 characters, no bit to spare
SEAL_BYTES = 32
WRITTEN = re.compile(r"[A-Za-z0-9_-]{124}", re.ASCII)
LISTENERS = {1: "user", 2: "door"}  # as the ledger names actors: one of the tenant's users, one of its connections
LAST_SECOND = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a link says: one listener may hear one call's recording until then, unless it was revoked meanwhile."""

    tenant: UUID
    call: UUID
    listener: str  # user:<id> or door:<connection id>
    until: int  # seconds since 1970
    revision: int  # the recording's when the link was made; a revocation counts it up


def write_ticket(secret: bytes, ticket: Ticket) -> str:
    """Write a ticket as the part of an address: our own ids, sealed with HMAC-SHA-256, and nothing about anybody."""
    kind, _, who = ticket.listener.partition(":")
    number = next(number for number, name in LISTENERS.items() if name == kind)
    body = TICKET.pack(
        number, ticket.tenant.bytes, ticket.call.bytes, UUID(who).bytes, ticket.revision, min(ticket.until, LAST_SECOND)
    )
    return base64.urlsafe_b64encode(body + _seal(secret, body)).decode()


def read_ticket(secret: bytes, text: str, now: datetime) -> Ticket:
    """Return the ticket we once wrote, while it is good. Raises Missing, the same for every fault."""
    if not WRITTEN.fullmatch(text):
        raise Missing
    try:
        raw = base64.urlsafe_b64decode(text)
    except binascii.Error:
        raise Missing from None
    body, seal = raw[:-SEAL_BYTES], raw[-SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(secret, body)):
        raise Missing
    kind, tenant, call, who, revision, until = TICKET.unpack(body)
    if kind not in LISTENERS or now.timestamp() >= until:
        raise Missing
    return Ticket(
        tenant=UUID(bytes=tenant),
        call=UUID(bytes=call),
        listener=f"{LISTENERS[kind]}:{UUID(bytes=who)}",
        until=until,
        revision=revision,
    )


def good_until(now: datetime, seconds: int, kept_until: datetime | None) -> int:
    """When a link ends: after so many seconds, and never later than the recording is kept."""
    ends = now + timedelta(seconds=seconds)
    if kept_until is not None:
        ends = min(ends, kept_until)
    return int(ends.astimezone(UTC).timestamp())


def _seal(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, body, hashlib.sha256)


# ---- parts of a sound ---------------------------------------------------------------------------------------------

RANGE_CHARACTERS = 100
RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))[ \t]*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Trouble):
    """There is no such part of this recording."""

    code = "recording.range"

    def __init__(self, length: int | None = None) -> None:
        super().__init__()
        self.length = length


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def is_range(header: str) -> bool:
    """Say whether a Range header asks for one part we understand; another unit or a mistake is as if it were not there.

    Raises Unsatisfiable for one that is too long or asks for several parts (RFC 9110, 14.2 and 17.15: many small ones
    are an attack, and no player asks for two).
    """
    if len(header) > RANGE_CHARACTERS or (header.lower().startswith("bytes=") and "," in header):
        raise Unsatisfiable
    found = RANGE.fullmatch(header)
    return found is not None and not (found[1] and found[2] and int(found[2]) < int(found[1]))


def part_of(header: str, length: int) -> Part:
    """The part a header that `is_range` asks for of a sound of that length. Raises Unsatisfiable beyond its end."""
    found = RANGE.fullmatch(header)
    if found is None:
        raise Unsatisfiable(length)
    first, last, suffix = found.groups()
    if suffix is not None:
        start, end = max(0, length - int(suffix)), length
    else:
        start, end = int(first), min(int(last) + 1, length) if last else length
    if start >= end:
        raise Unsatisfiable(length)
    return Part(start, end)


# ---- what kind of sound -------------------------------------------------------------------------------------------

AUDIO = re.compile(r"audio/[a-z0-9][a-z0-9.+-]{0,63}", re.ASCII)
FORMS: tuple[tuple[re.Pattern[bytes], str], ...] = (  # how a sound begins, for vendors who do not say what it is
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", re.DOTALL), "audio/mpeg"),
    (re.compile(rb"OggS"), "audio/ogg"),
    (re.compile(rb"fLaC"), "audio/flac"),
    (re.compile(rb"....ftyp", re.DOTALL), "audio/mp4"),
    (re.compile(rb"#!AMR"), "audio/amr"),
)


def form_of(told: str, beginning: bytes) -> str:
    """The media type a sound is handed on with: audio, whatever was told. Raises Refused for what is none."""
    told = told.partition(";")[0].strip().lower()
    if AUDIO.fullmatch(told):
        return told
    if told in ("", "application/octet-stream"):
        for shape, form in FORMS:
            if shape.match(beginning):
                return form
    raise Refused("What is there is not a recording.", code="recording.not_sound")
