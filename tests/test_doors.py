"""A phone system's door: what is signed is written down once; everything else is a clear no and leaves no trace."""

from __future__ import annotations

import asyncio
import io
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
import requests
from flask import Flask
from werkzeug.test import TestResponse

from commands import front
from integrations.telephony.standard.signature import new_secret, sign
from integrations.telephony.twilio import signature as twilio
from jobs import connect
from jobs.services import Services
from store.database import Database, TenantId
from store.directory import Directory
from store.embedded import Postgres
from tests import house
from tests.knocking import BODY, JSON, REFUSED, Door, event
from webhooks.doorkeeper import FRESH_SECONDS, MOST_BYTES, REMEMBERED_SECONDS, Doorkeeper

UNBELIEVED = {
    "code": "unauthentic",
    "status": 401,
    "title": "This request could not be authenticated.",
    "type": "about:blank",
}


@pytest.fixture(scope="module")
def tools(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Services]:
    with house.services(db_urls, work_url, mail_url) as opened:
        yield opened


@pytest.fixture
def door(tools: Services, tenant: TenantId) -> Door:
    return Door.of(tools, tenant)


def test_a_signed_event_is_written_down_and_rung_for(door: Door) -> None:
    """Sealed, under the sender's own id, before the answer; and again is answered the same."""
    first, again = door.knock(BODY), door.knock(BODY)

    assert (202, b"", 202, b"") == (first.status_code, first.data, again.status_code, again.data)
    (waiting,) = door.tools.inbox.pending(door.tenant, "calls")
    assert ("e1", BODY, door.made.tie) == (waiting.event_id, waiting.body, waiting.connection)


def test_a_vendor_that_reads_answers_is_told_to_do_nothing(tools: Services, tenant: TenantId) -> None:
    """Twilio does what a door answers, and takes an empty answer for a failure; a forger gets what forgers get."""
    token, body = "alices-token", b"MessageSid=SM1&From=%2B34600111222&To=%2B34911222333&Body=hi"
    user = house.administrator(tools, tenant)
    made = connect.add_phone_system(tools, user=user, vendor="twilio", account={"auth_token": token})
    client = house.front(tools)

    def knock(secret: str) -> TestResponse:
        headers = twilio.sign(secret, "", body, tools.now(), made.url)
        form = "application/x-www-form-urlencoded"
        return client.post(house.path_of(made), data=body, headers=headers, content_type=form)

    assert [200, 200, 401] == [knock(secret).status_code for secret in (token, token, "charlies-token")]
    told = knock(token)
    assert (b"<Response/>", "text/xml") == (told.data, told.content_type)
    at_once: front.AtOnce = client.application.extensions["linekeeper.at_once"]

    async def told_at_once(heads: list[tuple[bytes, bytes]]) -> front.Thanks | None:
        return await at_once(house.path_of(made), heads, body)

    for secret, taken in ((token, (200, "text/xml", b"<Response/>")), ("charlies-token", None)):
        signed = {
            "Content-Type": "application/x-www-form-urlencoded",
            **twilio.sign(secret, "", body, tools.now(), made.url),
        }
        heads = [(name.lower().encode(), value.encode()) for name, value in signed.items()]
        soon = asyncio.run(told_at_once(heads))
        assert taken == (soon and (soon.status, soon.content_type, soon.body))
    assert ["SM1:received"] == [waiting.event_id for waiting in tools.inbox.pending(tenant, "calls")]


def test_the_same_id_with_another_body_changes_nothing(door: Door) -> None:
    """The first one stays."""
    assert [202, 202] == [door.knock(body).status_code for body in (BODY, event(call_id="c2"))]

    assert [BODY] == [waiting.body for waiting in door.tools.inbox.pending(door.tenant, "calls")]


