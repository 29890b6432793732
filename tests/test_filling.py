"""A call's mapped fields in Zoho: written with it, followed later, left out where Zoho refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.errors import Malformed
from domain.mapping import FieldMap, Rule
from domain.remark import Wishes
from jobs import by_hand, filling, mapping, remarks
from jobs.services import Services
from store.connections import Tie
from store.embedded import Postgres
from tests import zoho_stage
from tests.calls_office import BRIDGE, DANA, RECORDS, Office, Row, opened, tools
from tests.console_desk import Stories, application, post, sign_in
from tests.zoho_stage import ALICE, BOB

FIELDS = "call-fields"


@pytest.fixture(scope="module")
def zoho() -> Iterator[zoho_stage.Stage]:
    with zoho_stage.running() as stage:
        yield stage


@pytest.fixture(scope="module")
def services(db_urls: Postgres, work_url: str, mail_url: str, zoho: zoho_stage.Stage) -> Iterator[Services]:
    with tools(db_urls, work_url, mail_url, zoho) as made:
        yield made


@pytest.fixture
def office(services: Services, zoho: zoho_stage.Stage) -> Iterator[Office]:
    with opened(services, zoho, (*RECORDS, FIELDS)) as made:
        yield made


def use(office: Office, **templates: str) -> None:
    """Alice maps these fields; `Field__queue`: only for that queue."""
    known = {
        one.name: one for one in mapping.there(office.services, crm(office), office.services.tenants.get(office.tenant))
    }
    rules = [
        Rule(field=known[name.partition("__q_")[0]], template=text, queue=name.partition("__q_")[2])
        for name, text in templates.items()
    ]
    chosen = FieldMap(rules=tuple(rules), on=True)
    mapping.choose(office.services, crm(office), office.user(ALICE), chosen, [*known.values()])


def lose_a_choice(office: Office) -> None:
    """What Call_Purpose gets was in its list when Alice chose it; Zoho takes it no more."""
    office.zoho.post("knobs", closed_choices={"Calls": ["Call_Purpose"]})
    chosen = office.services.tenants.get(office.tenant).fields
    rules = [
        replace(one, template="Gone", field=replace(one.field, choices=("Gone",))) if one.field.choices else one
        for one in chosen.rules
    ]
    with office.services.db.tenant(office.tenant) as database:
        office.services.tenants.map_fields(database, office.tenant, replace(chosen, rules=tuple(rules)))


def crm(office: Office) -> Tie:
    found = office.services.connections.first(office.tenant, "crm")
    assert found is not None
    return found


def row(office: Office) -> Row:
    (only,) = office.rows("Calls")
    return only


def test_a_call_is_written_with_its_fields(office: Office) -> None:
    """Templates, a queue of its own, a number, a moment, a choice and the subject."""
    use(
        office,
        Subject="{caller} – {queue|direct}",
        Queue_Name="{queue}",
        Queue_Name__q_sales="Sales!",
        Minutes_Spoken="{minutes}",
        Answered_At="{answered}",
        Call_Purpose="desk",
    )
    office.hear(*office.spoken("c1", 0, queue="Sales"))
    office.work()

    found = row(office)
    assert ("+34 600 11 12 22 – Sales", "Sales!", 1.0, "Desk") == tuple(
        found[name] for name in ("Subject", "Queue_Name", "Minutes_Spoken", "Call_Purpose")
    )
    assert str(found["Answered_At"]).startswith(str(found["Call_Start_Time"])[:14])
    kept = office.services.calls.get(office.tenant, office.call("c1"))
    assert kept is not None
    assert ("Sales!",) == kept.filled["Queue_Name"]


def test_what_a_field_gets_later_follows_and_peoples_words_stay(office: Office) -> None:
    """The agent's note goes into the field when it is written, again when it changes, and not over what Bob typed."""
    office.services.tenants.set(office.tenant, wishes=Wishes(dispositions=("Interested",)).as_data())
    use(office, Call_Agenda="{note}", Call_Result="{disposition}", Queue_Name="{disposition|open}")
    office.hear(*office.spoken("c1", 0))
    office.work()
    assert ("open", None) == (row(office)["Queue_Name"], row(office).get("Call_Agenda"))

    def note(text: str, disposition: str = "") -> None:
        tenant = office.services.tenants.get(office.tenant)
        of, alice = office.call("c1"), office.user(ALICE)
        remarks.remark(office.services, tenant, of, note=text, disposition=disposition, user=alice)
        office.work()

    note("call on Monday", "Interested")
    assert ("call on Monday", "Interested", "Interested") == tuple(
        row(office)[name] for name in ("Call_Agenda", "Call_Result", "Queue_Name")
    )
    note("call on Friday", "Interested")
    assert "call on Friday" == row(office)["Call_Agenda"]
    office.zoho.post("edit", org="alice", module="Calls", by=BOB, id=row(office)["id"], values={"Call_Agenda": "mine"})
    note("call never", "Interested")
    assert "mine" == row(office)["Call_Agenda"]
    assert "Note by Alice Adler: call never" in row(office)["Description"]


