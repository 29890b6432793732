"""How calls travel to Google: whose answer it is, what happens to an old token, and what is never sent twice."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from domain.errors import ConsentLost, NotAllowed, Refused, TryLater, Unanswered, Upstream
from domain.ports import CursorLost
from integrations.google.discovery import leaf
from integrations.google.remedy import NotThere, remedy
from integrations.google.sessions import Sessions
from integrations.google.transport import UserHttp, execute
from tests.google_stage import ALICE, BOB, HASTY, Stage, running, serving

PROFILE = "GET /gmail/v1/users/{user_id}/profile"
NOON = 1_774_778_400.0


@pytest.fixture(scope="module")
def theatre() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(theatre: Stage) -> Stage:
    theatre.fresh()
    return theatre


def fixed_token(*, renew: bool = False) -> str:
    return "ya29.a-token"


def test_four_threads_and_two_users_never_get_each_others_answers(stage: Stage) -> None:
    """Shared leaves and one shared `Http`, as in production: every answer is its own user's and its own question's."""
    stage.post("knobs", gmail_quota="off")
    mailboxes = {user: stage.mailbox(user)[0] for user in (ALICE, BOB)}
    texts = {
        user: {
            str(stage.post("mail", **{"user": user, "from": "carol@shop.example", "text": f"{user} {n}"})["id"]): n
            for n in range(5)
        }
        for user in mailboxes
    }
    together = threading.Barrier(4)

    def work(number: int) -> Counter[str]:
        seen: Counter[str] = Counter()
        together.wait()
        for turn in range(40):
            user = (ALICE, BOB)[(number + turn) % 2]
            assert mailboxes[user].address()[0] == user
            for id, n in itertools.islice(texts[user].items(), turn % 5, turn % 5 + 1):
                message = mailboxes[user].message(id)
                assert message is not None
                assert (id, f"{user} {n}") == (message.id, message.body)
                seen[user] += 1
        return seen

    with ThreadPoolExecutor(4) as pool:
        seen = sum(pool.map(work, range(4)), Counter())

    assert {ALICE: 80, BOB: 80} == seen


def test_an_old_token_is_renewed_once(stage: Stage) -> None:
    """A 401 says nothing was done, so the call goes again with a new token."""
    mailbox, purse = stage.mailbox()
    stage.post("account", user=ALICE, event="access_expired")

    assert mailbox.address()[0] == ALICE
    assert purse.renewed == 1


def test_refused_after_renewal_is_consent_lost(stage: Stage) -> None:
    """The second 401 in a row is not answered with a third try."""
    mailbox, purse = stage.mailbox()
    stage.delete("requests")
    stage.fault(PROFILE, "status", status=401, times=2)

    with pytest.raises(ConsentLost):
        mailbox.address()
    assert purse.renewed == 1
    assert stage.counts()[PROFILE] == 2


@pytest.mark.parametrize("action", ["drop_before", "drop_after", "hang_before", "hang_after", "html", "truncated"])
def test_a_reading_call_without_a_good_answer_is_for_later(stage: Stage, action: str) -> None:
    """Whatever happened on the way, reading again does no harm."""
    mailbox, _ = stage.mailbox(timeout=HASTY)
    mailbox.address()
    stage.fault(PROFILE, action, times=2)  # a connection that was cut is made anew once

    with pytest.raises(TryLater):
        mailbox.address()
    stage.delete("faults")
    assert mailbox.address()[0] == ALICE


@pytest.mark.parametrize("manner", ["cut", "silent"])
def test_a_write_without_an_answer_is_unanswered_and_sent_once(manner: str) -> None:
    """httplib2 would send it again; here nobody does before somebody has looked what became of it."""
    arrived: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def listen() -> None:
            server.settimeout(5)
            try:
                while True:
                    connection, _ = server.accept()
                    with connection:
                        arrived.append(connection.recv(65_536))
                        if manner == "silent":
                            done.wait(5)
            except OSError:
                return

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        messages = leaf(f"http://127.0.0.1:{server.getsockname()[1]}", "gmail", "v1", "users.messages")
        user = UserHttp(fixed_token, Sessions(), timeout=0.3)

        with pytest.raises(Unanswered):
            execute(messages.send(userId="me", body={"raw": "SGVsbG8"}), user)
        assert len(arrived) == 1
        with pytest.raises(TryLater):
            execute(messages.send(userId="me", body={"raw": "SGVsbG8"}), user, repeatable=True)
        done.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert arrived[0].startswith(b"POST /gmail/v1/users/me/messages/send")


def test_nobody_at_home_is_for_later_even_for_a_write() -> None:
    """A request that never left was certainly not carried out."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    messages = leaf(f"http://127.0.0.1:{port}", "gmail", "v1", "users.messages")

    with pytest.raises(TryLater):
        execute(messages.send(userId="me", body={"raw": "SGVsbG8"}), UserHttp(fixed_token, Sessions(), HASTY))


