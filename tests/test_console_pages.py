"""What the pages say: of calls and people, of what is owed and held, and that every reading is in the ledger."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text, update
from sqlalchemy.engine import make_url

from console.words import Times
from domain.contact import Line, Person, Record
from domain.plan import Step
from store.database import TenantId
from store.embedded import Postgres
from store.holdings import HOLDINGS
from store.tables import ledger
from tests import house
from tests.console_desk import WEB, Stage, contact_of, letter, meet, person, post, ring, running

DANA, STRANGER = "+34600111222", "+442079460001"
NASTY = "<img src=x onerror=alert(1)>\"'&"


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


def dana(stage: Stage) -> Person:
    """Dana, known to Zoho."""
    known = person("Dana", "Sol", "Ferretería Sol", DANA, "dana@sol.example", "Buyer")
    meet(stage.services, stage.office.tenant, stage.office.crm, [known])
    return known


def page(stage: Stage, path: str, who: str = "alice") -> str:
    answer = stage.browser(who).get(path)
    assert answer.status_code == 200, path
    return html.unescape(answer.get_data(as_text=True))


# ---- calls ------------------------------------------------------------------------------------------------


def test_a_call_is_a_sentence(stage: Stage) -> None:
    """Who, where from, how it ended, who took it, how long they spoke and where it is logged."""
    dana(stage)
    services, office = stage.services, stage.office
    ring(
        services,
        office.tenant,
        office.crm,
        "c1",
        services.db.now() - timedelta(hours=1),
        number=DANA,
        contact=contact_of(services, office.tenant, DANA),
        user=office.bob,
        talk=192,
        writer="records",
        activity="55001",
    )

    shown = page(stage, "/console/calls")

    assert {True} == {word in shown for word in ("Dana Sol", "Ferretería Sol", "+34 600 11 12 22", "Inbound")}
    assert {True} == {word in shown for word in ("Answered", "Bob Agent", "3:12", f"{WEB}/tab/Calls/55001")}
    assert "Times are in Europe/Madrid (" in shown


@pytest.mark.parametrize(
    ("number", "match", "shown"),
    [
        (STRANGER, "nobody", "+44 20 7946 0001"),
        ("anonymous", "hidden", "Number withheld"),
        ("", "hidden", "Number withheld"),
        ("204", "internal", "Extension 204"),
        ("+++", "unreadable", "+++"),
        ("by post", "unreadable", "by post"),
    ],
)
def test_a_call_of_nobody_we_know(stage: Stage, number: str, match: str, shown: str) -> None:
    """It is called what its number is, and the call's own page says why nobody was found."""
    services, office = stage.services, stage.office
    call = ring(services, office.tenant, office.crm, "c1", services.db.now(), number=number, match=match)

    assert shown in page(stage, "/console/calls")
    assert "Nobody we know" in page(stage, f"/console/calls/{call}")


def test_live_calls_are_marked(stage: Stage) -> None:
    services, office = stage.services, stage.office
    ring(services, office.tenant, office.crm, "c1", services.db.now(), number=DANA, outcome=None, over=False)

    shown = page(stage, "/console/calls")

    assert "live-row" in shown
    assert "Ringing" in shown


def test_older_calls_are_paged_by_time(stage: Stage) -> None:
    """Each call is on exactly one page, whatever rings in between."""
    services, office = stage.services, stage.office
    newest = services.db.now()
    for place in range(57):
        number = f"+3460000{place:04}"
        ring(services, office.tenant, office.crm, f"c{place}", newest - timedelta(minutes=place), number=number)
    browser = stage.browser("alice")

    first = browser.get("/console/calls").get_data(as_text=True)
    older = html.unescape(first.split('rel="next"', 1)[0].rsplit('href="', 1)[1].split('"', 1)[0])
    ring(services, office.tenant, office.crm, "new", services.db.now(), number=DANA)
    second = browser.get(older).get_data(as_text=True)

    assert (50, 7) == (first.count('class="cover"'), second.count('class="cover"'))
    assert 'rel="next"' not in second


