"""Text messages of Twilio and Plivo: what came, what is sent and what becomes of it, against their understudies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from domain.call import TextEvent, TextNews
from domain.errors import ConsentLost, Refused, TryLater, Unanswered, Upstream
from domain.ports import Sent, TextKeeper, TextSender, Words
from integrations import telephony_vendors
from integrations.telephony.plivo.sandbox import create_apps as plivo_apps
from integrations.telephony.twilio.sandbox import create_apps as twilio_apps
from tests.leg_stage import Stage, soon, staged

VENDORS = telephony_vendors()
SID, AUTH_ID, TOKEN = "AC" + "a1" * 16, "MAALICE0000000000000", "alices-token"
ANA, OURS = "+34600111222", "+34911222333"
ACCOUNTS = {"twilio": {"account_sid": SID, "auth_token": TOKEN}, "plivo": {"auth_id": AUTH_ID, "auth_token": TOKEN}}
APPS = {"twilio": twilio_apps, "plivo": plivo_apps}


@pytest.fixture(scope="module", params=["twilio", "plivo"])
def play(request: pytest.FixtureRequest) -> Iterator[Stage]:
    slug = request.param
    with staged(VENDORS[slug], APPS[slug]({})[slug], ACCOUNTS[slug]) as stage:
        yield stage


@pytest.fixture
def stage(play: Stage) -> Stage:
    play.begin(**{play.name: play.id})
    return play


def heard(stage: Stage) -> list[TextNews]:
    return [one for one in stage.door.heard.values() if isinstance(one, TextNews)]


def test_what_came_is_heard_once_with_links_to_its_pictures(stage: Stage) -> None:
    """Twice delivered is once heard; nothing is fetched from where the pictures are."""
    told = stage.stage("text", text="Grüezi 👋", media=2, copies=2, **{"from": ANA, "to": OURS})

    (one,) = heard(stage)
    assert [202, 202] == told["statuses"]
    assert ("inbound", ANA, OURS, "Grüezi 👋", False) == (one.direction, one.sender, one.receiver, one.text, one.unsaid)
    assert [True, True] == [link.startswith(stage.origin) for link in one.media]
    assert [] == stage.asked()


def test_what_the_tenants_own_program_sends_is_heard_when_it_has_left(stage: Stage) -> None:
    """By the vendors' own libraries: queued is no news, sent and delivered are two words on one message."""
    SEND[stage.name](stage)
    soon(lambda: 3 == len(stage.door.heard))

    assert [ANA, ANA] == [one.receiver for one in heard(stage)]
    assert 1 == len({one.message_ref for one in heard(stage)})
    assert {("outbound", OURS, "", stage.name == "sid")} == {
        (one.direction, one.sender, one.text, one.unsaid) for one in heard(stage)
    }


def test_what_was_refused_on_the_way_says_why(stage: Stage) -> None:
    code = {"sid": 30006, "auth_id": 110}[stage.name]
    stage.stage("text", text="hello", sent=True, outcome="failed", code=code, **{"from": OURS, "to": ANA})

    why = {"sid": "text.not_mobile", "auth_id": "text.too_long"}[stage.name]
    assert [("sent", ""), ("failed", why)] == [(one.stage, one.failed) for one in heard(stage)]


# ---- sending ------------------------------------------------------------------------------------------------------

NUMBERS = [{"number": OURS}, {"number": "+34911222000"}, {"number": "+34911000000", "sms": False}]
POST = {"sid": "POST /2010-04-01", "auth_id": "POST /v1/Account"}
EARLY = timedelta(seconds=5)


def sender(stage: Stage) -> TextSender:
    return cast(TextSender, stage.opened(caller_id=OURS))


def send(stage: Stage, words: str = "At four?", number: str = ANA, ours: str = OURS) -> str:
    return sender(stage).text_from(sender=ours, number=number, words=words)


def test_a_message_is_sent_from_a_number_of_ours_and_its_way_is_told(play: Stage) -> None:
    """The number to call from stands first; one that sends no texts is left out."""
    play.begin(**{play.name: play.id}, numbers=NUMBERS)
    assert [OURS, "+34911222000"] == sender(play).senders()

    ref = send(play)
    soon(lambda: 3 == len(play.door.heard))

    assert [(ref, "sent", OURS, ANA), (ref, "delivered", OURS, ANA)] == [
        (one.message_ref, one.stage, one.sender, one.receiver) for one in heard(play)
    ]


@pytest.mark.parametrize(
    ("account", "wish", "code"),
    [
        ({"verified": ["+34600000000"]}, {}, "text.trial"),
        ({"numbers": NUMBERS}, {"ours": "+34911000000"}, "text.sender"),
        ({"numbers": NUMBERS}, {"ours": "+15005550006"}, "text.sender"),
        ({}, {"words": "x" * 1601}, "text.too_long"),
        ({}, {"number": "+nobody"}, "text.no_such_number"),
    ],
    ids=["trial", "cannot", "not ours", "long", "no number"],
)
def test_a_refusal_has_a_name(account: dict[str, Any], wish: dict[str, str], code: str, play: Stage) -> None:
    play.begin(**{play.name: play.id}, **account)
    with pytest.raises(Refused) as refused:
        send(play, **wish)
    assert code == refused.value.code


