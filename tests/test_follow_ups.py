"""A call nobody took: one task for its caller, for whoever looks after them, gone once somebody spoke with them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.contact import Line, Person, Record
from domain.follow_up import FollowUps, due_on, told_at
from domain.plan import Step
from jobs import follow_ups
from jobs.erase import erase
from jobs.services import Services
from store.embedded import Postgres
from store.missed import CLOSE, CREATE
from tests.calls_office import ALICE, BOB, DANA, RECORDS, Office, opened, tools
from tests.zoho_stage import Stage, running

HOUR = 3600


@pytest.fixture(scope="module")
def zoho() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, zoho: Stage) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, zoho) as services:
        yield services


@pytest.fixture
def office(services: Services, zoho: Stage) -> Iterator[Office]:
    with opened(services, zoho, RECORDS) as office:
        yield office


def decide(office: Office, **told: Any) -> None:
    follow_ups.decide(office.services, office.tenant, FollowUps(**told), actor="user:test")


def tasks(office: Office) -> list[tuple[str, str]]:
    """(subject, status) of each task in Zoho, in the order of their making."""
    return [(row["Subject"], row["Status"]) for row in sorted(office.rows("Tasks"), key=lambda row: row["id"])]


def ended(office: Office, kind: str) -> list[tuple[str, str]]:
    return [(row.state, row.reason) for row in office.owed(kind)]


CALL_BACK = "Call back +34 600 11 12 22"


# ---- written --------------------------------------------------------------------------------------------------------


def test_a_missed_call_becomes_a_task_for_whoever_was_called(office: Office) -> None:
    """After the wait, not before; due when the window ends, with the caller's number and when they called."""
    office.hear(*office.missed("c1", 0, queue="sales"))
    office.act()
    assert [] == office.rows("Tasks"), "people have five minutes to call back by themselves"

    office.work()

    [row] = office.rows("Tasks")
    rules = FollowUps()
    zone = office.services.tenants.get(office.tenant).time_zone
    assert (CALL_BACK, "Not Started", "High") == (row["Subject"], row["Status"], row["Priority"])
    assert {
        due_on(office.services.now() + delta, rules, zone).isoformat() for delta in (-timedelta(minutes=9), timedelta())
    } >= {row["Due_Date"]}
    assert office.user(BOB).remote_id == row["Owner"]["id"]
    assert [
        f"Nobody answered this caller at {told_at(office.began, zone)}.",
        "Number: +34 600 11 12 22",
        "Queue: sales",
        f"[linekeeper:{office.call('c1')}]",
    ] == row["Description"].splitlines()
    [note] = office.services.ledger.rows(office.tenant, action="task.created")
    assert f"calls:{office.call('c1')}" == note.subject


def test_the_owner_of_the_record_gets_the_task(office: Office) -> None:
    """Bob was called, but Dana is Alice's: the task is hers, on Dana's record, and calls her by name."""
    crm = office.services.connections.first(office.tenant, "crm")
    assert crm is not None
    alice = office.user(ALICE).remote_id
    [dana] = office.zoho.post("seed", org="alice", module="Contacts", records=[{"Last_Name": "Sol"}])["ids"]
    person = Person(given="Dana", family="Sol", lines=(Line(raw=DANA, e164=DANA),))
    record = Record(module="Contacts", remote_id=dana, owner=alice, person=person)
    with office.services.db.tenant(office.tenant) as database:
        office.services.hub.apply(database, office.tenant, crm.id, [Step(do="adopt", record=record)])

    office.hear(*office.missed("c1", 0))
    office.work()

    [row] = office.rows("Tasks")
    assert ("Call back Dana Sol", alice, dana) == (row["Subject"], row["Owner"]["id"], row["Who_Id"]["id"])


def test_a_fallback_is_asked_when_it_is_nobodys(office: Office) -> None:
    """A call that named no agent, from somebody without a record."""
    decide(office, fallback=str(office.user(BOB).id))
    office.hear(office.event("c1", "ringing", 0), office.event("c1", "ended", 20, outcome="missed"))
    office.work()

    assert [office.user(BOB).remote_id] == [row["Owner"]["id"] for row in office.rows("Tasks")]


