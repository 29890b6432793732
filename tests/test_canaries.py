"""Canaries from Google through every exit and every profile: they come out where that is declared, and nowhere else.

Kestrel is known to Google alone. Each exit is driven through the code a worker, a page or a command runs; what left is
searched for her. Then the account's consent ends, and the same exits are tried again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from prometheus_client import generate_latest

from app import COMMANDS, PARTS
from commands.cli import cli
from domain.agreement import Step
from domain.call import TextEvent
from domain.call_down import ToCall
from domain.errand import Errand
from domain.limited_use import EXITS, SINKS, NotForThat
from domain.mapping import CrmField, FieldMap, Rule
from domain.ports import Written
from domain.profile import Profiles
from jobs import (
    activities,
    call_down,
    chat_news,
    contact_writes,
    export,
    mapping,
    newcomers,
    noting,
    passages,
    sheet_log,
    sync_mail,
    texts,
    who,
)
from jobs.cards import look
from jobs.phonebook import write_phonebook
from jobs.services import Services
from store.chat_spaces import Space
from store.chores import Chore
from store.database import TenantId
from store.embedded import Postgres
from store.journal import Line
from store.texts import Parties
from tests import house
from tests.console_desk import Stage, letter, meet, person, post, ring, running
from tests.test_logs import listening

NUMBER = "+34600777888"
KESTREL = person("Canaria", "Kestrel", "Kestrelworks", NUMBER, "kestrel@canary.example")
SUBJECT, BODY = "Kestrelmail 2211", "Kestrelbody, and nothing else"
NAMES = ("Canaria", "Kestrel", "kestrel@canary.example")
WHILE_IT_LASTS = {"export", "message"}  # exits that ask for no live consent: all there is; and a key that is gone


@dataclass
class Cage:
    """Alice's office with Kestrel in Bob's Google contacts, a call, a text, a letter and a rule of hers."""

    stage: Stage
    account: UUID
    kestrel: UUID
    call: UUID
    text: UUID
    said: list[Any]  # what the phone system was told
    environ: dict[str, str]
    api: FlaskClient

    @property
    def services(self) -> Services:
        return self.stage.services

    @property
    def tenant(self) -> TenantId:
        return self.stage.office.tenant

    def page(self, path: str, who: str = "bob") -> str:
        return self.stage.browser(who).get(path).get_data(as_text=True)

    def rows(self, action: str) -> list[dict[str, Any]]:
        return [row.facts for row in self.services.ledger.rows(self.tenant, limit=500, action=action)]


@pytest.fixture(params=Profiles().names())
def cage(
    request: pytest.FixtureRequest,
    db_urls: Postgres,
    work_url: str,
    mail_url: str,
    tenant: TenantId,
    neighbour: TenantId,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cage]:
    said: list[Any] = []
    letters = [letter("m1", KESTREL.emails[0], SUBJECT, datetime.now(UTC))]

    class Outside:
        """Bob's Gmail and the phone system, as far as they are asked here."""

        def message(self, wanted: str) -> Any:
            return replace(letters[0], body=BODY)

        def put_contacts(self, put: Any, removed: Any) -> None:
            said.append((put, removed))

        def create(self, people: Any, more: Any = ()) -> list[None]:
            said.append(people)
            return [None for _ in people]

    monkeypatch.setattr(Services, "mailbox", lambda *_: Outside())
    monkeypatch.setattr(Services, "phone_system", lambda *_: Outside())
    monkeypatch.setattr(Services, "people_writer", lambda *_: Outside())
    servers = {"DATABASE_URL": db_urls.app_url, "REDIS_URL": work_url, "MAIL_REDIS_URL": mail_url}
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        services, office = stage.services, stage.office
        services.tenants.set(tenant, profile=request.param)
        account = house.google_account(services, tenant)
        letters[:] = [replace(letters[0], mailbox=account.hex)]
        (kestrel,) = meet(services, tenant, account, [KESTREL])
        services.mail.put(tenant, [(letters[0], [kestrel])])
        now = services.db.now()
        call = ring(services, tenant, office.crm, "c1", now, number=NUMBER, contact=kestrel)
        told: dict[str, Any] = {"number": NUMBER, "contact": kestrel, "user": office.bob, "over": False}
        ring(services, tenant, office.crm, "c2", now, outcome=None, **told)
        with services.db.tenant(tenant) as database:
            who.choices(services).put(database, tenant, NUMBER, kestrel, user=office.bob.id)
        key = services.api_keys.create(tenant, label="Wallboard", scopes=["contacts.read", "hints"])[1]
        api = house.front(services)
        api.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        environ = servers | {"KEYRING": house.KEYRING, "BASE_URL": house.ORIGIN}
        yield Cage(stage, account, kestrel, call, wrote(services, tenant, office.crm, kestrel), said, environ, api)


