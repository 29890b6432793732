"""Do not disturb while the calendar says busy: only where a user allowed it and wishes it, and never by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from console import create_console
from domain.busy import BusyTimes
from domain.contact import Record
from domain.errors import Forbidden, TryLater
from domain.plan import Step
from domain.pop import PopRules, Wish
from domain.ports import Organisation
from jobs import busy, connect, hints, pops, worker
from jobs.services import Services
from store.connections import Tie
from store.embedded import Postgres
from store.tables import chores
from tests import calls_office, zoho_stage
from tests.console_desk import person, post, sign_in
from tests.google_stage import BOB, Stage, running
from tests.mail_office import Office, connected, opened, tools

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HALS, LINE = "+34600555666", "+34911222333"
MEETING = ((NOON, NOON + timedelta(minutes=30)),)
READING = "POST /calendar/v3/freeBusy"


@pytest.fixture(scope="module")
def google() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture(scope="module")
def office(db_urls: Postgres, work_url: str, mail_url: str, google: Stage) -> Iterator[Office]:
    """Alice's office, in which Bob connected his own account for his busy times alone."""
    told = {"BASE_URL": "http://127.0.0.1:8000"}
    with ExitStack() as stack:
        services = stack.enter_context(tools(db_urls, work_url, mail_url, google, **told))
        alices = Organisation(remote_id="20001", name="Alice Ltd", time_zone="Europe/Madrid", country="ES")
        yield stack.enter_context(opened(services, google, services.tenants.create(alices, profile="strict")))


@pytest.fixture
def own(office: Office) -> Iterator[Tie]:
    """Bob's own account; he wishes not to be disturbed."""
    tie = connected(office.services, office.google, office.bob, BOB, [busy.FEATURE], "own")
    switch(office, on=True)
    yield tie
    office.google.delete("faults")
    if office.services.connections.get(tie.tenant, tie.id).state != "disconnected":
        connect.disconnect(office.services, user=office.bob, tie=tie.id)


def switch(office: Office, *, on: bool) -> None:
    user = office.services.tenants.user(office.tenant, office.bob.id)
    assert user is not None
    busy.switch(office.services, office.services.tenants.get(office.tenant), user, on=on)


def says(office: Office, *minutes: tuple[int, int], error: str = "") -> None:
    """What Bob's calendar says, in minutes from now; and it is looked at."""
    now = office.services.now()
    times = [[(now + timedelta(minutes=minute)).isoformat() for minute in span] for span in minutes]
    office.google.post("busy", user=BOB, times=times, error=error)
    with office.services.db.tenant(office.tenant) as database:
        mine = (chores.c.tenant_id == office.tenant, chores.c.kind == busy.CHORE)
        database.execute(update(chores).where(*mine).values(due_at=now - timedelta(days=1)))
    worker.visit(office.services, office.tenant, "mail", seconds=30)


def quiet(office: Office, *, after: timedelta = timedelta()) -> bool:
    """Whether Bob is left alone now, or would be later if nothing were read meanwhile."""
    user = office.services.tenants.user(office.tenant, office.bob.id)
    assert user is not None
    return busy.undisturbed(replace(office.services, now=lambda: datetime.now(UTC) + after), user)


def kept(office: Office, tie: Tie) -> str:
    return office.services.connections.cursor(tie.tenant, tie.id, "busy")


@pytest.mark.parametrize(
    ("text", "minutes", "expected"),
    [
        (BusyTimes(read_at=NOON, spans=MEETING).as_text(), 0, True),
        (BusyTimes(read_at=NOON, spans=MEETING).as_text(), -1, False),
        (BusyTimes(read_at=NOON, spans=MEETING).as_text(), 15, True),
        (BusyTimes(read_at=NOON, spans=MEETING).as_text(), 16, False),  # nobody has looked for too long
        (BusyTimes(read_at=NOON + timedelta(minutes=30), spans=MEETING).as_text(), 30, False),  # its end is free
        (BusyTimes(read_at=NOON).as_text(), 0, False),
        *((text, 0, False) for text in ("", "busy", "[]", '{"read_at": "2026-03-02T12:00:00"}', '{"spans": 1}')),
        (
            '{"read_at": "2026-03-02T12:00:00+00:00", "spans": [["2026-03-02T11:00:00", "2026-03-02T13:00:00"]]}',
            0,
            False,
        ),
    ],
)
def test_what_was_read_counts_while_it_is_fresh_and_can_be_read(text: str, minutes: int, expected: bool) -> None:
    times = BusyTimes.from_text(text)
    assert expected == (times is not None and times.at(NOON + timedelta(minutes=minutes)))


def test_a_calendar_is_read_only_while_its_user_wishes_and_allows_it(office: Office, own: Tie) -> None:
    """The times of an hour and nothing else; gone with the wish, with the consent, with the connection."""
    app = Flask("linekeeper")
    app.register_blueprint(create_console(office.services))
    bob, address = sign_in(app, office.services, office.bob), "/console/workspace/busy"
    says(office, (-10, 10), (50, 300), (90, 120))
    assert (True, False) == (quiet(office), quiet(office, after=timedelta(minutes=16)))
    read = BusyTimes.from_text(kept(office, own))
    assert read is not None
    assert (2, True) == (len(read.spans), read.spans[-1][1] <= read.read_at + timedelta(hours=1))

    asked = office.google.counts()[READING]
    assert "Disturb me whatever" in bob.get("/console/workspace").get_data(as_text=True)
    assert [400, 303] == [post(bob, address, on=on).status_code for on in ("perhaps", "no")]
    says(office, (-10, 10))
    assert (False, "", asked) == (quiet(office), kept(office, own), office.google.counts()[READING])

    assert 303 == post(bob, address, on="yes").status_code
    says(office, (-10, 10))
    assert quiet(office)
    office.google.post("account", user=BOB, event="consent_withdrawn")
    says(office, (-10, 10))
    assert (False, "") == (quiet(office), kept(office, own))
    assert "needs_consent" == office.services.connections.get(own.tenant, own.id).state

    again = connected(office.services, office.google, office.bob, BOB, [busy.FEATURE], "own")
    says(office, (-10, 10))
    assert (own.id, True) == (again.id, quiet(office))
    connect.disconnect(office.services, user=office.bob, tie=own.id)
    assert (False, "", []) == (quiet(office), kept(office, own), busy.calendars(office.services, office.bob))


