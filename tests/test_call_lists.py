"""Call-down lists: read, gone through with one ring a press, their maker's alone, and forgotten in time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from domain import call_down
from domain.dial_plan import DialPlan
from domain.profile import Profiles
from jobs import call_down as going
from jobs.erase import erase
from jobs.export import export_person
from store import holdings
from store.call_lists import Callee
from store.database import TenantId
from store.embedded import Postgres
from store.tables import call_list_people, call_lists, connections, effects
from tests.console_desk import Stage, meet, person, post, ring, running, token

DANA, ERIN, FINN = "+34600111222", "+34600111333", "+34600111444"
PATH = "/console/call-lists"


@pytest.mark.parametrize(
    ("text", "expected", "faulty"),
    [
        ("", [], ()),
        ("600 111 222\n\n+34 600 111 333\r\n0034600111222", [DANA, ERIN], ()),
        ("Dana Sol; Sol SL; 600 111 222", [DANA], ()),
        (f"{DANA}, {ERIN}\t{FINN}", [DANA, ERIN, FINN], ()),
        ("+34 911 222 333 ext 7", ["+34911222333 ext 7"], ()),
        ("Dana\n112\n201\n+34 600 111 222\nanonymous", [DANA], (1, 2, 3, 5)),
    ],
)
def test_a_pasted_text_as_people_write_it(text: str, expected: list[str], faulty: tuple[int, ...]) -> None:
    found = call_down.read(text, DialPlan(), "ES")

    assert (expected, faulty) == ([number.dialled for number in found.numbers], found.faulty)
    assert bool(faulty) == bool(call_down.fault(found))


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], None),
        ([("ringing", None)], None),
        ([("ended", "no_answer"), ("answered", None)], None),
        ([("ended", "busy")], False),
        ([("ended", "voicemail")], False),
        ([("ended", "no_answer"), ("ended", "answered")], True),
    ],
)
def test_what_calls_say_of_a_try(calls: Any, expected: bool | None) -> None:
    assert expected is call_down.reached(calls)
    assert ("reached", "waiting", "not_reached") == (
        call_down.after(3, 3, reached=True),
        call_down.after(2, 3, reached=False),
        call_down.after(3, 3, reached=False),
    )


@pytest.fixture
def stage(db_urls: Postgres, mail_url: str, tenant: TenantId, neighbour: TenantId) -> Iterator[Stage]:
    with running(db_urls.app_url, mail_url, tenant, neighbour) as stage:
        yield stage


class Bobs:
    """Bob, his browser and a list of his."""

    def __init__(self, stage: Stage, numbers: str, tries: str = "2") -> None:
        self.stage, self.browser = stage, stage.browser("bob")
        stage.services.connections.add(stage.office.tenant, "telephony", "standard", label="PBX")
        self.token = token(self.browser)
        self.path: str = self.post(PATH, title="Spring offer", tries=tries, numbers=numbers).location
        self.id = UUID(self.path.rpartition("/")[2])

    def post(self, path: str, **form: Any) -> Any:
        """Send a form with the token at hand; `path` begins with a slash, or goes on from the list's."""
        there = path if path.startswith("/") else f"{self.path}/{path}"
        return self.browser.post(there, data={"csrf_token": self.token, **form})

    def page(self) -> str:
        return self.browser.get(self.path).get_data(as_text=True)

    def turn(self) -> int:
        return going.turn(self.stage.services, self.stage.office.bob, self.id)

    def people(self) -> dict[str, Callee]:
        found = going.kept(self.stage.services).people(self.stage.office.tenant, self.id)
        return {who.number.e164: who for who in found}

    def press(self, number: str, do: str, turn: int | None = None, **form: str) -> int:
        told = {"do": do, "turn": self.turn() if turn is None else turn, **form}
        return int(self.post(f"people/{self.people()[number].id}", **told).status_code)

    def called(self, number: str, ref: str, outcome: Any) -> None:
        services, office = self.stage.services, self.stage.office
        told: dict[str, Any] = {"number": number, "direction": "outbound", "user": office.bob, "outcome": outcome}
        ring(services, office.tenant, office.crm, ref, services.db.now(), **told)

    def states(self) -> list[tuple[str, str, int]]:
        self.turn()  # whoever looks has the book of calls asked
        return [(number, who.state, who.tries) for number, who in self.people().items()]

    def dialled(self) -> list[str]:
        waiting = self.stage.services.effects.waiting(self.stage.office.tenant, "calls")
        return [effect.payload["number"] for effect in waiting if effect.kind == "dial"]