def wrote(services: Services, tenant: TenantId, tie: UUID, kestrel: UUID) -> UUID:
    """A text message from her."""
    now = services.db.now()
    told = {"sender": NUMBER, "receiver": "+34911222333", "text": "Hello", "message_ref": "t1", "id": "t1"}
    message = TextEvent(**told, direction="inbound", at=now)  # type: ignore[arg-type]  # all are texts
    parties = Parties(customer=NUMBER, ours="+34911222333", day=now.date())
    (day,) = texts.kept(services).hear(tenant, tie, {parties: [message]}).values()
    day.contact, day.match = kestrel, "one"
    with services.db.tenant(tenant) as database:
        texts.kept(services).save(database, tenant, parties, day, e164=NUMBER)
    return day.id


def phonebook(cage: Cage) -> str:
    """What the phone system is told, having forgotten what it was told before."""
    cage.said.clear()
    tie = cage.services.connections.add(cage.tenant, "telephony", "standard", label="PBX")
    chore: Any = Chore
    write_phonebook(cage.services, cage.services.connections.get(cage.tenant, tie), chore)
    return repr(cage.said)


def activity(cage: Cage) -> str:
    """What a call's activity says, and the note that it was said."""
    services, crm = cage.services, cage.services.connections.get(cage.tenant, cage.stage.office.crm)
    with services.db.reading(cage.tenant):  # as a worker does; a refusal is written down all the same
        told = activities.about(services, crm, [cage.call])
    with services.db.tenant(cage.tenant) as database:
        activities.named_to(services, crm, [story.contact for story in told.values()], database)
    return repr([activities.activity_of(story) for story in told.values()])


def text_log(cage: Cage) -> str:
    services, crm = cage.services, cage.services.connections.get(cage.tenant, cage.stage.office.crm)
    days = texts.days(services, crm, [cage.text])
    with services.db.tenant(cage.tenant) as database:
        texts._named_to(services, crm, [day.contact for day in days.values()], database)
    return repr([day.thread for day in days.values()])


def caller(cage: Cage) -> str:
    """What a telephone is told. The note is written after the answer, so its doors are closed before anybody looks."""
    doors = house.front(cage.services)
    doors.environ_base |= cage.api.environ_base
    told = doors.get("/api/v1/lookup", query_string={"number": NUMBER}).get_data(as_text=True)
    house.settled(doors)
    return told


def operator(cage: Cage) -> str:
    cli.rooms = COMMANDS
    line = ["contacts", "find", NUMBER, "--tenant", str(cage.tenant), "--reason", "security"]
    return CliRunner().invoke(cli, line, obj=PARTS, env=cage.environ).output


def message(cage: Cage) -> str:
    key = cage.services.mail.of_contact(cage.tenant, cage.kestrel)[0].key
    return repr(sync_mail.open_message(cage.services, user=cage.stage.office.bob, message_id=key))


