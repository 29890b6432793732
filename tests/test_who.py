"""Who it is, from the phone system to Zoho: shared numbers, what an agent says of one, and leads of unknown callers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from domain.errors import Forbidden, Malformed, Missing
from domain.matching import Rules
from jobs import choosing, leads, texts, who, worker
from jobs.erase import erase
from jobs.services import Services
from sandbox.cast import ALICE, ALICE_LTD, BOB, Controls
from store.call_book import Kept
from store.tables import effects, number_rules
from store.tenants import User
from tests.test_reconcile import BRIDGE, Office, open_office, outside, services
from tests.zoho_office import tell
from tests.zoho_stage import Stage

__all__ = ["outside", "services"]  # fixtures
PEOPLE = ("calls", "repair", "contacts", "accounts", "leads")
MAIN = "+34911222444"  # the number everybody at Sol SL has


@pytest.fixture
def office(services: Services, outside: tuple[Stage, Controls]) -> Iterator[Office]:
    with open_office(services, *outside, PEOPLE) as opened:
        services.tenants.set(opened.tenant, region="ES")
        yield opened


@pytest.fixture
def bridged(services: Services, outside: tuple[Stage, Controls]) -> Iterator[Office]:
    with open_office(services, *outside, (*BRIDGE, *PEOPLE)) as opened:
        yield opened


def seed(office: Office, module: str, **values: Any) -> str:
    (made,) = office.zoho.post("seed", org="alice", module=module, records=[values])["ids"]
    return str(made)


def sync(office: Office) -> None:
    office.services.chores.hurry(office.tenant, "read.crm")
    worker.visit(office.services, office.tenant, "contacts", seconds=30)


def colleagues(office: Office) -> tuple[str, str, str]:
    """Dana and Emil of Sol SL, who share its number; the ids of their records and of the company's."""
    company = seed(office, "Accounts", Account_Name="Sol SL")
    mine = {"Phone": MAIN, "Account_Name": {"id": company}}
    dana = seed(office, "Contacts", First_Name="Dana", Last_Name="Sol", Owner=BOB, **mine)
    emil = seed(office, "Contacts", First_Name="Emil", Last_Name="Rowan", Owner=ALICE, **mine)
    sync(office)
    return dana, emil, company


def decide(office: Office, policy: Any) -> None:
    office.services.tenants.set(office.tenant, matching=Rules(policy=policy).as_data())


def user(office: Office, email: str = BOB) -> User:
    return next(one for one in office.services.tenants.users(office.tenant) if one.email == email)


def kept(office: Office, number: int) -> Kept:
    return next(one for one in office.services.calls.recent(office.tenant) if one.call.ref == f"c{number}")


def contact_behind(office: Office, remote_id: str, module: str = "Contacts") -> UUID:
    crm = office.services.connections.first(office.tenant, "crm")
    assert crm is not None
    return office.services.hub.behind(office.tenant, crm.id, module, [remote_id])[remote_id]


def ties(office: Office) -> list[str]:
    """What each row in Zoho is tied to, in the order the calls began."""
    return [str(((row["Who_Id"] or row["What_Id"]) or {}).get("id", "")) for row in office.rows()]


def called(office: Office, number: int, caller: str = MAIN, **told: Any) -> Kept:
    office.call(number, **{"from": caller} | told)
    office.work()
    return kept(office, number)


# ---- shared numbers -----------------------------------------------------------------------------------------------


def test_each_policy_logs_one_activity(office: Office) -> None:
    """On the first, on the owner's, on the company, on nobody: one row for each call."""
    dana, emil, company = colleagues(office)
    for number, policy in enumerate(("first", "owner", "account", "ask")):
        decide(office, policy)
        called(office, number)

    assert [dana, dana, company, ""] == ties(office)
    assert [(["first", "last", "account", "ask"][n]) for n in range(4)] == [
        trace.choice.why for n in range(4) if (trace := kept(office, n).trace)
    ]
    assert emil not in ties(office)
    assert office.agrees()


