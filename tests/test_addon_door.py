"""The add-on's door: who is believed, who is let in, and what each press does, once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from integrations.google.hosts import CALENDAR, COMPOSE, EMAIL, MESSAGE, MESSAGE_TEXT
from jobs import workspace
from jobs.cards import reader
from jobs.cards.reader import BUDGET_SECONDS
from store.database import TenantId
from store.embedded import Postgres
from tests import console_desk, google_stage
from tests.card_hosts import ALL, BOB, DANAS, EVE, EVES, SIGNED_IN, Json, Office, buttons, card, office, said

MESSAGES = "GET /gmail/v1/users/me/messages/*"
DOCUMENT, SHEET = "application/vnd.google-apps.document", "application/vnd.google-apps.spreadsheet"


@pytest.fixture(scope="module")
def google() -> Iterator[google_stage.Stage]:
    with google_stage.running() as stage:
        yield stage


@pytest.fixture(scope="module")
def here(db_urls: Postgres, work_url: str, mail_url: str, google: google_stage.Stage) -> Iterator[Office]:
    with office(db_urls, work_url, mail_url, google) as opened:
        yield opened


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow Google: only the test of one has the time that users have."""
    monkeypatch.setattr(reader, "BUDGET_SECONDS", 20.0)


# ---- who is believed ------------------------------------------------------------------------------------------------

TAMPER: dict[str, Callable[[Office, Json], Any]] = {
    "no token": lambda here, event: event["headers"].pop("Authorization") and _without_tokens(event),
    "no bearer": lambda here, event: event["headers"].update(Authorization="Basic YTpi"),
    "a token of nonsense": lambda here, event: event["headers"].update(Authorization="Bearer a.b.c"),
    "a token without end": lambda here, event: event["headers"].update(Authorization="Bearer " + "A" * 9_000),
    "signed for another address": lambda here, event: event["headers"].update(
        Authorization=here.google.post(
            "addon/event", host="GMAIL", user=BOB, endpoint="https://charlie.example/addon/google", scopes=ALL
        )["headers"]["Authorization"]
    ),
    "the user's token for the host's": lambda here, event: event["headers"].update(
        Authorization="Bearer " + json.loads(event["body"])["authorizationEventObject"]["userIdToken"]
    ),
    "Chat's word for a message": lambda here, event: event.update(here.event(by_chat=True)),
    "the host's token for the user's": lambda here, event: _change(
        event, lambda access: access.update(userIdToken=access["systemIdToken"])
    ),
    "a user's token of nonsense": lambda here, event: _change(event, lambda access: access.update(userIdToken="a.b.c")),
}


def _change(event: Json, change: Callable[[Json], Any]) -> None:
    body = json.loads(event["body"])
    change(body["authorizationEventObject"])
    event["body"] = json.dumps(body)


def _without_tokens(event: Json) -> None:
    _change(event, lambda access: access.pop("systemIdToken"))


@pytest.mark.parametrize("tamper", TAMPER.values(), ids=TAMPER)
def test_who_cannot_be_believed_learns_nothing(tamper: Callable[[Office, Json], Any], here: Office) -> None:
    """One answer for every reason; nothing is owed and nothing is noted."""
    rows = len(here.services.ledger.rows(here.bob.tenant, limit=500))
    event = here.event(parameters={"do": "dial", "number": DANAS, "key": "forged"})
    tamper(here, event)

    answer = here.send(event)

    assert (401, "unauthentic") == (answer.status_code, answer.json["code"])
    assert rows == len(here.services.ledger.rows(here.bob.tenant, limit=500))


def test_an_expired_token_is_none(here: Office, google: google_stage.Stage) -> None:
    """An hour and a minute later."""
    google.post("clock", advance=-3_700)
    event = here.event()
    google.post("clock", advance=3_700)
    assert 401 == here.send(event).status_code


def test_the_hosts_token_may_be_in_the_body(here: Office) -> None:
    """Where the manifest asks for no header."""
    event = here.event()
    del event["headers"]["Authorization"]
    assert 200 == here.send(event).status_code


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"[]", 400), (b'{"a":' * 10_000, 400), (b"{}", 400), (b" " * 262_145, 413)]
)
def test_what_is_no_event_is_refused(body: bytes, status: int, here: Office) -> None:
    event = here.event()
    event["body"] = body
    answer = here.send(event)
    assert (status, "application/problem+json") == (answer.status_code, answer.content_type)