@pytest.mark.parametrize(
    "told",
    [
        {"hours": 0},
        {"outcome": "voicemail"},
        {"direction": "outbound", "outcome": "no_answer"},
        {"direction": "internal"},
        {"caller": "anonymous"},
        {"caller": "201"},
    ],
    ids=str,
)
def test_what_makes_no_task(office: Office, told: dict[str, Any]) -> None:
    """Where it is switched off, somebody left word, it was our own call, or there is nobody to call back."""
    if "hours" in told:
        decide(office, hours=told.pop("hours"))
    outcome = told.pop("outcome", "missed")
    office.hear(office.event("c1", "ringing", 0, BOB, **told), office.event("c1", "ended", 9, outcome=outcome, **told))
    office.work()

    assert ([], []) == (office.owed(CREATE), office.rows("Tasks"))


def test_an_old_call_is_not_followed_up(office: Office) -> None:
    """A week's calls are taken over when a phone system is connected: nobody needs a task for each."""
    decide(office, hours=1)
    office.hear(*office.missed("young", -50 * 60))
    assert 1 == len(office.owed(CREATE))

    office.hear(*office.missed("old", -61 * 60, caller="+34600111333"))

    assert 1 == len(office.owed(CREATE))


def test_without_the_permission_nothing_is_owed(services: Services, zoho: Stage) -> None:
    """The calls are listed; Zoho is not asked again and again for what it was told to refuse."""
    with opened(services, zoho, ("calls",)) as office:
        office.hear(*office.missed("c1", 0))
        office.work()

        assert [] == office.owed(CREATE)
        assert 1 == len(office.rows("Calls"))


# ---- once -----------------------------------------------------------------------------------------------------------


def test_one_task_a_caller_and_window(office: Office) -> None:
    """Three calls in an hour are one task that says so; somebody else's is another, the next window's a third."""
    decide(office, hours=2)
    for place in range(3):
        office.hear(*office.missed(f"c{place}", -100 * 60 + place * 60))
    office.hear(*office.missed("other", 0, caller="+34600111333"))
    office.work()
    assert {CALL_BACK: "Not Started", "Call back +34 600 11 13 33": "Not Started"} == dict(tasks(office))
    assert any("Calls since somebody last spoke with them: 3" in row["Description"] for row in office.rows("Tasks"))

    office.hear(*office.missed("again", 0), *office.missed("later", 121 * 60 - 100 * 60))
    office.work()

    assert 3 == len(tasks(office))


@pytest.mark.parametrize("fault", ["status_after", "drop_after"])
def test_what_nobody_knows_is_read_back(office: Office, fault: str) -> None:
    """Zoho wrote the task and did not say so: it is found, not written again."""
    office.zoho.fault("POST /crm/v8/Tasks", fault, times=1, **({"status": 503} if fault == "status_after" else {}))
    office.hear(*office.missed("c1", 0))
    office.work()

    assert [(CALL_BACK, "Not Started")] == tasks(office)
    assert [("done", "")] == ended(office, CREATE)
    assert [True] == [
        row.facts["read_back"] for row in office.services.ledger.rows(office.tenant, action="task.created")
    ]


def test_a_refused_task_says_why_and_is_not_asked_for_again(office: Office) -> None:
    office.zoho.post("knobs", mandatory={"Tasks": ["Closed_Time"]})
    office.hear(*office.missed("c1", 0))
    office.work()

    assert [("dead", "MANDATORY_NOT_FOUND")] == ended(office, CREATE)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 2**32), reach=st.booleans())
