"""A missed call told in Google Chat: in the user's own conversation with the app, once, while they want it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from domain.call import CallEvent
from jobs import chat_news, chat_spaces, log_call, workspace
from jobs.cards import reader
from store.embedded import Postgres
from store.tables import effects
from tests import console_desk, google_stage, house
from tests.card_hosts import BOB, DANAS, Json, Office, buttons, office, said
from tests.robot import hired, key_file

SAME = {"Sec-Fetch-Site": "same-origin"}
SAYING = "POST /v1/spaces/*/messages"


@pytest.fixture(scope="module")
def google() -> Iterator[google_stage.Stage]:
    with google_stage.running() as stage:
        yield stage


@pytest.fixture(scope="module")
def here(db_urls: Postgres, work_url: str, mail_url: str, google: google_stage.Stage) -> Iterator[Office]:
    told = {"GOOGLE_SERVICE_ACCOUNT_KEY": key_file(), "GOOGLE_TOKEN_URI": f"{google.origin}/token"}
    with office(db_urls, work_url, mail_url, google, **told) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quiet(here: Office, google: google_stage.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was said, and Bob and the app have not met."""
    monkeypatch.setattr(reader, "BUDGET_SECONDS", 20.0)
    google.delete("faults")
    hired(google)
    chat_spaces.spaces(here.services).forget(here.bob.tenant, here.bob.id)


def meet(here: Office, language: str = "en", host: str = "addedToSpacePayload") -> str:
    """Bob adds the app."""
    name = str(here.google.post("chat/space", user=BOB)["name"])
    here.open("CHAT", chat={host: {"space": {"name": name, "type": "DM"}}}, locale=language)
    return name


def miss(here: Office, ref: str, outcome: str = "missed", ago: int = 60, caller: str = DANAS, **more: Any) -> None:
    """Somebody calls Bob in vain; it is told twice."""
    services, tenant = here.services, here.bob.tenant
    (tie,) = services.connections.all(tenant, kind="telephony")
    at = services.now() - timedelta(seconds=ago)
    events = [
        CallEvent(
            id=f"{ref}-{kind}-{outcome}",
            type=kind,  # type: ignore[arg-type]  # both are
            at=at + timedelta(seconds=after),
            call_ref=ref,
            direction=more.get("direction", "inbound"),
            caller=caller,
            callee="+34911222333",
            agent_email=here.bob.email,
            **extra,
        )
        for kind, after, extra in (
            ("ringing", 0, {}),
            ("ended", 20, {"outcome": outcome, "transcript": more.get("transcript", "")}),
        )
    ]
    for _ in range(2):
        log_call.take_over(services, tie, services.calls.hear(tenant, tie.id, events))


def act(here: Office) -> None:
    """Do what is owed of it, as if its time had come."""
    with here.services.db.tenant(here.bob.tenant) as database:
        mine = (effects.c.tenant_id == here.bob.tenant, effects.c.kind == chat_news.KIND)
        database.execute(update(effects).where(*mine).values(next_at=here.services.now() - timedelta(days=1)))
    log_call.act(here.services, here.bob.tenant)


def messages(here: Office, space: str) -> list[Json]:
    found: list[Json] = here.google.get("chat")["messages"].get(space, [])
    return found


def last(here: Office) -> tuple[str, str]:
    """How the latest of the cards stands."""
    row = max(here.owed(chat_news.KIND), key=lambda one: one.created_at)
    return row.state, row.reason


def test_a_missed_call_is_told_once_and_can_be_returned(here: Office) -> None:
    """To the name of who called, with a button that rings Bob's telephone once."""
    space = meet(here)
    miss(here, "m1")
    act(here)
    act(here)

    (told,) = messages(here, space)
    assert ("Missed call: Dana Quince", "Dana Quince" in said(told)) == (told["fallbackText"], True)
    back = [each for each in buttons(told) if each["do"] == "dial"]
    before = len(here.owed("dial"))
    for _ in range(2):
        here.open("CHAT", parameters=back[0], chat={"buttonClickedPayload": {"space": {"name": space, "type": "DM"}}})
    assert before + 1 == len(here.owed("dial"))


def test_a_voicemail_has_a_card_of_its_own_in_the_users_language(here: Office) -> None:
    """With its words; the card of the missed call, not yet told, is none any more."""
    space = meet(here, "es")
    miss(here, "v1", caller="")
    miss(here, "v1", "voicemail", caller="", transcript="Call me <back>")
    act(here)

    (told,) = messages(here, space)
    assert "Mensaje de voz: Número oculto" == told["fallbackText"]
    assert "Call me &lt;back&gt;" in said(told)


NOT_TOLD: dict[str, Json] = {
    "an hour ago": {"ago": 3_700},
    "one that was answered": {"outcome": "answered"},
    "one of our own": {"direction": "outbound"},
}