def note(cage: Cage) -> str:
    """What is written into Zoho because Bob pressed the button; nothing, once the message cannot be opened."""
    cage.said.clear()
    told = {"message": f"{cage.account.hex}.m1", "user": str(cage.stage.office.bob.id)}
    effect: Any = SimpleNamespace(id=uuid4(), state="due", payload=told | {"module": "Contacts", "remote_id": "1"})
    crm: Any = SimpleNamespace(add_note=lambda note: cage.said.append(note) or Written(remote_id="n1"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Services, "crm", lambda *_: crm)
        noting._write(cage.services, cage.services.connections.get(cage.tenant, cage.stage.office.crm), effect)
    return repr(cage.said)


def correcting(cage: Cage) -> str:
    path = f"/console/calls/{cage.call}/correct/find"
    return str(post(cage.stage.browser("bob"), path, q="Kestrel").get_data(as_text=True))


def card(cage: Cage) -> str:
    """Who the open message is from, as a card in Gmail shows it to Bob."""
    bob, tenant = cage.stage.office.bob, cage.services.tenants.get(cage.tenant)
    actor = f"user:{bob.id}"
    reader: Any = SimpleNamespace(services=cage.services, tenant=tenant, user=bob, actor=actor, key=lambda: "k")
    return repr(look.some(reader, [cage.kestrel]))


def in_step(cage: Cage) -> str:
    """What Zoho is told where both are kept in step."""
    cage.said.clear()
    services, crm = cage.services, cage.stage.office.crm
    errand = Errand(crm=crm, steps=[Step(do="create", side="left", person=KESTREL)]).as_data()
    account, now = cage.account, services.db.now()
    effect: Any = SimpleNamespace(id=uuid4(), state="due", connection=account, created_at=now, payload=errand)
    contact_writes.act(services, cage.tenant, [effect])
    return repr(cage.said)


def mapped(cage: Cage) -> str:
    """How her call would be written with a mapping Alice has a look at."""
    chosen = FieldMap(rules=(Rule(field=CrmField(name="Agenda"), template="{caller}"),))
    crm = cage.services.connections.get(cage.tenant, cage.stage.office.crm)
    return repr(mapping.samples(cage.services, crm, chosen, actor=f"user:{cage.stage.office.alice.id}"))


def newcomer(cage: Cage) -> str:
    """How she would be written into Zoho with a mapping Alice has a look at."""
    chosen = FieldMap(rules=(Rule(field=CrmField(name="Department"), template="{name}"),))
    crm = cage.services.connections.get(cage.tenant, cage.stage.office.crm)
    return repr(newcomers.samples(cage.services, crm, cage.stage.office.alice, "Contacts", chosen))


def held_run(cage: Cage) -> str:
    """Whom a run would remove that waits for Alice's word."""
    services, crm = cage.services, cage.stage.office.crm
    services.chores.set_up(cage.tenant, crm, "read.crm", lane="contacts", every_seconds=60)
    (chore,) = (one for one in services.chores.all(cage.tenant) if one.connection == crm and one.kind == "read.crm")
    held = {"removing": 40, "known": 100, "some": [str(cage.kestrel)], "left": False}
    services.chores.note(cage.tenant, chore.id, held=held)
    return cage.page(f"/console/connections/{crm}/contacts", "alice")


def changes(cage: Cage) -> str:
    """What was overwritten of her."""
    line = Line(why="overwritten", about="title", side="left", name="Canaria Kestrel", before=("Falconer",))
    with cage.services.db.tenant(cage.tenant) as database:
        cage.services.journal.write(database, cage.tenant, cage.stage.office.crm, cage.account, [line])
    return cage.page("/console/changes", "alice")


def chat_news_card(cage: Cage) -> str:
    """What Bob's conversation with the app in Google Chat is told of the call."""
    services, tenant = cage.services, cage.services.tenants.get(cage.tenant)
    kept = services.calls.get(cage.tenant, cage.call)
    space, effect = Space(name="spaces/1", language="en", on=True), SimpleNamespace(id=uuid4())
    assert kept is not None
    return repr(chat_news._card(services, tenant, cage.stage.office.bob, space, kept, effect))  # type: ignore[arg-type]  # its id is all that is asked for


def sheet_row(cage: Cage) -> str:
    """What a row of the call log's spreadsheet says of the call, and the note that it was said."""
    services, tie = cage.services, cage.services.connections.get(cage.tenant, cage.account)
    effect: Any = SimpleNamespace(id=uuid4(), call=cage.call, text=None)
    rows, named = sheet_log._rows(services, tie, [effect])
    with services.db.tenant(cage.tenant) as database:
        passages.note(services, cage.tenant, sheet_log.EXIT, named.values(), database=database)
    return repr(rows)


def call_list(cage: Cage) -> str:
    """A list of Bob's that she was picked for."""
    lists, bob = call_down.kept(cage.services), cage.stage.office.bob
    if not (made := [one.id for one in lists.all(cage.tenant, bob.id)]):
        with cage.services.db.tenant(cage.tenant) as database:
            made = [lists.make(database, cage.tenant, bob.id, "Spring", 3)]
            lists.add(database, cage.tenant, made[0], [(ToCall(NUMBER), cage.kestrel)])
    return cage.page(f"/console/call-lists/{made[0]}")


DRIVEN: dict[str, Callable[[Cage], str]] = {
    "calls": lambda cage: cage.page("/console/calls"),
    "people": lambda cage: cage.page(f"/console/contacts/{cage.kestrel}"),
    "mail": lambda cage: cage.page(f"/console/contacts/{cage.kestrel}/write"),
    "cards": card,
    "chat news": chat_news_card,
    "panel": lambda cage: json.dumps(
        cage.stage.browser("bob").get("/console/panel/state").get_json()["live"], ensure_ascii=False
    ),
    "why": lambda cage: cage.page(f"/console/calls/{cage.call}"),
    "texts": lambda cage: cage.page("/console/texts"),
    "call list": call_list,
    "correcting": correcting,
    "contacts in step": in_step,
    "held run": held_run,
    "changes": changes,
    "mapping": mapped,
    "newcomers": newcomer,
    "choices": lambda cage: cage.page("/console/settings", "alice"),
    "message": message,
    "mail note": note,
    "activities": activity,
    "text log": text_log,
    "sheet log": sheet_row,
    "phonebook": phonebook,
    "caller name": caller,
    "api": lambda cage: cage.api.get("/api/v1/contacts").get_data(as_text=True),
    "export": lambda cage: "\n".join(export.export_tenant(cage.services, cage.tenant)),
    "operator": operator,
}


def test_canaries_come_out_where_that_is_declared_and_nowhere_else(
    cage: Cage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each exit shows Kestrel and is in the ledger, with counts; when the account's consent has ended, none does, the
    ledger says what was held back, and no log, metric, neighbour or other table ever had her."""
    assert {one.slug for one in EXITS} == DRIVEN.keys(), "an exit nobody drives is an exit nobody tests"
    with listening() as heard:
        out = {slug: drive(cage) for slug, drive in DRIVEN.items()}
        passed = {row["exit"]: row for row in cage.rows("google.passed")}
        assert cage.services.grants.stop(cage.tenant, cage.account, "consent.lost", given_before=cage.services.db.now())
        held = {slug: drive(cage) for slug, drive in DRIVEN.items() if slug not in WHILE_IT_LASTS}
    told = "\n".join([*heard.events, *capsys.readouterr(), generate_latest().decode()])

    assert [] == [slug for slug, text in out.items() if not any(name in text for name in NAMES)]
    assert {one.slug: one.sink for one in EXITS} == {exit: row["sink"] for exit, row in passed.items()}
    assert all(row.get("people", 0) + row.get("messages", 0) >= 1 for row in passed.values())
    assert [] == [slug for slug, text in held.items() if any(name in text for name in ("Canaria", NAMES[2]))]
    assert {one.slug for one in EXITS if "contacts" in one.kinds} - WHILE_IT_LASTS == {
        row["exit"] for row in cage.rows("google.refused")
    }
    ledger = json.dumps([row.facts for row in cage.services.ledger.rows(cage.tenant, limit=500)])
    neighbour = cage.page("/console/contacts?q=kestrel", "charlie") + cage.page("/console/calls", "charlie")
    assert [] == [name for name in (*NAMES, SUBJECT, BODY, NUMBER) if name in told + ledger]
    assert [] == [name for name in NAMES if name in neighbour.replace('value="kestrel"', "")]


def test_staff_need_a_reason_and_nothing_goes_where_it_may_never_go(cage: Cage) -> None:
    """Without one the operator finds nobody Google alone knows; an exit nobody declared is refused and noted."""
    cli.rooms = COMMANDS
    line = ["contacts", "find", NUMBER, "--tenant", str(cage.tenant)]
    assert "Canaria" in operator(cage)

    assert "Nobody." in CliRunner().invoke(cli, line, obj=PARTS, env=cage.environ).output
    (kestrel,) = cage.services.hub.people(cage.tenant, [cage.kestrel]).values()
    with pytest.raises(NotForThat, match="Nobody declared"):
        passages.let_out(cage.services, cage.tenant, "newsletter", [kestrel])
    with pytest.raises(NotForThat, match="does not leave here"):
        passages.let_out_mail(
            cage.services, cage.tenant, "activities", [letter("m", "a@b.example", "x", datetime.now(UTC))]
        )
    assert {"limited_use.no_reason", "limited_use.undeclared", "limited_use.refused"} == {
        row["reason"] for row in cage.rows("google.refused")
    }
    assert all(not one.allowed for one in SINKS if one.slug in ("models", "plugins", "advertising"))
