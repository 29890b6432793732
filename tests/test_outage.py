"""Zoho goes away while calls are made: they wait, nobody's tries are used up, and afterwards each is logged once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from domain.errors import NotNow
from jobs import worker
from store.effects import ATTEMPTS
from store.gate import Gates
from tests import house
from tests.console_desk import Stories, application, sign_in
from tests.test_reconcile import Office, bridged, office, outside, services

__all__ = ["bridged", "office", "outside", "services"]

CALLS = 6
ROUNDS = ATTEMPTS + 2  # more than an effect is tried


@dataclass
class Clock:
    """The gates' own; it runs when it is told to."""

    ms: int = 1_774_778_400_000

    def __call__(self) -> int:
        return self.ms


def at_the_gates(office: Office, work_url: str) -> tuple[Office, Clock]:
    """The same office, its gates on a clock we turn."""
    clock = Clock(int(office.services.now().timestamp() * 1000))
    return replace(office, services=replace(office.services, gates=Gates(work_url, clock), opened={})), clock


def endure(office: Office, clock: Clock) -> None:
    """Do what workers do for as long as nobody answers."""
    for _ in range(ROUNDS):
        office._hurry()
        worker.visit(office.services, office.tenant, "calls")
        clock.ms += 5_000


def turns(office: Office) -> list[str]:
    rows = office.services.ledger.rows(office.tenant, limit=500, action="circuit.")
    return [row.action for row in rows][::-1]


@pytest.mark.parametrize(
    ("writer", "action"),
    [("office", "status"), ("office", "status_after"), ("office", "drop_after"), ("bridged", "status_after")],
)
def test_calls_made_during_an_outage_are_logged_once(
    request: pytest.FixtureRequest, work_url: str, writer: str, action: str
) -> None:
    """Also where Zoho had written some of them without our hearing of it."""
    alices, clock = at_the_gates(request.getfixturevalue(writer), work_url)
    for match in ("POST /crm/v8/Calls", "POST /crm/v8/coql", "POST /phonebridge/v3/callnotify"):
        alices.zoho.fault(match, action, times=10_000, **({"status": 503} if "status" in action else {}))
    for number in range(CALLS):
        alices.call(number)
    before = sum(alices.zoho.counts().values())

    endure(alices, clock)

    crm = alices.services.connections.first(alices.tenant, "crm")
    assert crm is not None
    standing = alices.services.standing(crm)
    assert standing.silent_since > 0
    assert ["circuit.opened"] == turns(alices)
    assert sum(alices.zoho.counts().values()) - before < 40  # and not 14 rounds of six
    states = {state for (kind, state) in alices.services.effects.counts(alices.tenant) if kind.startswith("activity")}
    assert states <= {"due", "unknown", "claimed"}
    clock.ms = standing.look_at - 1_000
    with pytest.raises(NotNow) as raised:
        alices.services.crm(crm).organisation()
    assert "Zoho does not answer at the moment. We look again in 1 s." == str(raised.value)

    alices.zoho.delete("faults")
    clock.ms = standing.look_at
    alices.work()

    assert CALLS == len(alices.rows())
    assert writer == "bridged" or alices.agrees()
    assert ["circuit.opened", "circuit.closed"] == turns(alices)
    assert 0 == alices.services.standing(crm).silent_since
    alices.services.gates.close()


def test_the_console_and_the_metrics_say_so(office: Office, work_url: str) -> None:
    alices, clock = at_the_gates(office, work_url)
    alices.zoho.fault("POST /crm/v8/Calls", "status", status=503, times=10_000)
    alices.zoho.fault("POST /crm/v8/coql", "status", status=503, times=10_000)
    for number in range(CALLS):
        alices.call(number)
    endure(alices, clock)

    tools = alices.services
    (alice,) = [user for user in tools.tenants.users(alices.tenant) if user.name == "Alice Adler"]
    browser = sign_in(application(tools, Stories()), tools, alice)
    overview, connections = (browser.get(path).get_data(as_text=True) for path in ("/console/", "/console/connections"))
    metrics = house.front(tools).get("/metrics").get_data(as_text=True)

    assert "Zoho has not answered since " in overview
    assert "6 calls wait and will be logged." in overview
    assert "the last request did not work" not in overview
    assert "Not answering" in overview
    assert "Zoho has not answered since " in connections
    assert "What is owed to it waits, nothing is lost" in connections
    assert 'linekeeper_circuits_open{vendor="zoho"}' in metrics
    alices.zoho.delete("faults")
    tools.gates.close()
