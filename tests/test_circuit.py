"""The rules of a gate: a table for the circuit, any run of steps for what must never be, in Python and in Lua."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.gate import FAILURES, HOUR_MS, Ask, Entry, Limits, State, Told, enter, leave
from store.gate import NAME, SCRIPT, Gates

NOON = 1_774_778_400_000
ANY = Limits()
SMALL = Limits(slots=3, kept_slots=1, credits=12, kept_credits=4)
FAILED, ANSWERED, UNTOLD = Told(how="failed"), Told(how="answered"), Told(how="untold")


def ask(ticket: str = "t", *, urgent: bool = True, cost: int = 1, lease_ms: int = 60_000) -> Ask:
    return Ask(ticket=ticket, urgent=urgent, cost=cost, lease_ms=lease_ms)


# ---- the circuit, as a table --------------------------------------------------------------------------------------

STORIES: dict[str, list[tuple[int, str, Any]]] = {  # (seconds after noon, what happens, what comes of it)
    "four failures are weather": [*[(n, "fail", "") for n in range(4)], (4, "go", "")],
    "five in a row open it": [*[(n, "fail", "") for n in range(4)], (4, "fail", "opened"), (5, "go", "silent 4000")],
    "an answer in between starts anew": [*[(n, "fail", "") for n in range(4)], (4, "answer", ""), (5, "fail", "")],
    "what says nothing changes nothing": [
        *[(n, "fail", "") for n in range(4)],
        (4, "untold", ""),
        (5, "fail", "opened"),
    ],
    "after the pause one looks": [*[(0, "fail", None)] * 5, (5, "probe", ""), (5, "go", "silent 1000")],
    "the look that fails doubles the pause": [
        *[(0, "fail", None)] * 5,
        (5, "probe", ""),
        (6, "probe failed", ""),
        (7, "go", "silent 9000"),
        (16, "probe", ""),
        (16, "probe failed", ""),
        (16, "go", "silent 20000"),
    ],
    "the look that is answered closes it": [
        *[(0, "fail", None)] * 5,
        (5, "probe", ""),
        (6, "probe answered", "closed"),
        (6, "go", ""),
        (6, "go", ""),
    ],
    "a look that says nothing lets the next one look": [
        *[(0, "fail", None)] * 5,
        (5, "probe", ""),
        (6, "probe untold", ""),
        (6, "probe", ""),
    ],
    "whoever looked and died is not waited for": [
        *[(0, "fail", None)] * 5,
        (5, "probe", ""),
        (64, "go", "silent 1000"),
        (66, "probe", ""),
    ],
    "failures of those who had gone before change nothing": [
        *[(0, "fail", None)] * 5,
        *[(1, "fail", "")] * 9,
        (2, "go", "silent 3000"),
    ],
    "a late answer closes it": [*[(0, "fail", None)] * 5, (1, "answer", "closed"), (1, "go", "")],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_the_circuit(story: list[tuple[int, str, Any]]) -> None:
    state, tickets = State(), iter(range(100))
    hows = {"fail": FAILED, "answer": ANSWERED, "untold": UNTOLD}
    for second, what, expected in story:
        now = NOON + second * 1000
        if what in ("go", "probe"):
            ticket = "probe" if what == "probe" else str(next(tickets))
            state, entry = enter(state, ask(ticket), ANY, now)
            came = f"{entry.why} {entry.wait_ms}" if entry.why else ""
        else:
            probing, _, how = what.rpartition(" ")
            how = {"failed": "fail", "answered": "answer"}.get(how, how)
            state, came = leave(state, "probe" if probing else "", hows[how], now)
        assert expected in (came, None), (second, what)


def test_pauses_end_at_a_minute_and_since_is_the_first_failure() -> None:
    state, now = State(), NOON
    for _ in range(FAILURES):
        state, _ = leave(state, "", FAILED, now)
        now += 1000
    for _ in range(10):
        now = state.open_until
        state, entry = enter(state, ask("probe"), ANY, now)
        assert entry == Entry()
        state, _ = leave(state, "probe", FAILED, now)
    assert (NOON, 60_000) == (state.since, state.open_until - now)


@pytest.mark.parametrize(
    ("told", "pauses"),
    [(Told(how="answered", slow_ms=7_000), [7_000, 7_000]), (Told(how="answered", slow_ms=0), [2_000, 4_000, 8_000])],
    ids=["it said", "it did not say"],
)
def test_a_pause_that_was_asked_for(told: Told, pauses: list[int]) -> None:
    """Nobody goes before it is over, the circuit stays closed, and one good answer makes the next pause short again."""
    state, now = State(), NOON
    for pause in pauses:
        state, turn = leave(state, "", told, now)
        assert ("", Entry(why="slowed", wait_ms=pause)) == (turn, enter(state, ask(), ANY, now)[1])
        assert Entry(why="slowed", wait_ms=1) == enter(state, ask(), ANY, now + pause - 1)[1]
        now += pause
        assert Entry() == enter(state, ask(), ANY, now)[1]
    state, _ = leave(state, "", ANSWERED, now)
    assert 0 == state.slowed


def test_the_last_places_are_for_people() -> None:
    state = State()
    for ticket, urgent, why in [
        ("a", False, ""),
        ("b", False, ""),
        ("c", False, "full"),
        ("d", True, ""),
        ("e", True, "full"),
    ]:
        state, entry = enter(state, ask(ticket, urgent=urgent), SMALL, NOON)
        assert (ticket, why) == (ticket, entry.why)
    state, _ = leave(state, "a", ANSWERED, NOON)
    assert "full" == enter(state, ask("f", urgent=False), SMALL, NOON)[1].why
    assert "" == enter(state, ask("g"), SMALL, NOON)[1].why


def test_the_last_credits_are_for_people_and_come_back_with_the_hours() -> None:
    limits = Limits(credits=12, kept_credits=4)
    state, entry = enter(State(), ask("a", urgent=False, cost=8), limits, NOON)
    assert Entry() == entry
    assert Entry(why="spent", wait_ms=HOUR_MS) == enter(state, ask("b", urgent=False), limits, NOON)[1]
    state, entry = enter(state, ask("c", cost=4), limits, NOON)
    assert (Entry(), "spent") == (entry, enter(state, ask("d"), limits, NOON)[1].why)
    assert "" == enter(state, ask("e", cost=0), limits, NOON)[1].why  # what costs nothing is never too dear
    assert "spent" == enter(state, ask("f"), limits, NOON + 24 * HOUR_MS)[1].why
    assert "" == enter(state, ask("f", urgent=False, cost=8), limits, NOON + 25 * HOUR_MS)[1].why


def test_the_other_sides_own_count_goes_before_ours() -> None:
    """It is believed for an hour; then one request goes and hears it again."""
    limits = Limits(credits=1_000, kept_credits=100)
    state, _ = leave(State(), "", Told(how="answered", left=100), NOON)
    assert "spent" == enter(state, ask(urgent=False), limits, NOON)[1].why
    assert "" == enter(state, ask(), limits, NOON)[1].why
    assert "" == enter(state, ask(urgent=False), limits, NOON + HOUR_MS)[1].why


# ---- any run of steps ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    later: int
    enter: bool
    ticket: int
    urgent: bool
    cost: int
    told: Told


TOLD = st.builds(
    Told,
    how=st.sampled_from(["failed", "failed", "answered", "untold"]),
    slow_ms=st.sampled_from([-1, -1, -1, 0, 700]),
    left=st.sampled_from([-1, -1, 0, 5, 50]),
)
STEPS = st.lists(
    st.builds(
        Step,
        later=st.sampled_from([0, 1, 999, 5_000, 61_000, HOUR_MS]),
        enter=st.booleans(),
        ticket=st.integers(0, 5),
        urgent=st.booleans(),
        cost=st.integers(0, 4),
        told=TOLD,
    ),
    max_size=40,
)
LIMITS = st.sampled_from([ANY, SMALL, Limits(slots=1, kept_slots=1), Limits(slots=4, kept_slots=2, credits=20)])


@given(STEPS, LIMITS)
def test_never_too_many_never_too_dear_and_one_look_at_a_time(steps: list[Step], limits: Limits) -> None:
    state, now = State(), NOON
    for number, step in enumerate(steps):
        now += step.later
        before = state
        if not step.enter:
            state, turn = leave(state, f"{step.ticket}", step.told, now)
            assert (turn == "opened") == (not before.open_until and state.open_until > 0)
            assert (turn == "closed") == (before.open_until > 0 and not state.open_until)
            continue
        ticket = f"{step.ticket}" if f"{step.ticket}" not in state.leases else f"n{number}"
        state, entry = enter(state, ask(ticket, urgent=step.urgent, cost=step.cost), limits, now)
        if not limits.slots or entry.why:
            assert entry.why or before.open_until <= now
        if limits.slots:
            room = limits.slots if step.urgent else max(1, limits.slots - limits.kept_slots)
            assert len(state.leases) <= (room if not entry.why else limits.slots)
        if limits.credits:
            assert sum(state.spent.values()) <= limits.credits
        if not entry.why and before.open_until:
            assert (ticket, True) == (
                state.probe,
                before.probe not in before.leases or before.leases[before.probe] <= now,
            )
        assert entry.wait_ms >= 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, limits=LIMITS)
def test_lua_keeps_the_same_rules(work_url: str, steps: list[Step], limits: Limits) -> None:
    """Step by step the shared gate answers and remembers what the pure one does."""
    upstream, clock = f"test:{uuid.uuid4().hex}", [NOON]
    shared = Gates(work_url, lambda: clock[0])
    state = State()
    try:
        for number, step in enumerate(steps):
            clock[0] += step.later
            if step.enter:
                wish = ask(f"{number}", urgent=step.urgent, cost=step.cost)
                state, entry = enter(state, wish, limits, clock[0])
                assert entry == shared.enter(upstream, wish, limits)
            else:
                ticket = state.probe or f"{number - 1 - step.ticket}"
                since = state.since
                state, turn = leave(state, ticket, step.told, clock[0])
                assert (turn, state.since or since) == shared.leave(upstream, ticket, step.told)
            assert asdict(state) == asdict(shared._state(upstream))
            assert bool(state.open_until) == (upstream in shared.silent())
    finally:
        shared.forget(upstream)
        shared.close()


def test_a_gate_is_forgotten_a_day_after_its_last_use(work_url: str) -> None:
    with redis.Redis.from_url(work_url) as valkey:
        valkey.eval(SCRIPT, 2, NAME + "test:ttl", "x", "leave", 0, "t", "answered", -1, -1)
        assert 0 < valkey.pttl(NAME + "test:ttl") <= 25 * HOUR_MS
