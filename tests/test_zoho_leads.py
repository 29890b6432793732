"""A call's tie and a caller's lead in Zoho: only what is ours is moved, and nobody is written down twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.errors import NotAllowed, Refused, Unanswered
from domain.ports import NewLead
from tests.zoho_stage import EVERYTHING, Stage, running

NOVA = NewLead(number="+34600777666", family="Nova", given="Nora", company="Nova SL")
CALL = {
    "Subject": "Call",
    "Call_Type": "Inbound",
    "Call_Start_Time": "2026-03-29T09:15:00+00:00",
    "Call_Duration": "1:00",
}


@pytest.fixture(scope="module")
def servers() -> Iterator[Stage]:
    with running() as stage:
        yield stage


@pytest.fixture
def stage(servers: Stage) -> Stage:
    servers.fresh()
    return servers


def seed(stage: Stage, module: str, **values: Any) -> str:
    (made,) = stage.post("seed", org="alice", module=module, records=[values])["ids"]
    return str(made)


def tie(stage: Stage, row: str) -> tuple[str, str]:
    (found,) = (one for one in stage.get("records", org="alice", module="Calls")["records"] if one["id"] == row)
    return (found["Who_Id"] or {}).get("id", ""), (found["What_Id"] or {}).get("id", "")


def test_a_tie_is_moved_from_one_of_ours_and_from_nothing(stage: Stage) -> None:
    """To a contact, a lead, a company and back to nothing; told twice, Zoho is not written to again."""
    crm, _ = stage.crm()
    dana, lead = seed(stage, "Contacts", Last_Name="Sol"), seed(stage, "Leads", Last_Name="Nova", Company="N")
    company, row = seed(stage, "Accounts", Account_Name="Sol SL"), seed(stage, "Calls", **CALL)
    ours = [("Contacts", dana), ("Leads", lead), ("Accounts", company)]
    for record, expected in (
        (ours[0], (dana, "")),
        (ours[1], ("", lead)),
        (ours[2], ("", company)),
        (None, ("", "")),
    ):
        assert crm.link_call(row, record, ours)
        assert expected == tie(stage, row)

    assert crm.link_call(row, ours[0], ours)
    stage.delete("requests")
    assert crm.link_call(row, ours[0], ours)
    assert {"GET /crm/v8/Calls": 1} == stage.counts()


def test_what_a_person_tied_stays(stage: Stage) -> None:
    """Somebody else's contact is not replaced, and a company somebody put beside a contact stays beside the new one."""
    crm, _ = stage.crm()
    dana, emil = seed(stage, "Contacts", Last_Name="Sol"), seed(stage, "Contacts", Last_Name="Rowan")
    deal = seed(stage, "Accounts", Account_Name="A deal of theirs")
    row = seed(stage, "Calls", **CALL, Who_Id={"id": emil}, What_Id={"id": deal}, **{"$se_module": "Accounts"})

    assert not crm.link_call(row, ("Contacts", dana), [])
    assert (emil, deal) == tie(stage, row)
    assert crm.link_call(row, ("Contacts", dana), [("Contacts", emil)])
    assert (dana, deal) == tie(stage, row)
    assert not crm.link_call(row, ("Leads", "1"), [("Contacts", dana)])
    with pytest.raises(Refused):
        crm.link_call("999", ("Contacts", dana), [])


def test_a_lead_is_found_however_its_number_is_written(stage: Stage) -> None:
    crm, _ = stage.crm()
    assert [] == crm.find_people(NOVA.number)
    spelt = ("+34600777666", "600 77 76 66", "600777666", "34600777666", "+34 600 77 76 66")
    leads = [seed(stage, "Leads", Last_Name="Nova", Company="N", Mobile=number) for number in spelt]
    contact = seed(stage, "Contacts", Last_Name="Sol", Phone="600777666")

    assert [("Contacts", contact), *(("Leads", lead) for lead in leads)] == crm.find_people(NOVA.number)


def test_a_lead_is_written_as_it_was_said(stage: Stage) -> None:
    crm, _ = stage.crm()

    made = crm.create_lead(NOVA)

    (row,) = stage.get("records", org="alice", module="Leads")["records"]
    assert (made, "Nora", "Nova", "Nova SL", NOVA.number) == (
        row["id"],
        row["First_Name"],
        row["Last_Name"],
        row["Company"],
        row["Phone"],
    )


def test_what_keeps_zoho_from_it_is_named(stage: Stage) -> None:
    """A field the layout demands, a permission that is not there, an answer that did not come."""
    crm, _ = stage.crm()
    with pytest.raises(Refused) as refused:
        crm.create_lead(NewLead(number=NOVA.number, family="Nova"))
    assert "lead.mandatory.company" == refused.value.code
    stage.post("knobs", mandatory={"Leads": ["Lead_Source"]})
    with pytest.raises(Refused) as refused:
        crm.create_lead(NOVA)
    assert "lead.mandatory.lead_source" == refused.value.code
    stage.post("knobs", mandatory={})
    less, _ = stage.crm(scopes=tuple(scope for scope in EVERYTHING if scope != "ZohoCRM.modules.leads.CREATE"))
    with pytest.raises(NotAllowed):
        less.create_lead(NOVA)
    stage.fault("POST /crm/v8/Leads", "drop_after", times=1)
    with pytest.raises(Unanswered):
        crm.create_lead(NOVA)
    assert 1 == len(crm.find_people(NOVA.number))
