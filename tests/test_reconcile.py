"""Nothing lost: a phone system that loses what it tells, a CRM people work in, and a reconcile that puts it right."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import waitress.server
from flask import Flask
from sqlalchemy import update

from domain.ports import LoggedCall
from domain.statement import Statement, untouched
from jobs import connect, log_call, reconcile, worker
from jobs.erase import erase
from jobs.services import Services
from sandbox import stage as stages
from sandbox.cast import ALICE, ALICE_LTD, BOB, Controls, open_phone_account
from store.chores import Chore
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from store.tables import effects
from tests import house
from tests.zoho_stage import CLIENT, SECRETS, Stage, running
from webhooks import init_app

HOUR = timedelta(hours=1)
RECORDS = ("calls", "repair")  # without PhoneBridge we write the activities
BRIDGE = ("calls", "repair", "phonebridge")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Office:
    """Alice's tenant with Zoho and a phone system, and hands at both."""

    services: Services
    zoho: Stage
    pbx: Controls
    tenant: TenantId
    tie: Tie

    def call(self, number: int, **told: Any) -> str:
        """Have somebody call; return the call's id."""
        began = told.pop("began", None) or self.services.now() - HOUR + timedelta(seconds=40 * number)
        wish = {
            "call_id": f"c{number}",
            "from": f"+346001112{number:02d}",
            "to": ALICE_LTD.line,
            "agent": {"extension": "201", "email": BOB},
            "started_at": began.astimezone(UTC).isoformat(),
            "talk_seconds": 30,
        }
        if told.get("direction") == "outbound":  # from our line, to the customer
            wish |= {"from": wish["to"], "to": wish["from"]}
        said: Row = self.pbx.post("call", key=ALICE_LTD.pbx_key, **wish | told)
        return str(said["call_id"])

    def work(self) -> None:
        """What the worker of calls would do."""
        deadline = time.monotonic() + 30
        while worker.visit(self.services, self.tenant, "calls") or self._waiting():
            assert time.monotonic() < deadline, "work does not end"
            self._hurry()

    def _waiting(self) -> bool:
        return any(state in ("due", "unknown", "claimed") for _, state in self.services.effects.counts(self.tenant))

    def _hurry(self) -> None:
        with self.services.db.tenant(self.tenant) as database:
            database.execute(update(effects).where(effects.c.tenant_id == self.tenant).values(next_at=self.day_ago()))

    def day_ago(self) -> datetime:
        return self.services.now() - timedelta(days=1)

    def reconcile(self, window: timedelta = 2 * HOUR) -> Statement:
        told = reconcile.reconcile(self.services, self.tenant, window)
        self.work()
        return told

    def rows(self) -> list[Row]:
        """What stands in Zoho, in the order the calls began."""
        found: list[Row] = self.zoho.get("records", org="alice", module="Calls")["records"]
        return sorted(found, key=lambda row: (row["Call_Start_Time"], row["id"]))

    def marked(self) -> list[str]:
        """The markers there are in Zoho, one for each row that carries one."""
        lines = [line for row in self.rows() for line in str(row["Description"] or "").splitlines()]
        return sorted(line for line in lines if line.startswith("[linekeeper:"))

    def calls(self) -> list[str]:
        return [f"[linekeeper:{kept.id}]" for kept in self.services.calls.recent(self.tenant, limit=1000)]

    def agrees(self) -> bool:
        """One row for each call and one call for each row."""
        marked, calls = self.marked(), sorted(self.calls())
        if marked != calls:  # which, for whoever reads why a test failed
            strays = sorted(set(marked) ^ set(calls))
            print(len(marked), len(calls), strays, [row["Description"] for row in self.rows()])
        return marked == calls