def test_a_hundred_identical_knocks_at_once_are_one_delivery(door: Door) -> None:
    """And every one of them is thanked for."""
    headers = JSON | sign(door.secret, "e1", BODY, datetime.now(UTC))

    def knock(_: int) -> int:
        return house.front_again(door.client).post(door.path, data=BODY, headers=headers).status_code

    with ThreadPoolExecutor(16) as threads:
        assert [202] * 100 == list(threads.map(knock, range(100)))
    assert {"pending": 1} == door.tools.inbox.counts(door.tenant)


LIST = " ".join(["v1," + "A" * 43 + "="] * 1_000)
UNSIGNED: dict[str, Callable[[Door], TestResponse]] = {
    "no signature": lambda door: door.knock(BODY, webhook_signature=None),
    "no id": lambda door: door.knock(BODY, webhook_id=None),
    "no time": lambda door: door.knock(BODY, webhook_timestamp=None),
    "another secret": lambda door: replace(door, secret=new_secret()).knock(BODY),
    "the body changed": lambda door: door.knock(
        BODY.replace(b"c1", b"c2"), **dashed(sign(door.secret, "e1", BODY, datetime.now(UTC)))
    ),
    "the id changed": lambda door: door.knock(BODY, webhook_id="e2"),
    "signed 301 s ago": lambda door: door.knock(BODY, **dashed(at(door, -302))),
    "signed 301 s ahead": lambda door: door.knock(BODY, **dashed(at(door, 302))),
    **{
        f"the time is {stamp!r}": lambda door, stamp=stamp: door.knock(BODY, webhook_timestamp=stamp)  # type: ignore[misc]  # bound now
        for stamp in ("NaN", "-1", "1e9", "9" * 20, "", "1700000000.5", " ", "１７")
        if stamp.isascii()
    },
    "a thousand signatures": lambda door: door.knock(BODY, webhook_signature=LIST),
    "a signature of 64 KiB": lambda door: door.knock(BODY, webhook_signature="v1," + "A" * 65_536),
    "another version": lambda door: door.knock(BODY, webhook_signature="v2,AAAA"),
    "an unknown door": lambda door: door.knock(BODY, path="/webhooks/telephony/" + "A" * 43),
    "a door of one letter": lambda door: door.knock(BODY, path="/webhooks/telephony/x"),
    "a door of 4 KiB": lambda door: door.knock(BODY, path="/webhooks/telephony/" + "A" * 4096),
    "a door with a NUL": lambda door: door.knock(BODY, path="/webhooks/telephony/%00"),
    "an unknown door, unsigned": lambda door: door.client.post("/webhooks/telephony/x", data=BODY, headers=JSON),
}


def dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in headers.items()}


def at(door: Door, seconds: float) -> dict[str, str]:
    return sign(door.secret, "e1", BODY, datetime.now(UTC) + timedelta(seconds=seconds))


@pytest.mark.parametrize("knock", UNSIGNED.values(), ids=UNSIGNED)
def test_who_cannot_be_believed_learns_nothing(knock: Callable[[Door], TestResponse], door: Door) -> None:
    """One answer for every reason, an unknown door's included, and not a row is written."""
    before = door.written()

    answer = knock(door)

    assert (401, UNBELIEVED, "application/problem+json") == (answer.status_code, answer.json, answer.content_type)
    assert {"Content-Type", "Content-Length"} == set(answer.headers.keys())
    assert before == door.written()


def test_the_minute_before_it_is_too_old(door: Door) -> None:
    """Five minutes' tolerance either way."""
    assert [202, 202] == [door.knock(BODY, **dashed(at(door, seconds))).status_code for seconds in (-298, 298)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_type": None}, 415),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/xml"}, 415),
        ({"content_encoding": "gzip"}, 415),
        ({"content_encoding": "br"}, 415),
        ({"content_type": "application/json; charset=utf-8"}, 202),
        ({"content_encoding": "identity"}, 202),
        ({"host": "evil.example", "x_forwarded_proto": "http", "x_forwarded_host": "evil.example"}, 202),
    ],
)
def test_the_form_of_a_knock(headers: dict[str, Any], status: int, door: Door) -> None:
    """JSON or a form, as it is; what a proxy or a sender claims about hosts decides nothing."""
    before = door.written()

    assert status == door.knock(BODY, **headers).status_code
    assert (before == door.written()) == (status != 202)


