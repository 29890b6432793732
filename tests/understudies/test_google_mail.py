"""The Google understudy's Gmail: search, history, sending, and the notifications it pushes."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from werkzeug.test import TestResponse

from .google_cast import (
    ALICE,
    BOB,
    DAY,
    HOUR,
    MINUTE,
    MODIFY,
    NOON,
    READONLY,
    SEND,
    TOPIC,
    Stage,
    door,
    raw,
    read_push,
    reason,
)


@pytest.fixture
def stage() -> Stage:
    """Set the stage."""
    return Stage()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("from:carol", "ab"),
        ("from:carol@shop.example", "ab"),
        ("from:arol", ""),
        ("to:bob", "c"),
        ("subject:invoice", "a"),
        ('subject:"second invoice"', ""),
        ("rfc822msgid:<b@shop.example>", "b"),
        ("invoice OR offer", "ab"),
        ("from:carol -invoice", "b"),
        ("from:(dave OR carol) {offer lunch}", "bc"),
        ("newer_than:2d", "bc"),
        ("after:2026/03/27 before:2026/03/29", "b"),
        (f"after:{int(NOON) - HOUR}", "c"),
        ("is:unread in:inbox", "bc"),
        ("in:trash", "t"),
        ("in:anywhere invoice", "at"),
    ],
)
def test_the_search_box_understands(stage: Stage, query: str, found: str) -> None:
    """Operators, phrases, groups and OR select the messages Gmail would."""
    names = {
        stage.mail(subject="Invoice 7", date=NOON - 9 * DAY, labels=["INBOX"]): "a",
        stage.mail(subject="An offer", date=NOON - DAY, message_id="<b@shop.example>"): "b",
        stage.mail(**{"from": "Dave <dave@d.example>"}, to=f"Bob <{BOB}>", subject="Lunch", date=NOON): "c",
        stage.mail(**{"from": "spam@x.example"}, subject="invoice", labels=["TRASH"], date=NOON - 30 * DAY): "t",
    }
    answer = stage.client.get(
        "/gmail/v1/users/me/messages", query_string={"q": query}, headers=stage.bearer(READONLY)
    ).get_json()

    assert found == "".join(sorted(names[message["id"]] for message in answer.get("messages", [])))


def test_history_tells_what_changed_and_forgets_after_a_week(stage: Stage) -> None:
    """Ids are 64-bit strings that grow; every kind of change has its row; what is too long ago is 404."""
    bearer = stage.bearer(MODIFY)
    start = stage.client.get("/gmail/v1/users/me/profile", headers=bearer).get_json()["historyId"]
    kept, gone = stage.mail(), stage.mail()
    modify = {"addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"]}
    stage.client.post(f"/gmail/v1/users/me/messages/{kept}/modify", json=modify, headers=bearer)
    stage.act("mail/delete", {"user": ALICE, "id": gone})

    def history(**query: Any) -> TestResponse:
        query = {"startHistoryId": start} | query
        return stage.client.get("/gmail/v1/users/me/history", query_string=query, headers=bearer)

    whole, first = history().get_json(), history(maxResults=2).get_json()
    rest = history(maxResults=2, pageToken=first["nextPageToken"]).get_json()
    deleted = history(historyTypes="messageDeleted").get_json()["history"]

    kinds = [(set(row) - {"id", "messages"}).pop() for row in whole["history"]]
    assert kinds == ["messagesAdded", "messagesAdded", "labelsAdded", "labelsRemoved", "messagesDeleted"]
    ids = [int(row["id"]) for row in whole["history"]]
    assert 2**63 < int(start) < ids[0]
    assert sorted(set(ids)) == ids
    assert str(ids[-1]) == whole["historyId"]
    assert whole["history"][:4] == first["history"] + rest["history"]
    assert [gone] == [row["messages"][0]["id"] for row in deleted]

    stage.advance(7 * DAY - MINUTE)
    bearer = stage.bearer(MODIFY)
    assert history().status_code == 200
    stage.advance(2 * MINUTE)
    assert reason(history()) == (404, "notFound")
    assert history(startHistoryId=whole["historyId"]).status_code == 200


def test_sent_mail_arrives_and_threads(stage: Stage) -> None:
    """What Alice sends lies under SENT and in Bob's inbox; his reply joins her thread, another subject does not."""
    alice, bob = stage.bearer(SEND, READONLY), stage.bearer(SEND, READONLY, user=BOB)
    send = "/gmail/v1/users/me/messages/send"

    first = stage.client.post(send, json={"raw": raw(BOB, "Visit", Message_ID="<1@a>")}, headers=alice).get_json()
    reply = {"raw": raw(ALICE, "Re: Visit", In_Reply_To="<1@a>")}
    stage.client.post(send, json=reply, headers=bob)
    stage.client.post(send, json={"raw": raw(ALICE, "Other", In_Reply_To="<1@a>")}, headers=bob)

    thread = stage.client.get(f"/gmail/v1/users/me/threads/{first['threadId']}", headers=alice).get_json()
    assert [message["labelIds"] for message in thread["messages"]] == [["SENT"], ["UNREAD", "INBOX"]]
    assert [message["subject"] for message in stage.look(f"sent?user={ALICE}")["messages"]] == ["Visit"]
    assert [f"Alice Smith <{ALICE}>"] == [m["from"] for m in stage.look(f"mail?user={BOB}")["messages"][:1]]
    assert stage.client.post(send, json={"raw": raw("", "x")}, headers=alice).status_code == 400
    assert stage.client.post(send, json=reply | {"threadId": "ff"}, headers=bob).status_code == 404