@contextmanager
def open_office(services: Services, zoho: Stage, pbx: Controls, features: tuple[str, ...]) -> Iterator[Office]:
    """Install from Zoho's marketplace and connect the phone system."""
    zoho.fresh()
    origin = services.settings.origin
    zoho.post("clients", client_id=CLIENT, secrets=SECRETS, redirect_uris=[f"{origin}/oauth/zoho/callback"])
    pbx.post("reset")
    asked = connect.begin(services, provider="zoho", purpose="install", browser="b", features=features)
    back = house.decide(zoho, asked, user=ALICE)
    alice = connect.complete(services, provider="zoho", query=back, browser="b", user=None).user
    account = {"base_url": pbx.origin, "api_key": ALICE_LTD.pbx_key}
    door = connect.add_phone_system(services, user=alice, vendor="standard", account=account)
    open_phone_account(pbx, ALICE_LTD, door.url, door.secret)
    yield Office(services, zoho, pbx, alice.tenant, services.connections.get(alice.tenant, door.tie))
    house.moved_out(services)


@pytest.fixture(scope="module")
def outside() -> Iterator[tuple[Stage, Controls]]:
    """Zoho's understudy and the phone system's, each on loopback."""
    with running() as zoho, stages.Stage(only="standard") as pbx:
        yield zoho, Controls(pbx.origins["pbx"])


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, outside: tuple[Stage, Controls]) -> Iterator[Services]:
    """Every tool, with the doors served beside them."""
    server: Any = waitress.server.create_server(lambda *_: [], host="127.0.0.1", port=0, threads=4, map={})
    origin = f"http://127.0.0.1:{server.effective_port}"
    told = {
        "BASE_URL": origin,
        "ZOHO_CLIENT_ID": CLIENT,
        **{f"ZOHO_CLIENT_SECRET_{code.upper()}": secret for code, secret in SECRETS.items()},
        "ZOHO_SERVERINFO_URL": f"{outside[0].us}/oauth/serverinfo",
        "ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
    }
    with house.services(db_urls, work_url, mail_url, **told) as opened:
        app = Flask("doors")
        init_app(app, opened)
        server.application = app
        threading.Thread(target=server.run, daemon=True).start()
        yield opened
        server.close()
        server.task_dispatcher.shutdown(cancel_pending=True, timeout=2)


@pytest.fixture
def office(services: Services, outside: tuple[Stage, Controls]) -> Iterator[Office]:
    with open_office(services, *outside, RECORDS) as opened:
        yield opened


@pytest.fixture
def bridged(services: Services, outside: tuple[Stage, Controls]) -> Iterator[Office]:
    with open_office(services, *outside, BRIDGE) as opened:
        yield opened


# ---- what the phone system never told -----------------------------------------------------------------------------


def test_what_was_never_told_is_found_and_written_once(office: Office) -> None:
    """Three of ten events are lost on the way: after one reconcile nothing is missing and nothing is there twice."""
    ways: list[Row] = [{}, {"outcome": "missed", "talk_seconds": 0}, {"direction": "outbound", "outcome": "busy"}]
    for number in range(40):
        office.call(number, drop=0.3, shuffle=number, copies=2, **ways[number % 3])
    office.work()
    written = len(office.rows())
    assert written < 40, "something has to be missing first"

    told = office.reconcile()

    assert (40, 40 - written) == (told.listed, told.missing + told.unended)
    assert (40, True) == (len(office.rows()), office.agrees())
    kept = office.services.calls.recent(office.tenant, limit=100)
    cdr = {row["call_id"]: row for row in office.pbx.get("cdr", key=ALICE_LTD.pbx_key)["cdr"]}
    assert {"ended"} == {one.call.state for one in kept}
    assert {ref: row["outcome"] for ref, row in cdr.items()} == {one.call.ref: one.call.outcome for one in kept}

    again = office.reconcile()

    assert (0, 0, 40) == (again.repairs, again.left, again.logged)
    assert office.agrees()


def test_a_second_reconcile_writes_nothing_and_asks_for_little(office: Office) -> None:
    """Two requests: the phone system's list, and Zoho's calls of that time."""
    for number in range(3):
        office.call(number)
    office.work()
    office.reconcile()
    office.zoho.delete("requests")
    office.pbx.delete("requests")

    assert 0 == office.reconcile().repairs

    assert {"POST /crm/v8/coql": 1} == office.zoho.counts()
    assert {"GET /calls": 1} == office.pbx.get("requests")["counts"]


