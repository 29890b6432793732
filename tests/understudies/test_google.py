"""The Google understudy as a stage: what all methods share, what can be made to go wrong, and what is put back."""

from __future__ import annotations

import ast
import gzip
import queue
import sys
import threading
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from integrations.google import sandbox

from .google_cast import (
    ALICE,
    CAROL,
    CONTACTS,
    READONLY,
    Stage,
    asking,
    reason,
)


@pytest.fixture
def stage() -> Stage:
    """Set the stage."""
    return Stage()


def test_it_shares_nothing_with_the_product() -> None:
    """Every file imports Flask, the standard library and its own neighbours only."""
    assert sandbox.__file__
    files = list(Path(sandbox.__file__).parent.glob("*.py"))
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    absolute = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    absolute |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}

    assert len(files) > 10
    assert {"flask"} == {name.partition(".")[0] for name in absolute} - sys.stdlib_module_names
    assert {1} == {node.level for node in nodes if isinstance(node, ast.ImportFrom) and node.level}


def test_answers_shrink_by_fields_and_gzip(stage: Stage) -> None:
    """`fields` cuts nested answers; gzip comes only when the User-Agent says gzip too."""
    message, bearer = stage.mail(), stage.bearer(READONLY)
    path = f"/gmail/v1/users/me/messages/{message}?fields=id,payload(headers/name,mimeType)"

    plain = stage.client.get(path, headers=bearer | {"Accept-Encoding": "gzip"})
    packed = stage.client.get(path, headers=bearer | {"Accept-Encoding": "gzip", "User-Agent": "linekeeper (gzip)"})

    answer = plain.get_json()
    assert {"id", "payload"} == answer.keys()
    assert {"headers", "mimeType"} == answer["payload"].keys()
    assert {"name": "From"} in answer["payload"]["headers"]
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.data == gzip.decompress(packed.data)
    assert reason(stage.client.get(path + "(", headers=bearer)) == (400, "invalidParameter")


def test_quota_runs_out_and_comes_back(stage: Stage) -> None:
    """By the new table 300 reads fit into a minute; the refusal names the time; the old table and answer are a knob."""
    message, bearer = stage.mail(), stage.bearer(READONLY)

    def get() -> TestResponse:
        return stage.client.get(f"/gmail/v1/users/me/messages/{message}?format=minimal", headers=bearer)

    assert {200} == {get().status_code for _ in range(300)}
    assert reason(get()) == (429, "rateLimitExceeded")
    assert "Retry after 2026-03-29T10:00:00.200Z" in get().get_json()["error"]["message"]
    stage.advance(0.2)
    assert [get().status_code, get().status_code] == [200, 429]
    stage.act("knobs", {"gmail_quota_answer": "403"})
    assert reason(get()) == (403, "userRateLimitExceeded")
    stage.act("knobs", {"gmail_quota": "old"})
    assert get().status_code == 200


def batch(stage: Stage, bearer: dict[str, str], *calls: str) -> TestResponse:
    """Send calls as one multipart batch."""
    parts = "".join(
        f"--b\r\nContent-Type: application/http\r\nContent-ID: <{n}>\r\n\r\n{c}\r\n\r\n" for n, c in enumerate(calls)
    )
    head = bearer | {"Content-Type": 'multipart/mixed; boundary="b"'}
    return stage.client.post("/batch/gmail/v1", data=parts + "--b--", headers=head)


def test_a_batch_answers_each_call_by_itself(stage: Stage) -> None:
    """Good and bad calls stand side by side; 101 calls are refused whole."""
    message, bearer = stage.mail(), stage.bearer(READONLY)
    good, bad = f"GET /gmail/v1/users/me/messages/{message}?format=minimal", "GET /gmail/v1/users/me/messages/0"

    answer = batch(stage, bearer, good, bad)

    assert [part.split("\r\n")[0] for part in answer.text.split("HTTP/1.1 ")[1:]] == ["200 OK", "404 NOT FOUND"]
    assert "Content-ID: <response-1>" in answer.text
    assert batch(stage, bearer, *[bad] * 100).status_code == 200
    assert batch(stage, bearer, *[bad] * 101).status_code == 400


def test_faults_strike_before_or_after(stage: Stage) -> None:
    """`status`, `html` and `drop_before` leave nothing behind; `drop_after` and `truncated` have done the work."""
    bearer = stage.bearer(CONTACTS)
    match = "POST /v1/people:createContact"
    seen: list[object] = []
    for action in ("status", "html", "drop_before", "drop_after", "truncated"):
        stage.act("faults", {"match": match, "action": action})
        try:
            answer = stage.client.post("/v1/people:createContact", json=CAROL, headers=bearer)
            seen.append((answer.status_code, answer.get_json(silent=True) is not None))
        except ConnectionResetError:
            seen.append("cut")
        seen.append(len(stage.look(f"contacts?user={ALICE}")["contacts"]))

    assert seen == [(503, True), 0, (502, False), 0, "cut", 0, "cut", 1, (200, False), 2]
    assert stage.look("requests")["counts"][match] == 5
    assert stage.client.post("/_stage/faults", json={"match": match, "action": "melt"}).status_code == 400


def test_a_hanging_write_is_done_and_makes_others_fail_when_asked_to(stage: Stage) -> None:
    """`hang_after` keeps the caller waiting for a write that has happened; a second write meanwhile is contention."""
    stage.act("knobs", {"concurrent_mutations": "fail"})
    bearer, answers = stage.bearer(CONTACTS), queue.Queue[int]()
    stage.act("faults", {"match": "POST /v1/people:createContact", "action": "hang_after", "seconds": 60})

    def write() -> None:
        client = stage.client.application.test_client()
        answers.put(client.post("/v1/people:createContact", json=CAROL, headers=bearer).status_code)

    hanging = threading.Thread(target=write)
    hanging.start()
    while not stage.look(f"contacts?user={ALICE}")["contacts"]:
        assert hanging.is_alive()
    second = stage.client.post("/v1/people:createContact", json=CAROL, headers=bearer)
    stage.client.delete("/_stage/faults")
    hanging.join(10)

    assert reason(second) == (409, "aborted")
    assert answers.get(timeout=1) == 200
    assert len(stage.look(f"contacts?user={ALICE}")["contacts"]) == 1


def test_reset_empties_the_stage(stage: Stage) -> None:
    """Nobody, nothing and no knob is left; the requests are forgotten too."""
    stage.bearer(CONTACTS)
    stage.act("knobs", {"testing": True})
    assert stage.look("requests")["counts"]

    stage.act("reset")

    assert stage.look("requests") == {"counts": {}, "last": []}
    assert False is stage.look("knobs")["testing"]
    assert stage.client.get(f"/_stage/tokens?user={ALICE}").status_code == 400
    assert stage.client.get("/o/oauth2/v2/auth", query_string=asking()).status_code == 401