def test_the_form_of_a_knock(here: Office) -> None:
    """JSON by POST at one address; a trigger of theirs is none."""
    event = here.event()
    assert 405 == here.client.get("/addon/google").status_code
    assert 415 == here.send(event | {"headers": {"Content-Type": "text/plain"}}).status_code
    for query in ("?on=fire", "?on=compose&on=compose", "?of=compose"):
        assert 400 == here.send(event | {"url": event["url"] + query}).status_code


# ---- who is let in --------------------------------------------------------------------------------------------------


def test_who_may_not_say_who_they_are_is_asked(here: Office) -> None:
    """Google prompts, and makes the same call again."""
    told = here.open(scopes=())
    assert {"requesting_google_scopes": {"scopes": sorted(["openid", EMAIL])}} == told
    assert "home" == card(here.open(scopes=SIGNED_IN))["name"]


def test_a_stranger_hears_how_to_be_let_in(here: Office) -> None:
    """In their language, with a way there; nothing of anybody is shown."""
    told = here.open(user=google_stage.CHARLIE, locale="de", message=None)
    shown = card(told["custom_authorization_prompt"])

    assert ("sign-in", "Konto verbinden") == (shown["name"], shown["header"]["title"])
    assert "/console/workspace" in said(shown)
    assert "Dana" not in said(told)
    chat = here.open("CHAT", user=google_stage.CHARLIE, chat={"messagePayload": {"space": {"type": "DM"}}})
    assert chat["basicAuthorizationPrompt"]["authorizationUrl"].endswith("/console/workspace")


def test_a_neighbour_sees_their_own_office_only(here: Office, neighbour: TenantId) -> None:
    """Charlie is let in next door; Alice's people are not found there, nor her calls by their ids."""
    services = here.services
    next_door = console_desk.furnish(services, neighbour, "Charlie", "Carol")
    workspace.link(services, next_door.alice, here.subjects[google_stage.CHARLIE])
    call = str(services.calls.recent(here.bob.tenant)[0].id)
    try:
        found = here.open(user=google_stage.CHARLIE, parameters={"do": "find", "what": "Dana"})
        gone = here.open(user=google_stage.CHARLIE, parameters={"do": "note", "call": call})
        person = here.open(user=google_stage.CHARLIE, parameters={"do": "person", "contact": str(here.dana)})
        kept = here.open(user=google_stage.CHARLIE, parameters={"do": "note.keep", "call": call, "note": "mine"})
        assert ["found", "wrong", "wrong", "wrong"] == [card(each)["name"] for each in (found, gone, person, kept)]
        assert "Quince" not in said([found, gone, person])
    finally:
        workspace.unlink(services, next_door.alice)
    assert services.calls.recent(here.bob.tenant)[0].remark is None


def test_who_left_is_a_stranger(here: Office) -> None:
    """An account that was taken back opens nothing, and opens again once linked."""
    assert 1 == workspace.linked(here.services, here.bob)
    workspace.unlink(here.services, here.bob)
    try:
        assert "custom_authorization_prompt" in here.open()
    finally:
        workspace.link(here.services, here.bob, here.subjects[BOB])
    assert "action" in here.open()


# ---- what hosts open ------------------------------------------------------------------------------------------------


def test_home_has_calls_and_a_dialler(here: Office) -> None:
    """Who called in vain stands first, with a button that rings back."""
    shown = card(here.open(locale="es", zone="Europe/Madrid"))

    assert "Teléfono" == shown["header"]["title"]
    assert ["dial", "dial", "person"] == [told["do"] for told in buttons(shown)][:3]
    assert 2 == said(shown).count("'text': 'Dana Quince'"), "each call once: the missed one and the one that was spoken"


def test_the_open_message_says_who_wrote_it(here: Office) -> None:
    """Record, numbers, last calls, what can be done. Only headers are read, by the message's own token, and nothing of
    it stays."""
    here.google.delete("requests")
    shown = card(here.open(message=here.mail()))

    assert ("person", "Dana Quince") == (shown["name"], shown["header"]["title"])
    assert "https://crm.zoho.eu/crm/org20001/tab/Contacts/90000" in said(shown)
    assert {"dial", "note", "later"} <= {told["do"] for told in buttons(shown)}
    assert "+34 600 11 12 22" in said(shown)
    assert {"GET /gmail/v1/users/{user_id}/messages/{message_id}": 1} == here.google.counts()
    assert [] == [*here.services.mail.of_contact(here.bob.tenant, here.dana, 10)]


