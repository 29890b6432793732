"""What stands in a signed event: refused at once if it cannot be understood, taken in if it is merely strange."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import pytest

from jobs import log_call
from jobs.services import Services
from store.database import TenantId
from store.embedded import Postgres
from tests import house
from tests.knocking import BODY, REFUSED, Door, event


@pytest.fixture(scope="module")
def tools(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    with house.services(db_urls, work_url, mail_url) as opened:
        yield opened


@pytest.fixture
def door(tools: Services, tenant: TenantId) -> Door:
    return Door.of(tools, tenant)


DEEP = b'{"a":' * 10_000
UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"{",
    "trailing bytes": BODY + b"x",
    "a name twice": BODY.replace(b'"call_id"', b'"call_id": "c0", "call_id"'),
    "not an object": b"[]",
    "a depth of 10,000": DEEP,
    "a number of 200,000 digits": b'{"type": ' + b"9" * 200_000 + b"}",
    "NaN": BODY.replace(b'"c1"', b"NaN"),
    "not UTF-8": BODY.replace(b"c1", b"\xff\xfe"),
    "no type": b'{"timestamp": "2026-03-29T09:15:04Z", "data": {}}',
    "no data": b'{"type": "call.ringing", "timestamp": "2026-03-29T09:15:04Z"}',
    "an end without an outcome": event("call.ended"),
    "an outcome of their own": event("call.ended", outcome="splendid"),
    "a direction of their own": event(direction="sideways"),
    "a call id that is a number": event(call_id=7),
    "a call id of 129 letters": event(call_id="c" * 129),
    "a time without a zone": event(started_at="2026-03-29T09:15:04"),
    "a time in milliseconds": event(started_at=1_774_775_704_000),
    "a leap second": event(started_at="2016-12-31T23:59:60Z"),
    "the year 0000": event(started_at="0000-01-01T00:00:00Z"),
    "the 30th of February": event(started_at="2026-02-30T00:00:00Z"),
    "a NUL": event(queue="sa\0les"),
    "half a character": BODY.replace(b'"c1"', b'"\\ud800"'),
    "a number of 65 digits": event(**{"from": "9" * 65}),
    "a recording that is a script": event("call.recording", recording_url="javascript:alert(1)"),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_was_signed_and_cannot_be_read_is_refused_at_once(body: bytes, door: Door) -> None:
    """While its sender is listening, in next to no time, naming the field and nothing that stood in it."""
    before = door.written()
    started = perf_counter()

    answer = door.knock(body)

    took = perf_counter() - started
    assert 400 == answer.status_code
    assert REFUSED == answer.json.keys() if answer.json else False
    assert b"34600111222" not in answer.data
    assert before == door.written()
    assert took < 1.0  # a tenth of that on a machine of its own


NOBODY: dict[str, Any] = {"from": None}
READABLE: dict[str, bytes] = {
    "a type of tomorrow": b'{"type": "call.dreamt", "timestamp": "2026-03-29T09:15:04Z", "data": {}}',
    "a message": event("message.received", text="see you"),
    "fields of tomorrow": event(mood="sunny"),
    "nobody calling": event(**{"from": ""}),
    "null for nobody": event(**NOBODY),
    "anonymous": event(**{"from": "anonymous"}),
    "a plus": event(**{"from": "+"}),
    "40 digits": event(**{"from": "9" * 40}),
    "Arabic digits": event(**{"from": "٠٦٠٠١١١٢٢٢"}),
    "a SIP address": event(**{"from": "sip:dora@quince.example"}),
    "a smile": event(queue="sales 😀"),
    "right to left": event(queue="‮selas‬"),
    "another zone": event(started_at="2026-03-29T11:15:04+02:00"),
    "the year 0001": event(started_at="0001-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("body", READABLE.values(), ids=READABLE)
def test_what_is_strange_but_signed_is_taken_in(body: bytes, door: Door) -> None:
    """And whoever works on it later is not upset by it either."""
    assert 202 == door.knock(body).status_code

    assert 1 == log_call.hear(door.tools, door.tenant)
    assert {"dead", "pending"}.isdisjoint(door.tools.inbox.counts(door.tenant))
