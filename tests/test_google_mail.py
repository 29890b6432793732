"""A user's Gmail through the real client library: where it stands, what came and went, headers, one message."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.errors import NotAllowed, Refused, TryLater
from domain.ports import CursorLost, MailNews
from integrations.google import gmail, open_mailbox
from tests.google_stage import ALICE, BOB, HASTY, READ_CONTACTS, Stage, running

GET, BATCH = "GET /gmail/v1/users/{user_id}/messages/{message_id}", "POST /batch/gmail/v1"
TOPIC = "projects/linekeeper/topics/mail"
DAY = 86_400
AT = datetime(2026, 3, 29, 9, 15, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def theatre() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(theatre: Stage) -> Stage:
    theatre.fresh()
    return theatre


def mail(stage: Stage, user: str = ALICE, **values: Any) -> str:
    usual = {"user": user, "from": "Carol Díaz <carol@shop.example>", "subject": "Prices", "text": "A secret price."}
    return str(stage.post("mail", **(usual | values))["id"])


def whole(mailbox: Any, cursor: str) -> MailNews:
    """Everything that happened, in one."""
    parts = list(mailbox.news(cursor))
    return MailNews(
        added=tuple(id for part in parts for id in part.added),
        removed=tuple(id for part in parts for id in part.removed),
        labels={id: there for part in parts for id, there in part.labels.items()},
        restored=frozenset(id for part in parts for id in part.restored),
        cursor=parts[-1].cursor if parts else cursor,
    )


def test_the_profile_names_the_mailbox_and_where_it_stands(stage: Stage) -> None:
    """The position is a decimal string that grows."""
    mailbox, _ = stage.mailbox()
    address, before = mailbox.address()
    mail(stage)

    assert address == ALICE
    assert int(before) < int(mailbox.address()[1])


def test_watching_lasts_seven_days_and_can_end(stage: Stage) -> None:
    """Inbox and sent mail are watched; asking again is harmless; afterwards nobody is."""
    account = "push@linekeeper.example"
    stage.post("pubsub", topic=TOPIC, endpoint=f"{stage.origin}/nowhere", service_account=account)
    mailbox, _ = stage.mailbox()
    began = datetime.now(UTC)
    mailbox.watch(TOPIC)
    position, ends = mailbox.watch(TOPIC)

    assert position.isdigit()
    assert timedelta(days=6, hours=23) < ends - began <= timedelta(days=7, minutes=1)
    assert ALICE in stage.get("pubsub")["watches"]
    mailbox.unwatch()
    assert {} == stage.get("pubsub")["watches"]


def test_a_topic_that_does_not_exist_is_refused(stage: Stage) -> None:
    """That is the operator's mistake; trying again does not mend it."""
    mailbox, _ = stage.mailbox()

    with pytest.raises(Refused):
        mailbox.watch("projects/linekeeper/topics/misspelt")


def test_news_is_what_came_and_went(stage: Stage) -> None:
    """Each message once, in its order; what came and went meanwhile only went; drafts and junk are not mail."""
    mailbox, _ = stage.mailbox()
    old = mail(stage)
    _, cursor = mailbox.address()
    first, second, brief = mail(stage), mail(stage), mail(stage)
    mail(stage, labels=["SPAM"])
    for gone in (old, brief):
        stage.post("mail/delete", user=ALICE, id=gone)

    news = whole(mailbox, cursor)

    assert (first, second) == news.added
    assert (old, brief) == news.removed
    assert [] == list(mailbox.news(news.cursor))


def test_what_is_read_labelled_or_thrown_away_elsewhere_is_news(stage: Stage) -> None:
    """The bin takes a message away and gives it back."""
    mailbox, _ = stage.mailbox()
    read, binned, junk = mail(stage), mail(stage), mail(stage, labels=["SPAM"])
    _, cursor = mailbox.address()
    stage.post("mail/labels", user=ALICE, id=read, remove=["UNREAD"], add=["STARRED"])
    stage.post("mail/labels", user=ALICE, id=binned, add=["TRASH"])
    stage.post("mail/labels", user=ALICE, id=junk, remove=["SPAM"], add=["INBOX"])

    news = whole(mailbox, cursor)

    assert ((), (binned,), frozenset({junk})) == (news.added, news.removed, news.restored)
    assert {"INBOX", "STARRED"} == set(news.labels[read])
    assert "SPAM" not in news.labels[junk]


def test_each_part_of_the_news_says_where_it_ends(stage: Stage) -> None:
    """Whoever is interrupted goes on there: nothing twice, nothing left out."""
    mailbox, _ = stage.mailbox()
    _, cursor = mailbox.address()
    expected = [mail(stage) for _ in range(120)]
    first, *_rest = mailbox.news(cursor)

    assert expected[:50] == list(first.added)
    assert expected[50:] == [id for part in mailbox.news(first.cursor) for id in part.added]


def test_what_came_since_a_moment_is_listed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """For when the history is lost: the newest first, page after page, without junk."""
    monkeypatch.setattr(gmail, "LIST_PAGE", 2)
    mailbox, _ = stage.mailbox()
    mail(stage, date=(AT - timedelta(hours=1)).isoformat())
    came = [mail(stage, date=(AT + timedelta(minutes=turn)).isoformat()) for turn in range(5)]
    mail(stage, labels=["SPAM"])

    assert came[::-1] == mailbox.since(AT)