def test_the_story_of_a_call(stage: Stage) -> None:
    """Rang, answered, ended; who and why; what we owe for it and how that stands."""
    dana(stage)
    services, office = stage.services, stage.office
    contact = contact_of(services, office.tenant, DANA)
    start = datetime(2026, 3, 29, 9, 15, 4, tzinfo=UTC)
    call = ring(
        services,
        office.tenant,
        office.crm,
        "c1",
        start,
        number=DANA,
        contact=contact,
        user=office.bob,
        writer="records",
    )
    with services.db.tenant(office.tenant) as database:
        services.effects.plan(
            database,
            office.tenant,
            "activity.record",
            "activity:c1",
            connection=office.crm,
            lane="calls",
            payload={"secret": "payload"},
            call=call,
        )
    services.effects.drop(office.tenant, services.effects.waiting(office.tenant, "calls"), "upstream.refused")

    shown = page(stage, f"/console/calls/{call}")

    assert {True} == {word in shown for word in ("11:15:04", "11:15:10", "11:16:40", "Bob Agent answered")}  # CEST
    assert {True} == {word in shown for word in ("One contact has this number.", "Write the call into Zoho")}
    assert {True} == {word in shown for word in ("Given up", "The other side refused, and would again.")}
    assert "payload" not in shown


def test_several_people_with_one_number(stage: Stage) -> None:
    """The call's page names them all, so that nobody is greeted by the wrong name."""
    dana(stage)
    services, office = stage.services, stage.office
    partner = Record(module="Contacts", remote_id="9", person=person("Pablo", "Sol", "", DANA, ""))
    with services.db.tenant(office.tenant) as database:
        services.hub.apply(database, office.tenant, office.crm, [Step(do="adopt", record=partner)])
    contact = contact_of(services, office.tenant, DANA)
    call = ring(
        services, office.tenant, office.crm, "c1", services.db.now(), number=DANA, contact=contact, match="several"
    )

    shown = page(stage, f"/console/calls/{call}")

    assert {True} == {name in shown for name in ("Dana Sol", "Pablo Sol", "Several contacts have this number")}


# ---- people -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["da", "DANA", "sol", "dana ferre", DANA, "600 111 222", "Dana@Sol.example"])
def test_people_are_found(stage: Stage, wanted: str) -> None:
    """By the beginning of a name, by number however it is written, by address; by the page's form or by address."""
    dana(stage)
    browser = stage.browser("bob")

    by_form = post(browser, "/console/contacts", q=wanted)
    by_address = browser.get("/console/contacts", query_string={"q": wanted})

    assert {True} == {"Dana Sol" in answer.get_data(as_text=True) for answer in (by_form, by_address)}


@pytest.mark.parametrize(
    "wanted", ["nobody", "%", "_", "d%", "' OR 1=1 --", "\u0000", "x", "nobody@sol.example", NASTY]
)
def test_a_search_is_taken_literally(stage: Stage, wanted: str) -> None:
    dana(stage)

    answer = post(stage.browser("bob"), "/console/contacts", q=wanted)

    assert 200 == answer.status_code
    assert "Dana" not in answer.get_data(as_text=True)
    assert "<img src=x" not in answer.get_data(as_text=True)


def test_a_contact_and_who_says_so(stage: Stage) -> None:
    """Numbers and addresses with their sources, the way to the record, calls, and mail with the hour it goes."""
    dana(stage)
    services, office = stage.services, stage.office
    google = house.google_account(services, office.tenant)
    contact = contact_of(services, office.tenant, DANA)
    theirs = Person(given="D.", lines=(Line.read("+34911987654", "Work"),), emails=("dana@home.example",))
    join = Step(do="join", record=Record(module="people", remote_id="c1", person=theirs), contact=str(contact))
    with services.db.tenant(office.tenant) as database:
        services.hub.apply(database, office.tenant, google, [join])
    ring(services, office.tenant, office.crm, "c1", services.db.now(), number=DANA, contact=contact)
    services.mail.put(
        office.tenant, [(letter("m1", "Dana <dana@sol.example>", "Offer 2211", services.db.now()), [contact])]
    )
    gone = services.mail.gone_at(office.tenant, "m1")
    assert gone is not None

    shown = page(stage, f"/console/contacts/{contact}", "bob")

    assert {True} == {word in shown for word in ("+34 911 98 76 54", "dana@home.example", "Buyer, Ferretería Sol")}
    assert {True} == {word in shown for word in (">Zoho<", ">Google<", f"{WEB}/tab/Contacts/90000", "Offer 2211")}
    assert {True} == {word in shown for word in ("Limited Use requirements", "gone from here")}
    assert "additional_requirements_for_specific_api_scopes" in shown
    assert "Dear Bob" not in shown  # bodies have a page of their own


