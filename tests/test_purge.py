"""Forgetting: on time, one person everywhere, a whole tenant; each with a certificate, and the neighbour untouched."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import ProgrammingError

from domain.contact import Line, Person
from domain.errors import Malformed, TryLater
from domain.mail import Message
from jobs.erase import erase, erase_tenant
from jobs.export import export_person, export_tenant
from jobs.purge import purge, purge_tenant
from jobs.services import Services
from store import footprint, tables
from store.apart import SetApart
from store.callbacks import Callbacks
from store.certificates import signed
from store.database import Database, TenantId
from store.footprint import mentions
from store.lanes import Lanes
from store.vault import KeyGone, Tampered, Vault
from tests.forgetting import DORA, EMIL, MAIN_LINE, NOON, age, call, contact, delivery, grant, ids, tools
from tests.test_mailbox import clear

MINUTE, DAY, MONTH = timedelta(minutes=1), timedelta(days=1), timedelta(days=30)


@pytest.fixture
def services(
    db: Database, vault: Vault, mail_url: str, tenant: TenantId, neighbour: TenantId, monkeypatch: pytest.MonkeyPatch
) -> Services:
    """The tools, in a deployment of two tenants: the suite's others would only make every story long."""
    clear(db)
    everybody = db.tenants
    monkeypatch.setattr(db, "tenants", lambda: [one for one in everybody() if one in (tenant, neighbour)])
    return tools(db, vault, mail_url)


@pytest.fixture
def pbx(services: Services, tenant: TenantId) -> UUID:
    return services.connections.add(tenant, "telephony", "standard", label="Main office", account={"key": "k-canary"})


@pytest.fixture
def crm(services: Services, tenant: TenantId) -> UUID:
    return services.connections.add(tenant, "crm", "zoho", label="Alice Ltd")


@pytest.fixture
def google(services: Services, tenant: TenantId) -> UUID:
    return services.connections.add(tenant, "workspace", "google", label="bob@alice.example")


# ---- on time ----------------------------------------------------------------------------------------------------


def test_purge_takes_only_what_is_due_and_only_from_this_tenant(
    services: Services, tenant: TenantId, neighbour: TenantId, pbx: UUID
) -> None:
    """Thirty days after it began a call is gone; a minute younger it stays; a neighbour's is untouched."""
    due = call(services, tenant, pbx, DORA, NOON - MONTH - MINUTE)
    young = call(services, tenant, pbx, DORA, NOON - MONTH + MINUTE)
    charlies = call(services, neighbour, pbx, DORA, NOON - MONTH - MINUTE)
    assert {due, young} == ids(services, tenant, "calls")

    assert purge_tenant(services, tenant, NOON)["calls"] == 1

    assert {young} == ids(services, tenant, "calls")
    assert {charlies} == ids(services, neighbour, "calls")
    assert sum(purge_tenant(services, tenant, NOON).values()) == 0


def test_each_kind_goes_by_its_own_clock(services: Services, tenant: TenantId, pbx: UUID) -> None:
    """Dead deliveries after a week, what waits and what is done after a month: a minute before and a minute after."""
    kept: set[UUID] = set()
    gone: set[UUID] = set()
    for state, period in (("dead", 7 * DAY), ("done", 7 * DAY), ("pending", MONTH)):
        for side, off in ((gone, MINUTE), (kept, -MINUTE)):
            row = delivery(services, tenant, pbx, "{}", state)
            side.add(age(services, tenant, "deliveries", row, received_at=NOON - period - off))
    assert kept | gone == ids(services, tenant, "deliveries")
    owed, done = ids(services, tenant, "effects"), {}
    for state in ("done", "dead", "due"):
        for off in (MINUTE, -MINUTE):
            call(services, tenant, pbx, DORA, NOON)
            (row,) = ids(services, tenant, "effects") - owed
            owed.add(row)
            with services.db.tenant(tenant) as database:
                database.execute(update(tables.effects).where(tables.effects.c.id == row).values(state=state))
            old = NOON - MONTH - off
            age(services, tenant, "effects", row, created_at=old, next_at=old)
            if state == "done":
                age(services, tenant, "effects", row, done_at=old)
            done[row] = off == MINUTE

    went = purge_tenant(services, tenant, NOON)

    assert (went["deliveries"], went["waiting deliveries"]) == (2, 1)
    assert kept == ids(services, tenant, "deliveries")
    assert (went["effects"], went["waiting effects"]) == (2, 1)
    assert {row for row, old in done.items() if not old} == ids(services, tenant, "effects")