def test_nothing_of_one_user_travels_with_the_next() -> None:
    """No cookie is kept, no redirect is followed, and no other password on this machine replaces the token."""
    seen: list[tuple[str | None, str | None]] = []

    def google(environ: Any, start: Any) -> list[bytes]:
        seen.append((environ.get("HTTP_COOKIE"), environ.get("HTTP_AUTHORIZATION")))
        start("302 Found", [("Set-Cookie", "NID=alice; Path=/"), ("Location", "/elsewhere"), ("Content-Length", "0")])
        return []

    with serving(google) as origin:
        user = UserHttp(fixed_token, Sessions())
        for _ in range(2):
            with pytest.raises(Refused):
                execute(leaf(origin, "gmail", "v1", "users").getProfile(userId="me"), user)

    assert [(None, "Bearer ya29.a-token")] * 2 == seen


def test_a_call_without_a_user_goes_nowhere() -> None:
    """The shared leaves carry nobody's credentials."""
    with pytest.raises(RuntimeError, match="user"):
        leaf("", "gmail", "v1", "users").getProfile(userId="me").execute()


def test_leaves_are_made_once_and_never_lead_to_mtls() -> None:
    """A root of ours replaces Google's own in every address."""
    assert leaf("", "people", "v1", "people.connections") is leaf("", "people", "v1", "people.connections")
    ours = leaf("http://127.0.0.1:9", "people", "v1", "people.connections")
    assert ours.list(resourceName="people/me").uri.startswith("http://127.0.0.1:9/v1/people/me/connections")


def test_nothing_of_a_refusal_reaches_the_log(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """googleapiclient would write the body of a 403 it cannot read; it never sees it."""
    caplog.set_level(logging.DEBUG)
    mailbox, purse = stage.mailbox()
    stage.fault(PROFILE, "status", status=403, body="carol@shop.example")

    with pytest.raises(NotAllowed) as refused:
        mailbox.address()

    assert "403" in str(refused.value)
    said = caplog.text + str(refused.value)
    assert "carol@shop.example" not in said
    assert purse.value not in said


def envelope(reason: str, message: str = "") -> bytes:
    return json.dumps({"error": {"message": message, "errors": [{"reason": reason}]}}).encode()


INFO = b'{"error":{"details":[{"@type":"x","reason":"%s"}]}}'
REMEDIES: list[tuple[str, int, bytes, type[Exception]]] = [
    ("bad request", 400, envelope("badRequest"), Refused),
    ("sync token, 400", 400, INFO % b"EXPIRED_SYNC_TOKEN", CursorLost),
    ("sync token, 410", 410, b"", CursorLost),
    ("rate", 403, envelope("rateLimitExceeded"), TryLater),
    ("user rate", 403, envelope("userRateLimitExceeded"), TryLater),
    ("rate, ErrorInfo", 403, INFO % b"RATE_LIMIT_EXCEEDED", TryLater),
    ("daily", 403, envelope("dailyLimitExceeded"), TryLater),
    ("scope", 403, envelope("insufficientPermissions"), NotAllowed),
    ("administrator", 403, envelope("domainPolicy"), NotAllowed),
    ("page", 403, b"<html>", NotAllowed),
    ("not there", 404, envelope("notFound"), NotThere),
    ("slow down", 429, b"", TryLater),
    ("moved", 302, b"", Refused),
    ("backend", 503, envelope("backendError"), TryLater),
    ("nested", 400, b'{"error":' * 50_000, Refused),
    ("odd", 400, b'{"error":{"errors":[1,{"reason":["x"]}],"details":{"a":1}}}', Refused),
]


@pytest.mark.parametrize(
    ("status", "body", "expected"), [row[1:] for row in REMEDIES], ids=[row[0] for row in REMEDIES]
)
def test_each_refusal_has_its_remedy(status: int, body: bytes, expected: type[Exception]) -> None:
    """The table of Google's error pages."""
    assert type(remedy(status, body, {}, NOON, repeatable=True)) is expected


@pytest.mark.parametrize(("status", "expected"), [(500, Unanswered), (502, Unanswered), (503, TryLater)])
def test_a_write_lost_behind_the_gate_is_unanswered(status: int, expected: type[Upstream]) -> None:
    """A gateway that lost the answer says nothing of what was done; 503 turned it away."""
    assert type(remedy(status, b"", {}, NOON, repeatable=False)) is expected


WAITS: list[tuple[dict[str, str], bytes, float]] = [
    ({}, b"", 0),
    ({"Retry-After": "17"}, b"", 17),
    ({"retry-after": "Sun, 29 Mar 2026 10:01:00 GMT"}, b"", 60),
    ({}, envelope("rateLimitExceeded", "User-rate limit exceeded.  Retry after 2026-03-29T10:00:30.500Z"), 30.5),
    ({}, b"Retry after 2026-03-29T09:00:00Z", 0),
    ({}, b"Retry after 2999-03-29T09:00:00Z", 86_400),
    ({"Retry-After": "soon"}, b"", 0),
    ({"Retry-After": "9" * 5_000}, b"", 0),
]


@pytest.mark.parametrize(("headers", "body", "expected"), WAITS)
def test_google_is_given_the_time_it_asks_for(headers: dict[str, str], body: bytes, expected: float) -> None:
    """By header or in Gmail's text, at most a day."""
    error: Any = remedy(429, body, headers, NOON, repeatable=True)
    assert expected == error.wait