def test_a_call_keeps_what_was_looked_up(office: Office) -> None:
    """The number as told, as read and where; whom it led to, with their records."""
    dana, emil, _ = colleagues(office)

    trace = called(office, 1, caller="911 222 444").trace

    assert trace is not None
    assert ("911 222 444", "ES", MAIN, (MAIN,), MAIN) == (
        trace.told,
        trace.region,
        trace.e164,
        trace.tried,
        trace.matched,
    )
    assert {(("Contacts", dana),), (("Contacts", emil),)} == {one.records for one in trace.found}


def test_numbers_of_a_line_abroad_are_read_there(office: Office) -> None:
    """A phone system in France tells 01 ..., and it is Paris."""
    seed(office, "Contacts", Last_Name="Petit", Phone="+33142681111")
    sync(office)
    assert "nobody" == called(office, 1, caller="0142681111").match or kept(office, 1).match == "unreadable"

    office.services.connections.set_facts(office.tenant, office.tie.id, **{who.REGION: "FR"})
    trace = called(office, 2, caller="0142681111").trace

    assert trace is not None
    assert ("FR", "+33142681111", "only") == (trace.region, trace.e164, trace.choice.why)


# ---- what an agent says -------------------------------------------------------------------------------------------


def test_what_an_agent_says_holds_for_calls_past_and_to_come(office: Office) -> None:
    """The earlier calls' activities are tied anew and say the same words; undone, all is as it was."""
    dana, emil, _ = colleagues(office)
    decide(office, "ask")
    called(office, 1)
    decide(office, "first")
    called(office, 2)
    assert ["", dana] == ties(office)
    row = office.rows()[0]
    typed = "What Emil said.\n" + row["Description"]
    office.zoho.post("edit", org="alice", module="Calls", id=row["id"], values={"Description": typed})

    choosing.choose(office.services, user(office), kept(office, 1).id, contact_behind(office, emil))
    office.work()

    assert [emil, emil] == ties(office)
    assert typed == office.rows()[0]["Description"]
    called(office, 3)
    assert [emil, emil, emil] == ties(office)
    assert {("chosen", contact_behind(office, emil))} == {
        (kept(office, n).match, kept(office, n).contact) for n in (1, 2, 3)
    }

    (rule,) = who.choices(office.services).all(office.tenant)
    choosing.undo(office.services, user(office), rule.id)
    office.work()

    assert ["", dana, dana] == ties(office)
    assert ["several", "several", "several"] == [kept(office, n).match for n in (1, 2, 3)]
    actions = [one.action for one in office.services.ledger.rows(office.tenant, action="match.")]
    assert ["match.undone", "match.chosen"] == actions
    assert 3 == len(office.rows())
    assert 0 == office.reconcile().repairs


def test_a_conversation_follows_what_was_said_of_its_number(
    services: Services, outside: tuple[Stage, Controls]
) -> None:
    """Its activity is tied anew, and back when the rule is taken back; what a person tied by hand stays."""

    def theirs(office: Office) -> list[str]:
        found = office.zoho.get("records", org="alice", module="Tasks")["records"]
        return [str((row["Who_Id"] or {}).get("id", "")) for row in found]

    with open_office(services, *outside, (*PEOPLE, "texts")) as office:
        dana, emil, _ = colleagues(office)
        event = {"direction": "inbound", "from": MAIN, "to": ALICE_LTD.line, "text": "Hello", "message_id": "m1"}
        tell(office, "message.received", **event)
        call = called(office, 1)
        assert [dana] == theirs(office)

        choosing.choose(services, user(office), call.id, contact_behind(office, emil))
        office.work()
        assert ([emil], [emil]) == (theirs(office), ties(office))
        (day,) = texts.kept(services).recent(office.tenant, limit=10)
        assert ("chosen", contact_behind(office, emil)) == (day.match, day.contact)

        (rule,) = who.choices(services).all(office.tenant)
        choosing.undo(services, user(office), rule.id)
        office.work()
        assert [dana] == theirs(office)

        other = seed(office, "Contacts", Last_Name="Luna")
        row = office.zoho.get("records", org="alice", module="Tasks")["records"][0]["id"]
        office.zoho.post("edit", org="alice", module="Tasks", id=row, values={"Who_Id": {"id": other}})
        choosing.choose(services, user(office), call.id, contact_behind(office, emil))
        office.work()
        assert [other] == theirs(office)