def test_what_a_disconnected_side_said_goes_and_what_others_said_stays(
    services: Services, tenant: TenantId, crm: UUID, google: UUID, pbx: UUID
) -> None:
    """Dora is only in Google, Emil in both; Google is disconnected, and the phone system is owed the news of Dora."""
    dora = contact(services, tenant, google, "Dora", [DORA], "dora@quince.example", "people/c1")
    emil = contact(services, tenant, crm, "Emil", [EMIL], "emil@quince.example", "1")
    assert emil == contact(services, tenant, google, "Emil", [EMIL, MAIN_LINE], "emil@quince.example", "people/c2")
    with services.db.tenant(tenant) as database:
        for known in (dora, emil):
            services.hub.mark_written(database, tenant, pbx, [(str(known), Person(given="x"))])
    live, ended = grant(services, tenant, crm, "active"), grant(services, tenant, google, "revoked")
    services.connections.set_cursor(tenant, google, "people", "token")
    assert sum(purge_tenant(services, tenant, NOON).values()) == 1  # the tokens of a consent that is over
    assert services.hub.who(tenant, MAIN_LINE) == [emil]

    with services.db.tenant(tenant) as database:
        services.connections.turn(database, tenant, google, "disconnected")
    went = purge_tenant(services, tenant, NOON)

    assert (went["contacts"], went["connections"]) == (1, 2)
    assert services.hub.who(tenant, DORA) == services.hub.who(tenant, MAIN_LINE) == []
    assert services.hub.who(tenant, EMIL) == [emil]
    assert services.connections.get(tenant, google).label == ""
    (owed,) = services.effects.waiting(tenant, "contacts")
    assert (owed.kind, owed.connection, owed.payload) == ("phonebook.remove", pbx, {"removed": [str(dora)]})
    with services.db.tenant(tenant) as database:
        held = {row.id: row.refresh for row in database.execute(select(tables.grants))}
    assert held[live] is not None
    assert held[ended] is None
    assert sum(purge_tenant(services, tenant, NOON).values()) == 0


def test_people_who_left_and_old_door_secrets_go(services: Services, tenant: TenantId, crm: UUID, pbx: UUID) -> None:
    """Thirty days after we last saw them in the CRM; whoever works there stays however long ago that was."""
    now = services.db.now()
    with services.db.tenant(tenant) as database:
        for number, active, off in ((1, True, -MINUTE), (2, False, -MINUTE), (3, False, 5 * MINUTE)):
            values = {"connection_id": crm, "remote_id": str(number), "active": active, "seen_at": now - MONTH + off}
            database.execute(insert(tables.users).values(id=UUID(int=number), tenant_id=tenant, **values))
    services.connections.add_secret(tenant, pbx, "webhook", "old")
    services.connections.add_secret(tenant, pbx, "webhook", "new", overlap_seconds=60)
    assert purge_tenant(services, tenant, now)["door secrets"] == 0
    assert {UUID(int=1), UUID(int=3)} == ids(services, tenant, "users")

    assert purge_tenant(services, tenant, now + 2 * MINUTE)["door secrets"] == 1

    assert services.connections.secrets(tenant, pbx, "webhook") == ["new"]


def test_the_story_purges_everything_and_certifies_it(
    services: Services, tenant: TenantId, neighbour: TenantId, pbx: UUID
) -> None:
    """Expired sessions and consent requests too; a tenant with nothing due gets no certificate."""
    call(services, tenant, pbx, DORA, NOON - MONTH - MINUTE)
    now = services.db.now()
    services.directory.put("session", "old", tenant, expires_at=now - MINUTE)
    services.directory.put("session", "new", tenant, expires_at=now + MINUTE)
    with services.db.anyone() as database:
        for name, until in ((b"old", now - MINUTE), (b"new", now + MINUTE)):
            database.execute(
                insert(tables.consent_requests).values(state=name, browser=b"b", provider="zoho", expires_at=until)
            )

    swept = purge(services, now=NOON)

    assert swept.tenants[tenant]["calls"] == 1
    assert swept.failed == {}
    assert (swept.directory >= 1, swept.consent_requests >= 1) == (True, True)
    assert services.directory.find("session", "old") is None
    assert services.directory.find("session", "new") is not None
    (issued,) = services.certificates.all(tenant)
    assert (issued.kind, issued.profile, issued.counts) == ("purge", "strict 1", {"calls": 1})
    assert services.certificates.all(neighbour) == []
    assert services.ledger.verify(tenant).holds


