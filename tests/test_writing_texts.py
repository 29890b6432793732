"""Texts written on the console and sent through Twilio and Plivo: once, from a number of ours, and followed."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from domain import conversation, opt_out, segments
from domain.call import TextEvent, TextNews
from domain.errors import Missing
from domain.ports import Organisation
from jobs import log_call, text_sending, texts
from jobs.connect import add_phone_system
from jobs.services import DOOR_URL, upstream
from store.database import Database
from store.embedded import Postgres
from store.tables import effects
from store.tenants import Tenants
from store.vault import Vault
from tests import console_desk
from tests.leg_stage import Stage, soon, staged
from tests.test_form_texts import ACCOUNTS, APPS, NUMBERS, OURS, POST, VENDORS

WORDS = "See you at four, Dana"
OTHER = "+34911222000"


@dataclass
class Here:
    """Bob's desk, and the vendor's understudy behind it."""

    desk: console_desk.Stage
    vendor: Stage
    tie: UUID
    number: str = "+34600333000"

    def __post_init__(self) -> None:
        self.bob = self.desk.browser("bob")
        self.csrf = console_desk.token(self.bob)

    @property
    def tenant(self) -> Any:
        return self.desk.office.tenant

    def someone(self) -> str:
        """Somebody new whom we know."""
        self.number = f"+34{int(self.number[3:]) + 1}"
        services, office = self.desk.services, self.desk.office
        person = console_desk.person("Dana", "Sol", "Sol Ltd", self.number, "")
        (contact,) = console_desk.meet(services, office.tenant, office.crm, [person])
        return f"/console/texts/write?contact={contact}"

    def send(self, page: str, name: UUID, **form: Any) -> Any:
        told = {"csrf_token": self.csrf, "token": name, "to": self.number, "words": WORDS, "do": "send"}
        return self.bob.post(page, data=told | form)

    def seen(self, path: str) -> str:
        return html.unescape(self.bob.get(path).get_data(as_text=True))

    def became(self, token: UUID) -> tuple[str, str]:
        return text_sending.standing(self.desk.services, self.desk.office.bob, f"page {token}")

    def work(self) -> None:
        """Do what is owed of texts to send, whenever it is due and however long the vendor asked us to wait."""
        self.desk.services.gates.forget(upstream(self.vendor.door.vendor.slug, self.tie))
        services, mine = self.desk.services, effects.c.tenant_id == self.tenant
        with services.db.tenant(self.tenant) as database:
            soon, later = services.now() - timedelta(days=1), services.now() + timedelta(days=1)
            database.execute(update(effects).where(mine).values(next_at=later))
            database.execute(update(effects).where(mine, effects.c.kind == text_sending.KIND).values(next_at=soon))
        log_call.act(services, self.tenant)

    def there(self) -> list[Any]:
        """What the vendor has of messages to this number."""
        told = self.vendor.shown("messages")["messages"]
        return [one for one in told if one.get("to", "+" + one.get("to_number", "")) == self.number]

    def hear(self, *, days: int = 0, **wish: Any) -> None:
        """Take over what the vendor said at its door, days later, or have them write to us."""
        if wish:
            self.vendor.stage("text", **{"from": self.number, "to": OURS} | wish)
        services, now = self.desk.services, self.desk.services.now() + timedelta(days=days)
        heard = [one.dated(now) for one in self.vendor.door.heard.values() if isinstance(one, TextNews)]
        texts.hear(services, services.connections.get(self.tenant, self.tie), heard)

    def talk(self) -> Any:
        """The one day of the conversation with them."""
        (day,) = texts.kept(self.desk.services).recent(self.tenant, limit=9, number=self.number)
        return day

    def owed(self) -> str:
        """How the activity of that day stands; it is written meanwhile."""
        same = (effects.c.tenant_id == self.tenant, effects.c.text_id == self.talk().id)
        with self.desk.services.db.tenant(self.tenant) as database:
            state: str = database.execute(select(effects.c.state).where(*same)).scalar_one()
            database.execute(update(effects).where(*same).values(state="done"))
        return state


@pytest.fixture(scope="module", params=["twilio", "plivo"])
def opened(
    request: pytest.FixtureRequest, db: Database, vault: Vault, db_urls: Postgres, work_url: str, mail_url: str
) -> Iterator[Here]:
    slug, made = request.param, Tenants(db, vault)
    real = {"redis_url": work_url, "allowed_private_hosts": ("127.0.0.1",)}
    alices, charlies = (
        made.create(Organisation(remote_id=f"{slug}{n}", name="X", time_zone="UTC", country="ES"), profile="strict")
        for n in range(2)
    )
    with (
        staged(VENDORS[slug], APPS[slug]({})[slug], ACCOUNTS[slug]) as vendor,
        console_desk.running(db_urls.app_url, mail_url, alices, charlies, **real) as desk,
    ):
        told = vendor.told | {"api_url": vendor.origin, "caller_id": OURS}
        door = add_phone_system(desk.services, user=desk.office.alice, vendor=slug, account=told)
        desk.services.connections.set_cursor(alices, door.tie, DOOR_URL, vendor.door.url)
        yield Here(desk, vendor, door.tie)


at_twilio = pytest.mark.parametrize("opened", ["twilio"], indirect=True)  # where it is not about a vendor's ways


@pytest.fixture
def here(opened: Here) -> Here:
    """Nothing is owed of an earlier test."""
    with opened.desk.services.db.tenant(opened.tenant) as database:
        database.execute(update(effects).where(effects.c.tenant_id == opened.tenant).values(state="dropped"))
    opened.vendor.begin(**{opened.vendor.name: opened.vendor.id}, numbers=NUMBERS)
    return opened


def test_a_text_is_sent_once_and_followed(here: Here) -> None:
    """Its form twice, done twice: one message from the number chosen, in its conversation at once.

    What the vendor tells of it after midnight belongs there too.
    """
    page, token = here.someone(), uuid4()
    assert f'<option value="{OURS}"' in here.seen(page).split(f'<option value="{OTHER}"')[0]
    for _ in range(2):
        onward = here.send(page, token, sender=OTHER).headers["Location"]
    assert "on its way" in here.seen(onward)

    for _ in range(2):
        here.work()

    assert "Your text was sent" in here.seen(onward)
    assert 1 == len(here.there())
    talk = here.talk()
    assert [(OTHER, WORDS, "queued", here.desk.office.bob.id)] == [
        (one.sender, one.text, one.stage, talk.user) for one in talk.messages
    ]
    assert "due" == here.owed()
    soon(lambda: 3 == len(here.vendor.door.heard))
    here.hear(days=1)
    assert "done" == here.owed(), "that it was delivered changes nothing there"
    assert ["delivered", False, WORDS] == [
        getattr(here.talk().messages[0], name) for name in ("stage", "unsaid", "text")
    ]
    shown = here.seen(f"/console/texts/{talk.id}")
    assert [True, True, True] == [said in shown for said in ("Bob Agent", "Delivered", f"write?text={talk.id}")]
    assert f'<option value="{OTHER}"' in here.seen(f"/console/texts/write?text={talk.id}").split(OURS)[0]


@pytest.mark.parametrize(("fault", "looks"), [({"action": "drop_after"}, 1), ({"action": "status", "status": 503}, 2)])
def test_an_answer_that_was_lost_makes_no_second_message(fault: dict[str, Any], looks: int, here: Here) -> None:
    """Taken, it is found; not taken, it is sent after two looks. What was sent before with the same words is not it."""
    page, before, token = here.someone(), uuid4(), uuid4()
    here.send(page, before)
    here.work()
    here.vendor.fault(POST[here.vendor.name], **fault)
    here.send(page, token)

    here.work()
    assert "unknown" == here.became(token)[0]
    for _ in range(looks):
        here.work()

    assert ["done", "done"] == [here.became(one)[0] for one in (before, token)]
    assert 2 == len(here.there()) == len(here.talk().messages)


@pytest.mark.parametrize("shown", [True, False], ids=["two of them", "no list"])
def test_where_nobody_can_tell_it_is_said(shown: bool, here: Here) -> None:
    """And nothing is sent: another message may be it as well, or the vendor does not show its messages."""
    page, token = here.someone(), uuid4()
    here.vendor.fault(POST[here.vendor.name], "drop_after")
    onward = here.send(page, token).headers["Location"]
    here.work()
    if shown:
        here.vendor.stage("text", text=WORDS, sent=True, drop=1, **{"from": OURS, "to": here.number})
    else:
        here.vendor.fault("GET", "status", status=404)
    here.work()

    assert ("dead", "text.unsure") == here.became(token)
    assert "Nobody knows whether your text was sent" in here.seen(onward)
    assert 1 + shown == len(here.there())


@at_twilio
def test_who_wrote_stop_is_not_written_to_until_they_write_start(here: Here) -> None:
    page = here.someone()
    here.hear(text="Stop")
    assert "asked not to be written to" in here.seen(page)
    assert "texts/write?" not in here.seen(f"/console/texts/{here.talk().id}")
    refused = here.send(page, token := uuid4())
    assert (400, []) == (refused.status_code, here.there()[1:])
    with pytest.raises(Missing):
        here.became(token)

    here.hear(text="START")
    assert 303 == here.send(page, uuid4()).status_code


def test_what_did_not_arrive_says_why(here: Here) -> None:
    """On the page and, where people read it, in the CRM."""
    why = "could not be reached"
    here.vendor.stage("next_text", outcome="failed", code={"sid": 30003, "auth_id": 80}[here.vendor.name])
    here.send(here.someone(), uuid4())
    here.work()
    assert "due" == here.owed()
    soon(lambda: 3 == len(here.vendor.door.heard))
    here.hear()

    assert "due" == here.owed()
    talk = here.talk()
    assert [True, True] == [said in here.seen(f"/console/texts/{talk.id}") for said in ("Not delivered", why)]
    said = conversation.words(talk.messages, "7", console_desk.UTC, "Dana", lambda _: "Bob")  # type: ignore[arg-type]
    assert f"{WORDS} (not delivered: the telephone {why})" in said


@at_twilio
@pytest.mark.parametrize(
    ("account", "form", "reason"),
    [
        ({"verified": ["+34600000000"]}, {}, "text.trial"),
        ({}, {"sender": "+15005550006"}, "text.sender"),
        ({"numbers": [{"number": OURS, "sms": False}]}, {}, "text.no_sender"),
    ],
    ids=["trial", "not ours", "none"],
)
def test_a_refusal_is_final_and_named(account: Any, form: Any, reason: str, here: Here) -> None:
    here.vendor.begin(**{here.vendor.name: here.vendor.id}, **{"numbers": NUMBERS} | account)
    onward = here.send(here.someone(), token := uuid4(), **form).headers["Location"]
    here.work()

    assert (("dead", reason), []) == (here.became(token), here.there())
    assert "The code is" not in here.seen(onward)


@at_twilio
def test_a_full_queue_is_waited_for(here: Here) -> None:
    here.vendor.fault(POST[here.vendor.name], "status", status=429, retry_after=9)
    here.send(here.someone(), token := uuid4())
    here.work()
    assert ("due", []) == (here.became(token)[0], here.there())
    here.work()
    assert ("done", 1) == (here.became(token)[0], len(here.there()))


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "parts": ({"words": "í" * 671}, 400, "at most 10 parts"),
    "long": ({"words": "x" * 2_001}, 400, "At most 2000 characters"),
    "empty": ({"words": ""}, 400, "Please fill this in"),
    "control": ({"words": "a\x07b"}, 400, "cannot be sent"),
    "not theirs": ({"to": "+34600999999"}, 400, "choose one of these"),
    "token": ({"token": "x"}, 400, "Not a valid UUID"),
    "length": ({"do": "count", "words": "í" * 71}, 200, "71 characters, sent as 2 parts"),
}


@at_twilio
def test_a_bad_form_owes_nothing(here: Here) -> None:
    page, token = here.someone(), uuid4()
    for name, (form, status, said) in BAD.items():
        answer = here.send(page, token, **form)
        assert (name, status, True) == (name, answer.status_code, said in answer.get_data(as_text=True))
    with pytest.raises(Missing):
        here.became(token)


@at_twilio
def test_next_door_sees_nothing_of_it(here: Here) -> None:
    page = here.someone()
    onward = here.send(page, uuid4()).headers["Location"]
    charlie = here.desk.browser("charlie")
    assert [404, 404, 400, 400] == [
        charlie.get(path).status_code
        for path in (page, onward, "/console/texts/write", f"/console/texts/write?text={uuid4()}&call={uuid4()}")
    ]


# ---- by itself ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parts", "unusual"),
    [
        ("", 0, ""),
        ("x" * 160, 1, ""),
        ("x" * 161, 2, ""),
        ("€" * 80, 1, ""),
        ("€" * 81, 2, ""),
        ("x" * 152 + "€" + "x" * 153, 3, ""),
        ("í" + "x" * 69, 1, "í"),
        ("í" + "x" * 70, 2, "í"),
        ("👋" * 35, 1, "👋"),
        ("👋" * 66, 2, "👋"),
        ("👋" * 67, 3, "👋"),
    ],
)
def test_a_message_is_counted_in_the_parts_it_is_charged_for(words: str, parts: int, unusual: str) -> None:
    """A character of two places is never torn apart: 33 of them in a part of 67."""
    assert segments.Length(len(words), parts, unusual) == segments.measure(words)


def event(number: int, text: str = "", **told: Any) -> TextEvent:
    at = datetime(2026, 3, 28, 9, number, tzinfo=UTC)
    given: dict[str, Any] = {"message_ref": "m", "direction": "inbound", "sender": "a", "receiver": "b"} | told
    return TextEvent(id=f"e{number}", at=at, text=text, **given)


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        ([], False),
        ([event(1, " Stop\n")], True),
        ([event(1, "Stop it!")], False),
        ([event(2, "hello"), event(1, "UNSUBSCRIBE")], True),
        ([event(2, "start"), event(1, "stop")], False),
        ([event(1, "stop", direction="outbound")], False),
        ([event(1, "hi", direction="outbound", failed="text.opted_out")], True),
    ],
)
def test_the_last_word_on_it_counts(newest_first: list[TextEvent], expected: bool) -> None:
    assert expected == opt_out.stopped(newest_first)


def test_two_accounts_of_a_message_are_one_however_they_come() -> None:
    """What we wrote and what the vendor told of it; a failure that is news of no message we know is none."""
    ours = event(2, WORDS, direction="outbound", agent_email="bob@a.example", stage="queued")
    told = event(1, direction="outbound", unsaid=True, stage="sent")
    lost = event(3, direction="outbound", unsaid=True, stage="failed", failed="text.blocked")

    for order in ([ours, told, lost], [lost, told, ours], [told, lost, ours]):
        (one,) = conversation.together(order[:1], conversation.news(order[:1], order[1:]))
        assert ("e1", WORDS, "bob@a.example", False, "failed", "text.blocked") == (
            one.id,
            one.text,
            one.agent_email,
            one.unsaid,
            one.stage,
            one.failed,
        )
    assert ([], [told, lost]) == (conversation.news([], [lost]), conversation.news([], [told, lost]))