@pytest.mark.parametrize(("size", "status"), [(MOST_BYTES, 400), (MOST_BYTES + 1, 413)])
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "in chunks"])
def test_a_body_has_at_most_256_kib(declared: bool, size: int, status: int, door: Door) -> None:
    """Whether its size is announced or not; the last byte that is read and the first that is not."""
    before = door.written()
    body = b" " * size
    told = JSON | sign(door.secret, "e1", body, datetime.now(UTC))
    if declared:
        answer = door.client.post(door.path, data=body, headers=told)
    else:
        chunks = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True}
        answer = door.client.post(door.path, headers=told | {"transfer-encoding": "chunked"}, environ_overrides=chunks)

    assert status == answer.status_code
    assert before == door.written()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"])
def test_a_door_is_knocked_at_with_post(method: str, door: Door) -> None:
    """Anything else is told so, whether there is such a door or not."""
    for path in (door.path, "/webhooks/telephony/x"):
        answer = door.client.open(path, method=method)
        assert (405, "OPTIONS, POST") == (answer.status_code, answer.headers["Allow"])


def test_a_replaced_secret_is_good_for_a_while(door: Door) -> None:
    """Both while the vendor changes over; a disconnected door is none."""
    user = door.tools.tenants.users(door.tenant)[0]
    new = connect.rotate_secret(door.tools, user=user, tie=door.made.tie)
    fresh = replace(door, client=house.front(door.tools))
    assert [202, 202] == [
        replace(fresh, secret=secret).knock(BODY, name).status_code
        for name, secret in (("e1", door.secret), ("e2", new))
    ]

    connect.disconnect(door.tools, user=user, tie=door.made.tie)
    closed = replace(door, client=house.front(door.tools), secret=new)
    assert (401, UNBELIEVED) == ((answer := closed.knock(BODY, "e3")).status_code, answer.json)


def test_a_door_belongs_to_one_tenant(door: Door, tools: Services, neighbour: TenantId) -> None:
    """Charlie's secret opens Charlie's door."""
    his = house.phone_system(tools, house.administrator(tools, neighbour))

    assert 401 == replace(door, secret=his.secret).knock(BODY).status_code
    assert 401 == door.knock(BODY, path=house.path_of(his)).status_code
    assert 202 == replace(door, secret=his.secret).knock(BODY, path=house.path_of(his)).status_code
    assert {} == tools.inbox.counts(door.tenant)
    assert {"pending": 1} == tools.inbox.counts(neighbour)


def test_without_a_database_nobody_is_thanked(door: Door, tools: Services) -> None:
    """Send it again, and when: a delivery is committed before the 2xx or there is none."""
    nowhere = Database("postgresql://linekeeper_app@127.0.0.1:1/linekeeper", pool_size=1)
    client = house.front(replace(tools, directory=Directory(nowhere, tools.vault), db=nowhere))

    answer = replace(door, client=client).knock(BODY)

    assert (503, "unavailable", "5") == (answer.status_code, (answer.json or {})["code"], answer.headers["Retry-After"])
    assert 503 == client.get("/readyz").status_code
    assert 200 == client.get("/healthz").status_code
    nowhere.close()