def test_the_list_has_the_last_word_on_how_long_people_spoke(office: Office) -> None:
    """An end that came too late, or an answer nobody heard of: the call is what the list says, and so is its row."""
    office.zoho.post("clock", advance=600)  # Zoho's clock and ours need not agree
    office.call(1, talk_seconds=30)
    (row,) = office.pbx.get("cdr", key=ALICE_LTD.pbx_key)["cdr"]
    event = {"type": "call.ended", "data": row | {"ended_at": office.services.now().isoformat()}}
    office.pbx.post("send", key=ALICE_LTD.pbx_key, event=event)  # the platform lost track of time
    office.work()
    (wrong,) = office.rows()
    assert wrong["Call_Duration_in_seconds"] > 300

    told = office.reconcile()

    (right,) = office.rows()
    assert (1, 1, 1) == (told.corrected, told.drifted, told.amended)
    assert (wrong["id"], 30, wrong["Description"]) == (
        right["id"],
        right["Call_Duration_in_seconds"],
        right["Description"],
    )
    assert 0 == office.reconcile().repairs


def test_an_erased_persons_calls_do_not_come_back(office: Office) -> None:
    """Their number is in the phone system's list; it is left there."""
    office.call(1, drop=1)
    office.call(2, drop=1)
    erase(office.services, office.tenant, ["+34600111201"])

    told = office.reconcile()

    assert (2, 1, 1) == (told.listed, told.missing, told.forgotten)
    assert ["c2"] == [kept.call.ref for kept in office.services.calls.recent(office.tenant)]


def test_what_is_older_than_the_profile_keeps_is_left_where_it_is(office: Office) -> None:
    """A call the purge would take at once is not taken over."""
    kept = office.services.profiles.get("strict").keeps("calls").period
    assert kept is not None
    office.call(1, drop=1, began=office.services.now() - kept - HOUR)
    office.call(2, drop=1, began=office.services.now() - kept + HOUR)

    told = office.reconcile(kept + 2 * HOUR)

    assert (2, 1, 1) == (told.listed, told.missing, told.forgotten)


def test_a_phone_system_connected_again_brings_nothing_twice(office: Office) -> None:
    """The same calls under a new connection are the calls we know."""
    office.call(1)
    office.work()
    (alice,) = [user for user in office.services.tenants.users(office.tenant) if user.role == "admin"]
    connect.disconnect(office.services, user=alice, tie=office.tie.id)
    account = {"base_url": office.pbx.origin, "api_key": ALICE_LTD.pbx_key}
    connect.add_phone_system(office.services, user=alice, vendor="standard", account=account)

    told = office.reconcile()

    assert (1, 0, 1) == (told.listed, told.missing, len(office.rows()))


# ---- what somebody did in Zoho ------------------------------------------------------------------------------------


def twin_of(row: Row) -> Row:
    """The row once more, as a repeated request would have written it."""
    copied = ("Subject", "Call_Type", "Call_Start_Time", "Call_Duration", "Call_Duration_in_seconds", "Description")
    return {name: row[name] for name in copied}


def test_our_own_double_goes_and_a_persons_row_stays(office: Office) -> None:
    """Of two rows with our marker the older is kept; what a person wrote down is never touched."""
    office.call(1)
    office.work()
    (first,) = office.rows()
    by_hand = twin_of(first) | {"Description": "Called back, wants an offer."}
    cloned = twin_of(first) | {"Subject": "Bob's copy"}
    for values, by in ((twin_of(first), ALICE), (by_hand, ALICE), (cloned, BOB)):
        time.sleep(1)  # Zoho's times have whole seconds, and the oldest has to be the oldest
        office.zoho.post("edit", org="alice", module="Calls", by=by, values=values)
    assert 4 == len(office.rows())

    told = office.reconcile()

    assert (2, 1, 1) == (told.doubled, told.removed, told.left)
    left = office.rows()
    assert {first["id"], "Bob's copy", "Called back, wants an offer."} == {
        first["id"] if row["id"] == first["id"] else row["Subject"] if "copy" in row["Subject"] else row["Description"]
        for row in left
    }
    assert 3 == len(left)
    assert (0, 1) == ((again := office.reconcile()).repairs, again.left)