def test_a_stranger_who_wrote_can_become_a_lead(here: Office) -> None:
    """With the number of their signature where its text may be read, without it where not."""
    message = here.mail(f"Eve Elsewhere <{EVE}>", "Call me.\n\nEve\n+44 20 7946 0001")
    narrow = card(here.open(message=message))
    wide = card(here.open(message=message, scopes=(*ALL, MESSAGE_TEXT)))

    assert ("Eve Elsewhere", False) == (narrow["header"]["title"], "7946" in said(narrow))
    (lead,) = [told for told in buttons(wide) if told["do"] == "lead"]
    assert (EVES, EVE) == (lead["number"], lead["email"])


def test_several_on_a_message_are_a_list(here: Office) -> None:
    """Whoever wrote it first; Bob himself is not on it."""
    shown = card(here.open(message=here.mail(cc=f"{EVE}, bob@a.example")))
    names = [told.get("email") or told.get("contact") for told in buttons(shown) if told["do"] == "person"]
    assert ("people", [str(here.dana), EVE]) == (shown["name"], names)


def test_a_colleague_is_no_lead(here: Office) -> None:
    """Alice works here."""
    shown = card(here.open(message=here.mail("Alice <Alice@a.example>")))
    assert ("Alice Admin", "Alice Ltd") == (shown["header"]["title"], shown["header"]["subtitle"])
    assert "lead" not in [told["do"] for told in buttons(shown)]


def test_a_message_that_may_not_be_read_is_asked_for(here: Office) -> None:
    """Nothing is read before."""
    asked = {"requesting_google_scopes": {"scopes": [MESSAGE]}}
    assert asked == here.open(message=here.mail(), scopes=SIGNED_IN)


def test_who_is_in_a_meeting_can_be_called(here: Office) -> None:
    attendees = [{"email": "Dana@quince.example"}, {"email": EVE}]
    shown = card(here.open("CALENDAR", calendar={"id": "e1", "organizer": {"email": BOB}, "attendees": attendees}))
    assert str(here.dana) in [told.get("contact") for told in buttons(shown)]
    assert DANAS in [told.get("number") for told in buttons(shown)]


@pytest.mark.parametrize("host", ["DOCS", "SHEETS", "SLIDES", "DRIVE"])
def test_a_file_is_seen_only_once_it_was_allowed(host: str, here: Office) -> None:
    """First the dialler and a question; then its numbers, each with whose it is."""
    kind = {"SHEETS": SHEET}.get(host, DOCUMENT.replace("document", "presentation") if host == "SLIDES" else DOCUMENT)
    export, text = (
        ("text/csv", f"who,tel\nDana,{DANAS}\nEve,020 7946 0001\n")
        if host == "SHEETS"
        else (
            "text/plain",
            f"Dana {DANAS}, Eve +44 20 7946 0001, room 201",
        )
    )
    here.google.post("files", user=BOB, id="f1", kind=export, text=text)
    item: Json = {"id": "f1", "title": "List", "mimeType": kind}
    part = {"drive": {"selectedItems": [item]}} if host == "DRIVE" else {host.lower(): {"id": "f1", "title": "List"}}
    home = card(here.open(host, **part))
    assert ("home", True) == (home["name"], "file.ask" in [told["do"] for told in buttons(home)])
    asked = here.press("file.ask", host, **({"drive": part["drive"]} if host == "DRIVE" else {}))
    assert "hostAppAction" in asked["renderActions"]

    granted = {"addonHasFileScopePermission": True}
    part = {"drive": {"selectedItems": [item | granted]}} if host == "DRIVE" else {host.lower(): {"id": "f1"} | granted}
    shown = card(here.open(host, on="" if host == "DRIVE" else "granted", **part))

    dialled = [told["number"] for told in buttons(shown)]
    assert ("numbers", DANAS, "Dana Quince") == (shown["name"], dialled[0], buttons(shown)[0]["who"])
    assert (EVES in dialled) == (host != "SHEETS")  # a Spanish sheet's 020 7946 0001 is nobody's number


def test_a_call_is_told_of_in_a_message(here: Office) -> None:
    """Compose: choose a call, and its summary stands where the cursor is; nothing is written without permission."""
    shown = card(here.open(on="compose"))
    call = buttons(shown)[0]["call"]
    content = said(here.press("insert", call=call)["renderActions"]["hostAppAction"]["gmailAction"])
    assert ("summary", True) == (shown["name"], "Call with Dana Quince" in content)
    assert [COMPOSE] == here.press("insert", call=call, scopes=SIGNED_IN)["requesting_google_scopes"]["scopes"]


# ---- what is pressed ------------------------------------------------------------------------------------------------