def test_a_door_that_is_at_hand_is_answered_on_the_way(
    door: Door, tools: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first knock makes a journey for the secrets and those after it only one to commit, together.

    What is not sound, or cannot be committed so, is left to a thread, which knows how to refuse.
    """
    keeper: Doorkeeper = door.client.application.extensions["linekeeper.doors"]
    at_once: front.AtOnce = door.client.application.extensions["linekeeper.at_once"]
    crossed, soon = [], tools.inbox.write_soon

    async def write_soon(tenant: TenantId, connection: UUID, event_id: str, **row: Any) -> bool:
        crossed.append(event_id)
        return await soon(tenant, connection, event_id, **row)

    monkeypatch.setattr(tools.inbox, "write_soon", write_soon)
    monkeypatch.setattr(keeper, "_clock", lambda: 0.0)  # what is remembered stays fresh

    def knock(event_id: str) -> int:
        headers = {"Content-Type": "application/json", **sign(door.secret, event_id, BODY, datetime.now(UTC))}
        return requests.post(f"{origin}{door.path}", data=BODY, headers=headers, timeout=20).status_code

    with served(door.client.application, at_once=at_once) as origin:
        assert [202, 202, 202] == [knock(event) for event in ("e1", "e2", "e2")]
        assert ["e2", "e2"] == crossed
        assert {"pending": 2} == tools.inbox.counts(door.tenant)

        with monkeypatch.context() as away:
            away.setattr(tools.db._ferry, "_connect", unreachable)
            tools.db._ferry.close()
            assert 202 == knock("e3")
            away.setattr(tools.db._writers, "_take", unreachable)
            assert 503 == knock("e4")
        assert 202 == knock("e4")
        assert ["e2", "e2", "e3", "e4", "e4"] == crossed
        assert 401 == requests.post(f"{origin}{door.path}", data=BODY, headers=JSON, timeout=20).status_code
        tools.vault.forget(door.tenant)
        assert [202, 202] == [knock(event) for event in ("e5", "e6")]
        assert "e6" == crossed[-1], "the key is not looked up by the loop"
        assert "e5" not in crossed
    assert {"pending": 6} == tools.inbox.counts(door.tenant)


def test_a_busy_door_is_looked_up_again_behind_those_who_knock(
    door: Door, tools: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a second one look is taken, however many knock; after two seconds nobody goes by what was known."""
    now, looks = [0.0], []
    keeper = Doorkeeper(tools, clock=lambda: now[0])
    name, look = door.path.rpartition("/")[2], keeper._door

    def counted(door: str, purpose: str) -> Any:
        looks.append(now[0])
        return look(door, purpose)

    monkeypatch.setattr(keeper, "_door", counted)
    assert keeper.at_hand(name, "door") is None
    known = keeper.find(name, "door")
    assert known is not None
    for age in (0.0, FRESH_SECONDS - 0.1, FRESH_SECONDS):
        now[0] = age
        assert [known] * 10 == [ask(name, "door") for ask in (keeper.find, keeper.at_hand) * 5]
    keeper._looker.shutdown()  # when it is done
    assert [0.0, FRESH_SECONDS] == looks

    now[0] = FRESH_SECONDS + REMEMBERED_SECONDS
    assert keeper.at_hand(name, "door") is None
    assert known == keeper.find(name, "door")
    assert now[0] == looks[-1]


def unreachable() -> Any:
    raise psycopg.OperationalError("the server is away")


@contextmanager
def served(app: Flask, *, at_once: front.AtOnce) -> Iterator[str]:
    """Have the application answer on a port of its own, as a web process does."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = front.server(app, threads=2, at_once=at_once)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def test_strangers_find_nothing_else(door: Door) -> None:
    """Every machine's address that is none answers in the same shape; health and metrics hold nothing personal."""
    answer = door.client.get("/webhooks/nothing")
    assert (404, REFUSED) == (answer.status_code, (answer.json or {}).keys())

    assert 202 == door.knock(BODY).status_code
    metrics = door.client.get("/metrics").data
    assert b"linekeeper_deliveries_total" in metrics
    for secret in ("34600111222", door.secret, door.path.rpartition("/")[2], str(door.tenant), "Alice"):
        assert secret.encode() not in metrics