def test_a_row_that_is_gone_is_written_again_once(office: Office) -> None:
    """Whoever removes it a second time means it."""
    office.call(1)
    office.work()
    (row,) = office.rows()
    office.zoho.post("delete", org="alice", module="Calls", id=row["id"])

    told = office.reconcile()

    assert (1, 1, True) == (told.lost, len(office.rows()), office.agrees())
    (row,) = office.rows()
    office.zoho.post("delete", org="alice", module="Calls", id=row["id"])

    told = office.reconcile()

    assert (0, 1, []) == (told.lost, told.left, office.rows())


MOVED: dict[str, Row] = {
    "to another day": {"Call_Start_Time": "2026-01-05T09:00:00+00:00"},
    "out of our sight": {"Description": "Our line is gone."},
}


@pytest.mark.parametrize("values", MOVED.values(), ids=MOVED)
def test_a_row_a_person_changed_is_found_and_left(office: Office, values: Row) -> None:
    """By its id, wherever it went and whatever it says now: nothing is written a second time."""
    office.call(1)
    office.work()
    (row,) = office.rows()
    office.zoho.post("edit", org="alice", module="Calls", by=BOB, id=row["id"], values=values)
    before = office.rows()

    told = office.reconcile()

    assert (1, 0, 0) == (told.logged, told.lost, told.repairs)
    assert before == office.rows()


def test_a_row_a_person_corrected_is_not_corrected_back(office: Office) -> None:
    """Not even when that person is the one whose consent we use: the row changed after we wrote it."""
    office.call(1)
    office.work()
    (row,) = office.rows()
    office.zoho.post("clock", advance=3600)
    values = {"Call_Duration": "99:00", "Call_Duration_in_seconds": 5940}
    office.zoho.post("edit", org="alice", module="Calls", by=ALICE, id=row["id"], values=values)

    told = office.reconcile()

    assert (1, 0, 1) == (told.drifted, told.amended, told.left)
    assert [5940] == [row["Call_Duration_in_seconds"] for row in office.rows()]


def test_without_the_permission_to_repair_it_is_counted(services: Services, outside: tuple[Stage, Controls]) -> None:
    """A consent without that feature leaves doubles where they are, and says how many."""
    with open_office(services, *outside, ("calls",)) as office:
        office.call(1)
        office.work()
        (row,) = office.rows()
        office.zoho.post("edit", org="alice", module="Calls", values=twin_of(row))

        told = office.reconcile()

        assert (1, 0, 1, "") == (told.doubled, told.removed, told.left, told.crm)
        assert 2 == len(office.rows())


def test_zoho_out_of_reach_does_not_stop_the_list(office: Office) -> None:
    """What the phone system knows is taken over; the statement says why Zoho was not asked."""
    office.call(1)
    office.work()
    office.call(2, drop=1)
    office.zoho.fault("POST /crm/v8/coql", "status", status=503, times=100)

    told = reconcile.reconcile(office.services, office.tenant, 2 * HOUR)
    office.zoho.delete("faults")

    assert (1, "upstream.busy") == (told.missing, told.crm)