def test_a_tenant_that_cannot_be_purged_does_not_stop_the_others(
    services: Services, tenant: TenantId, neighbour: TenantId, pbx: UUID
) -> None:
    services.tenants.set(tenant, profile="nowhere")
    call(services, neighbour, pbx, DORA, NOON - MONTH - MINUTE)

    swept = purge(services, now=NOON)

    assert swept.failed[tenant] == "not_found"
    assert swept.tenants[neighbour]["calls"] == 1


# ---- one person -------------------------------------------------------------------------------------------------


def test_one_person_goes_everywhere_and_nobody_else(
    services: Services, tenant: TenantId, neighbour: TenantId, crm: UUID, pbx: UUID
) -> None:
    """Found by a number written the Spanish way: contact, calls, bodies, payloads and mail; colleagues stay."""
    dora = contact(services, tenant, crm, "Dora", [DORA, MAIN_LINE], "dora@quince.example", "1")
    emil = contact(services, tenant, crm, "Emil", [EMIL, MAIN_LINE], "emil@quince.example", "2")
    theirs = call(services, tenant, pbx, DORA)
    passed_on = call(services, tenant, pbx, EMIL, to="0034 600-111-222")
    others = call(services, tenant, pbx, EMIL)
    charlies = call(services, neighbour, pbx, DORA)
    dead = delivery(services, tenant, pbx, '{"from": "+34 600 111 222"}')
    waits = delivery(services, tenant, pbx, "from=%2B34600111222&to=201", "pending")
    unrelated = delivery(services, tenant, pbx, '{"from": "+346001112223", "at": 1600111222}')
    for who in (dora, emil):
        services.mail.put(tenant, [(mail(str(who)), [who])])
    apart, callbacks = SetApart(services.db, services.vault), Callbacks(services.db)
    with services.db.tenant(tenant) as database:
        apart.put(database, tenant, DORA, "left_out", "asked for it")
        apart.put(database, tenant, EMIL, "left_out")
        callbacks.put(database, tenant, theirs, user=None, by=crm)
    assert {theirs, passed_on, others} == ids(services, tenant, "calls")
    assert len(ids(services, tenant, "effects")) == 3

    document = erase(services, tenant, ["600 11 12 22"], actor="user:1")

    assert services.hub.who(tenant, DORA) == []
    assert services.hub.who(tenant, MAIN_LINE) == [emil]
    assert {others} == ids(services, tenant, "calls")
    assert {charlies} == ids(services, neighbour, "calls")
    assert [EMIL] == [one.number for one in apart.all(tenant)]
    assert [] == callbacks.open(tenant)
    assert {unrelated} == ids(services, tenant, "deliveries")
    assert not {dead, waits} & ids(services, tenant, "deliveries")
    assert services.mail.of_contact(tenant, dora) == []
    assert len(services.mail.of_contact(tenant, emil)) == 1
    owed = {effect.kind: effect.payload for effect in services.effects.waiting(tenant, "contacts")}
    assert owed == {"phonebook.remove": {"removed": [str(dora)]}}
    assert document["counts"] == {
        "call_list_people": 0,
        "call_lists": 0,
        "calls": 2,
        "contacts": 1,
        "deliveries": 2,
        "effects": 2,
        "links": 1,
        "mail": 1,
        "mail_blocks": 0,
        "journal": 0,
        "number_rules": 0,
        "pairs": 0,
        "phonebook removals": 1,
        "recording deletions": 0,
        "recordings": 0,
        "set_apart": 1,
        "traces": 0,
        "texts": 0,
        "tombstones": 2,  # her number and her address; the main line is Emil's too
        "users kept": 0,
    }
    assert services.certificates.verify(document)
    row = services.ledger.rows(tenant)[0]
    assert (row.action, row.actor) == ("certificate.erase", "user:1")


def test_a_sync_does_not_bring_them_back(services: Services, tenant: TenantId, crm: UUID) -> None:
    """The hub knows the number, and the address that only the erased contact had, as forgotten."""
    contact(services, tenant, crm, "Dora", [DORA], "dora@quince.example", "1")
    person = Person(lines=(Line.read(DORA), Line.read(EMIL)), emails=("Dora@Quince.example",))
    assert set() == services.hub.forgotten(tenant, [person])

    erase(services, tenant, [DORA])

    assert {("number", DORA), ("email", "dora@quince.example")} == services.hub.forgotten(tenant, [person])