@pytest.mark.parametrize("call", NOT_TOLD.values(), ids=NOT_TOLD)
def test_what_is_no_news_is_not_owed(call: Json, here: Office, request: pytest.FixtureRequest) -> None:
    meet(here)
    before = len(here.owed(chat_news.KIND))
    miss(here, f"n-{request.node.name}", **call)
    assert before == len(here.owed(chat_news.KIND))


def test_whoever_does_not_want_it_is_left_alone(here: Office) -> None:
    """Switched off between owing and telling, never met, or disconnected: nothing is said."""
    space = meet(here)
    miss(here, "w1")
    chat_spaces.switch(here.services, here.bob, on=False)
    act(here)
    assert ([], ("dropped", "chat.off")) == (messages(here, space), last(here))
    meet(here, host="messagePayload")
    assert not chat_spaces.spaces(here.services).of(here.bob.tenant, here.bob.id).on  # type: ignore[union-attr]  # there

    workspace.unlink(here.services, here.bob)
    assert chat_spaces.spaces(here.services).of(here.bob.tenant, here.bob.id) is None
    workspace.link(here.services, here.bob, here.subjects[BOB])


def test_taken_out_of_the_conversation_it_is_silent(here: Office) -> None:
    """By Chat's word, or when Chat says so at the next card; another space's goodbye is not this one's."""
    space = meet(here)
    here.open("CHAT", chat={"removedFromSpacePayload": {"space": {"name": "spaces/other", "type": "ROOM"}}})
    assert chat_spaces.spaces(here.services).of(here.bob.tenant, here.bob.id) is not None
    here.open("CHAT", chat={"removedFromSpacePayload": {"space": {"name": space, "type": "DM"}}})
    assert chat_spaces.spaces(here.services).of(here.bob.tenant, here.bob.id) is None

    here.google.post("chat/leave", space=meet(here))
    miss(here, "l1")
    act(here)
    assert ("dropped", "chat.left") == last(here)
    assert chat_spaces.spaces(here.services).of(here.bob.tenant, here.bob.id) is None


def test_a_lost_answer_is_asked_for_again_and_nothing_is_said_twice(here: Office) -> None:
    space = meet(here)
    here.google.fault(SAYING, "drop_after", times=2)
    miss(here, "u1")
    act(here)
    assert "due" == last(here)[0]
    for _ in range(3):
        act(here)

    assert (1, "done") == (len(messages(here, space)), last(here)[0])


DISABLED = {"error": {"code": 403, "status": "PERMISSION_DENIED", "details": [{"reason": "SERVICE_DISABLED"}]}}
NOT_OURS: dict[str, tuple[Json, str]] = {
    "the API is switched off": ({"status": 403, "body": DISABLED}, "feature.off"),
    "its token is taken no more": ({"status": 401, "times": 2}, "consent.lost"),
}


@pytest.mark.parametrize(("fault", "reason"), NOT_OURS.values(), ids=NOT_OURS)
def test_a_project_that_may_not_loses_nobodys_conversation(
    fault: Json, reason: str, here: Office, request: pytest.FixtureRequest
) -> None:
    """It waits, and is no trouble of the telephones."""
    meet(here)
    (before,) = here.services.connections.all(here.bob.tenant, kind="telephony")
    here.google.fault(SAYING, "status", **fault)
    miss(here, f"p-{request.node.name}")
    act(here)

    assert ("due", reason) == last(here)
    assert chat_spaces.spaces(here.services).of(here.bob.tenant, here.bob.id) is not None
    assert [before] == here.services.connections.all(here.bob.tenant, kind="telephony")


def test_it_is_switched_on_the_page_of_ones_own(here: Office) -> None:
    """Before they met it says how; a switch that says neither is refused."""
    client = console_desk.application(here.services, console_desk.Stories()).test_client()
    value = here.services.directory.new("session", here.bob.tenant, user=here.bob.id)
    client.set_cookie("__Host-linekeeper_session", value, domain=house.ORIGIN.removeprefix("https://"), secure=True)

    def page() -> str:
        return client.get("/console/workspace", base_url=house.ORIGIN).get_data(as_text=True)

    def switch(on: str) -> int:
        form = {"csrf_token": page().split('name="csrf_token" value="', 1)[1].split('"', 1)[0], "on": on}
        sent = client.post("/console/workspace/chat", data=form, base_url=house.ORIGIN, headers=SAME)
        return sent.status_code

    assert "Add Linekeeper in Google Chat" in page()
    meet(here)
    assert "Do not tell me there" in page()
    assert (400, 303) == (switch("maybe"), switch("no"))
    assert "Linekeeper says nothing of missed calls" in page()
