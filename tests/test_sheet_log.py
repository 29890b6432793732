"""The call log in a spreadsheet: each call and each day of messages one row, whatever became of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from domain.call import TextEvent
from domain.errors import NotAllowed
from integrations.google.provider import AUTH
from jobs import sheet_log, texts, worker
from store.connections import Tie
from store.embedded import Postgres
from store.tables import chores, effects
from store.texts import Parties
from tests import console_desk, google_stage, house
from tests.card_hosts import DANAS, EVES, Office, office

ADDING = "POST /v4/spreadsheets/*"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def google() -> Iterator[google_stage.Stage]:
    with google_stage.running() as stage:
        yield stage


@pytest.fixture(scope="module")
def here(db_urls: Postgres, work_url: str, mail_url: str, google: google_stage.Stage) -> Iterator[Office]:
    told = {
        "GOOGLE_CLIENT_ID": google_stage.CLIENT,
        "GOOGLE_CLIENT_SECRET": google_stage.SECRET,
        "GOOGLE_TOKEN_URI": f"{google.origin}/token",
    }
    with office(db_urls, work_url, mail_url, google, **told) as opened:
        google.post(
            "clients",
            client_id=google_stage.CLIENT,
            client_secret=google_stage.SECRET,
            redirect_uris=[google_stage.REDIRECT],
        )
        yield opened


@pytest.fixture(scope="module")
def tie(here: Office, google: google_stage.Stage) -> UUID:
    """Alice connected her Google account and ticked the spreadsheet."""
    refresh = google.consent("openid", AUTH + "drive.file", user=google_stage.ALICE)["refresh_token"]
    return house.google_account(here.services, here.bob.tenant, "sheet", label=google_stage.ALICE, refresh=refresh)


@pytest.fixture
def alice(here: Office, tie: UUID, google: google_stage.Stage) -> Iterator[Tie]:
    google.delete("faults")
    sheet_log.start(here.services, found(here, tie), actor="system")
    yield found(here, tie)
    sheet_log.stop(here.services, found(here, tie), why="test.over")


def found(here: Office, tie: UUID) -> Tie:
    return here.services.connections.get(here.bob.tenant, tie)


def call(here: Office, ref: str, number: str = DANAS, **more: Any) -> UUID:
    """A call that began after the log was started, by the clock of this test."""
    services, tenant = here.services, here.bob.tenant
    (phones,) = services.connections.all(tenant, kind="telephony")
    more = {"user": here.bob, "contact": here.dana if number == DANAS else None} | more
    return console_desk.ring(
        services, tenant, phones.id, ref, services.now() - timedelta(minutes=5), number=number, **more
    )


def work(here: Office, tie: UUID) -> None:
    """A round, as if its time had come and everything began five minutes ago."""
    tenant = here.bob.tenant
    facts = found(here, tie).facts["sheet"]
    if facts.get("since"):
        early = (here.services.now() - timedelta(minutes=10)).isoformat()
        here.services.connections.set_facts(tenant, tie, sheet=facts | {"since": early})
    with here.services.db.tenant(tenant) as database:
        past = here.services.now() - timedelta(days=1)
        database.execute(
            update(chores).where(chores.c.tenant_id == tenant).values(due_at=here.services.now() + timedelta(days=1))
        )
        database.execute(
            update(chores).where(chores.c.tenant_id == tenant, chores.c.kind == sheet_log.CHORE).values(due_at=past)
        )
        database.execute(
            update(effects).where(effects.c.tenant_id == tenant, effects.c.kind == sheet_log.KIND).values(next_at=past)
        )
    worker.visit(here.services, tenant, "contacts")


def rows(here: Office, tie: Tie) -> list[list[Any]]:
    """What stands in the spreadsheet, its header first."""
    found: list[list[Any]] = here.google.get("sheets")["sheets"][mine(here, tie)]["rows"]
    return found


def mine(here: Office, tie: Tie) -> str:
    return here.services.connections.cursor(here.bob.tenant, tie.id, sheet_log.CURSOR)


def states(here: Office, *calls: UUID) -> list[tuple[str, str]]:
    return [(row.state, row.reason) for row in here.owed(sheet_log.KIND) if row.call_id in calls]


def test_each_call_is_one_row_with_our_id(here: Office, alice: Tie) -> None:
    """By name where somebody knows it, what looks like a formula as text, and nothing again in the next round."""
    one = call(here, "s1", outcome="missed")
    two = call(here, "s2", EVES, queue='=IMPORTXML("https://eve.example")')
    work(here, alice.id)
    work(here, alice.id)

    written = {row[-1]: row for row in rows(here, alice)[1:]}
    assert list(sheet_log.COLUMNS) == rows(here, alice)[0]
    assert ["Incoming call", "missed", "Dana Quince", DANAS] == written[str(one)][1:5]
    assert ("", EVES, '=IMPORTXML("https://eve.example")') == tuple(written[str(two)][at] for at in (3, 4, 7))
    assert len(written) == len(rows(here, alice)) - 1
    assert sheet_log.how(here.services, found(here, alice.id)).url.startswith("https://docs.google.com/spreadsheets/d/")


def test_rows_nobody_answered_for_are_looked_for_first(here: Office, alice: Tie) -> None:
    """They arrived and the answer was lost; or they did not: each stands there once in the end."""
    arrived = call(here, "s3")
    here.google.fault(ADDING, "drop_after", times=1)
    work(here, alice.id)
    assert [("unknown", "upstream.unanswered")] == states(here, arrived)
    lost = call(here, "s4")
    work(here, alice.id)

    ids = [row[-1] for row in rows(here, alice)]
    assert (1, 1) == (ids.count(str(arrived)), ids.count(str(lost)))
    assert [("done", "")] * 2 == states(here, arrived, lost)


def test_a_spreadsheet_whose_making_was_not_answered_is_found_again(here: Office, alice: Tie) -> None:
    before = len(here.google.get("sheets")["sheets"])
    here.google.fault("POST /v4/spreadsheets", "drop_after", times=1)
    work(here, alice.id)
    work(here, alice.id)
    assert before + 1 == len(here.google.get("sheets")["sheets"])
    assert "on" == sheet_log.how(here.services, found(here, alice.id)).state


@pytest.mark.parametrize(
    ("do", "why"), [("delete", "sheet.gone"), ("unshare", "sheet.gone"), ("rename tab", "sheet.changed")]
)
def test_a_spreadsheet_that_was_taken_away_stops_the_log(do: str, why: str, here: Office, alice: Tie) -> None:
    """And says so; started again another one is made."""
    call(here, f"t1 {do}")
    work(here, alice.id)
    here.google.post("sheets", id=mine(here, alice), do=do)
    late = call(here, f"t2 {do}")
    work(here, alice.id)

    stands = sheet_log.how(here.services, found(here, alice.id))
    assert ("stopped", why, "") == (stands.state, stands.why, stands.url)
    assert [("dropped", why)] == states(here, late)
    assert why == found(here, alice.id).reason


def test_a_day_of_messages_is_a_row_when_it_is_over(here: Office, alice: Tie) -> None:
    services, tenant = here.services, here.bob.tenant
    (phones,) = services.connections.all(tenant, kind="telephony")
    for days, ref in ((1, "yesterday"), (0, "today")):
        at = services.now() - timedelta(minutes=1)
        told = TextEvent(
            id=ref, at=at, message_ref=ref, direction="inbound", sender=EVES, receiver="+34911222333", text="=1"
        )
        parties = Parties(EVES, "+34911222333", services.now().date() - timedelta(days=days + 1 if days else -1))
        (day,) = texts.kept(services).hear(tenant, phones.id, {parties: [told]}).values()
        day.match = "none"
        with services.db.tenant(tenant) as database:
            texts.kept(services).save(database, tenant, parties, day, e164=EVES)
    work(here, alice.id)

    written = [row for row in rows(here, alice) if row[1] == "Text messages"]
    assert [["1 received, 0 sent", "", EVES]] == [row[2:5] for row in written]


def test_it_starts_only_where_that_was_permitted(here: Office, tie: UUID) -> None:
    """An account with contacts alone has no page that starts it; nor has an agent, nor a neighbour."""
    other = house.google_account(here.services, here.bob.tenant, "contacts", label="other@alice.example")
    with pytest.raises(NotAllowed):
        sheet_log.start(here.services, found(here, other), actor="system")
    (admin,) = (user for user in here.services.tenants.users(here.bob.tenant) if user.role == "admin")
    pages = console_desk.application(here.services, console_desk.Stories())
    page, place = f"/console/connections/{tie}/sheet", house.ORIGIN.removeprefix("https://")

    def browser(user: Any) -> Any:
        client = pages.test_client()
        value = here.services.directory.new("session", here.bob.tenant, user=user.id)
        client.set_cookie("__Host-linekeeper_session", value, domain=place, secure=True)
        return client

    told = browser(admin).get(f"/console/connections/{other}/sheet", base_url=house.ORIGIN).get_data(as_text=True)
    assert "has not given the permission" in told
    assert 403 == browser(here.bob).get(page, base_url=house.ORIGIN).status_code

    client = browser(admin)

    def press(on: str) -> int:
        shown = client.get(page, base_url=house.ORIGIN).get_data(as_text=True)
        form = {"csrf_token": shown.split('name="csrf_token" value="', 1)[1].split('"', 1)[0], "on": on}
        sent: int = client.post(page, data=form, base_url=house.ORIGIN, headers=SAME).status_code
        return sent

    assert (400, 303) == (press("maybe"), press("yes"))
    assert "Each call is added" in client.get(page, base_url=house.ORIGIN).get_data(as_text=True)
    assert (303, "off") == (press("no"), sheet_log.how(here.services, found(here, tie)).state)
