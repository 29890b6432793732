"""Text messages: one activity for a conversation and a day, whatever order they come in and whoever dies on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import conversation
from domain.call import TextEvent
from domain.said import MOST_CHARACTERS
from integrations.telephony.twilio.sandbox import create_apps
from jobs import log_call, texts
from jobs.connect import add_phone_system
from jobs.erase import erase
from jobs.export import export_person
from sandbox.cast import ALICE_LTD, BOB
from store.embedded import Postgres
from store.holdings import purge
from tests.leg_stage import served
from tests.test_reconcile import Office
from tests.zoho_office import Open, offices, tell
from tests.zoho_stage import BOB as BOB_IN_ZOHO

DANA, ELI = "+34600111201", "+34600111202"
FEATURES = ("calls", "repair", "texts")
MADRID = ZoneInfo("Europe/Madrid")
NINE = datetime(2026, 3, 28, 9, 0, tzinfo=UTC)
Row = dict[str, Any]


def message(number: int, **told: Any) -> TextEvent:
    given: dict[str, Any] = {
        "direction": "inbound",
        "sender": DANA,
        "receiver": ALICE_LTD.line,
        "text": f"text {number}",
    }
    given |= {"id": f"e{number}", "message_ref": f"m{number}", "at": NINE + timedelta(minutes=number)}
    return TextEvent(**given | told)


# ---- a day of a conversation --------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 30))
def test_a_day_reads_the_same_in_whatever_order_it_came(order: list[int], cut: int) -> None:
    """Doubled, late, in one batch or in two; the same message under two event ids is one message."""
    came = [replace(message(number), id=f"e{number}-{place}") for place, number in enumerate(order)]

    read = conversation.together(conversation.together(came[:cut]), came[cut:])

    assert sorted({f"m{number}" for number in order}) == [one.message_ref for one in read]


def test_a_day_is_the_tenants_own() -> None:
    """Half past midnight in Madrid is the day before in London, and the other way round in summer's first night."""
    late = message(1, at=datetime(2026, 3, 28, 23, 30, tzinfo=UTC))

    assert ("2026-03-29", "2026-03-28") == (
        str(conversation.day(late, MADRID)),
        str(conversation.day(late, ZoneInfo("UTC"))),
    )


def test_an_endless_day_keeps_its_last_messages() -> None:
    many = [message(number, text="x" * 1000) for number in range(60)]

    said = conversation.words(many, "7", MADRID, "Dana", lambda one: "We")

    assert said.startswith("(Before: 31 more.)\n10:31 Dana: xxx")
    assert said.endswith("[linekeeper:7]")
    assert len(said) < MOST_CHARACTERS


def test_pictures_are_counted_and_nothing_imitates_a_marker() -> None:
    told = [message(1, media=("https://m.example/1",)), message(2, text="[linekeeper:9]\nbye", media=("a", "b"))]

    assert (
        "10:01 Dana: text 1 (a picture or file)\n10:02 Dana: (linekeeper:9]\nbye (2 pictures or files)\n[linekeeper:7]"
        == conversation.words(told, "7", MADRID, "Dana", lambda one: "We")
    )


# ---- against the whole office -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opening(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Open]:
    with offices(db_urls, work_url, mail_url) as made:
        yield made


@pytest.fixture
def office(opening: Open) -> Iterator[Office]:
    with opening(FEATURES) as opened:
        yield opened


def tasks(office: Office) -> list[Row]:
    found: list[Row] = office.zoho.get("records", org="alice", module="Tasks")["records"]
    return sorted(found, key=lambda row: str(row["id"]))


def write(office: Office, said: str, ref: str, *, sent: bool = False, number: str = DANA, **more: Any) -> None:
    """Dana writes to us, or Bob to her."""
    ours = ALICE_LTD.line
    parties = {"from": ours, "to": number, "agent": {"email": BOB}} if sent else {"from": number, "to": ours}
    tell(office, "message.sent" if sent else "message.received", text=said, message_id=ref, **parties | more)


def day(office: Office) -> Any:
    return texts.kept(office.services).recent(office.tenant, limit=10)[0]


def body(office: Office) -> list[str]:
    """What the only task says, without its times."""
    (row,) = tasks(office)
    return [line[6:] if line[2:3] == ":" else line for line in str(row["Description"]).splitlines()]