def test_an_accounts_times_end_with_the_feature_that_carried_them(office: Office) -> None:
    """An administrator's account has them too, for whoever consented; a consent without it reads no more."""
    services = office.services
    tie = connected(services, office.google, office.alice, BOB, ["contacts", busy.FEATURE])
    assert [tie.id] == [one.id for one in busy.calendars(services, office.alice)]
    services.connections.set_cursor(tie.tenant, tie.id, "busy", BusyTimes(read_at=services.now()).as_text())

    busy.settle(services, services.connections.get(tie.tenant, tie.id), office.alice, {"contacts"})

    assert ([], "") == (busy.calendars(services, office.alice), kept(office, tie))
    assert busy.CHORE not in [one.kind for one in services.chores.all(office.tenant) if one.connection == tie.id]
    connect.disconnect(services, user=office.alice, tie=tie.id)


FAULTS: dict[str, dict[str, Any]] = {
    "busy with itself": {"action": "status", "status": 503},
    "not for this project": {"action": "status", "status": 403},
    "a page of somebody else's": {"action": "html"},
    "of another kind": {
        "action": "status",
        "status": 200,
        "body": {"calendars": {"primary": {"busy": [{"start": 1}]}}},
    },
    "nothing at all": {"action": "status", "status": 200, "body": {}},
}


def test_what_google_cannot_say_disturbs(office: Office, own: Tie) -> None:
    """Errors of the calendar, refusals and nonsense: what was read counts while it is fresh, then nothing does."""
    services, old = office.services, BusyTimes(read_at=datetime.now(UTC) - timedelta(hours=1))
    says(office, (-10, 10), error="internalError")
    assert (False, "") == (quiet(office), kept(office, own))
    for fault in FAULTS.values():
        services.connections.set_cursor(own.tenant, own.id, "busy", old.as_text())
        office.google.fault(READING, times=2, **fault)
        says(office, (-10, 10))
        office.google.delete("faults")
        assert (False, "") == (quiet(office), kept(office, own)), fault
    says(office, (-10, 10))
    office.google.fault(READING, "status", status=503, times=2)
    says(office)
    assert quiet(office)
    with pytest.raises(TryLater):
        services.calendar(own).busy(NOON, NOON - timedelta(hours=1))


def test_a_hint_passes_over_whoever_is_not_to_be_disturbed(office: Office, own: Tie) -> None:
    """Hal's record is Bob's: his telephone, unless he is busy; then what the table says of the line."""
    services, tenant = office.services, office.tenant
    crm = services.connections.first(tenant, "crm")
    assert crm is not None
    hal = person("Hal", "Hale", "Hale Ltd", HALS, "")
    record = Record(module="Contacts", remote_id="71", person=hal, owner=office.bob.remote_id)
    with services.db.tenant(tenant) as database:
        services.hub.apply(database, tenant, crm.id, [Step(do="adopt", record=record)])
    says(office, (10, 20))
    assert "owner" == hints.way(services, tenant, HALS, LINE).because
    says(office, (-10, 10))
    assert "no_rule" == hints.way(services, tenant, HALS, LINE).because
    services.tenants.set(tenant, pops=PopRules(locked=True).as_data())
    assert "owner" == hints.way(services, tenant, HALS, LINE).because
    with pytest.raises(Forbidden, match="administrator"):
        switch(office, on=False)
    services.tenants.set(tenant, pops=PopRules().as_data())


def test_no_card_comes_up_at_whoever_is_busy(db_urls: Postgres, work_url: str, mail_url: str) -> None:
    """The call stands on the panel, is logged, and missed it makes its task; one they make themselves comes up."""
    with ExitStack() as stack:
        zoho = stack.enter_context(zoho_stage.running())
        services: Services = stack.enter_context(calls_office.tools(db_urls, work_url, mail_url, zoho))
        here = stack.enter_context(calls_office.opened(services, zoho, calls_office.BRIDGE))
        bob = here.user(calls_office.BOB)
        busy.switch(services, services.tenants.get(here.tenant), bob, on=True)
        tie = services.connections.add(here.tenant, "workspace", "google", label="bob", busy_of=str(bob.id))
        now = services.now()
        meeting = BusyTimes(read_at=now, spans=((now - timedelta(minutes=9), now + timedelta(minutes=9)),))
        services.connections.set_cursor(here.tenant, tie, "busy", meeting.as_text())
        pops.wish(services, services.tenants.get(here.tenant), here.user(calls_office.BOB), Wish(outbound="ring"))

        here.hear(here.missed("m1", 0)[0])
        here.act()
        assert (["m1 ringing"], []) == (here.on_panel(calls_office.BOB), here.cards())
        assert ["pop.undisturbed"] == [row.reason for row in here.owed("pop")]
        here.hear(here.missed("m1", 0)[1])
        here.work()
        assert (1, 1) == (len(here.rows("Calls")), len(here.rows("Tasks")))

        here.hear(here.event("o1", "ringing", 60, calls_office.BOB, direction="outbound"))
        here.act()
        assert [(calls_office.BOB, "ringing")] == here.cards()[-1:]
