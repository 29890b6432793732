"""Text messages of Twilio and Plivo: what came, what was sent, and what it said, against their understudies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from domain.call import TextEvent, TextNews
from domain.errors import Refused, TryLater
from domain.ports import TextKeeper, Words
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


def test_what_was_refused_on_the_way_was_sent_once(stage: Stage) -> None:
    stage.stage("text", text="hello", sent=True, outcome="failed", **{"from": OURS, "to": ANA})

    assert 1 == len(heard(stage))


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