def test_a_conversation_is_one_activity_with_both_directions(office: Office) -> None:
    """Added to as messages come, done on its day, owned by whoever wrote."""
    write(office, "Is it ready?", "m1")
    office.work()
    (row,) = tasks(office)
    assert ("Completed", "Text messages with +34 600 11 12 01") == (row["Status"], row["Subject"])
    assert office.services.now().astimezone(MADRID).date().isoformat() == row["Due_Date"]
    assert ["+34 600 11 12 01: Is it ready?", f"[linekeeper:{day(office).id}]"] == body(office)

    write(office, "On Tuesday.", "m2", sent=True)
    write(office, "Thanks", "m3")
    write(office, "Thanks", "m3")
    office.work()

    assert [
        "+34 600 11 12 01: Is it ready?",
        "Bob Baker: On Tuesday.",
        "+34 600 11 12 01: Thanks",
        f"[linekeeper:{day(office).id}]",
    ] == body(office)
    assert 3 == len(day(office).messages)


def test_another_number_is_another_conversation(office: Office) -> None:
    write(office, "one", "m1")
    write(office, "two", "m2", number=ELI)
    office.work()

    assert 2 == len(tasks(office))


@pytest.mark.parametrize("fault", ["status_after", "drop_after", "status"])
def test_a_lost_answer_makes_no_second_activity(office: Office, fault: str) -> None:
    """Whether Zoho had written it or not, and with more messages before anybody knew."""
    office.zoho.fault("POST /crm/v8/Tasks", fault, status=503, body={})
    write(office, "one", "m1")
    log_call.hear(office.services, office.tenant)
    log_call.act(office.services, office.tenant)
    write(office, "two", "m2")
    office.work()

    assert ["+34 600 11 12 01: one", "+34 600 11 12 01: two", f"[linekeeper:{day(office).id}]"] == body(office)


def test_a_worker_who_died_after_writing_is_read_back(office: Office) -> None:
    """The effect was claimed and Zoho has the task: whoever comes next finds it there."""
    write(office, "one", "m1")
    log_call.hear(office.services, office.tenant)
    (effect,) = office.services.effects.waiting(office.tenant, "calls")
    tie = office.services.connections.get(office.tenant, effect.connection)
    told = texts.days(office.services, tie, [day(office).id])[day(office).id]
    texts.kept(office.services).says(office.tenant, told.kept.id, [told.thread.words])
    office.services.effects.claim(office.tenant, [effect])
    assert office.services.crm(tie).log_texts([told.thread])[0].remote_id

    office.work()

    assert ["+34 600 11 12 01: one", f"[linekeeper:{day(office).id}]"] == body(office)
    assert tasks(office)[0]["id"] == day(office).activity


def test_what_a_person_typed_stays_and_words_taken_away_stay_away(office: Office) -> None:
    write(office, "one", "m1")
    office.work()
    (row,) = tasks(office)
    typed = f"Promised!\n{row['Description']}\nBob"
    office.zoho.post("edit", org="alice", module="Tasks", by=BOB_IN_ZOHO, id=row["id"], values={"Description": typed})
    write(office, "two", "m2")
    office.work()
    said = body(office)
    assert ["Promised!", "+34 600 11 12 01: one", "+34 600 11 12 01: two"] == said[:3]
    assert "Bob" == said[-1]

    office.zoho.post("edit", org="alice", module="Tasks", by=BOB_IN_ZOHO, id=row["id"], values={"Description": "mine"})
    write(office, "three", "m3")
    office.work()

    assert ["mine"] == body(office)
    with office.services.db.tenant(office.tenant) as database:
        (owed,) = office.services.effects.of_call(database, office.tenant, day(office).id)
    assert ("dropped", "activity.edited") == (owed["state"], owed["reason"])


def test_codes_and_colleagues_are_nobodys_business(office: Office) -> None:
    """A short code's message is shown and not logged; one between colleagues is not even kept."""
    write(office, "Your code is 123456", "m1", number="72345")
    write(office, "lunch?", "m2", direction="internal")
    office.work()

    assert [] == tasks(office)
    assert ["unreadable"] == [one.match for one in texts.kept(office.services).recent(office.tenant, limit=10)]


def test_without_the_permission_it_waits_and_says_so(opening: Open) -> None:
    """The rest of the connection is well, and nothing is given up."""
    with opening(("calls", "repair")) as office:
        write(office, "one", "m1")
        log_call.hear(office.services, office.tenant)
        log_call.act(office.services, office.tenant)

        with office.services.db.tenant(office.tenant) as database:
            (owed,) = office.services.effects.of_call(database, office.tenant, day(office).id)
        assert ("due", "zoho.oauth_scope_mismatch") == (owed["state"], owed["reason"])
        crm = office.services.connections.first(office.tenant, "crm")
        assert crm is not None
        assert not crm.troubled
        assert [] == tasks(office)


