"""A text message written on a card: sent once through the phone system, soon, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from domain.errors import Refused, Unanswered
from jobs import log_call, text_sending
from jobs.cards import reader
from jobs.services import Services
from store.embedded import Postgres
from store.tables import effects
from tests import google_stage
from tests.card_hosts import DANA, DANAS, Office, buttons, card, office, said

WORDS = "See you at four, <Dana> & co"


@pytest.fixture(scope="module")
def google() -> Iterator[google_stage.Stage]:
    with google_stage.running() as stage:
        yield stage


@pytest.fixture(scope="module")
def here(db_urls: Postgres, work_url: str, mail_url: str, google: google_stage.Stage) -> Iterator[Office]:
    with office(db_urls, work_url, mail_url, google) as opened:
        yield opened


class Phones:
    """What the phone system was asked, and what it answers."""

    def __init__(self) -> None:
        self.sent: list[dict[str, str]] = []
        self.trouble: list[Exception] = []

    def text(self, **told: str) -> str:
        self.sent.append(told)
        if self.trouble:
            raise self.trouble.pop()
        return f"sms-{told['key']}"


@pytest.fixture(autouse=True)
def phones(here: Office, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phones]:
    """Everything that was owed before is over."""
    made = Phones()
    monkeypatch.setattr(Services, "phone_system", lambda *_: made)
    monkeypatch.setattr(reader, "BUDGET_SECONDS", 20.0)
    yield made
    (tie,) = here.services.connections.all(here.bob.tenant, kind="telephony")
    here.services.connections.set_facts(here.bob.tenant, tie.id, **{text_sending.CANNOT: False})


def form(here: Office) -> dict[str, str]:
    """What the form's button says, found on Dana's card."""
    person = card(here.open(message=here.mail()))
    asked = next(told for told in buttons(person) if told["do"] == "text")
    shown = card(here.press("text", **{name: value for name, value in asked.items() if name != "do"}))
    assert "text" == shown["name"]
    return {name: value for name, value in buttons(shown)[0].items() if name != "do"}


def send(here: Office, told: dict[str, str], words: str = WORDS) -> dict[str, Any]:
    return here.press("text.send", **told, formInputs={"text": {"stringInputs": {"value": [words]}}})


def act(here: Office) -> tuple[str, str]:
    """Do what is owed now; return how the latest message stands."""
    mine = (effects.c.tenant_id == here.bob.tenant, effects.c.kind == text_sending.KIND)
    with here.services.db.tenant(here.bob.tenant) as database:
        database.execute(update(effects).where(*mine).values(next_at=here.services.now() - timedelta(days=1)))
    log_call.act(here.services, here.bob.tenant)
    row = max(here.owed(text_sending.KIND), key=lambda one: one.created_at)
    return row.state, row.reason


def test_what_is_written_on_a_card_is_sent_once(here: Office, phones: Phones) -> None:
    """Pressed twice, done twice: one message, from Bob, to Dana's number, word for word; nothing of it is kept."""
    told = form(here)
    assert (DANAS, True) == (told["number"], DANA not in told.values())
    for _ in range(2):
        assert "on its way" in said(send(here, told))
    assert ("done", "") == act(here)
    act(here)

    (sent,) = phones.sent
    assert (DANAS, WORDS, here.bob.email) == (sent["number"], sent["words"], sent["agent_email"])
    assert None is max(here.owed(text_sending.KIND), key=lambda one: one.created_at).payload


def test_a_lost_answer_is_asked_for_under_the_same_key(here: Office, phones: Phones) -> None:
    phones.trouble = [Unanswered()]
    send(here, form(here))
    assert "unknown" == act(here)[0]
    assert "done" == act(here)[0]
    assert 1 == len({one["key"] for one in phones.sent})


def test_an_old_message_is_not_sent(here: Office, phones: Phones) -> None:
    """Ten minutes later whoever wrote it has called instead."""
    send(here, form(here))
    mine = (effects.c.tenant_id == here.bob.tenant, effects.c.kind == text_sending.KIND)
    with here.services.db.tenant(here.bob.tenant) as database:
        early = here.services.now() - timedelta(minutes=11)
        database.execute(update(effects).where(*mine, effects.c.state == "due").values(created_at=early))
    log_call.act(here.services, here.bob.tenant)

    assert ([], "text.stale") == (phones.sent, next(one.reason for one in here.owed(text_sending.KIND) if one.reason))


def test_a_platform_that_sends_none_is_not_offered_again(here: Office, phones: Phones) -> None:
    phones.trouble = [Refused("no", code="text.unsupported")]
    send(here, form(here))
    assert ("dead", "text.unsupported") == act(here)
    assert "text" not in {told["do"] for told in buttons(card(here.open(message=here.mail())))}


@pytest.mark.parametrize(
    ("number", "words", "seen"),
    [
        (DANAS, "", "check what you filled in"),
        ("112", WORDS, "Emergency numbers"),
        ("no number", WORDS, "not a number"),
        ("201", WORDS, "No text message can be sent"),
        (DANAS, "x" * 1_001, "check what you filled in"),
    ],
    ids=["nothing", "an emergency", "no number", "inside", "too long"],
)
def test_what_cannot_be_sent_is_said_and_not_owed(number: str, words: str, seen: str, here: Office) -> None:
    before = len(here.owed(text_sending.KIND))
    assert seen in said(send(here, form(here) | {"number": number}, words))
    assert before == len(here.owed(text_sending.KIND))
