"""Gmail's push: read whichever way it is spelled, refused when it is not one, and believed by Google's signature."""

from __future__ import annotations

import base64
import json
import queue
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.wrappers import Request, Response

from domain.errors import Malformed, Unauthentic
from integrations.google.push import Push, read_push
from integrations.google.sessions import Sessions
from integrations.google.tokens import GoogleKeys
from tests.google_stage import ALICE, running, serving

SUBSCRIPTION = "projects/linekeeper/subscriptions/mail"
ENCODINGS: list[Callable[[bytes], bytes]] = [
    base64.b64encode,
    base64.urlsafe_b64encode,
    lambda data: base64.b64encode(data).rstrip(b"="),
    lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
]


def push(news: Any, encode: Callable[[bytes], bytes] = base64.b64encode, **envelope: Any) -> bytes:
    data = encode(json.dumps(news, ensure_ascii=False).encode()).decode()
    message = {"data": data, "messageId": "1", "publishTime": "2026-03-29T09:15:04Z"}
    return json.dumps({"message": message, "subscription": SUBSCRIPTION} | envelope).encode()


@given(
    name=st.text(min_size=1, max_size=60),
    history=st.integers(0, 2**64 - 1),
    number=st.booleans(),
    encode=st.sampled_from(ENCODINGS),
)
def test_every_spelling_of_a_push_is_read(
    name: str, history: int, number: bool, encode: Callable[[bytes], bytes]
) -> None:
    """Either alphabet, padded or not, the history id a string or a number, any mailbox."""
    name = name.encode(errors="replace").decode()
    body = push({"emailAddress": f"{name}@x.example", "historyId": history if number else str(history)}, encode)

    assert Push(SUBSCRIPTION, f"{name}@x.example", str(history)) == read_push(body)


@given(st.binary(max_size=200))
def test_noise_is_malformed_and_nothing_else(noise: bytes) -> None:
    """Whatever the bytes, alone or as data: a clear refusal."""
    for body in (noise, push(None, lambda _: base64.b64encode(noise))):
        with pytest.raises(Malformed):
            read_push(body)


GOOD = {"emailAddress": ALICE, "historyId": "9876543210"}
BAD: dict[str, bytes] = {
    "a list": b"[]",
    "no message": push(GOOD, message=None),
    "a message in words": push(GOOD, message="hello"),
    "no data": push(GOOD, message={}),
    "data that is a number": push(GOOD, message={"data": 7}),
    "data too long": push(GOOD | {"padding": "x" * 10_000}),
    "body too long": push(GOOD, padding="x" * 70_000),
    "not base64": push(GOOD, message={"data": "###"}),
    "no subscription": push(GOOD, subscription=""),
    "a subscription too long": push(GOOD, subscription="x" * 600),
    "no mailbox": push({"historyId": "1"}),
    "a mailbox in words": push(GOOD | {"emailAddress": "alice"}),
    "a mailbox too long": push(GOOD | {"emailAddress": "a" * 400 + "@x.example"}),
    "no history id": push({"emailAddress": ALICE}),
    "a history id below nothing": push(GOOD | {"historyId": -1}),
    "half a history id": push(GOOD | {"historyId": 1.5}),
    "true": push(GOOD | {"historyId": True}),
    "other digits": push(GOOD | {"historyId": "٣"}),
    "a history id too long": push(GOOD | {"historyId": "1" * 40}),
    "a number too long": push(None, lambda _: base64.b64encode(b'{"historyId":' + b"1" * 5_000 + b"}")),
    "nested": b"[" * 60_000,
    "nested data": push(None, lambda _: base64.b64encode(b"[" * 6_000)),
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_what_is_no_push_is_malformed(body: bytes) -> None:
    """One plain refusal for each way of not being one."""
    assert read_push(push(GOOD)).history_id == "9876543210"
    with pytest.raises(Malformed):
        read_push(body)


def test_the_whole_way_from_a_message_to_a_believed_push() -> None:
    """Gmail's understudy signs and pushes; we believe it for our own address and account, and for no other."""
    knocks: queue.Queue[tuple[str, bytes]] = queue.Queue()

    def door(environ: Any, start: Any) -> Any:
        request = Request(environ)
        knocks.put((request.headers["Authorization"], request.get_data()))
        return Response(status=204)(environ, start)

    with running() as stage, serving(door) as ours:
        stage.fresh()
        pusher, topic = "push@linekeeper.example", "projects/linekeeper/topics/mail"
        stage.post(
            "pubsub", topic=topic, endpoint=ours, audience=ours, service_account=pusher, subscription=SUBSCRIPTION
        )
        mailbox, _ = stage.mailbox()
        position, _ = mailbox.watch(topic)
        authorization, body = knocks.get(timeout=10)
        clock = stage.post("clock", advance=0)["now"]
        keys = GoogleKeys(f"{stage.origin}/oauth2/v3/certs", Sessions(), lambda: clock)
        token = authorization.removeprefix("Bearer ")

        assert keys.verify(token, ours, email=pusher)["email"] == pusher
        assert Push(SUBSCRIPTION, ALICE, position) == read_push(body)
        with pytest.raises(Unauthentic):
            keys.verify(token, f"{ours}/elsewhere", email=pusher)
        with pytest.raises(Unauthentic):
            keys.verify(token, ours, email="charlie@next-door.example")