def test_a_list_is_gone_through_and_two_presses_ring_once(stage: Stage) -> None:
    """Not reached: again at the end, until they were tried often enough. A press of an older page does nothing."""
    bobs = Bobs(stage, f"{DANA}\n{ERIN}")

    with ThreadPoolExecutor(2) as both:
        assert [303, 303] == list(both.map(lambda _: bobs.press(DANA, "dial", turn=0), range(2)))

    assert [DANA] == bobs.dialled()
    assert [(DANA, "calling", 1), (ERIN, "waiting", 0)] == bobs.states()
    assert 303 == bobs.press(ERIN, "dial")  # one after the other
    assert [DANA] == bobs.dialled()
    assert {"turn": 1} == bobs.browser.get(f"{bobs.path}/state").get_json()
    assert "Being called" in bobs.page()
    stale = bobs.turn()
    bobs.called(DANA, "c1", "no_answer")
    assert [(ERIN, "waiting", 0), (DANA, "waiting", 1)] == bobs.states()
    bobs.press(DANA, "not_reached", turn=stale)
    assert [(ERIN, "waiting", 0), (DANA, "waiting", 1)] == bobs.states()
    bobs.press(ERIN, "dial")
    bobs.called(ERIN, "c2", "answered")
    assert [(ERIN, "reached", 1), (DANA, "waiting", 1)] == bobs.states()
    bobs.press(DANA, "dial")
    assert [DANA, ERIN, DANA] == bobs.dialled()
    assert "calling" == bobs.people()[DANA].state, "the first try's call says nothing of the second"
    bobs.called(DANA, "c3", "busy")
    assert [(ERIN, "reached", 1), (DANA, "not_reached", 2)] == bobs.states()
    assert "Everybody was called" in bobs.page()
    assert "2 of 2 done" in bobs.page()


def test_what_did_not_ring_is_said_and_does_not_count(stage: Stage) -> None:
    bobs = Bobs(stage, DANA)
    bobs.press(DANA, "dial")
    with stage.services.db.tenant(stage.office.tenant) as database:
        database.execute(update(effects).values(state="dropped", reason="dial.stale", done_at=stage.services.now()))

    assert "Nothing rang. It was asked for too long ago" in bobs.page()

    bobs.press(DANA, "nothing_rang")
    assert [(DANA, "waiting", 0)] == bobs.states()
    bobs.press(DANA, "dial")
    assert [DANA] == bobs.dialled(), "the second press is another one"
    bobs.press(DANA, "nothing_rang")
    with stage.services.db.tenant(stage.office.tenant) as database:
        database.execute(update(connections).where(connections.c.kind == "telephony").values(state="disconnected"))
    assert 400 == bobs.press(DANA, "dial")
    assert [(DANA, "waiting", 0)] == bobs.states()


def test_what_bob_says_by_hand_counts(stage: Stage) -> None:
    """And contacts he ticks stand on the list as long as they are contacts with that number."""
    services, office = stage.services, stage.office
    (dana,) = meet(services, office.tenant, office.crm, [person("Dana", "Sol", "Sol SL", DANA, "dana@sol.example")])
    bobs = Bobs(stage, f"{ERIN}\n{FINN}")

    found = bobs.post("find", q="Dan").get_data(as_text=True)
    (tick,) = re.findall(r'name="who" value="([^"]+)"', found)
    assert f"{dana} {DANA}" == tick
    assert 404 == bobs.post("people", who=[f"{dana} {ERIN}"]).status_code
    assert 303 == bobs.post("people", who=[tick]).status_code
    assert 303 == bobs.post("numbers", numbers=f"{ERIN}\n{DANA}").status_code
    assert "Dana Sol" in bobs.page()
    bobs.press(ERIN, "not_reached", note="On holiday until May")
    bobs.press(FINN, "skip")
    bobs.press(DANA, "reached")
    assert [(FINN, "skipped", 0), (DANA, "reached", 1), (ERIN, "waiting", 1)] == bobs.states()
    assert "On holiday until May" in bobs.page()
    bobs.press(FINN, "again")
    bobs.press(ERIN, "remove")
    assert [(DANA, "reached", 1), (FINN, "waiting", 0)] == bobs.states()

    erase(services, office.tenant, emails=["dana@sol.example"])

    assert [(FINN, "waiting", 0)] == bobs.states()
    assert {"call_list.made", "call_list.filled", "call_list.shortened", "read.call_list"} <= set(stage.actions())