def test_any_order_yields_one_task(office: Office, seed: int, reach: bool) -> None:
    """Doubled, shuffled, in whichever batches: one task; none if somebody spoke with them last."""
    chance, caller = random.Random(seed), f"+3460{seed % 10**7:07}"
    events = [event for place in range(3) for event in office.missed(f"{seed}-{place}", place * 30, caller=caller)]
    if reach:
        events += office.spoken(f"{seed}-back", 120, direction="outbound", callee=caller)
    told = events + chance.choices(events, k=5)
    chance.shuffle(told)
    while told:
        size = chance.randint(1, 4)
        office.hear(*told[:size])
        del told[:size]
    before = len(office.rows("Tasks"))
    office.work()

    assert (0 if reach else 1) == len(office.rows("Tasks")) - before


# ---- gone -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way", [{"direction": "outbound"}, {"direction": "inbound"}], ids=["called back", "called again"]
)
def test_whoever_is_reached_before_it_is_due_needs_no_task(office: Office, way: dict[str, Any]) -> None:
    office.hear(*office.missed("c1", 0))
    office.hear(*office.spoken("c2", 60, **way))
    office.work()

    assert [] == office.rows("Tasks")
    assert [("dropped", "task.reached")] == ended(office, CREATE)
    assert [("dropped", "task.none")] == ended(office, CLOSE)


def test_trying_in_vain_is_not_reaching(office: Office) -> None:
    office.hear(*office.missed("c1", 0))
    office.hear(
        *[
            office.event("c2", kind, second, BOB, direction="outbound", outcome=outcome)
            for kind, second, outcome in (("ringing", 60, None), ("ended", 80, "no_answer"))
        ]
    )
    office.work()

    assert [(CALL_BACK, "Not Started")] == tasks(office)


@pytest.mark.parametrize(
    "way", [{"direction": "outbound"}, {"direction": "inbound"}], ids=["called back", "called again"]
)
def test_a_task_is_closed_when_somebody_spoke_with_them(office: Office, way: dict[str, Any]) -> None:
    office.hear(*office.missed("c1", 0))
    office.work()
    assert [(CALL_BACK, "Not Started")] == tasks(office)

    office.hear(*office.spoken("c2", 60, ALICE, **way))
    office.work()

    assert [(CALL_BACK, "Completed")] == tasks(office)
    assert 1 == len(office.services.ledger.rows(office.tenant, action="task.closed"))

    office.hear(*office.missed("c3", 120))  # after that talk: something new
    office.work()
    assert [(CALL_BACK, "Completed"), (CALL_BACK, "Not Started")] == tasks(office)


def test_a_task_somebody_touched_stays_theirs(office: Office) -> None:
    office.hear(*office.missed("c1", 0))
    office.work()
    [row] = office.rows("Tasks")
    office.zoho.post("edit", org="alice", module="Tasks", id=row["id"], values={"Status": "In Progress"})

    office.hear(*office.spoken("c2", 60))
    office.work()

    assert [(CALL_BACK, "In Progress")] == tasks(office)
    assert [("dropped", "task.touched")] == ended(office, CLOSE)


def test_a_task_stays_while_a_later_call_waits(office: Office) -> None:
    """We hear late that somebody spoke with them, and by then they have called in vain again."""
    office.hear(*office.missed("c1", 0))
    office.work()
    office.hear(*office.missed("c3", 120))
    office.hear(*office.spoken("c2", 60))
    office.work()
    assert [(CALL_BACK, "Not Started")] == tasks(office)

    office.hear(*office.spoken("c4", 180))
    office.work()

    assert [(CALL_BACK, "Completed")] == tasks(office)


def test_whoever_is_erased_leaves_no_task_owed(office: Office) -> None:
    office.hear(*office.missed("c1", 0))
    assert 1 == len(office.owed(CREATE))

    erase(office.services, office.tenant, [DANA])

    assert [] == office.owed(CREATE)


# ---- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [FollowUps(), FollowUps(hours=0), FollowUps(hours=168, minutes=0, fallback="x")])
def test_rules_are_kept_as_data(rules: FollowUps) -> None:
    assert rules == FollowUps.from_data(rules.as_data())


def test_what_is_out_of_bounds_is_as_by_default() -> None:
    assert FollowUps() == FollowUps.from_data({"hours": 169, "minutes": -1, "fallback": 3})
