"""`linekeeper listen`: what a phone system tells over a connection of ours is a delivery like any other."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from commands.listen import GOING_ON, Listeners
from domain.errors import ConsentLost, TryLater
from domain.ports import Traits
from integrations.telephony.standard import Standard
from jobs.connect import add_phone_system, disconnect
from jobs.services import Services
from jobs.worker import visit
from store.connections import Tie
from store.database import TenantId
from store.embedded import Postgres
from tests import house
from tests.servers import said

RINGING = (
    b'{"type": "call.ringing", "timestamp": "2026-03-29T09:15:00Z", "data": {"call_id": "c1", "direction": "inbound",'
    b' "from": "+34600111222", "to": "+34911222333", "agent": {"extension": "201"}}}'
)


class Talker(Standard):
    """A vendor that is listened to and tells what the test puts into its mouth."""

    slug = "talker"
    title = "Talker"
    traits = Traits(listens=True)

    def __init__(self) -> None:
        self.says: list[tuple[str, bytes]] = []
        self.fails: list[Exception] = []
        self.accounts: list[Mapping[str, str]] = []
        self.listeners = 0

    def listen(self, account: Mapping[str, str], stop: Callable[[], bool]) -> Iterator[tuple[str, bytes]]:
        self.accounts.append(account)
        if self.fails:
            raise self.fails.pop(0)
        self.listeners += 1
        told = 0
        try:
            while not stop():
                while told < len(self.says):
                    yield self.says[told]
                    told += 1
                time.sleep(0.01)
        finally:
            self.listeners -= 1


def eventually(check: Callable[[], Any], seconds: float = 10.0) -> Any:
    until = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < until, "it never came to this"
        time.sleep(0.02)
    return value


@pytest.fixture
def talker() -> Talker:
    return Talker()


@pytest.fixture
def services(db_urls: Postgres, work_url: str, mail_url: str, talker: Talker) -> Iterator[Services]:
    with house.services(db_urls, work_url, mail_url) as opened:
        yield dataclasses.replace(opened, telephony={**opened.telephony, "talker": talker})


@pytest.fixture
def tie(services: Services, tenant: TenantId) -> Iterator[Tie]:
    """Alice's connection, ended with the test: a listener listens for every tenant there is."""
    user = house.administrator(services, tenant)
    door = add_phone_system(services, user=user, vendor="talker", account={"base_url": "", "api_key": "k"})
    yield services.connections.get(tenant, door.tie)
    with services.db.tenant(tenant) as database:
        services.connections.turn(database, tenant, door.tie, "disconnected")


@pytest.fixture
def listeners(services: Services, tie: Tie) -> Iterator[Listeners]:
    started = Listeners(services, threading.Event())
    try:
        yield started
    finally:
        started.end()


def test_what_is_told_is_written_once_and_understood(
    services: Services, tie: Tie, talker: Talker, listeners: Listeners
) -> None:
    """Told three times, written once, and a call after a worker's visit; the connection is well."""
    talker.says += [("e1", RINGING)] * 3 + [("e2", RINGING)]
    listeners.look()
    eventually(lambda: services.inbox.counts(tie.tenant).get("pending") == 2)
    visit(services, tie.tenant, "calls")

    (call,) = services.calls.recent(tie.tenant)
    assert ("ringing", "201") == (call.call.state, call.call.agent_extension)
    assert services.connections.get(tie.tenant, tie.id).last_ok_at is not None


def test_a_new_listener_is_told_which_calls_are_going_on(
    services: Services, tie: Tie, talker: Talker, listeners: Listeners
) -> None:
    """It alone can see which of them have ended meanwhile."""
    talker.says.append(("e1", RINGING))
    listeners.look()
    eventually(lambda: services.inbox.counts(tie.tenant).get("pending") == 1)
    visit(services, tie.tenant, "calls")
    listeners.end()

    again = Listeners(services, threading.Event())
    again.look()
    eventually(lambda: len(talker.accounts) == 2)
    again.end()

    assert ["", "c1"] == [account[GOING_ON] for account in talker.accounts]
    assert {"k"} == {account["api_key"] for account in talker.accounts}


def test_trouble_is_said_and_passes(services: Services, tie: Tie, talker: Talker, listeners: Listeners) -> None:
    """A phone system out of reach is tried again; meanwhile the connection says so."""
    talker.fails.append(TryLater("away", code="upstream.unreachable"))
    listeners.look()
    eventually(lambda: services.connections.get(tie.tenant, tie.id).reason == "upstream.unreachable")
    talker.says.append(("e1", RINGING))

    eventually(lambda: services.connections.get(tie.tenant, tie.id).reason == "")
    assert not services.connections.get(tie.tenant, tie.id).troubled


def test_a_refused_account_is_not_tried_again_soon(
    services: Services, tie: Tie, talker: Talker, listeners: Listeners
) -> None:
    """A PBX shuts out who knocks too often."""
    talker.fails += [ConsentLost("no"), ConsentLost("no")]
    listeners.look()
    eventually(lambda: services.connections.get(tie.tenant, tie.id).reason == "consent.lost")
    time.sleep(1.5)

    assert 1 == len(talker.accounts)


def test_one_of_two_processes_listens_and_the_other_takes_over(
    services: Services, tie: Tie, talker: Talker, listeners: Listeners
) -> None:
    """The lock belongs to a connection, and ends with whoever held it."""
    other = Listeners(services, threading.Event())
    try:
        listeners.look()
        eventually(lambda: talker.listeners == 1)
        other.look()
        time.sleep(0.3)
        assert 1 == talker.listeners

        listeners.end()
        eventually(lambda: talker.listeners == 1 and len(talker.accounts) == 2)
    finally:
        other.end()
    assert 0 == talker.listeners


def test_only_who_is_to_be_listened_to_is_asked(services: Services, tie: Tie, neighbour: TenantId) -> None:
    """A look costs no more for all the companies whose phone systems tell by themselves, or that have none."""
    with said(services.db) as statements:
        assert [] == services.connections.listened_to({"nobody"})
    assert 1 == len(statements)
    assert [tie.tenant] == services.connections.listened_to({"talker"})

    house.phone_system(services, house.administrator(services, neighbour))
    assert {tie.tenant, neighbour} <= {*services.connections.listened_to({"talker", "standard"})}
    assert [tie.tenant] == services.connections.listened_to({"talker"})
    with services.db.tenant(tie.tenant) as database:
        services.connections.turn(database, tie.tenant, tie.id, "needs_consent")
    assert [] == services.connections.listened_to({"talker"})


def test_a_connection_that_ends_is_not_listened_to(
    services: Services, tie: Tie, talker: Talker, listeners: Listeners
) -> None:
    """Disconnecting closes the line with the next look."""
    listeners.look()
    eventually(lambda: talker.listeners == 1)
    (user,) = services.tenants.users(tie.tenant)
    disconnect(services, user=user, tie=tie.id)
    listeners.look()

    assert 0 == talker.listeners
