"""The rules of recordings, without any I/O: bases, tickets, parts and forms."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Missing, Refused
from domain.recording import Part, Rules, Ticket, Unsatisfiable, form_of, is_range, part_of, read_ticket, write_ticket

SECRET = bytes(range(32))
NOW = datetime.fromisoformat("2026-03-29T12:00:00+00:00")
tickets = st.builds(
    Ticket,
    tenant=st.uuids(),
    call=st.uuids(),
    listener=st.builds("{}:{}".format, st.sampled_from(["user", "door"]), st.uuids()),
    until=st.integers(int(NOW.timestamp()) + 1, 2**40),
    revision=st.integers(0, 2**31),
)


@given(tickets)
def test_a_ticket_reads_as_it_was_written(ticket: Ticket) -> None:
    text = write_ticket(SECRET, ticket)

    assert ticket == read_ticket(SECRET, text, NOW)
    assert 124 == len(text)


@given(tickets, st.integers(0, 123), st.sampled_from("ABCabc019-_"))
def test_a_ticket_with_another_character_is_none(ticket: Ticket, place: int, character: str) -> None:
    """Every one of them counts; there is no second spelling of the same ticket."""
    text = write_ticket(SECRET, ticket)
    other = text[:place] + character + text[place + 1 :]
    if other != text:
        with pytest.raises(Missing):
            read_ticket(SECRET, other, NOW)


@given(st.text(max_size=200))
def test_whatever_is_sent_is_a_ticket_or_nothing(text: str) -> None:
    with pytest.raises(Missing):
        read_ticket(SECRET, text, NOW)


@given(st.text(alphabet="bytes=0123456789-, ", max_size=60), st.integers(0, 100))
def test_a_range_is_a_part_of_the_sound_or_refused(header: str, length: int) -> None:
    """Never an exception of another kind, never a byte that is not there."""
    try:
        part = part_of(header, length) if is_range(header) else Part(0, length)
    except Unsatisfiable:
        return
    assert 0 <= part.start <= part.end <= length


@pytest.mark.parametrize(
    ("told", "beginning", "form"),
    [
        ("audio/mpeg", b"", "audio/mpeg"),
        ("Audio/X-WAV; rate=8000", b"", "audio/x-wav"),
        ("application/octet-stream", b"OggS\x00", "audio/ogg"),
        ("", b"fLaC", "audio/flac"),
        ("application/octet-stream", b"\xff\xfb\x90", "audio/mpeg"),
    ],
)
def test_a_sound_is_handed_on_as_audio(told: str, beginning: bytes, form: str) -> None:
    assert form == form_of(told, beginning)


@pytest.mark.parametrize(
    "told", ["text/html", "audio/", "audio/x\r\nSet-Cookie: a=b", "audio/ä", "video/mp4", "application/octet-stream"]
)
def test_what_is_no_sound_is_refused(told: str) -> None:
    with pytest.raises(Refused):
        form_of(told, b"<html>")


@pytest.mark.parametrize(
    ("rules", "direction", "basis"),
    [
        (Rules(), "inbound", "none"),
        (Rules(inbound="announced"), "inbound", "announced"),
        (Rules(inbound="announced"), "outbound", "none"),
        (Rules(outbound="consented"), "outbound", "consented"),
        (Rules(inbound="legal_duty", outbound="legal_duty"), "internal", "none"),
    ],
)
def test_each_direction_has_its_basis(rules: Rules, direction: Any, basis: str) -> None:
    assert basis == rules.basis(direction)
    assert rules == Rules.from_data(json.loads(json.dumps(rules.as_data())))


@pytest.mark.parametrize("data", [{}, {"inbound": "whatever", "days": -1}, {"archive": "yes", "days": "7"}])
def test_rules_that_cannot_be_read_are_off(data: dict[str, Any]) -> None:
    assert Rules() == Rules.from_data(data)