def test_erasing_twice_and_somebody_unknown_is_fine(services: Services, tenant: TenantId, pbx: UUID) -> None:
    call(services, tenant, pbx, DORA)
    assert erase(services, tenant, [DORA])["counts"]["calls"] == 1

    again = erase(services, tenant, [DORA])["counts"]

    assert {name: count for name, count in again.items() if count} == {"tombstones": 1}


def test_staff_are_reported_and_their_customers_calls_stay(services: Services, tenant: TenantId, pbx: UUID) -> None:
    """Bob is no contact: his address is in calls and bodies that are the customers'."""
    known = services.vault.of(tenant).fingerprint("email", "bob@alice.example")
    with services.db.tenant(tenant) as database:
        database.execute(insert(tables.users).values(id=UUID(int=5), tenant_id=tenant, email_index=known))
    kept = call(services, tenant, pbx, DORA)
    waits = delivery(services, tenant, pbx, '{"agent": "bob@alice.example"}', "pending")

    counts = erase(services, tenant, emails=["Bob@Alice.example"])["counts"]

    assert counts["users kept"] == 1
    assert {kept} == ids(services, tenant, "calls")
    assert {waits} == ids(services, tenant, "deliveries")


@pytest.mark.parametrize(
    ("numbers", "emails"), [(["201"], []), (["anonymous"], []), ([], ["nobody"]), ([], [])], ids=str
)
def test_who_nobody_can_be_is_refused(
    services: Services, tenant: TenantId, numbers: list[str], emails: list[str]
) -> None:
    with pytest.raises(Malformed):
        erase(services, tenant, numbers, emails)


def test_erasing_waits_for_a_lane_and_says_so_when_it_takes_too_long(
    services: Services, tenant: TenantId, pbx: UUID
) -> None:
    """Nothing went, but the tombstones are there already, so that the sync at work is the last to know them."""
    call(services, tenant, pbx, DORA)
    with Lanes(services.db).hold(tenant, "contacts") as held:
        assert held
        with pytest.raises(TryLater):
            erase(services, tenant, [DORA], patience=0.2)
        person = Person(lines=(Line.read(DORA),))
        assert {("number", DORA)} == services.hub.forgotten(tenant, [person])
        assert len(ids(services, tenant, "calls")) == 1
        waiting = threading.Thread(target=erase, args=(services, tenant, [DORA]))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(10)
    assert set() == ids(services, tenant, "calls")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("+34600111222", True),
        ("0034 600 11 12 22", True),
        ("(+34) 600-111-222", True),
        ("tel:600.111.222;", True),
        ("%2B34600111222", True),
        ('"\\u002b34600111222"', True),
        ("from DORA@quince.example to", True),
        ("+346001112221", False),
        ("1600111222", False),
        ("+49600111222", False),
        ("600111223", False),
        ("dora@quince.example.org", True),  # rather one delivery too many than a person overlooked
        ("xdora@quince.example", False),
    ],
)
def test_a_person_is_recognised_in_running_text(text: str, named: bool) -> None:
    pattern = mentions(footprint.Person(numbers=(DORA,), emails=("dora@quince.example",)))
    assert pattern is not None
    assert bool(pattern.search(text)) == named


# ---- a whole tenant ---------------------------------------------------------------------------------------------


def test_erasing_a_tenant_destroys_its_keys_and_leaves_proof(
    services: Services, tenant: TenantId, neighbour: TenantId, crm: UUID, pbx: UUID
) -> None:
    contact(services, tenant, crm, "Dora", [DORA], "dora@quince.example", "1")
    call(services, tenant, pbx, DORA)
    charlies = call(services, neighbour, pbx, DORA)
    services.directory.put("organisation", "20001", tenant)
    sealed = services.vault.of(tenant).seal("t", "r", "f", "kept elsewhere")

    document = erase_tenant(services, tenant)

    assert services.certificates.verify(document)
    assert document["counts"]["calls"] == document["counts"]["contacts"] == 1
    with pytest.raises(KeyGone):
        services.vault.of(tenant).open("t", "r", "f", sealed)
    with pytest.raises(Tampered):
        services.vault.of(tenant).seal("t", "r", "f", "new")
    for table in ("calls", "contacts", "links", "effects", "connections", "users"):
        assert set() == ids(services, tenant, table)
    assert tenant not in services.db.tenants()
    assert services.tenants.get(tenant).name == ""
    assert services.directory.find("organisation", "20001") is None
    assert services.ledger.verify(tenant).holds
    assert {charlies} == ids(services, neighbour, "calls")