def test_a_message_opens_on_its_own_page(stage: Stage) -> None:
    """As text, never as markup; one that is no longer cached is not there."""
    services, office = stage.services, stage.office
    services.mail.put(office.tenant, [(letter("m1", "dana@sol.example", "Offer", services.db.now()), [office.crm])])
    bob = stage.browser("bob")

    opened = bob.get("/console/messages/m1").get_data(as_text=True)

    assert "the offer is fine. &lt;script&gt;alert(1)&lt;/script&gt;" in opened
    services.mail.remove(office.tenant, ["m1"])
    assert 404 == bob.get("/console/messages/m1").status_code


def test_script_in_any_field_stays_text(stage: Stage) -> None:
    """Names, companies, numbers, labels, queues, agents, subjects, senders: nothing becomes markup, on any page."""
    services, office = stage.services, stage.office
    nasty = Person(
        given=NASTY,
        family=NASTY,
        company=NASTY,
        title=NASTY,
        lines=(Line(raw=NASTY, e164=DANA, label=NASTY),),
        emails=(NASTY,),
    )
    contact = meet(services, office.tenant, office.crm, [nasty])[0]
    now = services.db.now()
    call = ring(
        services, office.tenant, office.crm, "c1", now, number=NASTY, contact=contact, user=office.bob, queue=NASTY
    )
    ring(services, office.tenant, office.crm, "c2", now, number=NASTY, outcome=None, over=False, user=office.bob)
    services.mail.put(office.tenant, [(letter("m1", NASTY, NASTY, now), [contact])])
    services.connections.add(office.tenant, "telephony", "standard", label=NASTY)
    browser = stage.browser("alice")
    for path in (
        "/console/",
        "/console/calls",
        f"/console/calls/{call}",
        "/console/contacts",
        f"/console/contacts/{contact}",
        "/console/messages/m1",
        "/console/connections",
        "/console/ledger",
    ):
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert "<img src=x" not in answer.get_data(as_text=True), path


# ---- the administrator's pages ----------------------------------------------------------------------------


def test_the_overview_says_what_waits_for_a_person(stage: Stage) -> None:
    """A lost consent, deliveries nobody could read, effects given up: each with the way out."""
    services, office = stage.services, stage.office
    assert "Needs your attention" not in page(stage, "/console/")
    with services.db.tenant(office.tenant) as database:
        services.connections.turn(database, office.tenant, office.crm, "needs_consent", "consent.lost")
        services.effects.plan(
            database, office.tenant, "activity.record", "k", connection=office.crm, lane="calls", payload={}
        )
    services.effects.drop(office.tenant, services.effects.waiting(office.tenant, "calls"), "upstream.refused")
    services.inbox.write_once(office.tenant, office.crm, "e1", kind="telephony", lane="calls", body=b"{")
    services.inbox.failed(office.tenant, services.inbox.pending(office.tenant, "calls")[0], "malformed")

    shown = page(stage, "/console/")

    assert {True} == {
        sentence in shown
        for sentence in (
            "Zoho needs your consent again",
            "1 delivery could not be understood",
            "Write the call into Zoho: 1 given up",
        )
    }

    assert 303 == post(stage.browser("alice"), "/console/deliveries/replay").status_code
    assert {"pending": 1} == services.inbox.counts(office.tenant)
    assert "deliveries.replayed" in stage.actions()


