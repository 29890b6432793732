"""One gate for all processes: places that are never too many, a pause for everybody, and a Valkey that goes away."""

from __future__ import annotations

import multiprocessing
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from domain.errors import Forbidden, NotNow, TryLater
from domain.gate import FAILURES, Ask, Entry, Limits, Told
from domain.urgency import in_background, is_urgent, urgently
from integrations.gated import Gated
from integrations.zoho.client import ZohoClient
from integrations.zoho.credits import credits
from store.embedded import Embedded
from store.gate import Gates
from tests.zoho_double import Line, Purse, answer, cut_off

THREE = Limits(slots=3, kept_slots=1)
NOBODY = "unix:///nowhere/at-all.sock"
URL = "https://www.zohoapis.eu/crm/v8/org"


@pytest.fixture
def upstream() -> str:
    return f"zoho:{uuid.uuid4()}"


@pytest.fixture
def gates(work_url: str) -> Iterator[Gates]:
    opened = Gates(work_url)
    yield opened
    opened.close()


def way(gate: Gates, upstream: str, http: Any, limits: Limits = THREE, **more: Any) -> Gated:
    """A way whose waiting takes no time."""
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    told = {"clock": lambda: clock[0], "sleep": sleep, **more}
    return Gated(http=http, gate=gate, upstream=upstream, title="Zoho", lease_seconds=60, limits=limits, **told)


def ask(ticket: str, *, urgent: bool = True) -> Ask:
    return Ask(ticket=ticket, urgent=urgent)


class Counter:
    """An other side that counts how many requests it has in hand, whichever process they come from."""

    def __init__(self, url: str, name: str) -> None:
        self._valkey, self._name, self.most = redis.Redis.from_url(url), f"linekeeper:gate:{name}:in-hand", 0

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        self.most = max(self.most, int(str(self._valkey.incr(self._name))))
        time.sleep(0.002)
        self._valkey.decr(self._name)
        return answer(200, {})


def crowd(url: str, upstream: str) -> int:
    """Eight threads of one process send twelve requests each; return the most there ever were under way."""
    gates, other = Gates(url), Counter(url, upstream)
    to_zoho = Gated(http=other, gate=gates, upstream=upstream, title="Zoho", lease_seconds=60, limits=THREE)

    def send(urgent: bool) -> None:
        for _ in range(12):
            while True:
                try:
                    with urgently() if urgent else in_background():
                        to_zoho.request("GET", URL)
                    break
                except NotNow:
                    continue

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, [True, False] * 4))
    gates.close()
    return other.most


def test_threads_of_two_processes_never_take_more_than_there_is(work_url: str, upstream: str, gates: Gates) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        most = [future.result() for future in [pool.submit(crowd, work_url, upstream) for _ in range(2)]]

    assert 1 <= max(most) <= 3
    assert {} == gates._state(upstream).leases
    assert 192 == sum(gates._state(upstream).spent.values())


def test_the_place_of_a_process_that_died_is_free_again(work_url: str, upstream: str) -> None:
    now = [1_774_778_400_000]
    gates = Gates(work_url, lambda: now[0])
    for ticket in ("a", "b", "c"):
        assert Entry() == gates.enter(upstream, ask(ticket), THREE)
    now[0] += 59_999
    assert Entry(why="full") == gates.enter(upstream, ask("d"), THREE)
    now[0] += 1
    assert Entry() == gates.enter(upstream, ask("d"), THREE)
    gates.close()


def test_a_pause_that_was_asked_for_stops_everybody(work_url: str, upstream: str) -> None:
    """Another process, pops included, is told at once, and the neighbour's organisation goes on."""
    ours, theirs = Gates(work_url), Gates(work_url)
    said = way(ours, upstream, Line([answer(429, {}, {"Retry-After": "70"})])).request("GET", URL)
    assert 429 == said.status_code

    silent = Line([])
    for urgency in (urgently, in_background):
        with urgency(), pytest.raises(NotNow) as raised:
            way(theirs, upstream, silent).request("GET", URL)
        assert "upstream.slowed" == raised.value.code
        assert 60 < raised.value.wait <= 70
        assert "Zoho asked us to slow down" in str(raised.value)
    assert [] == silent.asked
    assert 200 == way(theirs, f"{upstream}-next-door", Line([answer(200, {})])).request("GET", URL).status_code
    ours.close()
    theirs.close()