# ---- handing over -----------------------------------------------------------------------------------------------


def test_an_export_reads_everything_and_opens_no_door(
    services: Services, tenant: TenantId, neighbour: TenantId, crm: UUID, pbx: UUID
) -> None:
    """A tenant's own words are in it, its tokens and keys are not, nor a neighbour's anything."""
    dora = contact(services, tenant, crm, "Dora", [DORA], "dora@quince.example", "1")
    theirs = services.connections.add(neighbour, "crm", "zoho", label="Charlie Inc")
    contact(services, neighbour, theirs, "Zacharias", [EMIL], "z@quince.example", "1")
    call(services, tenant, pbx, DORA)
    grant(services, tenant, crm, "active")
    services.connections.add_secret(tenant, pbx, "webhook", "whsec-canary")
    services.mail.put(tenant, [(mail("m1"), [dora])])

    lines = [json.loads(line) for line in export_tenant(services, tenant, actor="user:1")]

    found = json.dumps(lines)
    assert "Alice Ltd" in found
    assert {"calls", "contacts", "effects", "connections", "grants", "mail", "tenant"} <= {
        line["holding"] for line in lines
    }
    (person,) = [line for line in lines if line.get("table") == "contacts"]
    assert person["person"]["person"]["lines"][0]["e164"] == DORA
    assert [word for word in ("canary", "Zacharias") if word in found] == []
    assert [row.action for row in services.ledger.rows(tenant)[:2]] == ["google.passed", "export.tenant"]  # the mail


def test_a_persons_export_holds_them_and_nobody_else(
    services: Services, tenant: TenantId, crm: UUID, pbx: UUID
) -> None:
    dora = contact(services, tenant, crm, "Dora", [DORA], "dora@quince.example", "1")
    emil = contact(services, tenant, crm, "Emil", [EMIL], "emil@quince.example", "2")
    call(services, tenant, pbx, DORA)
    call(services, tenant, pbx, EMIL)
    for who in (dora, emil):
        services.mail.put(tenant, [(mail(str(who)), [who])])

    lines = [json.loads(line) for line in export_person(services, tenant, emails=["dora@quince.example"])]
    by_number = [json.loads(line) for line in export_person(services, tenant, ["600111222"])]

    assert sorted(line["holding"] for line in by_number) == ["calls", "contacts", "contacts", "effects", "mail"]
    assert lines != []
    assert "Emil" not in json.dumps(lines + by_number)
    assert EMIL not in json.dumps(lines + by_number)


# ---- proof ------------------------------------------------------------------------------------------------------


def test_a_certificate_is_believed_as_issued_and_no_other_way(services: Services, tenant: TenantId) -> None:
    with services.db.tenant(tenant) as database:
        issued = services.certificates.issue(
            database, tenant, "disconnect", profile="strict 1", counts={"mail": 3}, actor="user:1"
        )
    document = json.loads(json.dumps(services.certificates.document(issued)))
    assert services.certificates.get(tenant, issued.id) == issued

    assert services.certificates.verify(document)
    assert signed(document)
    for changed in (
        {"counts": {"mail": 4}},
        {"tenant": "somebody"},
        {"at": "2026-01-01T00:00:00.000000+00:00"},
        {"signature": "AAAA"},
        {"signature": 7},
        {"format": "else"},
        {"public_key": "x"},
        {"remark": "added"},
    ):
        assert not services.certificates.verify({**document, **changed}), changed
    assert not services.certificates.verify({})


def test_a_certificate_cannot_be_changed_or_outlive_its_deed(services: Services, tenant: TenantId) -> None:
    """It is issued in the caller's transaction, and the application's role may not touch it afterwards."""
    with services.db.tenant(tenant) as database:
        services.certificates.issue(database, tenant, "erase", profile="strict 1", counts={})
        database.rollback()
    assert services.certificates.all(tenant) == []
    with services.db.tenant(tenant) as database:
        services.certificates.issue(database, tenant, "erase", profile="strict 1", counts={})
    with pytest.raises(ProgrammingError, match="permission denied"), services.db.tenant(tenant) as database:
        database.execute(update(tables.certificates).values(kind="purge"))


def mail(id: str) -> Message:
    return Message(id=id, thread=id, at=NOON, sender="dora@quince.example", to=(), subject="Quinces")