def test_a_call_put_right_by_hand_takes_its_fields_along(office: Office) -> None:
    """Subject and minutes follow; nothing waits for the next night."""
    use(office, Subject="{result}: {caller}", Minutes_Spoken="{minutes}")
    office.hear(*office.spoken("c1", 0))
    office.work()
    assert ("Answered: +34 600 11 12 22", 1.0) == (row(office)["Subject"], row(office)["Minutes_Spoken"])

    wanted = by_hand.Correction(talk=timedelta(minutes=9))
    by_hand.put_right(office.services, office.user(ALICE), office.call("c1"), wanted)
    office.work()
    assert ("Answered: +34 600 11 12 22", 9.0) == (row(office)["Subject"], row(office)["Minutes_Spoken"])


def test_what_zoho_refuses_is_left_out_and_said(office: Office) -> None:
    """A value the list has lost since: the calls stand without it, and the connection names the field."""
    use(office, Call_Purpose="Demo", Queue_Name="{queue}")
    lose_a_choice(office)
    office.hear(*office.spoken("c1", 0, queue="sales"), *office.missed("c2", 60))
    office.work()

    assert {("sales", None), (None, None)} == {(one["Queue_Name"], one["Call_Purpose"]) for one in office.rows("Calls")}
    assert {"Call_Purpose": "INVALID_DATA"} == crm(office).facts[filling.REFUSED]
    assert [("activity.record", "done")] == [*{(one.kind, one.state) for one in office.owed("activity.record")}]


def test_a_field_a_layout_demands_has_to_have_a_source(office: Office) -> None:
    """Without one nothing is logged; the page names it, and a fixed value for it lets every call through."""
    office.zoho.post("knobs", mandatory={"Calls": ["Queue_Name"]})
    with pytest.raises(Malformed, match="Zoho demands Queue of every call"):
        use(office, Call_Agenda="{caller}")
    assert not office.services.tenants.get(office.tenant).fields.rules

    use(office, Queue_Name="{queue|Front desk}")
    office.hear(*office.spoken("c1", 0))
    office.work()
    assert "Front desk" == row(office)["Queue_Name"]


def test_where_zoho_writes_the_call_its_fields_follow(services: Services, zoho: zoho_stage.Stage) -> None:
    """The row is Zoho's; a moment later it has what was mapped, and its subject is left alone.

    Without the permission to read layouts nobody knows what they demand, and the rest works.
    """
    with opened(services, zoho, BRIDGE) as office:
        office.zoho.post("knobs", mandatory={"Calls": ["Call_Agenda"]})
        with pytest.raises(Malformed, match="Linekeeper fills this field itself"):
            use(office, Subject="{caller}")
        use(office, Queue_Name="{queue}", Minutes_Spoken="{minutes}", Call_Purpose="Demo")
        lose_a_choice(office)
        office.hear(*office.spoken("c1", 0, queue="sales"))
        office.work()

        found = row(office)
        assert ("sales", 1.0, True) == (found["Queue_Name"], found["Minutes_Spoken"], found["CTI_Entry"])
        assert "linekeeper" not in str(found["Description"])
        assert (None, {"Call_Purpose": "INVALID_DATA"}) == (found["Call_Purpose"], crm(office).facts[filling.REFUSED])