def test_batches_cannot_starve_people(upstream: str, gates: Gates) -> None:
    """However much is read in the background, a pop finds a place."""
    for ticket in ("a", "b"):
        assert Entry() == gates.enter(upstream, ask(ticket, urgent=False), THREE)
    with in_background(), pytest.raises(NotNow) as raised:
        way(gates, upstream, Line([])).request("GET", URL)
    assert ("upstream.full", 5.0) == (raised.value.code, raised.value.wait)

    assert 200 == way(gates, upstream, Line([answer(200, {})])).request("GET", URL).status_code


def test_whoever_waits_gets_the_place_that_comes_free(upstream: str, gates: Gates) -> None:
    for ticket in ("a", "b", "c"):
        gates.enter(upstream, ask(ticket), THREE)

    def sleep(seconds: float) -> None:
        gates.leave(upstream, "b", Told(how="answered"))

    assert 200 == way(gates, upstream, Line([answer(200, {})]), sleep=sleep).request("GET", URL).status_code


def test_an_answer_that_is_read_piece_by_piece_keeps_its_place_until_it_is_closed(upstream: str, gates: Gates) -> None:
    response = way(gates, upstream, Line([answer(200, {})])).request("GET", URL, stream=True)
    assert 1 == len(gates._state(upstream).leases)
    response.close()
    response.close()
    assert {} == gates._state(upstream).leases


FAILURES_AND_NOT: list[tuple[requests.Response | Exception, int]] = [
    (answer(503), 1),
    (requests.ReadTimeout(), 1),
    (cut_off(), 1),
    (answer(404), 0),
    (answer(401), 0),
    (answer(429), 0),
    (requests.exceptions.InvalidURL(), 0),
    (Forbidden(), 0),
]


@pytest.mark.parametrize(("told", "failures"), FAILURES_AND_NOT, ids=lambda value: repr(value)[:24])
def test_what_counts_as_no_answer(
    upstream: str, gates: Gates, told: requests.Response | Exception, failures: int
) -> None:
    with suppress(requests.RequestException, Forbidden):
        way(gates, upstream, Line([told])).request("GET", URL)
    assert (failures, {}) == (gates._state(upstream).failures, gates._state(upstream).leases)


def test_the_circuit_opens_for_everybody_and_its_turns_are_told_once(work_url: str, upstream: str) -> None:
    now = [1_774_778_400_000]
    turns: list[tuple[str, int]] = []
    several = [Gates(work_url, lambda: now[0]) for _ in range(2)]
    for number in range(FAILURES):
        with pytest.raises(requests.ReadTimeout):
            way(
                several[number % 2], upstream, Line([requests.ReadTimeout()]), turned=lambda *t: turns.append(t)
            ).request("GET", URL)
        now[0] += 1_000
    assert [("opened", 1_774_778_400_000)] == turns

    for gates in several:
        with pytest.raises(NotNow) as raised:
            way(gates, upstream, Line([])).request("GET", URL)
        assert ("upstream.silent", 4.0) == (raised.value.code, raised.value.wait)
        assert "Zoho does not answer at the moment. We look again in 4 s." == str(raised.value)
        assert upstream in gates.silent()

    now[0] += 4_000
    looks = gates.enter(upstream, ask("looks"), THREE)
    assert (Entry(), "silent") == (looks, several[0].enter(upstream, ask("another"), THREE).why)
    gates.leave(upstream, "looks", Told(how="untold"))
    way(gates, upstream, Line([answer(404)]), turned=lambda *t: turns.append(t)).request("GET", URL)
    assert ("closed", 1_774_778_400_000) == turns[-1]
    assert (2, 0) == (len(turns), gates.standing(upstream).silent_since)
    assert upstream not in gates.silent()
    for gates in several:
        gates.close()


def test_a_client_behind_the_gate_says_later_and_sends_nothing(upstream: str, gates: Gates) -> None:
    """Also what is never repeated is simply for later: it was not sent."""
    for number in range(FAILURES):
        gates.leave(upstream, str(number), Told(how="failed"))
    line = Line([])
    client = ZohoClient(http=way(gates, upstream, line), api_domain="https://www.zohoapis.eu", tokens=Purse())
    with pytest.raises(TryLater) as raised:
        client.write("POST", "/crm/v8/Calls", json={"data": [{}]}, items="data")
    assert (NotNow, []) == (type(raised.value), line.asked)