def test_a_call_from_before_zoho_was_connected_is_planned(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody owed it then; the next reconcile does."""
    with monkeypatch.context() as without:
        without.setattr(log_call, "_owe", lambda *_: None)
        office.call(1)
        office.work()
    assert [] == office.rows()

    told = office.reconcile()

    assert (1, 1) == (told.unplanned, len(office.rows()))


# ---- with PhoneBridge Zoho writes the rows ------------------------------------------------------------------------


def later(office: Office, by: timedelta = timedelta(minutes=10)) -> Office:
    """The same office when Zoho has had its time."""
    now = office.services.now
    return replace(office, services=replace(office.services, now=lambda: now() + by))


def test_what_was_never_told_zoho_writes_once(bridged: Office) -> None:
    """The same path as a delivery's: Zoho is told that the call is over, and by nobody else."""
    for number in range(12):
        bridged.call(number, drop=0.5, shuffle=number)
    bridged.work()
    assert len(bridged.rows()) < 12

    told = bridged.reconcile()

    assert (12, 12) == (told.listed, len(bridged.rows()))
    assert {True} == {row["CTI_Entry"] for row in bridged.rows()}
    assert (0, 12, 0) == ((again := later(bridged).reconcile()).repairs, again.logged, again.left)


def test_who_rings_again_at_once_is_not_taken_for_the_first_call(bridged: Office) -> None:
    """The first call stands there and the second does not: reading back must not find the first row for both."""
    began = bridged.services.now() - HOUR
    bridged.call(1, began=began)
    bridged.work()
    bridged.zoho.fault("POST /phonebridge/v3/callnotify", "status", status=503, times=3)  # nothing is done
    bridged.call(2, began=began + timedelta(seconds=40), **{"from": "+34600111201"})
    bridged.work()

    assert 2 == len({row["Call_Start_Time"] for row in bridged.rows()}) == len(bridged.rows())


def test_rows_zoho_wrote_are_found_counted_and_left(bridged: Office) -> None:
    """By owner, number and time. A double of theirs is counted, a row they never wrote is asked for again."""
    for number in range(3):
        bridged.call(number)
    bridged.work()
    rows = bridged.rows()
    assert [True] * 3 == [row["CTI_Entry"] for row in rows]
    assert 3 == (early := bridged.reconcile()).waiting
    assert 0 == early.repairs
    office = later(bridged)

    told = office.reconcile()

    assert (3, 3, 0) == (told.compared, told.logged, told.repairs)
    assert {row["id"] for row in rows} == {kept.activity for kept in office.services.calls.recent(office.tenant)}

    names = ("Caller_ID", "Dialled_Number", "CTI_Entry", "Owner")
    office.zoho.post(
        "seed", org="alice", module="Calls", records=[twin_of(rows[0]) | {name: rows[0][name] for name in names}]
    )
    office.zoho.post("delete", org="alice", module="Calls", id=rows[2]["id"])

    told = office.reconcile()

    assert (2, 1, 0, 1) == (told.logged, told.doubled, told.removed, told.lost)
    assert 1 == sum(row["id"] == rows[0]["id"] for row in office.rows())


# ---- as chores ----------------------------------------------------------------------------------------------------


def chore(office: Office, kind: str) -> Chore:
    return next(one for one in office.services.chores.all(office.tenant) if one.kind == kind)


def visit(office: Office, *kinds: str) -> None:
    """Let the worker of the other lanes do these chores and nothing else."""
    for one in office.services.chores.all(office.tenant):
        if one.kind not in kinds:
            office.services.chores.end(office.tenant, one)
        else:
            office.services.chores.hurry(office.tenant, one.kind)
    worker.visit(office.services, office.tenant, "contacts", seconds=1)


def test_a_phone_system_is_looked_after_from_the_day_it_is_connected(office: Office) -> None:
    """Every five minutes, every night at three by the tenant's clock, and its last week once."""
    kinds = {one.kind: one for one in office.services.chores.all(office.tenant)}

    assert (300, 86_400) == (kinds["reconcile"].every_seconds, kinds["reconcile.night"].every_seconds)
    assert 3 == kinds["reconcile.night"].due_at.astimezone(ZoneInfo("Europe/Madrid")).hour
    assert timedelta() < kinds["backfill"].due_at - office.services.db.now() <= reconcile.FIRST


def test_the_week_before_is_taken_over_bit_by_bit_and_then_never_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice ends, the process too; the next one goes on where it was, and nothing is taken over twice."""
    monkeypatch.setattr(reconcile, "ROWS", 5)
    monkeypatch.setattr(reconcile, "BACKFILL_ROWS", 5)
    for number in range(17):
        office.call(number, drop=1, began=office.services.now() - timedelta(days=6) + number * HOUR)

    seen = []
    while any(one.kind == "backfill" for one in office.services.chores.all(office.tenant)):
        visit(office, "backfill")
        seen.append(len(office.calls()))
        assert len(seen) < 10
    office.work()

    assert [5, 10, 15, 17] == seen
    assert (17, True) == (len(office.rows()), office.agrees())
    (done,) = office.services.ledger.rows(office.tenant, action="calls.backfilled")
    assert (17, 17) == (done.facts["listed"], done.facts["missing"])


def test_every_night_there_is_a_statement_of_counts(office: Office) -> None:
    """In the ledger, and nothing else but counts; the next one is due the next night."""
    office.call(1, drop=1)

    visit(office, "reconcile.night")

    (row,) = office.services.ledger.rows(office.tenant, action="statement")
    assert (1, 1, f"connections:{office.tie.id}") == (row.facts["listed"], row.facts["missing"], row.subject)
    assert {"since", "until"} == {name for name, value in row.facts.items() if not isinstance(value, int)}
    assert chore(office, "reconcile.night").due_at > office.services.db.now()
    assert office.services.ledger.verify(office.tenant).holds


def test_an_absence_is_made_up_for(office: Office) -> None:
    """The sweep reaches back to the last one, however long ago that was; the first one reaches half an hour back."""
    office.call(1, drop=1, began=office.services.now() - 5 * HOUR)
    visit(office, "reconcile")
    assert [] == office.calls()
    away = (office.services.now() - 6 * HOUR).isoformat()
    office.services.connections.set_cursor(office.tenant, office.tie.id, "reconcile.last", away)

    visit(office, "reconcile")

    assert 1 == len(office.calls())


def test_a_phone_system_nobody_can_ask_is_not_in_trouble(services: Services, office: Office) -> None:
    """Without an address of its list there is nothing to lay beside our calls."""
    bare = services.connections.add(office.tenant, "telephony", "standard", label="Bare", account={})
    reconcile.set_up(services, office.tenant, bare)

    visit(office, "reconcile")

    assert not services.connections.get(office.tenant, bare).troubled


def test_while_somebody_is_in_the_lane_it_waits_its_turn(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are taken over by one at a time; who has to wait too long comes back later."""
    monkeypatch.setattr(reconcile, "LANE_SECONDS", 0.1)
    office.call(1, drop=1, began=office.services.now() - timedelta(minutes=5))
    with office.services.lanes.hold(office.tenant, "calls") as held:
        assert held
        visit(office, "reconcile")
    assert ("lane.busy", []) == (chore(office, "reconcile").reason, office.calls())

    visit(office, "reconcile")

    assert ("", 1) == (chore(office, "reconcile").reason, len(office.calls()))


# ---- whose a row is -----------------------------------------------------------------------------------------------

NINE = datetime(2026, 3, 29, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("by", "minutes_after", "written_after", "ours"),
    [
        ("us", 0, 0, True),
        ("us", 0.4, 0, True),
        ("us", 60, 0, False),
        ("us", 60, 60, True),  # we put it right then
        ("us", 0, -60, True),  # by a clock an hour behind
        ("bob", 0, 0, False),
    ],
)
def test_a_row_is_ours_until_somebody_touches_it(
    by: str, minutes_after: float, written_after: float, ours: bool
) -> None:
    """Whoever it was, also under the id we use ourselves."""
    row = LoggedCall(
        remote_id="1",
        marker="m",
        direction="inbound",
        outcome="answered",
        started_at=NINE,
        talk_seconds=1,
        created_at=NINE,
        modified_at=NINE + timedelta(minutes=minutes_after),
        modified_by=by,
    )

    assert ours is untouched(row, by="us", written_at=NINE + timedelta(minutes=written_after))


# ---- until night --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "zone", "hours"),
    [
        ("2026-01-15T01:00:00+00:00", "UTC", 2),
        ("2026-01-15T03:00:00+00:00", "UTC", 24),
        ("2026-03-28T12:00:00+00:00", "Europe/Madrid", 13),  # that night the clocks go forward
        ("2026-01-15T01:00:00+00:00", "Nowhere/There", 2),
    ],
)
def test_the_night_is_the_tenants(now: str, zone: str, hours: float) -> None:
    assert timedelta(hours=hours) == reconcile.until_night(datetime.fromisoformat(now), zone)