def test_a_tie_that_a_person_made_stays(office: Office) -> None:
    _, emil, _ = colleagues(office)
    other = seed(office, "Contacts", Last_Name="Luna")
    call = called(office, 1)
    row = office.rows()[0]["id"]
    office.zoho.post("edit", org="alice", module="Calls", id=row, values={"Who_Id": {"id": other}})

    choosing.choose(office.services, user(office), call.id, contact_behind(office, emil))
    office.work()

    assert [other] == ties(office)
    with office.services.db.tenant(office.tenant) as database:
        owed = office.services.effects.of_call(database, office.tenant, call.id)
    assert ("dropped", "link.by_hand") in {(one["state"], one["reason"]) for one in owed}


def test_what_phonebridge_wrote_is_tied_to_whom_we_chose(bridged: Office) -> None:
    """Zoho picks one of several by itself; one row, and on the right one."""
    _, emil, _ = colleagues(bridged)
    call = called(bridged, 1)
    choosing.choose(bridged.services, user(bridged), call.id, contact_behind(bridged, emil))
    bridged.work()

    called(bridged, 2)

    assert [emil, emil] == ties(bridged)


def test_only_who_has_the_number_can_be_chosen_and_only_for_a_call_of_ones_own(office: Office) -> None:
    colleagues(office)
    luna = seed(office, "Contacts", Last_Name="Luna", Phone="+34600999888")
    sync(office)
    call, bob = called(office, 1), user(office)
    hidden = called(office, 2, caller="anonymous")

    for wrong, contact, error in (
        (call.id, contact_behind(office, luna), Malformed),
        (call.id, uuid4(), Malformed),
        (hidden.id, contact_behind(office, luna), Malformed),
        (uuid4(), contact_behind(office, luna), Missing),
    ):
        with pytest.raises(error):
            choosing.choose(office.services, bob, wrong, contact)
    with pytest.raises(Missing):
        choosing.undo(office.services, bob, uuid4())
    assert [] == who.choices(office.services).all(office.tenant)


def test_an_erased_person_is_in_no_rule_and_no_trace(office: Office) -> None:
    """Emil goes by his address; the calls of the shared number that were Dana's stay and no longer name him."""
    dana, emil, _ = colleagues(office)
    office.zoho.post("edit", org="alice", module="Contacts", id=emil, values={"Email": "emil@sol.example"})
    sync(office)
    call = called(office, 1)
    his = contact_behind(office, emil)
    choosing.choose(office.services, user(office), call.id, his)
    (rule,) = who.choices(office.services).all(office.tenant)
    choosing.undo(office.services, user(office), rule.id)
    office.work()
    with office.services.db.tenant(office.tenant) as database:
        who.choices(office.services).put(database, office.tenant, "+34911222555", his, user=None)
    before = kept(office, 1).trace
    assert before is not None
    assert str(his) in str(before.as_data())

    counts = erase(office.services, office.tenant, emails=["emil@sol.example"])["counts"]

    after = kept(office, 1).trace
    assert after is not None
    assert str(his) not in str(after.as_data())
    assert contact_behind(office, dana) == after.choice.contact
    assert (1, 1) == (counts["number_rules"], counts["traces"])
    with office.services.db.tenant(office.tenant) as database:
        assert [] == database.execute(select(number_rules)).all()


# ---- a lead of an unknown caller ----------------------------------------------------------------------------------


def made(office: Office) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = office.zoho.get("records", org="alice", module="Leads")["records"]
    return found