def test_news_is_read_to_the_last_page(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven changes, three to a page: the seventh is not forgotten."""
    monkeypatch.setattr(gmail, "HISTORY_PAGE", 3)
    mailbox, _ = stage.mailbox()
    _, cursor = mailbox.address()
    expected = tuple(mail(stage) for _ in range(7))

    assert expected == whole(mailbox, cursor).added
    assert stage.counts()["GET /gmail/v1/users/{user_id}/history"] == 3


@pytest.mark.parametrize("forgotten", ["", "yesterday", "old"])
def test_a_position_google_does_not_know_is_lost(stage: Stage, forgotten: str) -> None:
    """Whether it is none at all or older than Google's memory."""
    mailbox, purse = stage.mailbox()
    _, cursor = mailbox.address()
    mail(stage)
    stage.post("clock", advance=8 * DAY)
    purse(renew=True)
    mail(stage)

    with pytest.raises(CursorLost):
        whole(mailbox, cursor if forgotten == "old" else forgotten)


def test_headers_come_without_bodies_fifty_a_request(stage: Stage) -> None:
    """In the order asked for, each once; the text, even its beginning, stays at Google."""
    stage.post("knobs", gmail_quota="old")
    mailbox, _ = stage.mailbox()
    ids = [mail(stage, cc="Dan <dan@shop.example>", date=AT.isoformat()) for _ in range(60)]
    stage.delete("requests")

    messages = mailbox.headers([*ids, ids[0]])

    assert ids == [message.id for message in messages]
    assert stage.counts() == {BATCH: 2, GET: 60}
    first = messages[0]
    assert first.at == AT
    assert first.sender == '"Carol Díaz" <carol@shop.example>'
    assert first.to == (ALICE, '"Dan" <dan@shop.example>')
    assert first.subject == "Prices"
    assert first.unread
    assert first.correspondents == {"carol@shop.example", ALICE, "dan@shop.example"}
    assert first.body == first.snippet == ""


def test_a_message_that_went_meanwhile_is_left_out(stage: Stage) -> None:
    """Of many it is missing, alone it is None; neither is an error."""
    mailbox, _ = stage.mailbox()
    gone, there = mail(stage), mail(stage)
    stage.post("mail/delete", user=ALICE, id=gone)

    assert [there] == [message.id for message in mailbox.headers([gone, there])]
    assert mailbox.message(gone) is None
    assert mailbox.headers([]) == []


def test_one_message_comes_whole(stage: Stage) -> None:
    """The author's own words before their HTML, with the snippet; attached files are not looked at."""
    mailbox, _ = stage.mailbox()
    file = {"filename": "price.txt", "mimeType": "text/plain", "data": "c2VjcmV0IGZpbGU="}
    id = mail(stage, text="Hello Bob,\n3 < 4 €", html="<p>Hello <b>HTML</b></p>", attachments=[file])

    message = mailbox.message(id)

    assert message is not None
    assert message.body == "Hello Bob,\n3 < 4 €"
    assert message.snippet == "Hello Bob, 3 < 4 €"
    assert message.thread


def test_some_of_a_batch_being_busy_is_asked_for_again(stage: Stage) -> None:
    """Google turns some away when one user has many in flight; they come in a second, smaller batch."""
    mailbox, _ = stage.mailbox()
    ids = [mail(stage) for _ in range(30)]
    stage.delete("requests")
    stage.fault(GET, "status", status=429, times=12)

    assert ids == [message.id for message in mailbox.headers(ids)]
    assert stage.counts()[BATCH] == 3


def test_all_of_a_batch_being_busy_is_for_later(stage: Stage) -> None:
    """Then it is the quota, and asking again at once would only burn more of it."""
    mailbox, _ = stage.mailbox()
    ids = [mail(stage) for _ in range(3)]
    stage.delete("requests")
    stage.fault(GET, "status", status=429, times=None)

    with pytest.raises(TryLater):
        mailbox.headers(ids)
    stage.delete("faults")
    assert stage.counts()[BATCH] == 1


@pytest.mark.parametrize("action", ["html", "truncated", "drop_after", "hang_after"])
def test_a_batch_answered_badly_is_for_later(stage: Stage, action: str) -> None:
    """Reading can be repeated, so no answer is only TryLater."""
    mailbox, _ = stage.mailbox(timeout=HASTY)
    id = mail(stage)
    stage.fault(BATCH, action, times=2)  # one cut connection is tried again at once

    with pytest.raises(TryLater):
        mailbox.headers([id])
    stage.delete("faults")
    assert len(mailbox.headers([id])) == 1


def test_a_token_that_ran_out_is_renewed_inside_a_batch_too(stage: Stage) -> None:
    """Google answers each call of a batch for itself; one renewal serves them all."""
    mailbox, purse = stage.mailbox()
    ids = [mail(stage) for _ in range(3)]
    stage.post("account", user=ALICE, event="access_expired")

    assert len(mailbox.headers(ids)) == 3
    assert purse.renewed == 1


def test_bobs_consent_opens_only_bobs_mailbox(stage: Stage) -> None:
    """Alice's message does not exist for him."""
    bob, _ = stage.mailbox(BOB)
    id = mail(stage, user=ALICE)

    assert bob.message(id) is None
    assert bob.headers([id]) == []


def test_without_the_scope_it_is_not_allowed(stage: Stage) -> None:
    """A consent for contacts opens no mailbox, one by one or in a batch."""
    id = mail(stage)
    mailbox = open_mailbox(http=stage.http, tokens=stage.purse(READ_CONTACTS), root=stage.origin)

    with pytest.raises(NotAllowed):
        mailbox.address()
    with pytest.raises(NotAllowed):
        mailbox.headers([id])
