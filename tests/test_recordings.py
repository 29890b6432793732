"""A recording is heard through a link and in no other way, on a basis or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from domain.errors import Missing, Refused, TryLater
from domain.recording import Rules, Ticket, write_ticket
from jobs import listening, recordings
from jobs.erase import erase
from store.database import TenantId
from store.embedded import Postgres
from store.tables import calls
from store.tables import recordings as rows
from tests import recording_office
from tests.console_desk import furnish
from tests.recording_office import (
    ANNOUNCED,
    DANA,
    WAV,
    Alice,
    Vendor,
    chunks_of,
    sound_of,
    state_of,
)

GONE = {"code": "not_found", "status": 404, "title": "There is nothing here.", "type": "about:blank"}
SAFE = {
    "Content-Disposition": "inline",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Accept-Ranges": "bytes",
}


@pytest.fixture(scope="module")
def offices(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Callable[[TenantId], Alice]]:
    with recording_office.offices(db_urls, work_url, mail_url) as furnish:
        yield furnish


@pytest.fixture
def alice(offices: Callable[[TenantId], Alice], tenant: TenantId) -> Alice:
    return offices(tenant)


def test_a_link_is_all_it_takes_to_listen(alice: Alice) -> None:
    """The whole sound, as a sound and nothing else, without a session or a key; HEAD says what it is."""
    call = alice.call()
    path = alice.link(call)

    answer, head = alice.client.get(path), alice.client.head(path)

    assert (200, "audio/wav") == (answer.status_code, answer.content_type)
    assert sound_of(alice, call) == answer.data
    assert SAFE.items() <= dict(answer.headers).items()
    assert "Set-Cookie" not in answer.headers
    assert (200, b"", str(len(answer.data))) == (head.status_code, head.data, head.headers["Content-Length"])


LENGTH = 8044  # of one second of the understudy's sound
RANGES: dict[str, tuple[int, str, int]] = {
    "bytes=0-": (206, f"bytes 0-{LENGTH - 1}/{LENGTH}", LENGTH),
    "bytes=0-3": (206, f"bytes 0-3/{LENGTH}", 4),
    "bytes=8000-": (206, f"bytes 8000-8043/{LENGTH}", 44),
    "bytes=8043-8043": (206, f"bytes 8043-8043/{LENGTH}", 1),
    "bytes=100-999999999999999": (206, f"bytes 100-8043/{LENGTH}", 7944),
    "bytes=-44": (206, f"bytes 8000-8043/{LENGTH}", 44),
    "bytes=-999999": (206, f"bytes 0-8043/{LENGTH}", LENGTH),
    "bytes=8044-": (416, f"bytes */{LENGTH}", 0),
    "bytes=999999999999999-": (416, f"bytes */{LENGTH}", 0),
    "bytes=-0": (416, f"bytes */{LENGTH}", 0),
    "bytes=0-1,2-3": (416, "", 0),
    "bytes=" + ",".join(["0-"] * 1000): (416, "", 0),
    "bytes=" + "9" * 200 + "-": (416, "", 0),
    "bytes=5-2": (200, "", LENGTH),  # RFC 9110, 14.1.1 and 14.2: what is no range is as if it were not there
    "bytes=a-b": (200, "", LENGTH),
    "bytes=-": (200, "", LENGTH),
    "lines=1-2": (200, "", LENGTH),
}


@pytest.mark.parametrize("archived", [False, True], ids=["vendor", "archive"])
def test_every_range_has_its_answer(alice: Alice, archived: bool) -> None:
    """One part, exactly; beyond the end is 416; several parts are refused, whatever their number."""
    call = alice.call()
    whole = sound_of(alice, call)
    assert len(whole) == LENGTH
    if archived:
        alice.rule(replace(ANNOUNCED, archive=True))
        assert alice.archive()["archived"] == 1
    path = alice.link(call)

    for asked, (status, told, length) in RANGES.items():
        answer = alice.client.get(path, headers={"Range": asked})
        seen = (answer.status_code, answer.headers.get("Content-Range", ""))
        assert (status, told) == seen, asked[:40]
        if status == 416:
            assert answer.get_json()["code"] == "recording.range"
            continue
        assert length == len(answer.data) == int(answer.headers["Content-Length"]), asked
        start = int(told.removeprefix("bytes ").partition("-")[0]) if told else 0
        assert whole[start : start + length] == answer.data


def test_a_part_with_a_condition_is_the_whole(alice: Alice) -> None:
    """There is no version to compare, so If-Range cannot be met (RFC 9110, 13.1.5)."""
    path = alice.link(alice.call())

    assert 200 == alice.client.get(path, headers={"Range": "bytes=0-3", "If-Range": '"x"'}).status_code


def _ticket(alice: Alice, call: UUID, **other: Any) -> str:
    ticket = Ticket(tenant=alice.tenant, call=call, listener=f"user:{alice.office.alice.id}", until=2**40, revision=0)
    secret = other.pop("secret", alice.tools.vault.derive("recordings"))
    return "/recordings/" + write_ticket(secret, replace(ticket, **other))


def _deleted(alice: Alice, call: UUID) -> str:
    path = alice.link(call)
    recordings.forget(alice.tools, alice.tenant, call, actor="system")
    return path


def _revoked(alice: Alice, call: UUID) -> str:
    path = alice.link(call)
    recordings.revoke(alice.tools, alice.tenant, call, actor="system")
    return path


def _listener_left(alice: Alice, call: UUID) -> str:
    path = alice.link(call)
    alice.tools.tenants.learn_users(alice.tenant, alice.office.crm, [])
    return path


def _tenant_left(alice: Alice, call: UUID) -> str:
    path = alice.link(call)
    alice.tools.tenants.set(alice.tenant, state="erasing")
    return path


def _disconnected(alice: Alice, call: UUID) -> str:
    path = alice.link(call)
    with alice.tools.db.tenant(alice.tenant) as database:
        alice.tools.connections.turn(database, alice.tenant, alice.pbx.id, "disconnected")
    return path


def _call_gone(alice: Alice, call: UUID) -> str:
    path = alice.link(call)
    erase(alice.tools, alice.tenant, [DANA])
    return path


def _without_basis(alice: Alice, call: UUID) -> str:
    with alice.tools.db.tenant(alice.tenant) as database:
        database.execute(update(rows).where(rows.c.id == call).values(basis="none"))
    return _ticket(alice, call)


def _flipped(alice: Alice, call: UUID) -> str:
    path = alice.link(call)
    return path[:-1] + ("A" if path[-1] != "A" else "B")


def _at_the_vendor(alice: Alice, call: UUID) -> str:
    alice.platform.account.forget_recording(f"{alice.platform.origin}/calls/{alice.made[-1]}/recording")
    return alice.link(call)


BAD: dict[str, Callable[[Alice, UUID], str]] = {
    "forged": lambda alice, call: _ticket(alice, call, secret=bytes(32)),
    "one character changed": _flipped,
    "cut short": lambda alice, call: alice.link(call)[:-4],
    "grown": lambda alice, call: alice.link(call) + "AAAA",
    "nothing": lambda alice, call: "/recordings/x",
    "4 KiB": lambda alice, call: "/recordings/" + "A" * 4096,
    "a NUL": lambda alice, call: "/recordings/%00",
    "not ASCII": lambda alice, call: "/recordings/" + "é" * 124,
    "expired": lambda alice, call: _ticket(alice, call, until=int(alice.tools.now().timestamp())),
    "a minute of no time": lambda alice, call: alice.link(call, seconds=0),
    "another tenant": lambda alice, call: _ticket(alice, call, tenant=uuid4()),
    "another call": lambda alice, call: _ticket(alice, uuid4()),
    "a stranger's user": lambda alice, call: _ticket(alice, call, listener=f"user:{uuid4()}"),
    "a stranger's connection": lambda alice, call: _ticket(alice, call, listener=f"door:{uuid4()}"),
    "an agent's who was not on the line": lambda alice, call: _ticket(
        _nobodys(alice, call), call, listener=f"user:{alice.office.bob.id}"
    ),
    "another revision": lambda alice, call: _ticket(alice, call, revision=7),
    "revoked": _revoked,
    "deleted": _deleted,
    "no basis": _without_basis,
    "the listener left": _listener_left,
    "the tenant leaves": _tenant_left,
    "the phone system is disconnected": _disconnected,
    "the person was erased": _call_gone,
    "gone at the vendor": _at_the_vendor,
}


def _nobodys(alice: Alice, call: UUID) -> Alice:
    with alice.tools.db.tenant(alice.tenant) as database:
        database.execute(update(calls).where(calls.c.id == call).values(user_id=None))
    return alice


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_a_link_that_is_no_good_says_nothing(make: Callable[[Alice, UUID], str], alice: Alice) -> None:
    """One answer for every reason, for GET, HEAD and a part, and not a row in the ledger."""
    call = alice.call()
    assert 200 == alice.client.head(alice.link(call)).status_code
    path = make(alice, call)
    before = alice.actions()

    answer, part, head = (
        alice.client.get(path), alice.client.get(path, headers={"Range": "bytes=0-1"}), alice.client.head(path)
    )  # fmt: skip

    assert (404, GONE, "application/problem+json") == (answer.status_code, answer.json, answer.content_type)
    assert (404, GONE) == (part.status_code, part.json)
    assert (404, b"") == (head.status_code, head.data)
    assert {"Content-Type", "Content-Length"} == set(answer.headers.keys())
    assert before == alice.actions()


def test_a_charlies_office_opens_no_recording_of_alices(alice: Alice, neighbour: TenantId) -> None:
    """He can have neither a link made nor one of his own lead to it."""
    call = alice.call()
    charlie = furnish(alice.tools, neighbour, "Charlie", "Carol").alice

    with pytest.raises(Missing):
        recordings.link(alice.tools, neighbour, call, for_whom=f"user:{charlie.id}", seconds=60)
    for path in (
        _ticket(alice, call, tenant=neighbour, listener=f"user:{charlie.id}"),
        _ticket(alice, call, listener=f"user:{charlie.id}"),
    ):
        assert 404 == alice.client.get(path).status_code


def test_the_minute_before_a_link_ends_and_the_minute_after(alice: Alice) -> None:
    path = alice.link(alice.call(), seconds=600)

    assert 200 == alice.at(timedelta(seconds=590)).head(path).status_code
    assert 404 == alice.at(timedelta(seconds=601)).head(path).status_code


# ---- on a basis or not at all ----------------------------------------------------------------------------------------


def test_without_a_basis_nothing_is_fetched(alice: Alice) -> None:
    """Off until somebody states one (CC-09); and stating one later does not reach back."""
    alice.rule(Rules())
    call = alice.call()
    alice.rule(replace(ANNOUNCED, archive=True))
    alice.platform.fresh()

    with pytest.raises(Missing):
        alice.link(call)
    assert 404 == alice.client.get(_ticket(alice, call)).status_code
    assert {"archived": 0} == alice.archive()

    assert [] == [asked for asked in alice.asked() if "recording" in asked]
    assert "none" == recordings.kept(alice.tools).some(alice.tenant, {call})[call].basis


def test_who_listened_is_in_the_ledger_once_a_listen(alice: Alice) -> None:
    """However many parts a player asks for; another listener, or the same one much later, is another row."""
    call = alice.call()
    hers, his = alice.link(call), alice.link(call, alice.office.bob)
    for path, asked in ((hers, "bytes=0-"), (hers, "bytes=4000-"), (hers, "bytes=0-3"), (his, "bytes=-10")):
        assert 206 == alice.client.get(path, headers={"Range": asked}).status_code
    alice.client.head(his)

    listeners = [f"user:{alice.office.alice.id}", f"user:{alice.office.bob.id}"]
    assert listeners == alice.listens()
    quarter = {f"user:{alice.office.alice.id}": (alice.tools.db.now() - timedelta(minutes=16)).isoformat()}
    with alice.tools.db.tenant(alice.tenant) as database:
        database.execute(update(rows).where(rows.c.id == call).values(heard=rows.c.heard.concat(quarter)))
    alice.client.get(hers)
    assert [*listeners, listeners[0]] == alice.listens()


# ---- what a vendor may do --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.7/recording.wav",
        "https://[::1]/recording.wav",
        "https://pbx.internal/recording.wav",
        "http://127.0.0.2:9/recording.wav",
    ],
)
def test_a_recording_in_a_private_network_is_not_fetched(alice: Alice, url: str) -> None:
    """The guard refuses before a byte leaves, and the listener learns nothing of it; nor does the archive fetch it."""
    alice.rule(replace(ANNOUNCED, archive=True))
    call = alice.call(url=url)

    answer = alice.client.get(alice.link(call))
    alice.archive()

    assert (404, GONE) == (answer.status_code, answer.json)
    assert ("lost", "url.not_allowed") == state_of(alice, call)


VENDORS: dict[str, tuple[Vendor, int, str]] = {
    "sound without a length": (Vendor(WAV, b"abc"), 200, "audio/wav"),
    "sound that does not say what it is": (Vendor(WAV, form="application/octet-stream"), 200, "audio/wav"),
    "an MP3 that does not say what it is": (Vendor(b"ID3\x04abc", form="application/octet-stream"), 200, "audio/mpeg"),
    "a page": (Vendor(b"<html>", form="text/html"), 404, "application/problem+json"),
    "a page in disguise": (Vendor(b"<html>", form="application/octet-stream"), 404, "application/problem+json"),
    "SVG": (Vendor(b"<svg>", form="image/svg+xml"), 404, "application/problem+json"),
    "longer than we take": (Vendor(WAV, length=300 * 1024 * 1024), 404, "application/problem+json"),
}


@pytest.mark.parametrize(("vendor", "status", "form"), VENDORS.values(), ids=VENDORS)
def test_only_sounds_are_handed_on(alice: Alice, vendor: Vendor, status: int, form: str) -> None:
    """As audio, whatever the vendor calls it; what is none is closed unread."""
    call = alice.call(url="https://pbx.alice.example/r/1")
    closed = vendor.closed

    answer = alice.through(vendor).client.get(alice.link(call), headers={"Range": "bytes=0-"})

    assert (status, form) == (answer.status_code, answer.content_type)
    assert answer.data == b"".join(vendor.pieces) or status == 404
    assert closed + 1 == vendor.closed


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (TryLater("busy"), 503, "upstream.busy"),
        (Refused("gone", code="recording.gone"), 404, "not_found"),
    ],
)
def test_what_may_work_later_says_so(alice: Alice, trouble: Exception, status: int, code: str) -> None:
    vendor = Vendor()
    vendor.trouble = trouble

    answer = alice.through(vendor).client.get(alice.link(alice.call(url="https://pbx.alice.example/r/1")))

    assert (status, code) == (answer.status_code, answer.get_json()["code"])
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_an_endless_recording_ends(alice: Alice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor that says no length and never stops is cut off, for a listener and for the archive."""
    monkeypatch.setattr(listening, "MOST_BYTES", 100_000)
    office = alice.through(Vendor(WAV, *[bytes(10_000)] * 50))
    call = alice.call(url="https://pbx.alice.example/r/1")

    with pytest.raises(Refused):
        _ = office.client.get(alice.link(call)).data

    alice.rule(replace(ANNOUNCED, archive=True))
    office.archive()
    assert ("lost", "recording.too_long") == state_of(alice, call)
    assert 0 == chunks_of(alice)


def test_listeners_never_take_every_thread(alice: Alice) -> None:
    """Half of them; who comes after is told when to come again, and a seat is free when its listener has gone."""
    seats = alice.client.application.extensions["linekeeper.listeners"]
    path = alice.link(alice.call())
    many = alice.tools.settings.web_threads // 2
    held = [alice.client.get(path, buffered=False) for _ in range(many)]

    turned_away = alice.client.get(path)

    assert (503, "recording.busy") == (turned_away.status_code, turned_away.get_json()["code"])
    for answer in held:
        answer.close()
        answer.close()
    assert [True] * many == [seats.acquire(blocking=False) for _ in range(many)]
    assert not seats.acquire(blocking=False)
