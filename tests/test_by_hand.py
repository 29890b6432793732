"""Calls by hand, numbers set apart, another try and the call-back list: at the desk and down to the CRM."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.call import CallEvent, fold
from domain.caller_id import Rule
from domain.errors import Malformed, Missing
from domain.ports import CrmUser
from jobs import by_hand, dialling, journeys, log_call, numbers, showing
from jobs.by_hand import Correction, Entry
from store.database import TenantId
from store.embedded import Postgres
from store.sieve import Wanted
from store.tenants import User
from tests.console_desk import Stories, application, contact_of, meet, person, post, sign_in
from tests.recording_office import DANA, Alice, offices

OURS, SPAM = "+34911222333", "+34600999888"
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def furnish(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Callable[[TenantId], Alice]]:
    with offices(db_urls, work_url, mail_url) as made:
        yield made


@pytest.fixture
def alice(furnish: Callable[[TenantId], Alice], tenant: TenantId) -> Alice:
    return furnish(tenant)


def call(alice: Alice, ref: str, *, number: str = DANA, ours: str = OURS, ago: int = 30, **more: Any) -> UUID:
    """A call that came in and was answered for a minute, or what `more` says of it."""
    at = alice.tools.db.now() - ago * MINUTE
    told: dict[str, Any] = {
        "type": "ended",
        "direction": "inbound",
        "caller": number,
        "callee": ours,
        "agent_email": alice.office.bob.email,
        "agent_extension": "201",
        "started_at": at,
        "answered_at": at,
        "outcome": "answered",
    }
    alice.hear(CallEvent(id=f"{ref}-e", at=at + MINUTE, call_ref=ref, **{**told, **more}))
    return next(kept.id for kept in alice.tools.calls.recent(alice.tenant) if kept.call.ref == ref)


def kept(alice: Alice, id: UUID) -> Any:
    found = alice.tools.calls.get(alice.tenant, id)
    assert found is not None
    return found


def entry(alice: Alice, **more: Any) -> Entry:
    told: dict[str, Any] = {
        "token": uuid4(),
        "direction": "outbound",
        "number": DANA,
        "started_at": alice.tools.now() - timedelta(hours=1),
        "outcome": "answered",
        "talk": timedelta(minutes=3),
    }
    return Entry(**{**told, **more})


# ---- entered by hand ------------------------------------------------------------------------------------------------


def test_a_call_entered_by_hand_is_one_call_and_one_activity(alice: Alice) -> None:
    """However often the form is sent."""
    once = entry(alice)
    first = by_hand.enter(alice.tools, alice.office.bob, once)
    again = by_hand.enter(alice.tools, alice.office.bob, once)
    log_call.act(alice.tools, alice.tenant)
    log_call.act(alice.tools, alice.tenant)

    assert first == again
    (activity,) = alice.crm.logged
    assert (DANA, 180, "outbound", "2") == (
        activity.customer,
        activity.talk_seconds,
        activity.direction,
        activity.owner,
    )
    assert ["call.entered"] == [action for action in alice.actions() if action.startswith("call.")]


def test_a_tenant_with_phonebridge_has_it_written_as_a_row(alice: Alice) -> None:
    """Zoho's telephony knows only calls that live; one writer all the same."""
    alice.tools.tenants.set(alice.tenant, call_writer="bridge")
    made = by_hand.enter(alice.tools, alice.office.bob, entry(alice))

    assert "records" == kept(alice, made).writer


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"number": "201"}, "number.invalid"),
        ({"number": "by post"}, "number.invalid"),
        ({"talk": timedelta(days=2)}, "call.too_long"),
        ({"started_at": datetime(2020, 1, 1, tzinfo=UTC)}, "call.too_old"),
        ({"started_at": datetime(2099, 1, 1, tzinfo=UTC)}, "call.in_future"),
        ({"number": SPAM}, "number.set_apart"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_a_call_is_not_entered(alice: Alice, wrong: dict[str, Any], code: str) -> None:
    numbers.set_apart(alice.tools, alice.tenant, SPAM, "left_out", "sells lamps", actor="user:x")

    with pytest.raises(Malformed) as caught:
        by_hand.enter(alice.tools, alice.office.bob, entry(alice, **wrong))

    assert code == caught.value.code
    assert [] == alice.tools.calls.recent(alice.tenant)


# ---- put right ------------------------------------------------------------------------------------------------------


class Corrected:
    """What the CRM was asked to correct."""

    def __init__(self, alice: Alice) -> None:
        self.asked: list[tuple[str, str, int, list[str]]] = []
        alice.crm.correct_call = self  # type: ignore[attr-defined]

    def __call__(self, there: str, activity: Any, parts: list[str]) -> None:
        self.asked.append((there, activity.outcome, activity.talk_seconds, parts))


def test_a_correction_reaches_the_activity_and_stays(alice: Alice) -> None:
    """Missed, says the phone system; they spoke for two minutes, says Bob. A late webhook changes nothing of that."""
    told = Corrected(alice)
    made = call(alice, "c1", outcome="missed", answered_at=None)
    log_call.act(alice.tools, alice.tenant)
    right = Correction(outcome="answered", talk=2 * MINUTE, user=alice.office.alice.id)

    assert ("course", "owner") == by_hand.put_right(alice.tools, alice.office.bob, made, right)
    assert () == by_hand.put_right(alice.tools, alice.office.bob, made, right)
    log_call.act(alice.tools, alice.tenant)
    alice.hear(CallEvent(id="late", type="ended", at=alice.tools.now(), call_ref="c1", caller=DANA, outcome="missed"))

    assert [("row-0", "answered", 120, ["course", "owner"])] == told.asked
    after = kept(alice, made)
    assert ("answered", 120, alice.office.alice.id) == (after.call.outcome, after.call.talk_seconds, after.user)
    assert ["call.corrected"] == [action for action in alice.actions() if action.startswith("call.")]


def test_a_correction_made_before_the_activity_stands_there_waits(alice: Alice) -> None:
    """It is written the right way at once, or amended once it is there; never twice."""
    told = Corrected(alice)
    made = call(alice, "c1", outcome="missed", answered_at=None)
    by_hand.put_right(alice.tools, alice.office.bob, made, Correction(outcome="answered", talk=MINUTE))
    log_call.act(alice.tools, alice.tenant)

    assert [("answered", 60)] == [(one.outcome, one.talk_seconds) for one in alice.crm.logged]
    assert {one[3][0] for one in told.asked} <= {"course"}


def test_whom_a_call_was_with_is_chosen_once(alice: Alice) -> None:
    Corrected(alice)
    tools, tenant = alice.tools, alice.tenant
    meet(tools, tenant, alice.office.crm, [person("Dana", "Sol", "", DANA, ""), person("Eva", "Luz", "", SPAM, "")])
    made = call(alice, "c1")
    log_call.act(tools, tenant)
    eva = contact_of(tools, tenant, SPAM)

    assert ("person",) == by_hand.put_right(tools, alice.office.bob, made, Correction(contact=(eva,)))
    alice.hear(CallEvent(id="late", type="recording", at=tools.now(), call_ref="c1", caller=DANA))

    assert (eva, "by_hand") == (kept(alice, made).contact, kept(alice, made).match)


def test_a_strangers_call_cannot_be_corrected(alice: Alice) -> None:
    with pytest.raises(Missing):
        by_hand.put_right(alice.tools, alice.office.bob, uuid4(), Correction(outcome="missed"))


def test_who_spoke_first_keeps_the_call(alice: Alice) -> None:
    """A transfer that is told after the call was logged moves nobody's activity; one that was missed was nobody's."""
    made = call(alice, "c1")
    log_call.act(alice.tools, alice.tenant)
    at = kept(alice, made).call.started_at - MINUTE
    alice.hear(
        CallEvent(id="x", type="answered", at=at, call_ref="c1", caller=DANA, agent_email=alice.office.alice.email)
    )

    assert alice.office.bob.id == kept(alice, made).user


# ---- numbers set apart ----------------------------------------------------------------------------------------------


def test_our_own_numbers_are_learned_on_the_third_call(alice: Alice) -> None:
    """From then on a call from there is one among ourselves."""
    for place in range(3):
        assert {} == {one.number: one.seen for one in alice.tools.apart.all(alice.tenant)}
        call(alice, f"c{place}")
        alice.hear(CallEvent(id="again", type="recording", at=alice.tools.now(), call_ref=f"c{place}"))  # counts once

    assert {OURS: 3} == {one.number: one.seen for one in alice.tools.apart.all(alice.tenant)}
    inside = call(alice, "from-us", number=OURS, ours="+34911222334")
    assert ("own", "", None) == (kept(alice, inside).match, kept(alice, inside).writer, kept(alice, inside).contact)


def test_what_an_administrator_refuses_is_not_learned_again(alice: Alice) -> None:
    for place in range(3):
        call(alice, f"c{place}")
    (ours,) = alice.tools.apart.all(alice.tenant)
    numbers.take_back(alice.tools, alice.tenant, ours.id, actor="user:x")
    for place in range(3, 8):
        call(alice, f"c{place}")

    assert ["refused"] == [one.state for one in alice.tools.apart.all(alice.tenant)]
    assert "nobody" == kept(alice, call(alice, "from", number=OURS, ours="+34911222334")).match


def test_a_number_left_out_is_not_matched_logged_or_popped(alice: Alice) -> None:
    """And is again once it is let in; what happened meanwhile stays as it was."""
    meet(alice.tools, alice.tenant, alice.office.crm, [person("Dana", "Sol", "", DANA, "")])
    alice.tools.tenants.set(alice.tenant, call_writer="bridge")
    numbers.set_apart(alice.tools, alice.tenant, DANA, "left_out", "asked for it", actor="x")
    at = alice.tools.db.now()
    alice.hear(
        CallEvent(
            id="r", type="ringing", at=at, call_ref="c1", caller=DANA, callee=OURS, agent_email=alice.office.bob.email
        )
    )
    assert [] == alice.tools.calls.live(alice.tenant, alice.office.bob.id, at - MINUTE)
    made = call(alice, "c1")

    assert ("left_out", None, "") == (kept(alice, made).match, kept(alice, made).contact, kept(alice, made).writer)
    assert [] == [*alice.owed("pop"), *alice.owed("activity.bridge"), *alice.owed("activity.record")]
    (row,) = alice.tools.apart.all(alice.tenant, "left_out")
    numbers.take_back(alice.tools, alice.tenant, row.id, actor="user:x")
    assert "one" == kept(alice, call(alice, "c2")).match
    assert ["number.set_apart", "number.taken_back"] == [one for one in alice.actions() if one.startswith("number.")]


def test_a_colleagues_own_telephone_is_ours(alice: Alice) -> None:
    bob = CrmUser(remote_id="2", login_id="l", email="bob@a.example", name="Bob", numbers=("+34 600 123 123", "n/a"))
    numbers.learn_users_own(alice.tools, alice.tenant, [bob])
    numbers.learn_users_own(alice.tools, alice.tenant, [bob])

    assert [("+34600123123", "user")] == [(one.number, one.source) for one in alice.tools.apart.all(alice.tenant)]


# ---- at the desk ----------------------------------------------------------------------------------------------------


def browser_of(alice: Alice, user: User) -> Any:
    """A browser at the console, without TLS in between."""
    tools = replace(alice.tools, settings=replace(alice.tools.settings, base_url="http://127.0.0.1:8000"))
    return sign_in(application(tools, Stories()), tools, user)


@pytest.fixture
def bob(alice: Alice) -> Any:
    return browser_of(alice, alice.office.bob)


@pytest.fixture
def admin(alice: Alice) -> Any:
    return browser_of(alice, alice.office.alice)


def shown(browser: Any, path: str) -> str:
    answer = browser.get(path)
    assert 200 == answer.status_code
    return html.unescape(answer.get_data(as_text=True))


def test_bob_enters_and_corrects_a_call(alice: Alice, bob: Any) -> None:
    page = shown(bob, "/console/calls/new")
    token = page.split('name="token" value="', 1)[1].split('"', 1)[0]
    started = (alice.tools.now() - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    form = {"token": token, "direction": "outbound", "number": DANA, "started": started, "outcome": "answered"}

    assert 400 == post(bob, "/console/calls/new", **form | {"number": "201", "talk": "3"}).status_code
    assert 400 == post(bob, "/console/calls/new", **form | {"talk": "long"}).status_code
    made = post(bob, "/console/calls/new", **form | {"talk": "3:20"})
    assert made.location == post(bob, "/console/calls/new", **form | {"talk": "3:20"}).location
    assert "It was entered by hand" in shown(bob, made.location)
    assert 303 == post(bob, f"{made.location}/correct", outcome="no_answer", contact="keep").status_code
    assert {"no_answer"} == {one.call.outcome for one in alice.tools.calls.recent(alice.tenant)}
    assert 404 == post(bob, f"/console/calls/{uuid4()}/correct", outcome="missed").status_code
    assert 404 == post(bob, f"{made.location}/correct", outcome="missed", contact=str(uuid4())).status_code
    assert 400 == post(bob, f"{made.location}/correct", outcome="eaten").status_code


def test_calls_are_sifted(alice: Alice, bob: Any) -> None:
    """By agent, line, direction, outcome, day and how their activity stands, in the store and on the page."""
    call(alice, "in")
    call(alice, "missed", number=SPAM, outcome="missed", answered_at=None, agent_extension="202", agent_email="")
    calls, tenant = alice.tools.calls, alice.tenant
    tomorrow = alice.tools.now() + timedelta(days=1)

    def refs(**wanted: Any) -> set[str]:
        return {one.call.ref for one in calls.recent(tenant, wanted=Wanted(**wanted))}

    assert {"in"} == refs(user=alice.office.bob.id) == refs(outcome="answered") == refs(line=calls.line(tenant, "201"))
    assert {"missed"} == refs(outcome="missed") == refs(line=calls.line(tenant, "202"))
    assert {"in", "missed"} == refs(direction="inbound") == refs(log="waiting") == refs(until=tomorrow)
    assert set() == refs(direction="outbound") == refs(log="failed") == refs(since=tomorrow)
    line = calls.line(tenant, "202").hex()
    assert 1 == shown(bob, f"/console/calls?line={line}&user=&outcome=").count('class="cover"')
    for wrong in ("line=202", "user=bob", "log=lost", "since=yesterday", "nothing=1", "outcome=eaten"):
        assert 400 == bob.get(f"/console/calls?{wrong}").status_code


def test_a_log_that_failed_says_why_and_is_tried_again(alice: Alice, bob: Any, admin: Any) -> None:
    """The cause is mended meanwhile; it is looked for before it is written."""
    made = call(alice, "c1")
    alice.tools.effects.drop(alice.tenant, alice.tools.effects.waiting(alice.tenant, "calls"), "upstream.refused")
    alice.crm.there = ""

    assert "The other side refused, and would again." in shown(bob, "/console/calls?log=failed")
    assert 403 == post(bob, "/console/calls/retry").status_code
    assert "Try again" in shown(bob, f"/console/calls/{made}")
    assert 404 == post(bob, f"/console/calls/{uuid4()}/retry").status_code
    assert 303 == post(bob, f"/console/calls/{made}/retry").status_code
    log_call.act(alice.tools, alice.tenant)
    assert 303 == post(admin, "/console/calls/retry").status_code

    assert 1 == len(alice.crm.logged)
    assert "row-0" == kept(alice, made).activity
    assert 1 == alice.actions().count("calls.retried")
    assert "Try again" not in shown(bob, f"/console/calls/{made}")


def test_numbers_are_set_apart_at_the_desk(alice: Alice, bob: Any, admin: Any) -> None:
    path = "/console/settings/numbers"

    assert 403 == bob.get(path).status_code
    assert 400 == post(admin, path, kind="left_out", number="201").status_code
    assert 400 == post(admin, path, kind="friend", number=SPAM).status_code
    assert 303 == post(admin, path, kind="left_out", number=SPAM, reason="sells lamps").status_code
    assert {True} == {word in shown(admin, path) for word in ("+34 600 99 98 88", "sells lamps")}
    (row,) = alice.tools.apart.all(alice.tenant)
    assert 303 == post(admin, f"{path}/{row.id}/remove").status_code
    assert 404 == post(admin, f"{path}/{row.id}/remove").status_code
    assert "sells lamps" not in shown(admin, path)


def test_ranges_and_hidden_callers_are_left_out_too(alice: Alice, admin: Any) -> None:
    """From the next call on; a number's own word stands above its range's."""
    path = "/console/settings/numbers"
    assert 400 == post(admin, path, kind="own", number="+34 600*").status_code
    assert 400 == post(admin, path, kind="blocked", number="+3*").status_code
    assert 303 == post(admin, path, kind="blocked", number="+34 60099*", reason="a call centre").status_code
    assert 303 == post(admin, path, kind="left_out", number="anonymous").status_code
    assert {True} == {word in shown(admin, path) for word in ("+3460099…", "a call centre", "Everybody who hides")}

    made = [call(alice, f"c{place}", number=number) for place, number in enumerate((SPAM, "anonymous", DANA))]
    log_call.act(alice.tools, alice.tenant)

    assert ["left_out", "left_out", "nobody"] == [kept(alice, id).match for id in made]
    assert [DANA] == [activity.customer for activity in alice.crm.logged]
    for row in alice.tools.apart.all(alice.tenant):
        assert 303 == post(admin, f"{path}/{row.id}/remove").status_code
    assert "nobody" == kept(alice, call(alice, "c9", number=SPAM)).match


def test_an_administrator_says_which_number_is_shown(alice: Alice, bob: Any, admin: Any) -> None:
    """One of our own only; the same calls have one rule, and the rule goes with its button or its number."""
    path = "/console/settings/shown"
    assert 403 == bob.get(path).status_code
    assert "None of your own numbers is known yet" in shown(admin, path)
    for number, kind in ((OURS, "own"), ("+34911222444", "own"), (SPAM, "left_out")):
        numbers.set_apart(alice.tools, alice.tenant, number, kind, "", actor="x")  # type: ignore[arg-type]
    first, second, spam = (
        next(one.id for one in alice.tools.apart.all(alice.tenant) if one.number == number)
        for number in (OURS, "+34911222444", SPAM)
    )
    bobs = str(alice.office.bob.id)
    refused: list[dict[str, str]] = [
        {"number": str(spam)},
        {"number": str(uuid4())},
        {"number": str(first), "to": "Berlin"},
        {"number": str(first), "user": str(uuid4())},
        {"number": "x"},
    ]
    assert [400] * 5 == [post(admin, path, **wrong).status_code for wrong in refused]
    for row, to, user in ((first, "DE", ""), (second, "DE", ""), (first, "", bobs)):
        assert 303 == post(admin, path, number=str(row), to=to, user=user).status_code

    rules = {one.number: one.shown for one in alice.tools.apart.shown(alice.tenant)}
    assert {OURS: (Rule(user=bobs),), "+34911222444": (Rule(to="DE"),)} == rules
    assert {True} == {word in shown(admin, path) for word in ("Bob", "DE", "Everybody")}
    assert 404 == post(admin, f"{path}/{first}/remove", to="DE", user="").status_code
    assert 303 == post(admin, f"{path}/{second}/remove", to="DE", user="").status_code
    numbers.take_back(alice.tools, alice.tenant, first, actor="x")
    assert [] == alice.tools.apart.shown(alice.tenant)
    assert ["number.shown"] * 3 + ["number.unshown"] == [one for one in alice.actions() if "shown" in one]


def test_a_click_tells_the_phone_system_which_number_to_show(alice: Alice) -> None:
    """As the rules stand for whoever clicks; the page says it."""
    numbers.set_apart(alice.tools, alice.tenant, OURS, "own", "", actor="x")
    (row,) = alice.tools.apart.all(alice.tenant)
    showing.show(alice.tools, alice.tenant, row.id, Rule(user=str(alice.office.bob.id)), actor="x")

    asked = dialling.ask(alice.tools, alice.office.bob, DANA, actor="x")
    other = dialling.ask(alice.tools, alice.office.alice, DANA, actor="x")

    assert (OURS, "") == (asked.shown, other.shown)
    owed = [effect for effect in alice.tools.effects.waiting(alice.tenant, "calls") if effect.kind == "dial"]
    assert {OURS, None} == {effect.payload.get("shown") for effect in owed}


def test_a_call_waits_to_be_returned(alice: Alice, bob: Any, admin: Any) -> None:
    made = call(alice, "c1", outcome="missed", answered_at=None)
    path = "/console/callbacks"

    assert 404 == post(bob, f"{path}/{uuid4()}").status_code
    assert 404 == post(bob, f"{path}/{made}", user=str(uuid4())).status_code
    assert 303 == post(admin, f"{path}/{made}", user=str(alice.office.alice.id)).status_code
    assert ("Nobody waits" in shown(bob, path), "Nobody waits" in shown(admin, path)) == (True, False)
    assert 303 == post(admin, f"{path}/{made}", user="").status_code
    assert "+34 600 11 12 22" in shown(bob, path)
    assert 303 == post(bob, f"{path}/{made}/done").status_code
    assert 404 == post(bob, f"{path}/{made}/done").status_code
    assert "Nobody waits" in shown(admin, path)
    assert ["callback.asked", "callback.asked", "callback.done"] == [
        action for action in alice.actions() if action.startswith("callback")
    ]


# ---- from door to Zoho ----------------------------------------------------------------------------------------------


def test_the_whole_timeline_of_a_call(alice: Alice) -> None:
    """What happened, what was owed and what was done, in order."""
    made = call(alice, "c1")
    log_call.act(alice.tools, alice.tenant)

    marks = journeys.timeline(alice.tools, alice.tenant, kept(alice, made))

    assert [("call", "The call came in"), ("call", "201 answered"), ("call", "It ended")] == [
        (mark.where, mark.about) for mark in marks if mark.where == "call"
    ]
    assert [("activity.record", "planned"), ("activity.record", "done")] == [
        (mark.about, mark.state) for mark in marks if mark.where == "effect"
    ]
    assert sorted(mark.at for mark in marks) == [mark.at for mark in marks]


def test_the_last_word_is_by_hand() -> None:
    """Neither the vendor's list nor a late event stands above what somebody corrected."""
    at = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
    told = [
        CallEvent(id="a", type="ended", at=at, call_ref="c", outcome="missed", listed=True),
        CallEvent(
            id="b",
            type="ended",
            at=at,
            call_ref="c",
            answered_at=at,
            ended_at=at + MINUTE,
            outcome="answered",
            by_hand=True,
        ),
        CallEvent(id="c", type="ended", at=at + MINUTE, call_ref="c", outcome="busy"),
    ]

    assert ("answered", 60) == (fold(told).outcome, fold(told).talk_seconds)