def test_a_list_is_its_makers_alone(stage: Stage) -> None:
    """Alice, who administers, sees that there is one and may delete it; Charlie finds nothing."""
    bobs = Bobs(stage, DANA)
    alice, charlie = stage.browser("alice"), stage.browser("charlie")
    callee = bobs.people()[DANA].id
    for other in (alice, charlie):
        csrf = token(other)
        assert {404} == {other.get(f"{bobs.path}{rest}").status_code for rest in ("", "/state")}
        assert (
            404
            == other.post(
                f"{bobs.path}/people/{callee}", data={"csrf_token": csrf, "turn": 0, "do": "dial"}
            ).status_code
        )
        assert 404 == other.post(f"{bobs.path}/numbers", data={"csrf_token": csrf, "numbers": ERIN}).status_code
        assert 404 == other.post(f"{bobs.path}/find", data={"csrf_token": csrf, "q": "Dana"}).status_code
    index = alice.get(PATH).get_data(as_text=True)
    assert "Bob Agent" in index
    assert "Spring offer" not in index
    assert "Bob" not in charlie.get(PATH).get_data(as_text=True)
    hers = post(alice, PATH, title="Hers", tries="1", numbers="").location

    assert 404 == bobs.post(f"{hers}/delete").status_code
    assert 404 == post(charlie, f"{bobs.path}/delete").status_code
    assert [] == bobs.dialled()
    assert 303 == post(alice, f"{bobs.path}/delete").status_code
    assert 404 == bobs.browser.get(bobs.path).status_code
    assert "call_list.deleted" in stage.actions()


def test_what_makes_no_sense_is_a_400_and_changes_nothing(stage: Stage) -> None:
    bobs = Bobs(stage, DANA)
    many = "\n".join(f"+3460011{place:04d}" for place in range(call_down.MOST_PEOPLE))
    good = {"title": "x", "tries": "1", "numbers": ""}
    for form in (
        {},
        {"title": "x" * 81},
        {"tries": "10"},
        {"numbers": "112"},
        {"numbers": many + f"\n{FINN}"},
        {"a": "b"},
    ):
        assert 400 == bobs.post(PATH, **(good | form if form else {})).status_code, form
    assert 400 == bobs.post("numbers", numbers=f"{many}").status_code
    assert 400 == bobs.post("numbers", numbers="Dana\nErin").status_code
    for who in ([], ["x"], [f"{uuid4()}"]):
        assert 400 == bobs.post("people", who=who).status_code
    for form in ({"turn": 0}, {"turn": -1, "do": "dial"}, {"turn": 2**31, "do": "dial"}, {"turn": 0, "do": "ring"}):
        assert 400 == bobs.post(f"people/{bobs.people()[DANA].id}", **form).status_code
    assert 404 == bobs.post(f"people/{uuid4()}", turn=0, do="dial").status_code

    assert [(DANA, "waiting", 0)] == bobs.states()
    assert 1 == len(going.kept(stage.services).all(stage.office.tenant, stage.office.bob.id))


def test_who_is_erased_leaves_every_list_and_lists_go_in_time(stage: Stage) -> None:
    """A person's export has their row and what was noted of them; a month untouched, and it is gone."""
    services, tenant = stage.services, stage.office.tenant
    bobs = Bobs(stage, f"{DANA}\n{ERIN}\n{FINN}")
    bobs.press(ERIN, "note", note="Call 600 111 222 instead")
    bobs.press(FINN, "note", note="Likes tea")

    exported = "\n".join(export_person(services, tenant, [FINN]))
    assert "Likes tea" in exported
    assert DANA not in exported
    assert 2 == erase(services, tenant, [DANA])["counts"]["call_list_people"]
    assert [FINN] == list(bobs.people())

    strict, now = Profiles().get("strict"), services.db.now()
    month, hour = timedelta(days=30), timedelta(hours=1)
    with services.db.tenant(tenant) as database:
        database.execute(update(call_list_people).values(changed_at=now - month))
        database.execute(update(call_lists).values(worked_at=now - month + hour))
    went = holdings.purge(services.db, services.vault, tenant, strict, now + timedelta(minutes=1))
    assert (0, 1) == (went["call lists"], went["people to call"])
    went = holdings.purge(services.db, services.vault, tenant, strict, now + 2 * hour)
    assert 1 == went["call lists"]
