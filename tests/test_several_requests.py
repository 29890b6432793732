"""Ten requests are remembered at once: what went wrong with one of them is its own affair, and nobody is made twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from domain.contact import Person
from integrations.zoho import listing
from integrations.zoho.writing import ZohoPeopleWriter
from jobs import sharing, worker
from store.embedded import Postgres
from tests.contacts_office import CREATES, Office, moved_in, outside, tools

PEOPLE, AT_ONCE, PAGE = 46, 20, 25  # three requests, which a reading shows on two pages


@pytest.fixture(scope="module")
def office(db_urls: Postgres, work_url: str, mail_url: str) -> Iterator[Office]:
    with (
        outside() as stages,
        tools(db_urls, work_url, mail_url, *stages) as services,
        moved_in(services, *stages) as opened,
    ):
        opened.both_ways()
        opened.work()
        yield opened


@pytest.fixture
def families(office: Office, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """So many new people at Google, whom Zoho has yet to hear of, and no more than it takes at once."""
    monkeypatch.setattr(ZohoPeopleWriter, "limits", replace(ZohoPeopleWriter.limits, create=AT_ONCE))
    monkeypatch.setattr(listing, "PAGE", PAGE)
    names = [f"{request.node.name[:20]}{number:03}" for number in range(PEOPLE)]
    there = office.add(
        *({"names": [{"familyName": name}], "emailAddresses": [{"value": f"{name}@people.example"}]} for name in names)
    )
    office.written()
    yield names
    office.zoho.delete("faults")
    office.drop(*there)
    office.work()


def standing(office: Office, names: Sequence[str]) -> list[str]:
    """Which of them stand at Zoho, each as often as they do."""
    wanted = set(names)
    return sorted(row["Last_Name"] for row in office.rows() if row["Last_Name"] in wanted)


def visit(office: Office) -> None:
    """One visit of a worker, who stops where nothing is due."""
    for kind in ("read.book", "exchange"):
        office.services.chores.hurry(office.tenant, kind)
    worker.visit(office.services, office.tenant, "contacts", seconds=60)


def test_whoever_nobody_answered_for_is_looked_for_in_one_reading(office: Office, families: list[str]) -> None:
    """Zoho made them all and not one answer arrived."""
    office.zoho.fault(CREATES["zoho"], "drop_after", times=3)
    visit(office)
    assert families == standing(office, families)
    office.zoho.delete("requests")

    office.go_on()

    assert 2 == office.zoho.counts()["GET /crm/v8/Contacts"], "two pages, not two for each request"
    assert CREATES["zoho"] not in office.zoho.counts()
    assert families == standing(office, families)
    office.written()
    office.work()
    assert {} == office.written()


def test_a_request_that_is_put_off_keeps_nobody_waiting(office: Office, families: list[str]) -> None:
    office.zoho.fault(CREATES["zoho"], "status", status=503, every=2, times=1)

    visit(office)

    assert PEOPLE - AT_ONCE <= len(standing(office, families)), "the third request went out although the second did not"
    office.go_on()
    assert families == standing(office, families)
    assert {CREATES["zoho"]: 4} == office.written()
    office.work()
    assert {} == office.written()


def test_a_pause_is_heeded_before_the_next_request(
    office: Office, families: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = ZohoPeopleWriter.create

    def paused(self: ZohoPeopleWriter, people: Sequence[Person], more: Any = ()) -> Any:
        told = create(self, people, more)
        sharing.pause(office.services, office.book, True, actor="user:alice")
        return told

    monkeypatch.setattr(ZohoPeopleWriter, "create", paused)

    visit(office)

    assert AT_ONCE == len(standing(office, families))
    monkeypatch.undo()
    book = office.services.connections.get(office.tenant, office.book.id)
    sharing.pause(office.services, book, False, actor="user:alice")
    office.go_on()
    assert families == standing(office, families)