def test_attachments_are_fetched_by_themselves(stage: Stage) -> None:
    """A full message names its attachments; their bytes have their own call."""
    attachment = {"filename": "v.wav", "mimeType": "audio/wav", "data": base64.b64encode(b"RIFF").decode()}
    message, bearer = stage.mail(html="<b>Hi</b>", attachments=[attachment]), stage.bearer(READONLY)
    base = f"/gmail/v1/users/me/messages/{message}"

    parts = stage.client.get(base, headers=bearer).get_json()["payload"]["parts"]
    body = parts[1]["body"]
    data = stage.client.get(f"{base}/attachments/{body['attachmentId']}", headers=bearer).get_json()

    assert [part["partId"] for part in parts[0]["parts"]] == ["0.0", "0.1"]
    assert (parts[1]["filename"], body["size"], "data" in body) == ("v.wav", 4, False)
    assert base64.urlsafe_b64decode(data["data"]) == b"RIFF"


def watch(stage: Stage, bearer: dict[str, str], topic: str = TOPIC, **body: Any) -> TestResponse:
    """Ask for notifications."""
    return stage.client.post("/gmail/v1/users/me/watch", json={"topicName": topic} | body, headers=bearer)


def subscribe(stage: Stage, endpoint: str) -> None:
    """Let the topic push to a door."""
    stage.act("pubsub", {"topic": TOPIC, "endpoint": endpoint, "service_account": "push@p.iam.gserviceaccount.com"})


def test_a_watch_pushes_at_once_and_for_every_message_until_it_ends(stage: Stage) -> None:
    """A refused push comes again; a second topic is refused; after seven days, or `stop`, nothing is published."""
    bearer = stage.bearer(READONLY)
    assert watch(stage, bearer).status_code == 404
    with door(500) as (endpoint, caught):
        subscribe(stage, endpoint)
        started = watch(stage, bearer, labelIds=["INBOX"], labelFilterBehavior="include").get_json()
        refused, repeated = caught.get(timeout=10), caught.get(timeout=10)
        stage.mail(labels=["SPAM"])
        stage.mail()
        arrived = caught.get(timeout=10)
        stage.advance(7 * DAY + 1)
        stage.mail()

    assert refused[1] == repeated[1]
    assert {"emailAddress": ALICE, "historyId": started["historyId"]} == read_push(refused)
    assert str(int((NOON + 7 * DAY) * 1000)) == started["expiration"]
    assert int(read_push(arrived)["historyId"]) > int(started["historyId"])
    counts = stage.look("pubsub")["subscriptions"][0]
    assert (counts["published"], counts["refused"], counts["pending"]) == (2, 1, 0)
    assert stage.client.post("/_stage/pubsub", json={"topic": TOPIC}).status_code == 400


def test_pushes_misbehave_as_told(stage: Stage) -> None:
    """Duplicates keep their id, a dropped one never comes, two arrive swapped, a delayed one waits for the clock."""
    bearer = stage.bearer(READONLY)
    with door() as (endpoint, caught):
        subscribe(stage, endpoint)
        watch(stage, bearer)
        first = int(read_push(caught.get(timeout=10))["historyId"])
        stage.act("knobs", {"push_duplicates": 1})
        stage.mail()
        twins = [caught.get(timeout=10)[1]["message"]["messageId"] for _ in range(2)]
        stage.act("knobs", {"push_duplicates": 0, "push_drop": 1})
        stage.mail()
        stage.act("knobs", {"push_reorder": True})
        stage.mail()
        stage.mail()
        swapped = [int(read_push(caught.get(timeout=10))["historyId"]) for _ in range(2)]
        stage.act("knobs", {"push_reorder": False, "push_delay_seconds": 30})
        stage.mail()
        assert stage.look("pubsub")["subscriptions"][0]["pending"] == 1
        stage.advance(31)
        late = int(read_push(caught.get(timeout=10))["historyId"])

    assert len(set(twins)) == 1
    assert first < swapped[1] < swapped[0] < late
    assert caught.empty()
    assert stage.look("pubsub")["subscriptions"][0]["dropped"] == 1