def test_the_overview_announces_what_would_die_silently(stage: Stage) -> None:
    """With the day, what it means, and where to look; for an administrator, who can mend it."""
    services, office = stage.services, stage.office
    ends = services.db.now() + timedelta(hours=30)
    services.connections.set_facts(office.tenant, office.crm, watched_until=ends.isoformat())

    shown = page(stage, "/console/")

    day = Times.of(services.tenants.get(office.tenant).time_zone, services.db.now()).mid(ends)
    assert f"Zoho: stops telling us of changes {day}" in shown
    assert f'href="/console/connections#tie-{office.crm}"' in shown


def test_the_overview_counts_todays_calls(stage: Stage) -> None:
    """Today is the tenant's day, not UTC's."""
    services, office = stage.services, stage.office
    now = services.db.now()
    ring(services, office.tenant, office.crm, "c1", now, number=DANA, outcome=None, over=False)
    ring(services, office.tenant, office.crm, "c2", now - timedelta(hours=25), number=DANA, outcome="missed")

    shown = page(stage, "/console/")

    figures = [part.split("</dd>")[0] for part in shown.split("<dd>")[1:6]]
    assert ["1", "0", "0", "0", "0"] == figures


def test_what_we_hold_is_the_list_the_purge_works_through(stage: Stage) -> None:
    shown = page(stage, "/console/holdings")

    for holding in HOLDINGS:
        assert holding.purpose in shown
    assert "30 days after the call began" in shown
    assert "Limited Use requirements" in shown


def test_the_ledger_shows_that_it_holds(stage: Stage) -> None:
    """Verified with its number of rows; a chain somebody tampered with says where it breaks."""
    stage.services.ledger.note(stage.office.tenant, "consent.given", actor=f"user:{stage.office.alice.id}", count=2)

    shown = page(stage, "/console/ledger")

    assert {True} == {word in shown for word in ("Chain verified, 1 rows", "consent.given", "Alice Admin", "count 2")}
    stage.services.ledger.note(stage.office.tenant, "read.calls", actor="system")
    only_reads = page(stage, "/console/ledger?action=read.")
    assert ("read.calls" in only_reads, "consent.given" in only_reads) == (True, False)


def test_a_broken_chain_is_shouted_about(stage: Stage, db_urls: Postgres) -> None:
    for _ in range(3):
        stage.services.ledger.note(stage.office.tenant, "read.calls", actor="system")
    engine = create_engine(make_url(db_urls.owner_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(text("SELECT set_config('app.tenant_id', :id, true)"), {"id": str(stage.office.tenant)})
        changed = update(ledger).where(ledger.c.tenant_id == stage.office.tenant, ledger.c.seq == 2)
        assert connection.execute(changed.values(action="read.nothing")).rowcount == 1
    engine.dispose()

    assert "Chain broken at row 2" in page(stage, "/console/ledger")


def test_every_reading_of_customer_data_is_in_the_ledger(stage: Stage) -> None:
    """With who read, ids and counts, and nothing of anybody."""
    dana(stage)
    services, office = stage.services, stage.office
    contact = contact_of(services, office.tenant, DANA)
    call = ring(services, office.tenant, office.crm, "c1", services.db.now(), number=DANA, contact=contact)
    services.mail.put(office.tenant, [(letter("m1", "dana@sol.example", "Offer", services.db.now()), [contact])])
    assert [] == stage.actions()
    bob = stage.browser("bob")

    for path in (
        "/console/calls",
        f"/console/calls/{call}",
        "/console/contacts?q=dana",
        f"/console/contacts/{contact}",
        "/console/messages/m1",
    ):
        assert 200 == bob.get(path).status_code

    rows = services.ledger.rows(office.tenant)[::-1]
    assert "google.passed" in {row.action for row in rows}  # the mail, each time it was shown
    read = [row for row in rows if row.action != "google.passed"]
    assert ["read.calls", "read.calls", "read.contacts", "read.contact", "read.message"] == [row.action for row in read]
    assert {f"user:{office.bob.id}"} == {row.actor for row in rows}
    assert ["", f"calls:{call}", "", f"contacts:{contact}", ""] == [row.subject for row in read]
    assert not any(word in str(rows) for word in ("Dana", "dana", DANA.strip("+"), "Offer", "m1"))