def test_a_lead_made_by_two_at_once_is_one(office: Office) -> None:
    """Two agents, eight clicks, one lead; the calls of the number are the lead's, here and in Zoho."""
    first, second = called(office, 1, caller="+34600777666"), called(office, 2, caller="600 777 666")
    assert ["", ""] == ties(office)
    agents = [user(office), user(office, ALICE)] * 4

    with ThreadPoolExecutor(8) as threads:
        asked = list(
            threads.map(lambda who: leads.ask(office.services, who, first.id, family="Nova", company="Nova SL"), agents)
        )
    office.work()

    (lead,) = made(office)
    assert 1 == sum(asked)
    assert ("Nova", "Nova SL", "+34600777666") == (lead["Last_Name"], lead["Company"], lead["Phone"])
    assert [lead["id"], lead["id"]] == ties(office)
    assert {contact_behind(office, lead["id"], "Leads")} == {kept(office, 1).contact, kept(office, 2).contact}
    assert not leads.ask(office.services, user(office), second.id, family="Nova", company="Nova SL")
    office.work()
    sync(office)
    assert 1 == len(made(office))
    assert 1 == len(office.services.hub.who(office.tenant, "+34600777666"))


def test_an_answer_that_is_lost_makes_no_second_lead(office: Office) -> None:
    """Written, and nobody heard: it is looked for by its number before anything is written again."""
    call = called(office, 1, caller="+34600777666")
    office.zoho.fault("POST /crm/v8/Leads", "drop_after", times=1)

    leads.ask(office.services, user(office), call.id, family="Nova", company="Nova SL")
    office.work()

    assert 1 == len(made(office))
    assert [made(office)[0]["id"]] == ties(office)


def test_somebody_zoho_knows_already_is_taken_over(office: Office) -> None:
    """Written down over there since we last looked, in a spelling of its own."""
    call = called(office, 1, caller="+34600777666")
    luna = seed(office, "Contacts", Last_Name="Luna", Mobile="600777666")

    leads.ask(office.services, user(office), call.id, family="Nova", company="Nova SL")
    office.work()

    assert [] == made(office)
    assert [luna] == ties(office)
    assert "lead.found" == office.services.ledger.rows(office.tenant, action="lead.")[0].action


def test_a_layout_that_demands_more_is_said_and_can_be_tried_again(office: Office) -> None:
    call = called(office, 1, caller="+34600777666")

    leads.ask(office.services, user(office), call.id, family="Nova")
    office.work()

    with office.services.db.tenant(office.tenant) as database:
        owed = database.execute(select(effects.c.state, effects.c.reason).where(effects.c.kind == "lead.create")).one()
    assert ("dead", "lead.mandatory.company") == tuple(owed)
    assert [] == made(office)

    assert leads.ask(office.services, user(office), call.id, family="Nova", company="Nova SL")
    office.work()
    assert ["Nova SL"] == [lead["Company"] for lead in made(office)]


def test_a_number_that_may_not_repeat_leads_to_who_has_it(office: Office) -> None:
    """The organisation forbids two leads of one name: the one there is is taken."""
    there = seed(office, "Leads", Last_Name="Nova", Company="Nova SL", Phone="+34 1")
    office.zoho.post("knobs", unique={"Leads": ["Last_Name"]})
    call = called(office, 1, caller="+34600777666")

    leads.ask(office.services, user(office), call.id, family="Nova", company="Nova SL")
    office.work()
    office.zoho.post("knobs", unique={})

    assert [there] == [lead["id"] for lead in made(office)]


def test_nobody_makes_a_lead_of_whom_we_have_to_forget_or_cannot_reach(office: Office) -> None:
    call = called(office, 1, caller="+34600777666")
    hidden = called(office, 2, caller="anonymous")
    with pytest.raises(Malformed):
        leads.ask(office.services, user(office), hidden.id, family="Nova")
    with pytest.raises(Missing):
        leads.ask(office.services, user(office), uuid4(), family="Nova")
    erase(office.services, office.tenant, numbers=["+34600777666"])
    again = called(office, 3, caller="+34600777666")
    assert call.id != again.id

    with pytest.raises(Forbidden):
        leads.ask(office.services, user(office), again.id, family="Nova")