# ---- Valkey -------------------------------------------------------------------------------------------------------


def test_a_valkey_that_was_emptied_is_a_new_beginning(work_url: str, upstream: str) -> None:
    url = work_url.replace("db=0", "db=7")
    gates = Gates(url)
    for ticket in ("a", "b", "c"):
        gates.enter(upstream, ask(ticket), THREE)
    assert "full" == gates.enter(upstream, ask("d"), THREE).why
    with redis.Redis.from_url(url) as valkey:
        valkey.flushdb()
        valkey.script_flush()

    assert Entry() == gates.enter(upstream, ask("d"), THREE)
    assert ("", 0) == gates.leave(upstream, "a", Told(how="answered"))  # a place nobody knows any more
    gates.close()


def test_without_valkey_each_process_keeps_its_own_gate(upstream: str) -> None:
    """Never an error, never no limit."""
    gates, turns = Gates(NOBODY), []
    for ticket in ("a", "b", "c"):
        assert Entry() == gates.enter(upstream, ask(ticket), THREE)
    assert "full" == gates.enter(upstream, ask("d"), THREE).why
    for ticket in ("a", "b", "c", "x", "y"):
        turns.append(gates.leave(upstream, ticket, Told(how="failed"))[0])
    assert ["", "", "", "", "opened"] == turns
    assert [upstream] == gates.silent()
    assert gates.standing(upstream).silent_since > 0
    gates.forget(upstream)
    assert ([], Entry()) == (gates.silent(), gates.enter(upstream, ask("e"), THREE))
    gates.close()


def test_a_valkey_that_stops_stops_nothing(tmp_path: Path, upstream: str) -> None:
    with Embedded(tmp_path / "var", say=lambda _: None) as embedded:
        gates = Gates(embedded.valkey("work").url)
        assert 200 == way(gates, upstream, Line([answer(200, {})])).request("GET", URL).status_code
        gates.enter(upstream, ask("under way"), THREE)
    gates.leave(upstream, "under way", Told(how="answered"))
    assert 200 == way(gates, upstream, Line([answer(200, {})])).request("GET", URL).status_code
    gates.close()


# ---- who waits, and what it costs ---------------------------------------------------------------------------------


def test_who_waits_is_said_around_the_work() -> None:
    """In each thread for itself; what says nothing is for somebody."""
    seen: list[bool] = []
    with in_background():
        thread = threading.Thread(target=lambda: seen.append(is_urgent()))
        thread.start()
        thread.join()
        seen.append(is_urgent())
        with urgently():
            seen.append(is_urgent())
        seen.append(is_urgent())
    assert [True, False, True, False, True] == [*seen, is_urgent()]


CREDITS: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "a page": ("GET", "/crm/v8/Contacts", {}, 1),
    "tombstones": ("GET", "/crm/v8/Contacts/deleted", {}, 2),
    "a query": ("POST", "/crm/v8/coql", {"json": {"select_query": "select id from Calls"}}, 1),
    "ten records": ("POST", "/crm/v8/Calls", {"json": {"data": [{}] * 10}}, 1),
    "a hundred records": ("POST", "/crm/v8/Calls", {"json": {"data": [{}] * 100}}, 10),
    "none": ("POST", "/crm/v8/Calls", {"json": {"data": []}}, 1),
    "a module in a file": ("POST", "/crm/bulk/v8/read", {"json": {"query": {}}}, 50),
    "a file": ("GET", "/crm/bulk/v8/read/4150868000000200001/result", {}, 1),
    "a pop": ("POST", "/phonebridge/v3/callnotify", {"data": {"state": "ringing"}}, 0),
}


@pytest.mark.parametrize("row", CREDITS.values(), ids=CREDITS.keys())
def test_what_a_request_costs(row: tuple[str, str, dict[str, Any], int]) -> None:
    method, path, options, cost = row
    assert cost == credits(method, f"https://www.zohoapis.eu{path}", options)


@pytest.mark.parametrize(("told", "left"), [("17", 17), ("", -1), ("many", -1), ("9" * 40, -1), ("-3", -1)])
def test_the_credits_zoho_says_are_left(upstream: str, gates: Gates, told: str, left: int) -> None:
    headers = {"X-API-CREDITS-REMAINING": told} if told else {}
    way(gates, upstream, Line([answer(200, {}, headers)])).request("GET", URL)
    assert left == gates._state(upstream).left