def test_who_wrote_stop_is_not_written_to(stage: Stage) -> None:
    """Twilio refuses at once, Plivo takes the message and says so afterwards."""
    stage.stage("text", text="Stop ", **{"from": ANA, "to": OURS})
    if stage.name == "sid":
        with pytest.raises(Refused) as refused:
            send(stage)
        assert "text.opted_out" == refused.value.code
    else:
        send(stage)
        soon(lambda: ["text.opted_out"] == [one.failed for one in heard(stage) if one.failed])
    stage.stage("text", text="START", **{"from": ANA, "to": OURS})
    assert send(stage)


def test_what_nobody_answered_for_is_found(stage: Stage) -> None:
    """By whom it was to and when, at Twilio by its words as well; another number's is another message."""
    now = datetime.now(UTC)
    send(stage, number="+34600111333")
    stage.fault(POST[stage.name], "drop_after")
    with pytest.raises(Unanswered):
        send(stage, "Two\nlines")

    told = stage.shown("messages")["messages"]
    mine = [
        Sent(row.get("sid") or row["message_uuid"], OURS)
        for row in told
        if (row.get("to") or "+" + row["to_number"]) == ANA
    ]
    assert mine == sender(stage).sent(number=ANA, words="Two\r\nlines", since=now - EARLY)
    assert [] == sender(stage).sent(number=ANA, words="Two\nlines", since=now + timedelta(minutes=1))
    assert (stage.name == "auth_id") == bool(sender(stage).sent(number=ANA, words="Three", since=now - EARLY))


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, TryLater), (500, Unanswered), (503, Unanswered), (401, ConsentLost)],
)
def test_only_what_surely_was_not_taken_may_be_sent_again(status: int, error: type[Upstream], stage: Stage) -> None:
    stage.fault(POST[stage.name], "status", status=status, retry_after=7)
    with pytest.raises(error) as raised:
        send(stage)
    assert 7.0 == getattr(raised.value, "wait", 7.0)


def _by_twilios_library(stage: Stage) -> None:
    http_client = pytest.importorskip("twilio.http.http_client").TwilioHttpClient
    rest = pytest.importorskip("twilio.rest")

    class Here(http_client):  # type: ignore[misc]  # the package may be missing
        def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            return super().request(method, url.replace("https://api.twilio.com", stage.origin), *args, **kwargs)

    client = rest.Client(SID, TOKEN, http_client=Here())
    sent = client.messages.create(to=ANA, from_=OURS, body="On Tuesday.", status_callback=stage.door.url)
    assert sent.sid.startswith("SM")


def _by_plivos_library(stage: Stage) -> None:
    library = pytest.importorskip("plivo.rest.client")
    with pytest.MonkeyPatch.context() as patch:  # it knows one address
        patch.setattr(library, "PLIVO_API_BASE_URI", f"{stage.origin}/v1/Account")
        client = library.Client(AUTH_ID, TOKEN)
        sent = client.messages.create(src=OURS[1:], dst=ANA[1:], text="On Tuesday.", url=stage.door.url)
    client.session.close()
    client.multipart_session.close()
    assert 1 == len(sent.message_uuid)


SEND: dict[str, Callable[[Stage], None]] = {"sid": _by_twilios_library, "auth_id": _by_plivos_library}


@pytest.fixture(scope="module")
def twilio() -> Iterator[Stage]:
    with staged(VENDORS["twilio"], twilio_apps({})["twilio"], ACCOUNTS["twilio"]) as stage:
        yield stage


def test_the_words_of_what_was_sent_are_asked_for(twilio: Stage) -> None:
    """With its pictures' addresses; gone and unreadable are two things."""
    twilio.begin(sid=SID)
    keeper = cast(TextKeeper, twilio.account)
    twilio.stage("text", text="Look", sent=True, media=1, **{"from": OURS, "to": ANA})
    (row,) = twilio.shown("messages")["messages"]
    where = f"{twilio.origin}/2010-04-01/Accounts/{SID}/Messages/{row['sid']}"

    assert Words("Look", (f"{where}/Media/{row['media'][0]}",)) == keeper.words(row["sid"])
    with pytest.raises(Refused):
        keeper.words("SM" + "0" * 32)
    twilio.fault("GET", "html")
    with pytest.raises(TryLater):
        keeper.words(row["sid"])


def test_news_without_a_time_is_of_the_moment_it_reached_us() -> None:
    noon = datetime(2026, 3, 28, 12, tzinfo=UTC)
    news = TextNews(id="e", message_ref="m", direction="inbound", sender=ANA, receiver=OURS, text="x", unsaid=True)
    dated = news.dated(noon)

    assert (
        TextEvent(
            id="e", message_ref="m", direction="inbound", sender=ANA, receiver=OURS, text="x", unsaid=True, at=noon
        )
        == dated
    )
    assert dated is dated.dated(noon + timedelta(days=1))