def test_the_latest_calls_are_looked_at_before_anything_is_used(office: Office) -> None:
    """Twenty at most, newest first, each with its problems; nothing is kept."""
    for number in range(22):
        office.hear(*office.spoken(f"c{number}", number, queue="The queue of all"))
    known = mapping.there(office.services, crm(office), office.services.tenants.get(office.tenant))
    described: dict[str, Any] = {one.name: one for one in known}
    chosen = FieldMap(
        rules=(
            Rule(field=described["Queue_Name"], template="{queue} {caller}"),
            Rule(field=described["Call_Purpose"], template="{queue}"),
        )
    )

    found = mapping.samples(office.services, crm(office), chosen, actor="user:alice")
    assert (20, 2) == (len(found), found[0].problems)
    assert ["c21", "c20"] == [one.kept.call.ref for one in found[:2]]
    assert [
        ("Queue", "The queue of all +34", "Cut to the 20 characters the field holds."),
        ("Call Purpose", None, "“The queue of all” is not in the field’s list."),
    ] == [(target.label, value, problem) for target, value, problem in found[0].rows]
    assert DANA not in repr(office.services.tenants.get(office.tenant).fields)
    assert not office.services.tenants.get(office.tenant).fields.rules


def test_alice_writes_looks_and_switches_on(office: Office) -> None:
    """What cannot work is said beside its row and not kept; what is looked at is shown on her calls and not kept."""
    path = "/console/settings/fields"
    app = application(replace(office.services, settings=replace(office.services.settings, base_url="")), Stories())
    alice = sign_in(app, office.services, office.user(ALICE))
    office.hear(*office.spoken("c1", 0, queue="sales"), *office.missed("c2", 60))
    page = alice.get(path).get_data(as_text=True)
    assert "Minutes spoken" in page
    assert "Call_Type" not in page

    def send(do: str, *rows: tuple[str, str, str]) -> Any:
        names = ("field", "template", "queue")
        columns = {name: [one[place] for one in (*rows, ("", "", ""))] for place, name in enumerate(names)}
        return post(alice, path, do=do, **columns)

    looked = send("look", ("Queue_Name", "{queue|no queue}", ""), ("Minutes_Spoken", "{queue}", ""))
    shown = looked.get_data(as_text=True)
    assert 200 == looked.status_code
    assert "This field holds a number: {seconds}, {minutes}, {waited}." in shown
    assert "The latest 2 calls as they would be written" in shown
    assert "Nothing is kept yet." in shown
    assert 400 == send("on", ("Minutes_Spoken", "{queue}", "")).status_code
    assert 400 == send("on", ("Owner", "{agent}", ""), ("Nonsense", "x", "")).status_code
    assert not office.services.tenants.get(office.tenant).fields.rules
    for bad in (
        {"do": "delete"},
        {"do": "on", "field": ["Queue_Name"], "template": ["a", "b"], "queue": [""]},
        {"do": "on", "field": ["Queue_Name"] * 99, "template": ["a"] * 99, "queue": [""] * 99},
        {"do": "on", "field": ["Queue_Name"], "template": ["x" * 501], "queue": [""]},
        {"do": "on", "field": ["Queue_Name"], "template": ["a\x00b"], "queue": [""]},
        {"do": "on", "admin": "yes"},
    ):
        assert 400 == post(alice, path, **bad).status_code, bad

    assert 303 == send("on", ("Queue_Name", "{queue|no queue}", ""), ("Minutes_Spoken", "{minutes}", "")).status_code
    assert office.services.tenants.get(office.tenant).fields.on
    assert "Every field holds what it gets." in alice.get(path).get_data(as_text=True)
    assert "fields.mapped" in {one.action for one in office.services.ledger.rows(office.tenant, limit=50)}
    assert 303 == send("off", ("Queue_Name", "{queue|no queue}", "")).status_code
    assert not office.services.tenants.get(office.tenant).fields.on
    assert 403 == sign_in(app, office.services, office.user(BOB)).get(path).status_code