def test_a_press_rings_once_however_often_it_is_told(here: Office) -> None:
    """Eight at a time; the next card's button rings again."""
    before = len(here.owed("dial"))
    event = here.event(parameters={"do": "dial", "number": DANAS, "key": "one-button", "who": "Dana Quince"})
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(here.send(event).json)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert before + 1 == len(here.owed("dial"))
    assert {"called"} == {card(answer)["name"] for answer in answers}
    again = next(told for told in buttons(answers[0]) if told["do"] == "dial")
    here.press(**again)
    assert before + 2 == len(here.owed("dial"))


@pytest.mark.parametrize(
    ("number", "words"),
    [("112", "Emergency numbers"), ("nonsense", "not a number"), ("", "not a number")],
)
def test_what_cannot_be_dialled_is_said(number: str, words: str, here: Office) -> None:
    before = len(here.owed("dial"))
    answer = here.press("dial", number=number, key="k")
    assert ("wrong", True, before) == (card(answer)["name"], words in said(answer), len(here.owed("dial")))


def test_a_note_is_kept_with_the_call(here: Office) -> None:
    """Told twice it is written once; the form comes back with what stands there."""
    call = str(here.services.calls.recent(here.bob.tenant)[0].id)
    typed = {"note": {"stringInputs": {"value": ["Wants <b>two</b>"]}}}
    for _ in range(2):
        here.press("note.keep", call=call, formInputs=typed)

    (row,) = [row for row in here.services.ledger.rows(here.bob.tenant, limit=500) if row.action == "call.remarked"]
    assert f"calls:{call}" == row.subject
    form = card(here.press("note", call=call))
    assert "Wants <b>two</b>" == form["sections"][0]["widgets"][0]["textInput"]["value"]


def test_a_lead_is_owed_once_for_a_number(here: Office) -> None:
    """What cannot be read comes back to be put right; somebody we know is not made again."""
    typed = {"family": "Elsewhere", "given": "Eve", "company": "", "number": "+44 20 7946 0001"}
    wrong = card(here.press("lead.make", **typed | {"number": "12"}))
    assert ("lead", "12") == (wrong["name"], wrong["sections"][0]["widgets"][4]["textInput"]["value"])

    notices = [said(here.press("lead.make", **typed)) for _ in range(2)]
    known = said(here.press("lead.make", **typed | {"number": DANAS}))

    assert 1 == len(here.owed("lead.create"))
    assert "on its way" in notices[0]
    assert "already" in notices[1]
    assert "already" in known


def test_a_call_back_stands_in_the_calendar_once(here: Office) -> None:
    """At the time that was picked, where the user is; and the last call with that number waits on the list."""
    form = card(here.press("later", contact=str(here.dana), number=DANAS, who="Dana Quince"))
    (keep,) = [told for told in buttons(form) if told["do"] == "later.keep"]
    at = (here.services.now() + timedelta(days=2)).replace(hour=10, minute=30, second=0, microsecond=0, tzinfo=None)
    picked = {"at": {"dateTimeInput": {"msSinceEpoch": str(_wall(at)), "hasDate": True, "hasTime": True}}}
    assert [CALENDAR] == here.press(**keep, formInputs=picked, scopes=SIGNED_IN)["requesting_google_scopes"]["scopes"]

    told = [said(here.press(**keep, formInputs=picked)) for _ in range(2)]

    (made,) = here.google.get("appointments", user=BOB)["appointments"].values()
    assert {"dateTime": at.isoformat(), "timeZone": "Europe/Madrid"} == made["start"]
    assert "Call back Dana Quince" == made["summary"]
    assert ["in your calendar" in each for each in told] == [True, True]
    assert 1 == len(here.services.callbacks.open(here.bob.tenant))
    past = {"at": {"dateTimeInput": {"msSinceEpoch": "1000"}}}
    assert "later" == card(here.press(**keep, formInputs=past))["name"]


def _wall(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1)).total_seconds() * 1000)


def test_somebody_is_found_by_name_number_and_address(here: Office) -> None:
    for what in ("dan qui", DANAS, "DANA@quince.example"):
        assert ("person", "Dana Quince") == (
            (shown := card(here.press("find", what=what)))["name"],
            shown["header"]["title"],
        )
    assert "found" == card(here.press("find", what="nobody"))["name"]
    assert EVES in [told.get("number") for told in buttons(here.press("find", what="+44 20 7946 0001"))]