def test_what_twilio_keeps_to_itself_is_asked_for(office: Office) -> None:
    """Hers and ours in one; ours waits until Twilio can be asked what it says, and is asked once."""
    app, sid = create_apps({})["twilio"], "AC" + "a1" * 16
    with served(app) as origin:
        (user, *_) = office.services.tenants.users(office.tenant)
        account = {"account_sid": sid, "auth_token": "token", "api_url": origin}
        door = add_phone_system(office.services, user=user, vendor="twilio", account=account)
        http = office.zoho.http
        http.post(f"{origin}/_stage/accounts", json={"sid": sid, "token": "token", "door_url": door.url})
        wish = {"sid": sid, "from": DANA, "to": ALICE_LTD.line, "text": "Is it ready?"}
        assert [200] == http.post(f"{origin}/_stage/text", json=wish).json()["statuses"]
        office.work()
        assert ["+34 600 11 12 01: Is it ready?"] == body(office)[:-1]

        http.post(f"{origin}/_stage/faults", json={"match": "GET /2010", "action": "status", "times": 1})
        wish |= {"from": ALICE_LTD.line, "to": DANA, "text": "On Tuesday.", "sent": True}
        assert [200, 200, 200] == http.post(f"{origin}/_stage/text", json=wish).json()["statuses"]
        log_call.hear(office.services, office.tenant)
        log_call.act(office.services, office.tenant)
        assert ["+34 600 11 12 01: Is it ready?"] == body(office)[:-1]
        office.work()

        assert ["+34 600 11 12 01: Is it ready?", "We: On Tuesday."] == body(office)[:-1]
        assert [False, False] == [message.unsaid for message in day(office).messages]
        asked = http.get(f"{origin}/_stage/requests").json()["last"]
        assert [503, 200] == [one["status"] for one in asked]


# ---- faxes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"pages": 3}, "a fax of 3 pages"),
        ({"pages": 1, "failed": "busy"}, "a fax of 1 page, not delivered: busy"),
        ({}, "a fax"),
    ],
)
def test_a_fax_in_words(told: Row, expected: str) -> None:
    assert expected == conversation.described(message(1, fax=True, **told))


def test_each_fax_is_an_activity_of_its_own(office: Office) -> None:
    """Beside the day's texts; told twice it is one, and it goes with its number."""
    write(office, "I fax it now", "m1")
    for _ in range(2):
        tell(office, "fax.received", fax_id="f1", **{"from": DANA, "to": ALICE_LTD.line}, pages=2, status="delivered")
    failed = {"status": "failed", "reason": "the line was busy", "agent": {"email": BOB}}
    tell(office, "fax.sent", fax_id="f2", **{"from": ALICE_LTD.line, "to": DANA}, **failed)
    office.work()

    said = {row["Subject"]: (row["Status"], str(row["Description"]).splitlines()[0][6:]) for row in tasks(office)}
    customer = "+34 600 11 12 01"
    assert {
        f"Text messages with {customer}": ("Completed", f"{customer}: I fax it now"),
        f"Fax from {customer}": ("Completed", f"{customer}: a fax of 2 pages"),
        f"Fax to {customer}, not delivered": ("Completed", "Bob Baker: a fax, not delivered: the line was busy"),
    } == said
    assert 3 == erase(office.services, office.tenant, [DANA])["counts"]["texts"]


# ---- keeping and forgetting ---------------------------------------------------------------------------------------


def test_it_is_sealed_exported_and_erased(office: Office) -> None:
    """The number finds it; afterwards neither row nor what is owed is there."""
    write(office, "my secret wish", "m1")
    write(office, "something else", "m2", number=ELI)
    office.work()
    exported = [line for line in export_person(office.services, office.tenant, [DANA]) if '"texts"' in line]
    assert 1 == len(exported)
    assert "my secret wish" in exported[0]

    counts = erase(office.services, office.tenant, [DANA])["counts"]

    assert 1 == counts["texts"]
    left = texts.kept(office.services).recent(office.tenant, limit=10)
    assert [ELI] == [one.customer for one in left]
    assert [left[0].id] == [one.text for one in _every_effect(office)]


def _every_effect(office: Office) -> list[Any]:
    with office.services.db.tenant(office.tenant) as database:
        database.exec_driver_sql("UPDATE effects SET state = 'due', next_at = now() WHERE kind = 'text.log'")
    return office.services.effects.waiting(office.tenant, "calls")


def test_it_goes_when_its_time_is_over(office: Office) -> None:
    write(office, "one", "m1")
    office.work()
    services = office.services
    profile = services.profiles.get("strict")
    last = day(office).last_at

    assert 0 == purge(services.db, services.vault, office.tenant, profile, last + timedelta(days=29, hours=23))["texts"]
    assert 1 == purge(services.db, services.vault, office.tenant, profile, last + timedelta(days=30))["texts"]
    assert [] == texts.kept(services).recent(office.tenant, limit=10)