@pytest.mark.parametrize("words", [{}, {"contact": "7"}, {"contact": "00000000-0000-0000-0000-000000000000"}])
def test_a_button_of_their_own_is_none(words: dict[str, str], here: Office) -> None:
    """Something that is not there, or not any more: a card that says so."""
    assert "wrong" == card(here.press("person" if words else "explode", **words))["name"]


# ---- a slow Google --------------------------------------------------------------------------------------------------


def test_a_slow_google_leaves_the_bones_of_the_card(here: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a button that asks again, and waits longer."""
    monkeypatch.setattr(reader, "BUDGET_SECONDS", BUDGET_SECONDS)
    message = here.mail()
    here.google.fault(MESSAGES, "slow", seconds=1.1, times=2)

    bones = card(here.open(message=message))
    (again,) = [told for told in buttons(bones) if told["do"] == "open"]
    whole = here.open(message=message, parameters=again)

    assert ("late", "1", "message") == (bones["name"], again["again"], again["what"])
    assert ["updateCard"] == [*whole["renderActions"]["action"]["navigations"][0]], "in the place of the bones"
    assert "Dana Quince" == card(whole)["header"]["title"]


def test_a_google_that_refuses_is_not_our_failure(here: Office) -> None:
    """Busy: the bones; a token that is no good: permission is asked for."""
    message = here.mail()
    here.google.fault(MESSAGES, "status", status=503)
    assert "late" == card(here.open(message=message))["name"]
    here.google.fault(MESSAGES, "status", status=401)
    assert {"scopes": [MESSAGE]} == here.open(message=message)["requesting_google_scopes"]


# ---- Chat -----------------------------------------------------------------------------------------------------------


def command(number: int, text: str = "", space: str = "DM", at: str = "t1") -> Json:
    payload = {
        "appCommandMetadata": {"appCommandId": number},
        "message": {"argumentText": text},
        "space": {"type": space},
    }
    return {"eventTime": at, "appCommandPayload": payload}


def message_of(answer: Json) -> Json:
    made: Json = answer["hostAppDataAction"]["chatDataAction"]["createMessageAction"]["message"]
    return made


def test_chat_greets_helps_and_says_goodbye(here: Office) -> None:
    """Always an answer; whoever took us out of a space gets none."""
    added = here.open("CHAT", by_chat=True, chat={"addedToSpacePayload": {"space": {"type": "DM"}}})
    helped = here.open("CHAT", by_chat=True, chat=command(3))
    spoken = here.open("CHAT", chat={"messagePayload": {"message": {"text": "hm"}, "space": {"type": "DM"}}})

    assert "/call" in message_of(added)["text"]
    assert ["help", "help"] == [message_of(each)["cardsV2"][0]["cardId"] for each in (helped, spoken)]
    assert {} == here.open("CHAT", chat={"removedFromSpacePayload": {"space": {"type": "DM"}}})


def test_chat_calls_a_name_or_a_number_once(here: Office) -> None:
    """The same command told again rings no second time."""
    before = len(here.owed("dial"))
    for _ in range(2):
        told = here.open("CHAT", by_chat=True, chat=command(1, "Dana", at="t-name"))
    here.open("CHAT", chat=command(1, "+44 20 7946 0001", at="t-number"))

    assert before + 2 == len(here.owed("dial"))
    assert "calling" in said(told) or "Calling" in said(told)
    assert "found" == message_of(here.open("CHAT", chat=command(1, "nobody")))["cardsV2"][0]["cardId"]
    assert "Say whom" in message_of(here.open("CHAT", chat=command(1)))["text"]


def test_missed_calls_in_a_space_are_for_their_own_eyes(here: Office) -> None:
    """With a button to call back; alone with us nobody has to be kept out."""
    told = message_of(here.open("CHAT", chat=command(2, space="ROOM")))

    assert {"name": f"users/{here.subjects[BOB]}"} == told["privateMessageViewer"]
    assert "Dana Quince" in said(told)
    pressed = next(each for each in buttons(told) if each["do"] == "dial")
    clicked = here.open("CHAT", parameters=pressed, chat={"buttonClickedPayload": {"space": {"type": "DM"}}})
    assert ("called", False) == (
        message_of(clicked)["cardsV2"][0]["cardId"],
        "privateMessageViewer" in message_of(clicked),
    )


def test_nothing_personal_is_logged(here: Office, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole visit: not a name, number or address in what is printed."""
    here.open(message=here.mail())
    here.google.fault(MESSAGES, "status", status=503)
    here.open(message=here.mail())
    printed = "".join(capsys.readouterr())
    assert [] == [word for word in ("Dana", "Quince", "600111222", "quince.example", "Bearer") if word in printed]
